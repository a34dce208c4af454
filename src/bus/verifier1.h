/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.attestd.Verifier1 and its sessions. */
#pragma once

#include "bus/service.h"

G_BEGIN_DECLS

typedef struct AttVerifier1Configuration {
        const char *policy_directory; /* where NAME.policy is */
} AttVerifier1Configuration;

/** att_verifier1_run: as att_service_run() */
AttExit att_verifier1_run(const AttVerifier1Configuration *configuration);

G_END_DECLS
