/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When the kernel has added an entry to its IMA log: the time that its own probe notes
 * as ima_add_template_entry() returns, on CLOCK_MONOTONIC. For one processor. */
#pragma once

#include <stdint.h>

/* Returns: the descriptor, to poll. Ends the program if it may not. */
int appended_watch(void);

/* Of the last return since the last call, in nanoseconds; 0: there was none. */
int64_t appended_when(void);
