/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The certificate table that the host gave with a report, for the next ones of the same chip, TCB and signing key: its
 * certificates are theirs too (AMD 57230, VCEK and VLEK). With it a report can be asked for that costs the host no
 * table, and one that the host fails to give later is not missing. No I/O. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/* Until the host is asked anew: it may have renewed them. */
#define ATT_CERTIFICATE_MEMO_US (G_GINT64_CONSTANT(60) * 60 * G_USEC_PER_SEC)

/* Begins as all zero. */
typedef struct AttCertificateMemo {
        /*< private >*/
        GBytes *table; /* NULL: there is none */
        uint8_t chip_id[64];
        uint8_t tcb[8];
        uint32_t key_info;
        gint64 until_us;
} AttCertificateMemo;

/** att_certificate_memo_clear: also when the driver, and so perhaps the chip, is another one */
void att_certificate_memo_clear(AttCertificateMemo *memo);

/** att_certificate_memo_has: need the host not be asked, if nothing has changed? @now_us: g_get_monotonic_time() */
bool att_certificate_memo_has(const AttCertificateMemo *memo, gint64 now_us);

/** att_certificate_memo_expire: the host is to be asked */
void att_certificate_memo_expire(AttCertificateMemo *memo);

/**
 * att_certificate_memo_find: the table for @report
 *
 * Returns: borrowed (nullable): there is none, or another chip, REPORTED_TCB or key than its own has signed @report
 */
GBytes *att_certificate_memo_find(const AttCertificateMemo *memo, GBytes *report);

/**
 * att_certificate_memo_keep: @table came with @report
 *
 * Only if it is one, has a certificate of the kind that signs @report, and is not the one that came with reports of
 * another chip, TCB or key: a host that has none yet, gives nonsense or is behind is asked again each time. Whether the
 * certificate is good is for the verifier to judge. What is not kept leaves what was there.
 */
void att_certificate_memo_keep(AttCertificateMemo *memo, GBytes *report, GBytes *table, gint64 now_us);

G_END_DECLS
