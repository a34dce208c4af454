/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages of ours among sd-bus's own, to a client that reads when the test wants it to. */
#include "bus/outbox.h"

#include "bus/split-answer.h"
#include "run.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sys/socket.h>
#include <unistd.h>

#define AUTH "\0AUTH ANONYMOUS 61\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
#define SIGNAL_SERIALS 0x80000000u /* sd-bus's are below */

static sd_bus *bus;
static AttOutbox *box;
static int fd, client, feed;
static GByteArray *received;
static guint32 n_put;

/* As direct.c makes one: it reads from us, and writes to the client. */
static void begin(void) {
        int pair[2], in[2], out;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, in), 0);
        fd = pair[0];
        client = pair[1];
        feed = in[1];
        out = fcntl(in[0], F_DUPFD_CLOEXEC, 3);
        ck_assert_int_eq(write(feed, AUTH, sizeof AUTH - 1), sizeof AUTH - 1);
        ck_assert_int_ge(sd_bus_new(&bus), 0);
        ck_assert_int_ge(sd_bus_set_server(bus, 1, (sd_id128_t) { .bytes = { 1 } }), 0);
        ck_assert_int_ge(sd_bus_set_anonymous(bus, 1), 0);
        ck_assert_int_ge(sd_bus_set_fd(bus, in[0], out), 0);
        ck_assert_int_ge(sd_bus_start(bus), 0);
        while (sd_bus_is_ready(bus) == 0)
                ck_assert_int_ge(sd_bus_process(bus, NULL), 0);
        ck_assert_int_ge(dup3(fd, out, O_CLOEXEC), 0);
        box = att_outbox_new(bus, fd, out);
        ck_assert_ptr_nonnull(box);
        received = g_byte_array_new();
        n_put = 0;
}

static void end(void) {
        att_outbox_free(box);
        sd_bus_close(bus);
        sd_bus_unref(bus);
        close(feed);
        close(fd);
        att_close_p(&client);
        g_byte_array_unref(received);
}

/* The next one is number @n_put. Returns: false: it is for sd-bus to send */
static bool put(gsize evidence_size) {
        g_autofree guint8 *p = g_malloc0(evidence_size);
        g_autoptr(GBytes) evidence = g_bytes_new_take(g_steal_pointer(&p), evidence_size);
        AttSplitAnswer answer = { .reply_serial = n_put + 1, .evidence = evidence };
        GByteArray *out = att_outbox_begin(box, &answer.serial);

        if (!out)
                return false;
        ck_assert_uint_ge(answer.serial, SIGNAL_SERIALS);
        att_split_answer_put(out, &answer);
        att_outbox_end(box);
        n_put++;
        return true;
}

static void send_signal(void) {
        ck_assert_int_ge(sd_bus_emit_signal(bus, "/", "org.example", "Moved", "u", n_put), 0);
}

static guint64 n_queued(void) {
        uint64_t n;

        ck_assert_int_ge(sd_bus_get_n_queued_write(bus, &n), 0);
        return n;
}

/* Returns: was there anything? */
static bool read_some(void) {
        guint8 chunk[4096];
        gssize n = recv(client, chunk, sizeof chunk, MSG_DONTWAIT);

        if (n > 0)
                g_byte_array_append(received, chunk, (guint) n);
        return n > 0;
}

static void read_all(void) {
        bool is_more;

        do {
                is_more = read_some();
                att_outbox_flush(box);
                while (sd_bus_process(bus, NULL) > 0)
                        is_more = true;
        } while (is_more || read_some());
        ck_assert(att_outbox_is_empty(box));
        ck_assert_uint_eq(n_queued(), 0);
}

/* The message that came next; by another library's eyes. NULL: there is no more. */
static GDBusMessage *next_message(void) {
        g_autoptr(GError) error = NULL;
        GDBusMessage *m;
        gssize size;

        if (received->len == 0)
                return NULL;
        size = g_dbus_message_bytes_needed(received->data, received->len, &error);
        ck_assert_msg(size > 0 && (gsize) size <= received->len, "%s", error ? error->message : "half a message");
        m = g_dbus_message_new_from_blob(received->data, (gsize) size, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
        ck_assert_msg(m != NULL, "%s", error ? error->message : "");
        g_byte_array_remove_range(received, 0, (guint) size);
        return m;
}

START_TEST(a_split_answer_is_what_it_says) {
        for (gsize size = 0; size < 40; size++) {
                g_autoptr(GByteArray) out = g_byte_array_new();
                g_autofree guint8 *p = g_malloc(size + 1);
                g_autoptr(GBytes) evidence = NULL;
                g_autoptr(GVariant) bytes = NULL, info = NULL;
                g_autoptr(GDBusMessage) m = NULL;
                guint64 shared, at, shared_size;

                for (gsize i = 0; i < size; i++)
                        p[i] = (guint8) (i + 1);
                evidence = g_bytes_new(p, size);
                att_split_answer_put(out, &(AttSplitAnswer) {
                        .serial = 0x80000007, .reply_serial = 0x12345678, .evidence = evidence,
                        .shared = G_GUINT64_CONSTANT(0x1122334455667788), .shared_at = 1, .shared_size = 8123,
                });
                received = g_byte_array_new();
                g_byte_array_append(received, out->data, out->len);
                m = next_message();
                ck_assert_uint_eq(received->len, 0);
                g_byte_array_unref(received);

                ck_assert_int_eq(g_dbus_message_get_message_type(m), G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
                ck_assert_int_eq(g_dbus_message_get_flags(m), G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
                ck_assert_uint_eq(g_dbus_message_get_serial(m), 0x80000007);
                ck_assert_uint_eq(g_dbus_message_get_reply_serial(m), 0x12345678);
                ck_assert_str_eq(g_dbus_message_get_signature(m), "aya{sv}");
                g_variant_get(g_dbus_message_get_body(m), "(@ay@a{sv})", &bytes, &info);
                ck_assert_uint_eq(g_variant_get_size(bytes), size);
                ck_assert(size == 0 || memcmp(g_variant_get_data(bytes), p, size) == 0);
                ck_assert_uint_eq(g_variant_n_children(info), 3);
                ck_assert(g_variant_lookup(info, "shared", "t", &shared));
                ck_assert(g_variant_lookup(info, "shared_at", "t", &at));
                ck_assert(g_variant_lookup(info, "shared_size", "t", &shared_size));
                ck_assert_uint_eq(shared, G_GUINT64_CONSTANT(0x1122334455667788));
                ck_assert_uint_eq(at, 1);
                ck_assert_uint_eq(shared_size, 8123);
        }
}
END_TEST

/* Nor is there anything of what lay in the memory before. */
START_TEST(padding_is_zero) {
        for (gsize size = 1; size <= 16; size++) {
                g_autoptr(GBytes) evidence = g_bytes_new_static("0123456789abcdef", size);
                g_autoptr(GByteArray) out = g_byte_array_new(), clean = g_byte_array_new();

                g_byte_array_set_size(out, 256);
                memset(out->data, 0xff, out->len);
                g_byte_array_set_size(out, 0);
                g_byte_array_set_size(clean, 256);
                memset(clean->data, 0, clean->len);
                g_byte_array_set_size(clean, 0);
                att_split_answer_put(out, &(AttSplitAnswer) { .evidence = evidence });
                att_split_answer_put(clean, &(AttSplitAnswer) { .evidence = evidence });
                ck_assert_uint_eq(out->len, clean->len);
                ck_assert_mem_eq(out->data, clean->data, out->len);
        }
}
END_TEST

START_TEST(many_go_out_at_once) {
        begin();
        for (guint i = 0; i < 4; i++)
                ck_assert(put(600));
        ck_assert(!read_some());
        att_outbox_flush(box);
        ck_assert(att_outbox_is_empty(box));
        ck_assert(read_some());
        while (!att_outbox_is_empty(box) || n_put < 5) /* not before the loop turns, if it is much */
                ck_assert(put(600));
        read_all();
        for (guint32 i = 0; i < n_put; i++) {
                g_autoptr(GDBusMessage) m = next_message();

                ck_assert_uint_eq(g_dbus_message_get_reply_serial(m), i + 1);
        }
        ck_assert_ptr_null(next_message());
        end();
}
END_TEST

/* Half of a message is in the socket: the other half comes before what sd-bus says since. */
START_TEST(sd_bus_says_nothing_within_a_message) {
        begin();
        send_signal();
        while (put(3001))
                ck_assert_uint_lt(n_put, 10000);
        ck_assert_uint_gt(att_outbox_n_stuck(box), 0);
        send_signal();
        ck_assert_uint_eq(n_queued(), 1);
        ck_assert(!put(1));
        for (guint i = 0; i < 10; i++) { /* what the socket has no room for, it says once more */
                ck_assert_int_ge(sd_bus_process(bus, NULL), 0);
                ck_assert_uint_eq(n_queued(), 1);
        }

        read_all();
        ck_assert_uint_eq(att_outbox_n_stuck(box), 0);
        ck_assert(put(5));
        att_outbox_flush(box);
        send_signal();
        read_all();
        for (guint32 i = 0; i < n_put + 3; i++) {
                g_autoptr(GDBusMessage) m = next_message();
                bool is_signal = i == 0 || i == n_put || i == n_put + 2;
                guint32 n;

                ck_assert_ptr_nonnull(m);
                ck_assert_int_eq(g_dbus_message_get_message_type(m),
                                 is_signal ? G_DBUS_MESSAGE_TYPE_SIGNAL : G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
                if (!is_signal) {
                        ck_assert_uint_eq(g_dbus_message_get_reply_serial(m), i < n_put ? i : n_put);
                        continue;
                }
                ck_assert_uint_lt(g_dbus_message_get_serial(m), SIGNAL_SERIALS);
                g_variant_get(g_dbus_message_get_body(m), "(u)", &n);
                ck_assert_uint_eq(n, i == 0 ? 0 : i == n_put ? n_put - 1 : n_put);
        }
        ck_assert_ptr_null(next_message());
        end();
}
END_TEST

/* Who reads slowly is not held to have as many waiting as were ever sent. */
START_TEST(as_many_are_stuck_as_wait) {
        const gsize size = 3001;

        begin();
        for (guint round = 0; round < 3; round++) {
                while (put(size))
                        ;
                ck_assert_uint_gt(att_outbox_n_stuck(box), 0);
                ck_assert_uint_le(att_outbox_n_stuck(box), ATT_OUTBOX_SIZE / size + 1);
                read_all();
                ck_assert_uint_eq(att_outbox_n_stuck(box), 0);
        }
        end();
}
END_TEST

/* And nothing of ours within one of its. */
START_TEST(nothing_is_said_while_sd_bus_has_something_queued) {
        begin();
        while (n_queued() == 0)
                send_signal();
        ck_assert(!put(1));
        read_all();
        ck_assert(put(1));
        read_all();
        end();
}
END_TEST

START_TEST(who_is_gone_takes_it_along) {
        begin();
        ck_assert(put(600));
        att_close_p(&client);
        att_outbox_flush(box);
        ck_assert(att_outbox_is_empty(box));
        ck_assert_uint_eq(att_outbox_n_stuck(box), 0);
        end();
}
END_TEST

/* Else sd-bus would try for as long as it has something queued, in each turn of the loop. */
START_TEST(sd_bus_comes_to_know_that_he_is_gone_within_a_message) {
        begin();
        while (put(3001))
                ;
        send_signal();
        ck_assert_uint_eq(n_queued(), 1);
        att_close_p(&client);
        att_outbox_flush(box);
        ck_assert_uint_eq(att_outbox_n_stuck(box), 0);
        (void) sd_bus_process(bus, NULL);
        ck_assert_int_le(sd_bus_is_open(bus), 0);
        end();
}
END_TEST

/* sd-bus has closed its descriptor then: it is anybody's. */
START_TEST(nothing_is_done_to_the_descriptor_of_one_that_is_closed) {
        int other[2];

        begin();
        while (put(3001))
                ;
        sd_bus_close(bus);
        ck_assert_int_eq(pipe2(other, O_CLOEXEC), 0); /* they get the numbers that are free */
        ck_assert(read_some());
        att_outbox_flush(box);
        ck_assert(att_outbox_is_empty(box));
        ck_assert_int_eq(write(other[1], "x", 1), 1);
        close(other[0]);
        close(other[1]);
        end();
}
END_TEST

int main(void) {
        Suite *s = suite_create("outbox");
        TCase *t = tcase_create("outbox");

        tcase_add_test(t, a_split_answer_is_what_it_says);
        tcase_add_test(t, padding_is_zero);
        tcase_add_test(t, many_go_out_at_once);
        tcase_add_test(t, sd_bus_says_nothing_within_a_message);
        tcase_add_test(t, as_many_are_stuck_as_wait);
        tcase_add_test(t, nothing_is_said_while_sd_bus_has_something_queued);
        tcase_add_test(t, who_is_gone_takes_it_along);
        tcase_add_test(t, sd_bus_comes_to_know_that_he_is_gone_within_a_message);
        tcase_add_test(t, nothing_is_done_to_the_descriptor_of_one_that_is_closed);
        suite_add_tcase(s, t);
        return run_suite(s);
}
