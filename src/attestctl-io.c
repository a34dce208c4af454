/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In and out of attestctl. */
#include "attestctl.h"

#include "util/bytes.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define INDENT 2
#define KEY_COLUMNS 40

static char *escape(const char *text) {
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        GString *escaped = g_string_new(NULL);

        for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);

                if (g_unichar_isprint(c))
                        g_string_append_unichar(escaped, c);
                else
                        g_string_append_printf(escaped, "\\u%04x", c);
        }
        return g_string_free(escaped, FALSE);
}

int ctl_fail(int status, const char *format, ...) {
        g_autofree char *text = NULL;
        g_autofree char *escaped = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        escaped = escape(text);
        (void) fprintf(stderr, "attestctl: %s\n", escaped);
        return status;
}

char **ctl_parse(int argc, char **argv, const GOptionEntry *options, const char *operands, int n_operands,
                 const char *summary) {
        g_autoptr(GOptionContext) context = g_option_context_new(operands);
        g_autoptr(GError) error = NULL;
        g_autofree char *name = g_strdup_printf("attestctl %s", argv[0]);

        g_set_prgname(name); /* the help says "Usage: attestctl VERB" */
        g_option_context_set_summary(context, summary);
        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                (void) ctl_fail(CTL_USAGE, "%s: see %s --help", error->message, name);
                return NULL;
        }

        /* GLib leaves a "--" that ended the options where it was. */
        if (argc > 1 && g_str_equal(argv[1], "--")) {
                argc--;
                argv++;
        }
        if (argc - 1 != n_operands && (n_operands != CTL_ONE_OR_NONE || argc - 1 > 1)) {
                (void) ctl_fail(CTL_USAGE, "%s: see %s --help", argc - 1 < n_operands ? "a file is missing" :
                                "too many arguments", name);
                return NULL;
        }
        return argv + 1;
}

GBytes *ctl_read_up_to(const char *path, gsize max, GError **error) {
        g_autoptr(GByteArray) all = g_byte_array_new();
        att_autofd int opened = -1;
        int fd = STDIN_FILENO;

        if (!g_str_equal(path, "-"))
                fd = opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0) {
                att_error_set_errno(error, errno, "cannot open %s", path);
                return NULL;
        }

        for (;;) {
                uint8_t step[16 * 1024];
                ssize_t n = read(fd, step, sizeof step);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        att_error_set_errno(error, errno, "cannot read %s", path);
                        return NULL;
                }
                if (n == 0)
                        return g_byte_array_free_to_bytes(g_steal_pointer(&all));
                if (all->len + (size_t) n > max) {
                        att_error_set(error, ATT_ERROR_TOO_LARGE, "%s is over %zu bytes", path, max);
                        return NULL;
                }
                g_byte_array_append(all, step, (guint) n);
        }
}

GBytes *ctl_read(const char *path, GError **error) {
        return ctl_read_up_to(path, CTL_INPUT_MAX, error);
}

GBytes *ctl_unhex(const char *text) {
        g_autoptr(GByteArray) all = g_byte_array_new();

        for (; text[0]; text += 2) {
                uint8_t byte;

                if (!g_ascii_isxdigit(text[0]) || !g_ascii_isxdigit(text[1]))
                        return NULL;
                byte = (uint8_t) (g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
                g_byte_array_append(all, &byte, 1);
        }
        return g_byte_array_free_to_bytes(g_steal_pointer(&all));
}

char *ctl_hex(const void *data, size_t size) {
        char *text = g_malloc(2 * size + 1);

        att_hex(data, size, text);
        return text;
}

void ctl_print(const char *text) {
        g_autofree char *escaped = escape(text);

        (void) fputs(escaped, stdout);
}

void ctl_print_object(json_t *object, bool as_json) {
        if (as_json)
                ctl_print_json(object);
        else
                ctl_print_tree(object, 0);
        json_decref(object);
}

void ctl_print_json(const json_t *value) {
        /* ASCII, as a terminal would obey some control characters beyond it. */
        if (json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) == 0)
                (void) putchar('\n');
}

static void print_scalar(const json_t *value) {
        switch (json_typeof(value)) {
        case JSON_STRING:
                ctl_print(*json_string_value(value) ? json_string_value(value) : "-");
                break;
        case JSON_INTEGER:
                (void) printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
                break;
        case JSON_TRUE:
                (void) printf("yes");
                break;
        case JSON_FALSE:
                (void) printf("no");
                break;
        case JSON_REAL:
                (void) printf("%g", json_real_value(value));
                break;
        case JSON_NULL:
        case JSON_OBJECT:
        case JSON_ARRAY:
                (void) printf("-");
                break;
        }
}

static bool is_flat(const json_t *array) {
        for (size_t i = 0; i < json_array_size(array); i++)
                if (json_is_object(json_array_get(array, i)) || json_is_array(json_array_get(array, i)))
                        return false;
        return true;
}

static bool is_nested(const json_t *value) {
        return json_is_object(value) || (json_is_array(value) && !is_flat(value));
}

static void print_flat(const json_t *value) {
        if (!json_is_array(value))
                print_scalar(value);
        for (size_t i = 0; i < json_array_size(value); i++) {
                (void) printf("%s", i > 0 ? ", " : "");
                print_scalar(json_array_get(value, i));
        }
}

void ctl_print_tree(const json_t *value, int depth) {
        int columns = 0;
        const char *key;
        json_t *v;

        json_object_foreach((json_t *) value, key, v)
                columns = MAX(columns, (int) MIN(strlen(key), KEY_COLUMNS));

        json_object_foreach((json_t *) value, key, v) {
                (void) printf("%*s", INDENT * depth, "");
                ctl_print(key);
                if (!is_nested(v)) {
                        (void) printf("%*s", MAX(columns - (int) MIN(strlen(key), KEY_COLUMNS), 0) + 2, "");
                        print_flat(v);
                }
                (void) putchar('\n');

                if (json_is_object(v))
                        ctl_print_tree(v, depth + 1);
                for (size_t i = 0; is_nested(v) && i < json_array_size(v); i++) {
                        (void) printf("%*s%zu\n", INDENT * (depth + 1), "", i);
                        ctl_print_tree(json_array_get(v, i), depth + 2);
                }
        }
}

int ctl_flush(int status) {
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        return ctl_fail(CTL_USAGE, "cannot write to stdout");
}
