/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls that another library has written. */
#include "bus/attest-call.h"

#include "run.h"

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <stdbool.h>
#include <string.h>

#define PATH "/org/attestd/Attester1/session/17"
#define INTERFACE "org.attestd.Attester1.Session"
#define OPTIONS "{'profile': <'p'>, 'timeout_ms': <uint32 1234>, 'batch': <true>, 'split': <true>}"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static GDBusMessage *message(const char *member, const char *body) {
        GDBusMessage *m = g_dbus_message_new_method_call(NULL, PATH, INTERFACE, member);
        g_autoptr(GVariant) v = g_variant_ref_sink(g_variant_new_parsed(body));

        g_dbus_message_set_serial(m, 7);
        g_dbus_message_set_byte_order(m, G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN);
        g_dbus_message_set_body(m, v);
        return m;
}

static GDBusMessage *call_with(const char *options) {
        g_autofree char *body = g_strdup_printf("([byte 1, 2, 3], [byte 4], [byte 5, 6], @a{sv} %s)", options);

        return message("Attest", body);
}

/* Takes @m. Returns: what it is in bytes */
static GBytes *blob(GDBusMessage *m) {
        g_autoptr(GError) error = NULL;
        gsize size;
        guchar *p = g_dbus_message_to_blob(m, &size, G_DBUS_CAPABILITY_FLAGS_UNIX_FD_PASSING, &error);

        ck_assert_msg(p != NULL, "%s", error ? error->message : "");
        g_object_unref(m);
        return g_bytes_new_take(p, size);
}

static gsize read_blob(GBytes *bytes, AttAttestCall *ret) {
        gsize size;
        const void *p = g_bytes_get_data(bytes, &size);

        return att_attest_call_read(p, size, ret);
}

/* Takes @m. */
static bool is_taken(GDBusMessage *m) {
        g_autoptr(GBytes) bytes = blob(m);
        AttAttestCall call;

        return read_blob(bytes, &call) > 0;
}

START_TEST(reads_what_a_library_sends) {
        g_autoptr(GBytes) bytes = blob(call_with(OPTIONS)), plain = blob(call_with("{}"));
        g_autoptr(GByteArray) two = g_byte_array_new();
        AttAttestCall call;
        gsize size = g_bytes_get_size(bytes);

        ck_assert_uint_eq(read_blob(bytes, &call), size);
        ck_assert_uint_eq(call.serial, 7);
        ck_assert_str_eq(call.path, PATH);
        ck_assert_ptr_null(call.destination);
        ck_assert_uint_eq(call.exported_value_size, 3);
        ck_assert_mem_eq(call.exported_value, "\1\2\3", 3);
        ck_assert_uint_eq(call.request_context_size, 1);
        ck_assert_mem_eq(call.request_context, "\4", 1);
        ck_assert_uint_eq(call.public_key_size, 2);
        ck_assert_mem_eq(call.public_key, "\5\6", 2);
        ck_assert_str_eq(call.profile, "p");
        ck_assert_uint_eq(call.timeout_ms, 1234);
        ck_assert(call.batch && call.split);

        ck_assert_uint_eq(read_blob(plain, &call), g_bytes_get_size(plain));
        ck_assert_ptr_null(call.profile);
        ck_assert_uint_eq(call.timeout_ms, ATT_ATTEST_CALL_UNSAID);
        ck_assert(!call.batch && !call.split);

        g_byte_array_append(two, g_bytes_get_data(bytes, NULL), (guint) size);
        g_byte_array_append(two, g_bytes_get_data(plain, NULL), (guint) g_bytes_get_size(plain));
        ck_assert_uint_eq(att_attest_call_read(two->data, two->len, &call), size);
}
END_TEST

START_TEST(leaves_all_else_to_sd_bus) {
        static const char *const options[] = {
                "{'other': <true>}",          "{'batch': <uint32 1>}", "{'timeout_ms': <1>}",
                "{'profile': <['p']>}",       "{'split': <'yes'>}",    "{'max_size': <uint32 9>}",
                "{'batch': <true>, 'batch': <true>}", "{'timeout_ms': <uint32 4294967295>}",
        };
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
        GDBusMessage *m;

        ck_assert_int_eq(g_unix_fd_list_append(fds, 0, NULL), 0);
        ck_assert(is_taken(call_with(OPTIONS)));
        for (gsize i = 0; i < G_N_ELEMENTS(options); i++)
                ck_assert_msg(!is_taken(call_with(options[i])), "%s", options[i]);
        ck_assert(!is_taken(message("Attend", "([byte 1], [byte 4], [byte 5], @a{sv} {})")));
        ck_assert(!is_taken(message("Attest", "([byte 1], [byte 4], [byte 5])")));
        ck_assert(!is_taken(message("Attest", "([byte 1], [byte 4], [byte 5], @a{sv} {}, 1)")));

        m = call_with(OPTIONS);
        g_dbus_message_set_sender(m, ":1.1");
        ck_assert(!is_taken(m));
        m = call_with(OPTIONS);
        g_dbus_message_set_interface(m, "org.attestd.Attester1");
        ck_assert(!is_taken(m));
        m = call_with(OPTIONS);
        g_dbus_message_set_flags(m, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
        ck_assert(!is_taken(m));
        m = call_with(OPTIONS);
        g_dbus_message_set_unix_fd_list(m, fds);
        ck_assert(!is_taken(m));
        m = call_with(OPTIONS);
        g_dbus_message_set_byte_order(m, G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN);
        ck_assert(!is_taken(m));
        m = call_with(OPTIONS);
        g_dbus_message_set_destination(m, "org.attestd.Attester1");
        ck_assert(is_taken(m));
}
END_TEST

START_TEST(refuses_a_short_one) {
        g_autoptr(GBytes) bytes = blob(call_with(OPTIONS));

        for (gsize size = 0; size < g_bytes_get_size(bytes); size++) {
                g_autofree guint8 *exact = g_memdup2(g_bytes_get_data(bytes, NULL), size);
                AttAttestCall call, before;

                memset(&call, 0x5a, sizeof call);
                memcpy(&before, &call, sizeof call);
                ck_assert_uint_eq(att_attest_call_read(exact, size, &call), 0);
                ck_assert_mem_eq(&call, &before, sizeof call);
        }
}
END_TEST

/* With the fuzz target's eyes: what is taken is what GDBus reads. */
START_TEST(takes_nothing_that_is_no_message) {
        g_autoptr(GBytes) bytes = blob(call_with(OPTIONS));
        gsize size;
        const guint8 *p = g_bytes_get_data(bytes, &size);
        guint n_taken = 0;

        for (gsize i = 0; i < size; i++)
                for (guint bit = 0; bit < 8; bit++) {
                        g_autofree guint8 *altered = g_memdup2(p, size);
                        AttAttestCall call;

                        altered[i] ^= (guint8) (1u << bit);
                        n_taken += att_attest_call_read(altered, size, &call) > 0;
                        (void) LLVMFuzzerTestOneInput(altered, size);
                }
        ck_assert_uint_gt(n_taken, 100); /* another serial, path, argument or number */
}
END_TEST

int main(void) {
        Suite *s = suite_create("attest-call");
        TCase *t = tcase_create("attest-call");

        tcase_add_test(t, reads_what_a_library_sends);
        tcase_add_test(t, leaves_all_else_to_sd_bus);
        tcase_add_test(t, refuses_a_short_one);
        tcase_add_test(t, takes_nothing_that_is_no_message);
        suite_add_tcase(s, t);
        return run_suite(s);
}
