/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/direct-stream.h"

#include "util/bytes.h"
#include "util/error.h"

#include <string.h>

#define HEADER_SIZE 16u
/* No message is without a field, and sd-bus reads as much before it looks. */
#define MESSAGE_MIN (HEADER_SIZE + 8u)

typedef enum {
        WAITING_FOR_NUL,
        WAITING_FOR_AUTH,
        WAITING_FOR_DATA,
        WAITING_FOR_BEGIN,
        MESSAGES,
} State;

struct AttDirectStream {
        char *uid; /* as text */
        char id[33];
        State state;
        bool takes_fds;
        gsize n_auth;      /* bytes of lines so far */
        GByteArray *part;  /* what is not whole */
        gsize n_given;     /* of it, from its head: given out by the last call */
        gsize n_large;     /* bytes that the last call gave out in large messages */
};

AttDirectStream *att_direct_stream_new(uint32_t uid, const uint8_t id[16]) {
        AttDirectStream *s = g_new0(AttDirectStream, 1);

        s->uid = g_strdup_printf("%u", uid);
        for (guint i = 0; i < 16; i++)
                (void) g_snprintf(s->id + 2 * i, 3, "%02x", id[i]);
        s->part = g_byte_array_new();
        return s;
}

void att_direct_stream_free(AttDirectStream *s) {
        if (!s)
                return;

        g_byte_array_unref(s->part);
        g_free(s->uid);
        g_free(s);
}

bool att_direct_stream_is_authenticated(const AttDirectStream *s) {
        return s->state == MESSAGES;
}

bool att_direct_stream_takes_fds(const AttDirectStream *s) {
        return s->takes_fds;
}

gsize att_direct_stream_large(const AttDirectStream *s) {
        return s->n_large;
}

bool att_direct_stream_has_part(const AttDirectStream *s) {
        return s->part->len > s->n_given;
}

/* ----- the lines: D-Bus Specification, "Authentication Protocol" */

/* What follows @word, without the blank; NULL if the line does not begin with it. */
static const char *rest_of(const char *line, const char *word) {
        gsize size = strlen(word);

        if (strncmp(line, word, size) != 0)
                return NULL;
        return line[size] == ' ' ? line + size + 1 : line[size] == '\0' ? line + size : NULL;
}

/* Hexadecimal digits of the uid's decimal ones; none: whoever the kernel says. */
static bool is_own_uid(const AttDirectStream *s, const char *hex) {
        gsize size = strlen(s->uid);

        if (hex[0] == '\0')
                return true;
        if (strlen(hex) != 2 * size)
                return false;
        for (gsize i = 0; i < size; i++) {
                int high = g_ascii_xdigit_value(hex[2 * i]), low = g_ascii_xdigit_value(hex[2 * i + 1]);

                if (high < 0 || low < 0 || (high << 4 | low) != s->uid[i])
                        return false;
        }
        return true;
}

static void identify(AttDirectStream *s, const char *hex, GString *answer) {
        bool is_he = is_own_uid(s, hex);

        s->state = is_he ? WAITING_FOR_BEGIN : WAITING_FOR_AUTH;
        if (is_he)
                g_string_append_printf(answer, "OK %s\r\n", s->id);
        else
                g_string_append(answer, "REJECTED EXTERNAL\r\n");
}

static gboolean take_line(AttDirectStream *s, const char *line, GString *answer, GError **error) {
        const char *rest;

        if (s->state == WAITING_FOR_AUTH && (rest = rest_of(line, "AUTH EXTERNAL"))) {
                if (rest[0] != '\0') {
                        identify(s, rest, answer);
                } else {
                        s->state = WAITING_FOR_DATA;
                        g_string_append(answer, "DATA\r\n");
                }
        } else if (s->state == WAITING_FOR_AUTH && rest_of(line, "AUTH")) {
                g_string_append(answer, "REJECTED EXTERNAL\r\n");
        } else if (s->state == WAITING_FOR_DATA && (rest = rest_of(line, "DATA"))) {
                identify(s, rest, answer);
        } else if (s->state == WAITING_FOR_BEGIN && g_str_equal(line, "NEGOTIATE_UNIX_FD")) {
                s->takes_fds = true;
                g_string_append(answer, "AGREE_UNIX_FD\r\n");
        } else if (g_str_equal(line, "BEGIN")) {
                if (s->state != WAITING_FOR_BEGIN)
                        return att_error_set(error, ATT_ERROR_BAD_DATA, "BEGIN from nobody");
                s->state = MESSAGES;
        } else if (s->state != WAITING_FOR_AUTH && (g_str_equal(line, "CANCEL") || rest_of(line, "ERROR"))) {
                s->state = WAITING_FOR_AUTH;
                s->takes_fds = false;
                g_string_append(answer, "REJECTED EXTERNAL\r\n");
        } else {
                g_string_append(answer, "ERROR\r\n");
        }
        return TRUE;
}

/* Lines from the head of what is there, until BEGIN. */
static gboolean take_lines(AttDirectStream *s, GString *answer, GError **error) {
        const guint8 *p = s->part->data;
        gsize at = 0;

        if (s->state == WAITING_FOR_NUL && s->part->len > 0) {
                if (p[at++] != '\0')
                        return att_error_set(error, ATT_ERROR_BAD_DATA, "no D-Bus client: the first byte is not 0");
                s->state = WAITING_FOR_AUTH;
        }
        while (s->state != MESSAGES && at < s->part->len) {
                const guint8 *end = memchr(p + at, '\n', s->part->len - at);
                g_autofree char *line = NULL;
                gsize size;

                if (!end)
                        break;
                size = (gsize) (end - p) - at;
                if (size == 0 || end[-1] != '\r' || memchr(p + at, '\0', size))
                        return att_error_set(error, ATT_ERROR_BAD_DATA, "a line that is no text, or does not end with "
                                             "CR and LF");
                line = g_strndup((const char *) p + at, size - 1);
                at += size + 1;
                if (s->n_auth + at > ATT_DIRECT_AUTH_MAX)
                        break;
                if (!take_line(s, line, answer, error))
                        return FALSE;
        }

        s->n_auth += at;
        g_byte_array_remove_range(s->part, 0, (guint) at);
        if (s->n_auth + (s->state != MESSAGES ? s->part->len : 0) > ATT_DIRECT_AUTH_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "over %u bytes before BEGIN", ATT_DIRECT_AUTH_MAX);
        return TRUE;
}

/* ----- messages */

/* Of the message that begins at @p, of whose header all is there. */
static gboolean message_size(const guint8 *p, gsize *ret, GError **error) {
        AttCursor c = att_cursor(p, HEADER_SIZE);
        uint8_t endian = att_take_u8(&c);
        guint64 body, fields, size;

        if (endian != 'l' && endian != 'B')
                return att_error_set(error, ATT_ERROR_BAD_DATA, "no D-Bus message");
        (void) att_take(&c, 3); /* type, flags, version: sd-bus looks at them */
        body = endian == 'l' ? att_take_u32le(&c) : att_take_u32be(&c);
        (void) att_take(&c, 4); /* serial */
        fields = endian == 'l' ? att_take_u32le(&c) : att_take_u32be(&c);

        size = HEADER_SIZE + (fields + 7) / 8 * 8 + body;
        if (size < MESSAGE_MIN)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "a message without a header field");
        if (size > ATT_DIRECT_MESSAGE_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "a message of %" G_GUINT64_FORMAT " bytes; here one "
                                     "has %u at most", size, ATT_DIRECT_MESSAGE_MAX);
        *ret = (gsize) size;
        return TRUE;
}

/* How many bytes from the head of it are whole messages. */
static gboolean find_whole(AttDirectStream *s, const guint8 *p, gsize size, gsize *ret, GError **error) {
        gsize at = 0, next = 0;

        while (size - at >= HEADER_SIZE) {
                if (!message_size(p + at, &next, error))
                        return FALSE;
                if (next > size - at)
                        break;
                at += next;
                if (next > ATT_DIRECT_MESSAGE_SMALL)
                        s->n_large += next;
        }
        *ret = at;
        return TRUE;
}

void att_direct_stream_done(AttDirectStream *s) {
        if (s->n_given > 0 && s->n_given == s->part->len) {
                g_byte_array_unref(s->part); /* what a large message took */
                s->part = g_byte_array_new();
        } else if (s->n_given > 0) {
                g_byte_array_remove_range(s->part, 0, (guint) s->n_given);
        }
        s->n_given = 0;
}

gboolean att_direct_stream_take(AttDirectStream *s, const void *data, gsize size, GString *answer,
                                const void **ret_messages, gsize *ret_size, GError **error) {
        gsize whole = 0;

        att_direct_stream_done(s);
        s->n_large = 0;

        /* No copy of what came whole, as nearly all does. */
        if (s->state == MESSAGES && s->part->len == 0) {
                if (!find_whole(s, data, size, &whole, error))
                        return FALSE;
                att_put(s->part, (const guint8 *) data + whole, size - whole);
                *ret_messages = data;
                *ret_size = whole;
                return TRUE;
        }

        att_put(s->part, data, size);
        if (s->state != MESSAGES && !take_lines(s, answer, error))
                return FALSE;
        if (s->state == MESSAGES && !find_whole(s, s->part->data, s->part->len, &whole, error))
                return FALSE;
        s->n_given = whole;
        *ret_messages = s->part->data;
        *ret_size = whole;
        return TRUE;
}
