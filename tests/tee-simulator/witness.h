/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The witness: who called what on the simulated device, in the order in which it
 * happened. It is what a test asks how many reports were made, and over what. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

G_BEGIN_DECLS

typedef struct Witness Witness;

/* The caller, as the kernel names it; tid 0 is the simulator itself. */
typedef struct WitnessCaller {
        pid_t tid;
        uid_t uid;
} WitnessCaller;

Witness *witness_new(void) G_GNUC_WARN_UNUSED_RESULT;
void witness_free(Witness *w);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Witness, witness_free)

/**
 * witness_note: one line
 * @what: the operation, such as "mkdir" or "write"
 * @where: entry, or entry/attribute; "-" if it has none
 * @error: positive errno, 0 for success
 * @detail: (nullable): more words, "key=value"
 */
void witness_note(Witness *w, WitnessCaller caller, const char *what, const char *where, int error,
                  const char *detail, ...) G_GNUC_PRINTF(6, 7);

/** witness_count: lines so far, the forgotten ones included */
guint64 witness_count(const Witness *w);

/** witness_dump: append the lines from number @first on, each ended by a newline. Returns: how many */
guint64 witness_dump(const Witness *w, guint64 first, GString *out);

/** witness_forget: drop all lines; their numbers are not used again */
void witness_forget(Witness *w);

/** witness_keep: no more than the last @n lines, from now on; with 0 nothing is written down. At first: all */
void witness_keep(Witness *w, guint n);

/** witness_keeps: is anything written down? */
bool witness_keeps(const Witness *w);

/** errno_name: "EBUSY", "ok" for 0 */
const char *errno_name(int error);

/** errno_by_name: 0 if @name is none */
int errno_by_name(const char *name);

G_END_DECLS
