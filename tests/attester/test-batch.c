/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions whose requests share a report. */
#include "attester/session.h"

#include "clock-double.h"
#include "codec/evidence.h"
#include "codec/inclusion-proof.h"
#include "ea/authenticator.h"
#include "run.h"
#include "session-scene.h"
#include "state-double.h"
#include "tee-double.h"
#include "util/error.h"
#include "verifier/report-data.h"

#include <sys/syscall.h>
#include <unistd.h>

enum { MANY = 100 };

static AttAttestRequest batched(const char *context) {
        AttAttestRequest q = request(context);

        q.batch = true;
        return q;
}

static void ask_batched(AttSession *s, const char *context, Answer *a) {
        const AttAttestRequest q = batched(context);

        ask_for(s, &q, a);
}

/* The device is under way with somebody else's request. */
static AttSession *occupy(Answer *a) {
        AttSession *s = open_session("first");

        a->name = "first";
        ask_batched(s, "first", a);
        settle();
        g_string_truncate(story, 0);
        return s;
}

static const guint8 *signed_data(const Answer *a) {
        return (const guint8 *) g_bytes_get_data(a->evidence->tee->outblob, NULL) + 64;
}

/* By the formulas of who verifies it. */
static void verify(const Answer *a) {
        uint8_t r[ATT_REPORT_DATA_SIZE];

        ck_assert(a->is_there && a->evidence && a->claims);
        if (a->evidence->proof) {
                AttInclusionProof proof;

                ck_assert(att_inclusion_proof_decode(a->evidence->proof, &proof, NULL));
                ck_assert_uint_eq(proof.n, a->batch);
                att_report_data_batch(a->evidence->claims, &proof, r);
        } else {
                ck_assert_uint_eq(a->batch, 1);
                att_report_data_evidence(a->evidence->claims, r);
        }
        ck_assert_mem_eq(r, a->report_data, sizeof r);
        ck_assert_mem_eq(r, signed_data(a), sizeof r);
}

/* What is put together in pieces is what the encoder of all evidence makes of it. */
static void expect_general_encoding(const Answer *a) {
        bool left_out;
        g_autoptr(GBytes) again = NULL;

        again = att_evidence_encode(a->evidence, ATT_CMW_SIZE_MAX, &left_out, NULL);
        ck_assert(again && g_bytes_equal(again, a->bytes));
}

static void answers_clear(Answer *answers, guint n) {
        for (guint i = 0; i < n; i++) {
                answer_clear(&answers[i]);
                answers[i] = (Answer) { 0 };
        }
}

START_TEST(ft13_all_that_wait_share_one_report_and_each_has_its_own_proof) {
        g_autofree Answer *answers = g_new0(Answer, MANY);
        g_autofree AttSession **sessions = g_new0(AttSession *, MANY);
        g_autoptr(GHashTable) bindings = g_hash_table_new(g_bytes_hash, g_bytes_equal);
        g_auto(Answer) first = { 0 };
        AttSession *s = occupy(&first);
        uint8_t exported[MANY][ATT_EXPORTED_SIZE] = { 0 };

        for (guint i = 0; i < MANY; i++) {
                AttAttestRequest q = batched("context");

                exported[i][0] = (uint8_t) i;
                q.exported = exported[i];
                answers[i].name = "a";
                sessions[i] = open_session("s");
                ask_for(sessions[i], &q, &answers[i]);
        }
        answer();
        verify(&first);
        ck_assert_ptr_null(first.evidence->proof); /* it was alone */
        answer();
        ck_assert_uint_eq(tee_double_asked->len, 2);
        for (guint i = 0; i < MANY; i++) {
                AttInclusionProof proof;

                verify(&answers[i]);
                expect_general_encoding(&answers[i]);
                ck_assert(att_inclusion_proof_decode(answers[i].evidence->proof, &proof, NULL));
                ck_assert_uint_eq(proof.n, MANY);
                ck_assert_uint_eq(proof.index, i);
                ck_assert(g_hash_table_add(bindings, answers[i].evidence->claims)); /* no two are alike */
                ck_assert_int_eq(answers[i].claims->issued_at, answers[0].claims->issued_at);
                att_session_close(sessions[i]);
        }
        answers_clear(answers, MANY);
        att_session_close(s);
}
END_TEST

/* Users, ends of the connection and hashes may be mixed; each C says what is its own. */
START_TEST(a_batch_may_be_of_anybody) {
        g_autoptr(AttConnection) c = NULL, d = NULL;
        const AttSessionParameters rows[] = {
                { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256 },
                { .role = ATT_ROLE_CLIENT, .hash = ATT_HASH_SHA256 },
                { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA384 },
                { .role = ATT_ROLE_CLIENT, .hash = ATT_HASH_SHA384 },
        };
        AttSession *sessions[8], *s;
        Answer answers[8] = { 0 };
        g_auto(Answer) first = { 0 };

        begin_anew(NULL);
        s = occupy(&first);
        c = connection_of(1000);
        d = connection_of(1001);
        for (guint i = 0; i < 8; i++) {
                answers[i].name = "a";
                sessions[i] = open_with(i < 4 ? c : d, &rows[i % 4], "s", NULL);
                ask_batched(sessions[i], "context", &answers[i]);
        }
        answer();
        answer();
        for (guint i = 0; i < 8; i++) {
                uint8_t binding[ATT_HASH_SIZE_MAX];

                verify(&answers[i]);
                expect_general_encoding(&answers[i]);
                att_ea_binding(rows[i % 4].hash, spki, exported_bytes, binding);
                ck_assert_int_eq(answers[i].claims->hash, rows[i % 4].hash);
                ck_assert_int_eq(answers[i].claims->role, rows[i % 4].role);
                ck_assert_mem_eq(answers[i].claims->binding, binding, att_hash_size(rows[i % 4].hash));
                ck_assert_uint_eq(answers[i].claims->caller->uid, i < 4 ? 1000 : 1001);
                ck_assert_uint_eq(answers[i].claims->ima->count, 1);
                att_session_close(sessions[i]);
        }
        answers_clear(answers, 8);
        att_session_close(s);
}
END_TEST

START_TEST(sc38c_who_did_not_offer_batches_gets_the_plain_form) {
        AttSession *t = open_session("t");
        Answer answers[4] = { { .name = "0" }, { .name = "1" }, { .name = "2" }, { .name = "3" } };
        g_auto(Answer) first = { 0 };
        AttSession *s = occupy(&first);

        ask_batched(t, "0", &answers[0]);
        ask(t, "1", &answers[1]);
        ask_batched(t, "2", &answers[2]);
        ask(t, "3", &answers[3]);
        tee_double_answer_all();
        answer();
        for (guint i = 0; i < 4; i++) {
                verify(&answers[i]);
                ck_assert((answers[i].evidence->proof != NULL) == (i % 2 == 0));
        }
        ck_assert_uint_eq(tee_double_asked->len, 4);
        answers_clear(answers, 4);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

/* They have no C that could be a leaf. */
START_TEST(profiles_without_claims_are_never_in_a_batch) {
        AttSession *t = open_session("t");
        Answer answers[4] = { { .name = "0" }, { .name = "1" }, { .name = "2" }, { .name = "3" } };
        const char *const profiles[] = { ATT_PROFILE_EXPAT_PAD, ATT_PROFILE_COCOS };
        g_auto(Answer) first = { 0 };
        AttSession *s = occupy(&first);

        g_hash_table_add(configuration->expat_pad.uids, GUINT_TO_POINTER(1000));
        g_hash_table_add(configuration->cocos.uids, GUINT_TO_POINTER(1000));
        for (guint i = 0; i < 4; i++) {
                AttAttestRequest q = batched(answers[i].name);

                q.profile = profiles[i % 2];
                ask_for(t, &q, &answers[i]);
        }
        tee_double_answer_all();
        answer();
        for (guint i = 0; i < 4; i++) {
                ck_assert(answers[i].evidence && !answers[i].evidence->proof && answers[i].batch == 1);
                ck_assert_str_eq(answers[i].evidence->profile, profiles[i % 2]);
                expect_general_encoding(&answers[i]);
        }
        ck_assert_uint_eq(tee_double_asked->len, 5);
        answers_clear(answers, 4);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

/* ----- what happens under a report */

START_TEST(a_generation_that_moves_under_a_batch_makes_each_stale_at_once) {
        AttSession *t = open_session("t"), *u = open_session("u");
        g_auto(Answer) first = { 0 }, a = { .name = "a" }, b = { .name = "b" };
        AttSession *s = occupy(&first);

        ask_batched(t, "1", &a);
        ask_batched(u, "1", &b);
        answer();
        told("first.evidence first.changed(1,0) ");
        att_generation_move(att_attester_generation(attester), BECAUSE("x"));
        told("moved(2,x) first.stale(2,x) first.changed(1,1) ");
        answer();
        told("a.evidence t.stale(2,x) t.changed(1,1) b.evidence u.stale(2,x) u.changed(1,1) ");
        verify(&a);
        verify(&b);
        ck_assert_uint_eq(a.claims->generation, 1);
        ck_assert_uint_eq(b.claims->generation, 1);
        att_session_close(s);
        att_session_close(t);
        att_session_close(u);
}
END_TEST

/* The one snapshot is that of the moment when the batch closes. */
START_TEST(seals_all_of_a_batch_when_it_closes_and_not_before) {
        AttSession *t = NULL;
        g_auto(Answer) first = { 0 }, a = { .name = "a" }, b = { .name = "b" };
        AttSession *s;

        begin_anew(NULL);
        s = occupy(&first);
        t = open_session("t");
        ask_batched(t, "1", &a);
        state_double_measure("/bin/one");
        ask_batched(t, "2", &b);
        state_double_measure("/bin/two");
        answer();
        state_double_measure("/bin/three");
        answer();
        verify(&a);
        verify(&b);
        ck_assert_uint_eq(a.claims->ima->count, 3);
        ck_assert_uint_eq(b.claims->ima->count, 3);
        ck_assert_uint_eq(a.claims->generation, b.claims->generation);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

START_TEST(sc33_a_batch_that_does_not_say_shared_is_sealed_again_as_a_whole) {
        AttSession *t = open_session("t");
        g_auto(Answer) first = { 0 }, a = { .name = "a" }, b = { .name = "b" };
        AttSession *s = occupy(&first);

        configuration->shared_device = false;
        ask_batched(t, "1", &a);
        ask_batched(t, "2", &b);
        answer();
        tee_double_set_shared(true);
        answer();
        ck_assert(!a.is_there && !b.is_there);
        ck_assert_uint_eq(tee_double_asked->len, 3);
        tee_double_set_shared(false);
        answer();
        verify(&a);
        verify(&b);
        ck_assert(a.claims->shared_device && b.claims->shared_device);
        ck_assert_uint_eq(a.batch, 2);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

/* They were there while the report was made, and are gone when it is sealed again. */
START_TEST(sc33_others_who_have_left_again_are_said_all_the_same) {
        AttSession *t = open_session("t");
        g_auto(Answer) first = { 0 }, a = { .name = "a" }, b = { .name = "b" }, c = { .name = "c" };
        AttSession *s = occupy(&first);

        ask_batched(t, "1", &a);
        ask_batched(t, "2", &b);
        answer();
        tee_double_set_shared(true);
        tee_double_answer();
        tee_double_set_shared(false);
        settle();
        ck_assert(!a.is_there && !b.is_there);
        answer();
        verify(&a);
        verify(&b);
        ck_assert(a.claims->shared_device && b.claims->shared_device);

        ask_batched(t, "3", &c); /* what follows is not */
        settle();
        answer();
        ck_assert(c.claims && !c.claims->shared_device);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

START_TEST(sc33a_a_foreign_extension_is_no_root_of_a_batch) {
        g_auto(Answer) first = { 0 }, a = { .name = "a" }, b = { .name = "b" };
        AttSession *s, *t;

        begin_anew("[Ima]\nRoot=rtmr\n");
        s = occupy(&first);
        t = open_session("t");
        ask_batched(t, "1", &a);
        ask_batched(t, "2", &b);
        answer();
        state_double.is_foreign = true;
        answer();
        ck_assert(!a.is_there && !b.is_there);
        answer();
        verify(&a);
        verify(&b);
        ck_assert_str_eq(a.claims->ima->root, "claimed");
        ck_assert_str_eq(b.claims->ima->root, "claimed");
        ck_assert_uint_eq(tee_double_asked->len, 3);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

START_TEST(who_leaves_a_batch_that_is_under_way_changes_nothing_for_the_others) {
        AttSession *t = open_session("t"), *u = open_session("u");
        g_auto(Answer) first = { 0 }, a = { .name = "a" }, b = { .name = "b" }, late = { .name = "late" };
        AttSession *s = occupy(&first);
        AttAttestRequest q = batched("3");

        ask_batched(t, "1", &a);
        ask_batched(u, "2", &b);
        q.timeout_ms = 20;
        ask_for(u, &q, &late);
        answer();
        att_session_close(t);
        ck_assert(g_error_matches(a.error, ATT_ERROR, ATT_ERROR_CANCELLED));
        while (!late.is_there)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert(g_error_matches(late.error, ATT_ERROR, ATT_ERROR_TIMED_OUT));
        answer();
        verify(&b);
        ck_assert_uint_eq(b.batch, 3); /* as many as were sealed */
        ck_assert_uint_eq(tee_double_asked->len, 2);
        att_session_close(s);
        att_session_close(u);
}
END_TEST

START_TEST(contexts_of_a_batch_that_failed_may_be_tried_again) {
        AttSession *t = open_session("t");
        g_auto(Answer) first = { 0 }, a = { .name = "a" }, b = { .name = "b" }, again = { .name = "again" };
        AttSession *s = occupy(&first);
        const AttAttestRequest q = batched("1");

        ask_batched(t, "1", &a);
        ask_batched(t, "2", &b);
        answer();
        refused(t, &q, ATT_ERROR_CONTEXT_USED);
        tee_double_fail(ATT_ERROR_FAILED, "the device has died");
        settle();
        ck_assert(g_error_matches(a.error, ATT_ERROR, ATT_ERROR_FAILED));
        ck_assert(g_error_matches(b.error, ATT_ERROR, ATT_ERROR_FAILED));
        ask_for(t, &q, &again);
        settle();
        answer();
        verify(&again);
        refused(t, &q, ATT_ERROR_CONTEXT_USED);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

/* ----- in two pieces */

START_TEST(an_answer_in_two_pieces_is_the_plain_one_to_the_byte) {
        Answer answers[6] = { 0 };
        g_auto(Answer) first = { 0 };
        AttSession *s, *t;

        state_double.has_tpm = _i & 1;
        state_double.tpm_bank = ATT_BANK_SHA256;
        begin_anew(NULL);
        tee_double_set_outblob_size(8000);
        tee_double_set_auxblob_size(_i & 2 ? 4000 : 0);
        s = occupy(&first);
        t = open_session("t");
        for (guint i = 0; i < 6; i++) {
                char context[] = { (char) ('a' + i), '\0' };
                AttAttestRequest q = batched(context);

                q.split = i % 2 == 0;
                q.max_size = i < 4 ? ATT_CMW_SIZE_MAX : 11000; /* too little for the auxblob */
                answers[i].name = "a";
                ask_for(t, &q, &answers[i]);
        }
        answer();
        answer();
        for (guint i = 0; i < 6; i++) {
                verify(&answers[i]);
                expect_general_encoding(&answers[i]);
                ck_assert_uint_eq(answers[i].batch, 6);
                ck_assert((answers[i].shared != NULL) == (i % 2 == 0));
                ck_assert((answers[i].evidence->tpm != NULL) == (_i & 1));
                ck_assert(answers[i].left_out == (i >= 4 && (_i & 2)));
                ck_assert((answers[i].evidence->tee->auxblob != NULL) == ((_i & 2) && i < 4));
                if (answers[i].shared)
                        ck_assert_uint_lt(answers[i].own_size, 2000);
        }
        /* One for all of them, and one for those that have no room for all of it. */
        ck_assert_ptr_eq(answers[0].shared, answers[2].shared);
        ck_assert((answers[0].shared == answers[4].shared) == !(_i & 2));
        ck_assert((answers[0].shared->id == answers[4].shared->id) == !(_i & 2));
        answers_clear(answers, 6);
        att_session_close(s);
        att_session_close(t);
}
END_TEST

START_TEST(no_two_reports_have_the_same_number) {
        AttSession *t = open_session("t");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };
        AttAttestRequest q = request("1");

        q.split = true; /* also of the plain form */
        tee_double_answer_all();
        ask_for(t, &q, &a);
        settle();
        q.context = "2";
        ask_for(t, &q, &b);
        settle();
        verify(&a);
        verify(&b);
        ck_assert(a.shared && b.shared);
        ck_assert_uint_ne(a.shared->id, b.shared->id);
        ck_assert_uint_ne(a.shared->id, 0);
        ck_assert_uint_eq(a.batch, 1);
        att_session_close(t);
}
END_TEST

START_TEST(both_pieces_have_to_fit) {
        AttSession *t = open_session("t");
        g_auto(Answer) a = { .name = "a" }, b = { .name = "b" };
        AttAttestRequest q = request("1");

        tee_double_answer_all();
        tee_double_set_outblob_size(8000);
        q.split = true;
        q.max_size = 8000;
        ask_for(t, &q, &a);
        settle();
        ck_assert(g_error_matches(a.error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        q.max_size = 9000;
        ask_for(t, &q, &b);
        settle();
        verify(&b);
        att_session_close(t);
}
END_TEST

/* ----- who takes no answers */

static guint n_descriptors(void) {
        g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
        guint n = 0;

        while (g_dir_read_name(dir))
                n++;
        return n;
}

/* As long as the caller is known, that is open. */
static AttConnection *connection_with_descriptor(void) {
        AttPeer peer = { .uid = 1000, .pid = getpid(), .pidfd = (int) syscall(SYS_pidfd_open, getpid(), 0) };
        g_autoptr(AttCaller) caller = att_caller_new(&peer, configuration, NULL);

        ck_assert(caller);
        return att_connection_new(attester, caller);
}

static void on_kept_answer(const AttAttested *attested, GError *error, gpointer userdata) {
        ck_assert(!attested->sealed->tree && !attested->sealed->molds && !attested->sealed->common);
        on_answer(attested, error, userdata);
}

static void ask_to_be_kept(AttSession *s, const char *context, bool split, Answer *a) {
        AttAttestRequest q = batched(context);

        a->name = "kept";
        q.split = split;
        ck_assert(att_session_attest(s, &q, on_kept_answer, a, NULL));
}

START_TEST(of_answers_that_are_not_read_nothing_of_others_is_kept) {
        enum { ROUNDS = 3, OTHERS = 20 };
        g_autoptr(AttConnection) slow = connection_of(1001);
        AttSession *unread = open_on(slow, "unread");
        Answer kept[2 * ROUNDS] = { 0 };
        guint before = n_descriptors();

        att_connection_hold(slow);
        for (guint round = 0; round < ROUNDS; round++) {
                AttSession *sessions[OTHERS];
                Answer answers[OTHERS] = { 0 };
                g_auto(Answer) first = { 0 };
                AttSession *s = occupy(&first);

                for (guint i = 0; i < OTHERS; i++) {
                        g_autoptr(AttConnection) c = connection_with_descriptor();

                        answers[i].name = "other";
                        sessions[i] = open_on(c, "other");
                        ask_batched(sessions[i], "context", &answers[i]);
                }
                ck_assert_uint_ge(n_descriptors(), before + OTHERS);
                for (guint i = 2 * round; i < 2 * round + 2; i++) {
                        g_autofree char *context = g_strdup_printf("%u", i);

                        ask_to_be_kept(unread, context, i % 2, &kept[i]);
                }
                answer();
                answer();
                for (guint i = 0; i < OTHERS; i++) {
                        ck_assert_uint_eq(answers[i].batch, OTHERS + 2);
                        att_session_close(sessions[i]);
                }
                answers_clear(answers, OTHERS);
                att_session_close(s);
                ck_assert_uint_lt(n_descriptors(), before + OTHERS);
        }

        for (guint i = 0; i < 2 * ROUNDS; i++)
                ck_assert(!kept[i].is_there);
        att_connection_release(slow);
        settle();
        for (guint i = 0; i < 2 * ROUNDS; i++) {
                verify(&kept[i]);
                ck_assert_uint_eq(kept[i].batch, OTHERS + 2);
                ck_assert((kept[i].shared != NULL) == i % 2);
        }
        answers_clear(kept, 2 * ROUNDS);
        att_session_close(unread);
}
END_TEST

START_TEST(what_is_kept_for_who_does_not_read_goes_with_him) {
        g_autoptr(AttConnection) slow = connection_of(1001);
        AttSession *unread = open_on(slow, "unread");
        Answer answers[2] = { { .name = "a" }, { .name = "b" } };
        g_auto(Answer) first = { 0 };
        AttSession *s = occupy(&first);

        att_connection_hold(slow);
        for (guint i = 0; i < 2; i++)
                ask_batched(unread, i ? "b" : "a", &answers[i]);
        answer();
        answer();
        ck_assert(!answers[0].is_there && !answers[1].is_there);
        att_session_close(unread);
        for (guint i = 0; i < 2; i++)
                ck_assert(g_error_matches(answers[i].error, ATT_ERROR, ATT_ERROR_CANCELLED));
        answers_clear(answers, 2);
        att_session_close(s);
}
END_TEST

/* ----- the journal */

static guint n_lines;
static char *last_line;

static GLogWriterOutput count_lines(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer userdata) {
        bool is_evidence = false;
        const char *message = "";

        (void) level, (void) userdata;
        for (gsize i = 0; i < n; i++) {
                is_evidence |= g_str_equal(fields[i].key, "MESSAGE_ID");
                if (g_str_equal(fields[i].key, "MESSAGE"))
                        message = fields[i].value;
        }
        if (is_evidence) {
                n_lines++;
                g_free(last_line);
                last_line = g_strdup(message);
        }
        return G_LOG_WRITER_HANDLED;
}

START_TEST(a_batch_is_one_line_of_the_journal) {
        g_autofree Answer *answers = g_new0(Answer, MANY);
        g_autofree AttSession **sessions = g_new0(AttSession *, MANY);
        g_autoptr(AttConnection) other = connection_of(1001);
        g_auto(Answer) first = { 0 };
        AttSession *s = occupy(&first);

        n_lines = 0;
        for (guint i = 0; i < MANY; i++) {
                answers[i].name = "a";
                sessions[i] = i % 10 == 0 ? open_on(other, "s") : open_session("s");
                ask_batched(sessions[i], "context", &answers[i]);
        }
        answer();
        ck_assert_uint_eq(n_lines, 1);
        ck_assert(strstr(last_line, "session "));
        answer();
        ck_assert_uint_eq(n_lines, 2);
        ck_assert(g_str_has_prefix(last_line, "a batch of 100: evidence of generation 1 from tdx_guest for "));
        ck_assert(strstr(last_line, "90 of uid 1000"));
        ck_assert(strstr(last_line, "10 of uid 1001"));
        for (guint i = 0; i < MANY; i++)
                att_session_close(sessions[i]);
        answers_clear(answers, MANY);
        att_session_close(s);
        g_clear_pointer(&last_line, g_free);
}
END_TEST

START_TEST(a_line_of_many_callers_is_not_long) {
        enum { USERS = 40 };
        Answer answers[USERS] = { 0 };
        AttSession *sessions[USERS];
        g_auto(Answer) first = { 0 };
        AttSession *s = occupy(&first);

        n_lines = 0;
        for (guint i = 0; i < USERS; i++) {
                g_autoptr(AttConnection) c = NULL;

                g_hash_table_add(configuration->foreign_namespaces.uids, GUINT_TO_POINTER(5000 + i));
                c = connection_of(5000 + i);
                answers[i].name = "a";
                sessions[i] = open_on(c, "s");
                ask_batched(sessions[i], "context", &answers[i]);
        }
        answer();
        answer();
        ck_assert(strstr(last_line, "; 32 of others"));
        ck_assert_uint_lt(strlen(last_line), 400);
        for (guint i = 0; i < USERS; i++)
                att_session_close(sessions[i]);
        answers_clear(answers, USERS);
        att_session_close(s);
        g_clear_pointer(&last_line, g_free);
}
END_TEST

/* ----- after a change */

static void set_up_change(void) {
        set_up();
        tee_double_set_interval_us(G_USEC_PER_SEC);
        clock_double_us = g_get_monotonic_time();
}

static void tear_down_change(void) {
        clock_double_us = 0;
        tear_down();
}

/* @n sessions, of which each has evidence. */
static void open_fresh(AttSession **sessions, guint n) {
        g_autofree Answer *answers = g_new0(Answer, n);

        for (guint i = 0; i < n; i++) {
                sessions[i] = open_session("s");
                answers[i].name = "fresh";
                ask_batched(sessions[i], "fresh", &answers[i]);
        }
        settle();
        answer();
        answers_clear(answers, n);
}

START_TEST(all_whose_evidence_is_stale_share_one_report) {
        AttSession *sessions[5], *none = open_session("none");
        Answer answers[3] = { { .name = "a" }, { .name = "b" }, { .name = "c" } };
        guint n;

        open_fresh(sessions, 5);
        n = tee_double_asked->len;
        att_generation_move(att_attester_generation(attester), BECAUSE("x"));
        for (guint i = 0; i < 3; i++) {
                clock_double_us += 45 * 1000;
                settle();
                ck_assert_uint_eq(tee_double_asked->len, n);
                ask_batched(sessions[i], "again", &answers[i]);
                settle();
                /* Who asks for nothing any more is not waited for. */
                if (i < 2)
                        att_session_close(sessions[3 + i]);
        }
        ck_assert_uint_eq(tee_double_asked->len, n + 1);
        answer();
        for (guint i = 0; i < 3; i++) {
                ck_assert_uint_eq(answers[i].batch, 3);
                ck_assert_uint_eq(answers[i].claims->generation, 2);
                att_session_close(sessions[i]);
        }
        answers_clear(answers, 3);
        att_session_close(none);
}
END_TEST

START_TEST(who_closes_when_others_wait_for_him_is_not_waited_for) {
        AttSession *sessions[2];
        g_auto(Answer) a = { .name = "a" };
        guint n;

        open_fresh(sessions, 2);
        n = tee_double_asked->len;
        att_generation_move(att_attester_generation(attester), BECAUSE("x"));
        ask_batched(sessions[0], "again", &a);
        settle();
        ck_assert_uint_eq(tee_double_asked->len, n);
        att_session_close(sessions[1]);
        settle();
        ck_assert_uint_eq(tee_double_asked->len, n + 1);
        answer();
        att_session_close(sessions[0]);
}
END_TEST

/* What waits when the state moves speaks of the new one; what is under way does not, and is asked for again. */
START_TEST(who_has_asked_already_is_not_waited_for) {
        AttSession *sessions[3];
        Answer answers[5] = { { .name = "a" }, { .name = "b" }, { .name = "c" }, { .name = "d" }, { .name = "e" } };
        guint n;

        open_fresh(sessions, 3);
        n = tee_double_asked->len;
        ask_batched(sessions[0], "1", &answers[0]);
        ask_batched(sessions[1], "1", &answers[1]);
        settle();
        ask_batched(sessions[2], "1", &answers[2]);
        att_generation_move(att_attester_generation(attester), BECAUSE("x"));
        ck_assert_uint_eq(tee_double_asked->len, n + 1);
        answer();
        ck_assert_uint_eq(tee_double_asked->len, n + 2);
        answer();
        ck_assert_uint_eq(answers[2].claims->generation, 2);

        /* The two have heard with their answers that these are stale. */
        ask_batched(sessions[0], "2", &answers[3]);
        settle();
        ck_assert_uint_eq(tee_double_asked->len, n + 2);
        ask_batched(sessions[1], "2", &answers[4]);
        settle();
        ck_assert_uint_eq(tee_double_asked->len, n + 3);
        answer();
        ck_assert_uint_eq(answers[3].batch, 2);
        for (guint i = 0; i < 3; i++)
                att_session_close(sessions[i]);
        answers_clear(answers, 5);
}
END_TEST

int main(void) {
        Suite *s = suite_create("batch");
        TCase *t = tcase_create("batch");

        g_log_set_writer_func(count_lines, NULL, NULL);
        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_add_test(t, ft13_all_that_wait_share_one_report_and_each_has_its_own_proof);
        tcase_add_test(t, a_batch_may_be_of_anybody);
        tcase_add_test(t, sc38c_who_did_not_offer_batches_gets_the_plain_form);
        tcase_add_test(t, profiles_without_claims_are_never_in_a_batch);
        tcase_add_test(t, a_generation_that_moves_under_a_batch_makes_each_stale_at_once);
        tcase_add_test(t, seals_all_of_a_batch_when_it_closes_and_not_before);
        tcase_add_test(t, sc33_a_batch_that_does_not_say_shared_is_sealed_again_as_a_whole);
        tcase_add_test(t, sc33_others_who_have_left_again_are_said_all_the_same);
        tcase_add_test(t, sc33a_a_foreign_extension_is_no_root_of_a_batch);
        tcase_add_test(t, who_leaves_a_batch_that_is_under_way_changes_nothing_for_the_others);
        tcase_add_test(t, contexts_of_a_batch_that_failed_may_be_tried_again);
        tcase_add_loop_test(t, an_answer_in_two_pieces_is_the_plain_one_to_the_byte, 0, 4);
        tcase_add_test(t, no_two_reports_have_the_same_number);
        tcase_add_test(t, both_pieces_have_to_fit);
        tcase_add_test(t, of_answers_that_are_not_read_nothing_of_others_is_kept);
        tcase_add_test(t, what_is_kept_for_who_does_not_read_goes_with_him);
        tcase_add_test(t, a_batch_is_one_line_of_the_journal);
        tcase_add_test(t, a_line_of_many_callers_is_not_long);
        suite_add_tcase(s, t);

        t = tcase_create("change");
        tcase_add_checked_fixture(t, set_up_change, tear_down_change);
        tcase_add_test(t, all_whose_evidence_is_stale_share_one_report);
        tcase_add_test(t, who_closes_when_others_wait_for_him_is_not_waited_for);
        tcase_add_test(t, who_has_asked_already_is_not_waited_for);
        suite_add_tcase(s, t);
        return run_suite(s);
}
