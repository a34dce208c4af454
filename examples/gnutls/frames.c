/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frames.h"

#include <cbor.h>
#include <string.h>

#define PROFILE "tag:attestd.org,2026:evidence/1"
#define FORMAT "application/vnd.veraison.tsm-report+cbor"
#define HEADER_SIZE 5
#define REASON_MAX 256 /* of a refusal, in characters; 1024 bytes */

GQuark refused_quark(void) {
        return g_quark_from_static_string("refused");
}

static bool protocol_error(GError **error, const char *what) {
        g_set_error(error, REFUSED, REFUSED_TELL, "protocol-error: %s", what);
        return false;
}

/* The TLS connection. */

static bool write_all(gnutls_session_t tls, const uint8_t *data, size_t size, GError **error) {
        while (size > 0) {
                ssize_t n = gnutls_record_send(tls, data, size);

                if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
                        continue;
                if (n < 0) {
                        g_set_error(error, REFUSED, REFUSED_SILENT, "the peer does not read: %s",
                                    gnutls_strerror((int) n));
                        return false;
                }
                data += n;
                size -= (size_t) n;
        }
        return true;
}

static bool read_all(gnutls_session_t tls, uint8_t *data, size_t size, GError **error) {
        while (size > 0) {
                ssize_t n = gnutls_record_recv(tls, data, size);

                /* Blocking too: after a message of TLS 1.3 that is no data, such as KeyUpdate. */
                if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
                        continue;
                if (n == GNUTLS_E_TIMEDOUT) {
                        g_set_error(error, REFUSED, REFUSED_TELL, "timed-out: the peer owes an answer");
                        return false;
                }
                if (n <= 0) {
                        g_set_error(error, REFUSED, REFUSED_SILENT,
                                    "the peer closed the connection without the frame \"end\"%s%s", n < 0 ? ": " : "",
                                    n < 0 ? gnutls_strerror((int) n) : "");
                        return false;
                }
                data += n;
                size -= (size_t) n;
        }
        return true;
}

/* -1: is not received. */
static int64_t limit_of(uint8_t type) {
        switch (type) {
        case FRAME_HELLO:
        case FRAME_ACCEPTED:
        case FRAME_REFUSED:
        case FRAME_STALE:
        case FRAME_LOG_REQUEST:
                return 4 * 1024;
        case FRAME_REQUEST:
                return 16 * 1024;
        case FRAME_AUTHENTICATOR:
                return 128 * 1024;
        case FRAME_DATA:
                return FRAME_DATA_MAX;
        case FRAME_END:
                return 0;
        default:
                return -1;
        }
}

bool frame_send(gnutls_session_t tls, FrameType type, GBytes *payload, GError **error) {
        g_autoptr(GByteArray) frame = g_byte_array_new();
        gsize size = 0;
        const uint8_t *data = payload ? g_bytes_get_data(payload, &size) : NULL;
        uint32_t size_be = GUINT32_TO_BE((uint32_t) size);

        g_byte_array_append(frame, &(uint8_t) { (uint8_t) type }, 1);
        g_byte_array_append(frame, (const uint8_t *) &size_be, sizeof size_be);
        g_byte_array_append(frame, data, (guint) size);
        return write_all(tls, frame->data, frame->len, error);
}

GBytes *frame_receive(gnutls_session_t tls, FrameType *ret_type, GError **error) {
        g_autofree uint8_t *payload = NULL;
        uint8_t header[HEADER_SIZE];
        uint32_t size;

        if (!read_all(tls, header, sizeof header, error))
                return NULL;
        memcpy(&size, header + 1, sizeof size);
        size = GUINT32_FROM_BE(size);
        if (limit_of(header[0]) < (int64_t) size) {
                protocol_error(error, "a frame that is unknown, or over the limit of its type");
                return NULL;
        }
        payload = g_malloc(size + 1);
        if (!read_all(tls, payload, size, error))
                return NULL;
        *ret_type = (FrameType) header[0];
        return g_bytes_new(payload, size);
}

/* Writing CBOR: by hand, as libcbor writes each integer as wide as its type, and
 * deterministic is the shortest. */

enum { UINT = 0, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5 };

static void put_head(GByteArray *out, unsigned major, uint64_t value) {
        unsigned log2 = value <= UINT8_MAX ? 0 : value <= UINT16_MAX ? 1 : value <= UINT32_MAX ? 2 : 3;
        unsigned info = value < 24 ? (unsigned) value : 24 + log2;

        g_byte_array_append(out, &(uint8_t) { (uint8_t) (major << 5 | info) }, 1);
        for (unsigned i = value < 24 ? 0 : 1u << log2; i-- > 0;)
                g_byte_array_append(out, &(uint8_t) { (uint8_t) (value >> 8 * i) }, 1);
}

static void put_bytes(GByteArray *out, unsigned major, const void *data, size_t size) {
        put_head(out, major, size);
        g_byte_array_append(out, data, (guint) size);
}

static void put_context(GByteArray *out, GBytes *context) {
        gsize size = 0;
        const void *data = context ? g_bytes_get_data(context, &size) : NULL;

        put_head(out, UINT, 1);
        put_bytes(out, BYTES, data, size);
}

static void put_flag(GByteArray *out, unsigned key, bool flag) {
        put_head(out, UINT, key);
        g_byte_array_append(out, &(uint8_t) { flag ? 0xf5 : 0xf4 }, 1);
}

GBytes *hello_encode(bool asks, bool gives) {
        GByteArray *out = g_byte_array_new();

        put_head(out, MAP, 6);
        put_head(out, UINT, 1);
        put_head(out, UINT, 1);
        put_head(out, UINT, 2);
        put_head(out, ARRAY, 1);
        put_bytes(out, TEXT, PROFILE, strlen(PROFILE));
        put_head(out, UINT, 3);
        put_head(out, ARRAY, 1);
        put_bytes(out, TEXT, FORMAT, strlen(FORMAT));
        put_flag(out, 4, false); /* the batch form */
        put_flag(out, 5, asks);
        put_flag(out, 6, gives);
        return g_byte_array_free_to_bytes(out);
}

GBytes *accepted_encode(GBytes *context) {
        GByteArray *out = g_byte_array_new();

        put_head(out, MAP, 1);
        put_context(out, context);
        return g_byte_array_free_to_bytes(out);
}

GBytes *refused_encode(GBytes *context, const char *reason) {
        g_autofree char *text = g_utf8_substring(reason, 0, MIN(g_utf8_strlen(reason, -1), REASON_MAX));
        GByteArray *out = g_byte_array_new();

        put_head(out, MAP, 2);
        put_context(out, context);
        put_head(out, UINT, 2);
        put_bytes(out, TEXT, text, strlen(text));
        return g_byte_array_free_to_bytes(out);
}

static void put_id(GByteArray *out, unsigned key, const char *hex) {
        put_head(out, UINT, key);
        put_head(out, BYTES, strlen(hex) / 2);
        for (; g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]); hex += 2) {
                uint8_t byte = (uint8_t) (g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));

                g_byte_array_append(out, &byte, 1);
        }
}

GBytes *stale_encode(const char *boot_id, const char *instance_id, uint64_t generation) {
        GByteArray *out = g_byte_array_new();

        put_head(out, MAP, 4);
        put_id(out, 1, boot_id);
        put_id(out, 2, instance_id);
        put_head(out, UINT, 3);
        put_head(out, UINT, generation);
        put_head(out, UINT, 4);
        put_head(out, ARRAY, 0); /* the reasons have names only in the signal */
        return g_byte_array_free_to_bytes(out);
}

GBytes *log_refusal_encode(const char *log, uint64_t from, const char *reason) {
        GByteArray *out = g_byte_array_new();

        put_head(out, MAP, 6);
        put_head(out, UINT, 1);
        put_bytes(out, TEXT, log, strlen(log));
        put_head(out, UINT, 2);
        put_head(out, UINT, from);
        put_head(out, UINT, 3);
        put_bytes(out, BYTES, "", 0);
        put_head(out, UINT, 4); /* of no bank */
        put_bytes(out, TEXT, "", 0);
        put_flag(out, 5, false); /* no more of it */
        put_head(out, UINT, 6);
        put_bytes(out, TEXT, reason, strlen(reason));
        return g_byte_array_free_to_bytes(out);
}

/* Reading CBOR. */

typedef cbor_item_t Item;

static void item_free(Item *item) {
        cbor_decref(&item);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Item, item_free)

static Item *map_load(GBytes *payload, GError **error) {
        struct cbor_load_result result;
        gsize size;
        const uint8_t *data = g_bytes_get_data(payload, &size);
        g_autoptr(Item) item = cbor_load(data, size, &result);

        if (!item || result.read != size || !cbor_isa_map(item) || !cbor_map_is_definite(item)) {
                protocol_error(error, "a payload that is not what it should be");
                return NULL;
        }
        return g_steal_pointer(&item);
}

/* Borrowed from the map; NULL if it is not there, or of another type. */
static Item *map_get(Item *map, uint64_t key, cbor_type type) {
        struct cbor_pair *pairs = cbor_map_handle(map);

        for (size_t i = 0; i < cbor_map_size(map); i++)
                if (cbor_isa_uint(pairs[i].key) && cbor_get_int(pairs[i].key) == key)
                        return cbor_typeof(pairs[i].value) == type ? pairs[i].value : NULL;
        return NULL;
}

static bool map_get_flag(Item *map, uint64_t key) {
        Item *item = map_get(map, key, CBOR_TYPE_FLOAT_CTRL);

        return item && cbor_is_bool(item) && cbor_get_bool(item);
}

static char *map_dup_text(Item *map, uint64_t key) {
        Item *item = map_get(map, key, CBOR_TYPE_STRING);

        return item && cbor_string_is_definite(item) ?
                       g_strndup((const char *) cbor_string_handle(item), cbor_string_length(item)) :
                       NULL;
}

static bool list_has(Item *list, const char *word) {
        for (size_t i = 0; list && i < cbor_array_size(list); i++) {
                Item *item = cbor_array_handle(list)[i];

                if (cbor_isa_string(item) && cbor_string_is_definite(item) &&
                    cbor_string_length(item) == strlen(word) &&
                    memcmp(cbor_string_handle(item), word, strlen(word)) == 0)
                        return true;
        }
        return false;
}

bool hello_decode(GBytes *payload, bool *ret_asks, GError **error) {
        g_autoptr(Item) map = map_load(payload, error);
        Item *version;

        if (!map)
                return false;
        version = map_get(map, 1, CBOR_TYPE_UINT);
        if (!version || cbor_get_int(version) < 1)
                return protocol_error(error, "a hello without version");
        if (!list_has(map_get(map, 2, CBOR_TYPE_ARRAY), PROFILE)) {
                g_set_error(error, REFUSED, REFUSED_TELL,
                            "no-common-profile: the peer does not speak the profile of this end");
                return false;
        }
        if (!list_has(map_get(map, 3, CBOR_TYPE_ARRAY), FORMAT)) {
                g_set_error(error, REFUSED, REFUSED_TELL,
                            "no-common-format: the peer does not speak the evidence format of this end");
                return false;
        }
        *ret_asks = map_get_flag(map, 5);
        return true;
}

bool accepted_decode(GBytes *payload, GBytes **ret_context, GError **error) {
        g_autoptr(Item) map = map_load(payload, error);
        Item *context = map ? map_get(map, 1, CBOR_TYPE_BYTESTRING) : NULL;

        if (!map)
                return false;
        if (!context || !cbor_bytestring_is_definite(context))
                return protocol_error(error, "accepted without context");
        *ret_context = g_bytes_new(cbor_bytestring_handle(context), cbor_bytestring_length(context));
        return true;
}

bool log_request_decode(GBytes *payload, char **ret_log, uint64_t *ret_from, GError **error) {
        g_autoptr(Item) map = map_load(payload, error);
        g_autofree char *log = map ? map_dup_text(map, 1) : NULL;
        Item *from = map ? map_get(map, 2, CBOR_TYPE_UINT) : NULL;

        if (!map)
                return false;
        if (!log || !from)
                return protocol_error(error, "a log request without log or first entry");
        *ret_log = g_steal_pointer(&log);
        *ret_from = cbor_get_int(from);
        return true;
}

bool refused_decode(GBytes *payload, char **ret_reason, GError **error) {
        g_autoptr(Item) map = map_load(payload, error);
        g_autofree char *reason = map ? map_dup_text(map, 2) : NULL;

        if (!map)
                return false;
        if (!reason || !g_utf8_validate(reason, -1, NULL))
                return protocol_error(error, "refused without reason");
        *ret_reason = g_steal_pointer(&reason);
        return true;
}

static char *id_dup(Item *item) {
        GString *hex = g_string_new(NULL);

        for (size_t i = 0; i < cbor_bytestring_length(item); i++)
                g_string_append_printf(hex, "%02x", cbor_bytestring_handle(item)[i]);
        return g_string_free(hex, FALSE);
}

bool stale_decode(GBytes *payload, char **ret_boot_id, char **ret_instance_id, uint64_t *ret_generation,
                  GError **error) {
        g_autoptr(Item) map = map_load(payload, error);
        Item *boot, *instance, *generation;

        if (!map)
                return false;
        boot = map_get(map, 1, CBOR_TYPE_BYTESTRING);
        instance = map_get(map, 2, CBOR_TYPE_BYTESTRING);
        generation = map_get(map, 3, CBOR_TYPE_UINT);
        if (!boot || !instance || !generation || !cbor_bytestring_is_definite(boot) ||
            !cbor_bytestring_is_definite(instance))
                return protocol_error(error, "stale without state");
        *ret_boot_id = id_dup(boot);
        *ret_instance_id = id_dup(instance);
        *ret_generation = cbor_get_int(generation);
        return true;
}
