/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tsm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

const char *const tsm_attribute_names[TSM_N_ATTRIBUTES] = { "inblob", "outblob", "generation", "provider" };

static const TsmOwner directory_owner = { .mode = 0755 };
static const TsmOwner attribute_owners[TSM_N_ATTRIBUTES] = {
        [TSM_INBLOB] = { .mode = 0200 },
        [TSM_OUTBLOB] = { .mode = 0444 },
        [TSM_GENERATION] = { .mode = 0444 },
        [TSM_PROVIDER] = { .mode = 0444 },
};

static const char *const open_calls[] = { "open:inblob", "open:outblob", "open:generation", "open:provider" };
static const char *const close_calls[] = { "close:inblob", "close:outblob", "close:generation", "close:provider" };
static const char *const read_calls[] = { "read:inblob", "read:outblob", "read:generation", "read:provider" };

static const WitnessCaller self = { 0 };

/* What the provider is going to do for one report. */
typedef struct Plan {
        int error;
        gint64 delay_ms; /* FAULT_FOREVER */
        guint n_busy;    /* EBUSY for that many afterwards */
        bool vanishes;
        bool returns; /* … and comes back when no entry is left */
        const char *report_data; /* word of the fault, static */
        GPtrArray *shapes;       /* of Shape */
} Plan;

/* How an outblob is bent after it was made. */
typedef struct Shape {
        FaultKind kind;
        gint64 number;
        bool nonzero;
} Shape;

struct Tsm {
        Forge *forge;     /* borrowed, like the next two */
        Faults *faults;
        Witness *witness;
        void (*changed)(gpointer);
        gpointer userdata;

        GHashTable *by_name;   /* living entries, borrowed from by_serial */
        GHashTable *by_serial; /* guint64 * in the entry → entry, owned */
        guint64 next_serial;
        guint n_entries, n_files;

        char *provider;
        char *provider_to_return;
        guint delay_ms;
        size_t outblob_max;

        /* The lock: held while op is set. The device: works while plan is set. */
        GQueue waiting; /* of TsmOp, owned */
        GQueue drops;   /* of Drop, owned; they wait for time to pass, not for the lock */
        TsmOp *op;      /* whose report it is, owned; NULL if it has gone */
        Plan *plan;
        guint timer;
        gint64 begun_us;
        bool holds, is_held;
        guint n_busy;
        bool is_pumping;

        guint8 previous[TSM_INBLOB_MAX]; /* REPORTDATA of the report before */
        guint64 n_started, n_made, n_failed;
};

static void pump(Tsm *t);

static void plan_free(Plan *plan) {
        if (!plan)
                return;

        g_ptr_array_unref(plan->shapes);
        g_free(plan);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)

TsmOp *tsm_op_new(TsmOpKind kind, WitnessCaller caller, TsmReply reply, gpointer request) {
        TsmOp *op = g_new0(TsmOp, 1);

        *op = (TsmOp) { .kind = kind, .caller = caller, .reply = reply, .request = request };
        op->since_us = g_get_monotonic_time();
        return op;
}

/* Answer, and away with it. */
static void op_finish(Tsm *t, TsmOp *op, int error) {
        if (op->reply)
                op->reply(op, error);

        if (op->entry)
                tsm_entry_unref(t, op->entry, 1);
        g_clear_pointer(&op->data, g_bytes_unref);
        g_free(op->name);
        g_free(op);
}

static gint64 op_waited_us(const TsmOp *op) {
        return g_get_monotonic_time() - op->since_us;
}

static char *hex(const guint8 *data, size_t size) {
        char *text = g_malloc(2 * size + 1);

        for (size_t i = 0; i < size; i++)
                g_snprintf(text + 2 * i, 3, "%02x", data[i]);
        text[2 * size] = 0;
        return text;
}

/* Entries. */

static TsmEntry *entry_add(Tsm *t, const char *name) {
        TsmEntry *entry = g_new0(TsmEntry, 1);

        *entry = (TsmEntry) {
                .serial = t->next_serial++,
                .name = g_strdup(name),
                .directory = directory_owner,
                .n_refs = 1,
        };
        memcpy(entry->attribute, attribute_owners, sizeof(attribute_owners));
        g_hash_table_insert(t->by_name, entry->name, entry);
        g_hash_table_insert(t->by_serial, &entry->serial, entry);
        t->n_entries++;
        return entry;
}

static void entry_remove(Tsm *t, TsmEntry *entry) {
        g_hash_table_remove(t->by_name, entry->name);
        entry->is_dead = true;
        t->n_entries--;
        tsm_entry_unref(t, entry, 1);

        if (t->n_entries == 0 && t->provider_to_return && !t->provider) {
                t->provider = g_steal_pointer(&t->provider_to_return);
                witness_note(t->witness, self, "provider", "-", 0, "name=%s", t->provider);
        }
}

TsmEntry *tsm_entry_ref(TsmEntry *entry) {
        entry->n_refs++;
        return entry;
}

void tsm_entry_unref(Tsm *t, TsmEntry *entry, guint64 n) {
        g_assert(entry->n_refs >= n);
        entry->n_refs -= n;
        if (entry->n_refs > 0)
                return;

        g_hash_table_remove(t->by_serial, &entry->serial);
        g_clear_pointer(&entry->outblob, g_bytes_unref);
        g_free(entry->name);
        g_free(entry);
}

TsmEntry *tsm_entry_by_name(Tsm *t, const char *name) {
        return g_hash_table_lookup(t->by_name, name);
}

TsmEntry *tsm_entry_by_serial(Tsm *t, guint64 serial) {
        return g_hash_table_lookup(t->by_serial, &serial);
}

TsmEntry *tsm_entry_next(Tsm *t, guint64 serial) {
        TsmEntry *next = NULL, *entry;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, t->by_name);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *) &entry))
                if (entry->serial > serial && (!next || entry->serial < next->serial))
                        next = entry;
        return next;
}

/* Reading. */

static void read_done(Tsm *t, TsmOp *op, int error) {
        g_autofree char *where = g_strdup_printf("%s/%s", op->entry->name, tsm_attribute_names[op->file->attribute]);

        witness_note(t->witness, op->caller, "read", where, error, "offset=%zu size=%zu waited_us=%" G_GINT64_FORMAT,
                     op->offset, op->data ? g_bytes_get_size(op->data) : 0, op_waited_us(op));
        op_finish(t, op, error);
}

/* A byte that falls later. */
typedef struct Drop {
        Tsm *tsm;
        TsmOp *op;
        guint timer;
} Drop;

static void drop_fall(Drop *drop, int error) {
        g_queue_remove(&drop->tsm->drops, drop);
        read_done(drop->tsm, drop->op, error);
        g_free(drop);
}

static gboolean on_drop(gpointer userdata) {
        drop_fall(userdata, 0);
        return G_SOURCE_REMOVE;
}

static void drops_fall(Tsm *t, int error) {
        while (!g_queue_is_empty(&t->drops)) {
                Drop *drop = g_queue_peek_head(&t->drops);

                g_source_remove(drop->timer);
                drop_fall(drop, error);
        }
}

/* Needs no lock: the descriptor has its bytes. */
static void read_snapshot(Tsm *t, TsmOp *op) {
        const TsmFile *file = op->file;
        size_t all = g_bytes_get_size(file->snapshot);
        size_t start = MIN(op->offset, all);
        size_t size = MIN(op->size, all - start);

        if (file->drip_ms >= 0)
                size = MIN(size, 1);
        op->data = g_bytes_new_from_bytes(file->snapshot, start, size);

        if (file->drip_ms > 0) {
                Drop *drop = g_new(Drop, 1);

                *drop = (Drop) { .tsm = t, .op = op, .timer = g_timeout_add((guint) file->drip_ms, on_drop, drop) };
                g_queue_push_tail(&t->drops, drop);
        } else
                read_done(t, op, 0);
}

static void read_generation(Tsm *t, TsmOp *op) {
        GPtrArray *struck = faults_strike(t->faults, FAULT_AT_GENERATION, NULL);
        g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "\n", op->entry->write_generation);

        if (struck->len > 0) {
                const Fault *fault = struck->pdata[0];

                g_free(text);
                if (g_str_equal(fault->word, "zero"))
                        text = g_strdup("0\n");
                else if (g_str_equal(fault->word, "max"))
                        text = g_strdup_printf("%" G_GUINT64_FORMAT "\n", G_MAXUINT64);
                else if (g_str_equal(fault->word, "garbage"))
                        text = g_strdup("0x5f not a number\n");
                else
                        text = g_strdup("");
        }
        if (text[0])
                op->file->snapshot = g_bytes_new(text, strlen(text));
        if (op->file->snapshot)
                read_snapshot(t, op);
        else
                read_done(t, op, 0);
}

static void read_provider(Tsm *t, TsmOp *op) {
        g_autofree char *text = NULL;

        if (!t->provider) {
                read_done(t, op, ENXIO);
                return;
        }

        text = g_strdup_printf("%s\n", t->provider);
        op->file->snapshot = g_bytes_new(text, strlen(text));
        read_snapshot(t, op);
}

/* The second of the kernel's two calls: a blob that has another size by now is cut,
 * or what the kernel had allocated stays as it was, here 0xee. */
static void take_snapshot(Tsm *t, TsmOp *op) {
        TsmEntry *entry = op->entry;
        GPtrArray *struck = faults_strike(t->faults, FAULT_AT_SNAPSHOT, NULL);
        size_t size = g_bytes_get_size(entry->outblob);
        g_autofree guint8 *bytes = g_malloc(op->first_size);

        memset(bytes, 0xee, op->first_size);
        if (size > 0)
                memcpy(bytes, g_bytes_get_data(entry->outblob, NULL), MIN(size, op->first_size));

        for (guint i = 0; i < struck->len; i++) {
                const Fault *fault = struck->pdata[i];

                if (fault->kind == FAULT_DRIP)
                        op->file->drip_ms = fault->number[0];
                else if (fault->kind == FAULT_SHRINK) {
                        entry->shrunk += (size_t) fault->number[0];
                        op->first_size -= MIN(op->first_size, entry->shrunk);
                } else
                        entry->write_generation++; /* late-jump */
        }

        op->file->snapshot = g_bytes_new(bytes, op->first_size);
        read_snapshot(t, op);
}

static bool outblob_is_fresh(const TsmEntry *entry) {
        return entry->outblob && entry->read_generation == entry->write_generation;
}

static void begin_report(Tsm *t, TsmOp *op);

static void read_outblob(Tsm *t, TsmOp *op) {
        TsmEntry *entry = op->entry;
        size_t size;

        if (entry->inblob_size == 0) {
                read_done(t, op, EINVAL);
                return;
        }
        if (!outblob_is_fresh(entry)) {
                if (t->provider)
                        begin_report(t, op);
                else
                        read_done(t, op, ENXIO);
                return;
        }

        size = g_bytes_get_size(entry->outblob);
        if (!op->has_size && size == 0)
                read_done(t, op, 0);
        else if (!op->has_size && size > t->outblob_max)
                read_done(t, op, EFBIG);
        else if (!op->has_size) {
                op->has_size = true;
                op->first_size = size;
                /* The lock is let go between the two calls: who waits, comes first. */
                if (g_queue_is_empty(&t->waiting))
                        take_snapshot(t, op);
                else
                        g_queue_push_tail(&t->waiting, op);
        } else
                take_snapshot(t, op);
}

static void run_read(Tsm *t, TsmOp *op) {
        int error = op->has_size ? 0 : tsm_strike(t, read_calls[op->file->attribute], op->caller);

        if (op->file->snapshot) {
                read_snapshot(t, op);
                return;
        }
        if (error == 0 && op->entry->is_dead)
                error = ENOENT;
        if (error != 0) {
                read_done(t, op, error);
                return;
        }

        switch (op->file->attribute) {
        case TSM_INBLOB:
                read_done(t, op, EBADF); /* it cannot be opened for reading */
                break;
        case TSM_OUTBLOB:
                read_outblob(t, op);
                break;
        case TSM_GENERATION:
                read_generation(t, op);
                break;
        case TSM_PROVIDER:
                read_provider(t, op);
                break;
        }
}

/* Reports. */

static void plan_shape(Plan *plan, FaultKind kind, gint64 number, bool nonzero) {
        Shape *shape = g_new(Shape, 1);

        *shape = (Shape) { .kind = kind, .number = number, .nonzero = nonzero };
        g_ptr_array_add(plan->shapes, shape);
}

/* One of the faults that a service has to survive, drawn from the seed. */
static const char *plan_random(Tsm *t, Plan *plan) {
        static const char *const data[] = { "zero", "bit", "half", "previous", "other", "allzero", "othertee" };
        static const int errors[] = { EBUSY, EINTR, ETIMEDOUT, EIO, EINVAL, ENOMEM };
        guint32 n = faults_random(t->faults, 1024);

        switch (faults_random(t->faults, 7)) {
        case 0:
                plan->error = errors[n % G_N_ELEMENTS(errors)];
                plan->n_busy = plan->error == EINTR ? 1 : 0;
                return errno_name(plan->error);
        case 1:
                plan_shape(plan, FAULT_EMPTY, 0, false);
                return "empty";
        case 2:
                plan_shape(plan, FAULT_SHORT, n, false);
                return "short";
        case 3:
                plan_shape(plan, FAULT_OVERSIZED, (gint64) t->outblob_max + 1, false);
                return "oversized";
        case 4:
                plan->report_data = data[n % G_N_ELEMENTS(data)];
                return plan->report_data;
        case 5:
                plan->delay_ms += n % 64;
                return "delay";
        default:
                plan_shape(plan, FAULT_TRAILING, n, true);
                return "trailing";
        }
}

static void plan_fault(Tsm *t, Plan *plan, Fault *fault) {
        switch (fault->kind) {
        case FAULT_STALL:
                plan->delay_ms = fault->number[0] == FAULT_FOREVER ? FAULT_FOREVER : plan->delay_ms + fault->number[0];
                break;
        case FAULT_EBUSY:
                plan->error = EBUSY;
                break;
        case FAULT_EINTR:
                plan->error = EINTR;
                plan->n_busy = (guint) MAX(fault->number[0], 0);
                break;
        case FAULT_ETIMEDOUT:
                plan->error = ETIMEDOUT;
                plan->delay_ms += MAX(fault->number[0], 0);
                plan->n_busy = (guint) MAX(fault->number[1], 0);
                break;
        case FAULT_ENOTTY:
                plan->error = ENOTTY;
                break;
        case FAULT_TOKEN_BUCKET:
                plan->delay_ms += faults_bucket_delay_ms(fault, g_get_monotonic_time());
                break;
        case FAULT_VANISH:
                plan->error = ENXIO;
                plan->vanishes = true;
                plan->returns = fault->word != NULL;
                break;
        case FAULT_REPORT_DATA:
                plan->report_data = g_intern_string(fault->word);
                break;
        case FAULT_RANDOM:
                witness_note(t->witness, self, "random", "-", 0, "%s", plan_random(t, plan));
                break;
        case FAULT_EMPTY:
        case FAULT_SHORT:
        case FAULT_OVERSIZED:
        case FAULT_TRAILING:
        case FAULT_LENGTH_FIELD:
                plan_shape(plan, fault->kind, fault->number[0], g_strcmp0(fault->word, "nonzero") == 0);
                break;
        case FAULT_NO_COMMIT:
        case FAULT_JUMP:
        case FAULT_FOREIGN_WRITER:
        case FAULT_GENERATION_TEXT:
        case FAULT_DRIP:
        case FAULT_SHRINK:
        case FAULT_LATE_JUMP:
        case FAULT_ERRNO:
        case FAULT_KILL:
                break; /* elsewhere */
        }
}

static Plan *plan_new(Tsm *t) {
        Plan *plan = g_new0(Plan, 1);
        GPtrArray *struck = faults_strike(t->faults, FAULT_AT_REPORT, NULL);

        plan->delay_ms = t->delay_ms;
        plan->shapes = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; i < struck->len; i++) {
                gint64 before = plan->delay_ms;

                plan_fault(t, plan, struck->pdata[i]);
                if (before == FAULT_FOREVER)
                        plan->delay_ms = FAULT_FOREVER;
        }
        /* Who refuses does not work. */
        if (plan->error && plan->delay_ms == t->delay_ms)
                plan->delay_ms = 0;
        return plan;
}

/* What the quote speaks of, when a fault has its say. */
static void choose_report_data(Tsm *t, const TsmEntry *entry, const char *word, guint8 ret[TSM_INBLOB_MAX]) {
        memcpy(ret, entry->inblob, TSM_INBLOB_MAX);
        if (!word)
                return;

        if (g_str_equal(word, "zero"))
                memset(ret, 0, TSM_INBLOB_MAX);
        else if (g_str_equal(word, "bit"))
                ret[faults_random(t->faults, TSM_INBLOB_MAX)] ^= 1;
        else if (g_str_equal(word, "half"))
                for (guint i = TSM_INBLOB_MAX / 2; i < TSM_INBLOB_MAX; i++)
                        ret[i] = (guint8) ~ret[i];
        else if (g_str_equal(word, "previous"))
                memcpy(ret, t->previous, TSM_INBLOB_MAX);
        else if (g_str_equal(word, "other"))
                for (guint i = 0; i < TSM_INBLOB_MAX; i++)
                        ret[i] = (guint8) faults_random(t->faults, 256);
}

static void bend(Tsm *t, const Shape *shape, GByteArray *blob) {
        guint before = blob->len;
        gint64 wanted = shape->number;

        if (shape->kind == FAULT_LENGTH_FIELD) {
                forge_bend_length(blob, (gint32) wanted);
                return;
        }

        if (shape->kind == FAULT_EMPTY)
                wanted = 0;
        else if (shape->kind == FAULT_SHORT)
                wanted = CLAMP(wanted < 0 ? wanted + before : wanted, 0, (gint64) before);
        else if (shape->kind == FAULT_TRAILING)
                wanted += before;
        else
                wanted = MAX(wanted, (gint64) before);

        g_byte_array_set_size(blob, (guint) wanted);
        for (guint i = before; i < blob->len; i++)
                blob->data[i] = shape->nonzero ? (guint8) (1 + faults_random(t->faults, 255)) : 0;
}

static GBytes *make_outblob(Tsm *t, const TsmEntry *entry, const Plan *plan) {
        guint8 report_data[TSM_INBLOB_MAX];
        g_autoptr(GByteArray) blob = NULL;

        choose_report_data(t, entry, plan->report_data, report_data);
        if (g_strcmp0(plan->report_data, "othertee") == 0)
                blob = forge_snp_report(report_data);
        else
                blob = forge_quote(t->forge, report_data);
        if (g_strcmp0(plan->report_data, "allzero") == 0)
                memset(blob->data, 0, blob->len);

        for (guint i = 0; i < plan->shapes->len; i++)
                bend(t, plan->shapes->pdata[i], blob);

        memcpy(t->previous, entry->inblob, TSM_INBLOB_MAX);
        return g_byte_array_free_to_bytes(g_steal_pointer(&blob));
}

/* The device has done with it, whether or not the caller is still there. */
static void end_report(Tsm *t) {
        g_autoptr(Plan) plan = g_steal_pointer(&t->plan);
        TsmOp *op = g_steal_pointer(&t->op);
        g_autofree char *inblob = NULL;
        TsmEntry *entry;
        int error = plan->error;

        g_clear_handle_id(&t->timer, g_source_remove);
        t->is_held = false;
        t->n_busy += plan->n_busy;
        if (!op)
                return;

        entry = op->entry;
        inblob = hex(entry->inblob, entry->inblob_size);
        g_clear_pointer(&entry->outblob, g_bytes_unref);
        if (plan->vanishes && t->provider) {
                if (plan->returns)
                        t->provider_to_return = g_strdup(t->provider);
                g_clear_pointer(&t->provider, g_free);
        }
        if (error == 0) {
                entry->outblob = make_outblob(t, entry, plan);
                entry->read_generation = entry->write_generation;
                t->n_made++;
        } else
                t->n_failed++;

        witness_note(t->witness, op->caller, "report", entry->name, error,
                     "reportdata=%s size=%zu took_us=%" G_GINT64_FORMAT, inblob,
                     entry->outblob ? g_bytes_get_size(entry->outblob) : 0, g_get_monotonic_time() - t->begun_us);
        if (error != 0) {
                read_done(t, op, error);
                return;
        }
        read_outblob(t, op);
}

static gboolean on_due(gpointer userdata) {
        Tsm *t = userdata;

        t->timer = 0;
        if (t->holds)
                t->is_held = true;
        else
                end_report(t);
        pump(t);
        return G_SOURCE_REMOVE;
}

/* The signal has reached the thread that waits in the driver: it goes, and the
 * request stays in the buffer that guest and host share. */
static void interrupt_report(Tsm *t) {
        TsmOp *op = g_steal_pointer(&t->op);

        t->n_failed++;
        g_clear_pointer(&op->entry->outblob, g_bytes_unref);
        witness_note(t->witness, op->caller, "report", op->entry->name, EINTR, "took_us=%" G_GINT64_FORMAT,
                     g_get_monotonic_time() - t->begun_us);
        read_done(t, op, EINTR);
}

static void begin_report(Tsm *t, TsmOp *op) {
        int error = 0;

        /* What the driver says before it asks the host. */
        if (op->entry->inblob_size != TSM_INBLOB_MAX)
                error = EINVAL;
        else if (t->plan)
                error = EBUSY;
        else if (t->n_busy > 0) {
                t->n_busy--;
                error = EBUSY;
        }
        if (error != 0) {
                g_clear_pointer(&op->entry->outblob, g_bytes_unref);
                t->n_failed++;
                witness_note(t->witness, op->caller, "report", op->entry->name, error, NULL);
                read_done(t, op, error);
                return;
        }

        t->op = op;
        t->plan = plan_new(t);
        t->begun_us = g_get_monotonic_time();
        t->n_started++;
        witness_note(t->witness, op->caller, "begin", op->entry->name, 0, "delay_ms=%" G_GINT64_FORMAT,
                     t->plan->delay_ms);

        if (op->is_interrupted)
                interrupt_report(t);
        if (t->plan->delay_ms > 0)
                t->timer = g_timeout_add((guint) MIN(t->plan->delay_ms, G_MAXINT), on_due, t);
        else if (t->plan->delay_ms == 0 && t->holds)
                t->is_held = true;
        else if (t->plan->delay_ms == 0)
                end_report(t);
}

/* The other operations. */

static void commit(TsmEntry *entry, const void *data, size_t size) {
        entry->write_generation++;
        entry->inblob_size = size;
        if (size > 0)
                memcpy(entry->inblob, data, size);
}

static void strike_as_foreign_writer(Tsm *t, TsmEntry *entry, const char *word) {
        g_autofree char *name = g_strdup(entry->name);
        guint8 other[TSM_INBLOB_MAX];

        if (g_str_equal(word, "rewrite")) {
                for (guint i = 0; i < sizeof(other); i++)
                        other[i] = (guint8) faults_random(t->faults, 256);
                commit(entry, other, sizeof(other));
        } else if (g_str_equal(word, "chmod"))
                entry->directory.mode = 0777;
        else {
                entry_remove(t, entry);
                if (g_str_equal(word, "recreate"))
                        (void) entry_add(t, name);
        }
        witness_note(t->witness, self, "foreign-writer", name, 0, "%s", word);
}

static void run_commit(Tsm *t, TsmOp *op) {
        TsmEntry *entry = op->entry;
        gsize size;
        const void *data = g_bytes_get_data(op->data, &size);
        g_autofree char *text = hex(data, size);
        bool is_lost = entry->is_dead;
        const char *foreign = NULL;

        if (!op->is_foreign && !entry->is_dead) {
                GPtrArray *struck = faults_strike(t->faults, FAULT_AT_COMMIT, NULL);

                for (guint i = 0; i < struck->len; i++) {
                        const Fault *fault = struck->pdata[i];

                        if (fault->kind == FAULT_NO_COMMIT)
                                is_lost = true;
                        else if (fault->kind == FAULT_JUMP)
                                entry->write_generation++;
                        else
                                foreign = g_intern_string(fault->word);
                }
        }

        if (!is_lost)
                commit(entry, data, size);
        witness_note(t->witness, op->caller, "commit", entry->name, entry->is_dead ? ENOENT : 0,
                     "reportdata=%s generation=%" G_GUINT64_FORMAT, text, entry->write_generation);
        if (foreign)
                strike_as_foreign_writer(t, entry, foreign);
        op_finish(t, op, entry->is_dead && op->is_foreign ? ENOENT : 0);
}

static void run_mkdir(Tsm *t, TsmOp *op) {
        int error = tsm_strike(t, "mkdir", op->caller);

        if (error == 0 && tsm_entry_by_name(t, op->name))
                error = EEXIST;
        else if (error == 0 && !t->provider)
                error = ENXIO;
        else if (error == 0)
                op->entry = tsm_entry_ref(entry_add(t, op->name));

        witness_note(t->witness, op->caller, "mkdir", op->name, error, "waited_us=%" G_GINT64_FORMAT, op_waited_us(op));
        op_finish(t, op, error);
}

static void run_rmdir(Tsm *t, TsmOp *op) {
        TsmEntry *entry = tsm_entry_by_name(t, op->name);
        int error = tsm_strike(t, "rmdir", op->caller);

        if (error == 0 && entry)
                entry_remove(t, entry);
        else if (error == 0)
                error = ENOENT;
        witness_note(t->witness, op->caller, "rmdir", op->name, error, "waited_us=%" G_GINT64_FORMAT, op_waited_us(op));
        op_finish(t, op, error);
}

static void run(Tsm *t, TsmOp *op) {
        switch (op->kind) {
        case TSM_OP_MKDIR:
                run_mkdir(t, op);
                break;
        case TSM_OP_RMDIR:
                run_rmdir(t, op);
                break;
        case TSM_OP_READ:
                run_read(t, op);
                break;
        case TSM_OP_FLUSH:
                op_finish(t, op, 0);
                break;
        case TSM_OP_COMMIT:
                run_commit(t, op);
                break;
        }
}

static void pump(Tsm *t) {
        if (t->is_pumping)
                return;

        t->is_pumping = true;
        while (!t->op && !g_queue_is_empty(&t->waiting))
                run(t, g_queue_pop_head(&t->waiting));
        t->is_pumping = false;
        t->changed(t->userdata);
}

void tsm_submit(Tsm *t, TsmOp *op) {
        if (op->kind == TSM_OP_READ && op->file->snapshot)
                read_snapshot(t, op);
        else
                g_queue_push_tail(&t->waiting, op);
        pump(t);
}

void tsm_settle(Tsm *t) {
        if (t->op && t->op->is_interrupted)
                interrupt_report(t);
        pump(t);
}

/* Descriptors. */

int tsm_open(Tsm *t, TsmEntry *entry, TsmAttribute attribute, int flags, WitnessCaller caller, TsmFile **ret) {
        g_autofree char *where = g_strdup_printf("%s/%s", entry->name, tsm_attribute_names[attribute]);
        bool reads = (flags & O_ACCMODE) != O_WRONLY;
        bool writes = (flags & O_ACCMODE) != O_RDONLY;
        mode_t mode = entry->attribute[attribute].mode;
        int error = tsm_strike(t, open_calls[attribute], caller);

        /* configfs looks at the mode even for root, and an attribute has but one method. */
        if (error == 0 && entry->is_dead)
                error = ENOENT;
        else if (error == 0 && ((writes && (!(mode & 0222) || attribute != TSM_INBLOB)) ||
                                (reads && (!(mode & 0444) || attribute == TSM_INBLOB))))
                error = EACCES;

        witness_note(t->witness, caller, "open", where, error, "%s", writes ? reads ? "rw" : "w" : "r");
        if (error != 0)
                return error;

        *ret = g_new0(TsmFile, 1);
        **ret = (TsmFile) {
                .entry = tsm_entry_ref(entry),
                .attribute = attribute,
                .caller = caller,
                .drip_ms = -1,
        };
        t->n_files++;
        return 0;
}

int tsm_write(Tsm *t, TsmFile *file, const void *data, size_t size, size_t offset, WitnessCaller caller) {
        g_autofree char *where = g_strdup_printf("%s/inblob", file->entry->name);
        g_autofree char *text = hex(data, MIN(size, TSM_INBLOB_MAX));
        int error = tsm_strike(t, "write:inblob", caller);

        if (error == 0) {
                if (!file->written)
                        file->written = g_byte_array_new();
                if (offset + size > TSM_INBLOB_MAX || offset + size < offset)
                        error = EFBIG;
                else {
                        guint before = file->written->len;

                        if (offset + size > before) {
                                g_byte_array_set_size(file->written, (guint) (offset + size));
                                memset(file->written->data + before, 0, file->written->len - before);
                        }
                        memcpy(file->written->data + offset, data, size);
                }
        }

        witness_note(t->witness, caller, "write", where, error, "offset=%zu size=%zu data=%s", offset, size, text);
        return error;
}

void tsm_close(Tsm *t, TsmFile *file) {
        g_autofree char *where = g_strdup_printf("%s/%s", file->entry->name, tsm_attribute_names[file->attribute]);

        (void) tsm_strike(t, close_calls[file->attribute], file->caller); /* a close cannot fail */
        witness_note(t->witness, file->caller, "close", where, 0, NULL);
        t->n_files--;
        if (file->written) {
                TsmOp *op = tsm_op_new(TSM_OP_COMMIT, file->caller, NULL, NULL);

                op->entry = tsm_entry_ref(file->entry);
                op->data = g_byte_array_free_to_bytes(g_steal_pointer(&file->written));
                tsm_submit(t, op);
        } else
                t->changed(t->userdata);

        g_clear_pointer(&file->snapshot, g_bytes_unref);
        tsm_entry_unref(t, file->entry, 1);
        g_free(file);
}

int tsm_strike(Tsm *t, const char *call, WitnessCaller caller) {
        GPtrArray *struck = faults_strike(t->faults, FAULT_AT_CALL, call);
        int error = 0;

        for (guint i = 0; i < struck->len; i++) {
                const Fault *fault = struck->pdata[i];

                if (fault->kind == FAULT_ERRNO)
                        error = fault->error;
                else if (caller.tid > 1) { /* never the test itself, which may be process 1 */
                        bool is_gone = kill(caller.tid, SIGKILL) < 0;

                        witness_note(t->witness, caller, "kill", "-", is_gone ? errno : 0, "%s", call);
                }
        }
        return error;
}

Witness *tsm_witness(Tsm *t) {
        return t->witness;
}

/* The controls. */

void tsm_stats(const Tsm *t, TsmStats *ret) {
        *ret = (TsmStats) {
                .n_started = t->n_started,
                .n_made = t->n_made,
                .n_failed = t->n_failed,
                .n_entries = t->n_entries,
                .n_files = t->n_files,
                .n_queued = t->waiting.length,
                .is_running = t->op != NULL,
                .is_held = t->is_held && t->op,
                .is_in_flight = t->plan && !t->op,
        };
}

void tsm_set_delay(Tsm *t, guint delay_ms) {
        t->delay_ms = delay_ms;
}

void tsm_set_outblob_max(Tsm *t, size_t size) {
        t->outblob_max = size;
}

int tsm_set_provider(Tsm *t, const char *name) {
        g_clear_pointer(&t->provider_to_return, g_free);
        if (name && (t->provider || t->n_entries > 0))
                return EBUSY;

        g_free(t->provider);
        t->provider = g_strdup(name);
        witness_note(t->witness, self, "provider", "-", 0, "name=%s", name ? name : "none");
        pump(t);
        return 0;
}

const char *tsm_provider(const Tsm *t) {
        return t->provider;
}

void tsm_hold(Tsm *t) {
        t->holds = true;
}

void tsm_release(Tsm *t, bool all) {
        if (all)
                t->holds = false;
        if (t->plan)
                end_report(t);
        drops_fall(t, 0);
        pump(t);
}

Tsm *tsm_new(Forge *forge, Faults *faults, Witness *witness, void (*changed)(gpointer), gpointer userdata) {
        Tsm *t = g_new0(Tsm, 1);

        *t = (Tsm) {
                .forge = forge,
                .faults = faults,
                .witness = witness,
                .changed = changed,
                .userdata = userdata,
                .by_name = g_hash_table_new(g_str_hash, g_str_equal),
                .by_serial = g_hash_table_new(g_int64_hash, g_int64_equal),
                .next_serial = 1,
                .outblob_max = TSM_OUTBLOB_MAX,
        };
        g_queue_init(&t->waiting);
        g_queue_init(&t->drops);
        return t;
}

void tsm_abandon(Tsm *t) {
        TsmOp *op;

        if (t->op)
                op_finish(t, g_steal_pointer(&t->op), ENODEV);
        while ((op = g_queue_pop_head(&t->waiting)))
                op_finish(t, op, ENODEV);
        drops_fall(t, ENODEV);
        g_clear_handle_id(&t->timer, g_source_remove);
        g_clear_pointer(&t->plan, plan_free);
}

/* Only at the end of the program, when the kernel has let go of everything. */
void tsm_free(Tsm *t) {
        TsmEntry *entry;
        GHashTableIter iter;

        if (!t)
                return;

        tsm_abandon(t);
        g_clear_pointer(&t->provider_to_return, g_free);

        g_hash_table_iter_init(&iter, t->by_serial);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *) &entry)) {
                g_hash_table_iter_steal(&iter);
                g_clear_pointer(&entry->outblob, g_bytes_unref);
                g_free(entry->name);
                g_free(entry);
        }
        g_hash_table_unref(t->by_name);
        g_hash_table_unref(t->by_serial);
        g_free(t->provider);
        g_free(t);
}
