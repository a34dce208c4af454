/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The part of an appraisal that is the same with and without a connection; for
 * files of verifier/ only. */
#pragma once

#include "verifier/policy-rules.h"
#include "verifier/received.h"
#include "verifier/result-build.h"
#include "verifier/signature-memo.h"

/* What evidence is held against: the relying party's own state, and nothing else. */
typedef struct AttExpected {
        const AttPolicy *policy;       /* (nullable) */
        int64_t at;                    /* seconds since the epoch */
        GPtrArray *extra_certificates; /* of AttCertificate; (nullable) */
        const char *profile;           /* the one asked for; NULL: any that the policy lists */

        bool has_binding;              /* and with it @hash and @role */
        AttHash hash;
        uint8_t binding[ATT_HASH_SIZE_MAX];
        AttRole role;
        bool has_key_hash;
        uint8_t key_hash[ATT_HASH_SIZE_MAX];
        bool has_report_data;
        uint8_t report_data[ATT_REPORT_DATA_SIZE];
        bool batch;                    /* the batch form was offered: else a proof is refused, whatever it proves */

        const AttImaHistory *ima_log;  /* (nullable) */
        const char *no_ima_log;        /* (nullable): why there is none */
        GBytes *boot_log;              /* (nullable) */
        AttSignatureMemo *memo;        /* (nullable): no part of the state, only what is known of signatures already */
        uint32_t memo_user;            /* whose share of it this may take */
} AttExpected;

/* What each appraisal must pass, by the policy: with none, all that it could ask for. */
AttCheckSet att_mandatory_by_policy(const AttPolicy *policy);

/* What evidence of @profile must pass besides; NULL: a bare quote or report. */
AttCheckSet att_mandatory_by_profile(const char *profile);

/** The checks from "profile" on, but for the role in profiles that have none. Does not seal. */
void att_appraise_received(AttResult *result, const AttReceived *received, const AttExpected *expected);
