/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_unit_from_cgroup, att_process_parse_start_time,
 * att_process_parse_has_uid, att_process_parse_pid_depth,
 * att_process_parse_first_mount, att_process_parse_pidfd */
#include "attester/process.h"
#include "attester/unit.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size) {
        const char *text = (const char *) data;
        AttUnit unit = att_unit_from_cgroup(text, size);
        uint64_t number;
        guint depth;
        pid_t pid;

        /* What it names is there, is text, and ends. */
        if ((unit.kind == ATT_UNIT_NONE) != (unit.name[0] == '\0') || !memchr(unit.name, '\0', sizeof unit.name) ||
            !g_utf8_validate(unit.name, -1, NULL))
                g_abort();
        if (unit.kind == ATT_UNIT_SYSTEM && !att_unit_name_is_valid(unit.name))
                g_abort();

        (void) att_process_parse_start_time(text, size, &number);
        (void) att_process_parse_has_uid(text, size, 1000);
        if (att_process_parse_pid_depth(text, size, &depth) && depth == 0)
                g_abort();
        (void) att_process_parse_first_mount(text, size, &number);
        if (att_process_parse_pidfd(text, size, &pid) && pid <= 0)
                g_abort();
        return 0;
}
