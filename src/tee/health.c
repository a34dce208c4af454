/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/health.h"

#include "tee/fault.h"

static bool is_key_disabled(const GError *e) {
        return g_error_matches(e, ATT_TEE_FAULT, ATT_TEE_FAULT_KEY_DISABLED);
}

static bool is_absence(const GError *e) {
        return e && att_tee_fault_is_absence((AttTeeFault) e->code);
}

static bool means_no_tee(const GError *e) {
        return e && att_tee_fault_code((AttTeeFault) e->code) == ATT_ERROR_NO_TEE;
}

/* Of a device that was here, other things are worth saying. */
static char *describe_absence(const AttTeeHealth *h, const GError *absent) {
        if (h->was_here && (g_error_matches(absent, ATT_TEE_FAULT, ATT_TEE_FAULT_NO_PROVIDER) ||
                            g_error_matches(absent, ATT_TEE_FAULT, ATT_TEE_FAULT_NO_CORE) ||
                            g_error_matches(absent, ATT_TEE_FAULT, ATT_TEE_FAULT_LOCAL_ONLY)))
                return g_strdup("the TEE was here and is gone; load its driver again (tdx_guest, sev-guest)");
        return g_strdup(absent->message);
}

/* The worst that is known is the state. */
static void judge(AttTeeHealth *h) {
        g_free(h->detail);

        if (means_no_tee(h->absent)) {
                h->state = h->was_here ? ATT_TEE_DEVICE_LOST : ATT_TEE_NO_TEE;
                h->detail = describe_absence(h, h->absent);
        } else if (h->absent) {
                h->state = ATT_TEE_DEGRADED;
                h->detail = g_strdup(h->absent->message);
        } else if (h->failed) {
                h->state = is_key_disabled(h->failed) ? ATT_TEE_DEVICE_LOST : ATT_TEE_DEGRADED;
                h->detail = g_strdup(h->failed->message);
        } else if (h->uncounted) {
                h->state = ATT_TEE_SHARED_DEVICE;
                h->detail = g_strdup_printf("others may be using the TEE unseen: %s", h->uncounted->message);
        } else if (h->is_shared) {
                h->state = ATT_TEE_SHARED_DEVICE;
                h->detail = g_strdup_printf("%u entries of others, such as %s, lie under tsm/report; their owners can "
                                            "use and delay the TEE: stop them, or remove what they left with rmdir",
                                            h->n_others, h->first_other);
        } else {
                h->state = ATT_TEE_READY;
                h->detail = g_strdup("");
        }
}

static void set_error(GError **place, const GError *e) {
        g_clear_error(place);
        if (e)
                *place = g_error_copy(e);
}

static void set_provider(AttTeeHealth *h, const char *provider) {
        g_free(h->provider);
        h->provider = g_strdup(provider ?: "");
}

void att_tee_health_init(AttTeeHealth *h) {
        *h = (AttTeeHealth) { 0 };
        set_provider(h, NULL);
        h->absent = g_error_new_literal(ATT_TEE_FAULT, ATT_TEE_FAULT_NO_PROVIDER, "still looking for a TEE");
        judge(h);
}

void att_tee_health_clear(AttTeeHealth *h) {
        g_clear_error(&h->absent);
        g_clear_error(&h->failed);
        g_clear_error(&h->uncounted);
        g_clear_pointer(&h->detail, g_free);
        g_clear_pointer(&h->provider, g_free);
        g_clear_pointer(&h->first_other, g_free);
}

void att_tee_health_looked(AttTeeHealth *h, const char *provider, const GError *absent) {
        set_error(&h->absent, absent);
        set_provider(h, absent ? NULL : provider);
        h->was_here |= !absent;

        /* Whatever comes next is another device. */
        if (means_no_tee(absent))
                g_clear_error(&h->failed);
        judge(h);
}

void att_tee_health_reported(AttTeeHealth *h, const char *provider, const GError *failed) {
        if (is_absence(failed)) {
                att_tee_health_looked(h, NULL, failed);
                return;
        }

        set_error(&h->failed, failed);
        att_tee_health_looked(h, provider, NULL);
}

void att_tee_health_replaced(AttTeeHealth *h) {
        g_clear_error(&h->failed);
        judge(h);
}

void att_tee_health_counted(AttTeeHealth *h, guint n_others, const char *first_other) {
        g_free(h->first_other);
        h->first_other = g_strdup(first_other);
        g_clear_error(&h->uncounted);
        h->n_others = n_others;
        h->is_shared = n_others > 0;
        judge(h);
}

void att_tee_health_uncounted(AttTeeHealth *h, const GError *why) {
        set_error(&h->uncounted, why);
        h->is_shared = true;
        judge(h);
}

bool att_tee_health_is_lost(const AttTeeHealth *h) {
        return !h->absent && is_key_disabled(h->failed);
}

GError *att_tee_health_error(const AttTeeHealth *h, const GError *fault) {
        AttError code = att_tee_fault_code((AttTeeFault) fault->code);
        g_autofree char *sentence = describe_absence(h, fault);

        if (code == ATT_ERROR_NO_TEE && h->was_here)
                code = ATT_ERROR_DEVICE_LOST;
        return g_error_new_literal(ATT_ERROR, (gint) code, sentence);
}
