/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What follows from the answers of /dev/sev-guest. The device itself is in tests/vm. */
#include "codec/certificate-table.h"
#include "codec/snp-report.h"
#include "codec/snp-response.h"
#include "run.h"
#include "tee/fault.h"
#include "tee/sev-outcome.h"
#include "util/bytes.h"

#include <errno.h>

#define VMM(error) ((uint64_t) (error) << 32)
#define NO_CALL UINT64_MAX

static void is_fault(GError *e, AttTeeFault fault, const char *says) {
        ck_assert_ptr_nonnull(e);
        ck_assert_msg(g_error_matches(e, ATT_TEE_FAULT, (gint) fault), "fault %d: %s", e->code, e->message);
        ck_assert_msg(strstr(e->message, says) != NULL, "\"%s\" does not say \"%s\"", e->message, says);
}

static const struct {
        int err;
        uint64_t exitinfo2;
        AttTeeFault fault;
        const char *says;
} failures[] = {
        { ENOTTY, 0, ATT_TEE_FAULT_KEY_DISABLED, "given up its key" },
        { EIO, 0x17, ATT_TEE_FAULT_HOST, "the firmware says 0x17, a resource is used up" },
        { EIO, 0x27, ATT_TEE_FAULT_HOST, "0x27, there is no such key" },
        { EIO, 0x99, ATT_TEE_FAULT_HOST, "0x99, an error that is not known here" },
        { EIO, VMM(7), ATT_TEE_FAULT_HOST, "the host says error 7" },
        { EIO, NO_CALL, ATT_TEE_FAULT_HOST, "the firmware was not asked" },
        { EIO, 0xff, ATT_TEE_FAULT_HOST, "the firmware was not asked" },
        { EIO, VMM(2), ATT_TEE_FAULT_THROTTLED, "the host is busy" },
        { EAGAIN, VMM(2), ATT_TEE_FAULT_THROTTLED, "wait for its turn" },
        { ETIMEDOUT, VMM(2), ATT_TEE_FAULT_TIMED_OUT, "timed out" },
        { EBUSY, NO_CALL, ATT_TEE_FAULT_BUSY, "busy" },
        { EINTR, NO_CALL, ATT_TEE_FAULT_INTERRUPTED, "Interrupted" },
        { ENODEV, NO_CALL, ATT_TEE_FAULT_NO_PROVIDER, "not loaded" },
        { ENXIO, NO_CALL, ATT_TEE_FAULT_NO_PROVIDER, "not loaded" },
        { EINVAL, NO_CALL, ATT_TEE_FAULT_OTHER, "Invalid argument" },
        { EFAULT, NO_CALL, ATT_TEE_FAULT_OTHER, "the kernel's log" },
        { ENOMEM, NO_CALL, ATT_TEE_FAULT_OTHER, "memory" },
        { INT_MAX, NO_CALL, ATT_TEE_FAULT_OTHER, "Unknown error" },
};

START_TEST(names_each_failure) {
        const AttSevOutcome bad = { failures[_i].err, failures[_i].exitinfo2 }, good = { 0, failures[_i].exitinfo2 };
        g_autoptr(GError) e = NULL;

        ck_assert(!att_sev_outcome_check(&bad, &e));
        is_fault(e, failures[_i].fault, failures[_i].says);
        ck_assert(!att_sev_outcome_wants_room(&bad));
        ck_assert(att_sev_outcome_check(&good, NULL));
}
END_TEST

/* Asked again at once, the host would be hammered; and with a wiped key, nothing comes of it. */
START_TEST(none_is_tried_again_at_once) {
        ck_assert(!att_tee_fault_may_pass(failures[_i].fault));
}
END_TEST

START_TEST(too_little_room_is_no_failure_of_the_key) {
        static const struct {
                AttSevOutcome outcome;
                bool wants;
        } all[] = {
                { { EIO, VMM(1) }, true },
                { { EIO, VMM(1) | 0xffffffff }, true }, /* preset below */
                { { ENOSPC, VMM(1) }, true },
                { { 0, VMM(1) }, false },
                { { ENOTTY, VMM(1) }, false }, /* the key is what counts */
                { { ETIMEDOUT, VMM(1) }, false },
                { { EIO, 1 }, false },
                { { EIO, VMM(0x10001) }, false },
                { { EIO, NO_CALL }, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
                ck_assert_msg(att_sev_outcome_wants_room(&all[i].outcome) == all[i].wants, "outcome %zu", i);
}
END_TEST

/* ----- the report */

static uint8_t *response_of(uint32_t status, uint32_t size) {
        uint8_t *p = g_malloc0(ATT_SNP_RESPONSE_SIZE);

        for (guint i = 0; i < 4; i++) {
                p[i] = (uint8_t) (status >> 8 * i);
                p[4 + i] = (uint8_t) (size >> 8 * i);
        }
        for (guint i = 32; i < ATT_SNP_RESPONSE_SIZE; i++)
                p[i] = (uint8_t) (i * 7);
        return p;
}

START_TEST(takes_the_report_as_it_is) {
        g_autofree uint8_t *response = response_of(0, ATT_SNP_REPORT_SIZE);
        g_autoptr(GBytes) report = att_sev_response_take_report(response, 0, NULL);

        ck_assert_uint_eq(g_bytes_get_size(report), ATT_SNP_REPORT_SIZE);
        ck_assert_mem_eq(g_bytes_get_data(report, NULL), response + 32, ATT_SNP_REPORT_SIZE);
}
END_TEST

START_TEST(sc35_a_report_has_its_size) {
        static const uint32_t sizes[] = { 0, 1, 1183, 1185, 3968, 3969, 4000, 0x10000, UINT32_MAX };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree uint8_t *response = response_of(0, sizes[i]);
                g_autoptr(GError) e = NULL;

                ck_assert_ptr_null(att_sev_response_take_report(response, 0, &e));
                is_fault(e, ATT_TEE_FAULT_MALFORMED, sizes[i] <= 3968 ? "bytes, not 1184" : "cannot hold");
        }
}
END_TEST

START_TEST(says_what_the_firmware_refuses) {
        static const struct {
                uint32_t status;
                AttTeeFault fault;
                const char *says;
        } all[] = {
                { 0x16, ATT_TEE_FAULT_LEVEL, "refuses a report of VMPL 2: 0x16, a parameter is invalid" },
                { 0x27, ATT_TEE_FAULT_OTHER, "0x27, there is no such key" },
                { UINT32_MAX, ATT_TEE_FAULT_OTHER, "0xffffffff" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
                g_autofree uint8_t *response = response_of(all[i].status, ATT_SNP_REPORT_SIZE);
                g_autoptr(GError) e = NULL;

                ck_assert_ptr_null(att_sev_response_take_report(response, 2, &e));
                is_fault(e, all[i].fault, all[i].says);
        }
}
END_TEST

/* ----- certificates */

static void put_entry(uint8_t *buffer, guint i, uint32_t offset, uint32_t length) {
        uint8_t *p = buffer + 24 * i;

        memset(p, 0xab, 16);
        for (guint k = 0; k < 4; k++) {
                p[16 + k] = (uint8_t) (offset >> 8 * k);
                p[20 + k] = (uint8_t) (length >> 8 * k);
        }
}

START_TEST(sc35_a_table_ends_where_its_entries_end_and_never_beyond_the_buffer) {
        static const struct {
                uint32_t offset[2], length[2];
                gsize extent;
        } all[] = {
                { { 72, 100 }, { 28, 900 }, 1000 },
                { { 100, 72 }, { 900, 28 }, 1000 },
                { { 72, 100 }, { 0, 0 }, 100 },
                { { 0, 0 }, { 1, 0 }, 1 },
                { { 72, 100 }, { 28, ATT_CERTIFICATE_TABLE_MAX - 100 }, ATT_CERTIFICATE_TABLE_MAX },
                { { 72, 100 }, { 28, ATT_CERTIFICATE_TABLE_MAX - 99 }, ATT_CERTIFICATE_TABLE_MAX },
                { { 72, UINT32_MAX }, { 28, 1 }, ATT_CERTIFICATE_TABLE_MAX }, /* 2^32 together */
                { { 72, UINT32_MAX }, { 28, UINT32_MAX }, ATT_CERTIFICATE_TABLE_MAX },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
                g_autofree uint8_t *buffer = g_malloc0(ATT_CERTIFICATE_TABLE_MAX);
                g_autoptr(GBytes) table = NULL;

                for (guint k = 0; k < 2; k++)
                        put_entry(buffer, k, all[i].offset[k], all[i].length[k]);
                table = att_sev_table_take(buffer, ATT_CERTIFICATE_TABLE_MAX);
                ck_assert_uint_eq(g_bytes_get_size(table), all[i].extent);
                ck_assert_mem_eq(g_bytes_get_data(table, NULL), buffer, all[i].extent);
        }
}
END_TEST

START_TEST(a_buffer_without_an_entry_is_no_table) {
        g_autofree uint8_t *buffer = g_malloc0(ATT_CERTIFICATE_TABLE_MAX);

        ck_assert_ptr_null(att_sev_table_take(buffer, ATT_CERTIFICATE_TABLE_MAX));
        ck_assert_ptr_null(att_sev_table_take(buffer, 23));
        ck_assert_ptr_null(att_sev_table_take(buffer, 0));
        /* Only behind the end. */
        put_entry(buffer, 1, 72, 10);
        ck_assert_ptr_null(att_sev_table_take(buffer, ATT_CERTIFICATE_TABLE_MAX));
}
END_TEST

START_TEST(a_buffer_full_of_entries_has_no_end) {
        g_autofree uint8_t *buffer = g_malloc(ATT_CERTIFICATE_TABLE_MAX);
        g_autoptr(GBytes) table = NULL;

        memset(buffer, 0xff, ATT_CERTIFICATE_TABLE_MAX);
        table = att_sev_table_take(buffer, ATT_CERTIFICATE_TABLE_MAX);
        ck_assert_uint_eq(g_bytes_get_size(table), ATT_CERTIFICATE_TABLE_MAX);
}
END_TEST

/* ----- the level */

START_TEST(reads_a_level) {
        static const char *const bad[] = { "", "0", "\n", "4\n", "9\n", "-1\n", "00\n", "1 ", "1\n\n", "/\n", "a\n" };
        guint vmpl = 77;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                ck_assert_msg(!att_sev_vmpl_parse(bad[i], strlen(bad[i]), &vmpl), "accepted: %s", bad[i]);
                ck_assert_uint_eq(vmpl, 77);
        }
        for (guint i = 0; i <= 3; i++) {
                const char text[] = { (char) ('0' + i), '\n' };

                ck_assert(att_sev_vmpl_parse(text, sizeof text, &vmpl));
                ck_assert_uint_eq(vmpl, i);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("sev-outcome");
        TCase *t = tcase_create("outcome");

        tcase_add_loop_test(t, names_each_failure, 0, (int) G_N_ELEMENTS(failures));
        tcase_add_loop_test(t, none_is_tried_again_at_once, 0, (int) G_N_ELEMENTS(failures));
        tcase_add_test(t, too_little_room_is_no_failure_of_the_key);
        suite_add_tcase(s, t);

        t = tcase_create("report");
        tcase_add_test(t, takes_the_report_as_it_is);
        tcase_add_test(t, sc35_a_report_has_its_size);
        tcase_add_test(t, says_what_the_firmware_refuses);
        tcase_add_test(t, sc35_a_table_ends_where_its_entries_end_and_never_beyond_the_buffer);
        tcase_add_test(t, a_buffer_without_an_entry_is_no_table);
        tcase_add_test(t, a_buffer_full_of_entries_has_no_end);
        tcase_add_test(t, reads_a_level);
        suite_add_tcase(s, t);
        return run_suite(s);
}
