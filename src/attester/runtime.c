/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/runtime.h"

#include "crypto/digest.h"
#include "tee/boot-log.h"
#include "util/error.h"
#include "util/log-limit.h"

#include <string.h>

struct AttRuntime {
        const AttConfiguration *configuration;
        AttEventSource *events; /* borrowed; NULL: none */
        AttRuntimeStirred stirred;
        gpointer userdata;

        AttImaSource *ima;
        AttImaRoot *root;
        AttStateWatch *watch;
        GBytes *boot_digest; /* NULL: there is no boot log, or it is not to be spoken of */

        /* Of the last look. */
        AttImaState ima_state;
        const char *root_name;
        guint64 violations;

        AttStateReasons pending; /* found between two looks */
        guint64 ticket;          /* of what was sealed last */
        AttLogLimit lines;
};

static const AttImaReplay *replay(const AttRuntime *rt) {
        return att_ima_source_replay(rt->ima);
}

static bool is_ok(const AttRuntime *rt) {
        return att_ima_source_state(rt->ima) == ATT_IMA_OK;
}

/* ----- what counts */

static bool begins_with(const AttCursor *path, const char *prefix) {
        size_t size = strlen(prefix);

        return path->left >= size && memcmp(path->at, prefix, size) == 0;
}

static bool is_template(const AttImaRecord *record, const char *name) {
        return strlen(name) == record->template_name_size &&
               memcmp(name, record->template_name, record->template_name_size) == 0;
}

static bool is_wanted(const AttConfiguration *c, const AttImaRecord *record) {
        bool any = c->ima_templates[0] == NULL;

        for (char **name = c->ima_templates; *name; name++)
                any |= is_template(record, *name);
        for (char **prefix = c->ima_ignore_paths; *prefix; prefix++)
                any &= !begins_with(&record->path, *prefix);
        return any;
}

/* A violation says that what was measured is not what was used: which file it is does not make it less. */
static AttStateReasons reason_of(const AttConfiguration *c, const AttImaRecord *record) {
        if (record->pcr >= 32 || !(c->ima_pcrs & 1u << record->pcr))
                return 0;
        if (record->is_violation)
                return ATT_STATE_IMA_VIOLATION;
        return is_wanted(c, record) ? ATT_STATE_IMA : 0;
}

static void on_entry(const AttImaRecord *record, guint64 index, gpointer userdata) {
        AttRuntime *rt = userdata;

        (void) index;
        att_ima_root_add(rt->root, record);
        rt->pending |= reason_of(rt->configuration, record);
}

/* ----- looks */

static const char *root_name(const AttRuntime *rt) {
        return is_ok(rt) ? att_ima_root_name(rt->root) : "none";
}

static AttStateReasons compare(AttRuntime *rt) {
        AttStateReasons reasons = 0;
        AttImaState state = att_ima_source_state(rt->ima);
        guint64 violations = att_ima_source_violations(rt->ima);
        const char *root = root_name(rt);

        /* That there is no root without a log need not be said twice. */
        if (state != rt->ima_state)
                reasons |= ATT_STATE_IMA_STATE;
        else if (!g_str_equal(root, rt->root_name))
                reasons |= ATT_STATE_IMA_ROOT;
        /* Where the log cannot be read it is the counter that tells. */
        if (!is_ok(rt) && violations > rt->violations)
                reasons |= ATT_STATE_IMA_VIOLATION;

        rt->ima_state = state;
        rt->root_name = root;
        rt->violations = violations;
        return reasons;
}

static AttStateReasons look(AttRuntime *rt) {
        AttStateReasons reasons;
        int mirror;

        (void) att_ima_source_look(rt->ima, on_entry, rt);
        att_ima_root_look(rt->root, is_ok(rt) ? rt->ima : NULL);
        mirror = att_ima_root_register(rt->root);
        if (mirror >= 0)
                att_state_watch_set_mirror(rt->watch, mirror);
        reasons = rt->pending | att_state_watch_look(rt->watch) | compare(rt);
        /* That it was lost is told as the root's: what others extend it by from then on is told as the register's. */
        att_state_watch_set_mirror(rt->watch, mirror);
        rt->pending = 0;
        return reasons;
}

/* At the start, and when the log or its root is another: who can make it so must not be able to fill the journal. */
static void log_state(AttRuntime *rt) {
        const char *ima = att_runtime_ima_detail(rt), *root = att_runtime_root_detail(rt);
        const char *events = att_runtime_event_detail(rt);
        guint left_out;

        if (att_log_limit_take(&rt->lines, &left_out))
                g_message("IMA log: %s%s%s, %" G_GUINT64_FORMAT " entries; root: %s%s%s; event source: %s%s%s",
                          att_ima_state_name(rt->ima_state), *ima ? ": " : "", ima, att_runtime_ima_count(rt),
                          rt->root_name, *root ? ": " : "", root,
                          att_runtime_event_source(rt), *events ? ": " : "", events);
}

AttStateReasons att_runtime_look(AttRuntime *rt) {
        AttStateReasons reasons = look(rt);

        if (reasons & (ATT_STATE_IMA_STATE | ATT_STATE_IMA_ROOT))
                log_state(rt);
        return reasons & rt->configuration->state_changes;
}

void att_runtime_saw_report(AttRuntime *rt, const AttTeeReport *report) {
        rt->pending |= att_state_watch_saw_report(rt->watch, report->outblob, report->provider);
}

static void on_stirred(gpointer userdata) {
        AttRuntime *rt = userdata;

        rt->stirred(rt->userdata);
}

static void on_cloned(gpointer userdata) {
        AttRuntime *rt = userdata;

        rt->pending |= ATT_STATE_CLONE;
        rt->stirred(rt->userdata);
}

/* ----- the boot */

static GBytes *digest_boot_log(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) log = att_boot_log_read(&error);
        uint8_t digest[ATT_SHA256_SIZE];
        gsize size;
        const void *p;

        if (!log) {
                if (!g_error_matches(error, ATT_ERROR, ATT_ERROR_NO_TEE))
                        g_warning("evidence does not speak of the boot's event log: %s", error->message);
                return NULL;
        }

        p = g_bytes_get_data(log, &size);
        att_sha256(&(AttPart) { p, size }, 1, digest);
        return g_bytes_new(digest, sizeof digest);
}

/* ----- */

AttRuntime *att_runtime_new(const AttConfiguration *configuration, AttEventSource *events, AttRuntimeStirred stirred,
                            gpointer userdata) {
        static const AttEventHandlers handlers = { .measured = on_stirred, .cloned = on_cloned, .tick = on_stirred };
        AttRuntime *rt = g_new0(AttRuntime, 1);

        rt->configuration = configuration;
        rt->events = events;
        rt->stirred = stirred;
        rt->userdata = userdata;
        rt->root = att_ima_root_new(configuration);
        rt->ima = att_ima_source_new(att_ima_root_banks(rt->root));
        rt->watch = att_state_watch_new(-1); /* whether there is a mirror is seen by the first look */
        rt->boot_digest = configuration->boot ? digest_boot_log() : NULL;
        rt->ima_state = ATT_IMA_ABSENT;
        rt->root_name = "none";

        /* Nobody has been told of anything yet. */
        (void) look(rt);
        log_state(rt);
        if (events)
                att_event_source_start(events, configuration->ima_interval_ms, &handlers, rt);
        return rt;
}

void att_runtime_free(AttRuntime *rt) {
        if (!rt)
                return;

        if (rt->events)
                att_event_source_stop(rt->events);
        att_state_watch_free(rt->watch);
        att_ima_root_free(rt->root);
        att_ima_source_free(rt->ima);
        g_clear_pointer(&rt->boot_digest, g_bytes_unref);
        g_free(rt);
}

/* ----- C */

/* A boot_aggregate by a hash that C has no bank for is left to the log. */
static bool is_of_a_bank(size_t size) {
        for (unsigned bank = 0; bank < ATT_BANKS; bank++)
                if (att_bank_size((AttBank) bank) == size)
                        return true;
        return false;
}

static AttImaClaims *seal_ima(AttRuntime *rt, AttTpm **ret_tpm) {
        AttImaClaims *c = att_ima_root_seal(rt->root, replay(rt), ret_tpm);
        const uint8_t *boot_aggregate;
        size_t size;

        if (!c)
                return NULL;

        c->count = att_ima_replay_count(replay(rt));
        c->violations = att_ima_replay_violations(replay(rt));
        boot_aggregate = att_ima_replay_boot_aggregate(replay(rt), &size);
        c->boot_aggregate = boot_aggregate && is_of_a_bank(size) ? g_bytes_new(boot_aggregate, size) : NULL;
        return c;
}

void att_runtime_release(AttRuntime *rt) {
        att_ima_root_drop(rt->root);
}

guint64 att_runtime_seal(AttRuntime *rt, AttClaims *claims, AttTpm **ret_tpm) {
        *ret_tpm = NULL;
        if (is_ok(rt))
                claims->ima = seal_ima(rt, ret_tpm);
        else if (rt->ima_state != ATT_IMA_ABSENT && rt->configuration->ima_root != ATT_IMA_ROOT_NONE)
                claims->ima_state = g_strdup(att_ima_state_name(rt->ima_state));
        claims->boot_digest = rt->boot_digest ? g_bytes_ref(rt->boot_digest) : NULL;
        return ++rt->ticket;
}

bool att_runtime_check(AttRuntime *rt, guint64 ticket, const AttTeeReport *report) {
        return ticket == rt->ticket && att_ima_root_check(rt->root, report);
}

void att_runtime_drop(AttRuntime *rt, guint64 ticket) {
        if (ticket == rt->ticket)
                att_ima_root_drop(rt->root);
}

/* ----- for operators */

AttImaState att_runtime_ima_state(const AttRuntime *rt) {
        return rt->ima_state;
}

const char *att_runtime_ima_detail(const AttRuntime *rt) {
        return att_ima_source_detail(rt->ima);
}

const char *att_runtime_ima_listed(const AttRuntime *rt) {
        return rt->ima_state == ATT_IMA_ABSENT ? "" : att_bank_name(att_ima_source_listed(rt->ima));
}

guint64 att_runtime_ima_count(const AttRuntime *rt) {
        return att_ima_replay_count(replay(rt));
}

guint64 att_runtime_ima_violations(const AttRuntime *rt) {
        return rt->violations;
}

const AttImaRoot *att_runtime_ima_root(const AttRuntime *rt) {
        return rt->root;
}

const char *att_runtime_root(const AttRuntime *rt) {
        return rt->root_name;
}

const char *att_runtime_root_detail(const AttRuntime *rt) {
        return is_ok(rt) ? att_ima_root_detail(rt->root) : "";
}

const char *att_runtime_event_source(const AttRuntime *rt) {
        return rt->events ? att_event_source_name(rt->events) : "timer";
}

const char *att_runtime_event_detail(const AttRuntime *rt) {
        return rt->events ? att_event_source_detail(rt->events) : "";
}

AttImaReader *att_runtime_read_ima(AttRuntime *rt, guint64 first, guint64 last, GError **error) {
        return att_ima_reader_new(rt->ima, first, last, error);
}

AttMirrorReader *att_runtime_read_register(AttRuntime *rt, guint64 first, GError **error) {
        const AttMirror *mirror = att_ima_root_mirror(rt->root);

        if (!mirror) {
                att_error_set(error, ATT_ERROR_FAILED,
                              "no RTMR mirrors the IMA log: [Ima] Root=rtmr in attestd.conf(5) makes it so");
                return NULL;
        }
        return att_mirror_reader_new(mirror, rt->ima, first, error);
}
