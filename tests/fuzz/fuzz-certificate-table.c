/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_certificate_table_parse, att_certificate_table_extent, att_guid_dup_text */
#include "codec/certificate-table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);
        g_autoptr(GError) error = NULL;
        AttCertificateTable table;
        size_t covered = 0, extent = att_certificate_table_extent(att_cursor(data, size));

        g_assert(extent <= size);
        if (!att_certificate_table_parse(bytes, &table, &error)) {
                g_assert(error);
                return 0;
        }

        for (size_t i = 0; i < table.n_entries; i++) {
                const AttTableEntry *entry = &table.entries[i];
                g_autofree char *guid = att_guid_dup_text(entry->guid);

                g_assert(strlen(guid) == 36);
                g_assert(entry->data.left > 0 && entry->data.at >= data + 24 * (table.n_entries + 1));
                g_assert(entry->data.at == data + entry->offset && entry->data.left <= size - entry->offset);
                covered += entry->data.left;
                g_assert(entry->offset + entry->data.left <= extent);
        }
        g_assert(covered + 24 * (table.n_entries + 1) <= size); /* so none overlap */
        return 0;
}
