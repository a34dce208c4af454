/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence put together: a report, and the claims of each request that shares it. */
#pragma once

#include "attester/caller.h"
#include "attester/shared.h"
#include "codec/claims.h"
#include "tee/tee.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* What evidence is made of, but for what is each request's own: fixed when its requests get the device.
 *
 * First the requests are counted in, each with its caller; then, once it is known how
 * many they are, each is sealed, and what all of it comes to is what the device signs. */
typedef struct AttSealed {
        const char *profile;  /* one of ATT_PROFILE_*; static */
        const char *tee;      /* "tdx", "snp"; static */
        uint64_t generation;
        uint8_t boot_id[16];
        uint8_t instance_id[16];
        guint n;              /* requests; 1: the plain form */
        uint8_t report_data[ATT_REPORT_DATA_SIZE]; /* R */

        /*< private >*/
        AttClaims *common;    /* NULL: shrunk */
        GHashTable *molds;    /* of Mold, by caller and hash; each has its caller's descriptors open. NULL: shrunk */
        struct AttBatchTree *tree; /* NULL: the plain form, or shrunk */
        AttTeeReport *report; /* NULL: it has not come */
        AttShared *shared[2]; /* without auxblob, and with it; NULL: not asked for yet */
} AttSealed;

/* What C says of one request and of no other. */
typedef struct AttSealedRequest {
        AttRole role;
        uint8_t binding[ATT_HASH_SIZE_MAX];
        uint8_t key_hash[ATT_HASH_SIZE_MAX];

        /*< private >*/
        AttClaimsMold *mold; /* of what it was counted in; NULL: the profile has no claims, or they are kept */
        guint at;
        GBytes *claims; /* kept; NULL: not so */
        GBytes *proof;  /* likewise, or there is none */
} AttSealedRequest;

/** att_sealed_request_clear: what is kept with it */
void att_sealed_request_clear(AttSealedRequest *request);

/**
 * att_sealed_new:
 * @profile: one of ATT_PROFILE_*; without claims it can have one request
 * @common:  (transfer full): the snapshot; of the caller, the hash and what is a request's own it says nothing
 */
AttSealed *att_sealed_new(const char *profile, const char *tee, AttClaims *common) G_GNUC_WARN_UNUSED_RESULT;
void att_sealed_free(AttSealed *sealed);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttSealed, att_sealed_free)

/** att_sealed_count: one more. @error: what is known of @caller is nothing that can be said: it is not one more */
gboolean att_sealed_count(AttSealed *sealed, AttCaller *caller, AttHash hash, AttSealedRequest *request,
                          GError **error);

/** att_sealed_begin: all are counted */
void att_sealed_begin(AttSealed *sealed);
/** att_sealed_add: each that was */
void att_sealed_add(AttSealed *sealed, const AttSealedRequest *request, AttHash hash);
/** att_sealed_finish: sets report_data */
void att_sealed_finish(AttSealed *sealed);

/** att_sealed_take: @report: (transfer full): over report_data */
void att_sealed_take(AttSealed *sealed, AttTeeReport *report);
/** att_sealed_provider: of the report */
const char *att_sealed_provider(const AttSealed *sealed);

/** att_sealed_describe: who they are, for the log: "9000 of uid 0, system unit a.service; 12 of uid 5", and not at any
 *  length */
char *att_sealed_describe(const AttSealed *sealed) G_GNUC_WARN_UNUSED_RESULT;

/** att_sealed_keep: there is the report, but @request may be assembled only after att_sealed_shrink(); once */
void att_sealed_keep(const AttSealed *sealed, AttSealedRequest *request);
/** att_sealed_shrink: to what its report is, and to those that were kept */
void att_sealed_shrink(AttSealed *sealed);

/* What is handed out. */
typedef struct AttAssembled {
        GBytes *evidence;           /* owned; with @shared put in at @shared_at, if that is there */
        AttShared *shared;          /* a reference; (nullable) */
        gsize shared_at;
        bool endorsements_left_out; /* there were some, and they did not fit */
} AttAssembled;

void att_assembled_clear(AttAssembled *assembled);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttAssembled, att_assembled_clear)

/**
 * att_sealed_assemble: what is sent
 * @max:   bytes at most of all of it, else %ATT_ERROR_TOO_LARGE
 * @split: in two pieces
 */
gboolean att_sealed_assemble(AttSealed *sealed, const AttSealedRequest *request, gsize max, bool split,
                             AttAssembled *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_profile_find: the static name equal to @name, or %NULL; @name %NULL is the default */
const char *att_profile_find(const char *name);

/** All, the default first; ends in %NULL. */
extern const char *const att_profiles[];

G_END_DECLS
