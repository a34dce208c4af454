/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The unit that a process belongs to, by its control group: systemd.unit(5). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/* Only a system unit is systemd's word for what runs in it. The others are named
 * as what they are: below a user's manager, in a scope and in a container it is
 * somebody else who says which process goes where. */
typedef enum {
        ATT_UNIT_NONE,
        ATT_UNIT_SYSTEM,
        ATT_UNIT_USER,
        ATT_UNIT_SCOPE,
        ATT_UNIT_CONTAINER,
} AttUnitKind;

/** As in C: "system", "user", "scope", "container"; %NULL for none */
const char *att_unit_kind_name(AttUnitKind kind);

typedef struct AttUnit {
        AttUnitKind kind;
        char name[256]; /* "" for none */
} AttUnit;

/**
 * att_unit_from_cgroup: read what /proc/PID/cgroup says
 *
 * Of the unified hierarchy alone. What is not clearly a unit is none.
 */
AttUnit att_unit_from_cgroup(const char *text, gsize size);

/** att_unit_read_invocation: the invocation id that systemd keeps of a system unit */
bool att_unit_read_invocation(const char *name, uint8_t ret[16]);

/** att_unit_name_is_valid: could systemd have a unit of this name, one that has processes? */
bool att_unit_name_is_valid(const char *name);

G_END_DECLS
