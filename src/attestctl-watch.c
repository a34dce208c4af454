/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestctl watch: a line for each change of this guest, and of attestd. */
#include "attestctl-bus.h"
#include "attestctl-log.h"
#include "attestctl.h"

#include <glib-unix.h>
#include <stdio.h>
#include <string.h>

/* What a line says, and in which order. */
static const struct {
        const char *property;
        const char *key;
} shown[] = {
        { "State", "state" },
        { "StateDetail", "state_detail" },
        { "Tee", "tee" },
        { "Provider", "provider" },
        { "ImaState", "ima_state" },
        { "ImaDetail", "ima_detail" },
        { "ImaRoot", "ima_root" },
        { "RootDetail", "root_detail" },
        { "EventSource", "event_source" },
        { "Generation", "generation" },
        { "BootId", "boot_id" },
        { "InstanceId", "instance_id" },
};

typedef struct Watch {
        GMainLoop *loop;
        GDBusConnection *bus;
        gboolean as_json;
        int status;

        char *owner;          /* unique name of attestd; NULL: it is not there */
        GVariantDict *known;  /* its properties; NULL: not asked for, or not answered yet */
        GCancellable *asking; /* for them */
        guint changes;        /* subscription to its signals */
        guint64 n_entries;    /* of the IMA log that are known */
        bool is_reading;      /* what is new in it */
        bool has_more;        /* and more has come meanwhile */
        bool was_told;        /* that it is there, or is not */
} Watch;

/* ----- lines */

static json_t *line_new(const char *event) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
        json_t *line = json_object();

        json_object_set_new(line, "time", json_string(time));
        json_object_set_new(line, "event", json_string(event));
        return line;
}

static void add_property(json_t *line, GVariantDict *from, const char *property, const char *key) {
        g_autoptr(GVariant) value = g_variant_dict_lookup_value(from, property, NULL);

        if (value && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
                json_object_set_new(line, key, json_string(g_variant_get_string(value, NULL)));
        else if (value && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
                json_object_set_new(line, key, json_integer((json_int_t) g_variant_get_uint64(value)));
}

static void add_reasons(json_t *line, GVariant *reasons) {
        json_t *all = json_array();
        const char *reason;
        GVariantIter i;

        g_variant_iter_init(&i, reasons);
        while (g_variant_iter_next(&i, "&s", &reason))
                json_array_append_new(all, json_string(reason));
        json_object_set_new(line, "reasons", all);
}

/* What people are told before a value that does not speak for itself. */
static const char *word_of(const char *key) {
        static const struct {
                const char *key;
                const char *word;
        } words[] = {
                { "boot_id", "boot " },
                { "instance_id", "instance " },
                { "ima_state", "log " },
                { "ima_root", "root " },
                { "event_source", "events by " },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
                if (g_str_equal(key, words[i].key))
                        return words[i].word;
        return "";
}

/* What of @line people are told, behind time and event. */
static void print_words(const json_t *line) {
        const char *between = "  ", *key;
        json_t *value, *reason;
        size_t n;

        json_object_foreach((json_t *) line, key, value) {
                if (g_str_equal(key, "time") || g_str_equal(key, "event") ||
                    (json_is_string(value) && *json_string_value(value) == '\0'))
                        continue;
                (void) fputs(between, stdout);
                between = ", ";
                if (json_is_integer(value)) {
                        (void) printf("%s %" JSON_INTEGER_FORMAT, key, json_integer_value(value));
                } else if (json_is_array(value)) {
                        json_array_foreach(value, n, reason) {
                                (void) fputs(n > 0 ? " " : "", stdout);
                                ctl_print(json_string_value(reason));
                        }
                } else {
                        (void) fputs(word_of(key), stdout);
                        ctl_print(json_string_value(value));
                }
        }
}

/* Takes @line. Nobody may wait for a line because another one is to come. */
static void print_line(Watch *w, json_t *line) {
        if (w->as_json) {
                (void) json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        } else {
                (void) printf("%s  %-7s", json_string_value(json_object_get(line, "time")),
                              json_string_value(json_object_get(line, "event")));
                print_words(line);
        }
        (void) putchar('\n');
        json_decref(line);
        if (fflush(stdout) != 0) /* main() says so */
                g_main_loop_quit(w->loop);
}

static void print_known(Watch *w, const char *event, guint n) {
        json_t *line = line_new(event);

        for (guint i = 0; i < n; i++)
                add_property(line, w->known, shown[i].property, shown[i].key);
        print_line(w, line);
}

/* ----- what is new in the log */

static void read_entries(Watch *w);

static AttBank listed(const Watch *w) {
        AttBank bank = ATT_BANK_SHA1;
        const char *name;

        if (g_variant_dict_lookup(w->known, "ImaListed", "&s", &name))
                (void) att_bank_from_name(name, &bank);
        return bank;
}

static void print_entry(Watch *w, const AttImaRecord *record) {
        json_t *line = line_new("entry");

        if (w->as_json) {
                json_t *entry = ctl_ima_entry_to_json(record, w->n_entries);

                json_object_update(line, entry);
                json_decref(entry);
                print_line(w, line);
                return;
        }
        (void) printf("%s  %-7s  ", json_string_value(json_object_get(line, "time")), "entry");
        ctl_ima_entry_print(record);
        (void) putchar('\n');
        (void) fflush(stdout);
        json_decref(line);
}

static void print_entries(Watch *w, GBytes *content) {
        gsize size;
        const void *p = g_bytes_get_data(content, &size);
        AttCursor c = att_cursor(p, size);
        AttImaRecord record;

        while (att_ima_record_parse(&c, listed(w), &record, NULL) == ATT_IMA_RECORD) {
                print_entry(w, &record);
                w->n_entries++;
        }
}

/* Who may not read the log sees that it has changed, and no more. */
static void on_log(GObject *bus, GAsyncResult *result, gpointer data) {
        g_autoptr(GUnixFDList) fds = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) answer = g_dbus_connection_call_with_unix_fd_list_finish(G_DBUS_CONNECTION(bus), &fds,
                                                                                     result, &error);
        g_autoptr(GBytes) content = NULL;
        guint64 count;
        Watch *w = data;

        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
                return; /* @data may be gone */
        w->is_reading = false;
        content = answer ? ctl_log_take(answer, fds, &count, NULL) : NULL;
        if (!content)
                return;

        print_entries(w, content);
        if (w->has_more)
                read_entries(w);
}

static void read_entries(Watch *w) {
        w->has_more = w->is_reading;
        if (w->is_reading)
                return;

        w->is_reading = true;
        g_dbus_connection_call_with_unix_fd_list(w->bus, w->owner, CTL_OBJECT, CTL_INTERFACE, "GetLog",
                                                 g_variant_new("(st)", "ima", w->n_entries), G_VARIANT_TYPE("(htt)"),
                                                 G_DBUS_CALL_FLAGS_NONE, CTL_CALL_MS, NULL, w->asking, on_log, w);
}

/* ----- what attestd tells */

static bool is_of_the_log(GVariant *reasons) {
        g_autofree const char **names = g_variant_get_strv(reasons, NULL);

        return g_strv_contains(names, "ima") || g_strv_contains(names, "ima-violation");
}

static void on_state_changed(Watch *w, GVariant *arguments) {
        g_autoptr(GVariant) generation = NULL, reasons = NULL;
        json_t *line;

        if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(tas)")))
                return;

        generation = g_variant_get_child_value(arguments, 0);
        reasons = g_variant_get_child_value(arguments, 1);
        g_variant_dict_insert_value(w->known, "Generation", generation);
        line = line_new("changed");
        add_property(line, w->known, "Generation", "generation");
        add_reasons(line, reasons);
        print_line(w, line);
        if (is_of_the_log(reasons))
                read_entries(w);
}

static void on_properties_changed(Watch *w, GVariant *arguments) {
        g_autoptr(GVariant) changed = NULL;
        bool is_news = false;
        const char *property;
        GVariant *value;
        GVariantIter i;

        if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sa{sv}as)")))
                return;

        changed = g_variant_get_child_value(arguments, 1);
        g_variant_iter_init(&i, changed);
        while (g_variant_iter_next(&i, "{&sv}", &property, &value)) {
                g_autoptr(GVariant) before = g_variant_dict_lookup_value(w->known, property, NULL);

                /* Of the generation StateChanged has told, with reasons. */
                if (!g_str_equal(property, "Generation") && (!before || !g_variant_equal(before, value)))
                        is_news = true;
                g_variant_dict_insert_value(w->known, property, value);
                g_variant_unref(value);
        }
        if (is_news)
                print_known(w, "state", 9);
}

static void on_signal_of_attestd(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                                 const char *signal, GVariant *arguments, gpointer data) {
        Watch *w = data;

        (void) bus, (void) sender, (void) path, (void) interface;
        if (!w->known) /* it has not said what it is now: there is nothing that could change */
                return;
        if (g_str_equal(signal, "StateChanged"))
                on_state_changed(w, arguments);
        else if (g_str_equal(signal, "PropertiesChanged"))
                on_properties_changed(w, arguments);
}

static void on_properties(GObject *bus, GAsyncResult *result, gpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) answer = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
        g_autoptr(GVariant) properties = NULL;
        Watch *w = data;

        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ||
            g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY) ||
            g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER) ||
            g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN))
                return; /* it has gone, which another event says: @data may have, too */
        if (!answer) {
                w->status = ctl_fail(CTL_NO, "attestd does not say what it is: %s", error->message);
                g_main_loop_quit(w->loop);
                return;
        }

        properties = g_variant_get_child_value(answer, 0);
        w->known = g_variant_dict_new(properties);
        if (!g_variant_dict_lookup(w->known, "ImaCount", "t", &w->n_entries))
                w->n_entries = 0;
        w->was_told = true;
        print_known(w, "here", G_N_ELEMENTS(shown));
}

/* ----- attestd comes and goes */

static void forget(Watch *w) {
        if (w->asking)
                g_cancellable_cancel(w->asking);
        g_clear_object(&w->asking);
        if (w->changes)
                g_dbus_connection_signal_unsubscribe(w->bus, w->changes);
        w->changes = 0;
        w->is_reading = w->has_more = false;
        g_clear_pointer(&w->known, g_variant_dict_unref);
        g_clear_pointer(&w->owner, g_free);
}

/* By its unique name: anybody can send signals, and only attestd can be it. */
static void on_appeared(GDBusConnection *bus, const char *name, const char *owner, gpointer data) {
        Watch *w = data;

        (void) name;
        forget(w);
        w->owner = g_strdup(owner);
        w->changes = g_dbus_connection_signal_subscribe(bus, owner, NULL, NULL, CTL_OBJECT, NULL,
                                                        G_DBUS_SIGNAL_FLAGS_NONE, on_signal_of_attestd, w, NULL);
        w->asking = g_cancellable_new();
        g_dbus_connection_call(bus, owner, CTL_OBJECT, "org.freedesktop.DBus.Properties", "GetAll",
                               g_variant_new("(s)", CTL_INTERFACE), G_VARIANT_TYPE("(a{sv})"),
                               G_DBUS_CALL_FLAGS_NONE, CTL_CALL_MS, w->asking, on_properties, w);
}

static void on_vanished(GDBusConnection *bus, const char *name, gpointer data) {
        Watch *w = data;

        (void) name;
        if (!bus) /* on_bus_closed() says it */
                return;
        if (w->owner || !w->was_told)
                print_line(w, line_new("gone"));
        w->was_told = true;
        forget(w);
}

static void on_bus_closed(GDBusConnection *bus, gboolean remote_vanished, GError *error, gpointer data) {
        Watch *w = data;

        (void) bus, (void) remote_vanished, (void) error;
        w->status = ctl_fail(CTL_NO, "the bus is gone, and what attestd does cannot be seen any more");
        g_main_loop_quit(w->loop);
}

static gboolean on_signal(gpointer data) {
        g_main_loop_quit(((Watch *) data)->loop);
        return G_SOURCE_CONTINUE;
}

int ctl_watch(int argc, char **argv) {
        Watch w = { 0 };
        const GOptionEntry options[] = {
                { "json", 0, 0, G_OPTION_ARG_NONE, &w.as_json, "Print each line as a JSON object", NULL },
                { NULL },
        };
        g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
        g_autoptr(GDBusConnection) bus = NULL;
        g_autoptr(GError) error = NULL;
        guint name, sigint, sigterm;

        if (!ctl_parse(argc, argv, options, "", 0,
                       "Prints a line for each change of this guest's state, and when attestd goes and comes\n"
                       "back, until it is interrupted."))
                return CTL_USAGE;

        bus = ctl_bus_connect(FALSE, &error);
        if (!bus)
                return ctl_fail(CTL_NO, "%s", error->message);

        w.loop = loop;
        w.bus = bus;
        sigint = g_unix_signal_add(SIGINT, on_signal, &w);
        sigterm = g_unix_signal_add(SIGTERM, on_signal, &w);
        g_signal_connect(bus, "closed", G_CALLBACK(on_bus_closed), &w);
        name = g_bus_watch_name_on_connection(bus, CTL_NAME, G_BUS_NAME_WATCHER_FLAGS_AUTO_START, on_appeared,
                                              on_vanished, &w, NULL);
        g_main_loop_run(loop);

        g_bus_unwatch_name(name);
        forget(&w);
        g_signal_handlers_disconnect_by_data(bus, &w);
        g_source_remove(sigint);
        g_source_remove(sigterm);
        return w.status;
}
