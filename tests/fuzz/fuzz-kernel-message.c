/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_uevent_begins att_uevent_says att_audit_is_of_integrity att_audit_tells_measurements */
#include "tee/kernel-message.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size) {
        g_autofree char *text = g_strndup((const char *) data, size);

        /* What is said is there, as a whole string. */
        if (att_uevent_says(data, size, "NEW_VMGENID=1") && !memmem(data, size, "\0NEW_VMGENID=1", 15))
                g_abort();
        if (att_uevent_begins(data, size, "change@") && (size < 8 || memcmp(data, "change@", 7) != 0))
                g_abort();
        (void) att_audit_is_of_integrity(data, size);
        if (att_audit_tells_measurements(text) && !strstr(text, "integrity_audit="))
                g_abort();
        return 0;
}
