/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session-scene.h"

#include "state-double.h"
#include "tee-double.h"

#include <check.h>

const uint8_t spki_bytes[SPKI_SIZE] = { /* Ed25519, RFC 8032 section 7.1, test 1 */
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0xd7, 0x5a, 0x98,
        0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1,
        0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
};
const uint8_t exported_bytes[ATT_EXPORTED_SIZE] = { 1, 2, 3 };

AttConfiguration *configuration;
AttAttester *attester;
GBytes *spki;
GString *story;

static void on_changed_state(AttAttester *a, gpointer userdata) {
        (void) a, (void) userdata;
}

static const AttAttesterEvents attester_events = {
        .tee_changed = on_changed_state,
        .runtime_changed = on_changed_state,
};

static AttGenerationListener witness;

static void on_moved(AttGenerationListener *listener, uint64_t number, const char *const *reasons) {
        g_autofree char *joined = g_strjoinv("+", (char **) reasons);

        (void) listener;
        g_string_append_printf(story, "moved(%u,%s) ", (guint) number, joined);
}

static void on_stale(AttSession *s, uint64_t generation, const char *const *reasons) {
        g_autofree char *joined = g_strjoinv("+", (char **) reasons);

        g_string_append_printf(story, "%s.stale(%u,%s) ", (const char *) att_session_userdata(s), (guint) generation,
                               joined);
}

static void on_changed(AttSession *s) {
        g_string_append_printf(story, "%s.changed(%u,%d) ", (const char *) att_session_userdata(s),
                               (guint) att_session_evidence_generation(s), att_session_is_stale(s));
}

static const AttSessionEvents events = { .stale = on_stale, .changed = on_changed };

void set_up(void) {
        state_double_reset();
        state_double.ima_state = ATT_IMA_ABSENT;
        configuration = att_configuration_new();
        g_hash_table_add(configuration->foreign_namespaces.uids, GUINT_TO_POINTER(1000));
        g_hash_table_add(configuration->foreign_namespaces.uids, GUINT_TO_POINTER(1001));
        attester = att_attester_new(configuration, NULL, &attester_events, NULL, NULL);
        spki = g_bytes_new_static(spki_bytes, sizeof spki_bytes);
        story = g_string_new(NULL);
        witness = (AttGenerationListener) { .moved = on_moved };
        att_generation_listen(att_attester_generation(attester), &witness);
}

void tear_down(void) {
        ck_assert_uint_eq(att_attester_n_sessions(attester), 0);
        att_attester_free(attester);
        att_configuration_free(configuration);
        g_bytes_unref(spki);
        g_string_free(story, TRUE);
}

void begin_anew(const char *text) {
        att_generation_unlisten(&witness);
        att_attester_free(attester);
        if (text)
                ck_assert(att_configuration_apply(configuration, "x", text, strlen(text), NULL));
        state_double.ima_state = ATT_IMA_OK;
        state_double_measure("boot_aggregate");
        attester = att_attester_new(configuration, NULL, &attester_events, NULL, NULL);
        att_generation_listen(att_attester_generation(attester), &witness);
}

AttConnection *connection_of(uint32_t uid) {
        AttPeer peer = { .uid = uid, .pidfd = -1 };
        g_autoptr(AttCaller) caller = att_caller_new(&peer, configuration, NULL);

        ck_assert(caller);
        return att_connection_new(attester, caller);
}

AttSession *open_with(AttConnection *c, const AttSessionParameters *parameters, const char *name, GError **error) {
        return att_session_open(c, parameters, &events, (gpointer) name, error);
}

AttSession *open_on(AttConnection *c, const char *name) {
        const AttSessionParameters parameters = { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256 };
        AttSession *s = open_with(c, &parameters, name, NULL);

        ck_assert(s);
        return s;
}

AttSession *open_session(const char *name) {
        g_autoptr(AttConnection) c = connection_of(1000);

        return open_on(c, name);
}

/* ----- answers */

void on_answer(const AttAttested *attested, GError *error, gpointer userdata) {
        Answer *a = userdata;

        ck_assert(!a->is_there);
        a->is_there = true;
        a->error = error;
        g_string_append_printf(story, "%s.%s ", a->name, attested ? "evidence" : "error");
        if (!attested)
                return;

        a->own_size = g_bytes_get_size(attested->evidence);
        a->batch = attested->batch;
        a->left_out = attested->endorsements_left_out;
        a->shared = attested->shared ? att_shared_ref(attested->shared) : NULL;
        a->bytes = attested->shared ? att_evidence_join(attested->evidence, attested->shared->bytes,
                                                        attested->shared_at, NULL)
                                    : g_bytes_ref(attested->evidence);
        a->evidence = att_evidence_decode(a->bytes, NULL);
        ck_assert(a->evidence);
        if (a->evidence->claims)
                a->claims = att_claims_decode(a->evidence->claims, NULL);
        memcpy(a->report_data, attested->sealed->report_data, sizeof a->report_data);
        a->generation = attested->sealed->generation;
}

void answer_clear(Answer *a) {
        att_evidence_free(a->evidence);
        att_claims_free(a->claims);
        g_clear_pointer(&a->bytes, g_bytes_unref);
        g_clear_pointer(&a->shared, att_shared_unref);
        g_clear_error(&a->error);
}

AttAttestRequest request(const char *context) {
        return (AttAttestRequest) {
                .exported = exported_bytes,
                .context = context,
                .context_size = strlen(context),
                .public_key = spki,
                .timeout_ms = ATT_TIMEOUT_MS_DEFAULT,
                .max_size = ATT_CMW_SIZE_MAX,
        };
}

void ask_for(AttSession *s, const AttAttestRequest *q, Answer *a) {
        g_autoptr(GError) error = NULL;

        ck_assert_msg(att_session_attest(s, q, on_answer, a, &error), "%s", error ? error->message : "");
}

void ask(AttSession *s, const char *context, Answer *a) {
        const AttAttestRequest q = request(context);

        ask_for(s, &q, a);
}

void refused(AttSession *s, const AttAttestRequest *q, AttError code) {
        g_autoptr(GError) error = NULL;

        ck_assert(!att_session_attest(s, q, on_answer, NULL, &error));
        ck_assert_msg(g_error_matches(error, ATT_ERROR, (gint) code), "%s", error->message);
}

void settle(void) {
        while (g_main_context_iteration(NULL, FALSE))
                ;
}

void answer(void) {
        tee_double_answer();
        settle();
}

void told(const char *expected) {
        ck_assert_str_eq(story->str, expected);
        g_string_truncate(story, 0);
}
