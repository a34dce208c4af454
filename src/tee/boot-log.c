/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/boot-log.h"

#include "codec/event-log.h"
#include "util/error.h"
#include "util/io.h"

#include <fcntl.h>
#include <gio/gio.h>

#define ACPI "/sys/firmware/acpi/tables/"
#define TPM_LOG "/sys/kernel/security/tpm0/binary_bios_measurements"
#define TABLE_HEAD 36u
#define TABLE_SIZE 56u
#define TABLE_MAX 4096u
#define CC_TYPE_TDX 2u

/* Does the firmware say that the area is a TD's? */
static bool is_of_td(GBytes *table) {
        AttCursor c = att_cursor_bytes(table);
        const uint8_t *signature = att_take(&c, 4);

        if (!signature || memcmp(signature, "CCEL", 4) != 0 || g_bytes_get_size(table) < TABLE_SIZE)
                return false;
        (void) att_take(&c, TABLE_HEAD - 4);
        return att_take_u8(&c) == CC_TYPE_TDX;
}

/* A file that is not there is no error: %NULL, and nothing in @error. */
static GBytes *read_if_there(const char *path, gsize max, GError **error) {
        g_autoptr(GError) e = NULL;
        GBytes *bytes = att_read_at(AT_FDCWD, path, max, &e);

        if (!bytes && !g_error_matches(e, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) &&
            !g_error_matches(e, G_IO_ERROR, G_IO_ERROR_NOT_DIRECTORY))
                g_propagate_error(error, g_steal_pointer(&e));
        return bytes;
}

static GBytes *read_log(GError **error) {
        g_autoptr(GError) e = NULL;
        g_autoptr(GBytes) table = read_if_there(ACPI "CCEL", TABLE_MAX, &e);
        GBytes *log = NULL;

        if (table && is_of_td(table))
                return att_read_at(AT_FDCWD, ACPI "data/CCEL", ATT_EVENT_LOG_MAX, error);
        if (!e)
                log = read_if_there(TPM_LOG, ATT_EVENT_LOG_MAX, &e);
        if (e)
                g_propagate_error(error, g_steal_pointer(&e));
        else if (!log)
                (void) att_error_set(error, ATT_ERROR_NO_TEE, "the firmware has left no event log");
        return log;
}

GBytes *att_boot_log_read(GError **error) {
        g_autoptr(GBytes) area = read_log(error);
        AttEventStep step;
        AttEventLog log;
        AttEvent event;

        if (!area || !att_event_log_open(&log, att_cursor_bytes(area), error))
                return NULL;
        while ((step = att_event_log_next(&log, &event, error)) == ATT_EVENT_READ)
                continue;
        return step == ATT_EVENT_END ? g_bytes_new_from_bytes(area, 0, att_event_log_end(&log, NULL)) : NULL;
}
