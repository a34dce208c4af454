/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The claims C of tag:attestd.org,2026:evidence/1: an unprotected CWT claims set
 * (RFC 9781, CBOR tag 601) in the deterministic encoding of RFC 8949 section
 * 4.2.1. docs/protocol.md has the CDDL. */
#pragma once

#include "util/tls-terms.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

#define ATT_PROFILE_EVIDENCE "tag:attestd.org,2026:evidence/1"
#define ATT_PROFILE_EXPAT_PAD "tag:attestd.org,2026:expat-pad/1"
#define ATT_PROFILE_COCOS "tag:attestd.org,2026:cocos/1"

/* Media type of C in the collection. */
#define ATT_CLAIMS_MEDIA_TYPE "application/eat-ucs+cbor; eat_profile=\"" ATT_PROFILE_EVIDENCE "\""

#define ATT_CLAIMS_SIZE_MAX 8192u
#define ATT_CALLER_GIDS_MAX 64u
#define ATT_CALLER_TEXT_MAX 256u

/* submod caller. What cannot be known is absent. */
typedef struct AttCallerClaims {
        bool has_uid;
        uint32_t uid;
        GArray *gids;          /* of uint32_t, ascending, at most ATT_CALLER_GIDS_MAX; (nullable): not known */
        char *label;           /* LSM label; (nullable) */
        char *unit_kind;       /* "system", "user", "scope" or "container"; (nullable) */
        char *unit;            /* name of the unit, such as "payroll.service"; (nullable) */
        bool has_invocation;
        uint8_t invocation[16];
        GBytes *exe_digest;    /* SHA-256 of the executable's content, off by default; (nullable) */
} AttCallerClaims;

AttCallerClaims *att_caller_claims_copy(const AttCallerClaims *caller) G_GNUC_WARN_UNUSED_RESULT;
void att_caller_claims_free(AttCallerClaims *caller);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttCallerClaims, att_caller_claims_free)

/* submod ima. */
typedef struct AttImaClaims {
        char *root;            /* "tpm-in-tee", "tpm-outside", "rtmr", "claimed" */
        char *bank;            /* "sha1", "sha256", "sha384", "sha512" */
        uint64_t count;        /* n, all entries */
        uint64_t violations;
        GBytes *aggregate;     /* the value PCR 10 would have */
        GBytes *boot_aggregate;/* (nullable) */
        GBytes *ak_name;       /* TPM name of the AK that quotes; (nullable) */
        int rtmr;              /* root "rtmr" alone: which RTMR holds the log; -1 as it is read with another */
} AttImaClaims;

void att_ima_claims_free(AttImaClaims *ima);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttImaClaims, att_ima_claims_free)

typedef struct AttClaims {
        AttHash hash;                        /* of the session; gives the size of the next two */
        uint8_t binding[ATT_HASH_SIZE_MAX];  /* 10 eat_nonce */
        uint8_t key_hash[ATT_HASH_SIZE_MAX]; /* -78000 AIK_pub_hash */
        int64_t issued_at;                   /* 6 iat, seconds; information only */
        AttRole role;                        /* -78001 */
        uint8_t boot_id[16];                 /* -78002 [ boot id, instance id, generation ] */
        uint8_t instance_id[16];
        uint64_t generation;
        uint8_t config_digest[32];           /* -78003, SHA-256 */
        bool shared_device;                  /* -78004: entries of other owners under tsm/report */
        AttCallerClaims *caller;             /* 266 submods; owned; each (nullable) */
        AttImaClaims *ima;
        char *ima_state;                     /* submod ima-state: why there is no submod ima although the kernel has a
                                              * log: "garbled", "unreadable", "history-lost"; (nullable); never with
                                              * @ima */
        GBytes *boot_digest;                 /* submod boot: SHA-256 of the boot event log; (nullable) */
} AttClaims;

void att_claims_free(AttClaims *claims);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttClaims, att_claims_free)

/**
 * att_claims_encode: C, deterministically encoded, with its tag 601
 * @error: %ATT_ERROR_INVALID_ARGUMENT
 *
 * Claims of ours: texts over %ATT_CALLER_TEXT_MAX or too many gids are a bug of
 * the caller, and an error, not cut. So are texts with control characters, a unit
 * without its kind, a digest that is not as long as its bank's, a log beside a state
 * that says that there is none. A caller of which
 * nothing is known is left out.
 *
 * Returns: (transfer full)
 */
GBytes *att_claims_encode(const AttClaims *claims, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* C of all requests of one caller over one report, but for what is each one's own. */
typedef struct AttClaimsMold AttClaimsMold;

/** att_claims_mold_new: as att_claims_encode(); binding, key_hash and role are each cast's */
AttClaimsMold *att_claims_mold_new(const AttClaims *claims, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void att_claims_mold_free(AttClaimsMold *mold);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttClaimsMold, att_claims_mold_free)

/**
 * att_claims_mold_cast: C, to the byte what att_claims_encode() makes of the claims with these three
 * @binding, @key_hash: as long as the hash of the claims
 *
 * Returns: the mold's, until the next cast
 */
const void *att_claims_mold_cast(AttClaimsMold *mold, const uint8_t *binding, const uint8_t *key_hash, AttRole role,
                                 gsize *ret_size);

/**
 * att_claims_decode: read C from bytes we do not trust
 * @error: %ATT_ERROR_BAD_DATA if it is not one deterministic item (shortest
 *         heads, definite lengths, keys sorted bytewise and unique), if a
 *         mandatory claim is missing, or if a claim has the wrong type or size;
 *         %ATT_ERROR_TOO_LARGE over %ATT_CLAIMS_SIZE_MAX
 *
 * Unknown claims are skipped, as RFC 9711 wants it, but must be deterministic
 * too. Unknown keys inside the submods that we know are skipped likewise.
 *
 * Returns: (transfer full)
 */
AttClaims *att_claims_decode(GBytes *bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
