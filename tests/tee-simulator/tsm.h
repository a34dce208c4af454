/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's configfs-tsm core and the drivers of TDX and SEV-SNP guests, as a
 * model: entries, one lock, generations, cached blobs. Nothing here knows FUSE or sockets, and
 * nothing here blocks: an operation that has to wait for the lock is queued and
 * answered later, in the order of arrival. */
#pragma once

#include "fault.h"
#include "forge-snp.h"
#include "forge.h"
#include "witness.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

G_BEGIN_DECLS

#define TSM_INBLOB_MAX 64u
#define TSM_OUTBLOB_MAX 32768u /* 16 MiB from Linux 7.0 on */

typedef enum {
        TSM_INBLOB,
        TSM_OUTBLOB,
        TSM_AUXBLOB,
        TSM_MANIFESTBLOB,
        TSM_GENERATION,
        TSM_PROVIDER,
        TSM_PRIVLEVEL,
        TSM_PRIVLEVEL_FLOOR,
        TSM_SERVICE_PROVIDER,
        TSM_SERVICE_GUID,
        TSM_SERVICE_MANIFEST_VERSION,
} TsmAttribute;
#define TSM_N_ATTRIBUTES 11u
#define TSM_N_BLOBS 3u /* outblob and the next ones */

typedef struct TsmAttributeKind {
        const char *name;
        mode_t mode;
        bool is_text;
} TsmAttributeKind;

extern const TsmAttributeKind tsm_attributes[TSM_N_ATTRIBUTES];

typedef struct TsmOwner {
        mode_t mode; /* permission bits only */
        uid_t uid;
        gid_t gid;
} TsmOwner;

typedef struct Tsm Tsm;

/* A directory under tsm/report. Lives as long as somebody holds it; when it has
 * been removed, it is dead. */
typedef struct TsmEntry {
        guint64 serial; /* never used twice */
        char *name;
        bool is_dead;
        TsmOwner directory;
        TsmOwner attribute[TSM_N_ATTRIBUTES];
        guint32 shown; /* a bit for each attribute that the driver had when it was made */

        uint64_t write_generation, read_generation;
        uint8_t inblob[TSM_INBLOB_MAX];
        size_t inblob_size;
        guint privlevel;
        char *service_provider; /* NULL: it was never written; the next two likewise zero */
        uint8_t service_guid[16];
        guint manifest_version;
        GBytes *blobs[TSM_N_BLOBS]; /* outblob, auxblob, manifestblob; NULL: none was made, or the last try failed */
        size_t shrunk;              /* by the fault of that name */

        guint64 n_refs;
} TsmEntry;

/* An open attribute. */
typedef struct TsmFile {
        TsmEntry *entry; /* a reference */
        TsmAttribute attribute;
        WitnessCaller caller; /* who opened it: nobody tells who closed it */
        GBytes *snapshot;    /* what the first read that succeeded has taken */
        GByteArray *written; /* NULL until a write was tried */
        gint64 drip_ms;      /* -1: no fault */
} TsmFile;

typedef enum {
        TSM_OP_MKDIR,
        TSM_OP_RMDIR,
        TSM_OP_READ,
        TSM_OP_WRITE,  /* of a text attribute: it counts at once */
        TSM_OP_FLUSH,  /* a close waits for the lock, as the commit in it does */
        TSM_OP_COMMIT,
} TsmOpKind;

typedef struct TsmOp TsmOp;

/* Called once for each operation, which is freed after it. @error: positive errno */
typedef void (*TsmReply)(TsmOp *op, int error);

struct TsmOp {
        TsmOpKind kind;
        WitnessCaller caller;
        char *name;      /* MKDIR, RMDIR; owned */
        TsmEntry *entry; /* READ, WRITE, FLUSH, COMMIT, and the result of MKDIR; a reference */
        TsmFile *file;   /* READ, WRITE: borrowed, the kernel keeps it open */
        size_t offset, size;
        GBytes *data;    /* COMMIT, WRITE: what to commit; READ: the result */
        bool is_foreign; /* COMMIT: by the control socket, so no fault strikes it */

        TsmReply reply; /* (nullable) */
        gpointer request;
        bool is_interrupted;

        /* the model's */
        gint64 since_us;
        bool has_size; /* READ of a blob: the first of the kernel's two calls is over */
        size_t first_size;
};

TsmOp *tsm_op_new(TsmOpKind kind, WitnessCaller caller, TsmReply reply, gpointer request) G_GNUC_WARN_UNUSED_RESULT;

typedef struct TsmStats {
        guint64 n_started, n_made, n_failed; /* reports */
        guint n_entries, n_files, n_queued;
        guint64 n_modes;   /* that were set, by a call of the layer */
        bool is_running;   /* a report is being made, and the lock is held */
        bool is_held;      /* … and waits for release */
        bool is_in_flight; /* the device still works for a caller who has gone */
        struct timespec entries_changed; /* when an entry was made or removed last, by the kernel's coarse clock */
} TsmStats;

/** tsm_mode_was_set: of an entry, or of a file of one */
void tsm_mode_was_set(Tsm *t);

/**
 * tsm_new:
 * @state_dir: (nullable): where the forge of SNP reports keeps its keys, when it comes into use
 * @changed: called when a figure of TsmStats may have changed
 */
Tsm *tsm_new(Forge *forge, const char *state_dir, Faults *faults, Witness *witness, void (*changed)(gpointer),
             gpointer userdata) G_GNUC_WARN_UNUSED_RESULT;
void tsm_free(Tsm *tsm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tsm, tsm_free)

/** tsm_submit: takes @op */
void tsm_submit(Tsm *tsm, TsmOp *op);

/** tsm_abandon: answer all that waits with ENODEV; the file system goes away */
void tsm_abandon(Tsm *tsm);

/** tsm_settle: look at the operations that were interrupted, and go on */
void tsm_settle(Tsm *tsm);

/** tsm_open: the rules of configfs on top of those of the VFS. Returns: positive errno or 0 */
int tsm_open(Tsm *tsm, TsmEntry *entry, TsmAttribute attribute, int flags, WitnessCaller caller, TsmFile **ret);
/** tsm_write: of inblob: into the buffer of the descriptor, no further. Returns: positive errno or 0 */
int tsm_write(Tsm *tsm, TsmFile *file, const void *data, size_t size, size_t offset, WitnessCaller caller);
/** tsm_close: the last close; commits what was written. Takes @file */
void tsm_close(Tsm *tsm, TsmFile *file);

/** tsm_entry_shows: is there such an attribute in this entry? */
bool tsm_entry_shows(const TsmEntry *entry, TsmAttribute attribute);
TsmEntry *tsm_entry_by_name(Tsm *tsm, const char *name); /* borrowed; alive */
TsmEntry *tsm_entry_by_serial(Tsm *tsm, guint64 serial); /* borrowed; dead ones too */
TsmEntry *tsm_entry_next(Tsm *tsm, guint64 serial);      /* borrowed; the living one with the least serial above */
TsmEntry *tsm_entry_ref(TsmEntry *entry);
void tsm_entry_unref(Tsm *tsm, TsmEntry *entry, guint64 n);

/** tsm_strike: let the faults of this call strike it and its caller. Returns: positive errno or 0 */
int tsm_strike(Tsm *tsm, const char *call, WitnessCaller caller);
Witness *tsm_witness(Tsm *tsm);

/* The controls. */
void tsm_stats(const Tsm *tsm, TsmStats *ret);
void tsm_set_delay(Tsm *tsm, guint delay_ms);
void tsm_set_outblob_max(Tsm *tsm, size_t size);
/** tsm_set_provider: NULL removes it. Returns: positive errno; EBUSY as the kernel gives it */
int tsm_set_provider(Tsm *tsm, const char *name);
const char *tsm_provider(const Tsm *tsm);
/** tsm_set_floor: the VMPL that the guest runs at; above 0 there are the attributes of services too */
void tsm_set_floor(Tsm *tsm, guint level);
/** tsm_set_svsm: does what runs at VMPL 0 attest its services? */
void tsm_set_svsm(Tsm *tsm, bool attests);
/** tsm_set_field: of the quotes or reports from now on, whichever the provider has */
bool tsm_set_field(Tsm *tsm, const char *name, const char *value, char **why) G_GNUC_WARN_UNUSED_RESULT;
/** tsm_root: hex, what a verifier pins for the present provider */
const char *tsm_root(const Tsm *tsm);
/** tsm_hold: from now on no report is finished */
void tsm_hold(Tsm *tsm);
/** tsm_release: the one that is held or stalled, every drip, and if @all the following reports */
void tsm_release(Tsm *tsm, bool all);

G_END_DECLS
