/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How answers go out in two pieces, to a client that reads when the test wants it to. */
#include "attester/session-scene.h"
#include "attester/tee-double.h"
#include "bus/attester1-parts.h"
#include "bus/bus-source.h"
#include "ea/authenticator.h"
#include "pki.h"
#include "run.h"
#include "util/io.h"

#include <errno.h>
#include <gio/gio.h>
#include <sys/file.h>
#include <sys/socket.h>

#define OBJECT "/session"

static sd_bus *server, *client;
static int client_fd;
static AttWay *way;
static AttConnection *connection;
static Attester1 attester1;
static Owner owner;
static Session session;
static guint n_unsendable; /* of the next messages */
static guint n_sent;       /* by us */
static guint n_told;       /* times that the direct socket was */
static gsize bytes_told;   /* of evidence */
static bool is_full;       /* the direct socket */
static guint n_sent_told;  /* of @n_sent, when it last was */

int __real_sd_bus_send(sd_bus *bus, sd_bus_message *m, uint64_t *cookie);
int __wrap_sd_bus_send(sd_bus *bus, sd_bus_message *m, uint64_t *cookie);
int __wrap_sd_bus_send(sd_bus *bus, sd_bus_message *m, uint64_t *cookie) {
        n_sent += bus == server;
        if (n_unsendable == 0)
                return __real_sd_bus_send(bus, m, cookie);
        n_unsendable--;
        return -ETOOMANYREFS;
}

/* Of the parts that are not of concern here, and would bring the real TEE along. */
void att_attester1_close_session(Session *s) {
        (void) s;
}

int att_attester1_get_session_generation(sd_bus *bus, const char *path, const char *interface, const char *property,
                                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) property, (void) userdata, (void) error;
        return sd_bus_message_append(reply, "t", (uint64_t) 0);
}

int att_attester1_get_session_stale(sd_bus *bus, const char *path, const char *interface, const char *property,
                                    sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) property, (void) userdata, (void) error;
        return sd_bus_message_append(reply, "b", 0);
}

/* The direct socket is told of what may be queued for it. */
void att_direct_over_limit(sd_bus *of) {
        (void) of;
}

void att_direct_sent(sd_bus *bus, gsize size) {
        ck_assert_ptr_eq(bus, server);
        n_sent_told = n_sent;
        n_told++;
        bytes_told += size;
        (void) att_way_look(way);
}

/* All is made by sd-bus here, for which the test's client waits. */
GByteArray *att_direct_begin(sd_bus *bus, guint32 *ret_serial) {
        (void) ret_serial;
        ck_assert_ptr_eq(bus, server);
        return NULL;
}

void att_direct_end(sd_bus *bus) {
        (void) bus;
}

void att_direct_flush(sd_bus *bus) {
        ck_assert_ptr_eq(bus, server);
}

guint64 att_direct_n_queued(sd_bus *bus) {
        uint64_t n = 0;

        ck_assert_ptr_eq(bus, server);
        (void) sd_bus_get_n_queued_write(bus, &n);
        return n;
}

AttWay *att_direct_way(sd_bus *bus) {
        ck_assert_ptr_eq(bus, server);
        return way;
}

bool att_direct_is_full(sd_bus *bus) {
        ck_assert_ptr_eq(bus, server);
        return is_full;
}

static void on_stale(AttSession *inner, uint64_t generation, const char *const *reasons) {
        (void) inner, (void) generation, (void) reasons;
}

static void on_changed(AttSession *inner) {
        (void) inner;
}

static const AttSessionEvents events = { .stale = on_stale, .changed = on_changed };

static sd_bus *end_of(int fd, bool is_server) {
        sd_bus *bus = NULL;

        ck_assert_int_ge(sd_bus_new(&bus), 0);
        ck_assert_int_ge(sd_bus_set_description(bus, "direct:1"), 0);
        ck_assert_int_ge(sd_bus_set_fd(bus, fd, fd), 0);
        if (is_server)
                ck_assert_int_ge(sd_bus_set_server(bus, 1, (sd_id128_t) { .bytes = { 1 } }), 0);
        ck_assert_int_ge(sd_bus_set_anonymous(bus, 1), 0);
        ck_assert_int_ge(sd_bus_negotiate_fds(bus, 1), 0);
        ck_assert_int_ge(sd_bus_start(bus), 0);
        return bus;
}

/* Until there is nothing to do but for the client. */
static void serve(void) {
        do
                settle();
        while (sd_bus_process(server, NULL) > 0);
}

static void read_all(void) {
        do
                serve();
        while (sd_bus_process(client, NULL) > 0);
}

static void begin(void) {
        const AttSessionParameters parameters = { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256 };
        int pair[2];

        set_up();
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        server = end_of(pair[0], true);
        client = end_of(pair[1], false);
        client_fd = pair[1];
        way = att_way_new(server, dup(pair[0]));
        while (sd_bus_is_ready(server) <= 0 || sd_bus_is_ready(client) <= 0)
                read_all();

        connection = connection_of(1000);
        attester1 = (Attester1) { .parts = att_lent_new(&att_attester1_parts_limits) };
        owner = (Owner) { .attester = &attester1, .bus = server, .connection = connection };
        session = (Session) { .owner = &owner };
        session.inner = att_session_open(connection, &parameters, &events, &session, NULL);
        ck_assert_int_ge(sd_bus_add_object_vtable(server, NULL, OBJECT, SESSION_NAME, att_attester1_session_vtable,
                                                  &session), 0);
        n_unsendable = 0;
        bytes_told = 0;
        is_full = false;
}

static void end(void) {
        att_session_close(session.inner);
        att_attester1_drop_room(&owner);
        att_lent_free(attester1.parts);
        att_connection_unref(connection);
        att_way_end(way);
        sd_bus_close(server);
        sd_bus_close(client);
        sd_bus_unref(server);
        sd_bus_unref(client);
        tear_down();
}

typedef struct Reply {
        gsize size;
        uint64_t shared; /* 0: in one piece */
        bool has_fd;
        bool is_error;
} Reply;

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Reply *r = userdata;
        const void *p;
        const char *key, *type;

        (void) error;
        r->is_error = sd_bus_message_is_method_error(m, "org.attestd.Error.Failed") > 0;
        if (r->is_error)
                return 0;
        ck_assert_int_ge(sd_bus_message_read_array(m, 'y', &p, &r->size), 0);
        ck_assert_int_ge(sd_bus_message_enter_container(m, 'a', "{sv}"), 0);
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                ck_assert_int_ge(sd_bus_message_read_basic(m, 's', &key), 0);
                ck_assert_int_ge(sd_bus_message_peek_type(m, NULL, &type), 0);
                r->has_fd |= g_str_equal(key, "shared_fd");
                if (g_str_equal(key, "shared"))
                        ck_assert_int_ge(sd_bus_message_read(m, "v", "t", &r->shared), 0);
                else
                        ck_assert_int_ge(sd_bus_message_skip(m, "v"), 0);
                ck_assert_int_ge(sd_bus_message_exit_container(m), 0);
        }
        return 0;
}

static void ask_split(guint8 context, bool batch, Reply *r) {
        g_autoptr(sd_bus_message) m = NULL;

        *r = (Reply) { 0 };
        ck_assert_int_ge(sd_bus_message_new_method_call(client, &m, NULL, OBJECT, SESSION_NAME, "Attest"), 0);
        ck_assert_int_ge(sd_bus_message_append_array(m, 'y', exported_bytes, ATT_EXPORTED_SIZE), 0);
        ck_assert_int_ge(sd_bus_message_append_array(m, 'y', &context, 1), 0);
        ck_assert_int_ge(sd_bus_message_append_array(m, 'y', spki_bytes, SPKI_SIZE), 0);
        ck_assert_int_ge(sd_bus_message_append(m, "a{sv}", 2, "split", "b", 1, "batch", "b", (int) batch), 0);
        ck_assert_int_ge(sd_bus_call_async(client, NULL, m, on_reply, r, 0), 0);
        serve();
}

/* What @call asks, without sd-bus. Returns: was it taken? */
static bool take(const char *path, gsize exported_size, guint8 context, guint32 serial) {
        g_autoptr(GDBusMessage) m = g_dbus_message_new_method_call(NULL, path, SESSION_NAME, "Attest");
        g_autofree guchar *p = NULL;
        GVariantBuilder options;
        gsize size;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "split", g_variant_new_boolean(TRUE));
        g_dbus_message_set_serial(m, serial);
        g_dbus_message_set_byte_order(m, G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN);
        g_dbus_message_set_body(m, g_variant_new("(@ay@ay@aya{sv})",
                g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, exported_bytes, exported_size, 1),
                g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, &context, 1, 1),
                g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, spki_bytes, SPKI_SIZE, 1), &options));
        p = g_dbus_message_to_blob(m, &size, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
        return att_attester1_take_call(server, p, size, &attester1) == size;
}

typedef struct Answers {
        guint n, n_errors;
        uint64_t serial; /* of the call that the last was for */
} Answers;

static int on_any(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Answers *a = userdata;

        (void) error;
        a->n++;
        a->n_errors += sd_bus_message_is_method_error(m, NULL) > 0;
        ck_assert_int_ge(sd_bus_message_get_reply_cookie(m, &a->serial), 0);
        return 0;
}

START_TEST(a_call_that_sd_bus_has_not_seen_is_answered_like_others) {
        Session others = { .owner = &(Owner) { .bus = client } };
        Answers answers = { 0 };

        tee_double_answer_all();
        attester1.sessions = g_hash_table_new(g_str_hash, g_str_equal);
        g_hash_table_insert(attester1.sessions, (char *) OBJECT, &session);
        g_hash_table_insert(attester1.sessions, (char *) "/others", &others);
        ck_assert_int_ge(sd_bus_add_filter(client, NULL, on_any, &answers), 0);

        ck_assert(take(OBJECT, ATT_EXPORTED_SIZE, 1, 12345));
        read_all();
        ck_assert_uint_eq(answers.n, 1);
        ck_assert_uint_eq(answers.n_errors, 0);
        ck_assert_uint_eq(answers.serial, 12345);
        ck_assert_uint_gt(owner.shared[0], 0); /* the part with it */

        /* What is to be refused is sd-bus's: another's, nobody's, what is not as long, what was used. */
        ck_assert(!take("/others", ATT_EXPORTED_SIZE, 2, 1));
        ck_assert(!take("/nobodys", ATT_EXPORTED_SIZE, 2, 1));
        ck_assert(!take(OBJECT, ATT_EXPORTED_SIZE - 1, 2, 1));
        ck_assert(!take(OBJECT, ATT_EXPORTED_SIZE, 1, 1));

        ck_assert(take(OBJECT, ATT_EXPORTED_SIZE, 2, 77));
        n_unsendable = 2; /* in no form */
        read_all();
        ck_assert_uint_eq(answers.n, 2);
        ck_assert_uint_eq(answers.n_errors, 1);
        ck_assert_uint_eq(answers.serial, 77);
        g_hash_table_unref(attester1.sessions);
}
END_TEST

START_TEST(a_descriptor_that_did_not_go_out_is_not_taken_for_known) {
        Reply first, replies[3], lost;

        ask_split(1, true, &first);
        for (guint i = 0; i < 3; i++)
                ask_split((guint8) (2 + i), true, &replies[i]);
        tee_double_answer();
        serve();
        n_unsendable = 1;
        tee_double_answer();
        read_all();
        ck_assert(first.has_fd && first.shared > 0);
        ck_assert(replies[0].size > 0 && replies[0].shared == 0); /* the whole of it instead */
        ck_assert(replies[1].has_fd && replies[1].shared > first.shared);
        ck_assert(!replies[2].has_fd && replies[2].shared == replies[1].shared);

        /* Nor does anybody wait for what cannot be sent at all. */
        ask_split(9, true, &lost);
        n_unsendable = 2;
        tee_double_answer();
        read_all();
        ck_assert(lost.is_error);
}
END_TEST

/* Reports follow each other in their order, so what was sent long ago does not come again by itself. */
START_TEST(the_last_four_parts_that_were_sent_are_known) {
        enum { KNOWN = 4, N = KNOWN + 3 };
        uint64_t sent[N], next;
        Reply r;

        tee_double_answer_all();
        ck_assert_uint_eq(G_N_ELEMENTS(owner.shared), KNOWN);
        ask_split(0, false, &r);
        read_all();
        next = r.shared + 1;
        for (guint i = 0; i < KNOWN; i++, next++) {
                memset(owner.shared, 0, sizeof owner.shared);
                owner.shared[i] = next;
                ask_split((guint8) (1 + i), false, &r);
                read_all();
                ck_assert_uint_eq(r.shared, next);
                ck_assert(!r.has_fd);
        }

        for (guint i = 0; i < N; i++) {
                ask_split((guint8) (100 + i), false, &r);
                read_all();
                ck_assert(r.has_fd);
                sent[i] = r.shared;
        }
        for (guint i = 0; i < N; i++) {
                bool known = false;

                for (guint k = 0; k < KNOWN; k++)
                        known |= owner.shared[k] == sent[i];
                ck_assert_int_eq(known, i >= N - KNOWN);
        }
}
END_TEST

START_TEST(evidence_that_was_not_sent_counts_as_none) {
        Reply lost, good;

        tee_double_answer_all();
        n_unsendable = 2;
        ask_split(1, false, &lost);
        read_all();
        ck_assert(lost.is_error);
        ck_assert_uint_eq(att_session_evidence_generation(session.inner), 0);
        ask_split(2, false, &good);
        read_all();
        ck_assert_uint_gt(good.size, 0);
        ck_assert_uint_gt(att_session_evidence_generation(session.inner), 0);
}
END_TEST

START_TEST(what_goes_out_in_one_piece_after_all_counts_as_that) {
        Reply split, whole, lost;

        tee_double_answer_all();
        ask_split(1, false, &split);
        read_all();
        ck_assert(split.shared > 0);
        ck_assert_uint_eq(bytes_told, split.size);

        bytes_told = 0;
        n_unsendable = 1;
        ask_split(2, false, &whole);
        read_all();
        ck_assert(whole.shared == 0 && whole.size > split.size);
        ck_assert_uint_eq(bytes_told, whole.size);

        bytes_told = 0;
        n_unsendable = 2;
        ask_split(3, false, &lost);
        read_all();
        ck_assert(lost.is_error);
        ck_assert_uint_eq(bytes_told, 0);
}
END_TEST

typedef struct Begun {
        uint64_t handle;
        bool is_error;
} Begun;

static int on_begun(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Begun *b = userdata;

        (void) error;
        b->is_error = sd_bus_message_is_method_error(m, NULL) > 0;
        if (!b->is_error)
                ck_assert_int_ge(sd_bus_message_read_basic(m, 't', &b->handle), 0);
        return 0;
}

static int append_key(sd_bus_message *m, const char *name) {
        static const uint8_t key[32] = { 7 };
        int r = sd_bus_message_open_container(m, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', key, sizeof key);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void begin_authenticator(bool declines, Begun *b) {
        const PkiSpec spec = { .cn = "leaf", .extensions = { PKI_LEAF } };
        g_autoptr(GBytes) context = NULL, request = NULL, leaf = NULL;
        g_autoptr(sd_bus_message) m = NULL;
        EVP_PKEY *key = pki_key("ED25519");
        X509 *x509 = pki_issue(&spec, key, NULL, NULL);
        const void *p;
        size_t size;

        *b = (Begun) { 0 };
        leaf = pki_der(x509);
        X509_free(x509);
        EVP_PKEY_free(key);
        request = att_ea_request_new(ATT_ROLE_CLIENT, ATT_CMW_ATTESTATION_DEFAULT, &context, NULL);
        ck_assert_int_ge(sd_bus_message_new_method_call(client, &m, NULL, OBJECT, SESSION_NAME, "BeginAuthenticator"),
                         0);
        p = g_bytes_get_data(request, &size);
        ck_assert_int_ge(sd_bus_message_append_array(m, 'y', p, size), 0);
        ck_assert_int_ge(sd_bus_message_append_array(m, 'y', exported_bytes, ATT_EXPORTED_SIZE), 0);
        ck_assert_int_ge(sd_bus_message_open_container(m, 'a', "ay"), 0);
        p = g_bytes_get_data(leaf, &size);
        ck_assert_int_ge(sd_bus_message_append_array(m, 'y', p, size), 0);
        ck_assert_int_ge(sd_bus_message_close_container(m), 0);
        ck_assert_int_ge(sd_bus_message_open_container(m, 'a', "{sv}"), 0);
        ck_assert_int_ge(append_key(m, "handshake_context"), 0);
        ck_assert_int_ge(append_key(m, "finished_key"), 0);
        ck_assert_int_ge(sd_bus_message_append(m, "{sv}", "decline", "b", (int) declines), 0);
        ck_assert_int_ge(sd_bus_message_close_container(m), 0);
        ck_assert_int_ge(sd_bus_call_async(client, NULL, m, on_begun, b, 0), 0);
        serve();
        read_all();
}

START_TEST(an_authenticator_that_was_not_told_of_does_not_wait) {
        Begun good, lost;

        tee_double_answer_all();
        n_unsendable = 1;
        begin_authenticator(false, &lost);
        ck_assert(lost.is_error);
        ck_assert_uint_eq(connection->user->n_drafts, 0);
        ck_assert_uint_eq(att_session_evidence_generation(session.inner), 0);
        begin_authenticator(false, &good);
        ck_assert(good.handle > 0);
        ck_assert_uint_eq(connection->user->n_drafts, 1);
        ck_assert_uint_gt(att_session_evidence_generation(session.inner), 0);

        n_unsendable = 1;
        begin_authenticator(true, &lost);
        ck_assert(lost.is_error);
        ck_assert_uint_eq(connection->user->n_drafts, 1);
        begin_authenticator(true, &good);
        ck_assert(good.handle > 0);
        ck_assert_uint_eq(connection->user->n_drafts, 2);
}
END_TEST

START_TEST(few_descriptors_are_on_their_way_to_who_does_not_read) {
        Reply replies[12], later;
        guint n_fds = 0, n_whole = 0;

        tee_double_answer_all();
        for (guint i = 0; i < 12; i++)
                ask_split((guint8) i, false, &replies[i]);
        read_all();
        for (guint i = 0; i < 12; i++) {
                ck_assert_uint_gt(replies[i].size, 0);
                n_fds += replies[i].has_fd;
                n_whole += replies[i].shared == 0;
        }
        ck_assert_uint_eq(n_fds, 8);
        ck_assert_uint_eq(n_whole, 4);

        ask_split(12, false, &later);
        read_all();
        ck_assert(later.has_fd);
}
END_TEST

/* Descriptors of all that is there. Nothing is received. */
static guint peek_and_unlock(void) {
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control;
        int offset = 0;
        guint n_fds = 0;

        ck_assert_int_eq(setsockopt(client_fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset), 0);
        for (;;) {
                char buffer[4096];
                struct iovec piece = { buffer, sizeof buffer };
                struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
                                    .msg_controllen = sizeof control };
                const struct cmsghdr *h;
                int fd;

                if (recvmsg(client_fd, &m, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
                        break;
                h = CMSG_FIRSTHDR(&m);
                if (!h)
                        continue;
                memcpy(&fd, CMSG_DATA(h), sizeof fd);
                ck_assert_int_eq(flock(fd, LOCK_UN), 0);
                (void) close(fd);
                n_fds++;
        }
        offset = -1;
        ck_assert_int_eq(setsockopt(client_fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset), 0);
        return n_fds;
}

START_TEST(a_descriptor_that_was_only_looked_at_is_on_its_way) {
        Reply replies[12], later;
        guint n_fds = 0, n_seen = 0;

        tee_double_answer_all();
        for (guint i = 0; i < 12; i++) {
                ask_split((guint8) i, false, &replies[i]);
                n_seen = MAX(n_seen, peek_and_unlock());
        }
        ck_assert_uint_eq(n_seen, 8);
        read_all();
        for (guint i = 0; i < 12; i++)
                n_fds += replies[i].has_fd;
        ck_assert_uint_eq(n_fds, 8);

        ask_split(12, false, &later);
        read_all();
        ck_assert(later.has_fd);
}
END_TEST

/* Before what the client gets next. Returns: how many messages */
static guint fill_socket(void) {
        static const uint8_t much[16384];
        uint64_t n_queued = 0;
        guint n = 0;

        for (; n_queued == 0; n++) {
                g_autoptr(sd_bus_message) m = NULL;

                ck_assert_int_ge(sd_bus_message_new_signal(server, &m, OBJECT, SESSION_NAME, "Filler"), 0);
                ck_assert_int_ge(sd_bus_message_append_array(m, 'y', much, sizeof much), 0);
                ck_assert_int_ge(sd_bus_send(server, m, NULL), 0);
                ck_assert_int_ge(sd_bus_get_n_queued_write(server, &n_queued), 0);
        }
        return n;
}

/* It is not in the socket yet, so nothing that is read there is it. */
START_TEST(a_descriptor_that_waits_in_our_queue_is_on_its_way) {
        Reply replies[12], later[4];
        guint n_fillers, n_fds = 0;

        tee_double_answer_all();
        n_fillers = fill_socket();
        for (guint i = 0; i < 12; i++)
                ask_split((guint8) i, false, &replies[i]);
        while (n_fillers > 0) {
                serve();
                (void) att_way_look(way);
                n_fillers -= sd_bus_process(client, NULL) > 0;
                (void) att_way_look(way);
        }
        ck_assert_uint_eq(peek_and_unlock(), 8);
        for (guint i = 0; i < 4; i++)
                ask_split((guint8) (12 + i), false, &later[i]);
        read_all();
        for (guint i = 0; i < 12; i++)
                n_fds += replies[i].has_fd;
        for (guint i = 0; i < 4; i++)
                n_fds += later[i].has_fd;
        ck_assert_uint_eq(n_fds, 8);
}
END_TEST

/* There is always something on its way to it, and never the same. */
START_TEST(who_reads_gets_two_pieces_however_busy_he_is) {
        enum { N = 40, BEHIND = 2 };
        Reply replies[N];
        guint n_read = 0;

        tee_double_answer_all();
        for (guint i = 0; i < N; i++) {
                ask_split((guint8) i, false, &replies[i]);
                while (n_read + BEHIND < i) {
                        (void) sd_bus_process(client, NULL);
                        n_read += replies[n_read].size > 0;
                }
        }
        read_all();
        for (guint i = 0; i < N; i++)
                ck_assert(replies[i].has_fd);
}
END_TEST

/* Who is not being served when he is sent something, would wait for it in his queue. */
START_TEST(what_is_sent_later_is_told_of) {
        Reply good, bad;

        ask_split(1, false, &good);
        n_sent = n_sent_told = 0;
        tee_double_answer();
        serve();
        ck_assert_uint_eq(n_sent, 1);
        ck_assert_uint_eq(n_sent_told, 1);

        ask_split(2, false, &bad);
        n_unsendable = 1;
        tee_double_answer();
        serve();
        ck_assert_uint_eq(n_sent_told, n_sent);
        read_all();
        ck_assert(good.size > 0);

        ask_split(3, false, &bad);
        n_told = 0;
        tee_double_fail(ATT_ERROR_FAILED, "no");
        serve();
        ck_assert_uint_eq(n_told, 1);
        read_all();
        ck_assert(bad.is_error);
}
END_TEST

/* Each time that it is. */
START_TEST(evidence_waits_while_the_direct_socket_is_full) {
        GSource *room = att_attester1_new_room(&attester1);

        tee_double_answer_all();
        for (guint round = 0; round < 3; round++) {
                Reply replies[4];
                gsize bytes = 0;

                bytes_told = 0;
                is_full = true;
                for (guint i = 0; i < 4; i++)
                        ask_split((guint8) (4 * round + i), false, &replies[i]);
                read_all();
                ck_assert_uint_gt(replies[0].size, 0);
                ck_assert_uint_eq(replies[1].size + replies[2].size + replies[3].size, 0);
                is_full = false;
                read_all();
                for (guint i = 0; i < 4; i++) {
                        ck_assert_uint_gt(replies[i].size, 0);
                        bytes += replies[i].size;
                }
                ck_assert_uint_eq(bytes_told, bytes);
        }
        g_source_destroy(room);
        g_source_unref(room);
}
END_TEST

int main(void) {
        Suite *s = suite_create("attester1-calls");
        TCase *t = tcase_create("attester1-calls");

        tcase_add_checked_fixture(t, begin, end);
        tcase_add_test(t, a_call_that_sd_bus_has_not_seen_is_answered_like_others);
        tcase_add_test(t, a_descriptor_that_did_not_go_out_is_not_taken_for_known);
        tcase_add_test(t, the_last_four_parts_that_were_sent_are_known);
        tcase_add_test(t, evidence_that_was_not_sent_counts_as_none);
        tcase_add_test(t, what_goes_out_in_one_piece_after_all_counts_as_that);
        tcase_add_test(t, an_authenticator_that_was_not_told_of_does_not_wait);
        tcase_add_test(t, few_descriptors_are_on_their_way_to_who_does_not_read);
        tcase_add_test(t, a_descriptor_that_was_only_looked_at_is_on_its_way);
        tcase_add_test(t, a_descriptor_that_waits_in_our_queue_is_on_its_way);
        tcase_add_test(t, who_reads_gets_two_pieces_however_busy_he_is);
        tcase_add_test(t, what_is_sent_later_is_told_of);
        tcase_add_test(t, evidence_waits_while_the_direct_socket_is_full);
        suite_add_tcase(s, t);
        return run_suite(s);
}
