/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/event-text.h"

#include "codec/certificate-table.h"

#define GUID_SIZE 16u
#define NAME_SIZE 16u /* of what an EV_NO_ACTION is */
#define VARIABLE_NAME_MAX 1024u /* UTF-16 units */
#define SEPARATOR_SIZE 4u
#define IMAGE_HEAD 32u /* address, size, link address, size of the path */
#define NODE_FILE_TYPE 4u /* media device path, file path */
#define NODE_FILE_SUBTYPE 4u
#define NODE_END 0x7fu

enum {
        POST_CODE = 0x01,
        ACTION = 0x05,
        TAG = 0x06,
        S_CRTM_CONTENTS = 0x07,
        S_CRTM_VERSION = 0x08,
        CPU_MICROCODE = 0x09,
        PLATFORM_CONFIG_FLAGS = 0x0a,
        COMPACT_HASH = 0x0c,
        IPL = 0x0d,
        NONHOST_INFO = 0x11,
        OMIT_BOOT_DEVICE_EVENTS = 0x12,
        VARIABLE_DRIVER_CONFIG = 0x80000001,
        VARIABLE_BOOT = 0x80000002,
        BOOT_SERVICES_APPLICATION = 0x80000003,
        BOOT_SERVICES_DRIVER = 0x80000004,
        RUNTIME_SERVICES_DRIVER = 0x80000005,
        EFI_ACTION = 0x80000007,
        FIRMWARE_BLOB2 = 0x8000000a,
        HANDOFF_TABLES2 = 0x8000000b,
        VARIABLE_BOOT2 = 0x8000000c,
        HCRTM = 0x80000010,
        VARIABLE_AUTHORITY = 0x800000e0,
};

/* Without the NUL at the end; %NULL unless all of it is ASCII that can be printed. */
static char *dup_ascii(AttCursor c) {
        while (c.left > 0 && c.at[c.left - 1] == 0)
                c.left--;
        for (size_t i = 0; i < c.left; i++)
                if (!g_ascii_isprint(c.at[i]) && c.at[i] != '\n' && c.at[i] != '\t')
                        return NULL;
        return c.left > 0 ? g_strndup((const char *) c.at, c.left) : NULL;
}

/* UTF-16, little-endian, to its NUL or its end; %NULL if it is not, or empty. */
static char *dup_utf16(AttCursor c) {
        g_autofree gunichar2 *units = NULL;
        size_t n = c.left / 2, used = 0;

        if (c.left % 2 != 0 || n == 0)
                return NULL;
        units = g_new(gunichar2, n);
        while (used < n && (units[used] = att_take_u16le(&c)) != 0)
                used++;
        return used > 0 ? g_utf16_to_utf8(units, (glong) used, NULL, NULL, NULL) : NULL;
}

/* Either. Any bytes are UTF-16 of some script, so that a line has to begin with Latin. */
static char *dup_line(AttCursor c) {
        char *text = dup_ascii(c);

        return text || c.left < 2 || c.at[1] != 0 ? text : dup_utf16(c);
}

/* As the GUID is written: its first three fields are numbers, little-endian. */
static char *dup_guid(const uint8_t *p) {
        static const uint8_t order[GUID_SIZE] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
        uint8_t printed[GUID_SIZE];

        for (size_t i = 0; i < GUID_SIZE; i++)
                printed[i] = p[order[i]];
        return att_guid_dup_text(printed);
}

typedef struct {
        const uint8_t *guid;
        AttCursor name;
        AttCursor value;
} Variable;

static bool parse_variable(AttCursor c, Variable *ret) {
        Variable v = { .guid = att_take(&c, GUID_SIZE) };
        uint64_t name = att_take_u64le(&c), value = att_take_u64le(&c);

        if (c.failed || name > VARIABLE_NAME_MAX || value > c.left)
                return false;
        v.name = att_take_sub(&c, 2 * (size_t) name);
        v.value = att_take_sub(&c, (size_t) value);
        if (!att_cursor_is_spent(&c))
                return false;
        *ret = v;
        return true;
}

static char *dup_variable(AttCursor data) {
        g_autofree char *name = NULL;
        g_autofree char *guid = NULL;
        Variable v;

        if (!parse_variable(data, &v))
                return NULL;
        name = dup_utf16(v.name);
        guid = dup_guid(v.guid);
        /* SecureBoot, AuditMode and their like. */
        if (v.value.left == 1)
                return g_strdup_printf("%s-%s = %u", name ? name : "", guid, v.value.at[0]);
        return g_strdup_printf("%s-%s, %zu bytes", name ? name : "", guid, v.value.left);
}

/* Of an image's device path the file, if it was loaded from one. */
static char *dup_image_path(AttCursor data) {
        (void) att_take(&data, IMAGE_HEAD);
        while (!data.failed && data.left > 0) {
                uint8_t type = att_take_u8(&data), subtype = att_take_u8(&data);
                uint16_t size = att_take_u16le(&data);
                AttCursor node;

                if (size < 4 || type == NODE_END)
                        return NULL;
                node = att_take_sub(&data, size - 4u);
                if (!node.failed && type == NODE_FILE_TYPE && subtype == NODE_FILE_SUBTYPE)
                        return dup_utf16(node);
        }
        return NULL;
}

static char *dup_no_action(AttCursor data) {
        const uint8_t *p = att_take(&data, NAME_SIZE);
        g_autofree char *name = p ? dup_ascii(att_cursor(p, NAME_SIZE)) : NULL;

        if (!name)
                return NULL;
        if (g_str_equal(name, ATT_EVENT_STARTUP_LOCALITY) && data.left == 1)
                return g_strdup_printf("%s %u", name, data.at[0]);
        return g_steal_pointer(&name);
}

static char *dup_tag(AttCursor data) {
        AttCursor whole = data;
        uint32_t tag = att_take_u32le(&data), size = att_take_u32le(&data);
        g_autofree char *text = NULL;

        if (data.failed || size != data.left)
                return dup_line(whole);
        text = dup_line(data);
        return text ? g_strdup_printf("0x%08x: %s", tag, text) : g_strdup_printf("0x%08x, %u bytes", tag, size);
}

/* What comes first in both: a size of one byte, and a name. */
static char *dup_described(AttCursor data) {
        uint8_t size = att_take_u8(&data);

        return dup_ascii(att_take_sub(&data, size));
}

static char *dup_version(AttCursor data) {
        char *text = dup_utf16(data);

        if (!text && data.left == GUID_SIZE)
                text = dup_guid(data.at);
        return text;
}

char *att_event_dup_text(const AttEvent *event) {
        AttCursor data = event->data;

        switch (event->type) {
        case ATT_EVENT_NO_ACTION:
                return dup_no_action(data);
        case ATT_EVENT_SEPARATOR:
                return data.left == SEPARATOR_SIZE ? g_strdup_printf("0x%08x", att_take_u32le(&data)) : dup_ascii(data);
        case S_CRTM_VERSION:
                return dup_version(data);
        case TAG:
                return dup_tag(data);
        case VARIABLE_DRIVER_CONFIG:
        case VARIABLE_BOOT:
        case VARIABLE_BOOT2:
        case VARIABLE_AUTHORITY:
                return dup_variable(data);
        case BOOT_SERVICES_APPLICATION:
        case BOOT_SERVICES_DRIVER:
        case RUNTIME_SERVICES_DRIVER:
                return dup_image_path(data);
        case FIRMWARE_BLOB2:
        case HANDOFF_TABLES2:
                return dup_described(data);
        case POST_CODE:
        case ACTION:
        case S_CRTM_CONTENTS:
        case CPU_MICROCODE:
        case PLATFORM_CONFIG_FLAGS:
        case COMPACT_HASH:
        case NONHOST_INFO:
        case OMIT_BOOT_DEVICE_EVENTS:
        case EFI_ACTION:
        case HCRTM:
                return dup_ascii(data);
        case IPL:
                return dup_line(data);
        default:
                return NULL;
        }
}

size_t att_event_parts(const AttEvent *event, AttCursor ret[ATT_EVENT_PARTS_MAX]) {
        AttCursor line = event->data, whole;
        const uint8_t *blank;
        Variable v;

        if (event->type == VARIABLE_BOOT && parse_variable(event->data, &v)) {
                ret[0] = v.value;
                return 1;
        }
        if (event->type != IPL || line.left == 0)
                return 0;
        blank = memchr(line.at, ' ', line.left);
        if (!blank)
                return 0;
        (void) att_take(&line, (size_t) (blank - line.at) + 1);
        whole = line;
        while (line.left > 0 && line.at[line.left - 1] == 0)
                line.left--;
        ret[0] = line;
        ret[1] = whole;
        return line.left == whole.left ? 1 : 2;
}
