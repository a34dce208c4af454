/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control socket: a line in, an answer out; see control_help(). */
#pragma once

#include "ima.h"
#include "registers.h"
#include "tpm.h"
#include "tree.h"
#include "tsm.h"

#include <glib.h>

G_BEGIN_DECLS

typedef struct Control Control;

/* What it controls; all are borrowed. */
typedef struct ControlOf {
        Tsm *tsm;
        Tree *tree;
        Faults *faults;
        Witness *witness;
        Ima *ima;             /* (nullable), like the next two */
        Registers *registers;
        Tpm *tpm;
        void (*quit)(gpointer);
        gpointer userdata;
} ControlOf;

/** control_new: listens on @path, which only its owner may use */
Control *control_new(const char *path, const ControlOf *of, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void control_free(Control *control);

/** control_changed: a figure has changed; who waits for one is answered */
void control_changed(Control *control);

/** control_help: every command, a line each */
const char *control_help(void);

G_END_DECLS
