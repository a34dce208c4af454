/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Increments of an IMA log: what continues, and what does not. */
#include "verifier/ima-history.h"

#include "util/error.h"
#include "verifier/ima-appraisal.h"

#include "ima-maker.h"
#include "run.h"

#define M24 "111111111111111111111111"
#define MRTD M24 M24 M24 M24
#define POLICY "attestd-policy 1\ntee tdx\nworkload any\nboot mrtd=" MRTD "\nima root rtmr\nima root tpm-outside\n"
#define N 5000u

static const uint8_t boot[ATT_IMA_BOOT_ID_SIZE] = { 1 }, other_boot[ATT_IMA_BOOT_ID_SIZE] = { 2 };
static Maker *maker;

/* Linked with --wrap. */
AttImaVerdict __wrap_att_ima_appraise(const AttImaRules *rules, const AttImaRecord *record, guint64 index);
AttImaVerdict __real_att_ima_appraise(const AttImaRules *rules, const AttImaRecord *record, guint64 index);

static guint n_appraised;

AttImaVerdict __wrap_att_ima_appraise(const AttImaRules *rules, const AttImaRecord *record, guint64 index) {
        n_appraised++;
        return __real_att_ima_appraise(rules, record, index);
}

static void set_up(void) {
        maker = maker_new();
        maker_boot_aggregate(maker, 0xba);
        for (guint i = 1; i < N; i++) {
                g_autofree char *path = g_strdup_printf("/usr/bin/program-%u", i);

                if (i % 100 == 99)
                        maker_violation(maker, path);
                else
                        maker_file(maker, path, (uint8_t) i);
        }
}

static void tear_down(void) {
        maker_free(maker);
}

static AttImaHistory *history_of(const char *more) {
        g_autofree char *text = g_strconcat(POLICY, more, NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(AttPolicy) policy = att_policy_parse("policy", text, strlen(text), &error);

        ck_assert_msg(policy != NULL, "%s", error ? error->message : "");
        return att_ima_history_new(policy);
}

static gboolean add_bytes(AttImaHistory *h, GBytes *bytes, guint64 first, GError **error) {
        return att_ima_history_add(h, bytes, first, ATT_BANK_SHA1, error) &&
               att_ima_history_work(h, 0, error) == ATT_IMA_WORK_DONE;
}

static void add(AttImaHistory *h, guint from, guint to) {
        g_autoptr(GBytes) bytes = maker_slice(maker, from, to);
        g_autoptr(GError) error = NULL;

        ck_assert_msg(add_bytes(h, bytes, from, &error), "%s", error ? error->message : "");
        ck_assert_uint_eq(att_ima_history_next(h), to);
}

static AttImaFit fit_of(const AttImaHistory *h, const AttImaClaims *ima, const uint8_t *boot_id, const char *says) {
        g_autofree char *why = NULL;
        AttImaFit fit = att_ima_history_fit(h, boot_id, ima, &why);

        if (fit == ATT_IMA_FITS)
                ck_assert_ptr_null(why);
        else
                ck_assert_msg(why && strstr(why, says), "\"%s\", not \"%s\"", why, says);
        return fit;
}

static AttImaFit fit(const AttImaHistory *h, guint n, const char *says) {
        g_autoptr(AttImaClaims) ima = maker_claims(maker, n, "rtmr", ATT_BANK_SHA384);

        return fit_of(h, ima, boot, says);
}

#define assert_fits(h, n) ck_assert_int_eq(fit(h, n, ""), ATT_IMA_FITS)

static void assert_refused(AttImaHistory *h, GBytes *bytes, guint64 first, AttError code, const char *says) {
        guint64 next = att_ima_history_next(h);
        gsize held = att_ima_history_held(h);
        g_autoptr(GError) error = NULL;

        ck_assert(!add_bytes(h, bytes, first, &error));
        ck_assert_msg(g_error_matches(error, ATT_ERROR, (gint) code), "%s", error->message);
        ck_assert_msg(strstr(error->message, says), "\"%s\", not \"%s\"", error->message, says);
        ck_assert_uint_eq(att_ima_history_next(h), next);
        ck_assert_uint_eq(att_ima_history_held(h), held);
        ck_assert(!att_ima_history_is_busy(h));
}

START_TEST(every_prefix_of_what_was_given_fits) {
        static const AttBank banks[] = { ATT_BANK_SHA1, ATT_BANK_SHA256, ATT_BANK_SHA384, ATT_BANK_SHA512 };
        g_autoptr(AttImaHistory) h = history_of("");

        add(h, 0, 1700);
        add(h, 1700, 1700);
        add(h, 1700, N);
        for (guint n = 1; n <= N; n += n < 40 ? 1 : 97)
                for (gsize i = 0; i < G_N_ELEMENTS(banks); i++) {
                        g_autoptr(AttImaClaims) ima = maker_claims(maker, n, "claimed", banks[i]);

                        ck_assert_int_eq(fit_of(h, ima, boot, ""), ATT_IMA_FITS);
                }
        assert_fits(h, N);
}
END_TEST

START_TEST(increments_continue_and_a_tail_is_kept) {
        g_autoptr(AttImaHistory) h = history_of("");

        add(h, 0, 1000);
        assert_fits(h, 900);
        att_ima_history_cover(h, 900, boot);
        ck_assert_uint_eq(att_ima_history_covered(h), 900);
        ck_assert_uint_eq(att_ima_history_next(h), 1000);
        assert_fits(h, 900);
        assert_fits(h, 1000);

        add(h, 1000, 4000);
        assert_fits(h, 3210);
        att_ima_history_cover(h, 3210, boot);
        att_ima_history_cover(h, 4000, boot);
        ck_assert_uint_eq(att_ima_history_held(h), 0);
        add(h, 4000, 4001);
        add(h, 4001, N);
        assert_fits(h, 4000);
        assert_fits(h, N);
        att_ima_history_cover(h, N, boot);
        ck_assert_uint_eq(att_ima_history_held(h), 0);
        assert_fits(h, N);
}
END_TEST

/* Any way to cut it gives the same. */
START_TEST(pieces_of_any_size_give_the_same) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(GRand) rand = g_rand_new_with_seed((guint32) _i);
        guint next = 0, covered = 0;

        while (next < N) {
                guint to = next + (guint) g_rand_int_range(rand, 1, 1500);

                to = MIN(to, N);
                add(h, next, to);
                next = to;
                if (g_rand_boolean(rand)) {
                        covered = (guint) g_rand_int_range(rand, (gint) covered, (gint) next + 1);
                        covered = MAX(covered, 1);
                        assert_fits(h, covered);
                        att_ima_history_cover(h, covered, boot);
                }
                if (g_rand_int_range(rand, 0, 4) == 0 && covered > 0) {
                        att_ima_history_rewind(h);
                        ck_assert_uint_eq(att_ima_history_held(h), 0);
                        next = covered;
                }
        }
        for (guint n = MAX(covered, 1); n <= N; n += 501)
                assert_fits(h, n);
}
END_TEST

START_TEST(entries_are_read_in_slices) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(GBytes) all = maker_slice(maker, 0, N), more = maker_slice(maker, N - 1, N);
        g_autoptr(GError) error = NULL;
        AttImaWork work;
        guint slices = 0;

        ck_assert(att_ima_history_add(h, all, 0, ATT_BANK_SHA1, NULL));
        while ((work = att_ima_history_work(h, 1, &error)) == ATT_IMA_WORK_MORE) {
                slices++;
                ck_assert(att_ima_history_is_busy(h));
                ck_assert_uint_eq(att_ima_history_next(h), 0);
                ck_assert(!att_ima_history_add(h, more, 0, ATT_BANK_SHA1, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));
                g_clear_error(&error);
        }
        ck_assert_int_eq(work, ATT_IMA_WORK_DONE);
        ck_assert_uint_gt(slices, 10);
        ck_assert_uint_eq(att_ima_history_next(h), N);
        assert_fits(h, 4321);
}
END_TEST

START_TEST(sc16a_an_overlap_is_refused) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(GBytes) again = maker_slice(maker, 0, 10), overlap = maker_slice(maker, 9, 20);

        add(h, 0, 10);
        assert_refused(h, again, 0, ATT_ERROR_INVALID_ARGUMENT, "an overlap: the next entry is 10, not 0");
        assert_refused(h, overlap, 9, ATT_ERROR_INVALID_ARGUMENT, "an overlap");
        /* Said to continue, it does not: the aggregate tells. */
        ck_assert(add_bytes(h, overlap, 10, NULL));
        ck_assert_int_eq(fit(h, 20, "do not give the aggregate"), ATT_IMA_DIFFERS);
        att_ima_history_rewind(h);
        add(h, 0, 20);
        assert_fits(h, 20);
}
END_TEST

START_TEST(sc16b_a_gap_is_refused) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(GBytes) gap = maker_slice(maker, 11, 20);

        add(h, 0, 10);
        assert_refused(h, gap, 11, ATT_ERROR_INVALID_ARGUMENT, "a gap: the next entry is 10, not 11");
        ck_assert(add_bytes(h, gap, 10, NULL));
        ck_assert_int_eq(fit(h, 19, "do not give the aggregate"), ATT_IMA_DIFFERS);
        att_ima_history_rewind(h);

        add(h, 0, 10);
        ck_assert_int_eq(fit(h, 11, "covers 11 entries, but only 10 were given"), ATT_IMA_SHORT);
        add(h, 10, 11);
        assert_fits(h, 11);
}
END_TEST

START_TEST(sc16c_an_index_that_wraps_is_a_gap) {
        static const guint64 firsts[] = { G_MAXUINT64, G_MAXUINT64 - 9, G_MAXINT64, (guint64) 1 << 32,
                                          ((guint64) 1 << 32) + 10 };
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(GBytes) next = maker_slice(maker, 10, 20);

        add(h, 0, 10);
        for (gsize i = 0; i < G_N_ELEMENTS(firsts); i++) {
                g_autoptr(AttImaClaims) ima = maker_claims(maker, 10, "rtmr", ATT_BANK_SHA384);

                assert_refused(h, next, firsts[i], ATT_ERROR_INVALID_ARGUMENT, "a gap");
                ima->count = firsts[i];
                ck_assert_int_eq(fit_of(h, ima, boot, "were given"), ATT_IMA_SHORT);
        }
        add(h, 10, 20);
        assert_fits(h, 20);
}
END_TEST

START_TEST(sc16e_a_log_of_another_boot_begins_anew) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(AttImaClaims) ima = maker_claims(maker, 20, "rtmr", ATT_BANK_SHA384);

        add(h, 0, 10);
        att_ima_history_cover(h, 10, boot);
        add(h, 10, 20);
        ck_assert_int_eq(fit_of(h, ima, other_boot, "of another boot than before"), ATT_IMA_OTHER_BOOT);
        ck_assert_int_eq(fit_of(h, ima, boot, ""), ATT_IMA_FITS);

        att_ima_history_reset(h);
        ck_assert_uint_eq(att_ima_history_next(h), 0);
        ck_assert_uint_eq(att_ima_history_covered(h), 0);
        add(h, 0, 20);
        ck_assert_int_eq(fit_of(h, ima, other_boot, ""), ATT_IMA_FITS);
        att_ima_history_cover(h, 20, other_boot);
        ck_assert_int_eq(fit_of(h, ima, boot, "of another boot"), ATT_IMA_OTHER_BOOT);
}
END_TEST

/* What the kernel has trimmed away is missing from the value of PCR 10. */
START_TEST(sc16f_a_log_without_its_head_is_refused) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(GBytes) trimmed = maker_slice(maker, 5, 20);
        g_autoptr(AttImaClaims) whole = maker_claims(maker, 20, "rtmr", ATT_BANK_SHA384);
        g_autoptr(AttImaClaims) shorter = maker_claims(maker, 20, "rtmr", ATT_BANK_SHA384);

        ck_assert(add_bytes(h, trimmed, 0, NULL));
        ck_assert_int_eq(fit_of(h, whole, boot, "but only 15 were given"), ATT_IMA_SHORT);
        shorter->count = 15;
        ck_assert_int_eq(fit_of(h, shorter, boot, "do not give the aggregate"), ATT_IMA_DIFFERS);
        att_ima_history_rewind(h);
        add(h, 0, 20);
        ck_assert_int_eq(fit_of(h, whole, boot, ""), ATT_IMA_FITS);
}
END_TEST

START_TEST(evidence_that_covers_less_than_before_is_refused) {
        g_autoptr(AttImaHistory) h = history_of("");

        add(h, 0, 20);
        att_ima_history_cover(h, 15, boot);
        ck_assert_int_eq(fit(h, 14, "covers 14 entries, but evidence before it covered 15"), ATT_IMA_BEHIND);
        assert_fits(h, 15);
}
END_TEST

START_TEST(history_that_was_written_anew_is_refused) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(Maker) other = maker_new();
        g_autoptr(AttImaClaims) ima = NULL;
        g_autoptr(GBytes) rest = NULL;

        maker_boot_aggregate(other, 0xba);
        for (guint i = 1; i < 20; i++)
                maker_file(other, "/usr/bin/other", (uint8_t) i);
        ima = maker_claims(other, 20, "rtmr", ATT_BANK_SHA384);
        rest = maker_slice(other, 10, 20);

        add(h, 0, 10);
        att_ima_history_cover(h, 10, boot);
        ck_assert(add_bytes(h, rest, 10, NULL));
        ck_assert_int_eq(fit_of(h, ima, boot, "do not give the aggregate"), ATT_IMA_DIFFERS);
        att_ima_history_rewind(h);
        ck_assert_uint_eq(att_ima_history_next(h), 10);
        add(h, 10, 20);
        assert_fits(h, 20);
}
END_TEST

START_TEST(claims_must_be_those_of_the_log) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(AttImaClaims) ima = maker_claims(maker, 500, "rtmr", ATT_BANK_SHA384);
        uint8_t digest[32];

        add(h, 0, 600);
        ck_assert_int_eq(fit_of(h, ima, boot, ""), ATT_IMA_FITS);
        ima->violations++;
        ck_assert_int_eq(fit_of(h, ima, boot, "5 violations, but the claims say 6"), ATT_IMA_DIFFERS);
        ima->violations--;
        memset(digest, 0xba, sizeof digest);
        ima->boot_aggregate = g_bytes_new(digest, sizeof digest);
        ck_assert_int_eq(fit_of(h, ima, boot, ""), ATT_IMA_FITS);
        digest[31]++;
        g_bytes_unref(ima->boot_aggregate);
        ima->boot_aggregate = g_bytes_new(digest, sizeof digest);
        ck_assert_int_eq(fit_of(h, ima, boot, "boot_aggregate"), ATT_IMA_DIFFERS);
}
END_TEST

START_TEST(every_changed_byte_is_refused_or_does_not_fit) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(GBytes) good = maker_slice(maker, 95, 103);
        gsize size;
        const uint8_t *p = g_bytes_get_data(good, &size);
        g_autofree uint8_t *bad = g_memdup2(p, size);
        guint uncovered = 0;

        add(h, 0, 95);
        att_ima_history_cover(h, 95, boot);
        for (gsize i = 0; i < size; i++) {
                g_autoptr(GBytes) bytes = NULL;

                bad[i] ^= 0x01;
                bytes = g_bytes_new(bad, size);
                bad[i] ^= 0x01;
                if (!add_bytes(h, bytes, 95, NULL))
                        continue;
                if (att_ima_history_next(h) == 103 && fit(h, 103, "") == ATT_IMA_FITS)
                        uncovered++; /* the data of the violation, and names of templates */
                att_ima_history_rewind(h);
        }
        /* One violation: its path; and what is a template by another name. */
        ck_assert_uint_le(uncovered, 8 * 7 + 60);
        add(h, 95, 103);
        assert_fits(h, 103);
}
END_TEST

START_TEST(what_is_no_record_takes_nothing_with_it) {
        g_autoptr(AttImaHistory) h = history_of("ima require /usr/bin/program-1\nima allow sha256:"
                                                "0101010101010101010101010101010101010101010101010101010101010101"
                                                " /usr/bin/program-1\nima exclude /\n");
        g_autoptr(GBytes) good = maker_slice(maker, 0, 3000);
        gsize size;
        const uint8_t *p = g_bytes_get_data(good, &size);

        for (gsize cut = 1; cut < 400; cut++) {
                g_autoptr(GBytes) bytes = g_bytes_new_take(g_memdup2(p, cut), cut);
                bool is_whole = false;

                for (guint i = 0; i <= 10; i++)
                        is_whole |= maker->offsets[i] == cut;
                if (!is_whole)
                        assert_refused(h, bytes, 0, ATT_ERROR_BAD_DATA, "does not end within what was given");
        }
        g_autofree uint8_t *bad = g_memdup2(p, size);
        bad[maker->offsets[2999] + 8] ^= 1;
        g_autoptr(GBytes) late = g_bytes_new(bad, size);
        assert_refused(h, late, 0, ATT_ERROR_BAD_DATA, "entry 2999: ");
        ck_assert_str_eq(att_ima_history_missing(h, G_MAXUINT64), "/usr/bin/program-1");

        add(h, 0, 3000);
        assert_fits(h, 2999);
        ck_assert_ptr_null(att_ima_history_missing(h, 2));
        ck_assert_str_eq(att_ima_history_missing(h, 1), "/usr/bin/program-1");
}
END_TEST

START_TEST(sc34d_holds_its_limit) {
        gsize size = ATT_IMA_LOG_HELD_MAX - 8 * 1024 * 1024;
        g_autofree uint8_t *untouched = g_malloc0(size);
        g_autoptr(GBytes) large = g_bytes_new_static(untouched, size);
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(GByteArray) data = g_byte_array_new(), log = g_byte_array_new();
        g_autoptr(GError) error = NULL;
        uint8_t digest[20];

        /* Eight megabytes of entries, and what is left: at the limit it is read (and found bad), above it is not. */
        ima_put_digest(data, "sha256:", 1, 32);
        ima_put_path(data, "kexec-cmdline");
        att_put_le(data, 1024 * 1024 - data->len - 4, 4);
        while (data->len < 1024 * 1024)
                att_put(data, "", 1);
        maker_hash(ATT_BANK_SHA1, data->data, data->len, NULL, 0, digest);
        for (guint i = 0; i < 8; i++)
                ima_put_record(log, 10, digest, ATT_BANK_SHA1, "ima-buf", data);
        g_autoptr(GBytes) entries = g_bytes_new(log->data, log->len), exact = NULL;
        ck_assert(add_bytes(h, entries, 0, NULL));
        ck_assert_uint_eq(att_ima_history_held(h), log->len);

        assert_refused(h, large, 8, ATT_ERROR_LIMIT_REACHED, "bytes of a log without a verdict");
        exact = g_bytes_new_from_bytes(large, 0, ATT_IMA_LOG_HELD_MAX - log->len);
        ck_assert(att_ima_history_add(h, exact, 8, ATT_BANK_SHA1, &error));
        ck_assert_int_eq(att_ima_history_work(h, 0, &error), ATT_IMA_WORK_FAILED);
        ck_assert_uint_eq(att_ima_history_held(h), log->len);
}
END_TEST

static void note_freed(gpointer data) {
        *(bool *) data = true;
}

/* Entry by entry a log would take what it is not counted as, and a mapping for each. */
START_TEST(sc34b_small_pieces_count_as_what_they_cost) {
        g_autoptr(AttImaHistory) h = history_of("");

        for (guint i = 0; i < 100; i++) {
                g_autoptr(GBytes) entry = maker_slice(maker, i, i + 1);
                gsize size;
                const void *p = g_bytes_get_data(entry, &size);
                bool is_freed = false;
                GBytes *mapped = g_bytes_new_with_free_func(p, size, note_freed, &is_freed);

                ck_assert(add_bytes(h, mapped, i, NULL));
                g_bytes_unref(mapped);
                ck_assert_msg(is_freed, "entry %u is kept as it was given", i);
                ck_assert_uint_eq(att_ima_history_held(h), (i + 1) * 4096u);
        }
        assert_fits(h, 100);
        att_ima_history_cover(h, 50, boot);
        ck_assert_uint_eq(att_ima_history_held(h), 50 * 4096u);
        att_ima_history_rewind(h);
        ck_assert_uint_eq(att_ima_history_held(h), 0);
        add(h, 50, N);
        assert_fits(h, N);
}
END_TEST

START_TEST(shows_what_ran_since) {
        g_autoptr(AttImaHistory) h = history_of("ima exclude /usr/bin/\nima require /x\n");
        g_autoptr(GPtrArray) all = NULL, some = NULL;

        add(h, 0, 100);
        all = att_ima_history_ran(h, 20, 64);
        ck_assert_uint_eq(all->len, 20);
        ck_assert_str_eq(((AttImaRan *) all->pdata[0])->path, "boot_aggregate");
        ck_assert_str_eq(((AttImaRan *) all->pdata[0])->verdict, "boot-aggregate");
        ck_assert_str_eq(((AttImaRan *) all->pdata[19])->path, "/usr/bin/program-19");
        ck_assert(g_str_has_prefix(((AttImaRan *) all->pdata[19])->digest, "sha256:1313"));
        ck_assert_str_eq(((AttImaRan *) all->pdata[19])->verdict, "excluded");
        att_ima_history_cover(h, 20, boot);
        some = att_ima_history_ran(h, 100, 64);
        ck_assert_uint_eq(some->len, 64);
        ck_assert_str_eq(((AttImaRan *) some->pdata[63])->verdict, "violation");
        g_clear_pointer(&some, g_ptr_array_unref);
        some = att_ima_history_ran(h, 22, 64);
        ck_assert_uint_eq(some->len, 2);
}
END_TEST

static void assert_ran(const AttImaHistory *h, guint64 n, guint64 first) {
        g_autoptr(GPtrArray) ran = att_ima_history_ran(h, n, 64);

        ck_assert_uint_eq(ran->len, n - first);
        for (guint64 i = first; i < n; i++)
                ck_assert_str_eq(((AttImaRan *) ran->pdata[i - first])->verdict,
                                 i % 100 == 99 ? "violation" : i % 3 == 0 ? "allowed" : "unknown");
}

START_TEST(an_entry_is_appraised_once_however_often_it_is_listed) {
        g_autoptr(GString) rules = g_string_new(NULL);
        g_autoptr(AttImaHistory) h = NULL;
        g_autoptr(GBytes) more = maker_slice(maker, 1020, 1050), cut = NULL;
        g_autoptr(GError) error = NULL;

        for (guint i = 3; i < 1200; i += 3) {
                g_string_append_printf(rules, "ima allow sha256:");
                for (guint k = 0; k < 32; k++)
                        g_string_append_printf(rules, "%02x", (uint8_t) i);
                g_string_append_printf(rules, " /usr/bin/program-%u\n", i);
        }
        h = history_of(rules->str);
        n_appraised = 0;
        add(h, 0, 1000);
        assert_ran(h, 1000, 936);
        assert_ran(h, 970, 906);
        att_ima_history_cover(h, 970, boot);
        assert_ran(h, 1000, 970);
        add(h, 1000, 1020);
        assert_ran(h, 1010, 970);
        assert_ran(h, 1020, 970);
        ck_assert_uint_eq(n_appraised, 1020);

        /* What was not taken to its end, or is not the log of the evidence, is appraised when it is given again. */
        cut = g_bytes_new_from_bytes(more, 0, g_bytes_get_size(more) - 1);
        ck_assert(!add_bytes(h, cut, 1020, &error));
        assert_ran(h, 1020, 970);
        att_ima_history_rewind(h);
        n_appraised = 0;
        add(h, 970, 1050);
        assert_ran(h, 1030, 970);
        att_ima_history_cover(h, 1050, boot);
        assert_ran(h, 1050, 1050);
        add(h, 1050, 1100);
        assert_ran(h, 1100, 1050);
        ck_assert_uint_eq(n_appraised, 130);
        att_ima_history_reset(h);
        add(h, 0, 1100);
        assert_ran(h, 1050, 986);
        ck_assert_uint_eq(n_appraised, 1230);
}
END_TEST

START_TEST(a_result_stays_small_whatever_a_log_calls_its_files) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(Maker) m = maker_new();
        g_autofree char *path = g_strnfill(600 * 1024, '\x01');
        g_autoptr(GPtrArray) ran = NULL;
        g_autoptr(GBytes) log = NULL;

        maker_boot_aggregate(m, 0xba);
        for (guint i = 0; i < 8; i++)
                maker_file(m, path, 1);
        log = maker_slice(m, 0, m->n);
        ck_assert(add_bytes(h, log, 0, NULL));
        ran = att_ima_history_ran(h, m->n, 64);
        ck_assert_uint_eq(ran->len, 9);
        ck_assert_uint_eq(strlen(((AttImaRan *) ran->pdata[8])->path), 4096);
}
END_TEST

START_TEST(a_boot_aggregate_that_nothing_was_extended_by_is_none) {
        static const uint32_t pcrs[] = { 10, 11 };

        for (gsize i = 0; i < G_N_ELEMENTS(pcrs); i++) {
                g_autoptr(AttImaHistory) h = history_of("");
                g_autoptr(GByteArray) data = g_byte_array_new();
                g_autoptr(GBytes) log = NULL, found = NULL;
                g_autoptr(Maker) m = maker_new();

                ima_put_digest(data, "sha256:", 0xba, 32);
                ima_put_path(data, "boot_aggregate");
                maker_data(m, pcrs[i], "ima-ng", data);
                maker_file(m, "/sbin/init", 1);
                log = maker_slice(m, 0, m->n);
                ck_assert(add_bytes(h, log, 0, NULL));
                found = att_ima_history_boot_aggregate(h, m->n);
                ck_assert_int_eq(found != NULL, pcrs[i] == ATT_IMA_PCR);
        }
}
END_TEST

static bool is_value(const uint8_t *aggregate, gconstpointer wanted) {
        return memcmp(aggregate, wanted, 32) == 0;
}

START_TEST(finds_a_later_value_within_its_limit) {
        g_autoptr(AttImaHistory) h = history_of("");

        add(h, 0, N);
        ck_assert(att_ima_history_find(h, 10, ATT_BANK_SHA256, is_value, maker->aggregates[10][ATT_BANK_SHA256]));
        ck_assert(att_ima_history_find(h, 10, ATT_BANK_SHA256, is_value, maker->aggregates[11][ATT_BANK_SHA256]));
        ck_assert(att_ima_history_find(h, 10, ATT_BANK_SHA256, is_value,
                                       maker->aggregates[10 + ATT_IMA_TAIL_MAX][ATT_BANK_SHA256]));
        ck_assert(!att_ima_history_find(h, 10, ATT_BANK_SHA256, is_value,
                                        maker->aggregates[11 + ATT_IMA_TAIL_MAX][ATT_BANK_SHA256]));
        ck_assert(!att_ima_history_find(h, 10, ATT_BANK_SHA256, is_value, maker->aggregates[9][ATT_BANK_SHA256]));
        ck_assert(att_ima_history_find(h, N, ATT_BANK_SHA256, is_value, maker->aggregates[N][ATT_BANK_SHA256]));
}
END_TEST

START_TEST(large_entries_are_read_one_by_one) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autofree char *path = g_strnfill(1000 * 1024, 'x');
        g_autoptr(GBytes) log = NULL;
        g_autoptr(Maker) m = maker_new();

        maker_boot_aggregate(m, 0xba);
        for (guint i = 0; i < 10; i++)
                maker_file(m, path, 1);
        log = maker_slice(m, 0, m->n);
        ck_assert(att_ima_history_add(h, log, 0, ATT_BANK_SHA1, NULL));
        for (guint i = 0; i < 10; i++) /* the first entry comes with the second */
                ck_assert_int_eq(att_ima_history_work(h, 1, NULL), ATT_IMA_WORK_MORE);
        ck_assert_int_eq(att_ima_history_work(h, 1, NULL), ATT_IMA_WORK_DONE);
        ck_assert_uint_eq(att_ima_history_next(h), m->n);
}
END_TEST

static bool is_none(const uint8_t *aggregate, gconstpointer n) {
        (void) aggregate;
        ++*(guint *) n;
        return false;
}

START_TEST(looks_through_few_entries_if_they_are_large) {
        g_autoptr(AttImaHistory) h = history_of("");
        g_autoptr(Maker) m = maker_new();
        g_autofree char *path = g_strnfill(1000 * 1024, 'x');
        g_autoptr(GBytes) log = NULL;
        guint n = 0;

        maker_boot_aggregate(m, 0xba);
        for (guint i = 0; i < 15; i++)
                maker_file(m, path, 1);
        log = maker_slice(m, 0, m->n);
        ck_assert(add_bytes(h, log, 0, NULL));
        ck_assert(!att_ima_history_find(h, 1, ATT_BANK_SHA256, is_none, &n));
        ck_assert_uint_eq(n, 1 + ATT_IMA_TAIL_BYTES_MAX / (1000 * 1024));
}
END_TEST

int main(void) {
        Suite *s = suite_create("ima-history");
        TCase *tc = tcase_create("ima-history");

        tcase_add_checked_fixture(tc, set_up, tear_down);
        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, every_prefix_of_what_was_given_fits);
        tcase_add_test(tc, increments_continue_and_a_tail_is_kept);
        tcase_add_loop_test(tc, pieces_of_any_size_give_the_same, 0, 10);
        tcase_add_test(tc, entries_are_read_in_slices);
        tcase_add_test(tc, sc16a_an_overlap_is_refused);
        tcase_add_test(tc, sc16b_a_gap_is_refused);
        tcase_add_test(tc, sc16c_an_index_that_wraps_is_a_gap);
        tcase_add_test(tc, sc16e_a_log_of_another_boot_begins_anew);
        tcase_add_test(tc, sc16f_a_log_without_its_head_is_refused);
        tcase_add_test(tc, evidence_that_covers_less_than_before_is_refused);
        tcase_add_test(tc, history_that_was_written_anew_is_refused);
        tcase_add_test(tc, claims_must_be_those_of_the_log);
        tcase_add_test(tc, every_changed_byte_is_refused_or_does_not_fit);
        tcase_add_test(tc, what_is_no_record_takes_nothing_with_it);
        tcase_add_test(tc, sc34d_holds_its_limit);
        tcase_add_test(tc, sc34b_small_pieces_count_as_what_they_cost);
        tcase_add_test(tc, shows_what_ran_since);
        tcase_add_test(tc, an_entry_is_appraised_once_however_often_it_is_listed);
        tcase_add_test(tc, a_result_stays_small_whatever_a_log_calls_its_files);
        tcase_add_test(tc, a_boot_aggregate_that_nothing_was_extended_by_is_none);
        tcase_add_test(tc, large_entries_are_read_one_by_one);
        tcase_add_test(tc, looks_through_few_entries_if_they_are_large);
        tcase_add_test(tc, finds_a_later_value_within_its_limit);
        suite_add_tcase(s, tc);
        return run_suite(s);
}
