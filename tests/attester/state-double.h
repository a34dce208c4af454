/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rest of tee/ that this layer uses, as the test says it is: the IMA log, what
 * vouches for it, and the state beside it. Linked instead of the real ones. */
#pragma once

#include "tee/event-source.h"
#include "tee/ima-source.h"
#include "tee/rtmr.h"
#include "tee/state-watch.h"
#include "tee/tee.h"

typedef struct StateDouble {
        /* The log; what tests add is there at the next look. */
        AttImaState ima_state;
        guint64 violations; /* as the kernel counts them */
        guint n_looks;

        /* The register. Somebody else's extension: att_mirror_* find it at their next call. */
        AttMirrorState mirror_state;
        bool is_foreign;
        bool mirror_lags; /* it takes nothing, and says nothing */

        /* The TPM. */
        bool has_tpm;
        const char *bank_fault; /* NULL: it says which bank it has in use */
        AttBank tpm_bank;
        const char *tpm_fault; /* NULL: it quotes */
        gint n_quotes;         /* atomic */

        /* What the next look, or report, brings. */
        guint watched, seen;

        GBytes *boot_log; /* owned; NULL: there is none */

        const char *event_detail; /* NULL: "" */
        AttEventHandlers handlers; /* of who has started the source */
        gpointer userdata;
} StateDouble;

extern StateDouble state_double;

/** An empty log that is there, and nothing else. Frees what was before. */
void state_double_reset(void);

/** An entry of ima-ng, of PCR 10, or as said. */
void state_double_measure(const char *path);
void state_double_measure_as(uint32_t pcr, const char *template_name, const char *path);
void state_double_violate(const char *path);

/** The first @count records, as they stand in the list. */
GBytes *state_double_list(guint64 count);

/** The TPM says nothing, until it is let go. */
void state_double_hold_tpm(void);
void state_double_release_tpm(void);

/** The member "tpm" that each of its quotes is. */
GBytes *state_double_quote(void);
