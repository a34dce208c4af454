/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/certificate-memo.h"

#include "codec/certificate-table.h"
#include "codec/snp-report.h"

#include <string.h>

void att_certificate_memo_clear(AttCertificateMemo *memo) {
        g_clear_pointer(&memo->table, g_bytes_unref);
}

bool att_certificate_memo_has(const AttCertificateMemo *memo, gint64 now_us) {
        return memo->table && now_us < memo->until_us;
}

void att_certificate_memo_expire(AttCertificateMemo *memo) {
        memo->until_us = 0;
}

static bool is_for(const AttCertificateMemo *memo, const AttSnpReport *r) {
        return memo->table && memcmp(r->chip_id, memo->chip_id, sizeof memo->chip_id) == 0 &&
               memcmp(r->reported_tcb, memo->tcb, sizeof memo->tcb) == 0 && r->key_info == memo->key_info;
}

GBytes *att_certificate_memo_find(const AttCertificateMemo *memo, GBytes *report) {
        AttSnpReport r;

        return att_snp_report_parse(report, &r, NULL) && is_for(memo, &r) ? memo->table : NULL;
}

/* Of a chip that does not say its name nobody can tell whether it is still the same. A VLEK is not the chip's. */
static bool says_whose(const AttSnpReport *r) {
        static const uint8_t masked[64];

        return r->signing_key == ATT_SNP_KEY_VLEK ||
               (r->signing_key == ATT_SNP_KEY_VCEK && memcmp(r->chip_id, masked, sizeof masked) != 0);
}

static bool has_kind(GBytes *bytes, AttTableKind kind) {
        AttCertificateTable table;

        if (!att_certificate_table_parse(bytes, &table, NULL))
                return false;
        for (size_t i = 0; i < table.n_entries; i++)
                if (table.entries[i].kind == kind)
                        return true;
        return false;
}

void att_certificate_memo_keep(AttCertificateMemo *memo, GBytes *report, GBytes *table, gint64 now_us) {
        AttSnpReport r;

        if (!att_snp_report_parse(report, &r, NULL) || !says_whose(&r) ||
            !has_kind(table, r.signing_key == ATT_SNP_KEY_VLEK ? ATT_TABLE_VLEK : ATT_TABLE_VCEK))
                return;
        if (memo->table && !is_for(memo, &r) && g_bytes_equal(memo->table, table))
                return;

        att_certificate_memo_clear(memo);
        memo->table = g_bytes_ref(table);
        memcpy(memo->chip_id, r.chip_id, sizeof memo->chip_id);
        memcpy(memo->tcb, r.reported_tcb, sizeof memo->tcb);
        memo->key_info = r.key_info;
        memo->until_us = now_us + ATT_CERTIFICATE_MEMO_US;
}
