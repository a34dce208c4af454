/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The measurement registers of a TD, as Linux 6.16 shows them in sysfs (tsm-mr), and
 * tdx_guest, whose ioctl tells them without a quote. They are those of the forge's quotes. */
#pragma once

#include "files.h"
#include "forge.h"
#include "witness.h"

G_BEGIN_DECLS

typedef struct Registers Registers;

/**
 * registers_new: shows measurements/ and dev/tdx_guest in @files
 * @changed: called when a call is held
 */
Registers *registers_new(Files *files, Forge *forge, Witness *witness, void (*changed)(gpointer), gpointer userdata)
        G_GNUC_WARN_UNUSED_RESULT;
void registers_free(Registers *registers);

/** registers_extend: by another way than sysfs, which does not hear of it. Returns: is there such an RTMR? */
bool registers_extend(Registers *registers, guint number, const uint8_t data[FORGE_REGISTER_SIZE]);

/** registers_fail: what the ioctl, and each write to an RTMR, give from now on; 0: nothing */
void registers_fail(Registers *registers, int ioctl_error, int write_error);

/** registers_hold: the @nth of the next successful ioctls, or writes, is done, and not answered */
void registers_hold(Registers *registers, bool is_ioctl, guint64 nth);
/** registers_release: answers what is held, and nothing more is; to be called before the files go */
void registers_release(Registers *registers);
guint registers_count_held(const Registers *registers);

G_END_DECLS
