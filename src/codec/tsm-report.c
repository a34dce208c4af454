/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tsm-report.h"

#include "codec/cbor-in.h"
#include "codec/cbor-out.h"
#include "codec/json-in.h"
#include "util/error.h"

#define BLOB_MAX (1024u * 1024u) /* what the input may have */

void att_tsm_report_free(AttTsmReport *report) {
        if (!report)
                return;
        g_free(report->provider);
        g_clear_pointer(&report->outblob, g_bytes_unref);
        g_clear_pointer(&report->auxblob, g_bytes_unref);
        g_free(report->service_provider);
        g_clear_pointer(&report->manifestblob, g_bytes_unref);
        g_free(report);
}

/* Keys in their order: shorter first. */
GBytes *att_tsm_report_encode(const AttTsmReport *report) {
        GByteArray *out = g_byte_array_new();
        size_t n = 2;

        n += report->auxblob != NULL;
        n += report->manifestblob != NULL;
        n += report->service_provider != NULL;
        att_cbor_put_map(out, n);
        if (report->auxblob) {
                att_cbor_put_text(out, "auxblob");
                att_cbor_put_bytes(out, report->auxblob);
        }
        att_cbor_put_text(out, "outblob");
        att_cbor_put_bytes(out, report->outblob);
        att_cbor_put_text(out, "provider");
        att_cbor_put_text(out, report->provider);
        if (report->manifestblob) {
                att_cbor_put_text(out, "manifestblob");
                att_cbor_put_bytes(out, report->manifestblob);
        }
        if (report->service_provider) {
                att_cbor_put_text(out, "service_provider");
                att_cbor_put_text(out, report->service_provider);
        }
        return g_byte_array_free_to_bytes(out);
}

static bool bad(GError **error, const char *problem) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "tsm-report: %s", problem);
}

/* Were those that are there read, is what must be there, and nothing else? */
static bool is_sound(const AttTsmReport *r, size_t found, size_t all, GError **error) {
        size_t n = 0;

        n += r->provider != NULL;
        n += r->outblob != NULL;
        n += r->auxblob != NULL;
        n += r->service_provider != NULL;
        n += r->manifestblob != NULL;
        if (found != all)
                return bad(error, "an unknown key");
        if (n != found)
                return bad(error, "a value of a wrong type, or an empty text");
        if (!r->provider || !r->outblob || g_bytes_get_size(r->outblob) == 0)
                return bad(error, "no provider, or no outblob");
        if (r->manifestblob && !r->service_provider)
                return bad(error, "a manifestblob without a service_provider");
        return true;
}

static bool read_cbor(GBytes *bytes, AttTsmReport *r, GError **error) {
        g_autoptr(cbor_item_t) item = att_cbor_load(bytes, ATT_CBOR_ANY, error);
        AttCborMap map;

        if (!item)
                return false;
        if (!att_cbor_get_map(item, &map))
                return bad(error, "not a map");

        r->provider = att_cbor_dup_text(att_cbor_take_named(&map, "provider"), ATT_TSM_TEXT_MAX);
        r->outblob = att_cbor_dup_bytes(att_cbor_take_named(&map, "outblob"), 0, BLOB_MAX);
        r->auxblob = att_cbor_dup_bytes(att_cbor_take_named(&map, "auxblob"), 0, BLOB_MAX);
        r->service_provider = att_cbor_dup_text(att_cbor_take_named(&map, "service_provider"), ATT_TSM_TEXT_MAX);
        r->manifestblob = att_cbor_dup_bytes(att_cbor_take_named(&map, "manifestblob"), 0, BLOB_MAX);
        return is_sound(r, map.taken, map.n, error);
}

static bool read_json(GBytes *bytes, AttTsmReport *r, GError **error) {
        static const char *const keys[] = { "provider", "outblob", "auxblob", "service_provider", "manifestblob" };
        g_autoptr(json_t) json = att_json_load(bytes, error);
        size_t found = 0;

        if (!json)
                return false;
        if (!json_is_object(json))
                return bad(error, "not an object");
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                found += json_object_get(json, keys[i]) != NULL;

        r->provider = att_json_dup_text(json_object_get(json, "provider"), ATT_TSM_TEXT_MAX);
        r->outblob = att_json_dup_base64url(json_object_get(json, "outblob"));
        r->auxblob = att_json_dup_base64url(json_object_get(json, "auxblob"));
        r->service_provider = att_json_dup_text(json_object_get(json, "service_provider"), ATT_TSM_TEXT_MAX);
        r->manifestblob = att_json_dup_base64url(json_object_get(json, "manifestblob"));
        return is_sound(r, found, json_object_size(json), error);
}

/* The kernel has an empty file where it has no blob, and some pass it on. */
static void drop_empty(GBytes **blob) {
        if (*blob && g_bytes_get_size(*blob) == 0)
                g_clear_pointer(blob, g_bytes_unref);
}

AttTsmReport *att_tsm_report_decode(const char *media_type, GBytes *bytes, GError **error) {
        g_autoptr(AttTsmReport) r = g_new0(AttTsmReport, 1);
        bool good = false;

        if (strcmp(media_type, ATT_TSM_REPORT_CBOR) == 0)
                good = read_cbor(bytes, r, error);
        else if (strcmp(media_type, ATT_TSM_REPORT_JSON) == 0)
                good = read_json(bytes, r, error);
        else
                bad(error, "another media type");
        if (!good)
                return NULL;
        drop_empty(&r->auxblob);
        drop_empty(&r->manifestblob);
        return g_steal_pointer(&r);
}
