/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The generation of the guest's runtime state: what evidence of before is older than. */
#pragma once

#include "tee/boot-id.h"

#include <glib.h>
#include <stdint.h>

G_BEGIN_DECLS

typedef struct AttGeneration AttGeneration;

/**
 * AttGenerationListener: who wants to know
 *
 * Embedded in whom it tells.
 */
typedef struct AttGenerationListener {
        /** @reasons: names, ends in %NULL; borrowed. May not add or remove listeners. */
        void (*moved)(struct AttGenerationListener *listener, uint64_t generation, const char *const *reasons);

        /*< private >*/
        GQueue *queue;
        GList link;
} AttGenerationListener;

/** att_generation_new: 1, of this boot and of an instance that begins now */
AttGeneration *att_generation_new(GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_generation_begin_after: at what follows @number, before anybody has seen it */
void att_generation_begin_after(AttGeneration *generation, uint64_t number);
void att_generation_free(AttGeneration *generation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttGeneration, att_generation_free)

uint64_t att_generation_get(const AttGeneration *generation);
const uint8_t *att_generation_boot_id(const AttGeneration *generation);     /* ATT_BOOT_ID_SIZE bytes */
const uint8_t *att_generation_instance_id(const AttGeneration *generation); /* ATT_INSTANCE_ID_SIZE bytes */

/** att_generation_listen: be told in the order in which listeners came */
void att_generation_listen(AttGeneration *generation, AttGenerationListener *listener);
/** att_generation_listen_late: after all of those: for who can wait when sessions cannot */
void att_generation_listen_late(AttGeneration *generation, AttGenerationListener *listener);
/** Fine for a listener that does not listen. */
void att_generation_unlisten(AttGenerationListener *listener);

/* Names of reasons that one move may have. */
#define ATT_GENERATION_REASONS_MAX 16u

/**
 * att_generation_move: the state has changed
 * @reasons: what did: lower-case names that callers are told, such as "device"; each static;
 *           one at least, %ATT_GENERATION_REASONS_MAX at most; ends in %NULL
 *
 * All that a source of changes has to call, once for what it has found in one look.
 */
void att_generation_move(AttGeneration *generation, const char *const *reasons);

/**
 * att_generation_new_instance: it has changed so that nothing compares with before: an instance begins
 *
 * The number moves on as well, for who compares nothing else. Without random bytes
 * for another id the id stays, and it is a move like any other.
 */
void att_generation_new_instance(AttGeneration *generation, const char *const *reasons);

/**
 * att_generation_reasons_since: what has moved it from @number to what it is now, each once
 *
 * Borrowed until the next call; ends in %NULL.
 */
const char *const *att_generation_reasons_since(AttGeneration *generation, uint64_t number);

G_END_DECLS
