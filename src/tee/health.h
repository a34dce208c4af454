/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What we know of the device, from what each visit to it has brought. No I/O. */
#pragma once

#include "tee/tee.h"

#include <stdbool.h>

G_BEGIN_DECLS

typedef struct AttTeeHealth {
        AttTeeState state;
        char *detail;       /* one sentence; "" when ready */
        char *provider;     /* "" when there is none */
        bool is_shared;

        /*< private >*/
        bool was_here;
        GError *absent;     /* why there is no device to ask; (nullable) */
        GError *failed;     /* why the last report failed; (nullable) */
        GError *uncounted;  /* why entries of others cannot be seen; (nullable) */
        guint n_others;
        char *first_other;
} AttTeeHealth;

void att_tee_health_init(AttTeeHealth *health);
void att_tee_health_clear(AttTeeHealth *health);

/**
 * att_tee_health_looked: a look at the device that asked no report of it
 * @provider: (nullable): whose, unless @absent
 * @absent:   (nullable): of %ATT_TEE_FAULT
 */
void att_tee_health_looked(AttTeeHealth *health, const char *provider, const GError *absent);

/** att_tee_health_reported: a report was asked for, and has @failed (of %ATT_TEE_FAULT), or is good: %NULL */
void att_tee_health_reported(AttTeeHealth *health, const char *provider, const GError *failed);

/** att_tee_health_replaced: the device is another one than before: how that one has failed is past */
void att_tee_health_replaced(AttTeeHealth *health);

/** att_tee_health_counted: entries of others under tsm/report */
void att_tee_health_counted(AttTeeHealth *health, guint n_others, const char *first_other);

/** att_tee_health_uncounted: nobody can say whether there are any, for @why (of %ATT_TEE_FAULT): taken for shared */
void att_tee_health_uncounted(AttTeeHealth *health, const GError *why);

/** att_tee_health_is_lost: must the device not be asked, until a look finds it gone and another one in its place? */
bool att_tee_health_is_lost(const AttTeeHealth *health);

/** att_tee_health_error: @fault as what a caller is told. Returns: (transfer full) */
GError *att_tee_health_error(const AttTeeHealth *health, const GError *fault) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
