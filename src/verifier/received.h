/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence in whatever form it came. */
#pragma once

#include "codec/evidence.h"

#include <glib.h>

G_BEGIN_DECLS

/* @evidence if it is a collection of ours, else @report if configfs-tsm's members
 * came with it; @quote is always there, be it a quote of TDX or a report of SNP. */
typedef struct AttReceived {
        AttEvidence *evidence;      /* (nullable); owned */
        AttTsmReport *bare_report;  /* (nullable); owned */
        const AttTsmReport *report; /* (nullable): of either; borrowed */
        GBytes *quote;
        bool is_snp;                /* by the provider, or else by the first bytes */
        bool is_hcl;                /* @quote lay in an envelope of Azure's */
} AttReceived;

void att_received_clear(AttReceived *received);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttReceived, att_received_clear)

/** Only a collection of ours, as an authenticator carries it. %ATT_ERROR_BAD_DATA */
gboolean att_received_read_collection(GBytes *bytes, AttReceived *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_received_read: a CMW in any form, a tsm-report, a bare TDX quote or SNP
 * report, or one of the latter in Azure's envelope, told apart by the first bytes
 * @error: %ATT_ERROR_BAD_DATA, %ATT_ERROR_TOO_LARGE
 *
 * A CMW that is not of ours must hold exactly one record of a type that is known.
 */
gboolean att_received_read(GBytes *bytes, AttReceived *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
