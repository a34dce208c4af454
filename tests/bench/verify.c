/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify: how much evidence a core verifies in a second, of one batch, with and without the memo of
 * signatures. No bus: what is counted is the processor's time in the verifier, from the bytes of the
 * evidence, or of the authenticator, to the JSON of the result.
 *
 * One JSON object comes out. */
#include "verifier/scene.h"

#include "attester/batch-tree.h"
#include "attester/binder.h"
#include "ea/exporter.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
        gboolean without_memo, plain, on_connections;
        gint batch;
        double seconds;
} option = {
        .batch = 1024, .seconds = 2,
};

/* One relying party that has asked, and what it was answered. */
typedef struct Asked {
        Wire wire;
        AttVerifierSession *session;
        GBytes *request, *context;
        AttClaims *claims;
        GBytes *c;
        GBytes *evidence, *authenticator;
} Asked;

static Forge *forge;
static Identity *peer;
static AttPolicy *policy;
static AttSignatureMemo *memo;

static double now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void ask(Asked *a, guint number) {
        g_autoptr(GError) error = NULL;

        memset(a, 0, sizeof *a);
        a->wire = wire_new(ATT_HASH_SHA256, (uint8_t) number);
        a->session = att_verifier_session_new(&(AttVerifierParameters) {
                .role = ATT_ROLE_SERVER, .hash = a->wire.hash, .policy = policy, .handshake_key = peer->spki,
                .memo = memo }, &error);
        if (a->session)
                a->request = att_verifier_session_request(a->session, ATT_PROFILE_EVIDENCE, ATT_CMW_ATTESTATION_DEFAULT,
                                                          !option.plain, &a->context, &error);
        if (!a->request)
                errx(EXIT_FAILURE, "%s", error->message);
        a->claims = scene_claims(&a->wire, a->context, peer->spki, ATT_ROLE_SERVER);
        a->c = att_claims_encode(a->claims, NULL);
}

static void answer(Asked *a, AttTsmReport *report, const AttBatchTree *tree, guint index) {
        AttEvidence evidence = { .profile = (char *) ATT_PROFILE_EVIDENCE, .claims = a->c, .tee = report };
        g_autoptr(GBytes) encoded = NULL;
        AttInclusionProof proof;

        if (tree) {
                att_batch_tree_prove(tree, index, &proof);
                encoded = att_inclusion_proof_encode(&proof);
                evidence.proof = encoded;
        }
        a->evidence = att_evidence_encode(&evidence, ATT_CMW_SIZE_MAX, NULL, NULL);
        if (option.on_connections)
                a->authenticator = scene_authenticator(&a->wire, a->request, ATT_ROLE_SERVER, peer, a->evidence);
}

/* All by one report; or, in the plain form, each by its own. */
static void answer_all(Asked *all, guint n) {
        g_autoptr(AttBatchTree) tree = option.plain ? NULL : att_batch_tree_new(n);
        uint8_t root[ATT_PROOF_NODE_SIZE], r[ATT_REPORT_DATA_SIZE];
        g_autoptr(GBytes) quote = NULL;
        AttTsmReport report = { .provider = (char *) ATT_PROVIDER_TDX };

        for (guint i = 0; tree && i < n; i++)
                att_batch_tree_set(tree, i, all[i].c);
        if (tree) {
                att_batch_tree_root(tree, root);
                att_binder_batch(n, root, r);
                quote = scene_quote(forge, r);
                report.outblob = quote;
        }
        for (guint i = 0; i < n; i++) {
                if (!tree) {
                        att_binder_evidence(all[i].c, r);
                        report.outblob = scene_quote(forge, r);
                }
                answer(&all[i], &report, tree, i);
                if (!tree)
                        g_bytes_unref(report.outblob);
        }
}

static AttResult *judge(const Asked *a, const uint8_t exported[ATT_EXPORTED_SIZE], const AttEaKeys *keys) {
        AttAppraisalInput input = {
                .evidence = a->evidence,
                .policy = policy,
                .at = SCENE_NOW,
                .bound_to = ATT_BOUND_BINDING,
                .hash = a->wire.hash,
                .role = ATT_ROLE_SERVER,
                .batch = !option.plain,
                .memo = memo,
        };

        if (!option.on_connections) {
                memcpy(input.binding, a->claims->binding, sizeof input.binding);
                return att_appraise(&input);
        }
        return att_verifier_session_validate(a->session, a->authenticator, exported, keys, SCENE_NOW);
}

/* What TLS exports is given by the caller. */
static G_GNUC_NO_INLINE double seconds_of(const Asked *a) {
        uint8_t exported[ATT_EXPORTED_SIZE];
        g_auto(AttEaKeys) keys = { 0 };
        double before, spent;

        wire_export(&a->wire, a->context, exported);
        ea_keys_of(a->wire.hash, a->wire.secret, ATT_ROLE_SERVER, &keys);
        before = now();
        g_autoptr(AttResult) result = judge(a, exported, &keys);
        g_autofree char *json = att_result_to_json(result, false);
        spent = now() - before;

        if (!att_result_accepted(result))
                errx(EXIT_FAILURE, "%s", att_result_reason(result));
        return spent;
}

static void asked_clear(Asked *a) {
        att_verifier_session_free(a->session);
        g_bytes_unref(a->request);
        g_bytes_unref(a->context);
        att_claims_free(a->claims);
        g_bytes_unref(a->c);
        g_bytes_unref(a->evidence);
        if (a->authenticator)
                g_bytes_unref(a->authenticator);
}

int main(int argc, char **argv) {
        const GOptionEntry options[] = {
                { "batch", 0, 0, G_OPTION_ARG_INT, &option.batch, "Requests of one report (1024)", "N" },
                { "plain", 0, 0, G_OPTION_ARG_NONE, &option.plain, "Each with a report of its own", NULL },
                { "without-memo", 0, 0, G_OPTION_ARG_NONE, &option.without_memo, "Verify all signatures", NULL },
                { "connections", 0, 0, G_OPTION_ARG_NONE, &option.on_connections,
                  "Authenticators of connections, not evidence alone", NULL },
                { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &option.seconds, "Of the processor (2)", "S" },
                { NULL },
        };
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;
        g_autofree Asked *all = NULL;
        double spent = 0;
        guint n, verified = 0;

        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error))
                errx(EXIT_FAILURE, "%s", error->message);
        if (option.batch < (gint) ATT_BATCH_MIN || option.batch > 100000)
                errx(EXIT_FAILURE, "--batch takes 2 to 100000");
        n = (guint) option.batch;

        forge = forge_new(NULL, NULL);
        peer = identity_new("server.example");
        policy = scene_policy(forge, "");
        memo = option.without_memo ? NULL : att_signature_memo_new();
        all = g_new(Asked, n);
        while (spent < option.seconds) {
                for (guint i = 0; i < n; i++)
                        ask(&all[i], i);
                answer_all(all, n);
                for (guint i = 0; i < n && spent < option.seconds; i++, verified++)
                        spent += seconds_of(&all[i]);
                for (guint i = 0; i < n; i++)
                        asked_clear(&all[i]);
        }
        (void) printf("{\"form\": \"%s\", \"what\": \"%s\", \"memo\": %s, \"batch\": %u, \"verified\": %u, "
                      "\"seconds\": %.3f, \"per_second\": %.0f, \"us\": %.1f}\n", option.plain ? "plain" : "batch",
                      option.on_connections ? "authenticators" : "evidence", memo ? "true" : "false", n, verified,
                      spent, verified / spent, spent / verified * 1e6);
        att_signature_memo_free(memo);
        att_policy_unref(policy);
        identity_free(peer);
        forge_free(forge);
        return EXIT_SUCCESS;
}
