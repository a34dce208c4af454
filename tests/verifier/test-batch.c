/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Proofs of the attester's tree against the verifier's way up, which share no code;
 * and evidence in the batch form. */
#include "scene.h"

#include "attester/batch-tree.h"
#include "attester/binder.h"
#include "codec/cbor-out.h"
#include "codec/cmw.h"
#include "ea/exporter.h"
#include "run.h"
#include "verifier/report-data.h"

#include <string.h>

static Forge *forge;
static Identity *peer;

static void set_up(void) {
        forge = forge_new(NULL, NULL);
        peer = identity_new("server.example");
        ck_assert_ptr_nonnull(forge);
}

static void tear_down(void) {
        forge_free(forge);
        identity_free(peer);
}

/* Stands for C of request @i. */
static GBytes *claims_of(guint i) {
        char text[32];

        return g_bytes_new(text, (gsize) g_snprintf(text, sizeof text, "C of request %u", i));
}

/* A batch as the attester closes it. */
typedef struct Batch {
        guint n;
        GPtrArray *claims;
        AttBatchTree *tree;
        uint8_t root[32];
        uint8_t r[ATT_REPORT_DATA_SIZE];
} Batch;

static void batch_clear(Batch *b) {
        g_ptr_array_unref(b->claims);
        att_batch_tree_free(b->tree);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Batch, batch_clear)

static Batch batch_of(guint n) {
        Batch b = {
                .n = n,
                .claims = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref),
                .tree = att_batch_tree_new(n),
        };

        for (guint i = 0; i < n; i++) {
                g_ptr_array_add(b.claims, claims_of(i));
                att_batch_tree_set(b.tree, i, b.claims->pdata[i]);
        }
        att_batch_tree_root(b.tree, b.root);
        att_binder_batch(n, b.root, b.r);
        return b;
}

static bool is_in(const Batch *b, GBytes *claims, const AttInclusionProof *proof) {
        uint8_t r[ATT_REPORT_DATA_SIZE];

        att_report_data_batch(claims, proof, r);
        return memcmp(r, b->r, sizeof r) == 0;
}

/* Every other index, and n, that a path of this length could be of. */
static void assert_has_one_place(const Batch *b, guint i, const AttInclusionProof *proof) {
        AttInclusionProof p = *proof;

        for (p.index = 0; p.index < b->n; p.index++)
                if (p.index != i && att_inclusion_proof_length(p.n, p.index) == p.path_length)
                        ck_assert_msg(!is_in(b, b->claims->pdata[i], &p), "%u of %u at %u", i, b->n, p.index);
        p.index = i;
        for (p.n = MAX(i + 1, ATT_BATCH_MIN); p.n <= 2 * b->n + 1; p.n++)
                if (p.n != b->n && att_inclusion_proof_length(p.n, i) == p.path_length)
                        ck_assert_msg(!is_in(b, b->claims->pdata[i], &p), "%u of %u as of %u", i, b->n, p.n);
}

static void assert_each_node_counts(const Batch *b, guint i, const AttInclusionProof *proof, GRand *rand) {
        for (guint k = 0; k < proof->path_length; k++) {
                AttInclusionProof p = *proof;

                p.path[k][g_rand_int_range(rand, 0, ATT_PROOF_NODE_SIZE)] ^= (uint8_t) g_rand_int_range(rand, 1, 256);
                ck_assert_msg(!is_in(b, b->claims->pdata[i], &p), "%u of %u, node %u", i, b->n, k);
        }
        if (proof->path_length > 1) {
                AttInclusionProof p = *proof;

                memcpy(p.path[0], proof->path[1], ATT_PROOF_NODE_SIZE);
                memcpy(p.path[1], proof->path[0], ATT_PROOF_NODE_SIZE);
                ck_assert_msg(!is_in(b, b->claims->pdata[i], &p), "%u of %u, in another order", i, b->n);
        }
}

/* Of C too. */
static void assert_each_byte_counts(const Batch *b, guint i, const AttInclusionProof *proof) {
        gsize size;
        const guint8 *c = g_bytes_get_data(b->claims->pdata[i], &size);

        for (gsize at = 0; at < size; at++) {
                guint8 *changed = g_memdup2(c, size);
                g_autoptr(GBytes) claims = NULL;

                changed[at] ^= (guint8) (1u << (at + i) % 8);
                claims = g_bytes_new_take(changed, size);
                ck_assert_msg(!is_in(b, claims, proof), "%u of %u: byte %zu", i, b->n, at);
        }
}

static void check_leaf(const Batch *b, guint i, bool thoroughly, GRand *rand) {
        AttInclusionProof proof;

        att_batch_tree_prove(b->tree, i, &proof);
        ck_assert_msg(is_in(b, b->claims->pdata[i], &proof), "%u of %u", i, b->n);
        ck_assert_msg(!is_in(b, b->claims->pdata[(i + 1) % b->n], &proof), "%u of %u: of the next", i, b->n);
        if (thoroughly) {
                assert_has_one_place(b, i, &proof);
                assert_each_node_counts(b, i, &proof, rand);
                assert_each_byte_counts(b, i, &proof);
        }
}

START_TEST(every_leaf_verifies_and_nothing_else_for_every_n_up_to_300) {
        const bool all = g_getenv("ATTESTD_TEST_LONG") != NULL;
        g_autoptr(GRand) rand = g_rand_new_with_seed(38);

        for (guint n = 2; n <= 300; n++) {
                g_auto(Batch) b = batch_of(n);

                for (guint i = 0; i < n; i++)
                        check_leaf(&b, i, all || n <= 32 || i + 1 == n || i == n / 2, rand);
        }
}
END_TEST

START_TEST(every_leaf_verifies_and_nothing_else_for_random_large_n) {
        const guint32 seed = g_random_int();
        const guint rounds = g_getenv("ATTESTD_TEST_LONG") ? 200 : 3;
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

        g_print("seed %u\n", seed);
        for (guint k = 0; k < rounds; k++) {
                g_auto(Batch) b = batch_of((guint) g_rand_int_range(rand, 301, 20000));

                for (guint j = 0; j < 500; j++)
                        check_leaf(&b, (guint) g_rand_int_range(rand, 0, (gint32) b.n), j == 0, rand);
                check_leaf(&b, b.n - 1, false, rand);
        }
}
END_TEST

START_TEST(the_largest_batch_verifies) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(38);
        g_auto(Batch) b = batch_of(ATT_BATCH_MAX);
        AttInclusionProof proof;

        for (guint j = 0; j < 200; j++)
                check_leaf(&b, (guint) g_rand_int_range(rand, 0, ATT_BATCH_MAX), false, rand);
        check_leaf(&b, 0, false, rand);
        att_batch_tree_prove(b.tree, ATT_BATCH_MAX - 1, &proof);
        ck_assert_uint_eq(proof.path_length, ATT_PROOF_PATH_MAX);
        ck_assert(is_in(&b, b.claims->pdata[ATT_BATCH_MAX - 1], &proof));
        assert_each_node_counts(&b, ATT_BATCH_MAX - 1, &proof, rand);
}
END_TEST

/* A report is over one n and one root. Another tree whose inner node is a leaf of
 * this one, a tree that is a half of it, or one twice as large, has another R; so
 * has the plain form. */
START_TEST(no_two_trees_are_under_one_report) {
        g_auto(Batch) b = batch_of(8);
        g_auto(Batch) other = batch_of(9);
        AttInclusionProof proof, p;
        g_autoptr(GBytes) node = NULL;
        uint8_t r[ATT_REPORT_DATA_SIZE], both[1 + 64] = { 0x01 };

        att_batch_tree_prove(b.tree, 0, &proof);
        ck_assert(is_in(&b, b.claims->pdata[0], &proof));

        /* A proof of the other, which has the same C at the same place. */
        att_batch_tree_prove(other.tree, 0, &p);
        ck_assert(is_in(&other, other.claims->pdata[0], &p));
        ck_assert(!is_in(&b, other.claims->pdata[0], &p));

        /* The left half as a tree of its own: its root is a node, and no root, of this one. */
        p = proof;
        p.n = 4;
        p.path_length--;
        ck_assert(!is_in(&b, b.claims->pdata[0], &p));

        /* What two leaves are hashed as, given for one C: a leaf has another prefix, with the node's and without. */
        p = proof;
        p.n = 4;
        p.path_length--;
        memmove(p.path, proof.path + 1, sizeof p.path - sizeof *p.path);
        att_batch_tree_prove(b.tree, 1, &proof);
        memcpy(both + 1, proof.path[0], 32);
        att_batch_tree_prove(b.tree, 0, &proof);
        memcpy(both + 33, proof.path[0], 32);
        for (guint from = 0; from < 2; from++) {
                g_autoptr(GBytes) forged = g_bytes_new(both + from, sizeof both - from);

                ck_assert(!is_in(&b, forged, &p));
                p.n = 8;
                ck_assert(!is_in(&b, forged, &p));
                p.n = 4;
        }

        /* What R is made of, as a C of the plain form. */
        node = g_bytes_new(b.root, sizeof b.root);
        att_report_data_evidence(node, r);
        ck_assert_mem_ne(r, b.r, sizeof r);
        att_report_data_evidence(b.claims->pdata[0], r);
        ck_assert_mem_ne(r, b.r, sizeof r);
}
END_TEST

/* Evidence. */

/* A request of one relying party, and what all the others of its batch have claimed. */
typedef struct Request {
        Wire wire;
        GBytes *context;
        AttClaims *claims;
        GBytes *c;
} Request;

static void request_clear(Request *r) {
        g_bytes_unref(r->context);
        att_claims_free(r->claims);
        g_bytes_unref(r->c);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Request, request_clear)

static Request request_of(const Wire *wire, GBytes *context) {
        Request r = { .wire = *wire, .context = g_bytes_ref(context) };

        r.claims = scene_claims(wire, context, peer->spki, ATT_ROLE_SERVER);
        r.c = att_claims_encode(r.claims, NULL);
        ck_assert_ptr_nonnull(r.c);
        return r;
}

static Request some_request(void) {
        const Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = g_bytes_new_static("a context of thirty-two bytes !!", 32);

        return request_of(&wire, context);
}

/* The request at @at in a batch of @n. */
static Batch batch_with(const Request *r, guint n, guint at) {
        Batch b = batch_of(n);
        g_autoptr(AttBatchTree) old = b.tree;

        b.tree = att_batch_tree_new(n);
        g_bytes_unref(b.claims->pdata[at]);
        b.claims->pdata[at] = g_bytes_ref(r->c);
        for (guint i = 0; i < n; i++)
                att_batch_tree_set(b.tree, i, b.claims->pdata[i]);
        att_batch_tree_root(b.tree, b.root);
        att_binder_batch(n, b.root, b.r);
        return b;
}

/* A quote over @report_data, these claims, and these bytes as the proof, if any. */
static GBytes *evidence_of(GBytes *c, const uint8_t report_data[ATT_REPORT_DATA_SIZE], GBytes *proof) {
        g_autoptr(GBytes) plain = scene_collection(forge, ATT_PROFILE_EVIDENCE, c, report_data);
        g_autoptr(AttEvidence) evidence = att_evidence_decode(plain, NULL);
        GBytes *bytes;

        evidence->proof = proof ? g_bytes_ref(proof) : NULL;
        bytes = att_evidence_encode(evidence, ATT_CMW_SIZE_MAX, NULL, NULL);
        ck_assert_ptr_nonnull(bytes);
        return bytes;
}

static GBytes *proof_of(const Batch *b, guint i) {
        AttInclusionProof proof;

        att_batch_tree_prove(b->tree, i, &proof);
        return att_inclusion_proof_encode(&proof);
}

static GBytes *batched_evidence(const Batch *b, guint i) {
        g_autoptr(GBytes) proof = proof_of(b, i);

        return evidence_of(b->claims->pdata[i], b->r, proof);
}

static AttAppraisalInput input_of(GBytes *evidence, const AttPolicy *policy, const Request *r, bool batch) {
        AttAppraisalInput input = {
                .evidence = evidence,
                .policy = policy,
                .at = SCENE_NOW,
                .bound_to = ATT_BOUND_BINDING,
                .hash = r->wire.hash,
                .role = ATT_ROLE_SERVER,
                .batch = batch,
        };

        memcpy(input.binding, r->claims->binding, att_hash_size(r->wire.hash));
        return input;
}

static AttResult *appraise(GBytes *evidence, const Request *r, bool batch) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        const AttAppraisalInput input = input_of(evidence, policy, r, batch);

        return att_appraise(&input);
}

START_TEST(takes_a_request_at_each_place_of_a_batch) {
        static const guint sizes[] = { 2, 3, 7, 64, 129 };
        const guint n = sizes[_i];
        g_auto(Request) r = some_request();

        for (guint at = 0; at < n; at += 1 + at / 4) {
                g_auto(Batch) b = batch_with(&r, n, at);
                g_autoptr(GBytes) evidence = batched_evidence(&b, at);
                g_autoptr(AttResult) yes = appraise(evidence, &r, true), no = appraise(evidence, &r, false);
                g_autofree char *json = att_result_to_json(yes, false);
                g_autofree char *place = g_strdup_printf("\"batch\":{\"n\":%u,\"index\":%u}", n, at);

                assert_accepted(yes);
                ck_assert_msg(strstr(json, place) != NULL, "%s", json);
                assert_refused(no, "report-data", "batch was not offered");
        }
}
END_TEST

/* All of a batch have one quote: its signatures are verified once, and each proof is its own. */
START_TEST(a_memo_serves_a_batch_and_changes_no_verdict) {
        g_autoptr(AttSignatureMemo) memo = att_signature_memo_new();
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_auto(Request) r = some_request();
        g_auto(Batch) b = batch_with(&r, 6, 3);
        g_autoptr(GBytes) quote = scene_quote(forge, b.r);
        AttTsmReport report = { .provider = (char *) "tdx_guest", .outblob = quote };

        for (guint i = 0; i < 6; i++) {
                g_autoptr(GBytes) proof = proof_of(&b, i);
                AttEvidence e = { .profile = (char *) ATT_PROFILE_EVIDENCE, .claims = r.c, .tee = &report,
                                  .proof = proof };
                g_autoptr(GBytes) evidence = att_evidence_encode(&e, ATT_CMW_SIZE_MAX, NULL, NULL);
                AttAppraisalInput input = input_of(evidence, policy, &r, true);
                g_autoptr(AttResult) without = att_appraise(&input);
                input.memo = memo;
                g_autoptr(AttResult) with = att_appraise(&input);
                g_autofree char *a = att_result_to_json(with, false), *c = att_result_to_json(without, false);

                /* These claims are at 3, and nowhere else. */
                ck_assert_int_eq(att_result_accepted(with), i == 3);
                ck_assert_str_eq(a, c);
                ck_assert_uint_eq(att_signature_memo_size(memo), 1);
        }
}
END_TEST

START_TEST(takes_the_plain_form_where_batch_was_offered) {
        g_auto(Request) r = some_request();
        uint8_t plain[ATT_REPORT_DATA_SIZE];

        scene_report_data(r.c, plain);
        g_autoptr(GBytes) evidence = evidence_of(r.c, plain, NULL);
        g_autoptr(AttResult) yes = appraise(evidence, &r, true);
        g_autofree char *json = att_result_to_json(yes, false);

        assert_accepted(yes);
        ck_assert_ptr_null(strstr(json, "\"batch\""));
}
END_TEST

/* A batch of 3 with the request at 2, and of its proof everything in turn not as it must be. */
START_TEST(refuses_a_proof_that_is_none) {
        static const struct {
                uint64_t n, index;
                guint nodes;
                const char *says;
        } bad[] = {
                { 0, 0, 0, "proof: of a batch of 0, but one has 2 to 131072" },
                { 1, 0, 0, "proof: of a batch of 1, but one has 2 to 131072" },
                { ATT_BATCH_MAX + 1, 2, 18, "proof: of a batch of 131073, but one has 2 to 131072" },
                { G_MAXUINT64, 2, 1, "proof: of a batch of 18446744073709551615, but" },
                { 3, 3, 1, "proof: index 3 in a batch of 3" },
                { 3, G_MAXUINT64, 1, "proof: index 18446744073709551615 in a batch of 3" },
                { 3, 2, 0, "proof: a path of 0 nodes, but leaf 2 of 3 has one of 1" },
                { 3, 2, 2, "proof: a path of 2 nodes, but leaf 2 of 3 has one of 1" },
                { 3, 1, 1, "proof: a path of 1 nodes, but leaf 1 of 3 has one of 2" },
                { 3, 2, 17, "proof: a path of 17 nodes" },
        };
        g_auto(Request) r = some_request();
        g_auto(Batch) b = batch_with(&r, 3, 2);
        g_autoptr(GBytes) garbage = g_bytes_new_static("\x83\x02", 2);
        AttInclusionProof proof;

        att_batch_tree_prove(b.tree, 2, &proof);
        for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
                GByteArray *out = g_byte_array_new();

                att_cbor_put_array(out, 3);
                att_cbor_put_uint(out, bad[i].n);
                att_cbor_put_uint(out, bad[i].index);
                att_cbor_put_array(out, bad[i].nodes);
                for (guint k = 0; k < bad[i].nodes; k++)
                        att_cbor_put_data(out, proof.path[0], ATT_PROOF_NODE_SIZE);
                g_autoptr(GBytes) bytes = g_byte_array_free_to_bytes(out);
                g_autoptr(GBytes) evidence = evidence_of(r.c, b.r, bytes);
                g_autoptr(AttResult) no = appraise(evidence, &r, true);

                assert_refused(no, "report-data", bad[i].says);
        }
        g_autoptr(GBytes) evidence = evidence_of(r.c, b.r, garbage), good = batched_evidence(&b, 2);
        g_autoptr(AttResult) no = appraise(evidence, &r, true), yes = appraise(good, &r, true);
        assert_refused(no, "report-data", "CBOR");
        assert_accepted(yes);
}
END_TEST

/* All is as it must be, but not of this batch, this place or this C. */
START_TEST(refuses_what_the_proof_does_not_lead_to) {
        g_auto(Request) r = some_request();
        g_auto(Batch) b = batch_with(&r, 8, 5), other = batch_with(&r, 8, 4), larger = batch_with(&r, 9, 5);
        g_autoptr(GBytes) of_next = proof_of(&b, 4), of_other = proof_of(&other, 4), of_larger = proof_of(&larger, 5);
        AttInclusionProof altered;
        uint8_t plain[ATT_REPORT_DATA_SIZE];

        att_batch_tree_prove(b.tree, 5, &altered);
        altered.path[2][31] ^= 1;
        g_autoptr(GBytes) of_altered = att_inclusion_proof_encode(&altered);
        GBytes *const proofs[] = { of_next, of_other, of_larger, of_altered };

        for (gsize i = 0; i < G_N_ELEMENTS(proofs); i++) {
                g_autoptr(GBytes) evidence = evidence_of(r.c, b.r, proofs[i]);
                g_autoptr(AttResult) no = appraise(evidence, &r, true);

                assert_refused(no, "report-data", "not made for the batch that the proof leads to");
        }

        /* Two trees of which each has the request: each is right for its own report. */
        g_autoptr(GBytes) mine = batched_evidence(&b, 5), others = batched_evidence(&other, 4);
        g_autoptr(AttResult) yes = appraise(mine, &r, true), yes_too = appraise(others, &r, true);
        assert_accepted(yes);
        assert_accepted(yes_too);

        /* The proof taken off; and one put on what is in the plain form. */
        scene_report_data(r.c, plain);
        g_autoptr(GBytes) right = proof_of(&b, 5);
        g_autoptr(GBytes) stripped = evidence_of(r.c, b.r, NULL), decorated = evidence_of(r.c, plain, right);
        g_autoptr(AttResult) no = appraise(stripped, &r, true), neither = appraise(decorated, &r, true);
        assert_refused(no, "report-data", "not made for these claims");
        assert_refused(neither, "report-data", "not made for the batch");
}
END_TEST

/* A tree of one leaf adds up, but is there in the plain form only. */
START_TEST(refuses_a_batch_of_one_that_adds_up) {
        g_auto(Request) r = some_request();
        uint8_t report_data[ATT_REPORT_DATA_SIZE];
        const AttInclusionProof one = { .n = 1 };

        att_report_data_batch(r.c, &one, report_data);
        g_autoptr(GBytes) proof = att_inclusion_proof_encode(&one), evidence = evidence_of(r.c, report_data, proof);
        g_autoptr(AttResult) no = appraise(evidence, &r, true);
        assert_refused(no, "report-data", "of a batch of 1, but");
}
END_TEST

/* The other profiles have no C, so nothing that a proof could begin with. */
START_TEST(refuses_a_proof_in_a_profile_without_claims) {
        static const char *const profiles[] = { ATT_PROFILE_EXPAT_PAD, ATT_PROFILE_COCOS };
        g_autoptr(AttPolicy) policy =
                scene_open_policy(forge, "profile evidence/1\nprofile expat-pad\nprofile cocos\n");
        g_auto(Request) r = some_request();
        g_auto(Batch) b = batch_with(&r, 2, 1);
        g_autoptr(GBytes) proof = proof_of(&b, 1);
        uint8_t report_data[ATT_REPORT_DATA_SIZE];

        if (_i == 0)
                att_report_data_expat_pad(r.wire.hash, r.claims->binding, report_data);
        else
                att_report_data_cocos(r.wire.hash, r.claims->binding, report_data);
        for (guint with_proof = 0; with_proof < 2; with_proof++) {
                g_autoptr(GBytes) plain = scene_collection(forge, profiles[_i], NULL, report_data);
                g_autoptr(AttEvidence) e = att_evidence_decode(plain, NULL);
                g_autoptr(GBytes) tee = att_tsm_report_encode(e->tee);
                g_autoptr(AttCmw) collection = att_cmw_collection_new(profiles[_i]);

                att_cmw_collection_take(collection, "tee", att_cmw_record_new(ATT_TSM_REPORT_CBOR, tee,
                                                                              ATT_CMW_EVIDENCE));
                if (with_proof)
                        att_cmw_collection_take(collection, "proof", att_cmw_record_new(ATT_PROOF_MEDIA_TYPE, proof,
                                                                                        ATT_CMW_EVIDENCE));
                g_autoptr(GBytes) evidence = att_cmw_encode(collection, false, NULL);
                AttAppraisalInput input = input_of(evidence, policy, &r, true);
                g_autoptr(AttResult) result = att_appraise(&input);
                if (with_proof)
                        assert_refused(result, "format", "a proof or a TPM quote in a profile that has none");
                else
                        assert_accepted(result);
        }
}
END_TEST

/* A verifier of somebody else is given R, batched or not; stated, it must be R too. */
START_TEST(takes_the_r_that_is_stated) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_auto(Request) r = some_request();
        g_auto(Batch) b = batch_with(&r, 5, 3);
        g_autoptr(GBytes) evidence = batched_evidence(&b, 3);
        AttAppraisalInput input = {
                .evidence = evidence,
                .policy = policy,
                .at = SCENE_NOW,
                .bound_to = ATT_BOUND_REPORT_DATA,
                .batch = true,
        };

        memcpy(input.report_data, b.r, sizeof input.report_data);
        g_autoptr(AttResult) yes = att_appraise(&input);
        assert_accepted(yes);
        input.batch = false;
        g_autoptr(AttResult) unoffered = att_appraise(&input);
        assert_refused(unoffered, "report-data", "batch was not offered");
        input.batch = true;
        input.report_data[0] ^= 1;
        g_autoptr(AttResult) no = att_appraise(&input);
        assert_refused(no, "report-data", "not the report data that was stated");
        input.bound_to = ATT_BOUND_NOT_STATED;
        g_autoptr(AttResult) unbound = att_appraise(&input);
        assert_refused(unbound, "report-data", "unbound");
}
END_TEST

/* Connections. */

static AttResult *validate(AttVerifierSession *session, const Wire *wire, bool offered, bool batched) {
        g_autoptr(GBytes) context = NULL, evidence = NULL;
        g_autoptr(GBytes) request = att_verifier_session_request(session, ATT_PROFILE_EVIDENCE,
                                                                 ATT_CMW_ATTESTATION_DEFAULT, offered, &context, NULL);
        uint8_t exported[ATT_EXPORTED_SIZE], plain[ATT_REPORT_DATA_SIZE];
        g_auto(AttEaKeys) keys = { 0 };

        ck_assert_ptr_nonnull(request);
        g_auto(Request) r = request_of(wire, context);
        g_auto(Batch) b = batch_with(&r, 6, 4);
        scene_report_data(r.c, plain);
        evidence = batched ? batched_evidence(&b, 4) : evidence_of(r.c, plain, NULL);
        g_autoptr(GBytes) answer = scene_authenticator(wire, request, ATT_ROLE_SERVER, peer, evidence);
        wire_export(wire, context, exported);
        ea_keys_of(wire->hash, wire->secret, ATT_ROLE_SERVER, &keys);
        return att_verifier_session_validate(session, answer, exported, &keys, SCENE_NOW);
}

/* Each request offers for itself, and the next one not. */
START_TEST(each_request_of_a_connection_offers_for_itself) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        const AttVerifierParameters parameters = {
                .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256, .policy = policy, .handshake_key = peer->spki,
        };
        g_autoptr(AttVerifierSession) session = att_verifier_session_new(&parameters, NULL);
        const Wire wire = wire_new(ATT_HASH_SHA256, 1);

        ck_assert_ptr_nonnull(session);
        for (guint i = 0; i < 8; i++) {
                const bool offered = i & 1, batched = i & 2;
                g_autoptr(AttResult) result = validate(session, &wire, offered, batched);

                if (batched && !offered)
                        assert_refused(result, "report-data", "batch was not offered");
                else
                        assert_accepted(result);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("batch");
        TCase *e = tcase_create("evidence");
        TCase *t = tcase_create("batch");

        tcase_set_timeout(t, 600);
        tcase_add_test(t, every_leaf_verifies_and_nothing_else_for_every_n_up_to_300);
        tcase_add_test(t, every_leaf_verifies_and_nothing_else_for_random_large_n);
        tcase_add_test(t, the_largest_batch_verifies);
        tcase_add_test(t, no_two_trees_are_under_one_report);
        suite_add_tcase(s, t);

        tcase_add_checked_fixture(e, set_up, tear_down);
        tcase_add_loop_test(e, takes_a_request_at_each_place_of_a_batch, 0, 5);
        tcase_add_test(e, a_memo_serves_a_batch_and_changes_no_verdict);
        tcase_add_test(e, takes_the_plain_form_where_batch_was_offered);
        tcase_add_test(e, refuses_a_proof_that_is_none);
        tcase_add_test(e, refuses_what_the_proof_does_not_lead_to);
        tcase_add_test(e, refuses_a_batch_of_one_that_adds_up);
        tcase_add_loop_test(e, refuses_a_proof_in_a_profile_without_claims, 0, 2);
        tcase_add_test(e, takes_the_r_that_is_stated);
        tcase_add_test(e, each_request_of_a_connection_offers_for_itself);
        suite_add_tcase(s, e);
        return run_suite(s);
}
