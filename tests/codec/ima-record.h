/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes records as the kernel writes them, for the tests of all that reads them. */
#pragma once

#include "codec/ima-log.h"

#include <string.h>

/* { u32 size, bytes }: a field of template data */
static inline void ima_put_field(GByteArray *data, const void *bytes, size_t size) {
        att_put_le(data, size, 4);
        att_put(data, bytes, size);
}

/* "sha256:" NUL, then @size bytes of @fill: a field d-ng, or d-ngv2 if @prefix has a type. */
static inline void ima_put_digest(GByteArray *data, const char *prefix, uint8_t fill, size_t size) {
        att_put_le(data, strlen(prefix) + 1 + size, 4);
        att_put(data, prefix, strlen(prefix) + 1);
        for (size_t i = 0; i < size; i++)
                att_put(data, &fill, 1);
}

static inline void ima_put_path(GByteArray *data, const char *path) {
        ima_put_field(data, path, strlen(path) + 1);
}

/* A record of template data; @digest NULL is a violation. */
static inline void ima_put_record(GByteArray *log, uint32_t pcr, const uint8_t *digest, AttBank bank,
                                  const char *template_name, const GByteArray *data) {
        static const uint8_t zeros[ATT_BANK_SIZE_MAX];

        att_put_le(log, pcr, 4);
        att_put(log, digest ? digest : zeros, att_bank_size(bank));
        ima_put_field(log, template_name, strlen(template_name));
        ima_put_field(log, data->data, data->len);
}

/* A record of template "ima"; @file_digest has 20 bytes. */
static inline void ima_put_legacy(GByteArray *log, uint32_t pcr, const uint8_t *digest, AttBank bank,
                                  const uint8_t *file_digest, const char *path) {
        static const uint8_t zeros[ATT_BANK_SIZE_MAX];

        att_put_le(log, pcr, 4);
        att_put(log, digest ? digest : zeros, att_bank_size(bank));
        ima_put_field(log, "ima", 3);
        att_put(log, file_digest ? file_digest : zeros, 20);
        ima_put_field(log, path, strlen(path));
}
