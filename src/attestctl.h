/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of attestctl share. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* What attestctl exits with. */
enum {
        CTL_YES = 0,   /* accepted; shown; there */
        CTL_NO = 1,    /* refused; no service, or no TEE */
        CTL_USAGE = 2, /* a wrong call, or a file that cannot be read */
};

#define CTL_INPUT_MAX (1024u * 1024u)

/* A verb gets its own argv, the verb being argv[0]; it prints, and says what to exit with. */
int ctl_status(int argc, char **argv);
int ctl_watch(int argc, char **argv);
int ctl_evidence(int argc, char **argv);
int ctl_show(int argc, char **argv);
int ctl_verify(int argc, char **argv);
int ctl_boot(int argc, char **argv);
int ctl_ima(int argc, char **argv);
int ctl_log(int argc, char **argv);

#define CTL_ONE_OR_NONE (-1)

/**
 * ctl_parse: options of a verb
 * @operands:   what follows the options in the help, such as "FILE"; "" for none
 * @n_operands: how many there must be, or %CTL_ONE_OR_NONE
 * @summary:    a sentence for the help
 *
 * --help prints and exits. Returns: the operands, of which the last is followed by NULL,
 * or NULL after a message
 */
char **ctl_parse(int argc, char **argv, const GOptionEntry *options, const char *operands, int n_operands,
                 const char *summary) G_GNUC_WARN_UNUSED_RESULT;

/** ctl_fail: "attestctl: …" to stderr. Returns: @status */
int ctl_fail(int status, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** ctl_read: all of @path, "-" being stdin, of at most %CTL_INPUT_MAX bytes */
GBytes *ctl_read(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** ctl_read_up_to: likewise, of at most @max bytes */
GBytes *ctl_read_up_to(const char *path, gsize max, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** ctl_unhex: exactly hexadecimal digits, an even number; NULL if not */
GBytes *ctl_unhex(const char *text) G_GNUC_WARN_UNUSED_RESULT;
/** ctl_hex: lower case. Returns: (transfer full) */
char *ctl_hex(const void *data, size_t size) G_GNUC_WARN_UNUSED_RESULT;

/** ctl_print: @text to stdout as it is, but control characters escaped: it may come from a file that we do not trust */
void ctl_print(const char *text);
/** ctl_print_json: @value to stdout, with a newline at its end */
void ctl_print_json(const json_t *value);
/** ctl_print_tree: @value, an object, as "key  value" lines, indented by @depth */
void ctl_print_tree(const json_t *value, int depth);
/** ctl_print_object: @object (owned) as the one or as the other */
void ctl_print_object(json_t *object, bool as_json);

/**
 * ctl_event_log_to_json: an event log of firmware, replayed
 * @banks:       set of %ATT_BANK_SET whose registers and digests are told
 * @with_events: also a list of all events
 * @error:       no log, or an event in it is bad
 */
json_t *ctl_event_log_to_json(GBytes *bytes, unsigned banks, bool with_events, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** ctl_flush: has stdout taken all of it? Returns: @status, or %CTL_USAGE after a message */
int ctl_flush(int status) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
