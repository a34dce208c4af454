/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tsm.h"

#include "octets.h"
#include "shape.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

const TsmAttributeKind tsm_attributes[TSM_N_ATTRIBUTES] = {
        [TSM_INBLOB] = { "inblob", 0200, false },
        [TSM_OUTBLOB] = { "outblob", 0444, false },
        [TSM_AUXBLOB] = { "auxblob", 0444, false },
        [TSM_MANIFESTBLOB] = { "manifestblob", 0444, false },
        [TSM_GENERATION] = { "generation", 0444, true },
        [TSM_PROVIDER] = { "provider", 0444, true },
        [TSM_PRIVLEVEL] = { "privlevel", 0200, true },
        [TSM_PRIVLEVEL_FLOOR] = { "privlevel_floor", 0444, true },
        [TSM_SERVICE_PROVIDER] = { "service_provider", 0200, true },
        [TSM_SERVICE_GUID] = { "service_guid", 0200, true },
        [TSM_SERVICE_MANIFEST_VERSION] = { "service_manifest_version", 0200, true },
};

#define BIT(attribute) (1u << (attribute))
#define SHOWN_BY_ALL (BIT(TSM_INBLOB) | BIT(TSM_OUTBLOB) | BIT(TSM_GENERATION) | BIT(TSM_PROVIDER))
#define SHOWN_BY_SNP (SHOWN_BY_ALL | BIT(TSM_AUXBLOB) | BIT(TSM_PRIVLEVEL) | BIT(TSM_PRIVLEVEL_FLOOR))
#define SHOWN_ABOVE_VMPL_0 \
        (BIT(TSM_MANIFESTBLOB) | BIT(TSM_SERVICE_PROVIDER) | BIT(TSM_SERVICE_GUID) | BIT(TSM_SERVICE_MANIFEST_VERSION))

#define PRIVLEVEL_MAX 3u
#define TEXT_MAX 4096u
/* What the driver has room for; a host that has more is asked in vain. */
#define CERTIFICATES_MAX 16384u

static const TsmOwner directory_owner = { .mode = 0755 };

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
        guint64 n_modes;
        struct timespec entries_changed;

        char *state_dir;
        SnpForge *snp; /* owned; NULL until a provider needs it */

        char *provider;
        char *provider_to_return;
        guint floor;
        bool has_svsm;
        bool is_locked_out; /* SNP: the guest's key was wiped */
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

static bool is_snp(const Tsm *t) {
        return g_strcmp0(t->provider, "sev_guest") == 0;
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
                .shown = !is_snp(t) ? SHOWN_BY_ALL : t->floor > 0 ? SHOWN_BY_SNP | SHOWN_ABOVE_VMPL_0 : SHOWN_BY_SNP,
                .n_refs = 1,
        };
        for (guint i = 0; i < TSM_N_ATTRIBUTES; i++)
                entry->attribute[i].mode = tsm_attributes[i].mode;
        g_hash_table_insert(t->by_name, entry->name, entry);
        g_hash_table_insert(t->by_serial, &entry->serial, entry);
        t->n_entries++;
        (void) clock_gettime(CLOCK_REALTIME_COARSE, &t->entries_changed);
        return entry;
}

static void entry_remove(Tsm *t, TsmEntry *entry) {
        g_hash_table_remove(t->by_name, entry->name);
        entry->is_dead = true;
        t->n_entries--;
        (void) clock_gettime(CLOCK_REALTIME_COARSE, &t->entries_changed);
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

static void entry_drop_blobs(TsmEntry *entry) {
        for (guint i = 0; i < TSM_N_BLOBS; i++)
                g_clear_pointer(&entry->blobs[i], g_bytes_unref);
}

static void entry_free(TsmEntry *entry) {
        entry_drop_blobs(entry);
        g_free(entry->service_provider);
        g_free(entry->name);
        g_free(entry);
}

bool tsm_entry_shows(const TsmEntry *entry, TsmAttribute attribute) {
        return entry->shown & BIT(attribute);
}

void tsm_entry_unref(Tsm *t, TsmEntry *entry, guint64 n) {
        g_assert(entry->n_refs >= n);
        entry->n_refs -= n;
        if (entry->n_refs > 0)
                return;

        g_hash_table_remove(t->by_serial, &entry->serial);
        entry_free(entry);
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

static int strike_at(Tsm *t, const char *call, TsmAttribute attribute, WitnessCaller caller) {
        g_autofree char *name = g_strdup_printf("%s:%s", call, tsm_attributes[attribute].name);

        return tsm_strike(t, name, caller);
}

/* Reading. */

static void read_done(Tsm *t, TsmOp *op, int error) {
        g_autofree char *where = g_strdup_printf("%s/%s", op->entry->name, tsm_attributes[op->file->attribute].name);

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

/* What the driver says of itself. */
static void read_of_driver(Tsm *t, TsmOp *op) {
        g_autofree char *text = NULL;

        if (!t->provider) {
                read_done(t, op, ENXIO);
                return;
        }

        text = op->file->attribute == TSM_PROVIDER ? g_strdup_printf("%s\n", t->provider) :
                                                     g_strdup_printf("%u\n", t->floor);
        op->file->snapshot = g_bytes_new(text, strlen(text));
        read_snapshot(t, op);
}

static GBytes *blob_of(const TsmOp *op) {
        return op->entry->blobs[op->file->attribute - TSM_OUTBLOB];
}

/* The second of the kernel's two calls: a blob that has another size by now is cut,
 * or what the kernel had allocated stays as it was, here 0xee. */
static void take_snapshot(Tsm *t, TsmOp *op) {
        TsmEntry *entry = op->entry;
        GBytes *blob = blob_of(op);
        bool is_outblob = op->file->attribute == TSM_OUTBLOB;
        GPtrArray *struck = is_outblob ? faults_strike(t->faults, FAULT_AT_SNAPSHOT, NULL) : NULL;
        size_t size = g_bytes_get_size(blob);
        g_autofree guint8 *bytes = g_malloc(op->first_size);

        memset(bytes, 0xee, op->first_size);
        if (size > 0)
                memcpy(bytes, g_bytes_get_data(blob, NULL), MIN(size, op->first_size));

        for (guint i = 0; struck && i < struck->len; i++) {
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

static bool report_is_fresh(const TsmEntry *entry) {
        return entry->blobs[0] && entry->read_generation == entry->write_generation;
}

static void begin_report(Tsm *t, TsmOp *op);

/* Whichever blob is asked for: if the report is stale, that makes a new one. */
static void read_blob(Tsm *t, TsmOp *op) {
        TsmEntry *entry = op->entry;
        size_t size;

        if (entry->inblob_size == 0) {
                read_done(t, op, EINVAL);
                return;
        }
        if (!report_is_fresh(entry)) {
                if (t->provider)
                        begin_report(t, op);
                else
                        read_done(t, op, ENXIO);
                return;
        }

        size = g_bytes_get_size(blob_of(op));
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

/* After what it cannot explain, the driver never uses its key again. */
static bool locks_out(const Tsm *t, int error) {
        return is_snp(t) && (error == ETIMEDOUT || error == EIO);
}

static void run_read(Tsm *t, TsmOp *op) {
        int error = op->has_size ? 0 : strike_at(t, "read", op->file->attribute, op->caller);

        if (op->file->snapshot) {
                read_snapshot(t, op);
                return;
        }
        if (error == 0 && op->entry->is_dead)
                error = ENOENT;
        if (error != 0) {
                t->is_locked_out |= op->file->attribute == TSM_OUTBLOB && locks_out(t, error);
                read_done(t, op, error);
                return;
        }

        switch (op->file->attribute) {
        case TSM_INBLOB:
        case TSM_PRIVLEVEL:
        case TSM_SERVICE_PROVIDER:
        case TSM_SERVICE_GUID:
        case TSM_SERVICE_MANIFEST_VERSION:
                read_done(t, op, EBADF); /* they cannot be opened for reading */
                break;
        case TSM_OUTBLOB:
        case TSM_AUXBLOB:
        case TSM_MANIFESTBLOB:
                read_blob(t, op);
                break;
        case TSM_GENERATION:
                read_generation(t, op);
                break;
        case TSM_PROVIDER:
        case TSM_PRIVLEVEL_FLOOR:
                read_of_driver(t, op);
                break;
        }
}

/* Reports. */

static void plan_shape(Plan *plan, FaultKind kind, gint64 number, bool nonzero) {
        g_ptr_array_add(plan->shapes, shape_new(kind, number, nonzero));
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

/* The kernel looks for the end of what the host has put into its buffer, and takes no care of sums over 32 bits. */
static GBytes *copy_certificates(const GByteArray *table) {
        guint8 *buffer = g_malloc0(CERTIFICATES_MAX);
        guint32 end = 0;

        if (table->len > 0)
                memcpy(buffer, table->data, MIN(table->len, CERTIFICATES_MAX));
        for (guint at = 0; at + 24 <= CERTIFICATES_MAX; at += 24) {
                static const guint8 zeros[24];
                guint32 offset, length;

                if (memcmp(buffer + at, zeros, sizeof(zeros)) == 0)
                        break;
                memcpy(&offset, buffer + at + 16, 4);
                memcpy(&length, buffer + at + 20, 4);
                end = MAX(end, GUINT32_FROM_LE(offset) + GUINT32_FROM_LE(length));
        }
        return g_bytes_new_take(buffer, MIN(end, CERTIFICATES_MAX));
}

static GByteArray *make_snp(Tsm *t, TsmEntry *entry, guint8 report_data[TSM_INBLOB_MAX]) {
        bool by_svsm = entry->service_provider != NULL;
        g_autoptr(GByteArray) manifest = by_svsm ? snp_forge_manifest() : g_byte_array_new();
        g_autoptr(GByteArray) table = snp_forge_table(t->snp);

        if (by_svsm)
                snp_forge_bind_manifest(report_data, manifest);
        entry->blobs[TSM_AUXBLOB - TSM_OUTBLOB] = copy_certificates(table);
        entry->blobs[TSM_MANIFESTBLOB - TSM_OUTBLOB] = g_bytes_new(manifest->data, manifest->len);
        snp_forge_set_vmpl(t->snp, by_svsm ? 0 : entry->privlevel);
        return snp_forge_report(t->snp, report_data);
}

static void make_blobs(Tsm *t, TsmEntry *entry, const Plan *plan) {
        guint8 report_data[TSM_INBLOB_MAX];
        bool is_other = g_strcmp0(plan->report_data, "othertee") == 0;
        GByteArray *blob;

        memcpy(report_data, entry->inblob, TSM_INBLOB_MAX);
        shape_report_data(plan->report_data, t->previous, t->faults, report_data);
        if (is_snp(t)) {
                blob = make_snp(t, entry, report_data);
                if (is_other) {
                        g_byte_array_unref(blob);
                        blob = forge_quote(t->forge, report_data);
                }
        } else
                blob = is_other ? forge_snp_report(report_data) : forge_quote(t->forge, report_data);
        if (g_strcmp0(plan->report_data, "allzero") == 0)
                memset(blob->data, 0, blob->len);

        for (guint i = 0; i < plan->shapes->len; i++)
                shape_bend(plan->shapes->pdata[i], t->faults, blob);

        memcpy(t->previous, entry->inblob, TSM_INBLOB_MAX);
        entry->blobs[0] = g_byte_array_free_to_bytes(blob);
        for (guint i = 1; i < TSM_N_BLOBS; i++)
                if (!entry->blobs[i])
                        entry->blobs[i] = g_bytes_new(NULL, 0);
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
        entry_drop_blobs(entry);
        t->is_locked_out |= locks_out(t, error);
        if (plan->vanishes && t->provider) {
                if (plan->returns)
                        t->provider_to_return = g_strdup(t->provider);
                g_clear_pointer(&t->provider, g_free);
        }
        if (error == 0) {
                make_blobs(t, entry, plan);
                entry->read_generation = entry->write_generation;
                t->n_made++;
        } else
                t->n_failed++;

        witness_note(t->witness, op->caller, "report", entry->name, error,
                     "reportdata=%s size=%zu took_us=%" G_GINT64_FORMAT, inblob,
                     entry->blobs[0] ? g_bytes_get_size(entry->blobs[0]) : 0, g_get_monotonic_time() - t->begun_us);
        if (error != 0) {
                read_done(t, op, error);
                return;
        }
        read_blob(t, op);
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
        entry_drop_blobs(op->entry);
        witness_note(t->witness, op->caller, "report", op->entry->name, EINTR, "took_us=%" G_GINT64_FORMAT,
                     g_get_monotonic_time() - t->begun_us);
        read_done(t, op, EINTR);
}

/* What the driver, or the firmware, says before it asks the host. */
static int refuse_report(Tsm *t, const TsmEntry *entry) {
        if (entry->inblob_size != TSM_INBLOB_MAX)
                return EINVAL;
        if (is_snp(t) && entry->service_provider) /* needs no key of the guest's */
                return t->has_svsm && g_str_equal(entry->service_provider, "svsm") ? 0 : EINVAL;
        if (t->is_locked_out)
                return ENOTTY;
        if (is_snp(t) && entry->privlevel < t->floor)
                return EINVAL;
        if (t->plan)
                return EBUSY;
        if (t->n_busy == 0)
                return 0;
        t->n_busy--;
        return EBUSY;
}

static void begin_report(Tsm *t, TsmOp *op) {
        int error = refuse_report(t, op->entry);

        if (error != 0) {
                entry_drop_blobs(op->entry);
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

        if (op->is_interrupted && !is_snp(t))
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

static bool parse_guid(const char *text, guint8 ret[16]) {
        g_autofree char *digits = NULL;
        g_auto(GStrv) parts = NULL;

        if (!g_uuid_string_is_valid(text))
                return false;
        parts = g_strsplit(text, "-", -1);
        digits = g_strjoinv("", parts);
        return octets_parse_hex(digits, ret, 16);
}

/* kstrtouint() with base 0. Returns: positive errno or 0 */
static int parse_number(const char *text, guint64 *ret) {
        g_autoptr(GError) error = NULL;
        guint base = 10;

        if (*text == '+')
                text++;
        if (text[0] == '0' && (text[1] | 0x20) == 'x' && g_ascii_isxdigit(text[2])) {
                base = 16;
                text += 2;
        } else if (text[0] == '0')
                base = 8;
        if (g_ascii_string_to_unsigned(text, base, 0, G_MAXUINT32, ret, &error))
                return 0;
        return g_error_matches(error, G_NUMBER_PARSER_ERROR, G_NUMBER_PARSER_ERROR_OUT_OF_BOUNDS) ? ERANGE : EINVAL;
}

/* As the core does it: a GUID that is none counts as a write, and leaves the null GUID. */
static int store_guid(TsmEntry *entry, const char *text) {
        g_autofree char *guid = g_strndup(text, 36); /* and does not look at what follows */

        entry->write_generation++;
        memset(entry->service_guid, 0, sizeof(entry->service_guid));
        return parse_guid(guid, entry->service_guid) ? 0 : EINVAL;
}

/* One attribute, one write(): the result is the caller's. Returns: positive errno or 0 */
static int store(Tsm *t, TsmEntry *entry, TsmAttribute attribute, char *text) {
        bool is_number = attribute == TSM_PRIVLEVEL || attribute == TSM_SERVICE_MANIFEST_VERSION;
        guint64 number = 0;
        int error;

        if (g_str_has_suffix(text, "\n"))
                text[strlen(text) - 1] = 0;
        if (attribute == TSM_SERVICE_GUID)
                return store_guid(entry, text);
        error = is_number ? parse_number(text, &number) : 0;
        if (error != 0)
                return error;
        if (attribute == TSM_PRIVLEVEL && (number < t->floor || number > PRIVLEVEL_MAX))
                return EINVAL;

        entry->write_generation++;
        if (attribute == TSM_PRIVLEVEL)
                entry->privlevel = (guint) number;
        else if (attribute == TSM_SERVICE_MANIFEST_VERSION)
                entry->manifest_version = (guint) number;
        else {
                g_free(entry->service_provider);
                entry->service_provider = g_strdup(text);
        }
        return 0;
}

static void run_write(Tsm *t, TsmOp *op) {
        gsize size;
        const char *data = g_bytes_get_data(op->data, &size);
        g_autofree char *text = g_strndup(data, size), *shown = g_strescape(text, NULL);
        g_autofree char *where = g_strdup_printf("%s/%s", op->entry->name, tsm_attributes[op->file->attribute].name);
        int error = strike_at(t, "write", op->file->attribute, op->caller);

        if (error == 0 && op->entry->is_dead)
                error = ENOENT;
        if (error == 0 && size > TEXT_MAX - 1)
                error = EINVAL;
        if (error == 0 && op->file->attribute == TSM_PRIVLEVEL && !t->provider)
                error = ENXIO;
        if (error == 0)
                error = store(t, op->entry, op->file->attribute, text);
        witness_note(t->witness, op->caller, "write", where, error, "size=%zu text=%s", size, shown);
        op_finish(t, op, error);
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
        case TSM_OP_WRITE:
                run_write(t, op);
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
        /* SNP's driver goes on waiting. */
        if (t->op && t->op->is_interrupted && !is_snp(t))
                interrupt_report(t);
        pump(t);
}

/* Descriptors. */

int tsm_open(Tsm *t, TsmEntry *entry, TsmAttribute attribute, int flags, WitnessCaller caller, TsmFile **ret) {
        g_autofree char *where = g_strdup_printf("%s/%s", entry->name, tsm_attributes[attribute].name);
        bool reads = (flags & O_ACCMODE) != O_WRONLY;
        bool writes = (flags & O_ACCMODE) != O_RDONLY;
        bool is_read_only = tsm_attributes[attribute].mode == 0444;
        mode_t mode = entry->attribute[attribute].mode;
        int error = strike_at(t, "open", attribute, caller);

        /* configfs looks at the mode even for root, and an attribute has but one method. */
        if (error == 0 && entry->is_dead)
                error = ENOENT;
        else if (error == 0 && ((writes && (!(mode & 0222) || is_read_only)) ||
                                (reads && (!(mode & 0444) || !is_read_only))))
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
        g_autofree char *where = g_strdup_printf("%s/%s", file->entry->name, tsm_attributes[file->attribute].name);

        (void) strike_at(t, "close", file->attribute, file->caller); /* a close cannot fail */
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

void tsm_mode_was_set(Tsm *t) {
        t->n_modes++;
        t->changed(t->userdata);
}

void tsm_stats(const Tsm *t, TsmStats *ret) {
        *ret = (TsmStats) {
                .n_started = t->n_started,
                .n_made = t->n_made,
                .n_failed = t->n_failed,
                .n_entries = t->n_entries,
                .n_files = t->n_files,
                .n_modes = t->n_modes,
                .n_queued = t->waiting.length,
                .is_running = t->op != NULL,
                .is_held = t->is_held && t->op,
                .is_in_flight = t->plan && !t->op,
                .entries_changed = t->entries_changed,
        };
}

void tsm_set_delay(Tsm *t, guint delay_ms) {
        t->delay_ms = delay_ms;
}

void tsm_set_outblob_max(Tsm *t, size_t size) {
        t->outblob_max = size;
}

static void use_forge(Tsm *t) {
        g_autoptr(GError) error = NULL;

        if (!is_snp(t) || t->snp)
                return;
        t->snp = snp_forge_new(t->state_dir, &error);
        if (!t->snp)
                g_error("%s", error->message);
}

int tsm_set_provider(Tsm *t, const char *name) {
        g_clear_pointer(&t->provider_to_return, g_free);
        if (name && (t->provider || t->n_entries > 0))
                return EBUSY;

        g_free(t->provider);
        t->provider = g_strdup(name);
        t->is_locked_out = false; /* another module, another key */
        use_forge(t);
        witness_note(t->witness, self, "provider", "-", 0, "name=%s", name ? name : "none");
        pump(t);
        return 0;
}

const char *tsm_provider(const Tsm *t) {
        return t->provider;
}

void tsm_set_floor(Tsm *t, guint level) {
        t->floor = level;
}

void tsm_set_svsm(Tsm *t, bool attests) {
        t->has_svsm = attests;
}

bool tsm_set_field(Tsm *t, const char *name, const char *value, char **why) {
        return is_snp(t) ? snp_forge_set(t->snp, name, value, why) : forge_set(t->forge, name, value, why);
}

const char *tsm_root(const Tsm *t) {
        return is_snp(t) ? snp_forge_root_spki_sha256(t->snp) : forge_root_spki_sha256(t->forge);
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

Tsm *tsm_new(Forge *forge, const char *state_dir, Faults *faults, Witness *witness, void (*changed)(gpointer),
             gpointer userdata) {
        Tsm *t = g_new0(Tsm, 1);

        *t = (Tsm) {
                .forge = forge,
                .state_dir = g_strdup(state_dir),
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
                entry_free(entry);
        }
        g_hash_table_unref(t->by_name);
        g_hash_table_unref(t->by_serial);
        g_free(t->provider);
        g_free(t->state_dir);
        snp_forge_free(t->snp);
        g_free(t);
}
