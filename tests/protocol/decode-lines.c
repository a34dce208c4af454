/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads lines "KIND HEX" and answers each by one line: "no", or what the bytes say,
 * as one line of JSON. So a test can put many inputs to our decoders, and to
 * another one, and compare. */
#include "codec/claims.h"
#include "codec/evidence.h"
#include "codec/frame.h"
#include "codec/inclusion-proof.h"
#include "codec/tdx-quote.h"
#include "codec/tls-handshake.h"
#include "verifier/describe.h"
#include "verifier/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *hex(const void *data, size_t size) {
        const uint8_t *p = data;
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; i < size; i++)
                g_string_append_printf(text, "%02x", p[i]);
        return json_string(text->str);
}

static json_t *bytes_or_null(GBytes *bytes) {
        return bytes ? hex(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : json_null();
}

static json_t *text_or_null(const char *text) {
        return text ? json_string(text) : json_null();
}

static json_t *texts(char *const *all) {
        json_t *array = json_array();

        for (size_t i = 0; all[i]; i++)
                json_array_append_new(array, json_string(all[i]));
        return array;
}

/* Generations and the like use all 64 bits, of which JSON here has 63. */
static json_t *number(uint64_t n) {
        g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, n);

        return json_string(text);
}

static json_t *read_claims(GBytes *bytes) {
        g_autoptr(AttClaims) claims = att_claims_decode(bytes, NULL);

        return claims ? att_claims_to_json(claims) : NULL;
}

static json_t *report_json(const AttTsmReport *r) {
        return json_pack("{so so so so so}", "provider", json_string(r->provider), "outblob",
                         bytes_or_null(r->outblob), "auxblob", bytes_or_null(r->auxblob), "service_provider",
                         text_or_null(r->service_provider), "manifestblob", bytes_or_null(r->manifestblob));
}

static json_t *read_evidence(GBytes *bytes) {
        g_autoptr(AttEvidence) e = att_evidence_decode(bytes, NULL);

        if (!e)
                return NULL;
        return json_pack("{so so so so so so so}", "profile", json_string(e->profile), "claims",
                         bytes_or_null(e->claims), "tee", report_json(e->tee), "proof", bytes_or_null(e->proof), "tpm",
                         bytes_or_null(e->tpm), "endorsements", bytes_or_null(e->endorsements), "left_out",
                         json_boolean(e->endorsements_left_out));
}

static json_t *read_proof(GBytes *bytes) {
        AttInclusionProof proof;

        return att_inclusion_proof_decode(bytes, &proof, NULL) ? att_inclusion_proof_to_json(&proof) : NULL;
}

static json_t *read_report(GBytes *bytes) {
        g_autoptr(AttTsmReport) r = att_tsm_report_decode(ATT_TSM_REPORT_CBOR, bytes, NULL);

        return r ? report_json(r) : NULL;
}

static json_t *read_report_json(GBytes *bytes) {
        g_autoptr(AttTsmReport) r = att_tsm_report_decode(ATT_TSM_REPORT_JSON, bytes, NULL);

        return r ? report_json(r) : NULL;
}

static json_t *read_hello(GBytes *bytes) {
        g_auto(AttHello) h = { 0 };

        if (!att_hello_decode(bytes, &h, NULL))
                return NULL;
        return json_pack("{so so so so so so}", "version", number(h.version), "profiles", texts(h.profiles), "formats",
                         texts(h.formats), "batch", json_boolean(h.batch), "asks", json_boolean(h.asks), "gives",
                         json_boolean(h.gives));
}

static json_t *read_accepted(GBytes *bytes) {
        g_auto(AttVerdictFrame) v = { 0 };

        return att_verdict_frame_decode(ATT_FRAME_ACCEPTED, bytes, &v, NULL) ?
                       json_pack("{so}", "context", bytes_or_null(v.context)) : NULL;
}

static json_t *read_refused(GBytes *bytes) {
        g_auto(AttVerdictFrame) v = { 0 };

        return att_verdict_frame_decode(ATT_FRAME_REFUSED, bytes, &v, NULL) ?
                       json_pack("{so so}", "context", bytes_or_null(v.context), "reason", json_string(v.reason)) :
                       NULL;
}

static json_t *read_stale(GBytes *bytes) {
        g_auto(AttStaleFrame) s = { 0 };

        if (!att_stale_decode(bytes, &s, NULL))
                return NULL;
        return json_pack("{so so so so}", "boot_id", hex(s.boot_id, sizeof s.boot_id), "instance_id",
                         hex(s.instance_id, sizeof s.instance_id), "generation", number(s.generation), "reasons",
                         texts(s.reasons));
}

static json_t *read_log_request(GBytes *bytes) {
        g_auto(AttLogRequestFrame) r = { 0 };

        return att_log_request_decode(bytes, &r, NULL) ?
                       json_pack("{so so}", "log", json_string(r.log), "from", number(r.from)) : NULL;
}

static json_t *read_log_entries(GBytes *bytes) {
        g_auto(AttLogEntriesFrame) e = { 0 };

        return att_log_entries_decode(bytes, &e, NULL) ?
                       json_pack("{so so so so so so}", "log", json_string(e.log), "first", number(e.first), "entries",
                                 bytes_or_null(e.entries), "bank", json_string(e.bank), "more", json_boolean(e.more),
                                 "reason", text_or_null(e.reason)) :
                       NULL;
}

static json_t *read_frame_header(GBytes *bytes) {
        AttFrameType type;
        size_t size;

        if (g_bytes_get_size(bytes) != ATT_FRAME_HEADER_SIZE ||
            !att_frame_header(g_bytes_get_data(bytes, NULL), &type, &size, NULL))
                return NULL;
        return json_pack("{si so}", "type", (int) type, "size", number(size));
}

static json_t *cursor(AttCursor c) {
        return hex(c.at, c.left);
}

static json_t *extensions_json(const AttTlsExtension *extensions, size_t n) {
        json_t *object = json_object();

        for (size_t i = 0; i < n; i++) {
                g_autofree char *key = g_strdup_printf("%04x", extensions[i].type);

                json_object_set_new(object, key, cursor(extensions[i].data));
        }
        return object;
}

static json_t *read_request(GBytes *bytes) {
        json_t *schemes;
        AttTlsRequest r;

        if (!att_tls_request_parse(bytes, &r, NULL))
                return NULL;
        schemes = json_array();
        for (size_t i = 0; i < r.n_schemes; i++)
                json_array_append_new(schemes, json_integer(r.schemes[i]));
        return json_pack("{si so so so}", "type", (int) r.message_type, "context", cursor(r.context), "extensions",
                         extensions_json(r.extensions, r.n_extensions), "schemes", schemes);
}

static json_t *read_authenticator(GBytes *bytes) {
        g_auto(AttTlsAuthenticator) a = { 0 };
        json_t *entries;

        if (!att_tls_authenticator_parse(bytes, 32, &a, NULL))
                return NULL;
        if (a.is_empty)
                return json_pack("{so}", "verify_data", cursor(a.verify_data));
        entries = json_array();
        for (guint i = 0; i < a.entries->len; i++) {
                const AttTlsCertificateEntry *e = &g_array_index(a.entries, AttTlsCertificateEntry, i);

                json_array_append_new(entries, json_pack("{so so}", "der", cursor(e->der), "extensions",
                                                         extensions_json(e->extensions, e->n_extensions)));
        }
        return json_pack("{so so si so so}", "context", cursor(a.context), "entries", entries, "scheme",
                         (int) a.scheme, "signature", cursor(a.signature), "verify_data", cursor(a.verify_data));
}

static json_t *read_quote(GBytes *bytes) {
        AttTdxQuote q;

        if (!att_tdx_quote_parse(bytes, &q, NULL))
                return NULL;
        return json_pack("{si so so so so si si so so so}", "version", (int) q.version, "report_data",
                         hex(q.report_data, 64), "mr_td", hex(q.mr_td, 48), "signed", cursor(q.signed_part),
                         "signature", hex(q.signature, 64), "type", (int) q.certification_type, "inner_type",
                         (int) q.inner_certification_type, "qe_report", cursor(q.qe_report_bytes), "auth_data",
                         cursor(q.qe_auth_data), "certificates", cursor(q.certificates));
}

static json_t *read_policy(GBytes *bytes) {
        g_autoptr(AttPolicy) policy = NULL;
        gsize size;
        const char *text = g_bytes_get_data(bytes, &size);

        policy = att_policy_parse("policy", text ? text : "", size, NULL);
        return policy ? json_true() : NULL;
}

static const struct {
        const char *kind;
        json_t *(*read)(GBytes *bytes);
} kinds[] = {
        { "claims", read_claims },
        { "evidence", read_evidence },
        { "proof", read_proof },
        { "tsm-report", read_report },
        { "tsm-report-json", read_report_json },
        { "frame-header", read_frame_header },
        { "hello", read_hello },
        { "accepted", read_accepted },
        { "refused", read_refused },
        { "stale", read_stale },
        { "log-request", read_log_request },
        { "log-entries", read_log_entries },
        { "request", read_request },
        { "authenticator", read_authenticator },
        { "quote", read_quote },
        { "policy", read_policy },
};

static GBytes *unhex(const char *text) {
        size_t size = strlen(text) / 2;
        /* Exactly as large as it is, so that a sanitizer sees what reads beyond. */
        uint8_t *p = malloc(size > 0 ? size : 1);

        for (size_t i = 0; i < size; i++)
                p[i] = (uint8_t) (g_ascii_xdigit_value(text[2 * i]) << 4 | g_ascii_xdigit_value(text[2 * i + 1]));
        return g_bytes_new_with_free_func(p, size, free, p);
}

static void answer(char *line) {
        char *space = strchr(line, ' ');
        g_autoptr(GBytes) bytes = NULL;
        json_t *value = NULL;
        char *text;

        if (!space)
                abort();
        *space = '\0';
        bytes = unhex(space + 1);
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (g_str_equal(line, kinds[i].kind))
                        value = kinds[i].read(bytes);
        text = value ? json_dumps(value, JSON_ENSURE_ASCII | JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        (void) puts(text ? text : "no");
        free(text);
        json_decref(value);
}

int main(void) {
        char *line = NULL;
        size_t room = 0;
        ssize_t n;

        while ((n = getline(&line, &room, stdin)) > 0) {
                if (line[n - 1] == '\n')
                        line[n - 1] = '\0';
                answer(line);
        }
        free(line);
        return EXIT_SUCCESS;
}
