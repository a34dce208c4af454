/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FT-14: a peer that sends a byte at a time. */
#include "ends.h"
#include "run.h"

/* The limit is on the whole answer, not on each byte. _i: a byte a second, or ten. */
START_TEST(ft14_a_peer_that_drips_has_one_time_limit) {
        const int64_t step = _i == 0 ? G_TIME_SPAN_SECOND : G_TIME_SPAN_MILLISECOND * 100;
        AttestdStatus status = ATTESTD_WANT_READ;
        g_auto(Pair) p = { 0 };
        size_t n = 0;

        pair_init(&p, ASKS, GIVES);
        (void) end_drive(&p.client);
        while (status == ATTESTD_WANT_READ && pair_deliver(&p, &p.server, 1) > 0) {
                p.clock += step;
                status = end_drive(&p.server);
                n++;
        }
        if (_i == 0) {
                ck_assert_int_eq(status, ATTESTD_FAILED);
                ck_failed(&p.server, ATTESTD_ERROR_TIMED_OUT, "no hello");
                ck_assert_uint_eq(n, MOCK_TIMEOUT_MS / 1000);
        } else {
                ck_assert_uint_gt(n, MOCK_TIMEOUT_MS / 1000);
                pair_settle(&p);
                ck_is_open(&p.server);
        }
}
END_TEST

/* All of the exchange, and data, by single bytes in both directions. */
START_TEST(ft14_single_bytes_are_put_together) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS | GIVES, ASKS | GIVES);
        p.client.memory->most = p.server.memory->most = 1;
        pair_settle(&p);
        ck_are_open(&p);
        end_write(&p.client, "drip by drip");
        pair_exchange(&p);
        ck_reads(&p.server, "drip by drip", FALSE);
}
END_TEST

int main(void) {
        Suite *s = suite_create("drip");
        TCase *t = tcase_create("drip");

        tcase_add_loop_test(t, ft14_a_peer_that_drips_has_one_time_limit, 0, 2);
        tcase_add_test(t, ft14_single_bytes_are_put_together);
        suite_add_tcase(s, t);
        return run_suite(s);
}
