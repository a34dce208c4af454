/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/cbor-out.h"
#include "codec/frame.h"
#include "exact.h"
#include "run.h"
#include "util/error.h"

#define ID_1 "50101112131415161718191a1b1c1d1e1f"
#define ID_2 "50202122232425262728292a2b2c2d2e2f"

static const struct {
        const char *name;
        size_t max;
} frames[ATT_FRAME_TYPES] = {
        { "hello", 4096 }, { "request", 16384 }, { "authenticator", 131072 }, { "accepted", 4096 },
        { "refused", 4096 }, { "stale", 4096 }, { "log request", 4096 }, { "log entries", 1048576 },
        { "data", 16384 }, { "end", 0 },
};

/* The result of reading a header of these bytes; 0 for good, else the error's code and 1. */
static int header(uint8_t type, size_t size, AttFrameType *ret_type, size_t *ret_size) {
        g_autofree uint8_t *p = g_malloc(ATT_FRAME_HEADER_SIZE);
        g_autoptr(GError) error = NULL;

        p[0] = type;
        for (int i = 0; i < 4; i++)
                p[1 + i] = (uint8_t) (size >> (24 - 8 * i));
        if (att_frame_header(p, ret_type, ret_size, &error))
                return 0;
        ck_assert(error->domain == ATT_ERROR);
        return 1 + error->code;
}

/* At the cap, one over, and the most that four bytes can say, before any payload is there. */
START_TEST(sc34c_frames_have_a_cap) {
        AttFrameType type = ATT_FRAME_DATA;
        size_t size = 77;

        ck_assert_uint_eq(att_frame_max((AttFrameType) _i), frames[_i].max);
        ck_assert_str_eq(att_frame_name((AttFrameType) _i), frames[_i].name);
        ck_assert_int_eq(header((uint8_t) _i, frames[_i].max + 1, &type, &size), 1 + ATT_ERROR_TOO_LARGE);
        ck_assert_int_eq(header((uint8_t) _i, UINT32_MAX, &type, &size), 1 + ATT_ERROR_TOO_LARGE);
        ck_assert(type == ATT_FRAME_DATA && size == 77);
        ck_assert_int_eq(header((uint8_t) _i, frames[_i].max, &type, &size), 0);
        ck_assert(type == (AttFrameType) _i && size == frames[_i].max);
}
END_TEST

START_TEST(refuses_unknown_types) {
        AttFrameType type = ATT_FRAME_DATA;
        size_t size = 77;

        for (unsigned i = ATT_FRAME_TYPES; i < 256; i++)
                ck_assert_int_eq(header((uint8_t) i, 0, &type, &size), 1 + ATT_ERROR_BAD_DATA);
        ck_assert(type == ATT_FRAME_DATA && size == 77);
}
END_TEST

START_TEST(writes_a_frame) {
        g_autoptr(GByteArray) out = g_byte_array_new();

        att_frame_put(out, ATT_FRAME_DATA, "hello", 5);
        att_frame_put(out, ATT_FRAME_END, NULL, 0);
        ck_assert_uint_eq(out->len, 15);
        ck_assert_mem_eq(out->data, "\x08\0\0\0\5hello\x09\0\0\0\0", 15);
}
END_TEST

/* Each payload read by the decoder of its type; whether it was taken. */
static bool decode(AttFrameType type, GBytes *payload, GError **error) {
        g_auto(AttHello) hello = { .version = 77 };
        g_auto(AttVerdictFrame) verdict = { 0 };
        g_auto(AttStaleFrame) stale = { .generation = 77 };
        g_auto(AttLogRequestFrame) request = { .from = 77 };
        g_auto(AttLogEntriesFrame) entries = { .first = 77 };
        bool good = false;

        switch (type) {
        case ATT_FRAME_HELLO:
                good = att_hello_decode(payload, &hello, error);
                ck_assert(good || (hello.version == 77 && !hello.profiles && !hello.formats));
                break;
        case ATT_FRAME_ACCEPTED:
        case ATT_FRAME_REFUSED:
                good = att_verdict_frame_decode(type, payload, &verdict, error);
                ck_assert(good || (!verdict.context && !verdict.reason));
                break;
        case ATT_FRAME_STALE:
                good = att_stale_decode(payload, &stale, error);
                ck_assert(good || (stale.generation == 77 && !stale.reasons));
                break;
        case ATT_FRAME_LOG_REQUEST:
                good = att_log_request_decode(payload, &request, error);
                ck_assert(good || (request.from == 77 && !request.log));
                break;
        case ATT_FRAME_LOG_ENTRIES:
                good = att_log_entries_decode(payload, &entries, error);
                ck_assert(good || (entries.first == 77 && !entries.log && !entries.entries));
                break;
        case ATT_FRAME_REQUEST:
        case ATT_FRAME_AUTHENTICATOR:
        case ATT_FRAME_DATA:
        case ATT_FRAME_END:
        default:
                ck_abort_msg("no payload of ours");
        }
        return good;
}

#define HELLO "a6 01 01 02 81 6161 03 80 04 f4 05 f5 06 f5"
#define IMA "63696d61"
#define BOOT "64626f6f74"
#define REGISTER "687265676973746572"
#define SHA256 "66736861323536"
#define SHA384 "66736861333834"
#define STALE "a4 01" ID_1 "02" ID_2 "03 07 04 81 63696d61"

static const struct {
        const char *what;
        AttFrameType type;
        const char *hex;
        bool good;
} payloads[] = {
        { "hello", ATT_FRAME_HELLO, HELLO, true },
        { "hello of a later version", ATT_FRAME_HELLO,
          "a8 01 02 02 81 6161 03 80 04 f4 05 f5 06 f5 07 81 01 1818 a10000", true },
        { "hello, empty", ATT_FRAME_HELLO, "a0", false },
        { "hello, an array", ATT_FRAME_HELLO, "86 01 80 80 f4 f5 f5", false },
        { "hello without gives", ATT_FRAME_HELLO, "a5 01 01 02 81 6161 03 80 04 f4 05 f5", false },
        { "hello without version", ATT_FRAME_HELLO, "a5 02 81 6161 03 80 04 f4 05 f5 06 f5", false },
        { "hello of version 0", ATT_FRAME_HELLO, "a6 01 00 02 81 6161 03 80 04 f4 05 f5 06 f5", false },
        { "hello of version -1", ATT_FRAME_HELLO, "a6 01 20 02 81 6161 03 80 04 f4 05 f5 06 f5", false },
        { "hello, asks 1", ATT_FRAME_HELLO, "a6 01 01 02 81 6161 03 80 04 f4 05 01 06 f5", false },
        { "hello, profile is bytes", ATT_FRAME_HELLO, "a6 01 01 02 81 4161 03 80 04 f4 05 f5 06 f5", false },
        { "hello, profile is empty", ATT_FRAME_HELLO, "a6 01 01 02 81 60 03 80 04 f4 05 f5 06 f5", false },
        { "hello, profile with a newline", ATT_FRAME_HELLO, "a6 01 01 02 81 610a 03 80 04 f4 05 f5 06 f5", false },
        { "hello, formats are a text", ATT_FRAME_HELLO, "a6 01 01 02 81 6161 03 6161 04 f4 05 f5 06 f5", false },
        { "hello, negative key", ATT_FRAME_HELLO, "a7 01 01 02 81 6161 03 80 04 f4 05 f5 06 f5 20 00", false },
        { "hello, text key", ATT_FRAME_HELLO, "a7 01 01 02 81 6161 03 80 04 f4 05 f5 06 f5 6161 00", false },
        { "hello, not deterministic", ATT_FRAME_HELLO, "a6 01 1801 02 81 6161 03 80 04 f4 05 f5 06 f5", false },
        { "hello, out of order", ATT_FRAME_HELLO, "a6 02 81 6161 01 01 03 80 04 f4 05 f5 06 f5", false },
        { "hello, version twice", ATT_FRAME_HELLO, "a7 01 01 01 01 02 81 6161 03 80 04 f4 05 f5 06 f5", false },
        { "hello, a byte more", ATT_FRAME_HELLO, HELLO "00", false },
        { "accepted", ATT_FRAME_ACCEPTED, "a1 01 41aa", true },
        { "accepted, of no context", ATT_FRAME_ACCEPTED, "a1 01 40", false },
        { "accepted, context is text", ATT_FRAME_ACCEPTED, "a1 01 6161", false },
        { "accepted, another key", ATT_FRAME_ACCEPTED, "a1 02 41aa", false },
        { "accepted, with a reason", ATT_FRAME_ACCEPTED, "a2 01 41aa 02 6161", false },
        { "accepted, with more", ATT_FRAME_ACCEPTED, "a2 01 41aa 03 00", false },
        { "refused", ATT_FRAME_REFUSED, "a2 01 41aa 02 6161", true },
        { "refused, of no context", ATT_FRAME_REFUSED, "a2 01 40 02 6161", true },
        { "refused without a reason", ATT_FRAME_REFUSED, "a1 01 41aa", false },
        { "refused, empty reason", ATT_FRAME_REFUSED, "a2 01 41aa 02 60", false },
        { "refused, reason with an escape", ATT_FRAME_REFUSED, "a2 01 41aa 02 621b63", false },
        { "refused, right to left", ATT_FRAME_REFUSED, "a2 01 41aa 02 63e280ae", false },
        { "refused, with more", ATT_FRAME_REFUSED, "a3 01 41aa 02 6161 03 00", false },
        { "stale", ATT_FRAME_STALE, STALE, true },
        { "stale without reasons", ATT_FRAME_STALE, "a4 01" ID_1 "02" ID_2 "03 07 04 80", true },
        { "stale, no reasons at all", ATT_FRAME_STALE, "a3 01" ID_1 "02" ID_2 "03 07", false },
        { "stale, short boot id", ATT_FRAME_STALE, "a4 01 4110 02" ID_2 "03 07 04 80", false },
        { "stale, no instance id", ATT_FRAME_STALE, "a3 01" ID_1 "03 07 04 80", false },
        { "stale, negative generation", ATT_FRAME_STALE, "a4 01" ID_1 "02" ID_2 "03 20 04 80", false },
        { "stale, reason is a number", ATT_FRAME_STALE, "a4 01" ID_1 "02" ID_2 "03 07 04 8101", false },
        { "stale, with more", ATT_FRAME_STALE, "a5 01" ID_1 "02" ID_2 "03 07 04 80 05 00", false },
        { "log request", ATT_FRAME_LOG_REQUEST, "a2 01 63696d61 02 00", true },
        { "log request, boot", ATT_FRAME_LOG_REQUEST, "a2 01 64626f6f74 02 1bffffffffffffffff", true },
        { "log request, register", ATT_FRAME_LOG_REQUEST, "a2 01 687265676973746572 02 05", true },
        { "log request, other log", ATT_FRAME_LOG_REQUEST, "a2 01 636d6169 02 00", false },
        { "log request, negative", ATT_FRAME_LOG_REQUEST, "a2 01 63696d61 02 20", false },
        { "log request without from", ATT_FRAME_LOG_REQUEST, "a1 01 63696d61", false },
        { "log request, with more", ATT_FRAME_LOG_REQUEST, "a3 01 63696d61 02 00 03 00", false },
        { "log entries", ATT_FRAME_LOG_ENTRIES, "a5 01" IMA "02 07 03 42aabb 04" SHA256 "05 f5", true },
        { "log entries, the last", ATT_FRAME_LOG_ENTRIES, "a5 01" IMA "02 07 03 42aabb 04" SHA256 "05 f4", true },
        { "log entries, none", ATT_FRAME_LOG_ENTRIES, "a5 01" IMA "02 07 03 40 04" SHA256 "05 f4", true },
        { "log entries, none and more", ATT_FRAME_LOG_ENTRIES, "a5 01" IMA "02 07 03 40 04" SHA256 "05 f5", false },
        { "log entries, boot", ATT_FRAME_LOG_ENTRIES, "a5 01" BOOT "02 00 03 41aa 04 60 05 f4", true },
        { "log entries, boot with a bank", ATT_FRAME_LOG_ENTRIES, "a5 01" BOOT "02 00 03 41aa 04" SHA256 "05 f4",
          false },
        { "log entries, register", ATT_FRAME_LOG_ENTRIES, "a5 01" REGISTER "02 00 03 41aa 04" SHA384 "05 f4", true },
        { "log entries, register, other", ATT_FRAME_LOG_ENTRIES, "a5 01" REGISTER "02 00 03 41aa 04" SHA256 "05 f4",
          false },
        { "log entries, other log", ATT_FRAME_LOG_ENTRIES, "a5 01 636d6169 02 00 03 41aa 04 60 05 f4", false },
        { "log entries, no bank", ATT_FRAME_LOG_ENTRIES, "a5 01" IMA "02 07 03 42aabb 04 60 05 f4", false },
        { "log entries, unknown bank", ATT_FRAME_LOG_ENTRIES, "a5 01" IMA "02 07 03 42aabb 04 636d6435 05 f4", false },
        { "log entries, bank is bytes", ATT_FRAME_LOG_ENTRIES, "a5 01" BOOT "02 00 03 41aa 04 40 05 f4", false },
        { "log entries, entries are text", ATT_FRAME_LOG_ENTRIES, "a5 01" IMA "02 07 03 626161 04" SHA256 "05 f4",
          false },
        { "log entries without entries", ATT_FRAME_LOG_ENTRIES, "a4 01" IMA "02 07 04" SHA256 "05 f4", false },
        { "log entries without more", ATT_FRAME_LOG_ENTRIES, "a4 01" IMA "02 07 03 42aabb 04" SHA256, false },
        { "log entries, more is 1", ATT_FRAME_LOG_ENTRIES, "a5 01" IMA "02 07 03 42aabb 04" SHA256 "05 01", false },
        { "log entries, first is negative", ATT_FRAME_LOG_ENTRIES, "a5 01" IMA "02 20 03 42aabb 04" SHA256 "05 f4",
          false },
        { "log entries, refused", ATT_FRAME_LOG_ENTRIES, "a6 01" IMA "02 07 03 40 04 60 05 f4 06 626e6f", true },
        { "log entries, refused with some", ATT_FRAME_LOG_ENTRIES, "a6 01" BOOT "02 07 03 41aa 04 60 05 f4 06 626e6f",
          false },
        { "log entries, refused and more", ATT_FRAME_LOG_ENTRIES, "a6 01" IMA "02 07 03 40 04 60 05 f5 06 626e6f",
          false },
        { "log entries, refused with a bank", ATT_FRAME_LOG_ENTRIES,
          "a6 01" IMA "02 07 03 40 04" SHA256 "05 f4 06 626e6f", false },
        { "log entries, reason is empty", ATT_FRAME_LOG_ENTRIES, "a6 01" IMA "02 07 03 40 04 60 05 f4 06 60", false },
        { "log entries, reason with an escape", ATT_FRAME_LOG_ENTRIES,
          "a6 01" IMA "02 07 03 40 04 60 05 f4 06 621b63", false },
        { "log entries, with more keys", ATT_FRAME_LOG_ENTRIES, "a6 01" IMA "02 07 03 42aabb 04" SHA256 "05 f4 07 00",
          false },
};

START_TEST(reads_or_refuses_a_payload) {
        g_autoptr(GBytes) bytes = exact_hex(payloads[_i].hex);
        g_autoptr(GError) error = NULL;
        bool good = decode(payloads[_i].type, bytes, &error);

        ck_assert_msg(good == payloads[_i].good, "%s: %s", payloads[_i].what, error ? error->message : "");
        ck_assert(good || g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
}
END_TEST

START_TEST(refuses_short_payloads) {
        g_autoptr(GBytes) whole = exact_hex(payloads[_i].hex);

        for (size_t n = 0; payloads[_i].good && n < g_bytes_get_size(whole); n++) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);
                g_autoptr(GError) error = NULL;

                ck_assert(!decode(payloads[_i].type, part, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        }
}
END_TEST

START_TEST(a_hello_comes_back) {
        char *profiles[] = { (char *) "tag:attestd.org,2026:evidence/1", (char *) "b", NULL };
        char *formats[] = { NULL };
        const AttHello hello = { .version = 1, .profiles = profiles, .formats = formats, .batch = _i & 1,
                                 .asks = _i & 2, .gives = _i & 4 };
        g_autoptr(GBytes) bytes = att_hello_encode(&hello);
        g_auto(AttHello) h = { 0 };

        ck_assert(att_hello_decode(bytes, &h, NULL));
        ck_assert_uint_eq(h.version, 1);
        ck_assert(g_strv_equal((const char *const *) h.profiles, (const char *const *) profiles));
        ck_assert_uint_eq(g_strv_length(h.formats), 0);
        ck_assert(h.batch == hello.batch && h.asks == hello.asks && h.gives == hello.gives);
}
END_TEST

START_TEST(a_verdict_comes_back) {
        g_autoptr(GBytes) context = exact_hex("0102"), accepted = att_accepted_encode(context);
        g_autoptr(GBytes) refused = att_refused_encode(context, "evidence-binding: other connection");
        g_auto(AttVerdictFrame) a = { 0 }, r = { 0 };

        ck_assert(att_verdict_frame_decode(ATT_FRAME_ACCEPTED, accepted, &a, NULL));
        ck_assert_bytes_eq(a.context, context);
        ck_assert_ptr_null(a.reason);
        ck_assert(att_verdict_frame_decode(ATT_FRAME_REFUSED, refused, &r, NULL));
        ck_assert_bytes_eq(r.context, context);
        ck_assert_str_eq(r.reason, "evidence-binding: other connection");
}
END_TEST

/* Whatever a reason holds, the peer can read the frame. */
START_TEST(a_reason_is_made_printable) {
        g_autofree char *long_text = g_strnfill(5000, 'x');
        g_autofree char *umlauts = g_strdup_printf("%.1023s\303\244", long_text);
        const struct {
                const char *reason, *sent;
                size_t size;
        } reasons[] = {
                { "a\nb\x1b[0m", "a?b?[0m", 7 },
                { NULL, "refused", 7 },
                { "", "refused", 7 },
                { "\xff", "\357\277\275", 3 },
                { "\342\200\256gnp", "?gnp", 4 },
                { long_text, NULL, ATT_REASON_MAX },
                { umlauts, NULL, 1023 },
        };
        g_autoptr(GBytes) none = g_bytes_new(NULL, 0);

        for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
                g_autoptr(GBytes) bytes = att_refused_encode(none, reasons[i].reason);
                g_auto(AttVerdictFrame) v = { 0 };

                ck_assert(att_verdict_frame_decode(ATT_FRAME_REFUSED, bytes, &v, NULL));
                ck_assert(!reasons[i].sent || strcmp(v.reason, reasons[i].sent) == 0);
                ck_assert_uint_eq(strlen(v.reason), reasons[i].size);
        }
}
END_TEST

START_TEST(a_stale_comes_back) {
        char *reasons[] = { (char *) "ima", (char *) "configuration", NULL };
        AttStaleFrame stale = { .generation = 1u << 31, .reasons = reasons };
        g_auto(AttStaleFrame) s = { 0 };
        g_autoptr(GBytes) bytes = NULL;

        memset(stale.boot_id, 1, sizeof stale.boot_id);
        memset(stale.instance_id, 2, sizeof stale.instance_id);
        bytes = att_stale_encode(&stale);
        ck_assert(att_stale_decode(bytes, &s, NULL));
        ck_assert_mem_eq(s.boot_id, stale.boot_id, 16);
        ck_assert_mem_eq(s.instance_id, stale.instance_id, 16);
        ck_assert_uint_eq(s.generation, stale.generation);
        ck_assert(g_strv_equal((const char *const *) s.reasons, (const char *const *) reasons));
}
END_TEST

/* More reasons than the peer takes are not sent. */
START_TEST(a_stale_has_room_for_some_reasons) {
        char *reasons[ATT_HELLO_TEXTS_MAX + 2] = { NULL };
        AttStaleFrame stale = { .reasons = reasons };
        g_auto(AttStaleFrame) s = { 0 };
        g_autoptr(GBytes) bytes = NULL;

        for (size_t i = 0; i <= ATT_HELLO_TEXTS_MAX; i++)
                reasons[i] = (char *) "ima";
        bytes = att_stale_encode(&stale);
        ck_assert(att_stale_decode(bytes, &s, NULL));
        ck_assert_uint_eq(g_strv_length(s.reasons), ATT_HELLO_TEXTS_MAX);
}
END_TEST

/* The longest texts there are: what does not fit is left out, and the frame goes. */
START_TEST(the_longest_texts_keep_to_the_frame) {
        g_autofree char *text = g_strnfill(ATT_FRAME_TEXT_MAX, 'x');
        char *texts[ATT_HELLO_TEXTS_MAX + 1] = { NULL };
        const AttHello hello = { .version = 1, .profiles = texts, .formats = texts };
        const AttStaleFrame stale = { .generation = UINT64_MAX, .reasons = texts };
        g_autoptr(GBytes) hello_bytes = NULL, stale_bytes = NULL;
        g_auto(AttStaleFrame) s = { 0 };
        g_auto(AttHello) h = { 0 };

        for (size_t i = 0; i < ATT_HELLO_TEXTS_MAX; i++)
                texts[i] = text;
        hello_bytes = att_hello_encode(&hello);
        ck_assert_uint_le(g_bytes_get_size(hello_bytes), att_frame_max(ATT_FRAME_HELLO));
        ck_assert(att_hello_decode(hello_bytes, &h, NULL));
        ck_assert_uint_eq(g_strv_length(h.profiles), 7);
        ck_assert_uint_eq(g_strv_length(h.formats), 7);
        stale_bytes = att_stale_encode(&stale);
        ck_assert_uint_le(g_bytes_get_size(stale_bytes), att_frame_max(ATT_FRAME_STALE));
        ck_assert(att_stale_decode(stale_bytes, &s, NULL));
        ck_assert_uint_eq(g_strv_length(s.reasons), 15);
}
END_TEST

START_TEST(a_log_request_comes_back) {
        const AttLogRequestFrame request = { .log = (char *) "ima", .from = UINT64_MAX };
        g_autoptr(GBytes) bytes = att_log_request_encode(&request);
        g_auto(AttLogRequestFrame) r = { 0 };

        ck_assert(att_log_request_decode(bytes, &r, NULL));
        ck_assert_str_eq(r.log, "ima");
        ck_assert_uint_eq(r.from, UINT64_MAX);
}
END_TEST

START_TEST(log_entries_come_back) {
        g_autoptr(GBytes) some = exact_hex("0a000000"), none = g_bytes_new(NULL, 0);
        const AttLogEntriesFrame sent[] = {
                { .log = (char *) "ima", .first = UINT64_MAX, .entries = some, .bank = (char *) "sha1", .more = true },
                { .log = (char *) "boot", .entries = some, .bank = (char *) "" },
                { .log = (char *) "register", .first = 3, .entries = none, .bank = (char *) "sha384" },
                { .log = (char *) "ima", .entries = none, .bank = (char *) "", .reason = (char *) "not given" },
        };
        g_autoptr(GBytes) bytes = att_log_entries_encode(&sent[_i]);
        g_auto(AttLogEntriesFrame) e = { 0 };

        ck_assert(att_log_entries_decode(bytes, &e, NULL));
        ck_assert_str_eq(e.log, sent[_i].log);
        ck_assert_uint_eq(e.first, sent[_i].first);
        ck_assert_bytes_eq(e.entries, sent[_i].entries);
        ck_assert_str_eq(e.bank, sent[_i].bank);
        ck_assert(e.more == sent[_i].more);
        ck_assert_int_eq(g_strcmp0(e.reason, sent[_i].reason), 0);
}
END_TEST

/* A stale with @n reasons of @size bytes. */
static GBytes *stale_with(size_t n, size_t size) {
        g_autofree char *reason = g_strnfill(size, 'x');
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autoptr(GBytes) start = exact_hex("a4 01" ID_1 "02" ID_2 "03 07 04");

        att_put_bytes(out, start);
        att_cbor_put_array(out, n);
        for (size_t i = 0; i < n; i++)
                att_cbor_put_text(out, reason);
        return exact(out->data, out->len);
}

START_TEST(sc34b_lists_have_a_cap) {
        static const size_t counts[] = { ATT_HELLO_TEXTS_MAX, ATT_HELLO_TEXTS_MAX + 1, 2000 };
        static const size_t sizes[] = { 200, ATT_FRAME_TEXT_MAX, ATT_FRAME_TEXT_MAX + 1, 4000 };

        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
                g_autoptr(GBytes) bytes = stale_with(counts[i], 1);

                ck_assert(decode(ATT_FRAME_STALE, bytes, NULL) == (i == 0));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GBytes) bytes = stale_with(1, sizes[i]);

                ck_assert(decode(ATT_FRAME_STALE, bytes, NULL) == (i < 2));
        }
}
END_TEST

START_TEST(sc34c_contexts_and_reasons_have_a_cap) {
        static const size_t contexts[] = { 255, 256, 4000 }, reasons[] = { ATT_REASON_MAX, ATT_REASON_MAX + 1, 4000 };

        for (size_t i = 0; i < G_N_ELEMENTS(contexts); i++) {
                g_autofree guint8 *zeroes = g_malloc0(contexts[i]);
                g_autofree char *text = g_strnfill(reasons[i], 'x');
                g_autoptr(GByteArray) out = g_byte_array_new(), accepted = g_byte_array_new();

                att_cbor_put_map(accepted, 1);
                att_cbor_put_uint(accepted, 1);
                att_cbor_put_data(accepted, zeroes, contexts[i]);
                att_cbor_put_map(out, 2);
                att_cbor_put_uint(out, 1);
                att_cbor_put_data(out, "", 0);
                att_cbor_put_uint(out, 2);
                att_cbor_put_text(out, text);
                g_autoptr(GBytes) a = exact(accepted->data, accepted->len), r = exact(out->data, out->len);

                ck_assert(decode(ATT_FRAME_ACCEPTED, a, NULL) == (i == 0));
                ck_assert(decode(ATT_FRAME_REFUSED, r, NULL) == (i == 0));
        }
}
END_TEST

START_TEST(sc34d_payloads_have_a_cap) {
        /* A hello of a later version, with something long that we skip. */
        g_autoptr(GBytes) start = exact_hex("a7 01 01 02 81 6161 03 80 04 f4 05 f5 06 f5 07");
        size_t room = 4096 - g_bytes_get_size(start) - 3;
        const size_t sizes[] = { room, room + 1, 1u << 24 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree guint8 *zeroes = g_malloc0(sizes[i]);
                g_autoptr(GByteArray) out = g_byte_array_new();
                g_autoptr(GError) error = NULL;

                att_put_bytes(out, start);
                att_cbor_put_data(out, zeroes, sizes[i]);
                g_autoptr(GBytes) bytes = exact(out->data, out->len);

                ck_assert(i > 0 || out->len == 4096);
                ck_assert(decode(ATT_FRAME_HELLO, bytes, &error) == (i == 0));
                ck_assert(i == 0 || g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        }
}
END_TEST

/* At the cap, one over, and as much as a frame can say; and reasons likewise. */
START_TEST(sc34c_log_entries_have_a_cap) {
        static const size_t sizes[] = { ATT_LOG_CHUNK_MAX, ATT_LOG_CHUNK_MAX + 1, 1u << 24 };
        static const size_t reasons[] = { ATT_FRAME_TEXT_MAX, ATT_FRAME_TEXT_MAX + 1, 1u << 16 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GBytes) none = g_bytes_new(NULL, 0);
                g_autoptr(GBytes) entries = g_bytes_new_take(g_malloc0(sizes[i]), sizes[i]);
                g_autofree char *reason = g_strnfill(reasons[i], 'x');
                const AttLogEntriesFrame full = { .log = (char *) "register", .first = UINT64_MAX, .entries = entries,
                                                  .bank = (char *) "sha384", .more = true };
                const AttLogEntriesFrame refused = { .log = (char *) "ima", .entries = none, .bank = (char *) "",
                                                     .reason = reason };
                g_autoptr(GBytes) full_bytes = att_log_entries_encode(&full);
                g_autoptr(GBytes) refused_bytes = att_log_entries_encode(&refused);
                g_autoptr(GError) error = NULL;

                /* What fits has room for what stands around it, whatever that is. */
                ck_assert(i > 0 || g_bytes_get_size(full_bytes) <= att_frame_max(ATT_FRAME_LOG_ENTRIES));
                ck_assert(decode(ATT_FRAME_LOG_ENTRIES, full_bytes, &error) == (i == 0));
                ck_assert(i < 2 || g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
                ck_assert(decode(ATT_FRAME_LOG_ENTRIES, refused_bytes, NULL) == (i == 0));
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("frame");
        TCase *t = tcase_create("frame");

        tcase_add_test(t, refuses_unknown_types);
        tcase_add_test(t, writes_a_frame);
        tcase_add_loop_test(t, reads_or_refuses_a_payload, 0, (int) G_N_ELEMENTS(payloads));
        tcase_add_loop_test(t, refuses_short_payloads, 0, (int) G_N_ELEMENTS(payloads));
        tcase_add_loop_test(t, a_hello_comes_back, 0, 8);
        tcase_add_test(t, a_verdict_comes_back);
        tcase_add_test(t, a_reason_is_made_printable);
        tcase_add_test(t, a_stale_comes_back);
        tcase_add_test(t, a_stale_has_room_for_some_reasons);
        tcase_add_test(t, the_longest_texts_keep_to_the_frame);
        tcase_add_test(t, a_log_request_comes_back);
        tcase_add_loop_test(t, log_entries_come_back, 0, 4);
        suite_add_tcase(s, t);

        t = tcase_create("security");
        tcase_add_test(t, sc34b_lists_have_a_cap);
        tcase_add_loop_test(t, sc34c_frames_have_a_cap, 0, (int) ATT_FRAME_TYPES);
        tcase_add_test(t, sc34c_contexts_and_reasons_have_a_cap);
        tcase_add_test(t, sc34c_log_entries_have_a_cap);
        tcase_add_test(t, sc34d_payloads_have_a_cap);
        suite_add_tcase(s, t);
        return run_suite(s);
}
