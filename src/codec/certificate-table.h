/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The certificate table that a host hands to an SNP guest (GHCB, extended guest
 * request): GUID, offset and length of each entry, and then their bytes. The host
 * chooses all of it. */
#pragma once

#include "util/bytes.h"

#include <glib.h>

G_BEGIN_DECLS

/* The most that the kernel's driver takes from a host. */
#define ATT_CERTIFICATE_TABLE_MAX (16u * 1024u)
#define ATT_CERTIFICATE_TABLE_ENTRIES_MAX 32u

typedef enum {
        ATT_TABLE_UNKNOWN,
        ATT_TABLE_ARK,
        ATT_TABLE_ASK, /* also the ASVK, which issues VLEKs */
        ATT_TABLE_VCEK,
        ATT_TABLE_VLEK,
        ATT_TABLE_CRL,
        ATT_TABLE_PLATFORM, /* Google's "extra platform info" */
} AttTableKind;

/* "ARK", "ASK" …; "unknown" */
const char *att_table_kind_name(AttTableKind kind);

typedef struct AttTableEntry {
        AttTableKind kind;
        const uint8_t *guid; /* 16, in the order they are printed in */
        uint32_t offset;     /* from the start of the table */
        AttCursor data;      /* not empty; DER, by the GHCB, but nobody has looked */
} AttTableEntry;

/* Borrows from the bytes it was parsed from. */
typedef struct AttCertificateTable {
        AttTableEntry entries[ATT_CERTIFICATE_TABLE_ENTRIES_MAX]; /* in the order of the table; no GUID twice */
        size_t n_entries;
} AttCertificateTable;

/**
 * att_certificate_table_parse:
 * @bytes: borrowed by @ret
 * @error: %ATT_ERROR_BAD_DATA: no terminator, an entry twice, empty, beyond the end,
 *         over the head or another entry; %ATT_ERROR_TOO_LARGE; @ret is untouched
 *
 * A table of no entries is one. Bytes that no entry covers are padding.
 */
gboolean att_certificate_table_parse(GBytes *bytes, AttCertificateTable *ret, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** att_certificate_table_is_like: does @bytes begin with an entry of a kind that we know? */
bool att_certificate_table_is_like(GBytes *bytes);

/**
 * att_certificate_table_extent: how much of @buffer a table at its start takes up, by its own entries
 *
 * For a buffer that a host has filled as far as it liked. Never more than the
 * buffer; 0 if there is no entry. Says nothing of whether the table is good.
 */
size_t att_certificate_table_extent(AttCursor buffer);

/** att_guid_dup_text: "c0b406a4-a803-4952-9743-3fb6014cd0ae" */
char *att_guid_dup_text(const uint8_t guid[16]) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
