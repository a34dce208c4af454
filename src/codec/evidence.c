/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/evidence.h"

#include "codec/cbor-out.h"
#include "codec/claims.h"
#include "codec/cmw.h"
#include "util/bytes.h"
#include "util/error.h"

#define LEFT_OUT_MEDIA_TYPE "text/plain;charset=utf-8"
#define LEFT_OUT_TEXT "endorsements"

/* The members of the collection. */
typedef enum {
        CLAIMS,
        TEE,
        PROOF,
        TPM,
        ENDORSEMENTS,
        LEFT_OUT,
        MEMBERS,
} Member;

static const struct {
        const char *label;
        const char *media_type;
        uint32_t indicator;
} members[MEMBERS] = {
        [CLAIMS] = { "claims", ATT_CLAIMS_MEDIA_TYPE, ATT_CMW_EVIDENCE },
        [TEE] = { "tee", ATT_TSM_REPORT_CBOR, ATT_CMW_EVIDENCE },
        [PROOF] = { "proof", ATT_PROOF_MEDIA_TYPE, ATT_CMW_EVIDENCE },
        [TPM] = { "tpm", ATT_TPM_MEDIA_TYPE, ATT_CMW_EVIDENCE },
        [ENDORSEMENTS] = { "endorsements", ATT_ENDORSEMENTS_MEDIA_TYPE, ATT_CMW_ENDORSEMENTS },
        [LEFT_OUT] = { "endorsements-left-out", LEFT_OUT_MEDIA_TYPE, ATT_CMW_ENDORSEMENTS },
};

void att_evidence_free(AttEvidence *evidence) {
        if (!evidence)
                return;
        g_free(evidence->profile);
        g_clear_pointer(&evidence->claims, g_bytes_unref);
        att_tsm_report_free(evidence->tee);
        g_clear_pointer(&evidence->proof, g_bytes_unref);
        g_clear_pointer(&evidence->tpm, g_bytes_unref);
        g_clear_pointer(&evidence->endorsements, g_bytes_unref);
        g_free(evidence);
}

bool att_profile_has_claims(const char *profile) {
        return g_strcmp0(profile, ATT_PROFILE_EVIDENCE) == 0;
}

bool att_profile_is_known(const char *profile) {
        return att_profile_has_claims(profile) || g_strcmp0(profile, ATT_PROFILE_EXPAT_PAD) == 0 ||
               g_strcmp0(profile, ATT_PROFILE_COCOS) == 0;
}

/* What holds of evidence in either direction; NULL, or what does not. */
static const char *problem_of(const AttEvidence *e) {
        bool has_claims = att_profile_has_claims(e->profile);

        if (!att_profile_is_known(e->profile))
                return "an unknown profile";
        if (!e->tee)
                return "no tee";
        if (has_claims && !e->claims)
                return "no claims";
        if (!has_claims && (e->claims || e->proof || e->tpm))
                return "claims, a proof or a TPM quote in a profile that has none";
        if (e->endorsements && e->endorsements_left_out)
                return "endorsements that are there and left out";
        return NULL;
}

static void add(AttCmw *collection, Member member, GBytes *value) {
        if (value)
                att_cmw_collection_take(collection, members[member].label,
                                        att_cmw_record_new(members[member].media_type, value,
                                                           members[member].indicator));
}

/* An auxblob is endorsements too: certificates that the host has added. */
static bool has_endorsements(const AttEvidence *e) {
        return e->endorsements || e->tee->auxblob;
}

static GBytes *encode(const AttEvidence *e, bool leave_out, GError **error) {
        g_autoptr(AttCmw) collection = att_cmw_collection_new(e->profile);
        AttTsmReport report = *e->tee; /* borrowed, all of it */
        g_autoptr(GBytes) tee = NULL;
        g_autoptr(GBytes) left_out = g_bytes_new_static(LEFT_OUT_TEXT, strlen(LEFT_OUT_TEXT));

        if (leave_out)
                report.auxblob = NULL;
        tee = att_tsm_report_encode(&report);
        add(collection, CLAIMS, e->claims);
        add(collection, TEE, tee);
        add(collection, PROOF, e->proof);
        add(collection, TPM, e->tpm);
        if (leave_out)
                add(collection, LEFT_OUT, left_out);
        else
                add(collection, ENDORSEMENTS, e->endorsements);
        return att_cmw_encode(collection, false, error);
}

GBytes *att_evidence_encode(const AttEvidence *evidence, gsize max, bool *ret_left_out, GError **error) {
        const char *problem = problem_of(evidence);
        bool leave_out = evidence->endorsements_left_out;
        g_autoptr(GBytes) bytes = NULL;

        if (problem) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "evidence: %s", problem);
                return NULL;
        }

        bytes = encode(evidence, leave_out, error);
        if (bytes && g_bytes_get_size(bytes) > max && has_endorsements(evidence)) {
                leave_out = true;
                g_bytes_unref(bytes);
                bytes = encode(evidence, leave_out, error);
        }
        if (bytes && g_bytes_get_size(bytes) > max) {
                att_error_set(error, ATT_ERROR_TOO_LARGE, "evidence of %zu bytes, over %zu",
                              g_bytes_get_size(bytes), max);
                return NULL;
        }
        if (bytes && ret_left_out)
                *ret_left_out = leave_out;
        return g_steal_pointer(&bytes);
}

/* ----- the same in two pieces */

/* A member of the collection: its label, and a record of its media type. */
static void put_member(GByteArray *out, Member member, const void *value, gsize size) {
        att_cbor_put_text(out, members[member].label);
        att_cbor_put_array(out, 3);
        att_cbor_put_text(out, members[member].media_type);
        att_cbor_put_data(out, value, size);
        att_cbor_put_uint(out, members[member].indicator);
}

static void put_member_bytes(GByteArray *out, Member member, GBytes *value) {
        gsize size;
        const void *p = g_bytes_get_data(value, &size);

        put_member(out, member, p, size);
}

GBytes *att_evidence_encode_shared(const AttTsmReport *tee, GBytes *tpm) {
        g_autoptr(GBytes) report = att_tsm_report_encode(tee);
        GByteArray *out = g_byte_array_new();

        put_member_bytes(out, TEE, report);
        if (tpm)
                put_member_bytes(out, TPM, tpm);
        return g_byte_array_free_to_bytes(out);
}

/* What the members of a request have of its evidence, without the values: labels, types, heads. */
#define OWN_SIZE_MAX 512u

/* In the order of their labels: the shorter first. */
GBytes *att_evidence_encode_own(const AttEvidenceOwn *own, GBytes *shared) {
        gsize size = OWN_SIZE_MAX + own->claims_size;
        GByteArray *out;

        size += own->proof ? g_bytes_get_size(own->proof) : 0;
        size += shared ? g_bytes_get_size(shared) : 0;
        out = g_byte_array_sized_new((guint) size);

        att_cbor_put_map(out, 2u + own->has_tpm + (own->proof != NULL) + (own->claims != NULL) +
                              own->endorsements_left_out);
        if (shared)
                att_put_bytes(out, shared);
        if (own->proof)
                put_member_bytes(out, PROOF, own->proof);
        if (own->claims)
                put_member(out, CLAIMS, own->claims, own->claims_size);
        att_cbor_put_text(out, ATT_CMW_COLLECTION_TYPE);
        att_cbor_put_text(out, own->profile);
        if (own->endorsements_left_out)
                put_member(out, LEFT_OUT, LEFT_OUT_TEXT, strlen(LEFT_OUT_TEXT));
        return g_byte_array_free_to_bytes(out);
}

static bool bad(GError **error, const char *problem, const char *of) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "evidence: %s%s%s", problem, of ? " " : "", of ? of : "");
}

GBytes *att_evidence_join(GBytes *evidence, GBytes *shared, gsize at, GError **error) {
        AttCursor rest = att_cursor_bytes(evidence), piece = att_cursor_bytes(shared);
        AttCursor head = att_take_sub(&rest, at);
        GByteArray *out;

        if (rest.failed || piece.left > ATT_CMW_INPUT_MAX || head.left + piece.left + rest.left > ATT_CMW_INPUT_MAX) {
                bad(error, "two pieces that are none of one", NULL);
                return NULL;
        }

        out = g_byte_array_sized_new((guint) (head.left + piece.left + rest.left));
        att_put(out, head.at, head.left);
        att_put(out, piece.at, piece.left);
        att_put(out, rest.at, rest.left);
        return g_byte_array_free_to_bytes(out);
}

/* A member's value, if it is there, by the only form that it has. */
static bool read_member(const AttCmw *collection, Member member, GBytes **ret, size_t *found, GError **error) {
        const AttCmw *cmw = att_cmw_find(collection, members[member].label);

        if (!cmw)
                return true;
        if (cmw->form != ATT_CMW_RECORD || g_strcmp0(cmw->media_type, members[member].media_type) != 0 ||
            cmw->indicator != members[member].indicator)
                return bad(error, "another type or indicator than that of", members[member].label);
        *ret = g_bytes_ref(cmw->value);
        ++*found;
        return true;
}

static bool is_left_out(GBytes *text) {
        return g_bytes_get_size(text) == strlen(LEFT_OUT_TEXT) &&
               memcmp(g_bytes_get_data(text, NULL), LEFT_OUT_TEXT, strlen(LEFT_OUT_TEXT)) == 0;
}

AttEvidence *att_evidence_decode(GBytes *bytes, GError **error) {
        g_autoptr(AttCmw) collection = att_cmw_parse(bytes, error);
        g_autoptr(AttEvidence) e = g_new0(AttEvidence, 1);
        g_autoptr(GBytes) tee = NULL, left_out = NULL;
        GBytes **const values[MEMBERS] = { &e->claims, &tee, &e->proof, &e->tpm, &e->endorsements, &left_out };
        const char *problem;
        size_t found = 0;

        if (!collection)
                return NULL;
        if (collection->form != ATT_CMW_COLLECTION || collection->is_json) {
                bad(error, "not a CBOR collection", NULL);
                return NULL;
        }

        for (Member m = CLAIMS; m < MEMBERS; m++)
                if (!read_member(collection, m, values[m], &found, error))
                        return NULL;
        if (found != collection->entries->len) {
                bad(error, "an unknown member", NULL);
                return NULL;
        }
        if (left_out && !is_left_out(left_out)) {
                bad(error, "something unknown is left out", NULL);
                return NULL;
        }
        if (tee && !(e->tee = att_tsm_report_decode(ATT_TSM_REPORT_CBOR, tee, error)))
                return NULL;

        e->profile = g_strdup(collection->collection_type);
        e->endorsements_left_out = left_out != NULL;
        problem = problem_of(e);
        if (problem) {
                bad(error, problem, NULL);
                return NULL;
        }
        return g_steal_pointer(&e);
}
