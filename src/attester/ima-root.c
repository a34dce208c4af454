/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/ima-root.h"

#include "tee/thread.h"
#include "util/bytes.h"
#include "util/error.h"

#include <string.h>

/* What a start waits for the TPM; one that is well needs far less. */
#define FIRST_ANSWER_US (2 * G_USEC_PER_SEC)
/* Until a TPM that has failed is tried again: so long at first, then twice as long each time. */
#define PAUSE_MIN_US G_USEC_PER_SEC
#define PAUSE_MAX_US (300 * G_USEC_PER_SEC)

/* Where a TPM may have its PCR 10. */
#define BANKS (ATT_BANK_SET(ATT_BANK_SHA256) | ATT_BANK_SET(ATT_BANK_SHA384) | ATT_BANK_SET(ATT_BANK_SHA1))

/* What a thread of ours has found out about the TPM. */
typedef struct Answer {
        bool has_bank;
        AttBank bank;
        AttTpm *tpm; /* NULL, and why */
        GError *error;
} Answer;

/* A question to the TPM, asked by a thread of its own: it may never come back. */
typedef struct Question {
        GAsyncQueue *answers; /* a reference */
        AttTpm *tpm;          /* a reference, to be tried; NULL: to be opened */
        guint32 ak_handle;
        bool has_bank;        /* else it is to be found */
        AttBank bank;
} Question;

struct AttImaRoot {
        AttImaRootWish wish;
        bool has_bank;  /* else @bank stands in until the TPM says which one it is */
        AttBank bank;
        const char *name;
        char *detail;
        bool is_held;   /* a report over it is under way: the register is to stay as it is */
        bool is_quoted; /* a report is under way with which the TPM is to quote */

        guint rtmr;
        AttMirror *mirror;  /* of the wish rtmr, else NULL */

        guint32 ak_handle;
        AttTpm *tpm;        /* NULL: none has been opened */
        bool tpm_is_well;
        bool tpm_is_asked;  /* by a thread; its answer goes to @answers */
        bool tpm_is_absent; /* or in no use */
        GAsyncQueue *answers; /* of Answer; NULL: no TPM is wanted */
        gint64 pause_us, next_try_us;
        char *tpm_fault;    /* NULL: there was none */
};

/* ----- the TPM */

static void answer_free(Answer *a) {
        g_clear_pointer(&a->tpm, att_tpm_unref);
        g_clear_error(&a->error);
        g_free(a);
}

static void open_tpm(const Question *q, Answer *a) {
        a->bank = q->bank;
        a->has_bank = q->has_bank || att_tpm_find_bank(&a->bank, &a->error);
        if (a->has_bank)
                a->tpm = att_tpm_open(q->ak_handle, a->bank, &a->error);
}

static gpointer ask(gpointer data) {
        static const uint8_t nothing[ATT_REPORT_DATA_SIZE]; /* no R: no report is over it */
        Question *q = data;
        Answer *a = g_new0(Answer, 1);

        if (!q->tpm) {
                open_tpm(q, a);
        } else {
                g_autoptr(GBytes) quote = att_tpm_quote(q->tpm, nothing, &a->error);

                if (quote)
                        a->tpm = g_steal_pointer(&q->tpm);
        }

        g_async_queue_push(q->answers, a);
        g_async_queue_unref(q->answers);
        g_clear_pointer(&q->tpm, att_tpm_unref);
        g_free(q);
        return NULL;
}

static void ask_tpm(AttImaRoot *r) {
        Question *q = g_new(Question, 1);

        *q = (Question) {
                .answers = g_async_queue_ref(r->answers),
                .tpm = r->tpm ? att_tpm_ref(r->tpm) : NULL,
                .ak_handle = r->ak_handle,
                .has_bank = r->has_bank,
                .bank = r->bank,
        };
        r->tpm_is_asked = true;
        g_thread_unref(att_thread_new("tpm-question", ask, q));
}

static void tpm_failed(AttImaRoot *r, const GError *why) {
        r->tpm_is_well = false;
        g_free(r->tpm_fault);
        r->tpm_fault = g_strdup(why->message);
        r->next_try_us = g_get_monotonic_time() + r->pause_us;
        r->pause_us = MIN(2 * r->pause_us, PAUSE_MAX_US);
}

static void take_answer(AttImaRoot *r, Answer *a) {
        r->tpm_is_asked = false;
        if (a->has_bank && !r->has_bank) {
                r->has_bank = true;
                r->bank = a->bank;
        }
        if (!r->has_bank && g_error_matches(a->error, ATT_ERROR, ATT_ERROR_NO_TEE)) {
                r->tpm_is_absent = true;
                g_clear_pointer(&r->tpm_fault, g_free);
        } else if (a->tpm) {
                if (!r->tpm)
                        r->tpm = att_tpm_ref(a->tpm);
                r->tpm_is_well = true;
                r->pause_us = PAUSE_MIN_US;
                g_clear_pointer(&r->tpm_fault, g_free);
        } else {
                tpm_failed(r, a->error);
        }
        answer_free(a);
}

static void look_at_tpm(AttImaRoot *r) {
        Answer *a = g_async_queue_try_pop(r->answers);

        if (a)
                take_answer(r, a);
        if (!r->tpm_is_well && !r->tpm_is_asked && !r->tpm_is_absent && g_get_monotonic_time() >= r->next_try_us)
                ask_tpm(r);
}

/* A TPM that is too slow for a start is taken as soon as it answers; that holds for
 * the question which of its banks is in use, too. */
static void begin_with_tpm(AttImaRoot *r) {
        Answer *a;

        r->answers = g_async_queue_new_full((GDestroyNotify) answer_free);
        r->pause_us = PAUSE_MIN_US;
        ask_tpm(r);
        a = g_async_queue_timeout_pop(r->answers, FIRST_ANSWER_US);
        if (a)
                take_answer(r, a);
}

/* ----- which one it is */

static void become(AttImaRoot *r, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void become(AttImaRoot *r, const char *name, const char *format, ...) {
        va_list ap;

        r->name = name;
        g_free(r->detail);
        va_start(ap, format);
        r->detail = g_strdup_vprintf(format, ap);
        va_end(ap);
}

static void look_at_tpm_root(AttImaRoot *r) {
        if (r->tpm_is_absent && r->wish == ATT_IMA_ROOT_AUTO)
                become(r, "claimed", "%s", "");
        else if (r->tpm_is_absent)
                become(r, "claimed", "there is no TPM with PCR 10 in use, which [Ima] Root=tpm wants: see "
                                     "/sys/class/tpm/tpm0, and whether its driver is built into the kernel");
        else if (r->tpm_is_well)
                become(r, "tpm-outside", "%s", "");
        else
                become(r, "claimed", "the TPM does not vouch for the log: %s",
                                     r->tpm_fault ? r->tpm_fault : "it has not answered yet");
}

/* Is the register what @log comes to, to the bit? */
static bool is_mirrored(const AttImaRoot *r, const AttImaReplay *log) {
        const uint8_t *aggregate = att_ima_replay_aggregate(log, ATT_BANK_SHA384);

        return att_mirror_count(r->mirror) == att_ima_replay_count(log) &&
               memcmp(att_mirror_register(r->mirror), aggregate, ATT_RTMR_SIZE) == 0;
}

static void look_at_mirror(AttImaRoot *r, AttImaSource *log) {
        if (r->is_held)
                return;
        if (log)
                (void) att_mirror_catch_up(r->mirror, log);

        if (att_mirror_state(r->mirror) != ATT_MIRROR_OK)
                become(r, "claimed", "RTMR %u does not vouch for the log: %s", r->rtmr, att_mirror_detail(r->mirror));
        else if (log && !is_mirrored(r, att_ima_source_replay(log)))
                become(r, "claimed", "RTMR %u is not where the log is: it holds %" G_GUINT64_FORMAT " of %"
                                     G_GUINT64_FORMAT " entries", r->rtmr, att_mirror_count(r->mirror),
                       att_ima_replay_count(att_ima_source_replay(log)));
        else
                become(r, "rtmr", "%s", "");
}

void att_ima_root_look(AttImaRoot *r, AttImaSource *log) {
        if (r->answers)
                look_at_tpm(r);

        if (r->mirror)
                look_at_mirror(r, log);
        else if (r->answers)
                look_at_tpm_root(r);
}

AttImaRoot *att_ima_root_new(const AttConfiguration *c) {
        AttImaRoot *r = g_new(AttImaRoot, 1);

        *r = (AttImaRoot) {
                .wish = c->ima_root,
                .bank = ATT_BANK_SHA256,
                .name = c->ima_root == ATT_IMA_ROOT_NONE ? "none" : "claimed",
                .detail = g_strdup(""),
                .rtmr = c->ima_register,
                .ak_handle = c->ak_handle,
        };

        switch (r->wish) {
        case ATT_IMA_ROOT_AUTO:
        case ATT_IMA_ROOT_TPM:
                begin_with_tpm(r);
                break;
        case ATT_IMA_ROOT_RTMR:
                r->bank = ATT_BANK_SHA384;
                r->mirror = att_mirror_new(r->rtmr);
                break;
        case ATT_IMA_ROOT_CLAIMED:
        case ATT_IMA_ROOT_NONE:
                break;
        }
        return r;
}

void att_ima_root_free(AttImaRoot *r) {
        if (!r)
                return;

        g_clear_pointer(&r->mirror, att_mirror_free);
        g_clear_pointer(&r->tpm, att_tpm_unref);
        g_clear_pointer(&r->answers, g_async_queue_unref);
        g_free(r->tpm_fault);
        g_free(r->detail);
        g_free(r);
}

unsigned att_ima_root_banks(const AttImaRoot *r) {
        return !r->answers || r->has_bank || r->tpm_is_absent ? ATT_BANK_SET(r->bank) : BANKS;
}

void att_ima_root_add(AttImaRoot *r, const AttImaRecord *record) {
        if (r->mirror)
                att_mirror_add(r->mirror, record);
}

const char *att_ima_root_name(const AttImaRoot *r) {
        return r->name;
}

const char *att_ima_root_detail(const AttImaRoot *r) {
        return r->detail;
}

int att_ima_root_register(const AttImaRoot *r) {
        return r->mirror && att_mirror_is_ours(r->mirror) ? (int) r->rtmr : -1;
}

const AttMirror *att_ima_root_mirror(const AttImaRoot *r) {
        return r->mirror;
}

/* ----- reports */

static bool is_root(const AttImaRoot *r, const char *name) {
        return g_str_equal(r->name, name);
}

AttImaClaims *att_ima_root_seal(AttImaRoot *r, const AttImaReplay *log, AttTpm **ret_tpm) {
        AttImaClaims *c;

        *ret_tpm = NULL;
        if (r->wish == ATT_IMA_ROOT_NONE)
                return NULL;

        c = g_new(AttImaClaims, 1);
        *c = (AttImaClaims) {
                .root = g_strdup(r->name),
                .bank = g_strdup(att_bank_name(r->bank)),
                .aggregate = g_bytes_new(att_ima_replay_aggregate(log, r->bank), att_bank_size(r->bank)),
                .rtmr = -1,
        };
        r->is_held = is_root(r, "rtmr");
        r->is_quoted = is_root(r, "tpm-outside");
        if (r->is_held)
                c->rtmr = (int) r->rtmr;
        if (r->is_quoted) {
                c->ak_name = g_bytes_ref(att_tpm_ak_name(r->tpm));
                *ret_tpm = r->tpm;
        }
        return c;
}

static bool has_quote(AttImaRoot *r, const AttTeeReport *report) {
        g_autoptr(GError) none = NULL;

        if (report->tpm)
                return true;

        none = g_error_new(ATT_ERROR, ATT_ERROR_FAILED, "it has made no quote");
        tpm_failed(r, report->tpm_fault ? report->tpm_fault : none);
        look_at_tpm_root(r);
        return false;
}

static bool has_kept_register(AttImaRoot *r) {
        if (att_mirror_check(r->mirror) == ATT_MIRROR_OK)
                return true;

        look_at_mirror(r, NULL);
        return false;
}

bool att_ima_root_check(AttImaRoot *r, const AttTeeReport *report) {
        bool was_held = r->is_held, was_quoted = r->is_quoted;

        att_ima_root_drop(r);
        return (!was_held || has_kept_register(r)) && (!was_quoted || has_quote(r, report));
}

void att_ima_root_drop(AttImaRoot *r) {
        r->is_held = r->is_quoted = false;
}
