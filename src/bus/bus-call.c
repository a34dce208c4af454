/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/bus-call.h"

#include "bus/bus-error.h"
#include "crypto/digest.h"
#include "util/error.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* More options than any method has: they are counted in a word. */
#define OPTIONS_MAX 32u

static int refuse(sd_bus_error *ret, const char *format, ...) G_GNUC_PRINTF(2, 3);

static int refuse(sd_bus_error *ret, const char *format, ...) {
        GError *error;
        va_list ap;

        va_start(ap, format);
        error = g_error_new_valist(ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT, format, ap);
        va_end(ap);
        return att_bus_error_take(ret, error);
}

static bool is_end(const sd_bus_vtable *v) {
        return v->type == _SD_BUS_VTABLE_END;
}

int att_call_check_signature(sd_bus_message *call, const char *interface, const sd_bus_vtable *vtable,
                             sd_bus_error *error) {
        const char *all = sd_bus_message_get_signature(call, true), *given = all ? all : "";

        for (const sd_bus_vtable *v = vtable; !is_end(v); v++) {
                const char *wanted = v->x.method.signature ? v->x.method.signature : "";

                if (v->type != _SD_BUS_VTABLE_METHOD ||
                    sd_bus_message_is_method_call(call, interface, v->x.method.member) <= 0)
                        continue;
                if (g_str_equal(given, wanted))
                        return 0;
                return refuse(error, "%s takes arguments of type \"%s\", not \"%s\"", v->x.method.member, wanted,
                              given);
        }
        return 0;
}

bool att_call_is_direct(sd_bus_message *call) {
        return sd_bus_is_bus_client(sd_bus_message_get_bus(call)) <= 0;
}

const char *att_call_name(sd_bus_message *call) {
        const char *name = NULL;

        if (!att_call_is_direct(call))
                return sd_bus_message_get_sender(call);
        (void) sd_bus_get_description(sd_bus_message_get_bus(call), &name);
        return name;
}

int att_call_read_bytes(sd_bus_message *call, const char *name, size_t min, size_t max, const void **ret,
                        size_t *ret_size, sd_bus_error *error) {
        const void *p;
        size_t size;
        int r;

        r = sd_bus_message_read_array(call, 'y', &p, &size);
        if (r < 0)
                return r;

        if (size < min || size > max) {
                if (min == max)
                        return refuse(error, "%s must have exactly %zu bytes, not %zu", name, min, size);
                return refuse(error, "%s must have %zu to %zu bytes, not %zu", name, min, max, size);
        }

        *ret = p;
        *ret_size = size;
        return 0;
}

static int too_long(const AttOption *o, sd_bus_error *error) {
        return refuse(error, "option \"%s\" is over %zu bytes", o->name, o->max);
}

int att_call_read_list(sd_bus_message *call, const char *name, guint max_items, size_t max_size, GPtrArray **ret,
                       sd_bus_error *error) {
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        const void *p;
        size_t size;
        int r;

        r = sd_bus_message_enter_container(call, 'a', "ay");
        while (r >= 0) {
                r = sd_bus_message_at_end(call, false);
                if (r != 0)
                        break;
                r = sd_bus_message_read_array(call, 'y', &p, &size);
                if (r < 0)
                        break;
                if (size > max_size)
                        return refuse(error, "%s has an item over %zu bytes", name, max_size);
                if (list->len >= max_items)
                        return refuse(error, "%s has more than %u items", name, max_items);
                g_ptr_array_add(list, g_bytes_new(p, size));
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(call);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&list);
        return 0;
}

static int read_numbers(sd_bus_message *call, const AttOption *o, sd_bus_error *error) {
        GArray *numbers;
        const void *p;
        size_t size;
        int r;

        r = sd_bus_message_read_array(call, 'q', &p, &size);
        if (r < 0)
                return r;
        if (o->max > 0 && size > o->max * sizeof(uint16_t))
                return refuse(error, "option \"%s\" has more than %zu numbers", o->name, o->max);

        numbers = g_array_new(FALSE, FALSE, sizeof(uint16_t));
        g_array_append_vals(numbers, p, (guint) (size / sizeof(uint16_t)));
        *(GArray **) o->ret = numbers;
        return 0;
}

static int read_value(sd_bus_message *call, const AttOption *o, sd_bus_error *error) {
        const char *text;
        const void *p;
        size_t size;
        int flag, r;

        if (g_str_equal(o->type, "aay")) {
                g_autofree char *name = g_strdup_printf("option \"%s\"", o->name);

                return att_call_read_list(call, name, ATT_OPTION_ITEMS_MAX, o->max > 0 ? o->max : SIZE_MAX, o->ret,
                                          error);
        }
        if (g_str_equal(o->type, "aq"))
                return read_numbers(call, o, error);

        if (g_str_equal(o->type, "ay")) {
                r = sd_bus_message_read_array(call, 'y', &p, &size);
                if (r < 0)
                        return r;
                if (o->max > 0 && size > o->max)
                        return too_long(o, error);
                *(GBytes **) o->ret = g_bytes_new(p, size);
                return 0;
        }

        switch (o->type[0]) {
        case 's':
                r = sd_bus_message_read_basic(call, 's', &text);
                if (r < 0)
                        return r;
                if (o->max > 0 && strlen(text) > o->max)
                        return too_long(o, error);
                *(const char **) o->ret = text;
                return 0;
        case 'b':
                r = sd_bus_message_read_basic(call, 'b', &flag);
                if (r >= 0)
                        *(bool *) o->ret = flag != 0;
                return r;
        case 'q':
        case 'u':
        case 't':
        case 'h':
                return sd_bus_message_read_basic(call, o->type[0], o->ret);
        default:
                g_return_val_if_reached(-EINVAL);
        }
}

static int read_option(sd_bus_message *call, const AttOption *options, uint32_t *seen, sd_bus_error *error) {
        g_autofree char *shown = NULL;
        const char *name, *type;
        size_t i = 0;
        int r;

        r = sd_bus_message_read_basic(call, 's', &name);
        if (r < 0)
                return r;

        while (options[i].name && !g_str_equal(options[i].name, name))
                i++;
        shown = g_utf8_substring(name, 0, MIN(g_utf8_strlen(name, -1), 64));
        if (!options[i].name)
                return att_bus_error_set(error, ATT_ERROR_UNKNOWN_OPTION, "there is no option \"%s\"", shown);
        if (*seen & 1u << i)
                return refuse(error, "option \"%s\" comes twice", shown);
        *seen |= 1u << i;

        r = sd_bus_message_peek_type(call, NULL, &type);
        if (r < 0)
                return r;
        for (size_t k = i; options[k].name; k++)
                if (g_str_equal(options[k].name, name) && g_str_equal(options[k].type, type))
                        i = k;
        if (!g_str_equal(type, options[i].type))
                return refuse(error, "option \"%s\" is of type \"%s\", not \"%s\"", shown, options[i].type, type);

        r = sd_bus_message_enter_container(call, 'v', options[i].type);
        if (r >= 0)
                r = read_value(call, &options[i], error);
        if (r >= 0)
                r = sd_bus_message_exit_container(call);
        return r;
}

int att_call_read_options(sd_bus_message *call, const AttOption *options, sd_bus_error *error) {
        uint32_t seen = 0;
        int r;

        r = sd_bus_message_enter_container(call, 'a', "{sv}");
        while (r >= 0) {
                r = sd_bus_message_enter_container(call, 'e', "sv");
                if (r <= 0)
                        break;
                r = read_option(call, options, &seen, error);
                if (r >= 0)
                        r = sd_bus_message_exit_container(call);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(call);
        if (r < 0)
                return r;

        for (size_t i = 0; options[i].name; i++) {
                g_return_val_if_fail(i < OPTIONS_MAX, -EINVAL);
                if (options[i].is_mandatory && !(seen & 1u << i))
                        return refuse(error, "\"%s\" is missing", options[i].name);
        }
        return 0;
}

void att_secret_free(AttSecret *secret) {
        gsize size;
        gpointer data;

        if (!secret)
                return;
        data = g_bytes_unref_to_data(secret, &size);
        if (data)
                att_cleanse(data, size);
        g_free(data);
}

gboolean att_secret_read(AttSecret *secret, const char *name, size_t size, uint8_t *ret, GError **error) {
        gsize given;
        const void *p = g_bytes_get_data(secret, &given);

        if (given != size)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                     "\"%s\" has exactly %zu bytes with the hash of this session, not %zu", name, size,
                                     given);
        memcpy(ret, p, size);
        return TRUE;
}
