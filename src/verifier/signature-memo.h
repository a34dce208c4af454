/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has been found out about the signatures of a quote or report, so that a
 * batch, whose evidence all has the same one, costs them once.
 *
 * Only that they are right is kept, and only for what they follow from: the bytes
 * of the blob with its chain, those of the host's table, the certificates that were
 * added, and the roots of the policy, to the bit. Nothing of a refusal is. An entry
 * lives for 60 s, whoever uses it, and says nothing at a time when one of its
 * certificates is not valid: this is looked at each time, as without a memo. Binding,
 * claims, proof, REPORTDATA, and all that a policy says, are never in it. */
#pragma once

#include "crypto/digest.h"
#include "verifier/result-build.h"

#include <glib.h>

G_BEGIN_DECLS

/* With certificates of ATT_CERTIFICATE_KEPT_MAX at most, 170 MiB at most; of those in use 25. */
#define ATT_SIGNATURE_MEMO_MAX 1024u
/* A user who has so many loses his own oldest, not others'. */
#define ATT_SIGNATURE_MEMO_PER_USER_MAX (ATT_SIGNATURE_MEMO_MAX / 4u)
#define ATT_SIGNATURE_MEMO_S 60

typedef struct AttSignatureMemo AttSignatureMemo;

/* What is too old it forgets also when nobody asks it, if the main loop runs: 15 s later at most. */
AttSignatureMemo *att_signature_memo_new(void) G_GNUC_WARN_UNUSED_RESULT;
void att_signature_memo_free(AttSignatureMemo *memo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttSignatureMemo, att_signature_memo_free)

/* What it has, those that are too old included. */
guint att_signature_memo_size(const AttSignatureMemo *memo);

/** att_signature_memo_key: of all that the signatures of a blob of this kind rest on
 * @table: (nullable): the host's certificates
 * @extra: of AttCertificate; (nullable)
 * @roots: of GBytes */
void att_signature_memo_key(AttTeeKind kind, GBytes *blob, GBytes *table, GPtrArray *extra, GPtrArray *roots,
                            uint8_t ret[ATT_SHA256_SIZE]);

/**
 * att_signature_memo_recall: settles the checks that are known to pass, as they were settled
 * @at: seconds since the epoch: for the certificates' validity
 *
 * And sets in @result the certificate of the key. Returns: were they known?
 */
bool att_signature_memo_recall(AttSignatureMemo *memo, const uint8_t key[ATT_SHA256_SIZE], int64_t at,
                               AttResult *result);

/**
 * att_signature_memo_keep: if all of @checks have passed, that they have; they follow from what @key is of alone
 * @user: whose share it takes; all recall it
 *
 * Not with a certificate that is longer than %ATT_CERTIFICATE_KEPT_MAX.
 */
void att_signature_memo_keep(AttSignatureMemo *memo, uint32_t user, const uint8_t key[ATT_SHA256_SIZE],
                             AttCheckSet checks, const AttResult *result);

G_END_DECLS
