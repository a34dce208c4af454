/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_last_state_parse */
#include "attester/state-file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size) {
        AttLastState state;
        g_autofree char *again = NULL;

        if (!att_last_state_parse(data, size, &state, NULL))
                return 0;

        /* There is one text for each state. */
        again = att_last_state_print(&state);
        if (strlen(again) != size || memcmp(again, data, size) != 0)
                g_abort();
        return 0;
}
