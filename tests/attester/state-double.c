/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state-double.h"

#include "codec/ima-record.h"
#include "crypto/tpm-key.h"
#include "tee/boot-log.h"
#include "util/error.h"

#include <string.h>

#define LISTED ATT_BANK_SHA256

StateDouble state_double;

static GPtrArray *list; /* of GBytes, a record each */

void state_double_reset(void) {
        g_clear_pointer(&list, g_ptr_array_unref);
        g_clear_pointer(&state_double.boot_log, g_bytes_unref);
        list = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        state_double = (StateDouble) { .ima_state = ATT_IMA_OK };
}

static void append(uint32_t pcr, const char *template_name, const char *path, uint8_t fill) {
        g_autoptr(GByteArray) data = g_byte_array_new(), record = g_byte_array_new();
        uint8_t digest[ATT_BANK_SIZE_MAX];

        ima_put_digest(data, "sha256:", fill, 32);
        ima_put_path(data, path);
        if (g_str_equal(template_name, "ima-sig"))
                ima_put_field(data, "", 0);
        att_bank_digest(LISTED, data->data, data->len, digest);
        ima_put_record(record, pcr, fill ? digest : NULL, LISTED, template_name, data);
        g_ptr_array_add(list, g_byte_array_free_to_bytes(g_steal_pointer(&record)));
}

void state_double_measure(const char *path) {
        append(ATT_IMA_PCR, "ima-ng", path, 0x5e);
}

void state_double_measure_as(uint32_t pcr, const char *template_name, const char *path) {
        append(pcr, template_name, path, 0x5e);
}

void state_double_violate(const char *path) {
        state_double.violations++;
        append(ATT_IMA_PCR, "ima-ng", path, 0);
}

GBytes *state_double_list(guint64 count) {
        g_autoptr(GByteArray) all = g_byte_array_new();

        for (guint i = 0; i < count; i++)
                g_byte_array_append(all, g_bytes_get_data(list->pdata[i], NULL),
                                    (guint) g_bytes_get_size(list->pdata[i]));
        return g_byte_array_free_to_bytes(g_steal_pointer(&all));
}

/* ----- tee/ima-source.h */

struct AttImaSource {
        AttImaReplay *replay;
        AttImaState state;
        guint64 violations;
};

const char *att_ima_state_name(AttImaState state) {
        static const char *const names[] = { "ok", "absent", "unreadable", "garbled", "history-lost" };

        return names[state];
}

AttImaSource *att_ima_source_new(unsigned banks) {
        AttImaSource *s = g_new0(AttImaSource, 1);

        if (!list)
                state_double_reset();
        s->replay = att_ima_replay_new(banks);
        s->state = ATT_IMA_ABSENT;
        return s;
}

void att_ima_source_free(AttImaSource *s) {
        att_ima_replay_free(s->replay);
        g_free(s);
}

bool att_ima_source_look(AttImaSource *s, AttImaEntry entry, gpointer userdata) {
        state_double.n_looks++;
        s->state = state_double.ima_state;
        s->violations = state_double.violations;
        for (guint i = (guint) att_ima_replay_count(s->replay); s->state == ATT_IMA_OK && i < list->len; i++) {
                gsize size;
                const void *p = g_bytes_get_data(list->pdata[i], &size);
                AttCursor log = att_cursor(p, size);
                AttImaRecord record;

                g_assert(att_ima_record_parse(&log, LISTED, &record, NULL) == ATT_IMA_RECORD);
                g_assert(att_ima_replay_add(s->replay, &record, LISTED, NULL));
                if (entry)
                        entry(&record, i, userdata);
        }
        return true;
}

AttImaState att_ima_source_state(const AttImaSource *s) {
        return s->state;
}

const char *att_ima_source_detail(const AttImaSource *s) {
        return s->state == ATT_IMA_OK ? "" : "the test says so";
}

const AttImaReplay *att_ima_source_replay(const AttImaSource *s) {
        return s->replay;
}

guint64 att_ima_source_violations(const AttImaSource *s) {
        return s->violations;
}

AttBank att_ima_source_listed(const AttImaSource *s) {
        (void) s;
        return LISTED;
}

/* For who serves logs: no test here does. */
AttImaReader *att_ima_reader_new(AttImaSource *s, guint64 first, guint64 last, GError **error) {
        (void) s, (void) first, (void) last;
        att_error_set(error, ATT_ERROR_FAILED, "the test gives no log");
        return NULL;
}

/* ----- tee/rtmr.h */

struct AttMirror {
        guint64 n_added, n_held;
        uint8_t added[ATT_RTMR_SIZE]; /* what the register will be */
        uint8_t value[ATT_RTMR_SIZE];
};

AttMirror *att_mirror_new(guint rtmr) {
        (void) rtmr;
        return g_new0(AttMirror, 1);
}

void att_mirror_free(AttMirror *m) {
        g_free(m);
}

void att_mirror_add(AttMirror *m, const AttImaRecord *record) {
        uint8_t both[2 * ATT_RTMR_SIZE];

        m->n_added++;
        if (record->pcr != ATT_IMA_PCR)
                return;
        memcpy(both, m->added, ATT_RTMR_SIZE);
        att_ima_digest(record, ATT_BANK_SHA384, both + ATT_RTMR_SIZE);
        att_bank_digest(ATT_BANK_SHA384, both, sizeof both, m->added);
}

AttMirrorState att_mirror_state(const AttMirror *m) {
        (void) m;
        return state_double.mirror_state;
}

AttMirrorState att_mirror_check(AttMirror *m) {
        if (state_double.is_foreign)
                state_double.mirror_state = ATT_MIRROR_FOREIGN;
        return att_mirror_state(m);
}

AttMirrorState att_mirror_catch_up(AttMirror *m, AttImaSource *source) {
        (void) source;
        if (att_mirror_check(m) == ATT_MIRROR_OK && !state_double.mirror_lags) {
                m->n_held = m->n_added;
                memcpy(m->value, m->added, sizeof m->value);
        }
        return att_mirror_state(m);
}

const char *att_mirror_detail(const AttMirror *m) {
        return att_mirror_state(m) == ATT_MIRROR_OK ? "" : "the test says so";
}

bool att_mirror_is_ours(const AttMirror *m) {
        return att_mirror_state(m) == ATT_MIRROR_OK;
}

guint64 att_mirror_count(const AttMirror *m) {
        return m->n_held;
}

const uint8_t *att_mirror_register(const AttMirror *m) {
        return m->value;
}

AttMirrorReader *att_mirror_reader_new(const AttMirror *m, AttImaSource *source, guint64 first, GError **error) {
        (void) m, (void) source, (void) first;
        att_error_set(error, ATT_ERROR_FAILED, "the test gives no log");
        return NULL;
}

/* ----- tee/tpm.h */

struct AttTpm {
        gatomicrefcount refs;
        GBytes *name;
};

static GMutex tpm_lock;

void state_double_hold_tpm(void) {
        g_mutex_lock(&tpm_lock);
}

void state_double_release_tpm(void) {
        g_mutex_unlock(&tpm_lock);
}

gboolean att_tpm_find_bank(AttBank *ret, GError **error) {
        g_autoptr(GMutexLocker) held = g_mutex_locker_new(&tpm_lock);

        if (state_double.bank_fault)
                return att_error_set(error, ATT_ERROR_FAILED, "%s", state_double.bank_fault);
        if (!state_double.has_tpm)
                return att_error_set(error, ATT_ERROR_NO_TEE, "no TPM");
        *ret = state_double.tpm_bank;
        return TRUE;
}

AttTpm *att_tpm_open(guint32 ak_handle, AttBank bank, GError **error) {
        uint8_t name[34] = { 0x00, 0x0b, 0xa4 };
        AttTpm *tpm;

        (void) ak_handle;
        g_assert(bank == state_double.tpm_bank);
        if (state_double.tpm_fault) {
                att_error_set(error, ATT_ERROR_FAILED, "%s", state_double.tpm_fault);
                return NULL;
        }

        tpm = g_new(AttTpm, 1);
        g_atomic_ref_count_init(&tpm->refs);
        tpm->name = g_bytes_new(name, sizeof name);
        return tpm;
}

AttTpm *att_tpm_ref(AttTpm *tpm) {
        g_atomic_ref_count_inc(&tpm->refs);
        return tpm;
}

void att_tpm_unref(AttTpm *tpm) {
        if (!tpm || !g_atomic_ref_count_dec(&tpm->refs))
                return;

        g_bytes_unref(tpm->name);
        g_free(tpm);
}

GBytes *att_tpm_ak_name(const AttTpm *tpm) {
        return tpm->name;
}

GBytes *state_double_quote(void) {
        return g_bytes_new_static("\xa1", 1);
}

GBytes *att_tpm_quote(AttTpm *tpm, const uint8_t r[ATT_REPORT_DATA_SIZE], GError **error) {
        (void) tpm, (void) r;
        if (state_double.tpm_fault) {
                att_error_set(error, ATT_ERROR_FAILED, "%s", state_double.tpm_fault);
                return NULL;
        }
        g_atomic_int_inc(&state_double.n_quotes);
        return state_double_quote();
}

/* ----- tee/state-watch.h */

struct AttStateWatch {
        int mirror;
};

const char *att_state_reason_name(AttStateReasons reason) {
        static const char *const names[ATT_STATE_REASONS] = {
                "register", "tcb", "resume", "selinux", "lockdown", "clone", "ima", "ima-violation", "ima-state",
                "ima-root",
        };

        return names[g_bit_nth_lsf(reason, -1)];
}

AttStateWatch *att_state_watch_new(int mirror) {
        AttStateWatch *w = g_new(AttStateWatch, 1);

        w->mirror = mirror;
        return w;
}

void att_state_watch_set_mirror(AttStateWatch *w, int mirror) {
        w->mirror = mirror;
}

void att_state_watch_free(AttStateWatch *w) {
        g_free(w);
}

AttStateReasons att_state_watch_look(AttStateWatch *w) {
        guint found = state_double.watched;

        if (w->mirror >= 0)
                found &= ~(guint) ATT_STATE_REGISTER;
        state_double.watched = 0;
        return found;
}

AttStateReasons att_state_watch_saw_report(AttStateWatch *w, GBytes *outblob, const char *provider) {
        guint found = state_double.seen;

        (void) w, (void) outblob, (void) provider;
        state_double.seen = 0;
        return found;
}

/* ----- tee/event-source.h */

void att_event_source_start(AttEventSource *source, guint interval_ms, const AttEventHandlers *handlers,
                            gpointer userdata) {
        (void) source, (void) interval_ms;
        state_double.handlers = *handlers;
        state_double.userdata = userdata;
}

void att_event_source_stop(AttEventSource *source) {
        (void) source;
        state_double.handlers = (AttEventHandlers) { 0 };
}

const char *att_event_source_name(const AttEventSource *source) {
        (void) source;
        return "kprobe";
}

const char *att_event_source_detail(const AttEventSource *source) {
        (void) source;
        return state_double.event_detail ? state_double.event_detail : "";
}

/* ----- tee/boot-log.h */

GBytes *att_boot_log_read(GError **error) {
        if (state_double.boot_log)
                return g_bytes_ref(state_double.boot_log);
        att_error_set(error, ATT_ERROR_NO_TEE, "no boot log");
        return NULL;
}
