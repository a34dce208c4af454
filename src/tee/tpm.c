/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/tpm.h"

#include "codec/ima-log.h"
#include "tee/thread.h"
#include "tee/tpm-context.h"
#include "util/error.h"
#include "util/io.h"

#include <fcntl.h>
#include <gio/gio.h>

#define PCRS_PATH "/sys/class/tpm/tpm0"
/* For closing the device. */
#define LEAVE_MS 500u

/* What the thread is asked. Whoever has waited long enough leaves it to the thread. */
typedef struct Request {
        bool is_done, is_abandoned;
        uint8_t extra_data[ATT_SHA256_SIZE];
        bool is_quote; /* else only that there is an AK */

        GBytes *answer; /* of a quote; NULL with @error */
        GBytes *ak_name;
        GError *error;
} Request;

/* What user and thread share. It lives for as long as either. */
typedef struct Shared {
        gatomicrefcount refs;
        guint32 ak_handle;
        AttBank bank;

        GMutex lock;
        GCond changed;
        Request *request; /* the one with the thread */
        bool is_leaving, has_left;
} Shared;

struct AttTpm {
        gatomicrefcount refs;
        Shared *shared;
        GThread *thread;
        GBytes *ak_name;
};

static void request_free(Request *r) {
        g_clear_pointer(&r->answer, g_bytes_unref);
        g_clear_pointer(&r->ak_name, g_bytes_unref);
        g_clear_error(&r->error);
        g_free(r);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Request, request_free)

static void shared_unref(Shared *s) {
        if (!g_atomic_ref_count_dec(&s->refs))
                return;

        g_mutex_clear(&s->lock);
        g_cond_clear(&s->changed);
        g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Shared, shared_unref)

/* ----- the thread */

/* The TPM may have been away, or reset by a suspend that it did not survive: what was
 * open is tried first, and if that fails, once more from the beginning. */
static void serve(const Shared *s, AttTpmContext **context, Request *r) {
        for (;;) {
                bool is_fresh = !*context;

                g_clear_error(&r->error);
                if (is_fresh)
                        *context = att_tpm_context_open(s->ak_handle, s->bank, &r->error);
                if (!*context)
                        return;

                r->ak_name = g_bytes_ref(att_tpm_context_ak_name(*context));
                if (!r->is_quote)
                        return;
                r->answer = att_tpm_context_quote(*context, r->extra_data, &r->error);
                if (r->answer)
                        return;

                g_clear_pointer(context, att_tpm_context_free);
                g_clear_pointer(&r->ak_name, g_bytes_unref);
                if (is_fresh)
                        return;
        }
}

static Request *wait_for_request(Shared *s) {
        Request *r;

        g_mutex_lock(&s->lock);
        while (!s->request && !s->is_leaving)
                g_cond_wait(&s->changed, &s->lock);
        r = s->is_leaving ? NULL : s->request;
        g_mutex_unlock(&s->lock);
        return r;
}

static void give_back(Shared *s, Request *r) {
        g_mutex_lock(&s->lock);
        s->request = NULL;
        r->is_done = true;
        if (r->is_abandoned)
                request_free(r);
        g_cond_broadcast(&s->changed);
        g_mutex_unlock(&s->lock);
}

static gpointer work(gpointer data) {
        g_autoptr(Shared) s = data;
        AttTpmContext *context = NULL;
        Request *r;

        while ((r = wait_for_request(s))) {
                serve(s, &context, r);
                give_back(s, r);
        }

        att_tpm_context_free(context);
        g_mutex_lock(&s->lock);
        s->has_left = true;
        g_cond_broadcast(&s->changed);
        g_mutex_unlock(&s->lock);
        return NULL;
}

/* Does it leave soon? Not while a command hangs: then it stays behind. */
static bool has_left(Shared *s) {
        gint64 until_us = g_get_monotonic_time() + LEAVE_MS * 1000;
        bool yes;

        g_mutex_lock(&s->lock);
        s->is_leaving = true;
        g_cond_broadcast(&s->changed);
        while (!s->has_left && !s->request && g_cond_wait_until(&s->changed, &s->lock, until_us))
                ;
        yes = s->has_left;
        g_mutex_unlock(&s->lock);
        return yes;
}

/* ----- who asks it */

/* Takes @r. Returns: it, when it is done */
static Request *ask(Shared *s, Request *r, guint patience_ms, GError **error) {
        gint64 until_us = g_get_monotonic_time() + (gint64) patience_ms * 1000;
        g_autoptr(Request) request = r;
        bool hangs, in_time = true;

        g_mutex_lock(&s->lock);
        while (s->request && !s->request->is_abandoned && in_time)
                in_time = g_cond_wait_until(&s->changed, &s->lock, until_us);
        hangs = s->request != NULL;
        if (!hangs) {
                s->request = request;
                g_cond_broadcast(&s->changed);
                while (!request->is_done && in_time)
                        in_time = g_cond_wait_until(&s->changed, &s->lock, until_us);
                if (!request->is_done)
                        g_steal_pointer(&request)->is_abandoned = true;
        }
        g_mutex_unlock(&s->lock);

        if (hangs) {
                att_error_set(error, ATT_ERROR_DEVICE_BUSY,
                              "the TPM has not answered an earlier command yet; see the kernel's log");
                return NULL;
        }
        if (!request)
                att_error_set(error, ATT_ERROR_TIMED_OUT, "the TPM has not answered for %u ms; see the kernel's log",
                              patience_ms);
        return g_steal_pointer(&request);
}

void att_tpm_init(void) {
        (void) g_setenv("TSS2_LOG", "all+none", TRUE);
        g_unsetenv("TSS2_LOGFILE");
}

AttTpm *att_tpm_open(guint32 ak_handle, AttBank bank, GError **error) {
        g_autoptr(AttTpm) tpm = g_new0(AttTpm, 1);
        g_autoptr(Request) r = NULL;

        g_atomic_ref_count_init(&tpm->refs);
        tpm->shared = g_new0(Shared, 1);
        g_atomic_ref_count_init(&tpm->shared->refs);
        g_mutex_init(&tpm->shared->lock);
        g_cond_init(&tpm->shared->changed);
        tpm->shared->ak_handle = ak_handle;
        tpm->shared->bank = bank;
        g_atomic_ref_count_inc(&tpm->shared->refs);
        tpm->thread = att_thread_new("tpm", work, tpm->shared);

        r = ask(tpm->shared, g_new0(Request, 1), ATT_TPM_OPEN_MS, error);
        if (!r)
                return NULL;
        if (r->error) {
                g_propagate_error(error, g_steal_pointer(&r->error));
                return NULL;
        }
        tpm->ak_name = g_steal_pointer(&r->ak_name);
        return g_steal_pointer(&tpm);
}

AttTpm *att_tpm_ref(AttTpm *tpm) {
        g_atomic_ref_count_inc(&tpm->refs);
        return tpm;
}

void att_tpm_unref(AttTpm *tpm) {
        if (!tpm || !g_atomic_ref_count_dec(&tpm->refs))
                return;

        if (has_left(tpm->shared))
                (void) g_thread_join(tpm->thread);
        else
                g_thread_unref(tpm->thread);
        shared_unref(tpm->shared);
        g_clear_pointer(&tpm->ak_name, g_bytes_unref);
        g_free(tpm);
}

GBytes *att_tpm_ak_name(const AttTpm *tpm) {
        return tpm->ak_name;
}

GBytes *att_tpm_quote(AttTpm *tpm, const uint8_t r[ATT_REPORT_DATA_SIZE], GError **error) {
        static const char tag[] = "attestd tpm/1"; /* hashed with its NUL */
        const AttPart parts[] = { { tag, sizeof tag }, { r, ATT_REPORT_DATA_SIZE } };
        Request *question = g_new0(Request, 1);
        g_autoptr(Request) request = NULL;

        question->is_quote = true;
        att_sha256(parts, G_N_ELEMENTS(parts), question->extra_data);
        request = ask(tpm->shared, question, ATT_TPM_QUOTE_MS, error);
        if (!request)
                return NULL;
        if (request->error) {
                g_propagate_error(error, g_steal_pointer(&request->error));
                return NULL;
        }
        if (!g_bytes_equal(request->ak_name, tpm->ak_name)) {
                att_error_set(error, ATT_ERROR_FAILED,
                              "the TPM has another key than before: it is another one, or was cleared; "
                              "restart attestd");
                return NULL;
        }
        return g_steal_pointer(&request->answer);
}

/* ----- which bank */

/* A PCR 10 of zeros is one that IMA does not extend: it came up before the TPM's driver. */
static gboolean read_use(AttBank bank, bool *ret, GError **error) {
        g_autofree char *path = g_strdup_printf(PCRS_PATH "/pcr-%s/%u", att_bank_name(bank), ATT_IMA_PCR);
        g_autoptr(GError) e = NULL;
        g_autoptr(GBytes) text = att_read_at(AT_FDCWD, path, 2 * ATT_BANK_SIZE_MAX + 1, &e);
        AttCursor c = text ? att_cursor_bytes(text) : att_cursor(NULL, 0);
        bool is_used = false;

        if (!text && !g_error_matches(e, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
                return att_error_set(error, ATT_ERROR_FAILED, "its PCR %u of %s cannot be read: %s", ATT_IMA_PCR,
                                     att_bank_name(bank), e->message);
        while (c.left > 0) {
                uint8_t digit = att_take_u8(&c);

                is_used = is_used || (g_ascii_isxdigit(digit) && digit != '0');
        }
        *ret = is_used;
        return TRUE;
}

gboolean att_tpm_find_bank(AttBank *ret, GError **error) {
        static const AttBank preferred[] = { ATT_BANK_SHA256, ATT_BANK_SHA384, ATT_BANK_SHA1 };

        for (gsize i = 0; i < G_N_ELEMENTS(preferred); i++) {
                bool is_used = false;

                if (!read_use(preferred[i], &is_used, error))
                        return FALSE;
                if (is_used) {
                        *ret = preferred[i];
                        return TRUE;
                }
        }
        return att_error_set(error, ATT_ERROR_NO_TEE, "no TPM has a PCR 10 in use");
}
