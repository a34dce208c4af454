/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client of both services, on a bus: what it sends, and what it makes of
 * answers, errors, and services that come and go. */
#include "bus.h"
#include "lib/services.h"
#include "pki.h"
#include "run.h"
#include "util/io.h"
#include "util/memfd.h"

#include <gio/gunixsocketaddress.h>
#include <malloc.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTESTER "org.attestd.Attester1"
#define VERIFIER "org.attestd.Verifier1"
#define BOOT "000102030405060708090a0b0c0d0e0f"
#define INSTANCE "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

static const uint8_t exported[ATT_EXPORTED_SIZE] = { 0xe0, 1 };

static AttServices *services_new(AttestdEndpoint *endpoint, AttHash hash, GBytes *peer_key) {
        const AttTransport transport = { .role = ATT_ROLE_SERVER, .hash = hash, .peer_key = peer_key };
        g_autoptr(GError) error = NULL;
        AttServices *s = att_services_new(endpoint, &transport, &error);

        ck_assert_msg(s != NULL, "%s", error ? error->message : "");
        return s;
}

static void services_free(AttServices *s) {
        s->ops->free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttServices, services_free)

/* A bus, what stands for attestd or the verifier there, and who asks it. */
typedef struct World {
        Bus bus;
        Service *service;
        AttestdEndpoint *endpoint;
        AttServices *services;
} World;

static void world_begin(World *w, const char *name) {
        bus_start(&w->bus);
        w->service = service_start(name);
        w->endpoint = attestd_endpoint_new();
        w->services = services_new(w->endpoint, ATT_HASH_SHA256, NULL);
}

static void world_end(World *w) {
        services_free(w->services);
        service_stop(w->service);
        attestd_endpoint_unref(w->endpoint);
        bus_stop(&w->bus);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(World, world_end)

static AttEvent *wait_good(AttServices *s, AttEventType type) {
        AttEvent *event = wait_event(s);

        ck_assert_int_eq(event->type, type);
        ck_assert_msg(!event->error, "%s", event->error ? event->error->message : "");
        return event;
}

static void wait_bad(AttServices *s, AttEventType type, const char *part) {
        g_autoptr(AttEvent) event = wait_event(s);

        ck_assert_int_eq(event->type, type);
        ck_assert(g_error_matches(event->error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE));
        ck_assert_msg(strstr(event->error->message, part), "%s", event->error->message);
}

static void is_bytes(GVariant *v, GBytes *expected) {
        g_autoptr(GBytes) found = g_variant_get_data_as_bytes(v);

        ck_assert(g_bytes_equal(found, expected));
        g_variant_unref(v);
}

static GVariant *bytestring(const char *text) {
        return g_variant_new_from_data(G_VARIANT_TYPE_BYTESTRING, text, strlen(text), TRUE, NULL, NULL);
}

static GVariant *evidence(guint64 generation) {
        GVariantBuilder info;

        g_variant_builder_init(&info, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&info, "{sv}", "boot_id", g_variant_new_string(BOOT));
        g_variant_builder_add(&info, "{sv}", "instance_id", g_variant_new_string(INSTANCE));
        g_variant_builder_add(&info, "{sv}", "generation", g_variant_new_uint64(generation));
        return g_variant_new("(@aya{sv})", bytestring("evidence"), &info);
}

static void attest(AttServices *s) {
        g_autoptr(GBytes) context = g_bytes_new_static("context", 7), key = g_bytes_new_static("key", 3);

        s->ops->attest(s, exported, context, key, "tag:profile", false);
}

/* Opens sessions, so that there is something to lose. */
static void attest_once(AttServices *s, Service *attester) {
        g_autoptr(AttEvent) event = NULL;

        service_answer(attester, "Attest", evidence(7));
        attest(s);
        event = wait_good(s, ATT_EVENT_EVIDENCE);
}

START_TEST(attests) {
        g_autoptr(GBytes) context = g_bytes_new_static("context", 7), key = g_bytes_new_static("key", 3);
        g_autoptr(GBytes) value = g_bytes_new(exported, sizeof exported);
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(GVariant) parameters = NULL, options = NULL;
        g_autoptr(Service) attester = NULL;
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) event = NULL;
        const char *role, *hash, *profile;
        g_auto(Bus) bus = { 0 };
        gboolean batch = FALSE;
        guint32 timeout;
        const Seen *seen;

        bus_start(&bus);
        attester = service_start(ATTESTER);
        service_answer(attester, "Attest", evidence(7));
        attestd_endpoint_set_timeout(endpoint, 12345);
        s = services_new(endpoint, ATT_HASH_SHA384, NULL);
        s->ops->attest(s, exported, context, key, "tag:profile", _i != 0);
        event = wait_good(s, ATT_EVENT_EVIDENCE);
        ck_assert_mem_eq(g_bytes_get_data(event->bytes, NULL), "evidence", 8);
        ck_assert(event->state.known && event->state.generation == 7);
        ck_assert_uint_eq(event->state.boot_id[15], 0x0f);
        ck_assert_uint_eq(event->state.instance_id[0], 0xf0);

        seen = service_wait(attester, "OpenSession", 1);
        parameters = g_variant_get_child_value(seen->arguments, 0);
        ck_assert_uint_eq(g_variant_n_children(parameters), 2);
        ck_assert(g_variant_lookup(parameters, "role", "&s", &role) && g_str_equal(role, "server"));
        ck_assert(g_variant_lookup(parameters, "hash", "&s", &hash) && g_str_equal(hash, "sha384"));
        seen = service_wait(attester, "Attest", 1);
        is_bytes(g_variant_get_child_value(seen->arguments, 0), value);
        is_bytes(g_variant_get_child_value(seen->arguments, 1), context);
        is_bytes(g_variant_get_child_value(seen->arguments, 2), key);
        options = g_variant_get_child_value(seen->arguments, 3);
        ck_assert(g_variant_lookup(options, "profile", "&s", &profile) && g_str_equal(profile, "tag:profile"));
        ck_assert(g_variant_lookup(options, "timeout_ms", "u", &timeout) && timeout == 12345);
        ck_assert_int_eq(g_variant_lookup(options, "batch", "b", &batch), _i != 0);
}
END_TEST

/* How a relying party says what it wants; _i: which way. */
START_TEST(opens_a_verifier_session) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(GPtrArray) anchors = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        g_autoptr(GBytes) peer_key = g_bytes_new_static("peer", 4);
        g_autoptr(EVP_PKEY) key = pki_key("P-256");
        const PkiSpec spec = { .cn = "CA", .extensions = { PKI_CA } };
        g_autoptr(X509) ca = pki_issue(&spec, key, NULL, NULL);
        g_autoptr(GVariant) parameters = NULL, list = NULL;
        g_autoptr(Service) verifier = NULL;
        g_autoptr(AttServices) s = NULL;
        g_auto(Bus) bus = { 0 };
        const char *role, *policy = NULL, *text = NULL, *name = NULL;

        bus_start(&bus);
        verifier = service_start(VERIFIER);
        g_ptr_array_add(anchors, pki_der(ca));
        if (_i == 0)
                attestd_endpoint_ask(endpoint, NULL);
        else if (_i == 1)
                attestd_endpoint_ask(endpoint, "payroll");
        else
                attestd_endpoint_ask_with_policy(endpoint, "version 1\n");
        if (_i == 1)
                ck_assert(attestd_endpoint_name_peer(endpoint, "client.test", anchors, NULL));
        if (_i == 2)
                ck_assert(attestd_endpoint_give_key(endpoint, ca, NULL, key, NULL));
        s = services_new(endpoint, ATT_HASH_SHA256, _i == 2 ? peer_key : NULL);
        s->ops->create_request(s, "tag:profile", false);
        parameters = g_variant_get_child_value(service_wait(verifier, "OpenSession", 1)->arguments, 0);

        ck_assert(g_variant_lookup(parameters, "role", "&s", &role) && g_str_equal(role, "client")); /* the peer's */
        (void) g_variant_lookup(parameters, "policy", "&s", &policy);
        ck_assert(g_strcmp0(policy, _i == 1 ? "payroll" : NULL) == 0);
        (void) g_variant_lookup(parameters, "policy_text", "&s", &text);
        ck_assert(g_strcmp0(text, _i == 2 ? "version 1\n" : NULL) == 0);
        (void) g_variant_lookup(parameters, "peer_name", "&s", &name);
        ck_assert(g_strcmp0(name, _i == 1 ? "client.test" : NULL) == 0);
        list = g_variant_lookup_value(parameters, "trust_anchors", G_VARIANT_TYPE("aay"));
        ck_assert_int_eq(list != NULL, _i == 1);
        if (list)
                is_bytes(g_variant_get_child_value(list, 0), anchors->pdata[0]);
        if (_i == 2) {
                g_autoptr(GBytes) spki = pki_spki(key);

                is_bytes(g_variant_lookup_value(parameters, "handshake_key", G_VARIANT_TYPE_BYTESTRING), peer_key);
                is_bytes(g_variant_lookup_value(parameters, "local_key", G_VARIANT_TYPE_BYTESTRING), spki);
        }
        ck_assert_uint_eq(g_variant_n_children(parameters), _i == 0 ? 2 : 5);
}
END_TEST

START_TEST(asks_and_validates) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(GBytes) authenticator = g_bytes_new_static("authenticator", 13);
        const uint8_t handshake_context[48] = { 1 }, finished_key[48] = { 2 };
        g_autoptr(GBytes) hc = g_bytes_new(handshake_context, 48), fk = g_bytes_new(finished_key, 48);
        g_autoptr(AttEvent) request = NULL, verdict = NULL;
        g_autoptr(GVariant) options = NULL, keys = NULL;
        g_autoptr(Service) verifier = NULL;
        g_autoptr(AttServices) s = NULL;
        g_auto(Bus) bus = { 0 };
        gboolean batch = FALSE;
        guint16 code_point;

        bus_start(&bus);
        verifier = service_start(VERIFIER);
        attestd_endpoint_ask(endpoint, NULL);
        attestd_endpoint_set_code_point(endpoint, 0xff17);
        s = services_new(endpoint, ATT_HASH_SHA384, NULL);
        service_answer(verifier, "CreateRequest",
                       g_variant_new("(@ay@ay)", bytestring("request"), bytestring("context")));
        s->ops->create_request(s, "tag:profile", _i == 1);
        request = wait_good(s, ATT_EVENT_REQUEST);
        ck_assert_mem_eq(g_bytes_get_data(request->bytes, NULL), "request", 7);
        ck_assert_mem_eq(g_bytes_get_data(request->context, NULL), "context", 7);
        options = g_variant_get_child_value(service_wait(verifier, "CreateRequest", 1)->arguments, 0);
        ck_assert(g_variant_lookup(options, "cmw_attestation", "q", &code_point) && code_point == 0xff17);
        ck_assert_int_eq(g_variant_lookup(options, "batch", "b", &batch) && batch, _i == 1);

        service_answer(verifier, "Validate", g_variant_new_parsed(
                "(%b, {'reason': <'evidence-policy: no'>, 'json': <'{}'>, 'boot_id': <%s>, 'instance_id': <%s>,"
                " 'generation': <uint64 9>})", _i == 0, BOOT, _i == 2 ? "not an id" : INSTANCE));
        s->ops->validate(s, authenticator, exported, handshake_context, finished_key);
        verdict = wait_good(s, ATT_EVENT_VERDICT);
        ck_assert_int_eq(verdict->accepted, _i == 0);
        ck_assert_str_eq(verdict->reason, "evidence-policy: no");
        ck_assert_str_eq(verdict->json, "{}");
        ck_assert_int_eq(verdict->state.known, _i != 2);
        ck_assert_uint_eq(verdict->state.generation, _i != 2 ? 9 : 0);
        keys = g_variant_get_child_value(service_wait(verifier, "Validate", 1)->arguments, 2);
        is_bytes(g_variant_lookup_value(keys, "handshake_context", G_VARIANT_TYPE_BYTESTRING), hc);
        is_bytes(g_variant_lookup_value(keys, "finished_key", G_VARIANT_TYPE_BYTESTRING), fk);
}
END_TEST

/* Logs. */

/* A session of the verifier, opened by its first call. */
static void ask_once(AttServices *s, Service *verifier) {
        g_autoptr(AttEvent) event = NULL;

        service_answer(verifier, "CreateRequest", g_variant_new("(@ay@ay)", bytestring("r"), bytestring("c")));
        s->ops->create_request(s, "p", false);
        event = wait_good(s, ATT_EVENT_REQUEST);
}

static void ck_logs(AttServices *s, const char *logs, guint64 next) {
        g_autoptr(AttEvent) event = NULL;
        g_autofree char *found = NULL;

        s->ops->find_logs(s);
        event = wait_good(s, ATT_EVENT_LOGS);
        found = event->logs ? g_strjoinv(" ", event->logs) : g_strdup("");
        ck_assert_str_eq(found, logs);
        ck_assert_uint_eq(event->first, next);
}

static void set_logs(Service *verifier, const char *logs, guint64 next) {
        g_auto(GStrv) names = g_strsplit(logs, " ", 0);

        service_set_property(verifier, "Logs", g_variant_new_strv((const char *const *) names, -1));
        service_set_property(verifier, "LogNext", g_variant_new_uint64(next));
}

/* What the verifier needs, where it has got to, and what it is given. */
START_TEST(passes_logs_to_the_verifier) {
        g_autoptr(GBytes) entries = g_bytes_new_static("entries", 7), boot = g_bytes_new_static("boot log", 8);
        g_autoptr(AttEvent) added = NULL, added_boot = NULL;
        g_autoptr(GVariant) options = NULL;
        g_auto(World) w = { 0 };
        const char *log, *bank;
        const Seen *seen;
        guint64 first;
        gint32 handle;

        world_begin(&w, VERIFIER);
        set_logs(w.service, "ima boot", 42);
        ask_once(w.services, w.service);
        ck_logs(w.services, "ima boot", 42);

        service_answer(w.service, "AddLog", g_variant_new("()"));
        w.services->ops->add_log(w.services, "ima", entries, "sha256", 42);
        added = wait_good(w.services, ATT_EVENT_ADDED);
        ck_assert_ptr_null(added->reason);
        seen = service_wait(w.service, "AddLog", 1);
        ck_assert_str_eq(seen->path, service_session(w.service));
        g_variant_get(seen->arguments, "(&sht@a{sv})", &log, &handle, &first, &options);
        ck_assert_str_eq(log, "ima");
        ck_assert_uint_eq(first, 42);
        ck_assert(g_variant_lookup(options, "bank", "&s", &bank) && g_str_equal(bank, "sha256"));
        ck_assert(g_bytes_equal(seen->memfd, entries));

        /* It asks anew each time, and has the boot log once. */
        set_logs(w.service, "ima boot", 49);
        ck_logs(w.services, "ima boot", 49);
        w.services->ops->add_log(w.services, "boot", boot, "", 0);
        added_boot = wait_good(w.services, ATT_EVENT_ADDED);
        ck_assert(g_bytes_equal(service_wait(w.service, "AddLog", 2)->memfd, boot));
        ck_logs(w.services, "ima", 49);
}
END_TEST

/* Most policies need none, and that is known after the first look. */
START_TEST(a_verifier_that_needs_no_logs_is_asked_once) {
        g_auto(World) w = { 0 };

        world_begin(&w, VERIFIER);
        set_logs(w.service, "", 0);
        service_set_property(w.service, "Logs", g_variant_new_strv(NULL, 0));
        ask_once(w.services, w.service);
        ck_logs(w.services, "", 0);
        set_logs(w.service, "ima", 1); /* it would be told, if it asked */
        ck_logs(w.services, "", 0);
}
END_TEST

/* A log that is refused is the peer's matter, and all else is ours. _i: which error */
START_TEST(tells_a_bad_log_from_a_bad_service) {
        static const struct {
                const char *error;
                bool of_log;
        } cases[] = {
                { "org.attestd.Error.BadData", true },
                { "org.attestd.Error.InvalidArgument", true },
                { "org.attestd.Error.TooLarge", true },
                { "org.attestd.Error.LimitReached", true },
                { "org.attestd.Error.Failed", false },
                { "org.attestd.Error.NoSuchSession", false },
        };
        g_autoptr(GBytes) entries = g_bytes_new_static("entries", 7);
        g_auto(World) w = { 0 };

        world_begin(&w, VERIFIER);
        ask_once(w.services, w.service);
        service_refuse(w.service, "AddLog", cases[_i].error);
        w.services->ops->add_log(w.services, "ima", entries, "sha1", 0);
        if (cases[_i].of_log) {
                g_autoptr(AttEvent) event = wait_good(w.services, ATT_EVENT_ADDED);

                ck_assert_str_eq(event->reason, "as the test wants it");
        } else {
                wait_bad(w.services, ATT_EVENT_ADDED, cases[_i].error);
        }
        /* Without a session there is nothing that it could be added to. */
        if (!cases[_i].of_log && strstr(cases[_i].error, "NoSuchSession")) {
                w.services->ops->add_log(w.services, "ima", entries, "sha1", 0);
                wait_bad(w.services, ATT_EVENT_ADDED, "was lost");
                w.services->ops->find_logs(w.services);
                wait_bad(w.services, ATT_EVENT_LOGS, "was lost");
        }
}
END_TEST

/* _i: which log; whose digests "ima" has attestd says beside it. */
START_TEST(gets_logs_of_attestd) {
        static const char *const logs[] = { "ima", "boot", "register" }, *const banks[] = { "sha256", "", "sha384" };
        g_autoptr(GBytes) content = g_bytes_new_static("what is in it", 13);
        g_autoptr(AttEvent) event = NULL;
        g_auto(World) w = { 0 };
        const Seen *seen;
        const char *log;
        guint64 from;

        world_begin(&w, ATTESTER);
        service_set_property(w.service, "ImaListed", g_variant_new_string("sha256"));
        service_answer_with_memfd(w.service, "GetLog", g_variant_new("(htt)", 0, 7, 3), content, true);
        attest_once(w.services, w.service);
        w.services->ops->get_log(w.services, logs[_i], 7);
        event = wait_good(w.services, ATT_EVENT_LOG);
        ck_assert(g_bytes_equal(event->bytes, content));
        ck_assert_uint_eq(event->first, 7);
        ck_assert_str_eq(event->bank, banks[_i]);
        seen = service_wait(w.service, "GetLog", 1);
        ck_assert_str_eq(seen->path, "/org/attestd/Attester1");
        g_variant_get(seen->arguments, "(&st)", &log, &from);
        ck_assert_str_eq(log, logs[_i]);
        ck_assert_uint_eq(from, 7);
}
END_TEST

/* A peer may take its time over it, and attestd lends few. */
START_TEST(gives_a_log_back_before_it_is_read) {
        g_autoptr(GBytes) content = g_bytes_new_static("what is in it", 13);
        att_autofd int fd = att_memfd_new("test", content, NULL), lent = att_memfd_lend(fd, NULL);
        g_autoptr(AttEvent) event = NULL;
        g_auto(World) w = { 0 };

        world_begin(&w, ATTESTER);
        service_answer_with_fd(w.service, "GetLog", g_variant_new("(htt)", 0, 0, 3), lent);
        attest_once(w.services, w.service);
        ck_assert(att_memfd_is_lent(fd));
        w.services->ops->get_log(w.services, "boot", 0);
        event = wait_good(w.services, ATT_EVENT_LOG);
        ck_assert(!att_memfd_is_lent(fd));
        ck_assert(g_bytes_equal(event->bytes, content));
}
END_TEST

/* _i: why it cannot be had */
START_TEST(a_log_that_cannot_be_had_is_an_error) {
        g_autoptr(GBytes) content = g_bytes_new_static("what is in it", 13);
        g_auto(World) w = { 0 };

        world_begin(&w, ATTESTER);
        attest_once(w.services, w.service);
        if (_i == 0)
                service_refuse(w.service, "GetLog", "org.attestd.Error.NotAuthorized");
        else if (_i == 1)
                service_answer_with_memfd(w.service, "GetLog", g_variant_new("(htt)", 0, 0, 3), content, false);
        else if (_i == 2)
                service_answer_with_memfd(w.service, "GetLog", g_variant_new("(htt)", 5, 0, 3), content, true);
        else if (_i == 3)
                service_answer(w.service, "GetLog", g_variant_new("(htt)", 0, 0, 3));
        else /* no property ImaListed */
                service_answer_with_memfd(w.service, "GetLog", g_variant_new("(htt)", 0, 0, 3), content, true);
        w.services->ops->get_log(w.services, "ima", 0);
        wait_bad(w.services, ATT_EVENT_LOG, _i == 0 ? "org.attestd.Error.NotAuthorized" : "attestd: ");
        attest_once(w.services, w.service);
}
END_TEST

/* attestd is started again while the peer reads the log, which is the kernel's: it goes on. */
START_TEST(ft16_a_log_is_read_on_after_a_restart) {
        g_autoptr(GBytes) content = g_bytes_new_static("what is in it", 13);
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(AttEvent) stale = NULL, event = NULL;
        g_autoptr(Service) attester = NULL;
        g_autoptr(AttServices) s = NULL;
        g_auto(Bus) bus = { 0 };

        bus_start(&bus);
        attester = service_start(ATTESTER);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest_once(s, attester);
        g_clear_pointer(&attester, service_stop);
        stale = wait_good(s, ATT_EVENT_STALE);
        s->ops->get_log(s, "boot", 0);
        attester = service_start(ATTESTER);
        service_answer_with_memfd(attester, "GetLog", g_variant_new("(htt)", 0, 0, 13), content, true);
        service_release(attester, "GetLog", g_variant_new("(htt)", 0, 0, 13));
        event = wait_good(s, ATT_EVENT_LOG);
        ck_assert(g_bytes_equal(event->bytes, content));
}
END_TEST

START_TEST(names_the_error_of_a_service) {
        g_auto(World) w = { 0 };

        world_begin(&w, ATTESTER);
        service_refuse(w.service, _i == 0 ? "OpenSession" : "Attest", "org.attestd.Error.NotAuthorized");
        attest(w.services);
        wait_bad(w.services, ATT_EVENT_EVIDENCE, "attestd: org.attestd.Error.NotAuthorized: as the test wants it");
        /* Only this call has failed. */
        service_refuse(w.service, _i == 0 ? "OpenSession" : "Attest", NULL);
        attest_once(w.services, w.service);
}
END_TEST

START_TEST(a_service_that_is_not_there_is_an_error_until_it_is) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(Service) attester = NULL;
        g_autoptr(AttServices) s = NULL;
        g_auto(Bus) bus = { 0 };

        bus_start(&bus);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest(s);
        wait_bad(s, ATT_EVENT_EVIDENCE, "ServiceUnknown");
        attester = service_start(ATTESTER);
        attest_once(s, attester);
}
END_TEST

START_TEST(no_bus_is_an_error_until_there_is_one) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(Service) attester = NULL;
        g_autoptr(AttServices) s = NULL;
        g_auto(Bus) bus = { 0 };

        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", _i == 0 ? "unix:path=/nonexistent" : "nonsense", TRUE);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest(s);
        wait_bad(s, ATT_EVENT_EVIDENCE, "attestd: ");
        bus_start(&bus);
        attester = service_start(ATTESTER);
        attest_once(s, attester);
}
END_TEST

START_TEST(an_answer_of_another_type_is_an_error) {
        g_auto(World) w = { 0 };

        world_begin(&w, ATTESTER);
        attest(w.services);
        service_wait(w.service, "Attest", 1);
        service_break_contract(w.service, "Attest", g_variant_new("(s)", "evidence"));
        wait_bad(w.services, ATT_EVENT_EVIDENCE, "another type");
}
END_TEST

/* Stale. */

START_TEST(hears_stale_from_its_session_alone) {
        g_autoptr(AttEvent) event = NULL;
        g_auto(World) w = { 0 };

        world_begin(&w, ATTESTER);
        attest_once(w.services, w.service);
        stranger_tells_stale(w.service, 666);
        service_tell_stale(w.service, "/org/attestd/Attester1/session/99", 667, "other");
        service_tell_stale(w.service, NULL, 8, "ima");
        event = wait_good(w.services, ATT_EVENT_STALE);
        ck_assert_uint_eq(event->state.generation, 8);
        ck_assert(event->state.known);
        ck_assert_uint_eq(event->state.instance_id[0], 0xf0);
        ck_assert_uint_eq(g_strv_length(event->reasons), 1); /* the other cannot stand in a frame */
        ck_assert_str_eq(event->reasons[0], "ima");
}
END_TEST

/* FT-16: attestd goes and comes back. */
START_TEST(ft16_a_service_that_restarts_gets_a_new_session) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) event = NULL;
        Service *attester;
        g_auto(Bus) bus = { 0 };

        bus_start(&bus);
        attester = service_start(ATTESTER);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest_once(s, attester);
        service_stop(attester);
        event = wait_good(s, ATT_EVENT_STALE);
        ck_assert(!event->state.known);
        ck_assert_str_eq(event->reasons[0], "service-lost");

        attester = service_start(ATTESTER);
        attest_once(s, attester);
        ck_assert_uint_eq(service_count(attester, "OpenSession"), 1);
        service_stop(attester);
}
END_TEST

/* … in the middle of a call: it is made again, once. */
START_TEST(ft16_a_call_that_was_cut_off_is_made_again) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) stale = NULL, event = NULL;
        Service *first, *second;
        g_auto(Bus) bus = { 0 };

        bus_start(&bus);
        first = service_start(ATTESTER);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest(s);
        service_wait(first, "Attest", 1);
        second = service_start(ATTESTER); /* waits for the name */
        service_answer(second, "Attest", evidence(1));
        service_stop(first);
        stale = wait_good(s, ATT_EVENT_STALE);
        event = wait_good(s, ATT_EVENT_EVIDENCE);
        ck_assert_uint_eq(event->state.generation, 1);
        service_stop(second);
}
END_TEST

START_TEST(a_session_that_is_gone_is_opened_again_once) {
        g_autoptr(AttEvent) first = NULL, second = NULL;
        g_auto(World) w = { 0 };

        world_begin(&w, ATTESTER);
        service_refuse(w.service, "Attest", "org.attestd.Error.NoSuchSession");
        attest(w.services);
        first = wait_good(w.services, ATT_EVENT_STALE);
        second = wait_good(w.services, ATT_EVENT_STALE);
        wait_bad(w.services, ATT_EVENT_EVIDENCE, "NoSuchSession");
        ck_assert_uint_eq(service_count(w.service, "OpenSession"), 2);
}
END_TEST

START_TEST(a_verifier_that_restarts_learns_the_contexts_again) {
        g_autoptr(GBytes) one = g_bytes_new_static("one", 3), two = g_bytes_new_static("two", 3);
        g_autoptr(GBytes) authenticator = g_bytes_new_static("a", 1);
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        const uint8_t key[32] = { 1 };
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) event = NULL, again = NULL;
        Service *verifier;
        g_auto(Bus) bus = { 0 };
        GVariant *request = g_variant_new("(@ay@ay)", bytestring("r"), bytestring("c"));

        g_variant_ref_sink(request);
        bus_start(&bus);
        verifier = service_start(VERIFIER);
        service_answer(verifier, "CreateRequest", request);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        s->ops->record_context(s, one); /* before there is a session */
        s->ops->create_request(s, "p", false);
        event = wait_good(s, ATT_EVENT_REQUEST);
        is_bytes(g_variant_get_child_value(service_wait(verifier, "RecordContext", 1)->arguments, 0), one);
        s->ops->record_context(s, two);
        is_bytes(g_variant_get_child_value(service_wait(verifier, "RecordContext", 2)->arguments, 0), two);
        service_stop(verifier);

        verifier = service_start(VERIFIER);
        service_answer(verifier, "CreateRequest", request);
        /* What the former had been asked is lost, and said to be. */
        s->ops->validate(s, authenticator, exported, key, key);
        wait_bad(s, ATT_EVENT_VERDICT, "attestd-verifier: ");
        s->ops->create_request(s, "p", false);
        again = wait_good(s, ATT_EVENT_REQUEST);
        is_bytes(g_variant_get_child_value(service_wait(verifier, "RecordContext", 2)->arguments, 0), two);
        service_stop(verifier);
        g_variant_unref(request);
}
END_TEST

/* So many more contexts, and what they take of memory. */
static size_t record(AttServices *s, guint first, guint n) {
        size_t before = mallinfo2().uordblks, after;

        for (guint i = first; i < first + n; i++) {
                uint8_t bytes[32] = { (uint8_t) i, (uint8_t) (i >> 8) };
                g_autoptr(GBytes) context = g_bytes_new(bytes, sizeof bytes);

                s->ops->record_context(s, context);
        }
        s->ops->create_request(s, "p", false); /* after them */
        wait_bad(s, ATT_EVENT_REQUEST, "attestd-verifier: ");
        after = mallinfo2().uordblks;
        return after > before ? after - before : 0;
}

/* A renewal a minute for days. */
START_TEST(contexts_take_little_more_than_their_bytes) {
        enum { N = 4000 };
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) event = NULL;
        Service *verifier;
        g_auto(Bus) bus = { 0 };

        bus_start(&bus);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        (void) record(s, 0, N); /* and what is made once */
        ck_assert_uint_lt(record(s, N, N), N * 80);

        verifier = service_start(VERIFIER);
        service_answer(verifier, "CreateRequest", g_variant_new("(@ay@ay)", bytestring("r"), bytestring("c")));
        s->ops->create_request(s, "p", false);
        event = wait_good(s, ATT_EVENT_REQUEST);
        (void) service_wait(verifier, "RecordContext", 2 * N);
        service_stop(verifier);
}
END_TEST

START_TEST(a_context_that_cannot_be_recorded_is_told) {
        g_autoptr(GBytes) context = g_bytes_new_static("context", 7);
        g_auto(World) w = { 0 };

        world_begin(&w, VERIFIER);
        service_refuse(w.service, "RecordContext", "org.attestd.Error.ContextUsed");
        w.services->ops->record_context(w.services, context);
        w.services->ops->create_request(w.services, "p", false);
        wait_bad(w.services, ATT_EVENT_FAILED, "ContextUsed");
}
END_TEST

START_TEST(loss_of_the_bus_is_stale_and_another_is_used) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) event = NULL;
        Service *attester;
        Bus bus = { 0 };

        bus_start(&bus);
        attester = service_start(ATTESTER);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest_once(s, attester);
        bus_stop(&bus);
        event = wait_good(s, ATT_EVENT_STALE);
        service_stop(attester);

        bus_start(&bus);
        attester = service_start(ATTESTER);
        attest_once(s, attester);
        service_stop(attester);
        bus_stop(&bus);
}
END_TEST

#include <pthread.h>
static void wait_stale(AttServices *s) {
        g_autoptr(AttEvent) event = wait_good(s, ATT_EVENT_STALE);

        ck_assert(!event->state.known);
}

/* Many who wait for their turn when it goes: what each of them takes on the stack
 * must not add up. */
START_TEST(ft16_a_crowd_survives_a_service_that_restarts) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(Service) verifier = NULL;
        g_autoptr(AttEvent) request = NULL;
        AttServices *s[900];
        pthread_attr_t stack;
        g_auto(Bus) bus = { 0 };
        Service *attester;

        ck_assert_int_eq(pthread_attr_init(&stack), 0);
        ck_assert_int_eq(pthread_attr_setstacksize(&stack, 128 * 1024), 0);
        ck_assert_int_eq(pthread_setattr_default_np(&stack), 0);
        (void) pthread_attr_destroy(&stack);

        bus_start(&bus);
        attester = service_start(ATTESTER);
        verifier = service_start(VERIFIER);
        for (size_t i = 0; i < G_N_ELEMENTS(s); i++) {
                s[i] = services_new(endpoint, ATT_HASH_SHA256, NULL);
                attest_once(s[i], attester);
        }
        service_answer(attester, "Attest", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(s); i++)
                attest(s[i]);
        service_wait(attester, "Attest", G_N_ELEMENTS(s) + 64);
        /* By its turn all of the former wait. */
        service_answer(verifier, "CreateRequest", g_variant_new("(@ay@ay)", bytestring("r"), bytestring("c")));
        s[0]->ops->create_request(s[0], "p", false);
        request = wait_good(s[0], ATT_EVENT_REQUEST);

        service_stop(attester);
        for (size_t i = 0; i < G_N_ELEMENTS(s); i++)
                wait_stale(s[i]);
        attester = service_start(ATTESTER);
        service_answer(attester, "Attest", evidence(1));
        for (size_t i = 0; i < G_N_ELEMENTS(s); i++) {
                g_autoptr(AttEvent) event = wait_event(s[i]);

                /* Who asked anew before there was one has an error in it. */
                ck_assert_int_eq(event->type, ATT_EVENT_EVIDENCE);
                services_free(s[i]);
        }
        service_stop(attester);
}
END_TEST

static void says_nothing(AttServices *s, int ms) {
        struct pollfd p = { .fd = s->ops->fd(s), .events = POLLIN };

        ck_assert_int_eq(poll(&p, 1, ms), 0);
}

START_TEST(ft16_a_service_that_was_lost_is_waited_for) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(AttEvent) stale = NULL, event = NULL;
        g_autoptr(AttServices) s = NULL;
        Service *attester;
        g_auto(Bus) bus = { 0 };

        bus_start(&bus);
        attester = service_start(ATTESTER);
        attestd_endpoint_set_patience(endpoint, 20000);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest_once(s, attester);
        service_stop(attester);
        stale = wait_good(s, ATT_EVENT_STALE);
        attest(s);
        says_nothing(s, 300);
        attester = service_start(ATTESTER);
        service_answer(attester, "Attest", evidence(9));
        event = wait_good(s, ATT_EVENT_EVIDENCE);
        ck_assert_uint_eq(event->state.generation, 9);
        service_stop(attester);
}
END_TEST

START_TEST(a_bus_that_was_lost_is_waited_for) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(AttEvent) stale = NULL, event = NULL;
        g_autoptr(AttServices) s = NULL;
        Service *attester;
        Bus bus = { 0 };

        bus_start(&bus);
        attester = service_start(ATTESTER);
        attestd_endpoint_set_patience(endpoint, 20000);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest_once(s, attester);
        bus_stop(&bus);
        stale = wait_good(s, ATT_EVENT_STALE);
        service_stop(attester);
        attest(s);
        says_nothing(s, 300);
        bus_start(&bus);
        attester = service_start(ATTESTER);
        service_answer(attester, "Attest", evidence(9));
        event = wait_good(s, ATT_EVENT_EVIDENCE);
        service_stop(attester);
        bus_stop(&bus);
}
END_TEST

START_TEST(patience_ends) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(AttServices) s = NULL;
        g_autoptr(AttEvent) stale = NULL;
        Service *attester;
        g_auto(Bus) bus = { 0 };

        bus_start(&bus);
        attester = service_start(ATTESTER);
        attestd_endpoint_set_patience(endpoint, _i == 0 ? 0 : 300);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest_once(s, attester);
        service_stop(attester);
        stale = wait_good(s, ATT_EVENT_STALE);
        attest(s);
        wait_bad(s, ATT_EVENT_EVIDENCE, "ServiceUnknown");
        /* And there is a new beginning. */
        attester = service_start(ATTESTER);
        attest_once(s, attester);
        service_stop(attester);
}
END_TEST

START_TEST(a_bus_that_says_nothing_is_an_error) {
        g_autofree char *directory = g_dir_make_tmp("attestd-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(directory, "bus", NULL);
        g_autofree char *address = g_strdup_printf("unix:path=%s", path);
        g_autoptr(GSocketAddress) where = g_unix_socket_address_new(path);
        g_autoptr(GSocket) deaf = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, 0, NULL);
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(Service) attester = NULL;
        g_autoptr(AttServices) s = NULL;
        g_auto(Bus) bus = { 0 };

        ck_assert(g_socket_bind(deaf, where, FALSE, NULL) && g_socket_listen(deaf, NULL));
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE);
        attestd_endpoint_set_timeout(endpoint, 200);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest(s);
        wait_bad(s, ATT_EVENT_EVIDENCE, "the system bus does not answer");
        (void) unlink(path);
        (void) rmdir(directory);

        bus_start(&bus);
        attester = service_start(ATTESTER);
        attest_once(s, attester);
}
END_TEST

/* Limits and endings. */

/* The bus lets one connection wait for 128 replies: ours keeps below. */
START_TEST(many_calls_at_once_are_all_answered) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        AttServices *s[200];
        g_autoptr(Service) attester = NULL, verifier = NULL;
        g_autoptr(AttEvent) request = NULL;
        g_auto(Bus) bus = { 0 };

        bus_start(&bus);
        attester = service_start(ATTESTER);
        verifier = service_start(VERIFIER);
        for (size_t i = 0; i < G_N_ELEMENTS(s); i++) {
                s[i] = services_new(endpoint, ATT_HASH_SHA256, NULL);
                attest(s[i]);
        }
        service_wait(attester, "Attest", 64);
        /* A busy attestd does not keep the verifier from anybody. */
        service_answer(verifier, "CreateRequest", g_variant_new("(@ay@ay)", bytestring("r"), bytestring("c")));
        s[199]->ops->create_request(s[199], "p", false);
        request = wait_good(s[199], ATT_EVENT_REQUEST);
        ck_assert_uint_eq(service_count(attester, "Attest"), 64);

        service_answer(attester, "Attest", evidence(1));
        service_release(attester, "Attest", evidence(1));
        for (size_t i = 0; i < G_N_ELEMENTS(s); i++) {
                g_autoptr(AttEvent) event = wait_good(s[i], ATT_EVENT_EVIDENCE);

                ck_assert_uint_eq(event->state.generation, 1);
                services_free(s[i]);
        }
        service_wait(attester, "Close", G_N_ELEMENTS(s));
}
END_TEST

START_TEST(closes_its_sessions) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(Service) attester = NULL;
        g_auto(Bus) bus = { 0 };
        AttServices *s;

        bus_start(&bus);
        attester = service_start(ATTESTER);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        if (_i == 0) {
                attest_once(s, attester);
        } else { /* while a call is under way, and its answer comes too late */
                attest(s);
                service_wait(attester, "Attest", 1);
        }
        services_free(s);
        ck_assert_str_eq(service_wait(attester, "Close", 1)->path, service_session(attester));
        service_release(attester, "Attest", evidence(1));
}
END_TEST

/* Nobody wants it any more when it comes. */
START_TEST(closes_a_session_that_comes_too_late) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        g_autoptr(Service) attester = NULL;
        g_auto(Bus) bus = { 0 };
        AttServices *s;

        bus_start(&bus);
        attester = service_start(ATTESTER);
        service_hold_sessions(attester);
        s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        attest(s);
        service_wait(attester, "OpenSession", 1);
        services_free(s);
        service_register_session(attester, 7);
        service_release(attester, "OpenSession", g_variant_new("(o)", "/org/attestd/Attester1/session/7"));
        ck_assert_str_eq(service_wait(attester, "Close", 1)->path, "/org/attestd/Attester1/session/7");
}
END_TEST

START_TEST(a_session_that_is_none_is_an_error) {
        g_auto(World) w = { 0 };

        world_begin(&w, ATTESTER);
        service_hold_sessions(w.service);
        attest(w.services);
        service_wait(w.service, "OpenSession", 1);
        service_break_contract(w.service, "OpenSession", g_variant_new("(u)", 7));
        wait_bad(w.services, ATT_EVENT_EVIDENCE, "another type");
}
END_TEST

/* The thread stays in the parent. */
START_TEST(a_forked_child_is_told) {
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        const AttTransport transport = { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256 };
        g_autoptr(AttServices) s = services_new(endpoint, ATT_HASH_SHA256, NULL);
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                g_autoptr(GError) error = NULL;

                _exit(!att_services_new(endpoint, &transport, &error) &&
                                      g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE) ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("services");
        TCase *t = tcase_create("calls");

        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, attests, 0, 2);
        tcase_add_loop_test(t, opens_a_verifier_session, 0, 3);
        tcase_add_loop_test(t, asks_and_validates, 0, 3);
        tcase_add_test(t, passes_logs_to_the_verifier);
        tcase_add_test(t, a_verifier_that_needs_no_logs_is_asked_once);
        tcase_add_loop_test(t, tells_a_bad_log_from_a_bad_service, 0, 6);
        tcase_add_test(t, gives_a_log_back_before_it_is_read);
        tcase_add_loop_test(t, gets_logs_of_attestd, 0, 3);
        tcase_add_loop_test(t, a_log_that_cannot_be_had_is_an_error, 0, 5);
        tcase_add_test(t, ft16_a_log_is_read_on_after_a_restart);
        tcase_add_loop_test(t, names_the_error_of_a_service, 0, 2);
        tcase_add_test(t, a_service_that_is_not_there_is_an_error_until_it_is);
        tcase_add_loop_test(t, no_bus_is_an_error_until_there_is_one, 0, 2);
        tcase_add_test(t, an_answer_of_another_type_is_an_error);
        suite_add_tcase(s, t);

        t = tcase_create("loss");
        tcase_set_timeout(t, 60);
        tcase_add_test(t, hears_stale_from_its_session_alone);
        tcase_add_test(t, ft16_a_service_that_restarts_gets_a_new_session);
        tcase_add_test(t, ft16_a_call_that_was_cut_off_is_made_again);
        tcase_add_test(t, a_session_that_is_gone_is_opened_again_once);
        tcase_add_test(t, a_verifier_that_restarts_learns_the_contexts_again);
        tcase_add_test(t, contexts_take_little_more_than_their_bytes);
        tcase_add_test(t, a_context_that_cannot_be_recorded_is_told);
        tcase_add_test(t, loss_of_the_bus_is_stale_and_another_is_used);
        tcase_add_test(t, ft16_a_crowd_survives_a_service_that_restarts);
        tcase_add_test(t, ft16_a_service_that_was_lost_is_waited_for);
        tcase_add_test(t, a_bus_that_was_lost_is_waited_for);
        tcase_add_loop_test(t, patience_ends, 0, 2);
        tcase_add_test(t, a_bus_that_says_nothing_is_an_error);
        suite_add_tcase(s, t);

        t = tcase_create("ends");
        tcase_set_timeout(t, 60);
        tcase_add_test(t, many_calls_at_once_are_all_answered);
        tcase_add_loop_test(t, closes_its_sessions, 0, 2);
        tcase_add_test(t, closes_a_session_that_comes_too_late);
        tcase_add_test(t, a_session_that_is_none_is_an_error);
        tcase_add_test(t, a_forked_child_is_told);
        suite_add_tcase(s, t);
        return run_suite(s);
}
