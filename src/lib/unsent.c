/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/unsent.h"

#include "lib/attestd.h"

void att_unsent_init(AttUnsent *out, AttTransport *transport) {
        *out = (AttUnsent) { .transport = transport, .bytes = g_byte_array_new() };
}

void att_unsent_clear(AttUnsent *out) {
        g_byte_array_unref(out->bytes);
        g_clear_error(&out->broken);
}

void att_unsent_put(AttUnsent *out, AttFrameType type, const void *payload, gsize size) {
        g_debug("%s: sends %s, %zu bytes", att_role_name(out->transport->role), att_frame_name(type), size);
        att_frame_put(out->bytes, type, payload, size);
}

void att_unsent_put_plain(AttUnsent *out, const void *data, gsize size) {
        g_byte_array_append(out->bytes, data, (guint) size);
}

static uint64_t end_of(const AttUnsent *out) {
        return out->n_sent + out->bytes->len;
}

void att_unsent_begin_log(AttUnsent *out) {
        out->log_from = end_of(out);
}

void att_unsent_end_log(AttUnsent *out) {
        out->log_to = end_of(out);
}

static void send_out(AttUnsent *out) {
        while (!out->broken && att_unsent_left(out) > 0) {
                size_t size = 0;
                AttIo io = out->transport->ops->write(out->transport, out->bytes->data + out->at, att_unsent_left(out),
                                                      &size, &out->broken);

                if (io == ATT_IO_WANT_READ || io == ATT_IO_WANT_WRITE)
                        return;
                if (io != ATT_IO_DONE) {
                        if (!out->broken)
                                g_set_error_literal(&out->broken, ATTESTD_ERROR, ATTESTD_ERROR_CLOSED,
                                                    "the peer ended the stream without saying so");
                        return;
                }
                out->at += size;
        }
}

/* What is sent does not wait with what is not: a peer that always leaves a rest
 * would make us keep all of it. */
void att_unsent_flush(AttUnsent *out) {
        send_out(out);
        if (out->at > 0)
                g_byte_array_remove_range(out->bytes, 0, (guint) out->at);
        out->n_sent += out->at;
        out->at = 0;
}

gsize att_unsent_left(const AttUnsent *out) {
        return out->bytes->len - out->at;
}

gsize att_unsent_counted(const AttUnsent *out) {
        uint64_t from = MAX(out->log_from, out->n_sent + out->at);

        return att_unsent_left(out) - (gsize) (out->log_to > from ? out->log_to - from : 0);
}

gsize att_unsent_held(const AttUnsent *out) {
        return out->bytes->len;
}
