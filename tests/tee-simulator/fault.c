/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fault.h"

#include "witness.h"

#include <math.h>
#include <string.h>

/* A parameter is a number ('n'), a duration ('d': a number or "forever"), one of
 * the words that follow ('w'), a call ('c') or an errno ('e'). In upper case it
 * may be left out. */
typedef struct FaultRow {
        const char *name;
        FaultKind kind;
        FaultPoint point;
        const char *parameters;
        const char *words; /* between bars */
        const char *help;
} FaultRow;

static const FaultRow rows[] = {
        { "stall", FAULT_STALL, FAULT_AT_REPORT, "d", NULL,
          "stall MS|forever                 the report takes that much longer; the lock is held" },
        { "ebusy", FAULT_EBUSY, FAULT_AT_REPORT, "", NULL,
          "ebusy                            the read gives EBUSY" },
        { "eintr", FAULT_EINTR, FAULT_AT_REPORT, "N", NULL,
          "eintr [BUSY]                     the read gives EINTR, the next BUSY (1) reports EBUSY" },
        { "etimedout", FAULT_ETIMEDOUT, FAULT_AT_REPORT, "NN", NULL,
          "etimedout [MS [BUSY]]            ETIMEDOUT after MS (0), the next BUSY (0) reports EBUSY" },
        { "enotty", FAULT_ENOTTY, FAULT_AT_REPORT, "", NULL,
          "enotty                           ENOTTY: the key of the guest was wiped; on SNP it is so by\n"
          "                                 itself after ETIMEDOUT and EIO" },
        { "empty", FAULT_EMPTY, FAULT_AT_REPORT, "", NULL,
          "empty                            an outblob of 0 bytes, with success" },
        { "short", FAULT_SHORT, FAULT_AT_REPORT, "n", NULL,
          "short N                          cut to N bytes; a negative N: by that many" },
        { "oversized", FAULT_OVERSIZED, FAULT_AT_REPORT, "n", NULL,
          "oversized N                      filled with zeros to N bytes" },
        { "trailing", FAULT_TRAILING, FAULT_AT_REPORT, "nw", "|zero|nonzero|",
          "trailing N zero|nonzero          N bytes more" },
        { "length-field", FAULT_LENGTH_FIELD, FAULT_AT_REPORT, "n", NULL,
          "length-field N                   the quote's signature size says N more than follows" },
        { "reportdata", FAULT_REPORT_DATA, FAULT_AT_REPORT, "w", "|zero|bit|half|previous|other|allzero|othertee|",
          "reportdata zero|bit|half|previous|other|allzero|othertee\n"
          "                                 a rightly signed quote over other REPORTDATA; allzero: a\n"
          "                                 quote of zeros only; othertee: that of the other kind of TEE" },
        { "token-bucket", FAULT_TOKEN_BUCKET, FAULT_AT_REPORT, "nnN", NULL,
          "token-bucket N PER_MS [STEP_MS]  N reports at once, then N in PER_MS; waits in whole steps" },
        { "vanish", FAULT_VANISH, FAULT_AT_REPORT, "W", "|return|",
          "vanish [return]                  the provider goes: ENXIO; comes back when no entry is left" },
        { "random", FAULT_RANDOM, FAULT_AT_REPORT, "n", NULL,
          "random PERCENT                   one of them, by the seed" },
        { "behind", FAULT_NO_COMMIT, FAULT_AT_COMMIT, "", NULL,
          "behind                           inblob is not committed; generation stays behind" },
        { "generation", FAULT_GENERATION_TEXT, FAULT_AT_GENERATION, "w",
          "|zero|garbage|max|empty|jump|late-jump|behind|",
          "generation jump|late-jump|behind|zero|garbage|max|empty\n"
          "                                 jump: the commit counts twice; late-jump: once more when\n"
          "                                 outblob has been read; behind: the commit is lost;\n"
          "                                 the others: what reading generation gives" },
        { "foreign-writer", FAULT_FOREIGN_WRITER, FAULT_AT_COMMIT, "w", "|rewrite|remove|recreate|chmod|",
          "foreign-writer rewrite|remove|recreate|chmod\n"
          "                                 strikes between the close and the next read" },
        { "drip", FAULT_DRIP, FAULT_AT_SNAPSHOT, "N", NULL,
          "drip [MS]                        one byte a read, MS (0) before each" },
        { "shrink", FAULT_SHRINK, FAULT_AT_SNAPSHOT, "n", NULL,
          "shrink N                         each new descriptor sees N bytes fewer than the one before" },
        { "errno", FAULT_ERRNO, FAULT_AT_CALL, "ce", NULL,
          "errno CALL NAME                  the call fails; CALL is mkdir, rmdir, open:ATTRIBUTE,\n"
          "                                 read:ATTRIBUTE, write:ATTRIBUTE, close:ATTRIBUTE (kill only),\n"
          "                                 chmod, lookup or readdir; NAME is such as EIO" },
        { "kill", FAULT_KILL, FAULT_AT_CALL, "c", NULL,
          "kill CALL                        the caller is killed in the call, which goes on; with errno\n"
          "                                 too: before it had an effect" },
};

static const char *const calls[] = { "mkdir", "rmdir", "chmod", "lookup", "readdir", NULL };
static const char *const attribute_calls[] = { "open", "read", "write", "close", NULL };
static const char *const attributes[] = {
        "inblob", "outblob", "auxblob", "manifestblob", "generation", "provider", "privlevel", "privlevel_floor",
        "service_provider", "service_guid", "service_manifest_version", NULL,
};

struct Faults {
        GPtrArray *all; /* owned, in the order of their arming */
        GPtrArray *struck;
        GRand *random;
        guint next_id;
};

static void fault_free(Fault *f) {
        g_free(f->text);
        g_free(f->word);
        g_free(f);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fault, fault_free)

Faults *faults_new(guint64 seed) {
        Faults *f = g_new0(Faults, 1);
        guint32 words[] = { (guint32) seed, (guint32) (seed >> 32) };

        f->all = g_ptr_array_new_with_free_func((GDestroyNotify) fault_free);
        f->struck = g_ptr_array_new();
        f->random = g_rand_new_with_seed_array(words, G_N_ELEMENTS(words));
        return f;
}

void faults_free(Faults *f) {
        if (!f)
                return;

        g_ptr_array_unref(f->struck);
        g_ptr_array_unref(f->all);
        g_rand_free(f->random);
        g_free(f);
}

guint32 faults_random(Faults *f, guint32 end) {
        return (guint32) (((guint64) g_rand_int(f->random) * end) >> 32);
}

static bool parse_number(const char *word, gint64 *ret) {
        return word && g_ascii_string_to_signed(word, 10, G_MININT32, G_MAXINT32, ret, NULL);
}

static bool is_call(const char *word) {
        g_auto(GStrv) parts = g_strsplit(word, ":", 2);

        if (!parts[0] || !parts[1])
                return g_strv_contains(calls, word);
        return g_strv_contains(attribute_calls, parts[0]) && g_strv_contains(attributes, parts[1]);
}

static bool is_word_of(const char *word, const char *words) {
        g_autofree char *barred = g_strdup_printf("|%s|", word);

        return strstr(words, barred) != NULL;
}

static bool parse_parameter(Fault *fault, const FaultRow *row, char type, const char *word, guint *n_numbers) {
        gint64 *number = &fault->number[*n_numbers];

        switch (g_ascii_tolower(type)) {
        case 'n':
                if (!parse_number(word, number))
                        return false;
                (*n_numbers)++;
                return true;
        case 'd':
                if (g_strcmp0(word, "forever") == 0)
                        *number = FAULT_FOREVER;
                else if (!parse_number(word, number) || *number < 0)
                        return false;
                (*n_numbers)++;
                return true;
        case 'c':
                if (!is_call(word))
                        return false;
                fault->word = g_strdup(word);
                return true;
        case 'e':
                fault->error = errno_by_name(word);
                return fault->error > 0;
        default:
                if (!is_word_of(word, row->words))
                        return false;
                fault->word = g_strdup(word);
                return true;
        }
}

/* Some words of "generation" strike elsewhere than when it is read. */
static void place_generation(Fault *fault) {
        if (g_str_equal(fault->word, "jump")) {
                fault->kind = FAULT_JUMP;
                fault->point = FAULT_AT_COMMIT;
        } else if (g_str_equal(fault->word, "behind")) {
                fault->kind = FAULT_NO_COMMIT;
                fault->point = FAULT_AT_COMMIT;
        } else if (g_str_equal(fault->word, "late-jump")) {
                fault->kind = FAULT_LATE_JUMP;
                fault->point = FAULT_AT_SNAPSHOT;
        }
}

static bool is_keyword(const char *word) {
        return g_strcmp0(word, "after") == 0 || g_strcmp0(word, "times") == 0;
}

guint faults_add(Faults *f, char **words, char **why) {
        g_autoptr(Fault) fault = g_new0(Fault, 1);
        const FaultRow *row = NULL;
        guint i = 1, n_numbers = 0;

        for (guint k = 0; words[0] && k < G_N_ELEMENTS(rows); k++)
                if (g_str_equal(words[0], rows[k].name))
                        row = &rows[k];
        if (!row) {
                *why = g_strdup_printf("no fault is called '%s'", words[0] ? words[0] : "");
                return 0;
        }

        *fault = (Fault) { .kind = row->kind, .point = row->point, .times = -1, .text = g_strjoinv(" ", words) };
        if (fault->kind == FAULT_EINTR)
                fault->number[0] = 1;

        for (const char *type = row->parameters; *type; type++) {
                if ((!words[i] || is_keyword(words[i])) && g_ascii_isupper(*type))
                        continue;
                if (!words[i] || !parse_parameter(fault, row, *type, words[i], &n_numbers)) {
                        *why = g_strdup_printf("%s: bad parameter '%s'", row->name, words[i] ? words[i] : "");
                        return 0;
                }
                i++;
        }

        for (; words[i]; i += 2) {
                gint64 n;

                if (!is_keyword(words[i]) || !parse_number(words[i + 1], &n) || n < 0) {
                        *why = g_strdup_printf("%s: '%s' is not 'after N' or 'times K'", row->name, words[i]);
                        return 0;
                }
                if (g_str_equal(words[i], "after"))
                        fault->after = (guint64) n;
                else
                        fault->times = n;
        }

        if (fault->kind == FAULT_TOKEN_BUCKET && (fault->number[0] < 1 || fault->number[1] < 1)) {
                *why = g_strdup("token-bucket: at least one report in at least a millisecond");
                return 0;
        }
        if (fault->kind == FAULT_GENERATION_TEXT)
                place_generation(fault);
        fault->tokens = (double) fault->number[0];
        fault->filled_us = g_get_monotonic_time();
        fault->id = ++f->next_id;
        g_ptr_array_add(f->all, g_steal_pointer(&fault));
        return f->next_id;
}

bool faults_clear(Faults *f, guint id) {
        if (id == 0) {
                g_ptr_array_set_size(f->all, 0);
                return true;
        }

        for (guint i = 0; i < f->all->len; i++)
                if (((Fault *) f->all->pdata[i])->id == id) {
                        g_ptr_array_remove_index(f->all, i);
                        return true;
                }
        return false;
}

guint faults_list(const Faults *f, GString *out) {
        for (guint i = 0; i < f->all->len; i++) {
                const Fault *fault = f->all->pdata[i];

                g_string_append_printf(out, "%u struck=%" G_GUINT64_FORMAT " passes=%" G_GUINT64_FORMAT " %s\n",
                                       fault->id, fault->n_struck, fault->after, fault->text);
        }
        return f->all->len;
}

GPtrArray *faults_strike(Faults *f, FaultPoint point, const char *call) {
        g_ptr_array_set_size(f->struck, 0);

        for (guint i = 0; i < f->all->len; i++) {
                Fault *fault = f->all->pdata[i];

                if (fault->point != point || (call && !g_str_equal(call, fault->word)))
                        continue;
                if (fault->after > 0) {
                        fault->after--;
                        continue;
                }
                if (fault->times == 0)
                        continue;
                if (fault->times > 0)
                        fault->times--;
                if (fault->kind == FAULT_RANDOM && faults_random(f, 100) >= (guint32) fault->number[0])
                        continue;

                fault->n_struck++;
                g_ptr_array_add(f->struck, fault);
        }
        return f->struck;
}

gint64 faults_bucket_delay_ms(Fault *bucket, gint64 now_us) {
        double size = (double) bucket->number[0];
        double per_us = size / ((double) bucket->number[1] * 1000.0);
        gint64 step_ms = bucket->number[2];
        gint64 delay_ms;

        bucket->tokens = MIN(size, bucket->tokens + (double) (now_us - bucket->filled_us) * per_us);
        bucket->filled_us = now_us;
        bucket->tokens -= 1.0;
        if (bucket->tokens >= 0.0)
                return 0;

        delay_ms = (gint64) ceil(-bucket->tokens / per_us / 1000.0);
        return step_ms > 0 ? (delay_ms + step_ms - 1) / step_ms * step_ms : delay_ms;
}

const char *faults_help(void) {
        static GString *text;

        if (!text) {
                text = g_string_new(NULL);
                for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
                        g_string_append_printf(text, "  %s\n", rows[i].help);
        }
        return text->str;
}
