/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The direct socket's time limits and queues, on a clock that the test moves: a second
 * of the timers is a millisecond here. */
#include "bus/direct.h"

#include "run.h"
#include "util/io.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#define NAME "org.example"
#define PATH "/"
#define ANSWER_SIZE 60000u

static const char auth[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

static gint64 moved_us;
static guint tick_ms; /* of a timer's second */
static GSourceFunc tick;
static gpointer tick_data;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_size;
static AttConfiguration *configuration;
static AttDirect *direct;
static guint n_joined, n_left, n_refused, n_calls;
static sd_bus *newest; /* that has joined */
static gsize answer_size = ANSWER_SIZE;
static bool counts;    /* the bytes of its answers, as those of evidence */
static guint n_looks;  /* at a queue */
static guint n_to_take, n_taken; /* calls without sd-bus */
static gint64 take_us; /* how long each of them takes */
static gsize call_size;

gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void) {
        return __real_g_get_monotonic_time() + moved_us;
}

guint __wrap_g_timeout_add_seconds(guint seconds, GSourceFunc function, gpointer data);
guint __wrap_g_timeout_add_seconds(guint seconds, GSourceFunc function, gpointer data) {
        tick = function;
        tick_data = data;
        return g_timeout_add(seconds * tick_ms, function, data);
}

int __wrap_sd_listen_fds(int unset_environment);
int __wrap_sd_listen_fds(int unset_environment) {
        (void) unset_environment;
        return 1;
}

int __real_sd_bus_get_n_queued_write(sd_bus *bus, uint64_t *ret);
int __wrap_sd_bus_get_n_queued_write(sd_bus *bus, uint64_t *ret);
int __wrap_sd_bus_get_n_queued_write(sd_bus *bus, uint64_t *ret) {
        n_looks++;
        return __real_sd_bus_get_n_queued_write(bus, ret);
}

static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        static const guint8 answer[ANSWER_SIZE];
        sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        (void) userdata, (void) error;
        n_calls++;
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', answer, answer_size);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        if (counts)
                att_direct_sent(sd_bus_message_get_bus(call), answer_size);
        sd_bus_message_unref(reply);
        return r < 0 ? r : 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Get", "", "ay", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static int on_joined(sd_bus *bus, gpointer userdata) {
        (void) userdata;
        n_joined++;
        newest = bus;
        return sd_bus_add_object_vtable(bus, NULL, PATH, NAME, vtable, NULL);
}

static void on_left(sd_bus *bus, gpointer userdata) {
        (void) bus, (void) userdata;
        n_left++;
}

static void on_refused(const char *name, const char *who, const char *why, gpointer userdata) {
        (void) userdata;
        ck_assert(g_str_has_prefix(name, "direct:"));
        ck_assert(g_str_has_prefix(who, "uid "));
        ck_assert_uint_gt(strlen(why), 10);
        n_refused++;
}

static gsize on_take(sd_bus *bus, const void *data, gsize size, gpointer userdata) {
        guint32 serial;

        (void) userdata;
        if (n_to_take == 0)
                return 0;
        ck_assert_ptr_eq(bus, newest);
        ck_assert_uint_ge(size, call_size);
        memcpy(&serial, (const char *) data + 8, sizeof serial);
        ck_assert_uint_eq(serial, n_calls + n_taken + 1); /* all before it were handled */
        n_to_take--;
        n_taken++;
        moved_us += take_us;
        return call_size;
}

static const AttDirectHandler handler = {
        .joined = on_joined, .take = on_take, .left = on_left, .refused = on_refused,
};

static void begin(void) {
        g_autoptr(GError) error = NULL;

        moved_us = 0;
        tick_ms = 1;
        counts = false;
        answer_size = ANSWER_SIZE;
        n_joined = n_left = n_refused = n_calls = n_to_take = n_taken = 0;
        take_us = 0;
        configuration = att_configuration_new();
        g_hash_table_add(configuration->direct_uids, GUINT_TO_POINTER(getuid()));
        direct = att_direct_new(NAME, configuration, &handler, NULL, &error);
        ck_assert_msg(direct != NULL, "%s", error ? error->message : "");
}

static void end(void) {
        att_direct_free(direct);
        ck_assert_uint_eq(n_joined, n_left);
        att_configuration_free(configuration);
}

/* One that has sent this. */
static int client(const void *data, gsize size) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *) &address, address_size), 0);
        ck_assert_int_eq(send(fd, data, size, MSG_NOSIGNAL), (int) size);
        return fd;
}

static void turn(void) {
        (void) g_main_context_iteration(NULL, TRUE);
}

/* Until the other end is closed; all that comes is read. */
static void wait_for_end(int fd) {
        char buffer[4096];
        gssize n;

        while ((n = recv(fd, buffer, sizeof buffer, 0)) != 0 && !(n < 0 && errno != EAGAIN))
                if (n < 0)
                        turn();
}

static bool is_open(int fd) {
        char buffer[4096];
        gssize n;

        for (int i = 0; i < 50; i++)
                turn();
        while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
                ;
        return n < 0 && errno == EAGAIN;
}

static void pad(GByteArray *m, gsize to) {
        static const guint8 zeros[8];

        g_byte_array_append(m, zeros, (guint) ((to - m->len % to) % to));
}

static void append_field(GByteArray *m, guint8 code, char type, const char *text) {
        const guint8 head[] = { code, 1, (guint8) type, 0 };
        guint32 size = (guint32) strlen(text);

        pad(m, 8);
        g_byte_array_append(m, head, sizeof head);
        g_byte_array_append(m, (const guint8 *) &size, sizeof size);
        g_byte_array_append(m, (const guint8 *) text, size + 1);
}

/* Get() of NAME at @path. */
static void append_call(GByteArray *all, const char *path, guint32 serial) {
        g_autoptr(GByteArray) fields = g_byte_array_new();
        guint8 head[16] = { G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B', 1, 0, 1 };
        guint32 size;

        append_field(fields, 1, 'o', path);
        append_field(fields, 2, 's', NAME);
        append_field(fields, 3, 's', "Get");
        size = fields->len;
        pad(fields, 8);
        memcpy(head + 8, &serial, sizeof serial);
        memcpy(head + 12, &size, sizeof size);
        g_byte_array_append(all, head, sizeof head);
        g_byte_array_append(all, fields->data, fields->len);
}

static GBytes *call(guint32 serial) {
        GByteArray *m = g_byte_array_new();

        append_call(m, PATH, serial);
        return g_byte_array_free_to_bytes(m);
}

/* One that has joined. */
static int member(void) {
        guint before = n_joined;
        int fd = client(auth, sizeof auth - 1);

        while (n_joined == before)
                turn();
        return fd;
}

/* All at once: a message of its own takes far more of a socket's room than it has bytes. */
static void ask(int fd, guint n) {
        g_autoptr(GByteArray) all = g_byte_array_new();

        for (guint i = 1; i <= n; i++)
                append_call(all, PATH, i);
        ck_assert_int_eq(send(fd, all->data, all->len, MSG_NOSIGNAL), (int) all->len);
}

START_TEST(ends_who_says_nothing) {
        att_autofd int silent = client("", 1), half = client(auth, 10), fine = member();

        ck_assert(is_open(silent) && is_open(half));
        moved_us += (ATT_DIRECT_PATIENCE_S - 1) * G_USEC_PER_SEC;
        ck_assert(is_open(silent) && is_open(half));
        ck_assert_uint_eq(n_refused, 0);
        moved_us += 2 * G_USEC_PER_SEC;
        wait_for_end(silent);
        wait_for_end(half);
        ck_assert_uint_eq(n_refused, 2);
        /* Who has said it may be silent for as long as he likes. */
        moved_us += 1000 * G_USEC_PER_SEC;
        ck_assert(is_open(fine));
}
END_TEST

START_TEST(ends_who_does_not_end_a_message) {
        att_autofd int fd = member(), fine = member();
        g_autoptr(GBytes) m = call(1);
        const char *p = g_bytes_get_data(m, NULL);
        gsize size = g_bytes_get_size(m);

        ck_assert_int_eq(send(fd, p, 20, 0), 20);
        ck_assert_int_eq(send(fine, p, 20, 0), 20);
        ck_assert(is_open(fd) && is_open(fine));
        moved_us += (ATT_DIRECT_PATIENCE_S - 1) * G_USEC_PER_SEC;
        ck_assert_int_eq(send(fine, p + 20, size - 20, 0), (int) size - 20);
        ck_assert(is_open(fd) && is_open(fine));
        moved_us += 2 * G_USEC_PER_SEC;
        wait_for_end(fd);
        ck_assert(is_open(fine));
        ck_assert_uint_eq(n_calls, 1);
}
END_TEST

START_TEST(a_message_that_is_there_in_part_is_not_always_the_same) {
        att_autofd int fd = member();
        g_autoptr(GBytes) m = call(1);
        const char *p = g_bytes_get_data(m, NULL);
        gsize size = g_bytes_get_size(m);
        guint calls = 0;

        /* The end of one and the head of the next, again and again. */
        ck_assert_int_eq(send(fd, p, 20, 0), 20);
        for (guint i = 0; i < 4; i++) {
                g_autoptr(GByteArray) both = g_byte_array_new();

                g_byte_array_append(both, (const guint8 *) p + 20, (guint) size - 20);
                g_byte_array_append(both, (const guint8 *) p, 20);
                ck_assert(is_open(fd));
                moved_us += (ATT_DIRECT_PATIENCE_S - 4) * G_USEC_PER_SEC;
                ck_assert_int_eq(send(fd, both->data, both->len, 0), (int) both->len);
                ck_assert(is_open(fd));
                ck_assert_uint_eq(n_calls, ++calls);
        }
        moved_us += (ATT_DIRECT_PATIENCE_S + 1) * G_USEC_PER_SEC;
        wait_for_end(fd);
}
END_TEST

START_TEST(who_is_not_read_from_is_not_late) {
        enum { CALLS = ATT_DIRECT_QUEUE_PAUSE + 64 };
        att_autofd int fd = -1;
        g_autoptr(GBytes) m = call(CALLS + 1);
        char buffer[65536];

        tick_ms = 3600 * 1000;
        fd = member();
        ask(fd, CALLS);
        ck_assert_int_eq(send(fd, g_bytes_get_data(m, NULL), 20, 0), 20);
        while (g_main_context_iteration(NULL, FALSE))
                ;
        ck_assert_uint_lt(n_calls, CALLS); /* there is too much for him to be read */
        moved_us += (ATT_DIRECT_PATIENCE_S + 1) * G_USEC_PER_SEC;
        (void) tick(tick_data);
        ck_assert_uint_eq(n_left, 0);

        /* He reads; and from then on it counts. */
        while (n_calls < CALLS || !att_direct_is_flushed(direct)) {
                while (recv(fd, buffer, sizeof buffer, 0) > 0)
                        ;
                (void) g_main_context_iteration(NULL, FALSE);
        }
        (void) tick(tick_data);
        ck_assert_uint_eq(n_left, 0);
        moved_us += (ATT_DIRECT_PATIENCE_S + 1) * G_USEC_PER_SEC;
        (void) tick(tick_data);
        ck_assert_uint_eq(n_left, 1);
}
END_TEST

/* The next answer is taken for one with a descriptor. */
static AttWay *lend(void) {
        AttWay *way = att_direct_way(newest);

        ck_assert_ptr_nonnull(way);
        return att_way_lend(way);
}

static void ask_and_wait(int fd) {
        guint before = n_calls;

        ask(fd, 1);
        while (n_calls == before)
                (void) g_main_context_iteration(NULL, FALSE);
}

START_TEST(ends_who_leaves_a_descriptor_unread) {
        att_autofd int fd = -1;
        AttWay *way;
        char byte;

        tick_ms = 3600 * 1000;
        answer_size = 100;
        fd = member();
        ask_and_wait(fd);
        for (guint i = 0; i < 2 * ATT_DIRECT_STUCK_S; i++)
                (void) tick(tick_data);
        ck_assert_uint_eq(n_left, 0); /* what is there may be told to who sleeps */

        way = lend();
        ask_and_wait(fd);
        for (guint i = 0; i < ATT_DIRECT_STUCK_S; i++)
                (void) tick(tick_data);
        ck_assert_int_eq(recv(fd, &byte, 1, MSG_PEEK), 1);
        ck_assert_uint_eq(n_left, 0);
        for (guint i = 0; i < 2; i++)
                (void) tick(tick_data);
        ck_assert_uint_eq(n_left, 1);
        att_way_drop(way);
}
END_TEST

START_TEST(who_asks_on_has_not_read) {
        att_autofd int mute = -1, reader = -1;
        AttWay *ways[2];
        char buffer[4096];

        tick_ms = 3600 * 1000;
        answer_size = 100;
        mute = member();
        ask_and_wait(mute);
        ways[0] = lend();
        ask_and_wait(mute);
        reader = member();
        ask_and_wait(reader);
        ways[1] = lend();
        ask_and_wait(reader);
        for (guint i = 0; i < 3 * ATT_DIRECT_STUCK_S; i++) {
                if (n_left == 0 && i % 5 == 4)
                        ask_and_wait(mute);
                if (i % 20 == 19) { /* something, and asks for more than that */
                        ck_assert_int_gt(recv(reader, buffer, 200, 0), 0);
                        att_way_drop(ways[1]);
                        ways[1] = lend();
                        for (guint k = 0; k < 4; k++)
                                ask_and_wait(reader);
                }
                (void) tick(tick_data);
                ck_assert(i >= ATT_DIRECT_STUCK_S || n_left == 0);
                ck_assert(i <= ATT_DIRECT_STUCK_S || n_left == 1);
        }
        ck_assert_uint_eq(n_left, 1);
        att_way_drop(ways[0]);
        att_way_drop(ways[1]);
}
END_TEST

/* Not even who has gone: what is for him stays there for as long as he wants. */
START_TEST(what_was_not_read_is_on_its_way_after_the_end) {
        AttWayMark mark = { 0 };
        att_autofd int fd = -1;
        char buffer[4096];
        AttWay *way;

        tick_ms = 3600 * 1000;
        answer_size = 100;
        fd = member();
        way = lend();
        ask_and_wait(fd);
        ck_assert(att_way_has(way, &mark));
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        while (n_left == 0)
                (void) g_main_context_iteration(NULL, FALSE);
        ck_assert(att_way_has(way, &mark));
        while (recv(fd, buffer, sizeof buffer, 0) > 0)
                ;
        ck_assert_int_eq(recv(fd, buffer, sizeof buffer, 0), 0); /* nor does it keep the end from him */
        ck_assert(!att_way_has(way, &mark));
        att_way_drop(way);
}
END_TEST

START_TEST(ends_who_reads_nothing) {
        att_autofd int fd = member(), fine = member();
        char buffer[4096];
        guint taken;

        ask(fd, 1000);
        while (n_left == 0)
                turn();
        ck_assert_uint_eq(n_refused, 1);
        taken = n_calls; /* it was not read from for long */
        ck_assert_uint_gt(taken, 4);
        ck_assert_uint_lt(taken, ATT_DIRECT_QUEUE_PAUSE + 64);

        /* Who reads ever so little in that time, goes on. */
        ask(fine, 50);
        for (guint seconds = 0; n_left == 1 && (seconds < 5 * ATT_DIRECT_STUCK_S || n_calls < taken + 50); seconds++) {
                for (guint i = 0; i < 16; i++)
                        (void) recv(fine, buffer, sizeof buffer, 0);
                turn();
                (void) tick(tick_data);
        }
        ck_assert_uint_eq(n_left, 1);
        ck_assert_uint_eq(n_calls, taken + 50);
}
END_TEST

static void tell(sd_bus *bus, gpointer userdata) {
        sd_bus_message *m = NULL;

        (void) userdata;
        ck_assert_int_ge(sd_bus_message_new_signal(bus, &m, PATH, NAME, "Told"), 0);
        ck_assert_int_ge(sd_bus_send(bus, m, NULL), 0);
        sd_bus_message_unref(m);
}

START_TEST(ends_who_has_too_much_queued) {
        att_autofd int fd = -1, fine = -1;
        char buffer[65536];
        guint limit = 1024 + 1 + 4;

        configuration->requests_per_user = configuration->sessions_per_user = 1;
        fd = member();
        for (guint i = 0; n_left == 0 && i < 100 * limit; i++) {
                att_direct_foreach(direct, tell, NULL);
                (void) g_main_context_iteration(NULL, FALSE);
                ck_assert(i > limit || n_left == 0);
        }
        ck_assert_uint_eq(n_left, 1);
        ck_assert_uint_eq(n_refused, 1);

        fine = member();
        for (guint i = 0; i < 100 * limit; i++) {
                att_direct_foreach(direct, tell, NULL);
                (void) g_main_context_iteration(NULL, FALSE);
                while (recv(fine, buffer, sizeof buffer, 0) > 0)
                        ;
        }
        ck_assert_uint_eq(n_left, 1);
}
END_TEST

static void send_unasked(sd_bus *bus) {
        static const guint8 bytes[ANSWER_SIZE];
        sd_bus_message *m = NULL;

        ck_assert_int_ge(sd_bus_message_new_signal(bus, &m, PATH, NAME, "Told"), 0);
        ck_assert_int_ge(sd_bus_message_append_array(m, 'y', bytes, sizeof bytes), 0);
        ck_assert_int_ge(sd_bus_send(bus, m, NULL), 0);
        sd_bus_message_unref(m);
}

/* What can be read in so many turns of the loop that nobody else keeps busy. */
static gsize read_for_a_while(int fd) {
        char buffer[65536];
        gsize size = 0;

        for (guint i = 0; i < 500; i++) {
                gssize n;

                while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
                        size += (gsize) n;
                (void) g_main_context_iteration(NULL, FALSE);
        }
        return size;
}

START_TEST(what_is_sent_unasked_goes_out_as_it_is_read) {
        enum { SIGNALS = 20 };
        att_autofd int fd = -1;

        tick_ms = 3600 * 1000;
        fd = member();
        (void) read_for_a_while(fd);
        for (guint i = 0; i < SIGNALS; i++)
                send_unasked(newest);
        att_direct_sent(newest, 0);
        ck_assert_uint_gt(read_for_a_while(fd), SIGNALS * ANSWER_SIZE);
        ck_assert(att_direct_is_flushed(direct));

        /* Should nobody have told of it, it is found out. */
        for (guint i = 0; i < SIGNALS; i++)
                send_unasked(newest);
        ck_assert_uint_lt(read_for_a_while(fd), SIGNALS * ANSWER_SIZE / 2);
        (void) tick(tick_data);
        ck_assert_uint_gt(read_for_a_while(fd), SIGNALS * ANSWER_SIZE / 2);
        ck_assert(att_direct_is_flushed(direct));
}
END_TEST

/* Calls of these sizes come in one piece. */
START_TEST(what_needs_no_sd_bus_is_taken_in_its_place) {
        att_autofd int fd = member();
        g_autoptr(GBytes) one = call(1);
        guint serial = 0;

        answer_size = 1;
        call_size = g_bytes_get_size(one);
        for (guint n = 0; n < 3; n++) {
                g_autoptr(GByteArray) all = g_byte_array_new();

                for (guint i = 0; i < 10; i++)
                        append_call(all, PATH, ++serial);
                n_to_take = 4; /* what is behind the first that is not taken is not either */
                ck_assert_int_eq(send(fd, all->data, all->len, MSG_NOSIGNAL), (int) all->len);
                while (n_taken + n_calls < serial)
                        turn();
                ck_assert_uint_eq(n_taken, 4 * (n + 1));
        }
        ck_assert(is_open(fd));
}
END_TEST

START_TEST(what_takes_long_is_left_to_sd_bus) {
        enum { CALLS = 100 };
        att_autofd int fd = member();
        g_autoptr(GBytes) one = call(1);

        answer_size = 1;
        call_size = g_bytes_get_size(one);
        n_to_take = CALLS;
        take_us = 10 * 1000;
        ask(fd, CALLS);
        while (n_taken + n_calls < CALLS)
                turn();
        ck_assert_uint_ge(n_taken, 1);
        ck_assert_uint_lt(n_taken, CALLS / 4);
        ck_assert(is_open(fd));
}
END_TEST

START_TEST(a_turn_looks_at_nobody_who_has_nothing_to_do) {
        enum { IDLE = 50, CALLS = 20 };
        int idle[IDLE];
        att_autofd int busy = -1;

        tick_ms = 3600 * 1000;
        for (guint i = 0; i < IDLE; i++)
                idle[i] = member();
        busy = member();
        (void) read_for_a_while(busy);
        n_looks = 0;
        for (guint i = 1; i <= CALLS; i++) {
                ask(busy, 1);
                while (n_calls < i)
                        turn();
                (void) read_for_a_while(busy);
        }
        ck_assert_uint_lt(n_looks, CALLS * 10);

        /* To each of them something is sent, and each is looked at for it. */
        n_looks = 0;
        att_direct_foreach(direct, tell, NULL);
        ck_assert_uint_ge(n_looks, IDLE);
        for (guint i = 0; i < IDLE; i++)
                (void) close(idle[i]);
}
END_TEST

START_TEST(a_user_has_so_many_answers_queued_on_all_his_connections) {
        enum { N = 8, CALLS = ATT_DIRECT_QUEUE_PAUSE, SOCKET = 64 };
        int fds[N];

        tick_ms = 3600 * 1000;
        answer_size = ANSWER_SIZE / 15;
        for (guint i = 0; i < N; i++) {
                fds[i] = member();
                ask(fds[i], CALLS);
        }
        while (g_main_context_iteration(NULL, FALSE))
                ;
        ck_assert_uint_gt(n_calls, ATT_DIRECT_USER_QUEUE_PAUSE);
        ck_assert_uint_lt(n_calls, ATT_DIRECT_USER_QUEUE_PAUSE + N * (SOCKET + 16));
        for (guint i = 0; i < N; i++) {
                ck_assert_uint_gt(read_for_a_while(fds[i]), CALLS * answer_size);
                (void) close(fds[i]);
        }
        ck_assert_uint_eq(n_calls, N * CALLS);
}
END_TEST

START_TEST(is_not_read_from_for_whom_many_bytes_are_queued) {
        enum { CALLS = 200, FEW = ATT_DIRECT_BYTES_PAUSE / ANSWER_SIZE + 16 };
        att_autofd int fd = -1;

        tick_ms = 3600 * 1000;
        counts = true;
        fd = member();
        ask(fd, CALLS);
        while (g_main_context_iteration(NULL, FALSE))
                ;
        ck_assert_uint_lt(n_calls, FEW);
        ck_assert(att_direct_is_full(newest));
        ck_assert_uint_gt(read_for_a_while(fd), CALLS * ANSWER_SIZE); /* and nothing is lost */
        ck_assert_uint_eq(n_calls, CALLS);
        ck_assert(!att_direct_is_full(newest));
}
END_TEST

/* As much as may be, to all, as evidence is. Returns: how much */
static gsize fill(sd_bus *const *buses, guint n) {
        gsize size = 0, before;

        do {
                before = size;
                for (guint i = 0; i < n; i++)
                        if (!att_direct_is_full(buses[i])) {
                                send_unasked(buses[i]);
                                att_direct_sent(buses[i], ANSWER_SIZE);
                                size += ANSWER_SIZE;
                        }
        } while (size > before);
        return size;
}

START_TEST(a_user_has_so_many_bytes_queued_on_all_his_connections) {
        enum { N = 50, SOCKET = 4 * ANSWER_SIZE };
        sd_bus *buses[N];
        int fds[N];
        gsize size;

        tick_ms = 3600 * 1000;
        for (guint i = 0; i < N; i++) {
                fds[i] = member();
                buses[i] = newest;
        }
        size = fill(buses, N);
        ck_assert_uint_ge(size, ATT_DIRECT_USER_BYTES_PAUSE);
        ck_assert_uint_lt(size, ATT_DIRECT_USER_BYTES_PAUSE + N * (SOCKET + ANSWER_SIZE));
        ck_assert_uint_lt(size, N * ATT_DIRECT_BYTES_PAUSE); /* what each of them may have alone */

        /* Who reads gets more, whatever the others do. */
        for (guint i = 0; i < 10; i++) {
                ck_assert(att_direct_is_full(buses[0]));
                (void) read_for_a_while(fds[0]);
                ck_assert(!att_direct_is_full(buses[0]));
                ck_assert_uint_ge(fill(buses, N), ANSWER_SIZE);
        }
        /* Who goes takes along what was his. */
        for (guint i = 1; i < N; i++)
                (void) close(fds[i]);
        while (n_left < N - 1)
                turn();
        (void) read_for_a_while(fds[0]);
        ck_assert_uint_ge(fill(buses, 1), ATT_DIRECT_BYTES_PAUSE);
        (void) close(fds[0]);
}
END_TEST

/* What there is not is named in the error. */
START_TEST(is_not_read_from_for_whom_long_errors_are_queued) {
        enum { PATH_SIZE = 50000, CALLS = 100 };
        g_autoptr(GByteArray) all = g_byte_array_new();
        att_autofd int fd = -1;
        gsize sent = 0;

        for (guint i = 1; i <= CALLS; i++) {
                g_autofree char *path = g_strnfill(PATH_SIZE, 'a');

                path[0] = '/';
                append_call(all, path, i);
        }
        tick_ms = 3600 * 1000;
        fd = member();
        for (guint i = 0; i < 1000 && sent < all->len; i++) {
                gssize n = send(fd, all->data + sent, all->len - sent, MSG_NOSIGNAL);

                sent += (gsize) MAX(n, 0);
                (void) g_main_context_iteration(NULL, FALSE);
        }
        ck_assert_uint_lt(sent, 3 * ATT_DIRECT_BYTES_PAUSE); /* in the sockets too */
        while (sent < all->len) {
                gssize n = send(fd, all->data + sent, all->len - sent, MSG_NOSIGNAL);

                sent += (gsize) MAX(n, 0);
                (void) read_for_a_while(fd);
        }
}
END_TEST

START_TEST(what_is_queued_counts_as_what_it_can_be_at_most) {
        att_autofd int fd = -1;

        tick_ms = 3600 * 1000;
        fd = member();
        for (guint i = 0; i < 5; i++) {
                send_unasked(newest);
                att_direct_sent(newest, ANSWER_SIZE);
        }
        for (guint i = 0; i < ATT_DIRECT_QUEUE_PAUSE / 2; i++) {
                tell(newest, NULL);
                att_direct_sent(newest, 0);
        }
        ck_assert(!att_direct_is_full(newest)); /* five are large */
        (void) read_for_a_while(fd);
        ck_assert(att_direct_is_flushed(direct));

        for (guint i = 0; i < 5; i++)
                send_unasked(newest);
        for (guint size = 0; size <= ATT_DIRECT_BYTES_PAUSE; size += 1000)
                att_direct_sent(newest, 1000);
        ck_assert(!att_direct_is_full(newest)); /* many were not, and only few messages are still there */
        (void) read_for_a_while(fd);
}
END_TEST

START_TEST(tells_who_is_one_too_many_and_ends_him) {
        att_autofd int fd = -1, other = -1, silent = -1;
        g_autoptr(GBytes) m = call(7);
        char buffer[4096];
        gssize n;

        configuration->direct_connections_per_user = 1;
        fd = member();
        other = client(auth, sizeof auth - 1);
        while ((n = recv(other, buffer, sizeof buffer, 0)) < 0)
                turn();
        ck_assert_int_eq(send(other, g_bytes_get_data(m, NULL), g_bytes_get_size(m), 0), (int) g_bytes_get_size(m));
        while ((n = recv(other, buffer, sizeof buffer, 0)) < 0)
                turn();
        ck_assert(memmem(buffer, (gsize) n, "org.attestd.Error.LimitReached", 30) != NULL);
        wait_for_end(other);
        ck_assert_uint_eq(n_refused, 1);
        ck_assert_uint_eq(n_calls, 0);

        /* Also if he says nothing that he could be told it for. */
        silent = client(auth, sizeof auth - 1);
        ck_assert(is_open(silent));
        moved_us += (ATT_DIRECT_PATIENCE_S + 1) * G_USEC_PER_SEC;
        wait_for_end(silent);
        ck_assert(is_open(fd));
        ck_assert_uint_eq(n_joined, 1);
}
END_TEST

START_TEST(keeps_few_of_those_who_are_refused) {
        int fds[ATT_DIRECT_REFUSED_PER_USER_MAX + 5];
        att_autofd int fd = -1;

        configuration->direct_connections_per_user = 1;
        fd = member();
        for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
                fds[i] = client("", 1);
        for (guint i = ATT_DIRECT_REFUSED_PER_USER_MAX; i < G_N_ELEMENTS(fds); i++)
                wait_for_end(fds[i]);
        for (guint i = 0; i < G_N_ELEMENTS(fds); i++) {
                if (i < ATT_DIRECT_REFUSED_PER_USER_MAX)
                        ck_assert(is_open(fds[i]));
                (void) close(fds[i]);
        }
}
END_TEST

START_TEST(takes_nobody_once_it_stops) {
        att_autofd int fd = member(), late = -1;

        att_direct_stop(direct);
        late = client(auth, sizeof auth - 1);
        ck_assert(is_open(fd) && is_open(late));
        ck_assert_uint_eq(n_joined, 1);
        ck_assert(att_direct_is_flushed(direct));
        ask(fd, 20);
        while (n_calls < 20)
                turn();
        ck_assert(!att_direct_is_flushed(direct));
}
END_TEST

int main(void) {
        Suite *s = suite_create("direct");
        TCase *c = tcase_create("direct");
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        /* An address that the kernel chooses; the listener where a service manager passes it. */
        address_size = sizeof address;
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(sa_family_t)) < 0 || listen(fd, 100) < 0 ||
            getsockname(fd, (struct sockaddr *) &address, &address_size) < 0 ||
            (fd != SD_LISTEN_FDS_START && dup2(fd, SD_LISTEN_FDS_START) < 0))
                return EXIT_FAILURE;

        tcase_add_checked_fixture(c, begin, end);
        tcase_add_test(c, ends_who_says_nothing);
        tcase_add_test(c, ends_who_does_not_end_a_message);
        tcase_add_test(c, a_message_that_is_there_in_part_is_not_always_the_same);
        tcase_add_test(c, who_is_not_read_from_is_not_late);
        tcase_add_test(c, ends_who_leaves_a_descriptor_unread);
        tcase_add_test(c, who_asks_on_has_not_read);
        tcase_add_test(c, what_was_not_read_is_on_its_way_after_the_end);
        tcase_add_test(c, ends_who_reads_nothing);
        tcase_add_test(c, ends_who_has_too_much_queued);
        tcase_add_test(c, what_is_sent_unasked_goes_out_as_it_is_read);
        tcase_add_test(c, what_needs_no_sd_bus_is_taken_in_its_place);
        tcase_add_test(c, what_takes_long_is_left_to_sd_bus);
        tcase_add_test(c, a_turn_looks_at_nobody_who_has_nothing_to_do);
        tcase_add_test(c, a_user_has_so_many_answers_queued_on_all_his_connections);
        tcase_add_test(c, is_not_read_from_for_whom_many_bytes_are_queued);
        tcase_add_test(c, a_user_has_so_many_bytes_queued_on_all_his_connections);
        tcase_add_test(c, is_not_read_from_for_whom_long_errors_are_queued);
        tcase_add_test(c, what_is_queued_counts_as_what_it_can_be_at_most);
        tcase_add_test(c, tells_who_is_one_too_many_and_ends_him);
        tcase_add_test(c, keeps_few_of_those_who_are_refused);
        tcase_add_test(c, takes_nobody_once_it_stops);
        suite_add_tcase(s, c);
        return run_suite(s);
}
