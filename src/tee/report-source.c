/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/report-source.h"

void att_tee_sight_clear(AttTeeSight *sight) {
        g_clear_pointer(&sight->provider, g_free);
        g_clear_pointer(&sight->first_other, g_free);
        g_clear_error(&sight->uncounted);
}
