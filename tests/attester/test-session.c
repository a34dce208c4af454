/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/session.h"

#include "attester/binder.h"
#include "crypto/digest.h"
#include "ea/authenticator.h"
#include "run.h"
#include "session-scene.h"
#include "state-double.h"
#include "tee-double.h"
#include "util/error.h"

/* ----- evidence */

START_TEST(sc09a_the_tee_signs_r_of_the_claims_that_are_sent) {
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" };
        uint8_t r[ATT_REPORT_DATA_SIZE], binding[ATT_HASH_SIZE_MAX], key_hash[ATT_HASH_SIZE_MAX];

        ask(s, "context", &a);
        settle();
        answer();
        ck_assert(a.claims);

        att_binder_evidence(a.evidence->claims, r);
        ck_assert_mem_eq(r, a.report_data, sizeof r);
        ck_assert_mem_eq(r, &g_array_index(tee_double_asked, guint8, 0), sizeof r);
        ck_assert_mem_eq(r, (const guint8 *) g_bytes_get_data(a.evidence->tee->outblob, NULL) + 64, sizeof r);

        att_ea_binding(ATT_HASH_SHA256, spki, exported_bytes, binding);
        att_hash_parts(ATT_HASH_SHA256, &(AttPart) { spki_bytes, sizeof spki_bytes }, 1, key_hash);
        ck_assert_mem_eq(a.claims->binding, binding, 32);
        ck_assert_mem_eq(a.claims->key_hash, key_hash, 32);
        ck_assert_int_eq(a.claims->role, ATT_ROLE_SERVER);
        ck_assert_uint_eq(a.claims->generation, 1);
        ck_assert_mem_eq(a.claims->config_digest, configuration->digest, 32);
        ck_assert(a.claims->caller && a.claims->caller->uid == 1000);
        ck_assert(!a.claims->shared_device);
        ck_assert_str_eq(a.evidence->profile, ATT_PROFILE_EVIDENCE);
        ck_assert_str_eq(a.evidence->tee->provider, "tdx_guest");
        told("a.evidence s.changed(1,0) ");
        att_session_close(s);
}
END_TEST

/* Two connections with one key: what differs is the exported value, and so all that follows. */
START_TEST(sc01_evidence_of_two_connections_is_not_alike) {
        static const uint8_t other[ATT_EXPORTED_SIZE] = { 9 };
        AttSession *s = open_session("s"), *t = open_session("t");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" }, again = { .name = "c" };
        AttAttestRequest q = request("context");

        tee_double_answer_all();
        ask(s, "context", &a);
        q.exported = other;
        ck_assert(att_session_attest(t, &q, on_answer, &b, NULL));
        q.context = "contexT";
        ck_assert(att_session_attest(t, &q, on_answer, &again, NULL));
        settle();
        ck_assert(a.claims && b.claims && again.claims);
        ck_assert_mem_ne(a.claims->binding, b.claims->binding, 32);
        ck_assert_mem_ne(a.report_data, b.report_data, sizeof a.report_data);
        ck_assert_mem_eq(a.claims->key_hash, b.claims->key_hash, 32);
        ck_assert_mem_eq(b.claims->binding, again.claims->binding, 32);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

/* The claims name the end that they are of: what a peer reflects is of the other one. */
START_TEST(sc05_the_role_is_in_what_is_signed) {
        g_autoptr(AttConnection) c = connection_of(1000);
        const AttSessionParameters client = { .role = ATT_ROLE_CLIENT, .hash = ATT_HASH_SHA256 };
        AttSession *s = open_on(c, "s"), *t = open_with(c, &client, "t", NULL);
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };

        tee_double_answer_all();
        ask(s, "context", &a);
        ask(t, "context", &b);
        settle();
        ck_assert_int_eq(a.claims->role, ATT_ROLE_SERVER);
        ck_assert_int_eq(b.claims->role, ATT_ROLE_CLIENT);
        ck_assert_mem_eq(a.claims->binding, b.claims->binding, 32);
        ck_assert_mem_ne(a.report_data, b.report_data, sizeof a.report_data);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

START_TEST(sc08b_other_profiles_fill_all_64_bytes_of_report_data) {
        AttSession *s = open_session("s");
        g_auto(Answer) pad = { .name = "pad" }, cocos = { .name = "cocos" };
        uint8_t binding[ATT_HASH_SIZE_MAX], expected[ATT_REPORT_DATA_SIZE] = { 0 };
        AttAttestRequest q = request("1");

        g_hash_table_add(configuration->expat_pad.uids, GUINT_TO_POINTER(1000));
        g_hash_table_add(configuration->cocos.uids, GUINT_TO_POINTER(1000));
        tee_double_answer_all();
        q.profile = ATT_PROFILE_EXPAT_PAD;
        ck_assert(att_session_attest(s, &q, on_answer, &pad, NULL));
        q.profile = ATT_PROFILE_COCOS;
        q.context = "2";
        ck_assert(att_session_attest(s, &q, on_answer, &cocos, NULL));
        settle();

        att_ea_binding(ATT_HASH_SHA256, spki, exported_bytes, binding);
        memcpy(expected, binding, 32);
        ck_assert_mem_eq(pad.report_data, expected, sizeof expected);
        ck_assert_ptr_null(pad.evidence->claims);
        att_sha512(&(AttPart) { binding, 32 }, 1, expected);
        ck_assert_mem_eq(cocos.report_data, expected, sizeof expected);
        ck_assert_ptr_null(cocos.evidence->claims);
        att_session_close(s);
}
END_TEST

START_TEST(profiles_are_granted_not_taken) {
        AttSession *s = open_session("s");
        AttAttestRequest q = request("1");
        g_auto(Answer) a = { .name = "a" };

        q.profile = ATT_PROFILE_COCOS;
        refused(s, &q, ATT_ERROR_PROFILE);
        q.profile = "cocos";
        refused(s, &q, ATT_ERROR_PROFILE);
        q.profile = "";
        refused(s, &q, ATT_ERROR_PROFILE);
        q.profile = ATT_PROFILE_EVIDENCE;
        ck_assert(att_session_attest(s, &q, on_answer, &a, NULL));
        att_session_close(s);
}
END_TEST

START_TEST(evidence_has_to_fit) {
        AttSession *s = open_session("s");
        g_auto(Answer) small = { .name = "small" }, fits = { .name = "fits" };
        AttAttestRequest q = request("1");

        tee_double_answer_all();
        tee_double_set_outblob_size(8000);
        q.max_size = 8000;
        ck_assert(att_session_attest(s, &q, on_answer, &small, NULL));
        settle();
        ck_assert(g_error_matches(small.error, ATT_ERROR, ATT_ERROR_TOO_LARGE));

        q.max_size = ATT_CMW_SIZE_MAX; /* and the context is free again */
        ck_assert(att_session_attest(s, &q, on_answer, &fits, NULL));
        settle();
        ck_assert(fits.evidence);
        att_session_close(s);
}
END_TEST

/* ----- arguments */

START_TEST(looks_at_arguments_before_all_else) {
        AttSession *s = open_session("s");
        g_autofree uint8_t *much = g_malloc0(ATT_PUBLIC_KEY_SIZE_MAX + 1), *longer = g_malloc0(sizeof spki_bytes + 1);
        g_autoptr(GBytes) big = g_bytes_new(much, ATT_PUBLIC_KEY_SIZE_MAX + 1), empty = g_bytes_new("", 0);
        g_autoptr(GBytes) cut = g_bytes_new(spki_bytes, sizeof spki_bytes - 1), more = NULL;
        const AttAttestRequest good = request("context");
        g_autoptr(GError) error = NULL;
        AttAttestRequest q;
        g_auto(Answer) a = { .name = "a" };

        memcpy(longer, spki_bytes, sizeof spki_bytes);
        more = g_bytes_new(longer, sizeof spki_bytes + 1);

        q = good, q.context_size = 0;
        refused(s, &q, ATT_ERROR_INVALID_ARGUMENT);
        q = good, q.context = much, q.context_size = 256;
        refused(s, &q, ATT_ERROR_INVALID_ARGUMENT);
        q = good, q.timeout_ms = 0;
        refused(s, &q, ATT_ERROR_INVALID_ARGUMENT);
        q = good, q.timeout_ms = ATT_TIMEOUT_MS_MAX + 1;
        refused(s, &q, ATT_ERROR_INVALID_ARGUMENT);
        q = good, q.max_size = 0;
        refused(s, &q, ATT_ERROR_INVALID_ARGUMENT);
        q = good, q.public_key = big;
        ck_assert(!att_session_attest(s, &q, on_answer, NULL, &error));
        ck_assert_str_eq(error->message, "public_key is over 8192 bytes"); /* and was not parsed */
        q = good, q.public_key = empty;
        refused(s, &q, ATT_ERROR_INVALID_ARGUMENT);
        q = good, q.public_key = cut;
        refused(s, &q, ATT_ERROR_INVALID_ARGUMENT);
        q = good, q.public_key = more;
        refused(s, &q, ATT_ERROR_INVALID_ARGUMENT);

        /* None of them has asked the device, or used up the context. */
        ck_assert_uint_eq(tee_double_asked->len, 0);
        ck_assert(att_session_attest(s, &good, on_answer, &a, NULL));
        att_session_close(s);
        ck_assert(a.error);
}
END_TEST

START_TEST(texts_for_the_log_are_short_and_printable) {
        static const struct {
                const char *protocol, *peer;
                bool ok;
        } rows[] = {
                { "https", "db.example.org", true },
                { "h\xc3\xa9", "", true },
                { "a\nb", NULL, false },
                { "a\tb", NULL, false },
                { NULL, "a\x1b[2J", false },
                { NULL, "a\xe2\x80\xae""b", false }, /* right-to-left override */
                { NULL, "\xff", false },
        };
        g_autofree char *protocol = g_strnfill(ATT_PROTOCOL_SIZE_MAX, 'x');
        g_autofree char *peer = g_strnfill(ATT_PEER_NAME_SIZE_MAX, 'x');
        g_autofree char *protocol_more = g_strnfill(ATT_PROTOCOL_SIZE_MAX + 1, 'x');
        g_autofree char *peer_more = g_strnfill(ATT_PEER_NAME_SIZE_MAX + 1, 'x');
        AttSessionParameters p = { .protocol = protocol, .peer = peer };

        ck_assert(att_session_parameters_check(&p, NULL));
        p.protocol = protocol_more;
        ck_assert(!att_session_parameters_check(&p, NULL));
        p = (AttSessionParameters) { .peer = peer_more };
        ck_assert(!att_session_parameters_check(&p, NULL));
        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(GError) error = NULL;

                p = (AttSessionParameters) { .protocol = rows[i].protocol, .peer = rows[i].peer };
                ck_assert(att_session_parameters_check(&p, &error) == rows[i].ok);
                ck_assert(rows[i].ok || g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
        }
}
END_TEST

/* ----- contexts */

START_TEST(sc11f_a_context_gives_evidence_once) {
        AttSession *s = open_session("s"), *t = open_session("t");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" }, c = { .name = "c" };
        const AttAttestRequest q = request("context");

        ask(s, "context", &a);
        refused(s, &q, ATT_ERROR_CONTEXT_USED); /* while it waits, */
        settle();
        refused(s, &q, ATT_ERROR_CONTEXT_USED); /* while it is under way, */
        tee_double_answer_all();
        answer();
        ck_assert(a.evidence);
        refused(s, &q, ATT_ERROR_CONTEXT_USED); /* and for ever after */
        ask(s, "contexts", &b);
        ask(t, "context", &c); /* another connection's contexts are its own */
        settle();
        ck_assert(b.evidence && c.evidence);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

START_TEST(a_context_without_evidence_may_be_tried_again) {
        AttSession *s = open_session("s");
        g_auto(Answer) failed = { .name = "failed" }, late = { .name = "late" }, good = { .name = "good" };
        AttAttestRequest q = request("context");

        ask(s, "context", &failed);
        settle();
        tee_double_fail(ATT_ERROR_BAD_DATA, "not a report");
        settle();
        ck_assert(failed.error);

        q.timeout_ms = 10;
        ck_assert(att_session_attest(s, &q, on_answer, &late, NULL));
        while (!late.is_there)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert(g_error_matches(late.error, ATT_ERROR, ATT_ERROR_TIMED_OUT));

        ask(s, "context", &good);
        tee_double_answer(); /* of the one that nobody wants */
        settle();
        answer();
        ck_assert(good.evidence);
        att_session_close(s);
}
END_TEST

/* ----- sealing and stale */

START_TEST(seals_when_the_device_is_free_and_not_before) {
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };

        ask(s, "1", &a);
        ask(s, "2", &b);
        settle();
        att_generation_move(att_attester_generation(attester), BECAUSE("x"));
        tee_double_answer_all();
        answer();
        ck_assert_uint_eq(a.claims->generation, 1);
        ck_assert_uint_eq(a.generation, 1);
        ck_assert_uint_eq(b.claims->generation, 2); /* it waited when the state moved */
        att_session_close(s);
}
END_TEST

/* The state moves under the report: the evidence comes as it was sealed, and
 * Stale is the next that the session hears. */
START_TEST(stale_follows_evidence_at_once) {
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };

        ask(s, "1", &a);
        settle();
        att_generation_move(att_attester_generation(attester), BECAUSE("x"));
        att_generation_move(att_attester_generation(attester), BECAUSE("y"));
        told("moved(2,x) moved(3,y) "); /* it has no evidence that could be stale */
        answer();
        ck_assert_uint_eq(a.claims->generation, 1);
        told("a.evidence s.stale(3,x+y) s.changed(1,1) ");

        ask(s, "2", &b);
        settle();
        answer();
        told("b.evidence s.changed(3,0) ");
        ck_assert(!att_session_is_stale(s));
        att_session_close(s);
}
END_TEST

START_TEST(stale_comes_once_until_there_is_newer_evidence) {
        AttSession *s = open_session("s"), *none = open_session("n");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };

        ask(s, "1", &a);
        settle();
        answer();
        told("a.evidence s.changed(1,0) ");
        att_generation_move(att_attester_generation(attester), BECAUSE("x"));
        told("moved(2,x) s.stale(2,x) s.changed(1,1) ");
        ask(s, "2", &b);
        settle();
        att_generation_move(att_attester_generation(attester), BECAUSE("y"));
        told("moved(3,y) "); /* it knows */
        answer();
        told("b.evidence s.stale(3,y) s.changed(2,1) ");
        att_session_close(s);
        att_session_close(none);
}
END_TEST

START_TEST(evidence_that_came_for_nobody_makes_nothing_stale) {
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" };

        ask(s, "1", &a);
        settle();
        tee_double_fail(ATT_ERROR_FAILED, "no");
        settle();
        att_generation_move(att_attester_generation(attester), BECAUSE("x"));
        told("a.error moved(2,x) ");
        att_session_close(s);
}
END_TEST

/* A session that renews is told of what has come meanwhile once, when it has renewed, and not for each. */
START_TEST(many_changes_under_a_renewal_are_one_stale) {
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" }, c = { .name = "c" };

        ask(s, "1", &a);
        settle();
        answer();
        state_double.watched = ATT_STATE_TCB;
        att_attester_look(attester);
        told("a.evidence s.changed(1,0) moved(2,tcb) s.stale(2,tcb) s.changed(1,1) ");

        ask(s, "2", &b);
        settle();
        for (guint i = 0; i < 20; i++) {
                state_double.watched = i % 2 ? ATT_STATE_SELINUX : ATT_STATE_REGISTER;
                att_attester_look(attester);
        }
        g_string_truncate(story, 0); /* moves, of which the session was told nothing: */
        answer();
        told("b.evidence s.stale(22,register+selinux) s.changed(2,1) ");

        ask(s, "3", &c);
        settle();
        answer();
        told("c.evidence s.changed(22,0) ");
        att_session_close(s);
}
END_TEST

/* ----- what C says of the log */

static void expect_log(const AttClaims *c, const char *root, AttBank bank, guint64 count) {
        g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET(bank));
        g_autoptr(GBytes) list = NULL, aggregate = NULL;
        AttCursor log;
        gsize size;
        const void *p;

        ck_assert(c->ima && !c->ima_state);
        ck_assert_str_eq(c->ima->root, root);
        ck_assert_str_eq(c->ima->bank, att_bank_name(bank));
        ck_assert_uint_eq(c->ima->count, count);

        list = state_double_list(count);
        p = g_bytes_get_data(list, &size);
        log = att_cursor(p, size);
        for (guint64 i = 0; i < count; i++) {
                AttImaRecord record;

                ck_assert_int_eq(att_ima_record_parse(&log, ATT_BANK_SHA256, &record, NULL), ATT_IMA_RECORD);
                ck_assert(att_ima_replay_add(replay, &record, ATT_BANK_SHA256, NULL));
        }
        aggregate = g_bytes_new(att_ima_replay_aggregate(replay, bank), att_bank_size(bank));
        ck_assert(g_bytes_equal(c->ima->aggregate, aggregate));
        ck_assert_uint_eq(c->ima->violations, att_ima_replay_violations(replay));
}

START_TEST(seals_the_newest_state_of_the_log) {
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };
        AttSession *s;

        begin_anew(NULL);
        s = open_session("s");
        ask(s, "1", &a);
        ask(s, "2", &b);
        settle();
        state_double_measure("/bin/new"); /* nobody has looked yet */
        state_double_violate("/etc/passwd");
        tee_double_answer_all();
        answer();
        expect_log(a.claims, "claimed", ATT_BANK_SHA256, 1);
        expect_log(b.claims, "claimed", ATT_BANK_SHA256, 3);
        ck_assert_uint_eq(a.claims->generation, 1);
        ck_assert_uint_eq(b.claims->generation, 2);
        /* Whoever is told comes after what all are told, and before the next evidence. */
        told("moved(2,ima+ima-violation) a.evidence s.stale(2,ima+ima-violation) s.changed(1,1) "
             "b.evidence s.changed(2,0) ");
        att_session_close(s);
}
END_TEST

static const AttImaState bad_states[] = { ATT_IMA_GARBLED, ATT_IMA_UNREADABLE, ATT_IMA_HISTORY_LOST };

START_TEST(sc16f_says_why_it_does_not_speak_of_the_log) {
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" }, c = { .name = "c" };
        AttSession *s;

        begin_anew(NULL);
        s = open_session("s");
        tee_double_answer_all();
        ask(s, "1", &a);
        settle();
        expect_log(a.claims, "claimed", ATT_BANK_SHA256, 1);

        state_double.ima_state = bad_states[_i];
        ask(s, "2", &b);
        settle();
        ck_assert(!b.claims->ima);
        ck_assert_str_eq(b.claims->ima_state, att_ima_state_name(bad_states[_i]));

        state_double.ima_state = ATT_IMA_ABSENT;
        ask(s, "3", &c);
        settle();
        ck_assert(!c.claims->ima && !c.claims->ima_state);
        att_session_close(s);
}
END_TEST

START_TEST(speaks_of_the_boot_where_it_may) {
        static const char log[] = "a boot log";
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };
        uint8_t digest[ATT_SHA256_SIZE];
        AttSession *s;

        state_double.boot_log = g_bytes_new_static(log, sizeof log);
        begin_anew("[Ima]\nRoot=none\n");
        tee_double_answer_all();
        s = open_session("s");
        ask(s, "1", &a);
        settle();
        att_sha256(&(AttPart) { log, sizeof log }, 1, digest);
        ck_assert(a.claims->boot_digest && !a.claims->ima && !a.claims->ima_state);
        ck_assert_mem_eq(g_bytes_get_data(a.claims->boot_digest, NULL), digest, sizeof digest);
        att_session_close(s);

        begin_anew("[Ima]\nBoot=no\n");
        tee_double_answer_all();
        s = open_session("s");
        ask(s, "1", &b);
        settle();
        ck_assert(!b.claims->boot_digest);
        att_session_close(s);
}
END_TEST

/* ----- the register */

START_TEST(the_register_stays_as_sealed_until_the_report_is_there) {
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };
        const AttMirror *mirror;
        AttSession *s;

        begin_anew("[Ima]\nRoot=rtmr\nRegister=2\n");
        mirror = att_ima_root_mirror(att_runtime_ima_root(att_attester_runtime(attester)));
        s = open_session("s");
        ask(s, "1", &a);
        settle();
        state_double_measure("/bin/new");
        att_attester_look(attester);
        ck_assert_uint_eq(att_mirror_count(mirror), 1); /* it is held, and they are told all the same */
        told("moved(2,ima) ");
        answer();
        expect_log(a.claims, "rtmr", ATT_BANK_SHA384, 1);
        ck_assert_int_eq(a.claims->ima->rtmr, 2);
        ck_assert_uint_eq(att_mirror_count(mirror), 2);
        told("a.evidence s.stale(2,ima) s.changed(1,1) ");

        ask(s, "2", &b);
        settle();
        answer();
        expect_log(b.claims, "rtmr", ATT_BANK_SHA384, 2);
        ck_assert_mem_eq(g_bytes_get_data(b.claims->ima->aggregate, NULL), att_mirror_register(mirror), ATT_RTMR_SIZE);
        att_session_close(s);
}
END_TEST

START_TEST(a_report_that_nobody_wants_holds_no_register) {
        g_auto(Answer) a = { .name = "a" };
        const AttMirror *mirror;
        AttSession *s;

        begin_anew("[Ima]\nRoot=rtmr\n");
        mirror = att_ima_root_mirror(att_runtime_ima_root(att_attester_runtime(attester)));
        s = open_session("s");
        ask(s, "1", &a);
        settle();
        att_session_close(s);
        ck_assert(a.error);
        state_double_measure("/bin/new");
        att_attester_look(attester);
        ck_assert_uint_eq(att_mirror_count(mirror), 2);
        tee_double_answer(); /* it comes all the same, and finds nobody */
        settle();
        ck_assert_uint_eq(att_mirror_count(mirror), 2);
}
END_TEST

/* Somebody extends the register under the report: that report is nobody's. */
START_TEST(sc33a_a_foreign_extension_is_no_root_any_more) {
        g_auto(Answer) a = { .name = "a" };
        AttSession *s;

        begin_anew("[Ima]\nRoot=rtmr\n");
        s = open_session("s");
        ask(s, "1", &a);
        settle();
        state_double.is_foreign = true;
        answer();
        ck_assert(!a.is_there);
        told("moved(2,ima-root) ");
        answer();
        expect_log(a.claims, "claimed", ATT_BANK_SHA384, 1);
        ck_assert_int_eq(a.claims->ima->rtmr, -1);
        ck_assert_uint_eq(a.claims->generation, 2);
        ck_assert_uint_eq(tee_double_asked->len, 2);
        att_session_close(s);
}
END_TEST

/* ----- the TPM */

START_TEST(a_tpm_quotes_beside_the_report) {
        g_autoptr(GBytes) quote = state_double_quote();
        g_auto(Answer) a = { .name = "a" };
        AttSession *s;

        state_double.has_tpm = true;
        state_double.tpm_bank = ATT_BANK_SHA1;
        begin_anew(NULL);
        s = open_session("s");
        tee_double_answer_all();
        ask(s, "1", &a);
        settle();
        expect_log(a.claims, "tpm-outside", ATT_BANK_SHA1, 1);
        ck_assert(a.claims->ima->ak_name && a.evidence->tpm && g_bytes_equal(a.evidence->tpm, quote));
        att_session_close(s);
}
END_TEST

START_TEST(evidence_goes_on_without_the_tpm_and_says_so) {
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };
        AttSession *s;

        state_double.has_tpm = true;
        state_double.tpm_bank = ATT_BANK_SHA384;
        begin_anew(NULL);
        s = open_session("s");
        ask(s, "1", &a);
        settle();
        state_double.tpm_fault = "it is gone";
        answer();
        ck_assert(!a.is_there); /* a report without the quote that it speaks of is nobody's */
        told("moved(2,ima-root) ");
        answer();
        expect_log(a.claims, "claimed", ATT_BANK_SHA384, 1);
        ck_assert(!a.claims->ima->ak_name && !a.evidence->tpm);
        ck_assert(strstr(att_runtime_root_detail(att_attester_runtime(attester)), "it is gone"));
        told("a.evidence s.changed(2,0) ");

        ask(s, "2", &b);
        settle();
        answer();
        expect_log(b.claims, "claimed", ATT_BANK_SHA384, 1);
        ck_assert_uint_eq(tee_double_asked->len, 3);
        att_session_close(s);
}
END_TEST

/* ----- nothing is kept */

/* The leaf's key is another one: what was made for the one before is for nobody. */
START_TEST(sc17_evidence_for_another_key_is_made_anew) {
        g_autoptr(GBytes) other = NULL;
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" }, again = { .name = "c" };
        uint8_t key[sizeof spki_bytes], hash[ATT_HASH_SIZE_MAX];
        AttAttestRequest q = request("2");
        AttSession *s;

        memcpy(key, spki_bytes, sizeof key);
        key[sizeof key - 1] ^= 1;
        other = g_bytes_new(key, sizeof key);
        begin_anew(NULL);
        s = open_session("s");
        tee_double_answer_all();
        ask(s, "1", &a);
        settle();
        q.public_key = other;
        ck_assert(att_session_attest(s, &q, on_answer, &b, NULL));
        settle();
        q = request("3");
        ck_assert(att_session_attest(s, &q, on_answer, &again, NULL));
        settle();

        att_hash_parts(ATT_HASH_SHA256, &(AttPart) { key, sizeof key }, 1, hash);
        ck_assert_mem_eq(b.claims->key_hash, hash, 32);
        ck_assert_mem_ne(a.claims->key_hash, b.claims->key_hash, 32);
        ck_assert_mem_eq(a.claims->key_hash, again.claims->key_hash, 32);
        ck_assert_uint_eq(tee_double_asked->len, 3); /* each by a report of its own */
        ck_assert_mem_ne(a.report_data, b.report_data, sizeof a.report_data);
        att_session_close(s);
}
END_TEST

/* What was read of the log and the TEE before does not stand in for how they are now. */
START_TEST(sc15b_live_state_beats_what_was_seen_before) {
        g_auto(Answer) a = { .name = "a" };
        guint n_looks;
        AttSession *s;

        begin_anew(NULL);
        s = open_session("s");
        tee_double_answer_all();
        n_looks = state_double.n_looks;
        state_double_measure("/bin/new");
        state_double.watched = ATT_STATE_TCB;
        ask(s, "1", &a);
        settle();
        ck_assert_uint_gt(state_double.n_looks, n_looks);
        expect_log(a.claims, "claimed", ATT_BANK_SHA256, 2);
        ck_assert_uint_eq(a.claims->generation, 2);
        told("moved(2,tcb+ima) a.evidence s.changed(2,0) ");
        att_session_close(s);
}
END_TEST

/* What a report shows of the firmware goes to all before the evidence goes to one, who is told right behind it. */
START_TEST(a_tcb_in_a_report_is_told_with_it) {
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" };

        ask(s, "1", &a);
        settle();
        state_double.seen = ATT_STATE_TCB;
        answer();
        told("moved(2,tcb) a.evidence s.stale(2,tcb) s.changed(1,1) ");
        att_session_close(s);
}
END_TEST

/* ----- the device as a source of generations */

START_TEST(a_device_that_goes_and_comes_back_moves_the_generation) {
        tee_double_set_state(ATT_TEE_DEGRADED, "the last report failed");
        tee_double_set_state(ATT_TEE_READY, "");
        told("");
        tee_double_set_state(ATT_TEE_DEVICE_LOST, "gone");
        tee_double_set_state(ATT_TEE_NO_TEE, "gone");
        told("moved(2,device) ");
        tee_double_set_state(ATT_TEE_READY, "");
        told("moved(3,device) ");
        tee_double_set_provider("sev_guest");
        told("moved(4,device) ");
        tee_double_set_state(ATT_TEE_SHARED_DEVICE, "shared");
        told("");
}
END_TEST

START_TEST(others_who_come_move_the_generation_and_are_in_the_claims) {
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" };

        tee_double_set_shared(true);
        told("moved(2,shared-device) ");
        tee_double_set_shared(true);
        told("");
        ask(s, "1", &a);
        settle();
        answer();
        ck_assert(a.claims->shared_device);
        told("a.evidence s.changed(2,0) ");
        tee_double_set_shared(false);
        told(""); /* less was said than is true: nothing to warn of */
        att_session_close(s);
}
END_TEST

/* With and without a generation for it. */
START_TEST(sc33_evidence_that_does_not_say_shared_is_not_of_a_shared_device) {
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };

        configuration->shared_device = _i == 0;
        ask(s, "1", &a);
        settle();
        tee_double_set_shared(true);
        answer();
        told(_i == 0 ? "moved(2,shared-device) " : "");
        ck_assert_uint_eq(tee_double_asked->len, 2);
        tee_double_set_shared(false); /* who has left was there all the same */
        answer();
        told(_i == 0 ? "a.evidence s.changed(2,0) " : "a.evidence s.changed(1,0) ");
        ck_assert(a.claims->shared_device);
        ck_assert_mem_eq(a.report_data, &g_array_index(tee_double_asked, guint8, ATT_REPORT_DATA_SIZE),
                         ATT_REPORT_DATA_SIZE);

        ask(s, "2", &b);
        settle();
        answer();
        ck_assert(b.claims && !b.claims->shared_device);
        ck_assert_uint_eq(tee_double_asked->len, 3);
        att_session_close(s);
}
END_TEST

START_TEST(sc33_who_closes_a_session_that_is_sealed_again_is_answered) {
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" };

        ask(s, "1", &a);
        settle();
        tee_double_set_shared(true);
        answer();
        att_session_close(s);
        ck_assert(g_error_matches(a.error, ATT_ERROR, ATT_ERROR_CANCELLED));
        answer();
}
END_TEST

/* What they sign has no room for it. */
START_TEST(sc33_other_profiles_are_sealed_once) {
        AttAttestRequest q = request("1");
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" };

        g_hash_table_add(configuration->expat_pad.uids, GUINT_TO_POINTER(1000));
        q.profile = ATT_PROFILE_EXPAT_PAD;
        ck_assert(att_session_attest(s, &q, on_answer, &a, NULL));
        settle();
        tee_double_set_shared(true);
        answer();
        ck_assert(a.evidence);
        ck_assert_uint_eq(tee_double_asked->len, 1);
        told("moved(2,shared-device) a.evidence s.stale(2,shared-device) s.changed(1,1) ");
        att_session_close(s);
}
END_TEST

START_TEST(configuration_says_what_counts) {
        configuration->device = false;
        configuration->shared_device = false;
        tee_double_set_state(ATT_TEE_DEVICE_LOST, "gone");
        tee_double_set_state(ATT_TEE_READY, "");
        tee_double_set_shared(true);
        told("");
}
END_TEST

START_TEST(without_a_tee_all_are_told_at_once) {
        AttSession *s = open_session("s");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };

        ask(s, "1", &a);
        ask(s, "2", &b);
        settle();
        tee_double_set_state(ATT_TEE_NO_TEE, "no driver");
        told("moved(2,device) b.error ");
        tee_double_fail(ATT_ERROR_NO_TEE, "no driver");
        settle();
        told("a.error ");
        ck_assert(g_error_matches(a.error, ATT_ERROR, ATT_ERROR_NO_TEE));
        ck_assert(g_error_matches(b.error, ATT_ERROR, ATT_ERROR_NO_TEE));
        att_session_close(s);
}
END_TEST

/* ----- limits and ends */

START_TEST(closing_answers_what_waits) {
        AttSession *s = open_session("s"), *t = open_session("t");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" }, c = { .name = "c" };

        ask(s, "1", &a);
        ask(s, "2", &b);
        ask(t, "3", &c);
        settle();
        att_session_close(s);
        told("a.error b.error ");
        ck_assert(g_error_matches(a.error, ATT_ERROR, ATT_ERROR_CANCELLED));
        ck_assert(g_error_matches(b.error, ATT_ERROR, ATT_ERROR_CANCELLED));

        answer();
        answer();
        ck_assert(c.evidence);
        ck_assert_uint_eq(tee_double_asked->len, 2);
        att_session_close(t);
}
END_TEST

START_TEST(requests_are_limited_by_session_user_and_in_all) {
        static const struct {
                guint per_session, per_user, all;
        } rows[] = { { 3, 100, 100 }, { 100, 3, 100 }, { 100, 100, 6 } }; /* of all, one user gets half */

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                AttSession *s = open_session("s");
                g_auto(Answer) a = { .name = "a" }, b = { .name = "b" }, c = { .name = "c" };
                const AttAttestRequest q = request("4");

                configuration->requests_per_session = rows[i].per_session;
                configuration->requests_per_user = rows[i].per_user;
                configuration->requests = rows[i].all;
                ask(s, "1", &a);
                ask(s, "2", &b);
                ask(s, "3", &c);
                refused(s, &q, ATT_ERROR_LIMIT_REACHED);
                settle();
                tee_double_answer(); /* makes room */
                settle();
                {
                        g_auto(Answer) d = { .name = "d" };

                        ask(s, "4", &d);
                        att_session_close(s);
                }
                answer();
        }
}
END_TEST

START_TEST(sessions_are_limited_by_connection_user_and_in_all) {
        static const struct {
                guint per_connection, per_user, all;
                bool other_connection, other_user; /* may one more be opened there? */
        } rows[] = { { 2, 100, 100, true, true }, { 100, 2, 100, false, true }, { 100, 100, 4, false, true } };

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(AttConnection) c = connection_of(1000), d = connection_of(1000), e = connection_of(1001);
                const AttSessionParameters p = { .role = ATT_ROLE_SERVER };
                g_autoptr(GError) error = NULL;
                AttSession *s, *t, *u;

                configuration->sessions_per_connection = rows[i].per_connection;
                configuration->sessions_per_user = rows[i].per_user;
                configuration->sessions = rows[i].all;
                s = open_on(c, "s");
                t = open_on(c, "t");
                ck_assert_uint_ne(att_session_number(s), att_session_number(t));
                ck_assert_ptr_null(open_with(c, &p, NULL, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));

                u = open_with(d, &p, NULL, NULL);
                ck_assert((u != NULL) == rows[i].other_connection);
                att_session_close(u);
                u = open_with(e, &p, NULL, NULL);
                ck_assert((u != NULL) == rows[i].other_user);
                att_session_close(u);

                att_session_close(s); /* makes room */
                u = open_with(c, &p, NULL, NULL);
                ck_assert(u);
                ck_assert_uint_gt(att_session_number(u), att_session_number(t));
                att_session_close(t);
                att_session_close(u);
        }
}
END_TEST

/* Five users, and room for 40 of which each may have 10. */
static const guint of_five[] = { 10, 10, 10, 5, 2 };

static void be_five_users(void) {
        for (guint i = 0; i < G_N_ELEMENTS(of_five); i++)
                g_hash_table_add(configuration->foreign_namespaces.uids, GUINT_TO_POINTER(2000 + i));
}

static void says_whose_limit(const GError *error, guint of_user, const char *user, const char *all) {
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));
        ck_assert_msg(g_str_has_prefix(error->message, of_user == 10 ? user : all), "%s", error->message);
}

START_TEST(a_fifth_user_gets_a_session_when_four_have_all_they_may) {
        const AttSessionParameters p = { .role = ATT_ROLE_SERVER };
        g_autoptr(GPtrArray) open = g_ptr_array_new_with_free_func((GDestroyNotify) att_session_close);
        g_autoptr(AttConnection) first = NULL;

        be_five_users();
        configuration->sessions = 40;
        configuration->sessions_per_user = configuration->sessions_per_connection = 10;
        for (guint i = 0; i < G_N_ELEMENTS(of_five); i++) {
                g_autoptr(AttConnection) c = connection_of(2000 + i), d = connection_of(2000 + i);
                g_autoptr(GError) error = NULL;

                for (guint n = 0; n < of_five[i]; n++)
                        g_ptr_array_add(open, open_on(n % 2 > 0 ? c : d, "s"));
                ck_assert_ptr_null(open_with(c, &p, NULL, &error));
                says_whose_limit(error, of_five[i], "this user may have 10 sessions; ", "all users together have 3");
                if (i == 0)
                        first = att_connection_ref(c);
        }

        /* Who has many gets one more only when there is as much for others. */
        g_ptr_array_remove_index_fast(open, 0);
        ck_assert_ptr_null(open_with(first, &p, NULL, NULL));
        g_ptr_array_remove_range(open, open->len - 20, 20);
        g_ptr_array_add(open, open_on(first, "s"));
}
END_TEST

START_TEST(sessions_of_one_connection_are_named_as_its_own) {
        const AttSessionParameters p = { .role = ATT_ROLE_SERVER };
        g_autoptr(AttConnection) c = connection_of(1000);
        g_autoptr(GError) error = NULL;
        AttSession *s;

        configuration->sessions = configuration->sessions_per_user = configuration->sessions_per_connection = 1;
        s = open_on(c, "s"); /* one alone is somebody's */
        ck_assert_ptr_null(open_with(c, &p, NULL, &error));
        ck_assert_msg(g_str_has_prefix(error->message, "this connection may have 1 sessions; "), "%s", error->message);
        att_session_close(s);
}
END_TEST

START_TEST(a_fifth_user_gets_a_request_when_four_have_all_they_may) {
        AttSession *sessions[G_N_ELEMENTS(of_five)];
        Answer answers[G_N_ELEMENTS(of_five)][10] = { 0 };

        be_five_users();
        configuration->requests = 40;
        configuration->requests_per_user = 10;
        configuration->requests_per_session = 11;
        for (guint i = 0; i < G_N_ELEMENTS(of_five); i++) {
                g_autoptr(AttConnection) c = connection_of(2000 + i);
                const AttAttestRequest more = request("more");
                g_autoptr(GError) error = NULL;

                sessions[i] = open_on(c, "s");
                for (guint n = 0; n < of_five[i]; n++) {
                        g_autofree char *context = g_strdup_printf("%u", n);

                        answers[i][n].name = "a";
                        ask(sessions[i], context, &answers[i][n]);
                }
                ck_assert(!att_session_attest(sessions[i], &more, on_answer, NULL, &error));
                says_whose_limit(error, of_five[i], "this user may have 10 waiting requests; ",
                                 "all users together have 3");
        }

        /* And a session's own limit is said to be that. */
        configuration->requests_per_session = 2;
        {
                const AttAttestRequest more = request("more");
                g_autoptr(GError) error = NULL;

                ck_assert(!att_session_attest(sessions[0], &more, on_answer, NULL, &error));
                ck_assert_msg(g_str_has_prefix(error->message, "this session may have 2 waiting requests; "), "%s",
                              error->message);
        }
        for (guint i = 0; i < G_N_ELEMENTS(of_five); i++) {
                att_session_close(sessions[i]);
                for (guint n = 0; n < of_five[i]; n++) {
                        ck_assert(answers[i][n].is_there);
                        answer_clear(&answers[i][n]);
                }
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("session");
        TCase *t = tcase_create("session");

        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_add_test(t, sc09a_the_tee_signs_r_of_the_claims_that_are_sent);
        tcase_add_test(t, sc01_evidence_of_two_connections_is_not_alike);
        tcase_add_test(t, sc05_the_role_is_in_what_is_signed);
        tcase_add_test(t, sc08b_other_profiles_fill_all_64_bytes_of_report_data);
        tcase_add_test(t, profiles_are_granted_not_taken);
        tcase_add_test(t, evidence_has_to_fit);
        tcase_add_test(t, looks_at_arguments_before_all_else);
        tcase_add_test(t, texts_for_the_log_are_short_and_printable);
        tcase_add_test(t, sc11f_a_context_gives_evidence_once);
        tcase_add_test(t, a_context_without_evidence_may_be_tried_again);
        tcase_add_test(t, seals_when_the_device_is_free_and_not_before);
        tcase_add_test(t, stale_follows_evidence_at_once);
        tcase_add_test(t, stale_comes_once_until_there_is_newer_evidence);
        tcase_add_test(t, evidence_that_came_for_nobody_makes_nothing_stale);
        tcase_add_test(t, many_changes_under_a_renewal_are_one_stale);
        tcase_add_test(t, seals_the_newest_state_of_the_log);
        tcase_add_loop_test(t, sc16f_says_why_it_does_not_speak_of_the_log, 0, (int) G_N_ELEMENTS(bad_states));
        tcase_add_test(t, speaks_of_the_boot_where_it_may);
        tcase_add_test(t, the_register_stays_as_sealed_until_the_report_is_there);
        tcase_add_test(t, a_report_that_nobody_wants_holds_no_register);
        tcase_add_test(t, sc33a_a_foreign_extension_is_no_root_any_more);
        tcase_add_test(t, a_tpm_quotes_beside_the_report);
        tcase_add_test(t, evidence_goes_on_without_the_tpm_and_says_so);
        tcase_add_test(t, sc17_evidence_for_another_key_is_made_anew);
        tcase_add_test(t, sc15b_live_state_beats_what_was_seen_before);
        tcase_add_test(t, a_tcb_in_a_report_is_told_with_it);
        tcase_add_test(t, a_device_that_goes_and_comes_back_moves_the_generation);
        tcase_add_test(t, others_who_come_move_the_generation_and_are_in_the_claims);
        tcase_add_loop_test(t, sc33_evidence_that_does_not_say_shared_is_not_of_a_shared_device, 0, 2);
        tcase_add_test(t, sc33_who_closes_a_session_that_is_sealed_again_is_answered);
        tcase_add_test(t, sc33_other_profiles_are_sealed_once);
        tcase_add_test(t, configuration_says_what_counts);
        tcase_add_test(t, without_a_tee_all_are_told_at_once);
        tcase_add_test(t, closing_answers_what_waits);
        tcase_add_test(t, requests_are_limited_by_session_user_and_in_all);
        tcase_add_test(t, sessions_are_limited_by_connection_user_and_in_all);
        tcase_add_test(t, a_fifth_user_gets_a_session_when_four_have_all_they_may);
        tcase_add_test(t, sessions_of_one_connection_are_named_as_its_own);
        tcase_add_test(t, a_fifth_user_gets_a_request_when_four_have_all_they_may);
        suite_add_tcase(s, t);
        return run_suite(s);
}
