/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes wrong, when, and how often. The model asks at each point where
 * something could; this file knows the answer and nothing of the model. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* Where a fault strikes. Each counts its own occasions, for "after" and "times". */
typedef enum {
        FAULT_AT_REPORT,     /* the provider is asked for a report */
        FAULT_AT_COMMIT,     /* the last close of inblob commits it */
        FAULT_AT_GENERATION, /* a descriptor of generation is read for the first time */
        FAULT_AT_SNAPSHOT,   /* a descriptor of outblob takes its bytes */
        FAULT_AT_CALL,       /* any other operation, by its name */
} FaultPoint;

typedef enum {
        /* at report */
        FAULT_STALL,
        FAULT_EBUSY,
        FAULT_EINTR,
        FAULT_ETIMEDOUT,
        FAULT_ENOTTY,
        FAULT_EMPTY,
        FAULT_SHORT,
        FAULT_OVERSIZED,
        FAULT_TRAILING,
        FAULT_LENGTH_FIELD,
        FAULT_REPORT_DATA,
        FAULT_TOKEN_BUCKET,
        FAULT_VANISH,
        FAULT_RANDOM,
        /* at commit */
        FAULT_NO_COMMIT,
        FAULT_JUMP,
        FAULT_FOREIGN_WRITER,
        /* at the first read of generation */
        FAULT_GENERATION_TEXT,
        /* at the snapshot of outblob */
        FAULT_DRIP,
        FAULT_SHRINK,
        FAULT_LATE_JUMP,
        /* at a call */
        FAULT_ERRNO,
        FAULT_KILL,
} FaultKind;

typedef struct Fault {
        guint id;
        FaultKind kind;
        FaultPoint point;
        char *text;        /* as it was asked for */
        char *word;        /* the parameter that is a word, such as "half"; NULL without */
        gint64 number[3];  /* the parameters that are numbers */
        int error;         /* FAULT_ERRNO */
        guint64 after;     /* occasions to let pass */
        gint64 times;      /* occasions left to strike; -1 for ever */
        guint64 n_struck;
        /* FAULT_TOKEN_BUCKET: what is in it, and when that was true */
        double tokens;
        gint64 filled_us;
} Fault;

/* "for ever", for a duration */
#define FAULT_FOREVER (-1)

typedef struct Faults Faults;

Faults *faults_new(guint64 seed) G_GNUC_WARN_UNUSED_RESULT;
void faults_free(Faults *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Faults, faults_free)

/**
 * faults_add: arm the fault that @words describes
 * @words: NULL-terminated: NAME [PARAMETER…] [after N] [times K]
 * @why: on failure, a sentence to be freed
 * Returns: its id, 0 on failure
 */
guint faults_add(Faults *f, char **words, char **why) G_GNUC_WARN_UNUSED_RESULT;

/** faults_clear: disarm @id, or all with 0. Returns: was there one? */
bool faults_clear(Faults *f, guint id);

/** faults_list: append a line for each, armed or spent */
guint faults_list(const Faults *f, GString *out);

/**
 * faults_strike: the faults that strike at this occasion, in the order of their arming
 * @call: for %FAULT_AT_CALL the name of the operation, else NULL
 * Returns: (element-type Fault): borrowed faults, until the next call; may be empty
 */
GPtrArray *faults_strike(Faults *f, FaultPoint point, const char *call);

/** faults_bucket_delay_ms: take a token; how long until it is there */
gint64 faults_bucket_delay_ms(Fault *bucket, gint64 now_us);

/** faults_random: a number in [0, @end), from the seed */
guint32 faults_random(Faults *f, guint32 end);

/** faults_help: every fault, a line each */
const char *faults_help(void);

G_END_DECLS
