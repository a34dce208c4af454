/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames of the native mode, docs/protocol.md section 6: u8 type, u32be size, payload. */
#pragma once

#include "options.h"

typedef enum FrameType {
        FRAME_HELLO = 0,
        FRAME_REQUEST = 1,
        FRAME_AUTHENTICATOR = 2,
        FRAME_ACCEPTED = 3,
        FRAME_REFUSED = 4,
        FRAME_STALE = 5,
        FRAME_LOG_REQUEST = 6,
        FRAME_LOG_ENTRIES = 7,
        FRAME_DATA = 8,
        FRAME_END = 9,
} FrameType;

#define FRAME_DATA_MAX (16u * 1024)

bool frame_send(gnutls_session_t tls, FrameType type, GBytes *payload, GError **error);
/* The limit of the type is checked before there is room for the payload. */
GBytes *frame_receive(gnutls_session_t tls, FrameType *ret_type, GError **error);

/* Payloads in deterministic CBOR. */
GBytes *hello_encode(bool asks, bool gives);
GBytes *accepted_encode(GBytes *context);
GBytes *refused_encode(GBytes *context, const char *reason);
GBytes *stale_encode(const char *boot_id, const char *instance_id, uint64_t generation);
/* Why nothing is given of a log. */
GBytes *log_refusal_encode(const char *log, uint64_t from, const char *reason);

/* Does the peer ask? Refused if it does not speak our profile and format. */
bool hello_decode(GBytes *payload, bool *ret_asks, GError **error);
bool accepted_decode(GBytes *payload, GBytes **ret_context, GError **error);
bool refused_decode(GBytes *payload, char **ret_reason, GError **error);
bool log_request_decode(GBytes *payload, char **ret_log, uint64_t *ret_from, GError **error);
bool stale_decode(GBytes *payload, char **ret_boot_id, char **ret_instance_id, uint64_t *ret_generation,
                  GError **error);
