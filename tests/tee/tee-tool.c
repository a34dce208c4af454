/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tee layer on a line: commands on standard input, what happens on standard
 * output. For tests; not installed.
 *
 *   report HEX   answered, when it is there, by "report HEX ok PROVIDER SHARED US OUTBLOB
 *                AUXBLOB" or "report HEX error CODE PAUSE_US SENTENCE"; CODE is a number of AttError
 *   tpm BANK HANDLE   opens the TPM: "tpm ok AK-NAME" or "tpm error CODE SENTENCE". From here on
 *                each report is followed by "quote ok HEX", or "quote error CODE SENTENCE"
 *   quote HEX    one without a report, answered alike
 *   bank         "bank NAME", or "bank -"
 *   state        "state STATE TEE PROVIDER SHARED INTERVAL_US PAUSE_US DETAIL"
 *   pace         "pace COUNT PERIOD_US WAIT_US": what the host lends, and what one report has to expect
 *   many N       one after another, whatever comes of them: "many GOOD"
 *   ping         "pong": the main loop lives
 *   stop MS      att_tee_stop_and_free() with that patience, "stopped US", and the end
 *
 * "-" stands for an empty word. Unasked: "changed …", with the words of "state". */
#include "tee/tee.h"
#include "tee/thread.h"

#include <stdio.h>
#include <string.h>

typedef struct Tool {
        GMainLoop *loop;
        AttTee *tee;
        AttTpm *tpm;
        GIOChannel *in;
        guint64 n_left, n_good; /* of many */
} Tool;

static const char *word(const char *text) {
        return text[0] ? text : "-";
}

static gint64 pause_us(const AttTee *tee) {
        return MAX(att_tee_not_before_us(tee) - g_get_monotonic_time(), 0);
}

static void print_state(const char *as, const AttTee *tee) {
        printf("%s %s %s %s %d %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %s\n", as,
               att_tee_state_name(att_tee_state(tee)), word(att_tee_name(tee)), word(att_tee_provider(tee)),
               att_tee_is_shared(tee), att_tee_interval_us(tee), pause_us(tee), word(att_tee_detail(tee)));
}

static void on_changed(AttTee *tee, gpointer userdata) {
        (void) userdata;
        print_state("changed", tee);
}

static void print_hex(GBytes *bytes) {
        gsize size;
        const guint8 *p = g_bytes_get_data(bytes, &size);

        for (gsize i = 0; i < size; i++)
                printf("%02x", p[i]);
}

typedef struct Request {
        Tool *tool;
        char *hex;
} Request;

static void print_quote(GBytes *quote, const GError *error) {
        if (quote) {
                printf("quote ok ");
                print_hex(quote);
                printf("\n");
        } else {
                printf("quote error %d %s\n", error->code, error->message);
        }
}

static void on_report(GObject *source, GAsyncResult *result, gpointer userdata) {
        Request *r = userdata;
        g_autoptr(GError) error = NULL;
        g_autoptr(AttTeeReport) report = att_tee_report_finish(r->tool->tee, result, &error);

        (void) source;
        g_assert((report != NULL) != (error != NULL));
        g_assert(!att_tee_is_busy(r->tool->tee));
        if (report) {
                printf("report %s ok %s %d %" G_GINT64_FORMAT " ", r->hex, report->provider, report->shared_device,
                       report->duration_us);
                print_hex(report->outblob);
                printf(" ");
                if (report->auxblob)
                        print_hex(report->auxblob);
                printf(report->auxblob ? "\n" : "-\n");
                g_assert(!report->tpm || !report->tpm_fault);
                if (report->tpm || report->tpm_fault)
                        print_quote(report->tpm, report->tpm_fault);
        } else {
                printf("report %s error %d %" G_GINT64_FORMAT " %s\n", r->hex, error->code, pause_us(r->tool->tee),
                       error->message);
        }
        g_free(r->hex);
        g_free(r);
}

static bool read_hex(const char *hex, guint8 ret[ATT_REPORT_DATA_SIZE]) {
        if (strlen(hex) != 2 * ATT_REPORT_DATA_SIZE || strspn(hex, "0123456789abcdef") != 2 * ATT_REPORT_DATA_SIZE) {
                printf("what?\n");
                return false;
        }

        for (gsize i = 0; i < ATT_REPORT_DATA_SIZE; i++)
                ret[i] = (guint8) (g_ascii_xdigit_value(hex[2 * i]) << 4 | g_ascii_xdigit_value(hex[2 * i + 1]));
        return true;
}

static void ask_many(Tool *tool);

static void on_one_of_many(GObject *source, GAsyncResult *result, gpointer userdata) {
        Tool *tool = userdata;
        g_autoptr(GError) error = NULL;
        g_autoptr(AttTeeReport) report = att_tee_report_finish(tool->tee, result, &error);

        (void) source;
        tool->n_good += report != NULL;
        ask_many(tool);
}

static void ask_many(Tool *tool) {
        guint8 report_data[ATT_REPORT_DATA_SIZE] = { 0 };

        if (tool->n_left == 0) {
                printf("many %" G_GUINT64_FORMAT "\n", tool->n_good);
                return;
        }
        memcpy(report_data, &tool->n_left, sizeof tool->n_left);
        tool->n_left--;
        att_tee_report_async(tool->tee, report_data, tool->tpm, on_one_of_many, tool);
}

static void begin_many(Tool *tool, const char *number) {
        if (att_tee_is_busy(tool->tee)) {
                printf("busy\n");
                return;
        }
        tool->n_left = g_ascii_strtoull(number, NULL, 10);
        tool->n_good = 0;
        ask_many(tool);
}

static void print_pace(const AttTee *tee) {
        printf("pace %u %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT "\n", att_tee_throttle_count(tee),
               att_tee_throttle_period_us(tee), att_tee_expected_wait_us(tee, 1));
}

static void open_tpm(Tool *tool, const char *arguments) {
        g_auto(GStrv) words = g_strsplit(arguments, " ", 2);
        g_autoptr(GError) error = NULL;
        AttBank bank;

        if (!words[0] || !words[1] || !att_bank_from_name(words[0], &bank)) {
                printf("what?\n");
                return;
        }
        g_clear_pointer(&tool->tpm, att_tpm_unref);
        tool->tpm = att_tpm_open((guint32) g_ascii_strtoull(words[1], NULL, 0), bank, &error);
        if (!tool->tpm) {
                printf("tpm error %d %s\n", error->code, error->message);
                return;
        }
        printf("tpm ok ");
        print_hex(att_tpm_ak_name(tool->tpm));
        printf("\n");
}

static void quote(Tool *tool, const char *hex) {
        guint8 r[ATT_REPORT_DATA_SIZE];
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) payload = NULL;

        if (!tool->tpm || !read_hex(hex, r))
                return;
        payload = att_tpm_quote(tool->tpm, r, &error);
        print_quote(payload, error);
}

static void ask(Tool *tool, const char *hex) {
        guint8 report_data[ATT_REPORT_DATA_SIZE];
        Request *r;

        if (!read_hex(hex, report_data))
                return;
        if (att_tee_is_busy(tool->tee)) {
                printf("busy\n");
                return;
        }

        r = g_new(Request, 1);
        *r = (Request) { .tool = tool, .hex = g_strdup(hex) };
        att_tee_report_async(tool->tee, report_data, tool->tpm, on_report, r);
}

static void stop(Tool *tool, guint patience_ms) {
        gint64 start = g_get_monotonic_time();

        att_tee_stop_and_free(g_steal_pointer(&tool->tee), patience_ms);
        printf("stopped %" G_GINT64_FORMAT "\n", g_get_monotonic_time() - start);
        g_main_loop_quit(tool->loop);
}

static void print_bank(void) {
        AttBank bank;

        printf("bank %s\n", att_tpm_find_bank(&bank, NULL) ? att_bank_name(bank) : "-");
}

static gboolean on_line(GIOChannel *in, GIOCondition condition, gpointer userdata) {
        Tool *tool = userdata;
        g_autofree char *line = NULL;

        (void) condition;
        if (g_io_channel_read_line(in, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) {
                stop(tool, 0);
                return G_SOURCE_REMOVE;
        }

        g_strchomp(line);
        if (g_str_has_prefix(line, "report "))
                ask(tool, line + strlen("report "));
        else if (strcmp(line, "state") == 0)
                print_state("state", tool->tee);
        else if (g_str_has_prefix(line, "tpm "))
                open_tpm(tool, line + strlen("tpm "));
        else if (g_str_has_prefix(line, "quote "))
                quote(tool, line + strlen("quote "));
        else if (strcmp(line, "bank") == 0)
                print_bank();
        else if (strcmp(line, "pace") == 0)
                print_pace(tool->tee);
        else if (g_str_has_prefix(line, "many "))
                begin_many(tool, line + strlen("many "));
        else if (strcmp(line, "ping") == 0)
                printf("pong\n");
        else if (g_str_has_prefix(line, "stop "))
                stop(tool, (guint) g_ascii_strtoull(line + strlen("stop "), NULL, 10));
        else
                printf("what?\n");
        return tool->tee ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

int main(void) {
        Tool tool = { .loop = g_main_loop_new(NULL, FALSE), .in = g_io_channel_unix_new(0) };

        att_tpm_init();
        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        g_io_channel_set_encoding(tool.in, NULL, NULL);
        tool.tee = att_tee_new(on_changed, NULL);
        print_state("state", tool.tee);
        g_io_add_watch(tool.in, G_IO_IN | G_IO_HUP, on_line, &tool);
        g_main_loop_run(tool.loop);

        att_tpm_unref(tool.tpm);
        g_io_channel_unref(tool.in);
        g_main_loop_unref(tool.loop);
        att_thread_exit(0);
}
