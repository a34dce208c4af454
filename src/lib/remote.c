/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/remote.h"

#include "codec/frame.h"
#include "crypto/digest.h"
#include "lib/answer.h"
#include "lib/lane.h"
#include "util/bytes.h"
#include "util/error.h"

/* How often a service that was lost is looked for. */
#define LOOK_AGAIN_MS 200u

#define WRONG_TYPE "an answer of another type than its contract says"
#define TOO_LATE "no answer in time"

/* What errors and answers are. */

/* What only the peer's log can be blamed for. */
static bool is_of_log(const char *name) {
        static const char *const names[] = {
                "org.attestd.Error.BadData",
                "org.attestd.Error.InvalidArgument",
                "org.attestd.Error.LimitReached",
                "org.attestd.Error.TooLarge",
                NULL,
        };

        return name && g_strv_contains(names, name);
}

/* Would there be room if a session were closed? */
static bool is_of_limit(const GError *error) {
        g_autofree char *name = g_dbus_error_get_remote_error(error);

        return g_strcmp0(name, "org.attestd.Error.LimitReached") == 0;
}

/* Is the session gone, and not the call wrong? */
static bool is_loss(const AttCall *call, const GError *error) {
        static const char *const names[] = {
                "org.attestd.Error.NoSuchSession",
                "org.freedesktop.DBus.Error.Disconnected",
                "org.freedesktop.DBus.Error.NameHasNoOwner",
                "org.freedesktop.DBus.Error.NoReply",
                "org.freedesktop.DBus.Error.ServiceUnknown",
                "org.freedesktop.DBus.Error.UnknownObject",
                NULL,
        };
        g_autofree char *name = g_dbus_error_get_remote_error(error);

        return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED) || (name && g_strv_contains(names, name)) ||
               (call->lane && !call->lane->link->bus);
}

static bool went_directly(const AttCall *call) {
        return call->lane && call->lane->link->is_direct;
}

/* Straight to attestd less may be had: nobody is asked there. */
static bool is_refused_directly(const AttCall *call, const GError *error) {
        g_autofree char *name = g_dbus_error_get_remote_error(error);

        return went_directly(call) && g_strcmp0(name, "org.attestd.Error.NotAuthorized") == 0;
}

static char *error_text(GError *error) {
        g_autofree char *name = g_dbus_error_get_remote_error(error);

        g_dbus_error_strip_remote_error(error);
        return name ? g_strdup_printf("%s: %s", name, error->message) : g_strdup(error->message);
}

static bool is_of_type(GDBusMessage *reply, const char *type) {
        GVariant *body = g_dbus_message_get_body(reply);

        return g_str_equal(type, "()") || (body && g_variant_is_of_type(body, G_VARIANT_TYPE(type)));
}

static void post_failure(AttCall *call, const char *message) {
        if (call->answer == ATT_EVENT_EVIDENCE)
                att_instance_tell_unwatched(call->remote);
        att_call_post_failure(call, message);
}

static void fail_call(AttCall *call, const char *message) {
        post_failure(call, message);
        att_call_free(call);
}

/* Calls in a session. */

static void go_on(AttRemote *r);

/* Again, in a session of its own: a context is used once in each. */
static void try_again(AttCall *call) {
        call->is_retried = true;
        g_queue_push_head(&call->remote->calls, call);
        go_on(call->remote);
}

static void on_failed(AttCall *call, GError *error) {
        g_autofree char *text = NULL, *name = NULL;
        AttRemote *r = call->remote;
        bool lost = is_loss(call, error);

        if (call->to == ATT_TO_SERVICE && is_refused_directly(call, error)) {
                call->by_bus = true;
                att_lane_transmit(call);
                return;
        }
        if (lost && !call->by_bus && call->in_session == r->n_sessions)
                att_instance_lose_session(r);
        if (lost && call->may_retry && !call->is_retried && !att_call_is_abandoned(call)) {
                call->is_detour = went_directly(call);
                try_again(call);
                return;
        }
        if (call->is_ahead) {
                att_call_free(call);
                return;
        }

        name = g_dbus_error_get_remote_error(error);
        text = error_text(error);
        if (call->answer == ATT_EVENT_ADDED && is_of_log(name)) {
                AttEvent *event = g_new0(AttEvent, 1);

                event->type = ATT_EVENT_ADDED;
                event->reason = g_strdup(error->message); /* without the name */
                att_call_post(call, event);
                att_call_free(call);
        } else if (lost && call->answer == ATT_EVENT_FAILED) {
                att_call_free(call); /* the next session is told again */
        } else {
                fail_call(call, text);
        }
}

/* Of the log "ima" the property says whose digests it has: it makes the answer whole. */
static void find_bank(AttCall *call, AttEvent *event) {
        AttCall *next = att_remote_call(call->remote, "Get",
                                        g_variant_new("(ss)", call->remote->service->name, "ImaListed"), "(v)",
                                        ATT_EVENT_LOG, false);

        next->to = ATT_TO_SERVICE_PROPERTIES;
        next->by_bus = call->by_bus;
        next->event = event;
        att_lane_transmit(next);
}

static void take_bank(AttCall *call, GVariant *body) {
        AttEvent *event = g_steal_pointer(&call->event);
        g_autoptr(GVariant) value = NULL;

        g_variant_get(body, "(v)", &value);
        event->bank = g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) ? g_variant_dup_string(value, NULL) :
                                                                           g_strdup("");
        att_call_post(call, event);
}

/* Of GetLog and AddLog: what they are about; borrowed. */
static const char *log_of(const AttCall *call) {
        const char *log;

        g_variant_get_child(call->arguments, 0, "&s", &log);
        return log;
}

/* A boot has one boot log. */
static void leave_out_boot(char **logs) {
        char **to = logs;

        for (; *logs; logs++)
                if (g_str_equal(*logs, ATT_LOG_BOOT))
                        g_free(*logs);
                else
                        *to++ = *logs;
        *to = NULL;
}

/* Attest is asked once more, for evidence in one piece. */
static void ask_for_whole(AttCall *call) {
        g_autoptr(GVariant) arguments = g_steal_pointer(&call->arguments), options = NULL;
        g_autoptr(GVariant) exported = NULL, context = NULL, public_key = NULL;
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        AttRemote *r = call->remote;

        g_variant_get(arguments, "(@ay@ay@ay@a{sv})", &exported, &context, &public_key, &options);
        g_variant_dict_init(&dict, options);
        (void) g_variant_dict_remove(&dict, "split");
        call->arguments = g_variant_ref_sink(g_variant_new("(@ay@ay@ay@a{sv})", exported, context, public_key,
                                                           g_variant_dict_end(&dict)));
        call->is_split = false;
        if (call->in_session == r->n_sessions)
                att_instance_retire_session(r); /* no loss: it tells of a change until there is newer evidence */
        try_again(call);
}

/* Returns: %FALSE: it is not over */
static bool take_answer(AttCall *call, GDBusMessage *reply) {
        g_autoptr(AttEvent) event = g_new0(AttEvent, 1);
        g_autoptr(GError) error = NULL;
        AttRemote *r = call->remote;

        event->type = call->answer;
        if (!att_answer_read(call->instance ? &call->instance->parts : NULL, reply, event, &error)) {
                if (call->is_split && !call->is_retried && !att_call_is_abandoned(call) &&
                    g_error_matches(error, ATT_ERROR, ATT_ERROR_FAILED)) {
                        ask_for_whole(call);
                        return false;
                }
                post_failure(call, error->message);
                return true;
        }
        /* A former session tells of what it gave itself. */
        if (event->type == ATT_EVENT_EVIDENCE && call->in_session == r->n_sessions && r->instance) {
                r->given = event->state;
                r->is_told = false;
                att_instance_close_former(r);
        }
        if (event->type == ATT_EVENT_LOGS) {
                r->needs_no_logs = !event->logs || !*event->logs;
                if (event->logs && r->has_boot_log)
                        leave_out_boot(event->logs);
        }
        if (call->is_ahead)
                return true;
        if (event->type == ATT_EVENT_ADDED && g_str_equal(log_of(call), ATT_LOG_BOOT))
                r->has_boot_log = true;
        if (event->type == ATT_EVENT_LOG) {
                if (g_str_equal(log_of(call), ATT_LOG_IMA)) {
                        find_bank(call, g_steal_pointer(&event));
                        return true;
                }
                event->bank = g_strdup(g_str_equal(log_of(call), ATT_LOG_BOOT) ? "" : "sha384");
        }
        att_call_post(call, g_steal_pointer(&event));
        return true;
}

static void on_answered(AttCall *answered, GDBusMessage *reply) {
        g_autoptr(AttCall) call = answered;

        if (call->answer == ATT_EVENT_FAILED)
                return;
        if (!is_of_type(reply, call->reply)) {
                if (!call->is_ahead)
                        post_failure(call, WRONG_TYPE);
        } else if (call->event) {
                take_bank(call, g_dbus_message_get_body(reply));
        } else if (!take_answer(call, reply)) {
                (void) g_steal_pointer(&call);
        }
}

static void on_given_up(AttCall *call) {
        post_failure(call, TOO_LATE);
}

/* What it brings others is taken. */
static void on_answered_late(AttCall *call, GDBusMessage *reply) {
        g_autoptr(AttEvent) event = g_new0(AttEvent, 1);

        event->type = call->answer;
        if (call->answer == ATT_EVENT_EVIDENCE && is_of_type(reply, call->reply))
                (void) !att_answer_read(&call->instance->parts, reply, event, NULL); /* an Attest has one */
}

AttCall *att_remote_call(AttRemote *r, const char *member, GVariant *arguments, const char *reply, AttEventType answer,
                         bool may_retry) {
        static const AttCallHandler handler = {
                .answered = on_answered,
                .failed = on_failed,
                .given_up = on_given_up,
                .answered_late = on_answered_late,
        };
        AttCall *call = att_call_new(r, &handler, member, arguments, reply, answer);

        call->may_retry = may_retry;
        return call;
}

AttCall *att_remote_look(AttRemote *r) {
        AttCall *call = att_remote_call(r, "GetAll", g_variant_new("(s)", r->service->session), "(a{sv})",
                                        ATT_EVENT_LOGS, false);

        call->to = ATT_TO_SESSION_PROPERTIES;
        return call;
}

/* Most verifiers need no logs: known before the first authenticator is here, that costs no time. */
static void look_ahead(AttRemote *r) {
        AttCall *call = att_remote_look(r);

        call->is_ahead = true;
        att_lane_transmit(call);
}

static void record_in_session(AttRemote *r, GBytes *context) {
        GVariant *bytes = g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, context, TRUE);

        att_lane_transmit(att_remote_call(r, "RecordContext", g_variant_new("(@ay)", bytes), "()", ATT_EVENT_FAILED,
                                          false));
}

/* The session. */

static void record_all(AttRemote *r) {
        AttCursor c = att_cursor(r->contexts ? r->contexts->data : NULL, r->contexts ? r->contexts->len : 0);

        while (c.left > 0) {
                size_t size = att_take_u8(&c);
                g_autoptr(GBytes) context = g_bytes_new(att_take(&c, size), size);

                record_in_session(r, context);
        }
}

static void transmit_calls(AttRemote *r) {
        AttCall *call;

        while ((call = g_queue_pop_head(&r->calls)))
                att_lane_transmit(call);
}

static void fail_session(AttRemote *r, const char *message) {
        AttCall *waiting;

        r->is_opening = false;
        if (r->instance) { /* it does not move */
                transmit_calls(r);
                return;
        }
        att_instance_lose_former(r);
        while ((waiting = g_queue_pop_head(&r->calls)))
                fail_call(waiting, message);
}

static void fail_open(AttCall *call, const GError *error) {
        g_autoptr(GError) copy = g_error_copy(error);
        g_autofree char *text = error_text(copy);

        fail_session(call->remote, text);
        att_call_free(call);
}

/* Sessions of a service that is not there: looked for by one of them at a time. */
typedef struct Absence {
        GQueue waiting; /* of AttCall: OpenSession */
        GSource *look;  /* NULL: nobody waits */
        GError *why;
} Absence;

static Absence *absence_of(const AttServiceNames *service) {
        static Absence no_attester, no_verifier;

        return service == &att_attester_names ? &no_attester : &no_verifier;
}

/* One looks for all; those who have waited long enough are told. */
static gboolean look_again(gpointer data) {
        Absence *absence = data;
        gint64 now = g_get_monotonic_time();
        GQueue waiting = absence->waiting;
        g_autoptr(GError) why = g_error_copy(absence->why);
        AttCall *call, *scout = NULL;

        g_queue_init(&absence->waiting);
        while ((call = g_queue_pop_head(&waiting)))
                if (att_call_is_abandoned(call))
                        att_call_free(call);
                else if (!scout)
                        scout = call;
                else if (now >= call->remote->until_us)
                        fail_open(call, why);
                else
                        g_queue_push_tail(&absence->waiting, call);
        if (g_queue_is_empty(&absence->waiting))
                g_clear_pointer(&absence->look, g_source_unref);
        if (scout)
                att_lane_transmit(scout);
        return absence->look ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* For a service that was there: it is being started again, or its bus is. */
static bool wait_for_service(AttCall *call, const GError *why) {
        Absence *absence = absence_of(call->remote->service);

        if (att_call_is_abandoned(call) || g_get_monotonic_time() >= call->remote->until_us)
                return false;
        call->by_bus = false;
        g_clear_error(&absence->why);
        absence->why = g_error_copy(why);
        g_queue_push_tail(&absence->waiting, call);
        if (!absence->look) {
                absence->look = g_timeout_source_new(LOOK_AGAIN_MS);
                g_source_set_callback(absence->look, look_again, absence, NULL);
                (void) g_source_attach(absence->look, g_main_context_get_thread_default());
        }
        return true;
}

void att_remote_end_absence(const AttServiceNames *service) {
        Absence *absence = absence_of(service);
        GQueue waiting = absence->waiting;
        AttCall *call;

        if (!absence->look)
                return;
        g_queue_init(&absence->waiting);
        g_source_destroy(absence->look);
        g_clear_pointer(&absence->look, g_source_unref);
        while ((call = g_queue_pop_head(&waiting)))
                att_lane_transmit(call);
}

static void on_open_failed(AttCall *call, GError *error) {
        AttRemote *r = call->remote;
        bool lost = is_loss(call, error);

        if (is_refused_directly(call, error)) {
                r->by_bus = true;
                if (!r->instance) {
                        att_lane_transmit(call);
                        return;
                }
        }
        if (lost && !r->instance) {
                if (!call->is_retried && !att_call_is_abandoned(call)) {
                        call->is_retried = true;
                        call->by_bus = call->by_bus || went_directly(call);
                        att_lane_transmit(call);
                        return;
                }
                if (wait_for_service(call, error))
                        return;
        }
        if (r->former && !r->instance && is_of_limit(error) && !att_call_is_abandoned(call)) {
                att_instance_give_up_former(r); /* it has the room that another needs: once, there is no second one */
                att_lane_transmit(call);
                return;
        }
        fail_open(call, error);
}

static void take_session(AttCall *call, GDBusMessage *reply) {
        const char *name = g_dbus_message_get_sender(reply), *path;
        AttLink *link = call->lane->link;
        AttRemote *r = call->remote;
        AttInstance *p;

        if (!link->bus || (!name && !link->is_direct)) {
                fail_session(r, "not on a message bus");
                return;
        }
        g_variant_get(g_dbus_message_get_body(reply), "(&o)", &path);
        p = att_instance_get(link, name);
        if (g_hash_table_contains(p->sessions, path)) {
                fail_session(r, "a session that is another connection's");
                return;
        }
        r->is_opening = false;
        r->until_us = 0;
        att_remote_end_absence(r->service);
        if (att_call_is_abandoned(call)) {
                att_instance_send_close(link, p->name, r->service, path);
                return;
        }
        att_instance_retire_session(r);
        att_instance_begin_session(r, p, path);
        record_all(r);
        go_on(r);
        if (r->service == &att_verifier_names)
                look_ahead(r);
}

static void on_open_answered(AttCall *answered, GDBusMessage *reply) {
        g_autoptr(AttCall) call = answered;

        if (is_of_type(reply, call->reply))
                take_session(call, reply);
        else
                fail_session(call->remote, WRONG_TYPE);
}

static void on_open_given_up(AttCall *call) {
        fail_session(call->remote, TOO_LATE);
}

/* What it brings nobody is closed. */
static void on_open_answered_late(AttCall *call, GDBusMessage *reply) {
        const char *path;

        if (!is_of_type(reply, call->reply))
                return;
        g_variant_get(g_dbus_message_get_body(reply), "(&o)", &path);
        att_instance_send_close(call->lane->link, NULL, call->remote->service, path);
}

/* Where many more calls may be under way, now that there is new evidence to come. */
static bool is_to_move(AttRemote *r, const AttCall *next) {
        return next->answer == ATT_EVENT_EVIDENCE && !next->is_retried && !r->instance->link->is_direct &&
               att_lane_to_open(r)->link->is_direct;
}

/* Made for each session: kept by thousands of connections they would be most of what those hold. */
static GVariant *attester_parameters(const AttClient *c) {
        GVariantBuilder b;

        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&b, "{sv}", "role", g_variant_new_string(att_role_name(c->role)));
        g_variant_builder_add(&b, "{sv}", "hash", g_variant_new_string(att_hash_name(c->hash)));
        return g_variant_builder_end(&b);
}

/* Opens a session, or makes the calls that wait for it. */
static void go_on(AttRemote *r) {
        static const AttCallHandler handler = {
                .answered = on_open_answered,
                .failed = on_open_failed,
                .given_up = on_open_given_up,
                .answered_late = on_open_answered_late,
        };
        const AttCall *next = g_queue_peek_head(&r->calls);
        GVariant *parameters;
        AttCall *call;

        if (r->is_opening || !next)
                return;
        if (r->instance && !is_to_move(r, next)) {
                transmit_calls(r);
                return;
        }
        r->is_opening = true;
        parameters = r->parameters ? r->parameters : attester_parameters(r->client);
        call = att_call_new(r, &handler, "OpenSession", g_variant_new("(@a{sv})", parameters), "(o)", ATT_EVENT_FAILED);
        call->to = ATT_TO_SERVICE;
        call->opens_session = true;
        call->by_bus = next->is_detour;
        att_lane_transmit(call);
}

/* What is asked for. */

/* Of the logs that are needed the session may know already. */
static bool is_known(const AttCall *call) {
        return call->answer == ATT_EVENT_LOGS && call->remote->instance && call->remote->needs_no_logs;
}

void att_remote_submit(AttCall *call) {
        if (att_call_is_abandoned(call)) {
                att_call_free(call);
        } else if (is_known(call)) {
                AttEvent *event = g_new0(AttEvent, 1);

                event->type = call->answer;
                att_call_post(call, event);
                att_call_free(call);
        } else if (!call->may_retry && !call->remote->instance) {
                fail_call(call, "the session that this belongs to was lost");
        } else {
                g_queue_push_tail(&call->remote->calls, call);
                go_on(call->remote);
        }
}

void att_remote_record(AttRemote *r, GBytes *context) {
        uint8_t size = (uint8_t) g_bytes_get_size(context); /* TLS has no longer one */

        if (!r->contexts)
                r->contexts = g_byte_array_new();
        att_put(r->contexts, &size, sizeof size);
        att_put_bytes(r->contexts, context);
        if (r->instance)
                record_in_session(r, context);
}

void att_remote_close(AttRemote *r) {
        AttCall *call;

        att_instance_close_session(r);
        while ((call = g_queue_pop_head(&r->calls)))
                att_call_free(call);
}
