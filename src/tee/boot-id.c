/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/boot-id.h"

#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#define TEXT_SIZE 37u /* with its line feed */

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

gboolean att_boot_id_parse(const void *text, gsize size, uint8_t ret[ATT_BOOT_ID_SIZE], GError **error) {
        uint8_t id[ATT_BOOT_ID_SIZE];
        const char *p = text;

        if (size != TEXT_SIZE || p[TEXT_SIZE - 1] != '\n')
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "the kernel's boot id is not 36 characters and a line feed");

        for (guint i = 0; i < ATT_BOOT_ID_SIZE; i++) {
                int high, low;

                if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
                        return att_error_set(error, ATT_ERROR_BAD_DATA, "the kernel's boot id is not a UUID");

                high = hex_value(*p++);
                low = hex_value(*p++);
                if (high < 0 || low < 0)
                        return att_error_set(error, ATT_ERROR_BAD_DATA, "the kernel's boot id is not a UUID");
                id[i] = (uint8_t) (high << 4 | low);
        }

        memcpy(ret, id, sizeof id);
        return TRUE;
}

gboolean att_boot_id_read(uint8_t ret[ATT_BOOT_ID_SIZE], GError **error) {
        g_autoptr(GBytes) text = att_read_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", TEXT_SIZE, error);
        const void *p;
        gsize size;

        if (!text)
                return FALSE;

        p = g_bytes_get_data(text, &size);
        return att_boot_id_parse(p, size, ret, error);
}

gboolean att_instance_id_new(uint8_t ret[ATT_INSTANCE_ID_SIZE], GError **error) {
        uint8_t id[ATT_INSTANCE_ID_SIZE];

        /* This little comes whole, or not at all, once the generator is seeded. */
        if (getrandom(id, sizeof id, 0) != (gssize) sizeof id)
                return att_error_set_errno(error, errno, "no random bytes for the instance id");

        memcpy(ret, id, sizeof id);
        return TRUE;
}
