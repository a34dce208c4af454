/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestd.conf(5). Read once, at the start; root's word, and the only way to
 * widen what a caller gets. */
#pragma once

#include "tee/state-watch.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/* In it attestd.conf, then attestd.conf.d/ with files *.conf in the order of their
 * names. No option and no environment variable moves it. */
#define ATT_CONFIGURATION_DIR "/etc/attestd"
#define ATT_CONFIGURATION_SIZE_MAX (256u * 1024u)

/* Callers that a setting names. */
typedef struct AttGrant {
        GHashTable *units; /* set of char *, of system units */
        GHashTable *uids;  /* set of GUINT_TO_POINTER */
} AttGrant;

/** att_grant_covers: is the caller named? @unit: its system unit; (nullable) */
bool att_grant_covers(const AttGrant *grant, uint32_t uid, const char *unit);

/* What of a caller may leave the guest. */
typedef enum {
        ATT_CALLER_UID = 1 << 0,
        ATT_CALLER_GIDS = 1 << 1,
        ATT_CALLER_LABEL = 1 << 2,
        ATT_CALLER_UNIT = 1 << 3, /* with its kind and its invocation */
        ATT_CALLER_EXE = 1 << 4,
} AttCallerFields;

/* What is to vouch for the IMA log. */
typedef enum {
        ATT_IMA_ROOT_AUTO, /* the TPM if there is one, else claimed */
        ATT_IMA_ROOT_TPM,
        ATT_IMA_ROOT_RTMR,
        ATT_IMA_ROOT_CLAIMED,
        ATT_IMA_ROOT_NONE, /* evidence does not speak of the log */
} AttImaRootWish;

typedef struct AttConfiguration {
        /* [Limits] */
        guint sessions, sessions_per_user, sessions_per_connection;
        guint requests, requests_per_user, requests_per_session;
        guint direct_connections, direct_connections_per_user;

        /* [Access] */
        AttGrant foreign_namespaces;
        GHashTable *direct_uids, *direct_gids; /* sets of GUINT_TO_POINTER */

        /* [Caller] */
        guint caller_fields; /* of AttCallerFields */
        bool observed;

        /* [Ima] */
        AttImaRootWish ima_root;
        guint ima_register; /* which RTMR */
        guint ima_interval_ms;
        bool boot; /* submod boot */

        /* [Tpm] */
        guint ak_handle; /* 0: none, a primary key */

        /* [Snp] */
        guint idle_report_s; /* 0: off */

        /* [StateChange]: what counts as a change of the state */
        bool device, shared_device;
        guint state_changes;    /* of AttStateReasons */
        guint ima_pcrs;         /* set of 1 << PCR */
        char **ima_templates;   /* ascending, none twice; none: all */
        char **ima_ignore_paths; /* likewise; prefixes */
        uint8_t digest[32];     /* of these settings: claim -78003 */

        /* [Profile NAME]: who may have it */
        AttGrant expat_pad, cocos;
} AttConfiguration;

void att_configuration_free(AttConfiguration *configuration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttConfiguration, att_configuration_free)

/** att_configuration_new: as it is without a file */
AttConfiguration *att_configuration_new(void) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_configuration_load: the files of @dir over the defaults
 * @error: %ATT_ERROR_INVALID_ARGUMENT "FILE: [Group] Key=: what is wrong". An unknown
 *         group or key is an error: a setting that was misspelt must not be
 *         one that does not count. So is a file that others can write.
 *
 * That there is no file is fine. A limit of a user that none can reach is warned of.
 */
AttConfiguration *att_configuration_load(const char *dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_configuration_may_connect: to the direct socket. @gids: of uint32_t; (nullable): not known */
bool att_configuration_may_connect(const AttConfiguration *configuration, uint32_t uid, const GArray *gids);

/** att_configuration_apply: one more file. @name: for messages */
gboolean att_configuration_apply(AttConfiguration *configuration, const char *name, const char *text, gsize size,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
