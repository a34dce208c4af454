/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestctl status: the properties of org.attestd.Attester1. */
#include "attestctl-bus.h"
#include "attestctl.h"
#include "util/duration.h"

#include <stdio.h>

/* "ImaRoot" is ima_root in JSON, and "ima root" for people. */
static char *property_key(const char *name, char between) {
        GString *key = g_string_new(NULL);

        for (const char *p = name; *p; p++) {
                if (g_ascii_isupper(*p) && p > name)
                        g_string_append_c(key, between);
                g_string_append_c(key, g_ascii_tolower(*p));
        }
        return g_string_free(key, FALSE);
}

static json_t *property_value(GVariant *value) {
        json_t *all;

        if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
                return json_string(g_variant_get_string(value, NULL));
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
                return json_integer((json_int_t) g_variant_get_uint64(value));
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
                return json_integer(g_variant_get_uint32(value));
        if (!g_variant_is_of_type(value, G_VARIANT_TYPE_STRING_ARRAY))
                return json_null();

        all = json_array();
        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                const char *text;

                g_variant_get_child(value, i, "&s", &text);
                json_array_append_new(all, json_string(text));
        }
        return all;
}

static json_t *describe(GVariant *properties, char between) {
        json_t *all = json_object();
        GVariantIter i;
        const char *name;
        GVariant *value;

        g_variant_iter_init(&i, properties);
        while (g_variant_iter_next(&i, "{&sv}", &name, &value)) {
                g_autofree char *key = property_key(name, between);

                json_object_set_new(all, key, property_value(value));
                g_variant_unref(value);
        }
        return all;
}

static json_int_t number(const json_t *all, const char *key) {
        return json_integer_value(json_object_get(all, key));
}

static void say_duration(json_t *all, const char *key) {
        json_int_t us = number(all, key);
        g_autofree char *text = us > 0 ? att_duration_about(us) : g_strdup("");

        if (json_object_get(all, key)) /* an attestd of another version may not have it */
                json_object_set_new(all, key, json_string(text));
}

/* Microseconds are for programs. */
static void say_pace(json_t *all) {
        json_int_t count = number(all, "report throttle count");
        g_autofree char *period = att_duration_about(number(all, "report throttle period"));
        g_autofree char *throttle = count > 0 ? g_strdup_printf("%d in %s", (int) count, period) : g_strdup("");

        say_duration(all, "report interval");
        say_duration(all, "report wait");
        if (json_object_del(all, "report throttle count") == 0)
                json_object_set_new(all, "report throttle", json_string(throttle));
        (void) json_object_del(all, "report throttle period");
}

int ctl_status(int argc, char **argv) {
        gboolean as_json = FALSE, direct = FALSE;
        const GOptionEntry options[] = {
                { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print one JSON object", NULL },
                { "direct", 0, 0, G_OPTION_ARG_NONE, &direct, CTL_DIRECT_HELP, NULL },
                { NULL },
        };
        g_autoptr(GDBusConnection) bus = NULL;
        json_t *all;
        g_autoptr(GVariant) answer = NULL, properties = NULL;
        g_autoptr(GError) error = NULL;
        const char *state = "";

        if (!ctl_parse(argc, argv, options, "", 0, "Prints what attestd says of this guest and its TEE."))
                return CTL_USAGE;

        bus = ctl_bus_connect(direct, &error);
        if (bus)
                answer = ctl_bus_call(bus, CTL_OBJECT, "org.freedesktop.DBus.Properties", "GetAll",
                                      g_variant_new("(s)", CTL_INTERFACE), "(a{sv})", CTL_CALL_MS, &error);
        if (!answer)
                return ctl_fail(CTL_NO, "%s", error->message);

        properties = g_variant_get_child_value(answer, 0);
        all = describe(properties, as_json ? '_' : ' ');
        if (!as_json)
                say_pace(all);
        ctl_print_object(all, as_json);

        (void) g_variant_lookup(properties, "State", "&s", &state);
        return g_str_equal(state, "no-tee") || g_str_equal(state, "device-lost") ? CTL_NO : CTL_YES;
}
