/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attester1.h"

#include "bus/attester1-parts.h"
#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-source.h"

#include <string.h>

/* ----- refusals */

void att_attester1_log_refusal(Attester1 *a, const char *sender, const char *who, const char *what, const char *why) {
        guint left_out;
        bool is_written = att_log_limit_take(&a->refusals, &left_out);

        if (left_out > 0)
                g_message("%u more refusals", left_out);
        if (is_written)
                g_message("refused %.96s to %s (%s): %s", what, sender ? sender : "?", who ? who : "user not known",
                          why);
}

/* ----- signals */

/* Signals to all: on the system bus to whom listens, on the direct socket to each connection. */
static void tell_all(Attester1 *a, void (*tell)(sd_bus *bus, gpointer userdata), gpointer userdata) {
        tell(a->bus, userdata);
        if (a->direct)
                att_direct_foreach(a->direct, tell, userdata);
}

/* @userdata: names of properties */
static void tell_changed(sd_bus *bus, gpointer userdata) {
        int r = sd_bus_emit_properties_changed_strv(bus, PATH, NAME, userdata);

        if (r < 0)
                att_bus_log_unsent("PropertiesChanged", r);
}

/* Who only looks at properties waits for those whose evidence is stale. */
static gboolean on_moved_told(gpointer userdata) {
        Attester1 *a = userdata;
        const uint8_t *instance_id = att_generation_instance_id(att_attester_generation(a->attester));
        bool is_another = memcmp(a->instance_id, instance_id, sizeof a->instance_id) != 0;

        tell_all(a, tell_changed, (const char *[]) { "Generation", is_another ? "InstanceId" : NULL, NULL });
        memcpy(a->instance_id, instance_id, sizeof a->instance_id);
        a->moved_told = 0;
        return G_SOURCE_REMOVE;
}

typedef struct Move {
        uint64_t generation;
        const char *const *reasons;
} Move;

static void tell_moved(sd_bus *bus, gpointer userdata) {
        const Move *move = userdata;
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = sd_bus_message_new_signal(bus, &m, PATH, NAME, "StateChanged");
        if (r >= 0)
                r = sd_bus_message_append(m, "t", move->generation);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) move->reasons);
        if (r >= 0)
                r = sd_bus_send(bus, m, NULL);
        if (r < 0)
                att_bus_log_unsent("StateChanged", r);
}

static void on_generation_moved(AttGenerationListener *listener, uint64_t generation, const char *const *reasons) {
        Attester1 *a = (Attester1 *) (void *) ((char *) listener - G_STRUCT_OFFSET(Attester1, listener));

        tell_all(a, tell_moved, &(Move) { generation, reasons });
        if (a->moved_told == 0)
                a->moved_told = g_idle_add_full(G_PRIORITY_HIGH, on_moved_told, a, NULL);
}

static void on_tee_changed(AttAttester *attester, gpointer userdata) {
        (void) attester;
        tell_all(userdata, tell_changed,
                 (const char *[]) { "Tee", "Provider", "ReportSource", "State", "StateDetail", NULL });
}

static void on_runtime_changed(AttAttester *attester, gpointer userdata) {
        (void) attester;
        tell_all(userdata, tell_changed,
                 (const char *[]) { "ImaState", "ImaDetail", "ImaListed", "ImaRoot", "RootDetail", "EventSource",
                                    "EventDetail", NULL });
}

static const AttAttesterEvents attester_events = {
        .tee_changed = on_tee_changed,
        .runtime_changed = on_runtime_changed,
};

/* ----- GetLog */

static void on_log_refused(const char *sender, const char *who, const char *why, gpointer userdata) {
        att_attester1_log_refusal(userdata, sender, who, "GetLog", why);
}

/* GetLog(in s log, in t from, out h entries, out t first, out t count) */
static int method_get_log(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;

        g_auto(AttPeer) peer = { .pidfd = -1 };
        bool is_direct = att_call_is_direct(call);

        if (a->is_stopping)
                return att_bus_error_set(error, ATT_ERROR_CANCELLED, "attestd is stopping; try again");
        if (is_direct)
                peer = att_direct_dup_peer(a->direct, sd_bus_message_get_bus(call));
        return att_log_calls_add(a->logs, call, is_direct ? &peer : NULL, error);
}

/* ----- the objects */

#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", att_attester1_get_text, 0, CONST),
        SD_BUS_PROPERTY("Tee", "s", att_attester1_get_text, 0, EMITS),
        SD_BUS_PROPERTY("Provider", "s", att_attester1_get_text, 0, EMITS),
        SD_BUS_PROPERTY("ReportSource", "s", att_attester1_get_text, 0, EMITS),
        SD_BUS_PROPERTY("State", "s", att_attester1_get_text, 0, EMITS),
        SD_BUS_PROPERTY("StateDetail", "s", att_attester1_get_text, 0, EMITS),
        SD_BUS_PROPERTY("Profiles", "as", att_attester1_get_profiles, 0, CONST),
        SD_BUS_PROPERTY("BootId", "s", att_attester1_get_id, 0, CONST),
        SD_BUS_PROPERTY("InstanceId", "s", att_attester1_get_id, 0, EMITS),
        SD_BUS_PROPERTY("Generation", "t", att_attester1_get_number, 0, EMITS),
        SD_BUS_PROPERTY("ImaCount", "t", att_attester1_get_number, 0, 0),
        SD_BUS_PROPERTY("ImaViolations", "t", att_attester1_get_number, 0, 0),
        SD_BUS_PROPERTY("ImaState", "s", att_attester1_get_runtime, 0, EMITS),
        SD_BUS_PROPERTY("ImaDetail", "s", att_attester1_get_runtime, 0, EMITS),
        SD_BUS_PROPERTY("ImaListed", "s", att_attester1_get_runtime, 0, EMITS),
        SD_BUS_PROPERTY("ImaRoot", "s", att_attester1_get_runtime, 0, EMITS),
        SD_BUS_PROPERTY("RootDetail", "s", att_attester1_get_runtime, 0, EMITS),
        SD_BUS_PROPERTY("EventSource", "s", att_attester1_get_runtime, 0, EMITS),
        SD_BUS_PROPERTY("EventDetail", "s", att_attester1_get_runtime, 0, EMITS),
        SD_BUS_PROPERTY("ReportInterval", "t", att_attester1_get_number, 0, 0),
        SD_BUS_PROPERTY("ReportThrottleCount", "u", att_attester1_get_throttle_count, 0, 0),
        SD_BUS_PROPERTY("ReportThrottlePeriod", "t", att_attester1_get_number, 0, 0),
        SD_BUS_PROPERTY("ReportWait", "t", att_attester1_get_number, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("OpenSession",
                                SD_BUS_ARGS("a{sv}", parameters),
                                SD_BUS_RESULT("o", session),
                                att_attester1_open_session,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetLog",
                                SD_BUS_ARGS("s", log, "t", from),
                                SD_BUS_RESULT("h", entries, "t", first, "t", count),
                                method_get_log,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("StateChanged", SD_BUS_ARGS("t", generation, "as", reasons), 0),
        SD_BUS_VTABLE_END
};

/* Before sd-bus looks at the vtables. */
static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        int r = att_call_check_signature(call, NAME, vtable, error);

        (void) userdata;
        return r < 0 ? r : att_call_check_signature(call, SESSION_NAME, att_attester1_session_vtable, error);
}

static int add_objects(sd_bus *bus, gpointer userdata) {
        int r = sd_bus_add_object_vtable(bus, NULL, PATH, NAME, vtable, userdata);

        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, SESSION_PATH, SESSION_NAME, att_attester1_session_vtable,
                                               att_attester1_find_session, userdata);
        if (r >= 0)
                r = sd_bus_add_fallback(bus, NULL, PATH, on_call, userdata);
        if (r >= 0)
                r = sd_bus_add_fallback(bus, NULL, SESSION_PATH, on_call, userdata);
        return r;
}

/* ----- connections */

static void on_name_left(const char *name, gpointer userdata) {
        Attester1 *a = userdata;

        att_attester1_leave(a, a->bus, name);
}

static void on_direct_left(sd_bus *bus, gpointer userdata) {
        att_attester1_leave(userdata, bus, NULL);
}

static void on_direct_refused(const char *name, const char *who, const char *why, gpointer userdata) {
        att_attester1_log_refusal(userdata, name, who, "the direct socket", why);
}

static const AttDirectHandler direct_handler = {
        .joined = add_objects,
        .take = att_attester1_take_call,
        .left = on_direct_left,
        .refused = on_direct_refused,
};

/* ----- the service */

static void attester1_free(gpointer object) {
        Attester1 *a = object;

        g_clear_pointer(&a->direct, att_direct_free);
        att_generation_unlisten(&a->listener);
        g_hash_table_unref(a->owners);
        g_hash_table_unref(a->sessions);
        g_source_destroy(a->room);
        g_source_unref(a->room);
        att_log_calls_free(a->logs);
        att_lent_free(a->parts);
        if (a->moved_told)
                g_source_remove(a->moved_told);
        att_attester_free(a->attester);
        att_state_file_end(a->state);
        att_authority_free(a->authority);
        att_name_watch_free(a->names);
        g_free(a);
}

static gpointer attester1_start(sd_bus *bus, gpointer userdata, GError **error) {
        const AttAttester1Start *start = userdata;
        Attester1 *a = g_new0(Attester1, 1);
        int r;

        a->bus = bus;
        a->configuration = start->configuration;
        a->names = att_name_watch_new(bus, on_name_left, a, error);
        if (a->names)
                a->attester = att_attester_new(start->configuration, start->events, &attester_events, a, error);
        if (!a->attester) {
                att_name_watch_free(a->names);
                g_free(a);
                return NULL;
        }

        a->owners = att_attester1_new_owners();
        a->sessions = g_hash_table_new(g_str_hash, g_str_equal);
        a->room = att_attester1_new_room(a);
        a->parts = att_lent_new(&att_attester1_parts_limits);
        a->authority = att_authority_new(bus);
        a->logs = att_log_calls_new(a->attester, a->authority, a->names, on_log_refused, a);
        memcpy(a->instance_id, att_generation_instance_id(att_attester_generation(a->attester)), sizeof a->instance_id);
        /* The first to know of a move: nobody is told of what the next instance would not be. */
        a->state = att_state_file_begin(ATT_STATE_DIRECTORY, att_attester_generation(a->attester));
        a->listener.moved = on_generation_moved;
        att_generation_listen_late(att_attester_generation(a->attester), &a->listener);

        r = add_objects(bus, a);
        if (r < 0)
                (void) att_error_set_errno(error, -r, "cannot add objects");
        else
                a->direct = att_direct_new(NAME, a->configuration, &direct_handler, a, error);
        if (a->direct)
                return a;

        attester1_free(a);
        return NULL;
}

static void attester1_stop(gpointer object) {
        Attester1 *a = object;
        GHashTableIter i;
        gpointer owner;

        a->is_stopping = true;
        att_attester1_tell_over_limit(a, G_MAXUINT);
        att_direct_stop(a->direct);
        att_attester1_cancel_openings(a);
        att_log_calls_stop(a->logs);
        while (g_hash_table_size(a->owners) > 0) {
                g_hash_table_iter_init(&i, a->owners);
                (void) g_hash_table_iter_next(&i, NULL, &owner);
                att_attester1_close_owner(owner);
        }
}

static bool attester1_is_idle(gpointer object) {
        const Attester1 *a = object;

        return a->openings.length == 0 && att_direct_is_flushed(a->direct);
}

const AttService att_attester1 = {
        .name = NAME,
        .start = attester1_start,
        .stop = attester1_stop,
        .is_idle = attester1_is_idle,
        .free = attester1_free,
};
