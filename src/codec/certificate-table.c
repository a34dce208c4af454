/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/certificate-table.h"

#include "util/error.h"

#define GUID_SIZE 16u
#define ENTRY_SIZE 24u

static const struct {
        AttTableKind kind;
        const char *name;
        uint8_t guid[GUID_SIZE];
} kinds[] = {
        { ATT_TABLE_ARK, "ARK",
          { 0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae } },
        { ATT_TABLE_ASK, "ASK",
          { 0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82 } },
        { ATT_TABLE_VCEK, "VCEK",
          { 0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd } },
        { ATT_TABLE_VLEK, "VLEK",
          { 0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1 } },
        { ATT_TABLE_CRL, "CRL",
          { 0x92, 0xf8, 0x1b, 0xc3, 0x58, 0x11, 0x4d, 0x3d, 0x97, 0xff, 0xd1, 0x9f, 0x88, 0xdc, 0x67, 0xea } },
        { ATT_TABLE_PLATFORM, "platform",
          { 0xec, 0xae, 0x0c, 0x0f, 0x95, 0x02, 0x43, 0xb1, 0xaf, 0xa2, 0x0a, 0xe2, 0xe0, 0xd5, 0x65, 0xb6 } },
};

const char *att_table_kind_name(AttTableKind kind) {
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (kinds[i].kind == kind)
                        return kinds[i].name;
        return "unknown";
}

static AttTableKind kind_of(const uint8_t *guid) {
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (memcmp(kinds[i].guid, guid, GUID_SIZE) == 0)
                        return kinds[i].kind;
        return ATT_TABLE_UNKNOWN;
}

char *att_guid_dup_text(const uint8_t guid[16]) {
        GString *text = g_string_sized_new(2 * GUID_SIZE + 4);

        for (size_t i = 0; i < GUID_SIZE; i++)
                g_string_append_printf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", guid[i]);
        return g_string_free(text, FALSE);
}

bool att_certificate_table_is_like(GBytes *bytes) {
        AttCursor c = att_cursor_bytes(bytes);
        const uint8_t *guid = att_take(&c, GUID_SIZE);

        return guid && kind_of(guid) != ATT_TABLE_UNKNOWN;
}

static gboolean bad(GError **error, const AttTableEntry *entry, const char *what) {
        g_autofree char *guid = entry ? att_guid_dup_text(entry->guid) : NULL;

        if (!entry)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "certificate table: %s", what);
        return att_error_set(error, ATT_ERROR_BAD_DATA, "certificate table: its entry %s (%s) %s", guid,
                             att_table_kind_name(entry->kind), what);
}

static bool is_terminator(const uint8_t *p) {
        for (size_t i = 0; i < ENTRY_SIZE; i++)
                if (p[i])
                        return false;
        return true;
}

/* Offset and length are 32 bits each, of the host's choice: their sum is not. */
static gboolean check_place(const AttTableEntry *entry, uint32_t length, size_t table_size, GError **error) {
        if (length == 0)
                return bad(error, entry, "is absent: its length is 0");
        if ((uint64_t) entry->offset + length > table_size)
                return bad(error, entry, "ends beyond the table");
        return TRUE;
}

static bool do_overlap(const AttTableEntry *a, const AttTableEntry *b) {
        return a->offset < b->offset + b->data.left && b->offset < a->offset + a->data.left;
}

static gboolean check_among(const AttCertificateTable *table, const AttTableEntry *entry, GError **error) {
        for (size_t i = 0; i < table->n_entries; i++) {
                const AttTableEntry *other = &table->entries[i];

                if (memcmp(other->guid, entry->guid, GUID_SIZE) == 0)
                        return bad(error, entry, "is there twice");
                if (do_overlap(other, entry))
                        return bad(error, entry, "overlaps another");
        }
        return TRUE;
}

gboolean att_certificate_table_parse(GBytes *bytes, AttCertificateTable *ret, GError **error) {
        const AttCursor whole = att_cursor_bytes(bytes);
        AttCursor c = whole;
        AttCertificateTable table = { .n_entries = 0 };
        size_t head;

        if (whole.left > ATT_CERTIFICATE_TABLE_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "a certificate table over %u bytes",
                                     ATT_CERTIFICATE_TABLE_MAX);

        for (;;) {
                const uint8_t *p = att_take(&c, ENTRY_SIZE);
                AttCursor fields = att_cursor(p, p ? ENTRY_SIZE : 0);
                AttTableEntry entry;
                uint32_t length;

                if (!p)
                        return bad(error, NULL, "it ends without a terminator");
                if (is_terminator(p))
                        break;
                if (table.n_entries == ATT_CERTIFICATE_TABLE_ENTRIES_MAX)
                        return att_error_set(error, ATT_ERROR_TOO_LARGE, "a certificate table of more than %u entries",
                                             ATT_CERTIFICATE_TABLE_ENTRIES_MAX);

                entry.guid = att_take(&fields, GUID_SIZE);
                entry.kind = kind_of(entry.guid);
                entry.offset = att_take_u32le(&fields);
                length = att_take_u32le(&fields);
                if (!check_place(&entry, length, whole.left, error))
                        return FALSE;
                entry.data = att_cursor(whole.at + entry.offset, length);
                if (!check_among(&table, &entry, error))
                        return FALSE;
                table.entries[table.n_entries++] = entry;
        }

        head = whole.left - c.left;
        for (size_t i = 0; i < table.n_entries; i++)
                if (table.entries[i].offset < head)
                        return bad(error, &table.entries[i], "overlaps the head of the table");
        *ret = table;
        return TRUE;
}

size_t att_certificate_table_extent(AttCursor buffer) {
        const size_t size = buffer.left;
        AttCursor c = buffer;
        uint64_t extent = 0;
        const uint8_t *p;

        while ((p = att_take(&c, ENTRY_SIZE)) && !is_terminator(p)) {
                AttCursor place = att_cursor(p + GUID_SIZE, ENTRY_SIZE - GUID_SIZE);
                uint64_t end = att_take_u32le(&place);

                end += att_take_u32le(&place);
                extent = MAX(extent, end);
        }
        return (size_t) MIN(extent, size);
}
