/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client of attestd where there is a direct socket beside the bus: which of them
 * it uses, and what becomes of what is under way when that goes. */
#include "bus.h"
#include "lib/services.h"
#include "run.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <stdatomic.h>
#include <unistd.h>

#define ATTESTER "org.attestd.Attester1"
#define VERIFIER "org.attestd.Verifier1"

static const uint8_t exported[ATT_EXPORTED_SIZE] = { 0xe0, 1 };

/* The library's clock; GLib's own, which wakes it, stays as it is: in the past a limit of time
 * has run out for GLib at once, and for the library when the test says so. */
static _Atomic gint64 moved_us;

gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void) {
        return __real_g_get_monotonic_time() + moved_us;
}

static void move_clock(int seconds) {
        moved_us = seconds * G_USEC_PER_SEC;
}

/* A bus and a socket, each with an attestd on it if the test wants one. */
typedef struct Place {
        Bus bus;
        char *directory, *socket;
        const char *address; /* of the socket */
        AttestdEndpoint *endpoint;
        Service *on_bus, *direct, *verifier;
} Place;

static void place_init(Place *p) {
        g_autofree char *address = NULL;

        move_clock(0);
        bus_start(&p->bus);
        p->directory = g_dir_make_tmp("attestd-XXXXXX", NULL);
        p->socket = g_build_filename(p->directory, "bus", NULL);
        address = g_strdup_printf("unix:path=%s", p->socket);
        p->address = g_intern_string(address);
        att_services_look_at(p->address);
        p->endpoint = attestd_endpoint_new();
}

static void place_clear(Place *p) {
        g_clear_pointer(&p->on_bus, service_stop);
        g_clear_pointer(&p->direct, service_stop);
        g_clear_pointer(&p->verifier, service_stop);
        g_clear_pointer(&p->endpoint, attestd_endpoint_unref);
        (void) g_unlink(p->socket);
        (void) g_rmdir(p->directory);
        g_free(p->directory);
        g_free(p->socket);
        bus_stop(&p->bus);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

static AttServices *services_new(Place *p) {
        const AttTransport transport = { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256 };
        AttServices *s = att_services_new(p->endpoint, &transport, NULL);

        ck_assert_ptr_nonnull(s);
        return s;
}

static void services_free(AttServices *s) {
        s->ops->free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttServices, services_free)

static void wait_evidence(AttServices *s, guint64 generation) {
        g_autoptr(AttEvent) event = wait_event(s);

        ck_assert_int_eq(event->type, ATT_EVENT_EVIDENCE);
        ck_assert_msg(!event->error, "%s", event->error ? event->error->message : "");
        ck_assert_uint_eq(event->state.generation, generation);
}

static void wait_stale(AttServices *s) {
        g_autoptr(AttEvent) event = wait_event(s);

        ck_assert_int_eq(event->type, ATT_EVENT_STALE);
}

static void wait_change(AttServices *s, guint64 generation) {
        g_autoptr(AttEvent) event = wait_event(s);

        ck_assert_int_eq(event->type, ATT_EVENT_STALE);
        ck_assert(event->state.known);
        ck_assert_uint_eq(event->state.generation, generation);
}

static void wait_bad(AttServices *s, const char *part) {
        g_autoptr(AttEvent) event = wait_event(s);

        ck_assert_int_eq(event->type, ATT_EVENT_EVIDENCE);
        ck_assert(g_error_matches(event->error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE));
        ck_assert_msg(strstr(event->error->message, part), "%s", event->error->message);
}

static void attest(AttServices *s) {
        g_autoptr(GBytes) context = g_bytes_new_static("context", 7), key = g_bytes_new_static("key", 3);

        s->ops->attest(s, exported, context, key, "tag:profile", false);
}

static GVariant *evidence(guint64 generation) {
        return g_variant_new_parsed("([byte 0x65], {'boot_id': <'000102030405060708090a0b0c0d0e0f'>,"
                                    " 'instance_id': <'f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff'>, 'generation': <%t>})",
                                    generation);
}

/* Who answers tells by the generation. */
#define BY_BUS 1u
#define DIRECTLY 2u

static void start_on_bus(Place *p) {
        p->on_bus = service_start(ATTESTER);
        service_answer(p->on_bus, "Attest", evidence(BY_BUS));
}

static void start_direct(Place *p) {
        p->direct = service_start_direct(ATTESTER, p->socket, false);
        service_answer(p->direct, "Attest", evidence(DIRECTLY));
}

static void place_init_with_both(Place *p) {
        place_init(p);
        start_on_bus(p);
        start_direct(p);
}

/* Which way. */

START_TEST(the_direct_socket_comes_first) {
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };
        g_autoptr(AttEvent) request = NULL;

        place_init_with_both(&p);
        s = services_new(&p);
        attest(s);
        wait_evidence(s, DIRECTLY);
        attest(s);
        wait_evidence(s, DIRECTLY);
        ck_assert_uint_eq(service_count(p.on_bus, "OpenSession"), 0);
        ck_assert_uint_eq(service_count(p.direct, "OpenSession"), 1);

        /* The verifier has none. */
        p.verifier = service_start(VERIFIER);
        service_answer(p.verifier, "CreateRequest", g_variant_new_parsed("([byte 1], [byte 2])"));
        s->ops->create_request(s, "tag:profile", false);
        request = wait_event(s);
        ck_assert_int_eq(request->type, ATT_EVENT_REQUEST);
        ck_assert(!request->error);
}
END_TEST

START_TEST(hears_stale_directly) {
        g_autoptr(AttServices) s = NULL, other = NULL;
        g_autoptr(AttEvent) event = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        start_direct(&p);
        other = services_new(&p);
        attest(other);
        wait_evidence(other, DIRECTLY);
        s = services_new(&p);
        attest(s);
        wait_evidence(s, DIRECTLY);
        service_tell_stale(p.direct, "/org/attestd/Attester1/session/99", 8, "other");
        service_tell_stale(p.direct, NULL, 9, "ima");
        event = wait_event(s);
        ck_assert_int_eq(event->type, ATT_EVENT_STALE);
        ck_assert_uint_eq(event->state.generation, 9);
        ck_assert_ptr_null(other->ops->next(other));
}
END_TEST

/* _i: why it is none: not there, nobody listens, not for us, nobody answers */
START_TEST(without_it_there_is_the_bus) {
        g_autoptr(GSocket) deaf = NULL;
        g_autoptr(AttServices) s = NULL, next = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        start_on_bus(&p);
        if (_i == 1 || _i == 3) {
                g_autoptr(GSocketAddress) where = g_unix_socket_address_new(p.socket);

                deaf = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, 0, NULL);
                ck_assert(g_socket_bind(deaf, where, FALSE, NULL));
                ck_assert(_i == 1 || g_socket_listen(deaf, NULL));
        } else if (_i == 2) {
                p.direct = service_start_direct(ATTESTER, p.socket, true);
        }
        s = services_new(&p);
        attest(s);
        wait_evidence(s, BY_BUS);

        /* It is not knocked at with each call. */
        next = services_new(&p);
        attest(next);
        wait_evidence(next, BY_BUS);
        if (_i == 2)
                ck_assert_uint_eq(service_count_connections(p.direct), 1);
}
END_TEST

/* Nobody is asked there: what polkit would grant is to be had over the bus. */
START_TEST(what_is_refused_directly_is_asked_over_the_bus) {
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };

        place_init_with_both(&p);
        service_refuse(p.direct, "OpenSession", "org.attestd.Error.NotAuthorized");
        s = services_new(&p);
        attest(s);
        wait_evidence(s, BY_BUS);
}
END_TEST

START_TEST(logs_that_are_refused_directly_are_asked_over_the_bus) {
        g_autoptr(GBytes) content = g_bytes_new_static("what is in it", 13);
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) event = NULL;
        g_auto(Place) p = { 0 };

        place_init_with_both(&p);
        service_refuse(p.direct, "GetLog", "org.attestd.Error.NotAuthorized");
        service_answer_with_memfd(p.on_bus, "GetLog", g_variant_new("(htt)", 0, 0, 3), content, true);
        service_set_property(p.on_bus, "ImaListed", g_variant_new_string("sha256"));
        s = services_new(&p);
        attest(s);
        wait_evidence(s, DIRECTLY);
        s->ops->get_log(s, "ima", 0);
        event = wait_event(s);
        ck_assert_int_eq(event->type, ATT_EVENT_LOG);
        ck_assert_msg(!event->error, "%s", event->error ? event->error->message : "");
        ck_assert_str_eq(event->bank, "sha256");
        /* And the session is where it was. */
        attest(s);
        wait_evidence(s, DIRECTLY);
}
END_TEST

/* In two pieces. */

#define OWN "([byte 0x5b, 0x5d], {'boot_id': <'000102030405060708090a0b0c0d0e0f'>," \
            " 'instance_id': <'f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff'>, 'generation': <uint64 2>,"

static void wait_whole(AttServices *s, const char *expected) {
        g_autoptr(AttEvent) event = wait_event(s);

        ck_assert_int_eq(event->type, ATT_EVENT_EVIDENCE);
        ck_assert_msg(!event->error, "%s", event->error ? event->error->message : "");
        ck_assert_uint_eq(g_bytes_get_size(event->bytes), strlen(expected));
        ck_assert_mem_eq(g_bytes_get_data(event->bytes, NULL), expected, strlen(expected));
        ck_assert(event->state.known);
        ck_assert_uint_eq(event->state.generation, 2);
}

static bool was_asked_to_split(const Seen *seen) {
        g_autoptr(GVariant) options = g_variant_get_child_value(seen->arguments, 3);
        gboolean split = FALSE;

        return g_variant_lookup(options, "split", "b", &split) && split;
}

/* What one connection was sent another of the same process need not be sent again. _i: over the bus, directly */
START_TEST(what_answers_have_in_common_comes_once) {
        g_autoptr(GBytes) part = g_bytes_new_static("part", 4);
        g_autoptr(AttServices) s = NULL, other = NULL;
        g_auto(Place) p = { 0 };
        Service *attester;

        place_init(&p);
        if (_i == 0)
                start_on_bus(&p);
        else
                start_direct(&p);
        attester = _i == 0 ? p.on_bus : p.direct;
        s = services_new(&p);
        other = services_new(&p);
        service_answer_with_memfd(attester, "Attest",
                                  g_variant_new_parsed(OWN "'shared': <uint64 7>, 'shared_at': <uint64 1>,"
                                                       " 'shared_size': <uint64 4>, 'shared_fd': <handle 0>})"),
                                  part, true);
        attest(s);
        wait_whole(s, "[part]");
        ck_assert(was_asked_to_split(service_wait(attester, "Attest", 1)));
        service_answer(attester, "Attest",
                       g_variant_new_parsed("([byte 0x5b, 0x5d], {'shared': <uint64 7>, 'shared_at': <uint64 0>,"
                                            " 'shared_size': <uint64 4>})"));
        attest(other);
        wait_whole(other, "part[]");
        ck_assert_uint_eq(service_count(attester, "Attest"), 2);
}
END_TEST

/* Asked once more, for one piece, and in another session: its context is used in the first.
 * _i: it was not sent; it did not arrive */
START_TEST(what_we_do_not_have_is_asked_for_in_one_piece) {
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        start_direct(&p);
        service_answer(p.direct, "Attest",
                       _i == 0 ? g_variant_new_parsed(OWN "'shared': <uint64 7>, 'shared_at': <uint64 1>,"
                                                      " 'shared_size': <uint64 4>})") :
                                 g_variant_new_parsed(OWN "'shared': <uint64 7>, 'shared_at': <uint64 1>,"
                                                      " 'shared_size': <uint64 4>, 'shared_fd': <handle 0>})"));
        s = services_new(&p);
        attest(s);
        /* It says so again, which is too often. */
        wait_bad(s, _i == 0 ? "a shared part that was not sent" : "did not arrive");
        ck_assert_uint_eq(service_count(p.direct, "Attest"), 2);
        ck_assert(was_asked_to_split(service_wait(p.direct, "Attest", 1)));
        ck_assert(!was_asked_to_split(service_wait(p.direct, "Attest", 2)));
        ck_assert_str_ne(service_wait(p.direct, "Attest", 1)->path, service_wait(p.direct, "Attest", 2)->path);
        service_wait(p.direct, "Close", 1);

        /* And the next is asked as the first was. */
        service_answer(p.direct, "Attest", evidence(DIRECTLY));
        attest(s);
        wait_evidence(s, DIRECTLY);
        ck_assert(was_asked_to_split(service_wait(p.direct, "Attest", 3)));
}
END_TEST

/* Somebody has evidence, from the direct socket. */
static AttServices *attested_directly(Place *p) {
        AttServices *s;

        place_init(p);
        start_direct(p);
        s = services_new(p);
        attest(s);
        wait_evidence(s, DIRECTLY);
        return s;
}

static GVariant *unsent_part(void) {
        return g_variant_new_parsed(OWN "'shared': <uint64 7>, 'shared_at': <uint64 1>, 'shared_size': <uint64 4>})");
}

/* Newer evidence is to follow. Until it is there, the session of the last tells of a change. */
START_TEST(asking_for_one_piece_is_no_loss) {
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) event = NULL;
        g_auto(Place) p = { 0 };
        const char *first;

        s = attested_directly(&p);
        first = service_wait(p.direct, "Attest", 1)->path;

        service_answer(p.direct, "Attest", unsent_part());
        for (guint i = 0; i < 2; i++) {
                attest(s);
                wait_bad(s, "a shared part that was not sent");
        }
        service_wait(p.direct, "Attest", 5);
        ck_assert_uint_eq(service_count(p.direct, "OpenSession"), 3);
        ck_assert_str_ne(service_wait(p.direct, "Close", 1)->path, first);
        service_tell_stale(p.direct, first, 9, "ima");
        wait_change(s, 9);

        service_answer(p.direct, "Attest", evidence(DIRECTLY));
        attest(s);
        wait_evidence(s, DIRECTLY);
        ck_assert_str_eq(service_wait(p.direct, "Close", 2)->path, first);
        event = s->ops->next(s);
        ck_assert_ptr_null(event);

        /* Of two sessions in one place as well. */
        service_answer(p.direct, "Attest", unsent_part());
        attest(s);
        wait_bad(s, "a shared part that was not sent");
        g_clear_pointer(&p.direct, service_stop);
        wait_stale(s);
        start_on_bus(&p);
        attest(s);
        wait_evidence(s, BY_BUS);
        event = s->ops->next(s);
        ck_assert_ptr_null(event);
}
END_TEST

/* An answer that was under way in it. */
START_TEST(the_former_session_tells_of_what_it_gave_last) {
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };
        const char *first;

        s = attested_directly(&p);
        first = service_wait(p.direct, "Attest", 1)->path;
        service_hold_sessions(p.direct);
        service_answer(p.direct, "Attest", NULL);
        attest(s);
        service_wait(p.direct, "Attest", 2);
        service_answer(p.direct, "Attest", unsent_part());
        attest(s);
        service_wait(p.direct, "OpenSession", 2);
        service_release(p.direct, "Attest", evidence(8));
        wait_evidence(s, 8);
        service_tell_stale(p.direct, first, 9, "ima");
        wait_change(s, 9);
}
END_TEST

/* The former one may be the last that we may have: it makes room for the next, which is no loss
 * if that gives evidence. _i: it does, it does not */
START_TEST(the_former_session_makes_room_for_that_of_one_piece) {
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) event = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        start_direct(&p);
        service_limit_sessions(p.direct, 1);
        s = services_new(&p);
        attest(s);
        wait_evidence(s, DIRECTLY);
        service_answer(p.direct, "Attest", NULL);
        attest(s);
        service_wait(p.direct, "Attest", 2);
        service_release(p.direct, "Attest", unsent_part());
        ck_assert_str_ne(service_wait(p.direct, "Attest", 3)->path, service_wait(p.direct, "Attest", 1)->path);
        ck_assert_uint_eq(service_count(p.direct, "OpenSession"), 3);
        ck_assert_str_eq(service_wait(p.direct, "Close", 1)->path, service_wait(p.direct, "Attest", 1)->path);
        if (_i == 0) {
                service_release(p.direct, "Attest", evidence(DIRECTLY));
                wait_evidence(s, DIRECTLY);
                service_tell_stale(p.direct, NULL, 9, "ima");
                wait_change(s, 9);
        } else {
                service_release(p.direct, "Attest", unsent_part());
                wait_stale(s); /* nobody tells of the evidence before */
                wait_bad(s, "a shared part that was not sent");
        }
        service_answer(p.direct, "Attest", evidence(DIRECTLY));
        attest(s);
        wait_evidence(s, DIRECTLY);
        event = s->ops->next(s);
        ck_assert_ptr_null(event);
}
END_TEST

/* Once is enough. */
START_TEST(who_gets_no_other_session_for_one_piece_is_told_of_the_loss) {
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };

        s = attested_directly(&p);
        service_answer(p.direct, "Attest", unsent_part());
        service_refuse(p.direct, "OpenSession", "org.attestd.Error.LimitReached");
        attest(s);
        wait_stale(s);
        wait_bad(s, "LimitReached");
        ck_assert_str_eq(service_wait(p.direct, "Close", 1)->path, service_wait(p.direct, "Attest", 1)->path);
        ck_assert_uint_eq(service_count(p.direct, "OpenSession"), 3);

        service_refuse(p.direct, "OpenSession", NULL);
        service_answer(p.direct, "Attest", evidence(DIRECTLY));
        attest(s);
        wait_evidence(s, DIRECTLY);
}
END_TEST

/* An attestd that is started again begins its numbers anew. */
START_TEST(ft16_shared_parts_end_with_their_connection) {
        g_autoptr(GBytes) part = g_bytes_new_static("part", 4);
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };
        GVariant *named = g_variant_ref_sink(g_variant_new_parsed(
                OWN "'shared': <uint64 7>, 'shared_at': <uint64 1>, 'shared_size': <uint64 4>})"));

        place_init(&p);
        start_direct(&p);
        service_answer_with_memfd(p.direct, "Attest",
                                  g_variant_new_parsed(OWN "'shared': <uint64 7>, 'shared_at': <uint64 1>,"
                                                       " 'shared_size': <uint64 4>, 'shared_fd': <handle 0>})"),
                                  part, true);
        s = services_new(&p);
        attest(s);
        wait_whole(s, "[part]");
        g_clear_pointer(&p.direct, service_stop);
        wait_stale(s);

        start_on_bus(&p);
        service_answer(p.on_bus, "Attest", named);
        attest(s);
        wait_bad(s, "a shared part that was not sent");
        g_variant_unref(named);
}
END_TEST

/* Nobody waits for the first answer any more, but what it brings is for all. */
START_TEST(an_answer_that_nobody_waits_for_brings_its_part) {
        g_autoptr(GBytes) part = g_bytes_new_static("part", 4);
        AttServices *gone = NULL;
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };
        GVariant *with_fd = g_variant_ref_sink(g_variant_new_parsed(
                OWN "'shared': <uint64 7>, 'shared_at': <uint64 1>, 'shared_size': <uint64 4>,"
                    " 'shared_fd': <handle 0>})"));

        place_init(&p);
        start_direct(&p);
        service_answer_with_memfd(p.direct, "Attest", with_fd, part, true);
        service_answer(p.direct, "Attest", NULL);
        gone = services_new(&p);
        s = services_new(&p);
        attest(gone);
        service_wait(p.direct, "Attest", 1);
        services_free(gone);
        service_wait(p.direct, "Close", 1);
        service_release(p.direct, "Attest", with_fd);
        service_answer(p.direct, "Attest",
                       g_variant_new_parsed(OWN "'shared': <uint64 7>, 'shared_at': <uint64 1>,"
                                            " 'shared_size': <uint64 4>})"));
        attest(s);
        wait_whole(s, "[part]");
        g_variant_unref(with_fd);
}
END_TEST

/* Hostile answers are errors, and nothing else: the next one is taken. _i: which */
START_TEST(a_part_that_does_not_fit_is_an_error) {
        g_autoptr(GBytes) part = g_bytes_new_static("part", 4);
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        start_direct(&p);
        if (_i == 0)
                service_answer_with_memfd(p.direct, "Attest",
                                          g_variant_new_parsed(OWN "'shared': <uint64 7>, 'shared_at': <uint64 3>,"
                                                               " 'shared_size': <uint64 4>, 'shared_fd': <handle 0>})"),
                                          part, true);
        else if (_i == 1)
                service_answer_with_memfd(p.direct, "Attest",
                                          g_variant_new_parsed(OWN "'shared': <uint64 7>, 'shared_at': <uint64 1>,"
                                                               " 'shared_size': <uint64 4>, 'shared_fd': <handle 0>})"),
                                          part, false);
        else
                service_answer(p.direct, "Attest", g_variant_new_parsed(OWN "'shared': <'7'>})"));
        s = services_new(&p);
        attest(s);
        wait_bad(s, "attestd: ");
        ck_assert_uint_eq(service_count(p.direct, "Attest"), 1);
        service_answer(p.direct, "Attest", evidence(DIRECTLY));
        attest(s);
        wait_evidence(s, DIRECTLY);
        ck_assert_uint_eq(service_count(p.direct, "OpenSession"), 1);
}
END_TEST

/* Loss. */

START_TEST(ft16_loss_of_the_direct_socket_is_stale) {
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };

        place_init_with_both(&p);
        s = services_new(&p);
        attest(s);
        wait_evidence(s, DIRECTLY);
        g_clear_pointer(&p.direct, service_stop);
        wait_stale(s);
        attest(s);
        wait_evidence(s, BY_BUS);
}
END_TEST

/* Once each, over the bus, in a session of its own: no context is used twice in one. */
START_TEST(ft16_calls_under_way_are_made_again_over_the_bus) {
        AttServices *s[50];
        g_auto(Place) p = { 0 };

        place_init_with_both(&p);
        service_answer(p.direct, "Attest", NULL);
        for (guint i = 0; i < G_N_ELEMENTS(s); i++) {
                s[i] = services_new(&p);
                attest(s[i]);
        }
        service_wait(p.direct, "Attest", G_N_ELEMENTS(s));
        service_hang_up(p.direct);
        for (guint i = 0; i < G_N_ELEMENTS(s); i++) {
                wait_stale(s[i]);
                wait_evidence(s[i], BY_BUS);
        }
        ck_assert_uint_eq(service_count(p.on_bus, "Attest"), G_N_ELEMENTS(s));
        ck_assert_uint_eq(service_count(p.on_bus, "OpenSession"), G_N_ELEMENTS(s));
        for (guint i = 0; i < G_N_ELEMENTS(s); i++)
                services_free(s[i]);
}
END_TEST

/* _i: 0: the call was answered by nobody; 1: by the bus's attestd that goes too */
START_TEST(ft16_a_call_is_made_again_once) {
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        attestd_endpoint_set_patience(p.endpoint, 0);
        start_direct(&p);
        if (_i == 1)
                start_on_bus(&p);
        if (_i == 1)
                service_answer(p.on_bus, "Attest", NULL);
        service_answer(p.direct, "Attest", NULL);
        s = services_new(&p);
        attest(s);
        service_wait(p.direct, "Attest", 1);
        g_clear_pointer(&p.direct, service_stop);
        wait_stale(s);
        if (_i == 1) {
                service_wait(p.on_bus, "Attest", 1);
                g_clear_pointer(&p.on_bus, service_stop);
                wait_stale(s);
        }
        wait_bad(s, _i == 0 ? "ServiceUnknown" : "NoReply");
}
END_TEST

/* And at once: that link was no bad one. */
START_TEST(ft16_a_link_that_lasted_is_made_again_and_calls_under_way_take_the_bus) {
        g_autoptr(AttServices) s = NULL, other = NULL;
        g_auto(Place) p = { 0 };

        place_init_with_both(&p);
        s = services_new(&p);
        other = services_new(&p);
        attest(other);
        wait_evidence(other, DIRECTLY);
        service_answer(p.direct, "Attest", NULL);
        attest(s);
        service_wait(p.direct, "Attest", 2);
        move_clock(11);
        service_hang_up(p.direct);
        wait_stale(s);
        wait_evidence(s, BY_BUS);
        wait_stale(other);
        ck_assert_uint_eq(service_count_connections(p.direct), 1);

        service_answer(p.direct, "Attest", evidence(DIRECTLY));
        attest(other);
        wait_evidence(other, DIRECTLY);
        ck_assert_uint_eq(service_count(p.on_bus, "OpenSession"), 1);
}
END_TEST

START_TEST(ft16_connections_go_back_to_a_direct_socket_that_comes_back) {
        AttServices *s[20];
        g_auto(Place) p = { 0 };
        AttEvent *event;

        place_init_with_both(&p);
        service_answer(p.direct, "Attest", NULL);
        for (guint i = 0; i < G_N_ELEMENTS(s); i++) {
                s[i] = services_new(&p);
                attest(s[i]);
        }
        service_wait(p.direct, "Attest", G_N_ELEMENTS(s));
        g_clear_pointer(&p.direct, service_stop);
        for (guint i = 0; i < G_N_ELEMENTS(s); i++) {
                wait_stale(s[i]);
                wait_evidence(s[i], BY_BUS);
        }
        /* As long as it is not there nobody waits for it. */
        move_clock(2);
        attest(s[0]);
        wait_evidence(s[0], BY_BUS);

        start_direct(&p);
        move_clock(100);
        for (guint i = 0; i < G_N_ELEMENTS(s); i++)
                attest(s[i]);
        for (guint i = 0; i < G_N_ELEMENTS(s); i++)
                wait_evidence(s[i], DIRECTLY);
        service_wait(p.on_bus, "Close", G_N_ELEMENTS(s));
        ck_assert_uint_eq(service_count(p.on_bus, "OpenSession"), G_N_ELEMENTS(s));
        ck_assert_uint_eq(service_count(p.direct, "OpenSession"), G_N_ELEMENTS(s));
        for (guint i = 0; i < G_N_ELEMENTS(s); i++) {
                event = s[i]->ops->next(s[i]); /* it is no loss */
                ck_assert_ptr_null(event);
                services_free(s[i]);
        }
}
END_TEST

/* _i: refused for good; refused now; by an object that another has; the link goes */
START_TEST(who_cannot_go_back_stays_on_the_bus) {
        g_autoptr(AttServices) s = NULL, other = NULL;
        g_autoptr(AttEvent) event = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        att_services_look_at(NULL);
        start_on_bus(&p);
        s = services_new(&p);
        attest(s);
        wait_evidence(s, BY_BUS);

        start_direct(&p);
        att_services_look_at(p.address);
        other = services_new(&p);
        attest(other);
        wait_evidence(other, DIRECTLY);
        if (_i == 0)
                service_refuse(p.direct, "OpenSession", "org.attestd.Error.NotAuthorized");
        else if (_i == 1)
                service_refuse(p.direct, "OpenSession", "org.attestd.Error.LimitReached");
        else if (_i == 2)
                service_answer(p.direct, "OpenSession", g_variant_new("(o)", service_session(p.direct)));
        else
                service_hold_sessions(p.direct);
        attest(s);
        service_wait(p.direct, "OpenSession", 2);
        if (_i == 3)
                service_hang_up(p.direct);
        wait_evidence(s, BY_BUS);
        event = s->ops->next(s);
        ck_assert_ptr_null(event);

        /* Who is refused for good does not ask again, and the others do. */
        service_refuse(p.direct, "OpenSession", NULL);
        service_answer(p.direct, "OpenSession", NULL);
        if (_i < 3) {
                attest(s);
                wait_evidence(s, _i == 0 ? BY_BUS : DIRECTLY);
        }
        ck_assert_uint_eq(service_count(p.on_bus, "OpenSession"), 1);
}
END_TEST

/* Connects it to the direct socket after it was given evidence on the bus. */
static AttServices *services_to_move(Place *p) {
        g_autoptr(AttServices) other = NULL;
        AttServices *s;

        att_services_look_at(NULL);
        start_on_bus(p);
        s = services_new(p);
        attest(s);
        wait_evidence(s, BY_BUS);

        start_direct(p);
        att_services_look_at(p->address);
        other = services_new(p);
        attest(other);
        wait_evidence(other, DIRECTLY);
        return s;
}

/* attestd tells a session nothing that was given no evidence. _i: it is refused; it is not there yet */
START_TEST(who_moves_hears_of_a_change_until_there_is_newer_evidence) {
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) event = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        s = services_to_move(&p);
        service_answer(p.direct, "Attest", NULL);
        if (_i == 0)
                service_refuse(p.direct, "Attest", "org.attestd.Error.LimitReached");
        attest(s);
        if (_i == 0)
                wait_bad(s, "LimitReached");
        service_wait(p.direct, "Attest", 2);
        service_tell_stale(p.on_bus, NULL, 9, "ima");
        wait_change(s, 9);
        ck_assert_uint_eq(service_count(p.on_bus, "Close"), 0);

        if (_i == 0) {
                service_refuse(p.direct, "Attest", NULL);
                attest(s);
                service_wait(p.direct, "Attest", 3);
        }
        service_release(p.direct, "Attest", evidence(DIRECTLY));
        wait_evidence(s, DIRECTLY);
        service_wait(p.on_bus, "Close", 1);
        ck_assert_uint_eq(service_count(p.direct, "OpenSession"), 2);
        ck_assert_uint_eq(service_count(p.direct, "Attest"), _i == 0 ? 3 : 2);
        event = s->ops->next(s);
        ck_assert_ptr_null(event);
}
END_TEST

/* _i: of the two sessions; the former, the new one, both: attestd goes, and its name on the bus is gone first */
START_TEST(ft16_who_loses_a_session_while_it_moves_is_told_once) {
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) event = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        s = services_to_move(&p);
        service_answer(p.direct, "Attest", NULL);
        attest(s);
        service_wait(p.direct, "Attest", 2);
        if (_i == 0) {
                g_clear_pointer(&p.on_bus, service_stop);
                wait_stale(s);
                service_release(p.direct, "Attest", evidence(DIRECTLY));
                wait_evidence(s, DIRECTLY);
        } else if (_i == 1) {
                service_hang_up(p.direct);
                wait_stale(s);
                wait_evidence(s, BY_BUS);
                service_wait(p.on_bus, "Close", 1);
        } else {
                g_clear_pointer(&p.on_bus, service_stop);
                wait_stale(s);
                g_clear_pointer(&p.direct, service_stop);
                start_on_bus(&p);
                wait_evidence(s, BY_BUS);
                g_clear_pointer(&p.on_bus, service_stop);
                wait_stale(s); /* of that */
        }
        event = s->ops->next(s);
        ck_assert_ptr_null(event);
}
END_TEST

START_TEST(who_ends_while_it_moves_closes_both_sessions) {
        AttServices *s;
        g_auto(Place) p = { 0 };

        place_init(&p);
        s = services_to_move(&p);
        service_wait(p.direct, "Close", 1);
        service_answer(p.direct, "Attest", NULL);
        attest(s);
        service_wait(p.direct, "Attest", 2);
        services_free(s);
        service_wait(p.direct, "Close", 2);
        service_wait(p.on_bus, "Close", 1);
}
END_TEST

/* Of a full bus, with no event that would have it looked at again. */
START_TEST(what_was_lost_while_it_waited_takes_the_way_that_is_open) {
        AttServices *held[64];
        g_autoptr(AttServices) s = NULL, other = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        att_services_look_at(NULL);
        start_on_bus(&p);
        s = services_new(&p);
        attest(s);
        wait_evidence(s, BY_BUS);
        service_answer(p.on_bus, "Attest", NULL);
        for (guint i = 0; i < G_N_ELEMENTS(held); i++) {
                held[i] = services_new(&p);
                if (i > 0)
                        attest(held[i]);
                else
                        held[i]->ops->get_log(held[i], "boot", 0);
        }
        service_wait(p.on_bus, "Attest", G_N_ELEMENTS(held));
        service_wait(p.on_bus, "GetLog", 1);
        attest(s);

        att_services_look_at(p.address);
        start_direct(&p);
        other = services_new(&p);
        attest(other);
        wait_evidence(other, DIRECTLY);
        service_leave_name(p.on_bus);
        wait_stale(s);
        service_break_contract(p.on_bus, "GetLog", g_variant_new("(s)", "none"));
        wait_evidence(s, DIRECTLY);
        for (guint i = 0; i < G_N_ELEMENTS(held); i++)
                services_free(held[i]);
}
END_TEST

/* There may be no bus at all, as in a container that was given the socket alone. */
START_TEST(ft16_a_direct_socket_that_comes_back_is_found) {
        g_autoptr(AttServices) s = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        attestd_endpoint_set_patience(p.endpoint, 20000);
        start_direct(&p);
        s = services_new(&p);
        attest(s);
        wait_evidence(s, DIRECTLY);
        bus_stop(&p.bus);
        g_clear_pointer(&p.direct, service_stop);
        wait_stale(s);
        attest(s);
        start_direct(&p);
        wait_evidence(s, DIRECTLY);
}
END_TEST

/* Nobody answers. */

#define LIMIT_S 30

static void wait_log(AttServices *s, GBytes *content) {
        g_autoptr(AttEvent) event = wait_event(s);

        ck_assert_int_eq(event->type, ATT_EVENT_LOG);
        ck_assert_msg(!event->error, "%s", event->error ? event->error->message : "");
        ck_assert(g_bytes_equal(event->bytes, content));
}

/* Not a word in all the time that a call has: it is dropped, with all that is on it. */
START_TEST(ft16_a_direct_socket_that_falls_silent_is_lost) {
        g_autoptr(GBytes) content = g_bytes_new_static("what is in it", 13);
        g_autoptr(AttServices) s = NULL, other = NULL;
        g_auto(Place) p = { 0 };

        place_init_with_both(&p);
        service_answer_with_memfd(p.on_bus, "GetLog", g_variant_new("(htt)", 0, 0, 3), content, true);
        attestd_endpoint_set_timeout(p.endpoint, LIMIT_S * 1000);
        move_clock(-3 * LIMIT_S);
        s = services_new(&p);
        other = services_new(&p);
        attest(s);
        wait_evidence(s, DIRECTLY);
        attest(other);
        wait_evidence(other, DIRECTLY);
        move_clock(-2 * LIMIT_S);
        s->ops->get_log(s, "boot", 0);
        service_wait(p.direct, "GetLog", 1);
        move_clock(0);
        wait_stale(s);
        wait_stale(other);
        wait_log(s, content);
}
END_TEST

/* Others are answered: it is the call alone that nobody waits for any more. */
START_TEST(one_call_without_an_answer_is_an_error) {
        g_autoptr(AttServices) s = NULL, other = NULL;
        g_autoptr(AttEvent) event = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        start_direct(&p);
        attestd_endpoint_set_timeout(p.endpoint, LIMIT_S * 1000);
        move_clock(-3 * LIMIT_S);
        s = services_new(&p);
        other = services_new(&p);
        attest(s);
        wait_evidence(s, DIRECTLY);
        s->ops->get_log(s, "boot", 0);
        service_wait(p.direct, "GetLog", 1);
        attest(other);
        wait_evidence(other, DIRECTLY);
        move_clock(0);
        event = wait_event(s);
        ck_assert_int_eq(event->type, ATT_EVENT_LOG);
        ck_assert(g_error_matches(event->error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE));
        ck_assert_ptr_nonnull(strstr(event->error->message, "no answer in time"));

        /* Too late. */
        service_release(p.direct, "GetLog", g_variant_new("(htt)", 0, 0, 3));
        attest(s);
        wait_evidence(s, DIRECTLY);
        ck_assert_uint_eq(service_count(p.direct, "OpenSession"), 2);
}
END_TEST

START_TEST(a_session_that_comes_too_late_is_closed) {
        g_autoptr(AttServices) s = NULL, other = NULL;
        g_auto(Place) p = { 0 };

        place_init(&p);
        start_direct(&p);
        attestd_endpoint_set_timeout(p.endpoint, LIMIT_S * 1000);
        move_clock(-3 * LIMIT_S);
        other = services_new(&p);
        attest(other);
        wait_evidence(other, DIRECTLY);
        service_hold_sessions(p.direct);
        s = services_new(&p);
        attest(s);
        service_wait(p.direct, "OpenSession", 2);
        attest(other);
        wait_evidence(other, DIRECTLY);
        move_clock(0);
        wait_bad(s, "no answer in time");
        service_register_session(p.direct, 7);
        service_release(p.direct, "OpenSession", g_variant_new("(o)", "/org/attestd/Attester1/session/7"));
        ck_assert_str_eq(service_wait(p.direct, "Close", 1)->path, "/org/attestd/Attester1/session/7");
}
END_TEST

/* Two sessions are never one, whatever attestd says. */
START_TEST(a_session_that_another_has_is_an_error) {
        g_autoptr(AttServices) s = NULL, other = NULL;
        g_auto(Place) p = { 0 };

        s = attested_directly(&p);
        service_answer(p.direct, "OpenSession", g_variant_new("(o)", service_session(p.direct)));
        other = services_new(&p);
        attest(other);
        wait_bad(other, "another connection's");
        attest(s);
        wait_evidence(s, DIRECTLY);
}
END_TEST

int main(void) {
        Suite *s = suite_create("direct");
        TCase *t = tcase_create("ways");

        tcase_set_timeout(t, 60);
        tcase_add_test(t, the_direct_socket_comes_first);
        tcase_add_test(t, hears_stale_directly);
        tcase_add_loop_test(t, without_it_there_is_the_bus, 0, 4);
        tcase_add_test(t, what_is_refused_directly_is_asked_over_the_bus);
        tcase_add_test(t, logs_that_are_refused_directly_are_asked_over_the_bus);
        suite_add_tcase(s, t);

        t = tcase_create("pieces");
        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, what_answers_have_in_common_comes_once, 0, 2);
        tcase_add_loop_test(t, what_we_do_not_have_is_asked_for_in_one_piece, 0, 2);
        tcase_add_test(t, asking_for_one_piece_is_no_loss);
        tcase_add_test(t, the_former_session_tells_of_what_it_gave_last);
        tcase_add_loop_test(t, the_former_session_makes_room_for_that_of_one_piece, 0, 2);
        tcase_add_test(t, who_gets_no_other_session_for_one_piece_is_told_of_the_loss);
        tcase_add_test(t, ft16_shared_parts_end_with_their_connection);
        tcase_add_test(t, an_answer_that_nobody_waits_for_brings_its_part);
        tcase_add_loop_test(t, a_part_that_does_not_fit_is_an_error, 0, 3);
        suite_add_tcase(s, t);

        t = tcase_create("loss");
        tcase_set_timeout(t, 60);
        tcase_add_test(t, ft16_loss_of_the_direct_socket_is_stale);
        tcase_add_test(t, ft16_calls_under_way_are_made_again_over_the_bus);
        tcase_add_loop_test(t, ft16_a_call_is_made_again_once, 0, 2);
        tcase_add_test(t, ft16_a_link_that_lasted_is_made_again_and_calls_under_way_take_the_bus);
        tcase_add_test(t, ft16_connections_go_back_to_a_direct_socket_that_comes_back);
        tcase_add_loop_test(t, who_cannot_go_back_stays_on_the_bus, 0, 4);
        tcase_add_loop_test(t, who_moves_hears_of_a_change_until_there_is_newer_evidence, 0, 2);
        tcase_add_loop_test(t, ft16_who_loses_a_session_while_it_moves_is_told_once, 0, 3);
        tcase_add_test(t, who_ends_while_it_moves_closes_both_sessions);
        tcase_add_test(t, what_was_lost_while_it_waited_takes_the_way_that_is_open);
        tcase_add_test(t, ft16_a_direct_socket_that_comes_back_is_found);
        tcase_add_test(t, ft16_a_direct_socket_that_falls_silent_is_lost);
        tcase_add_test(t, one_call_without_an_answer_is_an_error);
        tcase_add_test(t, a_session_that_comes_too_late_is_closed);
        tcase_add_test(t, a_session_that_another_has_is_an_error);
        suite_add_tcase(s, t);
        return run_suite(s);
}
