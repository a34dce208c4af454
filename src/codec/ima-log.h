/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The IMA log as the kernel writes it: binary_runtime_measurements, all templates,
 * little-endian. A log is read record by record, so it need not be whole. */
#pragma once

#include "util/bank.h"
#include "util/bytes.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

#define ATT_IMA_PCR 10u
#define ATT_IMA_TEMPLATE_NAME_MAX 128u
#define ATT_IMA_DATA_MAX (1024u * 1024u) /* of one record */
#define ATT_IMA_RECORD_MAX (ATT_IMA_DATA_MAX + ATT_IMA_TEMPLATE_NAME_MAX + ATT_BANK_SIZE_MAX + 12u)

/* One record; borrows from the log. What a template does not have is an empty cursor with at NULL.
 * The hash covers the data, not the template's name: two names with one layout cannot be told apart. */
typedef struct AttImaRecord {
        uint32_t pcr;
        const uint8_t *digest;   /* of the list, as many bytes as its bank has */
        bool is_violation;       /* all of it zero: 0xFF... was extended, and no hash covers the data */
        const char *template_name; /* not terminated */
        size_t template_name_size;
        AttCursor data;          /* template data; of "ima" without its missing length */
        bool is_legacy;          /* template "ima": hashed with the name padded to 256 bytes */

        const char *algorithm;   /* of the file digest: "sha256"; not terminated; NULL: none */
        size_t algorithm_size;
        const char *digest_type; /* "ima", "verity" of d-ngv2; not terminated; NULL otherwise */
        size_t digest_type_size;
        AttCursor file_digest;
        AttCursor path;          /* without the NUL; the kernel has put '_' for blanks */
        AttCursor signature;     /* security.ima as it stood; of evm-sig EVM's portable one */
        AttCursor buffer;        /* of ima-buf */
        AttCursor modsig;        /* appended signature, DER PKCS #7 */
        const char *modsig_algorithm; /* of the digest of the file without it; NULL: none */
        size_t modsig_algorithm_size;
        AttCursor modsig_digest;
} AttImaRecord;

typedef enum {
        ATT_IMA_RECORD,   /* one was read, @log stands behind it */
        ATT_IMA_MORE,     /* the record does not end within @log, which is as it was: also for an empty one */
        ATT_IMA_BAD,      /* it is none: @error */
} AttImaParsed;

/**
 * att_ima_record_parse: the next record
 * @bank:  whose hashes the list holds: binary_runtime_measurements_<bank>
 * @error: %ATT_ERROR_BAD_DATA, %ATT_ERROR_TOO_LARGE; names the field and the offset in the record
 *
 * All lengths are checked, unknown fields and templates are refused by name; a
 * custom format string is read by its fields. Of two fields that say one thing the
 * stronger is kept: d-ng before d, sig before evmsig.
 *
 * The list of a TPM bank whose hash the kernel cannot compute holds SHA-1 and zeros:
 * it says nothing that the sha1 list does not say, and is not read.
 */
AttImaParsed att_ima_record_parse(AttCursor *log, AttBank bank, AttImaRecord *ret, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
