/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/frame.h"

#include "codec/cbor-in.h"
#include "codec/cbor-out.h"
#include "codec/text.h"
#include "util/bank.h"
#include "util/error.h"

#define KIB 1024u
#define ID_SIZE 16u
#define TEXT_HEAD_MAX 3u
#define ROOM 64u /* more than all that stands around texts in a frame */

static const struct {
        const char *name;
        size_t max;
} types[] = {
        [ATT_FRAME_HELLO] = { "hello", 4 * KIB },
        [ATT_FRAME_REQUEST] = { "request", 16 * KIB },
        [ATT_FRAME_AUTHENTICATOR] = { "authenticator", 128 * KIB },
        [ATT_FRAME_ACCEPTED] = { "accepted", 4 * KIB },
        [ATT_FRAME_REFUSED] = { "refused", 4 * KIB },
        [ATT_FRAME_STALE] = { "stale", 4 * KIB },
        [ATT_FRAME_LOG_REQUEST] = { "log request", 4 * KIB },
        [ATT_FRAME_LOG_ENTRIES] = { "log entries", KIB * KIB },
        [ATT_FRAME_DATA] = { "data", ATT_FRAME_DATA_MAX },
        [ATT_FRAME_END] = { "end", 0 },
};
G_STATIC_ASSERT(G_N_ELEMENTS(types) == ATT_FRAME_TYPES);

static const char *const logs[] = { ATT_LOG_IMA, ATT_LOG_BOOT, ATT_LOG_REGISTER, NULL };

size_t att_frame_max(AttFrameType type) {
        return types[type].max;
}

const char *att_frame_name(AttFrameType type) {
        return types[type].name;
}

gboolean att_frame_header(const uint8_t header[ATT_FRAME_HEADER_SIZE], AttFrameType *ret_type, size_t *ret_size,
                          GError **error) {
        AttCursor c = att_cursor(header, ATT_FRAME_HEADER_SIZE);
        uint8_t type = att_take_u8(&c);
        uint32_t size = att_take_u32be(&c);

        if (type >= ATT_FRAME_TYPES)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "a frame of unknown type %u", type);
        if (size > types[type].max)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "a frame \"%s\" of %u bytes: over %zu",
                                     types[type].name, size, types[type].max);

        *ret_type = (AttFrameType) type;
        *ret_size = size;
        return TRUE;
}

void att_frame_put(GByteArray *out, AttFrameType type, const void *payload, size_t size) {
        g_assert(size <= types[type].max);
        att_put_be(out, type, 1);
        att_put_be(out, size, 4);
        att_put(out, payload, size);
}

static bool bad(GError **error, AttFrameType type, const char *problem) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "frame \"%s\": %s", types[type].name, problem);
}

/* The map that every payload but those of TLS and data is. */
static cbor_item_t *load_map(AttFrameType type, GBytes *payload, AttCborMap *ret, GError **error) {
        g_autoptr(cbor_item_t) item = NULL;

        if (g_bytes_get_size(payload) > types[type].max) {
                att_error_set(error, ATT_ERROR_TOO_LARGE, "frame \"%s\" over %zu bytes", types[type].name,
                              types[type].max);
                return NULL;
        }

        item = att_cbor_load(payload, ATT_CBOR_DETERMINISTIC, error);
        if (item && !att_cbor_get_map(item, ret)) {
                bad(error, type, "not a map");
                return NULL;
        }
        return g_steal_pointer(&item);
}

/* Those that fit into @max bytes: what holds them has its own limit. */
static void put_texts(GByteArray *out, char *const *texts, size_t max) {
        size_t n = 0, size = 0;

        while (texts && texts[n] && n < ATT_HELLO_TEXTS_MAX && size + TEXT_HEAD_MAX + strlen(texts[n]) <= max)
                size += TEXT_HEAD_MAX + strlen(texts[n++]);
        att_cbor_put_array(out, n);
        for (size_t i = 0; i < n; i++)
                att_cbor_put_text(out, texts[i]);
}

static char **dup_texts(const cbor_item_t *item) {
        g_auto(GStrv) texts = NULL;
        AttCborArray a;

        if (!att_cbor_get_array(item, 0, ATT_HELLO_TEXTS_MAX, &a))
                return NULL;
        texts = g_new0(char *, a.n + 1);
        for (size_t i = 0; i < a.n; i++)
                if (!(texts[i] = att_cbor_dup_text(a.items[i], ATT_FRAME_TEXT_MAX)))
                        return NULL;
        return g_steal_pointer(&texts);
}

void att_hello_clear(AttHello *hello) {
        g_strfreev(hello->profiles);
        g_strfreev(hello->formats);
        *hello = (AttHello) { 0 };
}

GBytes *att_hello_encode(const AttHello *hello) {
        GByteArray *out = g_byte_array_new();

        att_cbor_put_map(out, 6);
        att_cbor_put_uint(out, 1);
        att_cbor_put_uint(out, hello->version);
        att_cbor_put_uint(out, 2);
        put_texts(out, hello->profiles, 2 * KIB - ROOM);
        att_cbor_put_uint(out, 3);
        put_texts(out, hello->formats, 2 * KIB - ROOM);
        att_cbor_put_uint(out, 4);
        att_cbor_put_bool(out, hello->batch);
        att_cbor_put_uint(out, 5);
        att_cbor_put_bool(out, hello->asks);
        att_cbor_put_uint(out, 6);
        att_cbor_put_bool(out, hello->gives);
        return g_byte_array_free_to_bytes(out);
}

gboolean att_hello_decode(GBytes *payload, AttHello *ret, GError **error) {
        g_auto(AttHello) h = { 0 };
        AttCborMap map;
        g_autoptr(cbor_item_t) item = load_map(ATT_FRAME_HELLO, payload, &map, error);

        if (!item)
                return FALSE;
        for (size_t i = 0; i < map.n; i++)
                if (!cbor_isa_uint(map.pairs[i].key))
                        return bad(error, ATT_FRAME_HELLO, "a key that is not an unsigned integer");

        if (!att_cbor_get_uint(att_cbor_take(&map, 1), &h.version) || h.version == 0 ||
            !(h.profiles = dup_texts(att_cbor_take(&map, 2))) || !(h.formats = dup_texts(att_cbor_take(&map, 3))) ||
            !att_cbor_get_bool(att_cbor_take(&map, 4), &h.batch) ||
            !att_cbor_get_bool(att_cbor_take(&map, 5), &h.asks) ||
            !att_cbor_get_bool(att_cbor_take(&map, 6), &h.gives))
                return bad(error, ATT_FRAME_HELLO, "an entry is missing or has a wrong type");

        *ret = h;
        h = (AttHello) { 0 };
        return TRUE;
}

void att_verdict_frame_clear(AttVerdictFrame *verdict) {
        g_clear_pointer(&verdict->context, g_bytes_unref);
        g_clear_pointer(&verdict->reason, g_free);
}

GBytes *att_accepted_encode(GBytes *context) {
        GByteArray *out = g_byte_array_new();

        att_cbor_put_map(out, 1);
        att_cbor_put_uint(out, 1);
        att_cbor_put_bytes(out, context);
        return g_byte_array_free_to_bytes(out);
}

/* Reasons hold what a peer sent: only what the other side takes leaves here. */
static char *printable(const char *reason) {
        g_autofree char *valid = g_utf8_make_valid(reason ? reason : "", -1);
        GString *out = g_string_new(NULL);

        for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
                gunichar u = g_utf8_get_char(p);

                if (!g_unichar_isprint(u))
                        u = '?';
                if (out->len + (gsize) g_unichar_to_utf8(u, NULL) > ATT_REASON_MAX)
                        break;
                g_string_append_unichar(out, u);
        }
        if (out->len == 0)
                g_string_append(out, "refused");
        return g_string_free(out, FALSE);
}

GBytes *att_refused_encode(GBytes *context, const char *reason) {
        g_autofree char *text = printable(reason);
        GByteArray *out = g_byte_array_new();

        att_cbor_put_map(out, 2);
        att_cbor_put_uint(out, 1);
        att_cbor_put_bytes(out, context);
        att_cbor_put_uint(out, 2);
        att_cbor_put_text(out, text);
        return g_byte_array_free_to_bytes(out);
}

gboolean att_verdict_frame_decode(AttFrameType type, GBytes *payload, AttVerdictFrame *ret, GError **error) {
        g_auto(AttVerdictFrame) v = { 0 };
        bool refused = type == ATT_FRAME_REFUSED;
        AttCborMap map;
        g_autoptr(cbor_item_t) item = load_map(type, payload, &map, error);

        if (!item)
                return FALSE;
        if (!(v.context = att_cbor_dup_bytes(att_cbor_take(&map, 1), refused ? 0 : 1, ATT_CONTEXT_SIZE_MAX)))
                return bad(error, type, "no context");
        if (refused && !(v.reason = att_cbor_dup_text(att_cbor_take(&map, 2), ATT_REASON_MAX)))
                return bad(error, type, "no reason, or not a plain text");
        if (!att_cbor_map_is_spent(&map))
                return bad(error, type, "an unknown entry");

        *ret = v;
        v = (AttVerdictFrame) { 0 };
        return TRUE;
}

void att_stale_frame_clear(AttStaleFrame *stale) {
        g_strfreev(stale->reasons);
        *stale = (AttStaleFrame) { 0 };
}

GBytes *att_stale_encode(const AttStaleFrame *stale) {
        GByteArray *out = g_byte_array_new();

        att_cbor_put_map(out, 4);
        att_cbor_put_uint(out, 1);
        att_cbor_put_data(out, stale->boot_id, ID_SIZE);
        att_cbor_put_uint(out, 2);
        att_cbor_put_data(out, stale->instance_id, ID_SIZE);
        att_cbor_put_uint(out, 3);
        att_cbor_put_uint(out, stale->generation);
        att_cbor_put_uint(out, 4);
        put_texts(out, stale->reasons, 4 * KIB - ROOM);
        return g_byte_array_free_to_bytes(out);
}

gboolean att_stale_decode(GBytes *payload, AttStaleFrame *ret, GError **error) {
        g_auto(AttStaleFrame) s = { 0 };
        AttCborMap map;
        g_autoptr(cbor_item_t) item = load_map(ATT_FRAME_STALE, payload, &map, error);

        if (!item)
                return FALSE;
        if (!att_cbor_get_bytes(att_cbor_take(&map, 1), s.boot_id, ID_SIZE) ||
            !att_cbor_get_bytes(att_cbor_take(&map, 2), s.instance_id, ID_SIZE) ||
            !att_cbor_get_uint(att_cbor_take(&map, 3), &s.generation) ||
            !(s.reasons = dup_texts(att_cbor_take(&map, 4))))
                return bad(error, ATT_FRAME_STALE, "an entry is missing or has a wrong type");
        if (!att_cbor_map_is_spent(&map))
                return bad(error, ATT_FRAME_STALE, "an unknown entry");

        *ret = s;
        s = (AttStaleFrame) { 0 };
        return TRUE;
}

void att_log_request_clear(AttLogRequestFrame *request) {
        g_clear_pointer(&request->log, g_free);
        request->from = 0;
}

GBytes *att_log_request_encode(const AttLogRequestFrame *request) {
        GByteArray *out = g_byte_array_new();

        att_cbor_put_map(out, 2);
        att_cbor_put_uint(out, 1);
        att_cbor_put_text(out, request->log);
        att_cbor_put_uint(out, 2);
        att_cbor_put_uint(out, request->from);
        return g_byte_array_free_to_bytes(out);
}

gboolean att_log_request_decode(GBytes *payload, AttLogRequestFrame *ret, GError **error) {
        g_auto(AttLogRequestFrame) r = { 0 };
        AttCborMap map;
        g_autoptr(cbor_item_t) item = load_map(ATT_FRAME_LOG_REQUEST, payload, &map, error);

        if (!item)
                return FALSE;
        r.log = att_cbor_dup_text(att_cbor_take(&map, 1), ATT_FRAME_TEXT_MAX);
        if (!r.log || !g_strv_contains(logs, r.log))
                return bad(error, ATT_FRAME_LOG_REQUEST, "an unknown log");
        if (!att_cbor_get_uint(att_cbor_take(&map, 2), &r.from))
                return bad(error, ATT_FRAME_LOG_REQUEST, "no first entry");
        if (!att_cbor_map_is_spent(&map))
                return bad(error, ATT_FRAME_LOG_REQUEST, "an unknown entry");

        *ret = r;
        r = (AttLogRequestFrame) { 0 };
        return TRUE;
}

void att_log_entries_clear(AttLogEntriesFrame *entries) {
        g_clear_pointer(&entries->log, g_free);
        g_clear_pointer(&entries->entries, g_bytes_unref);
        g_clear_pointer(&entries->bank, g_free);
        g_clear_pointer(&entries->reason, g_free);
        *entries = (AttLogEntriesFrame) { 0 };
}

GBytes *att_log_entries_encode(const AttLogEntriesFrame *e) {
        GByteArray *out = g_byte_array_sized_new((guint) g_bytes_get_size(e->entries) + ROOM);

        att_cbor_put_map(out, e->reason ? 6 : 5);
        att_cbor_put_uint(out, 1);
        att_cbor_put_text(out, e->log);
        att_cbor_put_uint(out, 2);
        att_cbor_put_uint(out, e->first);
        att_cbor_put_uint(out, 3);
        att_cbor_put_bytes(out, e->entries);
        att_cbor_put_uint(out, 4);
        att_cbor_put_text(out, e->bank);
        att_cbor_put_uint(out, 5);
        att_cbor_put_bool(out, e->more);
        if (e->reason) {
                att_cbor_put_uint(out, 6);
                att_cbor_put_text(out, e->reason);
        }
        return g_byte_array_free_to_bytes(out);
}

/* A text that may be empty, as others here may not. */
static char *dup_bank(const cbor_item_t *item) {
        if (item && cbor_isa_string(item) && cbor_string_is_definite(item) && cbor_string_length(item) == 0)
                return g_strdup("");
        return att_cbor_dup_text(item, ATT_FRAME_TEXT_MAX);
}

static bool is_bank_of(const char *bank, const AttLogEntriesFrame *e) {
        AttBank known;

        if (e->reason || g_str_equal(e->log, ATT_LOG_BOOT))
                return *bank == '\0';
        if (g_str_equal(e->log, ATT_LOG_REGISTER))
                return g_str_equal(bank, att_bank_name(ATT_BANK_SHA384));
        return att_bank_from_name(bank, &known);
}

gboolean att_log_entries_decode(GBytes *payload, AttLogEntriesFrame *ret, GError **error) {
        g_auto(AttLogEntriesFrame) e = { 0 };
        const cbor_item_t *reason;
        AttCborMap map;
        g_autoptr(cbor_item_t) item = load_map(ATT_FRAME_LOG_ENTRIES, payload, &map, error);

        if (!item)
                return FALSE;
        e.log = att_cbor_dup_text(att_cbor_take(&map, 1), ATT_FRAME_TEXT_MAX);
        if (!e.log || !g_strv_contains(logs, e.log))
                return bad(error, ATT_FRAME_LOG_ENTRIES, "an unknown log");
        if (!att_cbor_get_uint(att_cbor_take(&map, 2), &e.first) ||
            !(e.entries = att_cbor_dup_bytes(att_cbor_take(&map, 3), 0, ATT_LOG_CHUNK_MAX)) ||
            !(e.bank = dup_bank(att_cbor_take(&map, 4))) || !att_cbor_get_bool(att_cbor_take(&map, 5), &e.more))
                return bad(error, ATT_FRAME_LOG_ENTRIES, "an entry is missing or has a wrong type or size");
        reason = att_cbor_take(&map, 6);
        if (reason && !(e.reason = att_cbor_dup_text(reason, ATT_FRAME_TEXT_MAX)))
                return bad(error, ATT_FRAME_LOG_ENTRIES, "a reason that is not a plain text");
        if (!att_cbor_map_is_spent(&map))
                return bad(error, ATT_FRAME_LOG_ENTRIES, "an unknown entry");
        if (!is_bank_of(e.bank, &e))
                return bad(error, ATT_FRAME_LOG_ENTRIES, "not a bank of this log");
        if (e.reason && (e.more || g_bytes_get_size(e.entries) > 0))
                return bad(error, ATT_FRAME_LOG_ENTRIES, "entries, and a reason why there are none");
        if (e.more && g_bytes_get_size(e.entries) == 0)
                return bad(error, ATT_FRAME_LOG_ENTRIES, "nothing, and more to come");

        *ret = e;
        e = (AttLogEntriesFrame) { 0 };
        return TRUE;
}
