/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's IMA as far as it can be seen: its lists in securityfs, and PCR 10 of a
 * TPM. What is measured is told by the control socket. */
#pragma once

#include "files.h"
#include "tpm.h"

G_BEGIN_DECLS

typedef struct Ima Ima;

/**
 * ima_new: shows ima/ in @files, with boot_aggregate as its first entry
 * @tpm: (nullable): whose banks have lists beside sha1's, and whose PCRs are extended
 */
Ima *ima_new(Files *files, Tpm *tpm) G_GNUC_WARN_UNUSED_RESULT;
void ima_free(Ima *ima);

/**
 * ima_command: a line of the control socket without "ima"
 * @ret:  on success, the words after "ok"; to be freed
 * @done: called at once, or when the TPM has been extended; not after a failure
 *
 * Returns: NULL, or why not, or what it should have been; to be freed
 */
char *ima_command(Ima *ima, char **words, char **ret, void (*done)(gpointer), gpointer userdata);

/** ima_help: the commands, a line each */
const char *ima_help(void);

G_END_DECLS
