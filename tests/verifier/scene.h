/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest that attests and a relying party that asks, without TEE, TLS and bus:
 * forged quotes, and exporter values out of a secret. What fails here ends the
 * test. */
#pragma once

#include "codec/claims.h"
#include "codec/evidence.h"
#include "ea/authenticator.h"
#include "tee-simulator/forge.h"
#include "verifier/appraisal.h"

#include <openssl/evp.h>

#define SCENE_NOW 1800000000 /* 2027-01-15 */
#define SCENE_UNIT "payroll.service"
#define SCENE_UID 990u

/* One TLS connection: both ends know its secret. */
typedef struct Wire {
        AttHash hash;
        uint8_t secret[ATT_HASH_SIZE_MAX];
} Wire;

/* Each @seed is another connection. */
Wire wire_new(AttHash hash, uint8_t seed);
void wire_export(const Wire *wire, GBytes *context, uint8_t ret[ATT_EXPORTED_SIZE]);

/* Who has a key and a certificate for it. */
typedef struct Identity {
        EVP_PKEY *key;
        GBytes *certificate; /* DER, self-signed, for the DNS name */
        GBytes *spki;
} Identity;

Identity *identity_new(const char *dns_name);
void identity_free(Identity *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Identity, identity_free)
/* Of AttCertificate: what trusts exactly this certificate. */
GPtrArray *identity_anchors(const Identity *identity);

/* Sets a field or the flaw of a forge; see forge_set(). */
void scene_set(Forge *forge, const char *name, const char *value);
/* A policy that accepts the forge's guest and SCENE_UNIT, then @more. */
AttPolicy *scene_policy(const Forge *forge, const char *more);
/* One that takes any workload, boot and peer, and bare reports, then @more. */
AttPolicy *scene_open_policy(const Forge *forge, const char *more);
AttPolicy *scene_parse(const char *text);

/* What attestd would say for this connection, context and key. */
AttClaims *scene_claims(const Wire *wire, GBytes *context, GBytes *spki, AttRole role);
/* The collection of evidence/1 with a quote over @claims. */
GBytes *scene_evidence(Forge *forge, const AttClaims *claims);
/* The collection, with this @c as claims and a quote over @report_data. */
GBytes *scene_collection(Forge *forge, const char *profile, GBytes *c, const uint8_t report_data[ATT_REPORT_DATA_SIZE]);
/* R as the design defines it, made without the code under test. */
void scene_report_data(GBytes *c, uint8_t ret[ATT_REPORT_DATA_SIZE]);
/* The bare quote. */
GBytes *scene_quote(Forge *forge, const uint8_t report_data[ATT_REPORT_DATA_SIZE]);
/* An authenticator of @role with @evidence, which may be NULL. */
GBytes *scene_authenticator(const Wire *wire, GBytes *request, AttRole role, const Identity *identity,
                            GBytes *evidence);

/* The check of this name. */
const AttCheck *scene_check(const AttResult *result, const char *name);

#define assert_accepted(result) \
        ck_assert_msg(att_result_accepted(result), "refused: %s", att_result_reason(result))

/* Refused, the first failed check is @name, and its detail has @says in it. */
#define assert_refused(result, name, says)                                                                 \
        do {                                                                                               \
                const char *reason_ = att_result_reason(result);                                           \
                ck_assert_msg(!att_result_accepted(result), "accepted, but expected %s to fail", (name));  \
                ck_assert_msg(g_str_has_prefix(reason_, name ": ") && strstr(reason_, (says)),             \
                              "refused for \"%s\", not for " name " … %s", reason_, (says));               \
        } while (0)
