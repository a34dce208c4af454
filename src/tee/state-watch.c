/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/state-watch.h"

#include "codec/snp-report.h"
#include "codec/tdx-quote.h"
#include "tee/tdx-device.h"
#include "util/io.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#define SELINUX_STATUS "/sys/fs/selinux/status"
#define LOCKDOWN "/sys/kernel/security/lockdown"
#define TEXT_MAX 4096u
/* The kernel holds its status page odd for some instructions. */
#define TRIES 100u

#define TCB_SVN_SIZE 16u
/* Shorter than any sleep; each reading is rounded on its own. */
#define SLEEP_LEAST_NS 1000000

struct AttStateWatch {
        int mirror;
        bool has_registers;
        uint8_t registers[ATT_TDX_RTMRS][ATT_TDX_REGISTER_SIZE];
        GBytes *tcb_svn2;        /* of TDREPORT; NULL: not seen yet */
        GBytes *report_tcb;      /* of the last report; NULL: none yet */
        char *provider;          /* which made it */
        GBytes *selinux;         /* NULL: not seen yet; empty: it could not be seen */
        GBytes *lockdown;        /* likewise */
        AttClockGap gap;
};

const char *att_state_reason_name(AttStateReasons reason) {
        switch (reason) {
        case ATT_STATE_REGISTER:
                return "register";
        case ATT_STATE_TCB:
                return "tcb";
        case ATT_STATE_RESUME:
                return "resume";
        case ATT_STATE_SELINUX:
                return "selinux";
        case ATT_STATE_LOCKDOWN:
                return "lockdown";
        case ATT_STATE_CLONE:
                return "clone";
        case ATT_STATE_IMA:
                return "ima";
        case ATT_STATE_IMA_VIOLATION:
                return "ima-violation";
        case ATT_STATE_IMA_STATE:
                return "ima-state";
        case ATT_STATE_IMA_ROOT:
                return "ima-root";
        }
        g_assert_not_reached();
}

/* Takes @now in the place of *@last. Is it another one? */
static bool replace(GBytes **last, GBytes *now) {
        bool is_other = *last && !g_bytes_equal(*last, now);

        g_clear_pointer(last, g_bytes_unref);
        *last = now;
        return is_other;
}

/* ----- the clock */

static gint64 nanoseconds(clockid_t clock) {
        struct timespec t;

        (void) clock_gettime(clock, &t);
        return (gint64) t.tv_sec * G_GINT64_CONSTANT(1000000000) + t.tv_nsec;
}

AttClockGap att_clock_gap_read(void) {
        gint64 before = nanoseconds(CLOCK_MONOTONIC), boot = nanoseconds(CLOCK_BOOTTIME);

        /* The two run alike, and the second was read at some time between the readings of the first. */
        return (AttClockGap) { .least = boot - nanoseconds(CLOCK_MONOTONIC), .most = boot - before };
}

bool att_clock_gap_has_grown(AttClockGap before, AttClockGap now) {
        return now.least > before.most + SLEEP_LEAST_NS;
}

static AttStateReasons look_at_clock(AttStateWatch *w) {
        AttClockGap now = att_clock_gap_read();

        if (att_clock_gap_has_grown(w->gap, now)) {
                w->gap = now;
                return ATT_STATE_RESUME;
        }
        /* Between two sleeps it is one and the same: the closest reading is the best. */
        if (now.most < w->gap.most)
                w->gap = now;
        return 0;
}

/* ----- files */

/* struct selinux_kernel_status, which the kernel changes between two changes of its
 * sequence: version, sequence, enforcing, number of policy loads, deny_unknown. */
enum { SEQUENCE_AT = 4, ENFORCING_AT = 8, STATUS_SIZE = 20 };

static bool is_settled(GBytes *status) {
        AttCursor c = att_cursor_bytes(status);

        return att_take(&c, SEQUENCE_AT) && (att_take_u32le(&c) & 1) == 0;
}

/* Enforcing, policy loads and deny_unknown; empty if they cannot be had. */
static GBytes *read_selinux(void) {
        g_autoptr(GBytes) last = NULL;

        for (guint i = 0; i < TRIES; i++) {
                GBytes *now = att_read_at(AT_FDCWD, SELINUX_STATUS, TEXT_MAX, NULL);

                if (!now || g_bytes_get_size(now) < STATUS_SIZE) {
                        g_clear_pointer(&now, g_bytes_unref);
                        break;
                }
                /* Read without a lock: it is what it was if twice it is the same, and not in between. */
                if (last && g_bytes_equal(last, now) && is_settled(now)) {
                        g_bytes_unref(now);
                        return g_bytes_new_from_bytes(last, ENFORCING_AT, STATUS_SIZE - ENFORCING_AT);
                }
                g_clear_pointer(&last, g_bytes_unref);
                last = now;
        }
        return g_bytes_new(NULL, 0);
}

static GBytes *read_lockdown(void) {
        GBytes *text = att_read_at(AT_FDCWD, LOCKDOWN, TEXT_MAX, NULL);

        return text ? text : g_bytes_new(NULL, 0);
}

/* What has never been seen may come: its file system may be mounted late, or never. */
static AttStateReasons compare_file(GBytes **last, GBytes *now, AttStateReasons reason) {
        if (!*last && g_bytes_get_size(now) == 0) {
                g_bytes_unref(now);
                return 0;
        }
        return replace(last, now) ? reason : 0;
}

/* ----- TDX */

AttStateReasons att_state_watch_saw_registers(AttStateWatch *w, const AttTdxReport *report) {
        AttStateReasons reasons = 0;

        for (guint i = 0; i < ATT_TDX_RTMRS; i++) {
                if (w->has_registers && (int) i != w->mirror &&
                    memcmp(w->registers[i], report->rtmr[i], ATT_TDX_REGISTER_SIZE) != 0)
                        reasons |= ATT_STATE_REGISTER;
                memcpy(w->registers[i], report->rtmr[i], ATT_TDX_REGISTER_SIZE);
        }
        w->has_registers = true;

        if (report->tee_tcb_svn2 && replace(&w->tcb_svn2, g_bytes_new(report->tee_tcb_svn2, TCB_SVN_SIZE)))
                reasons |= ATT_STATE_TCB;
        return reasons;
}

static AttStateReasons look_at_td(AttStateWatch *w) {
        AttTdxReport report;
        g_autoptr(GBytes) bytes = att_tdx_report_local(&report, NULL);

        /* No TD; or one whose device is away, which has a state of its own. */
        return bytes ? att_state_watch_saw_registers(w, &report) : 0;
}

/* ----- reports */

static void put_firmware(GByteArray *out, const AttSnpFirmware *f) {
        att_put(out, &f->build, 1);
        att_put(out, &f->minor, 1);
        att_put(out, &f->major, 1);
}

/* What of a report is to stay the same; NULL if it has nothing of it. */
static GBytes *tcb_of_report(GBytes *outblob) {
        AttSnpReport snp;
        AttTdxQuote tdx;

        if (att_tdx_quote_parse(outblob, &tdx, NULL))
                return tdx.tee_tcb_svn2 ? g_bytes_new(tdx.tee_tcb_svn2, TCB_SVN_SIZE) : NULL;

        if (att_snp_report_parse(outblob, &snp, NULL)) {
                g_autoptr(GByteArray) all = g_byte_array_new();

                att_put(all, snp.current_tcb, 8);
                att_put(all, snp.committed_tcb, 8);
                att_put(all, snp.reported_tcb, 8);
                att_put(all, snp.launch_tcb, 8);
                put_firmware(all, &snp.current_firmware);
                put_firmware(all, &snp.committed_firmware);
                if (snp.current_mit_vector)
                        att_put(all, snp.current_mit_vector, 8);
                return g_byte_array_free_to_bytes(g_steal_pointer(&all));
        }
        return NULL;
}

AttStateReasons att_state_watch_saw_report(AttStateWatch *w, GBytes *outblob, const char *provider) {
        GBytes *now = tcb_of_report(outblob);

        if (!now)
                return 0;

        if (g_strcmp0(w->provider, provider) != 0) {
                g_free(w->provider);
                w->provider = g_strdup(provider);
                g_clear_pointer(&w->report_tcb, g_bytes_unref);
        }
        return replace(&w->report_tcb, now) ? ATT_STATE_TCB : 0;
}

/* ----- all */

AttStateReasons att_state_watch_look(AttStateWatch *w) {
        return look_at_td(w) | look_at_clock(w) | compare_file(&w->selinux, read_selinux(), ATT_STATE_SELINUX) |
               compare_file(&w->lockdown, read_lockdown(), ATT_STATE_LOCKDOWN);
}

AttStateWatch *att_state_watch_new(int mirror) {
        AttStateWatch *w = g_new(AttStateWatch, 1);

        *w = (AttStateWatch) { .mirror = mirror, .gap = att_clock_gap_read() };
        (void) att_state_watch_look(w);
        return w;
}

void att_state_watch_set_mirror(AttStateWatch *w, int mirror) {
        w->mirror = mirror;
}

void att_state_watch_free(AttStateWatch *w) {
        if (!w)
                return;

        g_clear_pointer(&w->tcb_svn2, g_bytes_unref);
        g_clear_pointer(&w->report_tcb, g_bytes_unref);
        g_clear_pointer(&w->selinux, g_bytes_unref);
        g_clear_pointer(&w->lockdown, g_bytes_unref);
        g_free(w->provider);
        g_free(w);
}
