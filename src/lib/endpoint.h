/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an endpoint holds, for the files of lib/. */
#pragma once

#include "crypto/certificate.h"
#include "lib/attestd.h"

#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

struct AttestdEndpoint {
        gatomicrefcount refs;
        gint is_used; /* atomic; from then on all below is constant */

        /* what it gives; sign is NULL for nothing */
        GPtrArray *certificates; /* of GBytes */
        GBytes *spki;
        AttKey *key;
        AttestdGiveTo give_to; /* as server */
        bool gives_logs;
        AttestdSign sign;
        gpointer userdata;
        GDestroyNotify destroy;

        /* what it asks */
        bool asks;
        char *policy;      /* name, or */
        char *policy_text;
        char *peer_name;
        GPtrArray *anchors; /* of GBytes */

        char *profile;
        bool compat;
        bool takes_batches;
        uint16_t code_point;
        guint max_age_s;
        guint timeout_ms;
        guint patience_ms;
};

/** att_endpoint_use: from now on the endpoint is constant. Returns: a reference */
AttestdEndpoint *att_endpoint_use(AttestdEndpoint *endpoint);

G_END_DECLS
