/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attest-call.h"

#include "util/bytes.h"

#include <string.h>

#define INTERFACE "org.attestd.Attester1.Session"
#define MEMBER "Attest"
#define SIGNATURE "ayayaya{sv}"

/* D-Bus Specification, "Message Format". */
enum {
        METHOD_CALL = 1,
        NO_REPLY_EXPECTED = 1,
        FLAGS_KNOWN = 1 | 2 | 4,
        VERSION = 1,
};

enum { FIELD_PATH = 1, FIELD_INTERFACE = 2, FIELD_MEMBER = 3, FIELD_DESTINATION = 6, FIELD_SIGNATURE = 8, FIELDS = 9 };

/* Of each, what it has the type of. */
static const char field_types[FIELDS] = {
        [FIELD_PATH] = 'o',
        [FIELD_INTERFACE] = 's',
        [FIELD_MEMBER] = 's',
        [FIELD_DESTINATION] = 's',
        [FIELD_SIGNATURE] = 'g',
};

/* A message, and how far it is read. What fails once has failed. */
typedef struct Reader {
        AttCursor c;
        const uint8_t *begin;
} Reader;

static void fail(Reader *r) {
        r->c = (AttCursor) { .failed = true };
}

/* Padding is 0, or it is no message. */
static void align(Reader *r, gsize to) {
        gsize n = r->c.failed ? 0 : (gsize) (r->begin - r->c.at) & (to - 1); /* @to is a power of two */
        const uint8_t *p = n > 0 ? att_take(&r->c, n) : NULL;

        for (gsize i = 0; p && i < n; i++)
                if (p[i] != 0) {
                        fail(r);
                        return;
                }
}

static guint32 read_u32(Reader *r) {
        align(r, 4);
        return att_take_u32le(&r->c);
}

/* @size: without its end */
static const char *read_text_of(Reader *r, gsize size) {
        const uint8_t *p = size < G_MAXUINT32 ? att_take(&r->c, size + 1) : NULL;

        if (p && !memchr(p, 0, size) && p[size] == 0)
                return (const char *) p;
        fail(r);
        return NULL;
}

static const char *read_text(Reader *r) {
        return read_text_of(r, read_u32(r));
}

static const char *read_signature(Reader *r) {
        return read_text_of(r, att_take_u8(&r->c));
}

static const void *read_bytes(Reader *r, gsize *ret_size) {
        guint32 size = read_u32(r);

        *ret_size = size;
        return att_take(&r->c, size);
}

/* The next @size bytes alone, and @r goes on behind them. */
static Reader read_part(Reader *r, gsize size) {
        return (Reader) { .c = att_take_sub(&r->c, size), .begin = r->begin };
}

static bool is_end(const Reader *r) {
        return r->c.failed || r->c.left == 0;
}

static bool read_fields(Reader *r, const char *fields[FIELDS]) {
        while (!is_end(r)) {
                const char *type;
                uint8_t field;

                align(r, 8);
                field = att_take_u8(&r->c);
                type = read_signature(r);
                if (!type || field >= FIELDS || field_types[field] == 0 || type[0] != field_types[field] ||
                    type[1] != 0 || fields[field])
                        return false; /* who names himself, or sends descriptors, is told by sd-bus */
                fields[field] = type[0] == 'g' ? read_signature(r) : read_text(r);
        }
        return !r->c.failed;
}

static bool is_text(const char *text, const char *wanted) {
        return text && strcmp(text, wanted) == 0;
}

/* The type of an option's value. */
static void read_type(Reader *r, char wanted) {
        const char *type = read_signature(r);

        if (!type || type[0] != wanted || type[1] != 0)
                fail(r);
}

static bool read_flag(Reader *r) {
        guint32 flag;

        read_type(r, 'b');
        flag = read_u32(r);
        if (flag > 1)
                fail(r);
        return flag == 1;
}

static guint32 read_number(Reader *r) {
        read_type(r, 'u');
        return read_u32(r);
}

static bool read_options(Reader *r, AttAttestCall *call) {
        bool has_batch = false, has_split = false, has_timeout = false;

        while (!is_end(r)) {
                const char *name;

                align(r, 8);
                name = read_text(r);
                if (is_text(name, "batch") && !has_batch) {
                        has_batch = true;
                        call->batch = read_flag(r);
                } else if (is_text(name, "split") && !has_split) {
                        has_split = true;
                        call->split = read_flag(r);
                } else if (is_text(name, "timeout_ms") && !has_timeout) {
                        has_timeout = true;
                        call->timeout_ms = read_number(r);
                        if (call->timeout_ms == ATT_ATTEST_CALL_UNSAID)
                                return false; /* there is no such limit: sd-bus says so */
                } else if (is_text(name, "profile") && !call->profile) {
                        read_type(r, 's');
                        call->profile = read_text(r);
                        if (!call->profile || !g_utf8_validate(call->profile, -1, NULL))
                                return false;
                } else {
                        return false;
                }
        }
        return !r->c.failed;
}

static bool read_body(Reader *r, AttAttestCall *call) {
        Reader options;
        guint32 size;

        call->exported_value = read_bytes(r, &call->exported_value_size);
        call->request_context = read_bytes(r, &call->request_context_size);
        call->public_key = read_bytes(r, &call->public_key_size);
        size = read_u32(r);
        align(r, 8); /* as the items are, of which there may be none; not of its size */
        options = read_part(r, size);
        return read_options(&options, call) && att_cursor_is_spent(&r->c);
}

gsize att_attest_call_read(const void *data, gsize size, AttAttestCall *ret) {
        Reader r = { .c = att_cursor(data, size), .begin = data }, fields, body;
        const char *texts[FIELDS] = { NULL };
        AttAttestCall call = { .timeout_ms = ATT_ATTEST_CALL_UNSAID };
        guint8 endian = att_take_u8(&r.c), type = att_take_u8(&r.c), flags = att_take_u8(&r.c);
        guint8 version = att_take_u8(&r.c);
        guint32 body_size = att_take_u32le(&r.c);

        call.serial = att_take_u32le(&r.c);
        if (endian != 'l' || type != METHOD_CALL || flags & (NO_REPLY_EXPECTED | ~FLAGS_KNOWN) || version != VERSION ||
            call.serial == 0)
                return 0;

        fields = read_part(&r, att_take_u32le(&r.c));
        align(&r, 8);
        body = read_part(&r, body_size);
        if (r.c.failed || !read_fields(&fields, texts))
                return 0;
        if (!texts[FIELD_PATH] || !is_text(texts[FIELD_INTERFACE], INTERFACE) ||
            !is_text(texts[FIELD_MEMBER], MEMBER) || !is_text(texts[FIELD_SIGNATURE], SIGNATURE) ||
            !read_body(&body, &call))
                return 0;

        call.path = texts[FIELD_PATH];
        call.destination = texts[FIELD_DESTINATION];
        *ret = call;
        return size - r.c.left;
}
