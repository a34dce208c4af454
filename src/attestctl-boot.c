/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestctl boot: what a firmware's event log says, and what registers have if it is true. */
#include "attestctl.h"

#include "codec/event-text.h"
#include "crypto/event-replay.h"
#include "util/error.h"

#include <stdio.h>
#include <string.h>

#define BANK_WORDS "sha1, sha256, sha384, sha512"

static json_t *algorithms_to_json(const AttEventLog *log) {
        json_t *all = json_array();

        for (unsigned i = 0; i < log->n_algorithms; i++) {
                const char *name = att_event_algorithm_name(log->algorithms[i].id);
                g_autofree char *number = g_strdup_printf("0x%04x", log->algorithms[i].id);

                json_array_append_new(all, json_string(name ? name : number));
        }
        return all;
}

static json_t *event_to_json(const AttEvent *event, unsigned banks) {
        const char *name = att_event_type_name(event->type);
        g_autofree char *number = g_strdup_printf("0x%08x", event->type);
        g_autofree char *text = att_event_dup_text(event);
        json_t *digests = json_object();
        json_t *object = json_pack("{s:i, s:I, s:I, s:s, s:b, s:s, s:I}", "number", (int) event->number, "offset",
                                   (json_int_t) event->offset, "register", (json_int_t) event->reg, "type",
                                   name ? name : number, "late", (int) event->is_late, "digest_of",
                                   att_event_digest_name(att_event_digest(event, NULL)), "size",
                                   (json_int_t) event->data.left);

        if (text)
                json_object_set_new(object, "text", json_string(text));
        for (unsigned b = 0; b < ATT_BANKS; b++) {
                AttBank bank = (AttBank) b;

                if (event->type != ATT_EVENT_NO_ACTION && event->digests[bank] && banks & ATT_BANK_SET(bank)) {
                        g_autofree char *hex = ctl_hex(event->digests[bank], att_bank_size(bank));

                        json_object_set_new(digests, att_bank_name(bank), json_string(hex));
                }
        }
        json_object_set_new(object, "digests", digests);
        return object;
}

/* Those that were extended. */
static json_t *registers_to_json(const AttEventReplay *replay) {
        json_t *all = json_object();

        for (uint32_t reg = 0; reg < ATT_EVENT_REGISTERS; reg++) {
                g_autofree char *name = g_strdup_printf("%u", reg);
                json_t *banks = json_object();

                for (unsigned b = 0; b < ATT_BANKS; b++) {
                        AttBank bank = (AttBank) b;

                        if (att_event_replay_extensions(replay, reg, bank) > 0) {
                                g_autofree char *hex = ctl_hex(att_event_replay_register(replay, reg, bank),
                                                               att_bank_size(bank));

                                json_object_set_new(banks, att_bank_name(bank), json_string(hex));
                        }
                }
                if (json_object_size(banks) > 0)
                        json_object_set(all, name, banks);
                json_decref(banks);
        }
        return all;
}

json_t *ctl_event_log_to_json(GBytes *bytes, unsigned banks, bool with_events, GError **error) {
        g_autoptr(AttEventReplay) replay = att_event_replay_new(banks);
        json_t *events = json_array(), *untrue = json_array(), *object;
        AttEventStep step = ATT_EVENT_BAD;
        AttEventTail tail;
        AttEventLog log;
        AttEvent event;
        size_t used;

        if (!att_event_log_open(&log, att_cursor_bytes(bytes), error))
                goto bad;
        while ((step = att_event_log_next(&log, &event, error)) == ATT_EVENT_READ) {
                if (!att_event_replay_add(replay, &event, error))
                        goto bad;
                if (att_event_digest(&event, NULL) == ATT_EVENT_DIGEST_FALSE)
                        json_array_append_new(untrue, json_integer((json_int_t) event.number));
                if (with_events)
                        json_array_append_new(events, event_to_json(&event, banks));
        }
        if (step == ATT_EVENT_BAD)
                goto bad;

        used = att_event_log_end(&log, &tail);
        object = json_pack("{s:s, s:s, s:o, s:I, s:I, s:s, s:i, s:o, s:o}", "kind", "event-log", "form",
                           log.is_agile ? "crypto-agile" : "sha1", "algorithms", algorithms_to_json(&log), "size",
                           (json_int_t) g_bytes_get_size(bytes), "used", (json_int_t) used, "behind",
                           att_event_tail_name(tail), "count", (int) log.n_events, "untrue", untrue, "registers",
                           registers_to_json(replay));
        if (with_events)
                json_object_set(object, "events", events);
        json_decref(events);
        return object;

bad:
        json_decref(untrue);
        json_decref(events);
        return NULL;
}

/* A line each; what only a machine wants is left out. */
static void print_events(const json_t *events) {
        for (size_t i = 0; i < json_array_size(events); i++) {
                json_t *event = json_array_get(events, i), *digest;
                const char *bank, *text = json_string_value(json_object_get(event, "text"));

                (void) printf("%5" JSON_INTEGER_FORMAT "  %2" JSON_INTEGER_FORMAT "  %-33s%c ",
                              json_integer_value(json_object_get(event, "number")),
                              json_integer_value(json_object_get(event, "register")),
                              json_string_value(json_object_get(event, "type")),
                              json_is_true(json_object_get(event, "late")) ? '+' : ' ');
                (void) printf("%-5s  ", json_string_value(json_object_get(event, "digest_of")));
                if (text)
                        ctl_print(text);
                (void) putchar('\n');
                json_object_foreach(json_object_get(event, "digests"), bank, digest)
                        (void) printf("%11s%s:%s\n", "", bank, json_string_value(digest));
        }
}

/* What a verifier would refuse the log for, printed apart from what it says. */
static int judge(const char *path, const json_t *object) {
        const json_t *untrue = json_object_get(object, "untrue"), *behind = json_object_get(object, "behind");

        if (json_array_size(untrue) > 0)
                return ctl_fail(CTL_NO, "%s: event %" JSON_INTEGER_FORMAT
                                ": its digest is not that of its data, as its type has it", path,
                                json_integer_value(json_array_get(untrue, 0)));
        if (strcmp(json_string_value(behind), att_event_tail_name(ATT_EVENT_TAIL_OTHER)) == 0)
                return ctl_fail(CTL_NO, "%s: what follows at offset %" JSON_INTEGER_FORMAT
                                " is neither an event nor an unused area", path,
                                json_integer_value(json_object_get(object, "used")));
        return CTL_YES;
}

static int replay(int argc, char **argv) {
        gboolean as_json = FALSE, with_events = FALSE;
        g_autofree char *bank_name = NULL;
        const GOptionEntry options[] = {
                { "bank", 0, 0, G_OPTION_ARG_STRING, &bank_name, "Only this: " BANK_WORDS, "BANK" },
                { "events", 0, 0, G_OPTION_ARG_NONE, &with_events, "Print each event", NULL },
                { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print one JSON object", NULL },
                { NULL },
        };
        unsigned banks = ATT_BANK_SET_ALL;
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) bytes = NULL;
        char **operands;
        json_t *object;
        AttBank bank;
        int status;

        operands = ctl_parse(argc, argv, options, "FILE", 1,
                             "Replays the event log of a boot in FILE (\"-\": stdin), a TD's CCEL or a TPM's\n"
                             "binary_bios_measurements, to what the registers have if it is true. In a TD's log\n"
                             "registers 1 to 4 are RTMR 0 to 3; in a TPM's they are PCRs.");
        if (!operands)
                return CTL_USAGE;
        if (bank_name) {
                if (!att_bank_from_name(bank_name, &bank))
                        return ctl_fail(CTL_USAGE, "no such bank: %s; there are " BANK_WORDS, bank_name);
                banks = ATT_BANK_SET(bank);
        }
        bytes = ctl_read_up_to(operands[0], ATT_EVENT_LOG_MAX, &error);
        if (!bytes)
                return ctl_fail(CTL_USAGE, "%s", error->message);

        object = ctl_event_log_to_json(bytes, banks, with_events, &error);
        if (!object)
                return ctl_fail(CTL_USAGE, "%s: %s", operands[0], error->message);
        if (as_json) {
                ctl_print_json(object);
        } else {
                json_t *events = json_incref(json_object_get(object, "events"));

                json_object_del(object, "events");
                ctl_print_tree(object, 0);
                print_events(events);
                json_decref(events);
        }
        status = judge(operands[0], object);
        json_decref(object);
        return status;
}

int ctl_boot(int argc, char **argv) {
        static char name[] = "boot replay"; /* for its help */

        if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
                argv[0] = name;
                return replay(argc, argv);
        }
        if (argc < 2 || strcmp(argv[1], "replay") != 0)
                return ctl_fail(CTL_USAGE, "%s: see attestctl boot --help", argc < 2 ? "boot is to do what?" :
                                "boot can only replay");
        argv[1] = name;
        return replay(argc - 1, argv + 1);
}
