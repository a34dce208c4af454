/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/lane.h"

/* dbus-daemon lets a connection wait for 128 replies. attestd takes its time, so
 * that its calls must not keep those to the verifier waiting. */
#define ATTESTER_CALLS_MAX 64u
#define VERIFIER_CALLS_MAX 32u
/* Straight to attestd there is no such limit, and the more wait at once the more share
 * a report. */
#define DIRECT_CALLS_MAX 16384u
#define DIRECT_SOCKET "unix:path=/run/attestd/bus"
/* It answers at once or, while attestd is being started, a little later. */
#define DIRECT_CONNECT_MS 3000u
/* A bus that takes connections and says nothing is none. */
#define CONNECT_MS 10000u

static struct {
        AttLink bus, direct;
        AttLane attester, verifier, direct_attester;
        bool is_transmitting;

        GQueue under_way; /* of AttCall, by their link: direct */
        GSource *sweep;   /* for those that are not answered; NULL: there are none */
} lanes = {
        .bus.name = "the system bus",
        .direct = { .name = "the direct socket of attestd", .is_direct = true, .address = DIRECT_SOCKET },
        .attester = { .link = &lanes.bus, .max = ATTESTER_CALLS_MAX },
        .verifier = { .link = &lanes.bus, .max = VERIFIER_CALLS_MAX },
        .direct_attester = { .link = &lanes.direct, .max = DIRECT_CALLS_MAX },
};

void att_lanes_init(GMainContext *context, const AttLinkHandler *handler) {
        lanes.bus.context = lanes.direct.context = context;
        lanes.bus.handler = lanes.direct.handler = handler;
}

AttLink *att_lanes_direct(void) {
        return &lanes.direct;
}

AttLane *att_lane_to_open(AttRemote *r) {
        AttLink *direct = &lanes.direct;

        if (r->service != &att_attester_names)
                return &lanes.verifier;
        if (r->by_bus)
                return &lanes.attester;
        if (!direct->bus && !att_link_is_connecting(direct) && att_link_is_promising(direct))
                att_link_connect(direct, MIN(r->client->timeout_ms, DIRECT_CONNECT_MS));
        return direct->bus || (att_link_is_connecting(direct) && !att_link_is_slow(direct)) ? &lanes.direct_attester :
                                                                                              &lanes.attester;
}

static bool is_in_session(const AttCall *call) {
        return !call->opens_session && !call->by_bus;
}

/* Which way it goes. A session's calls go where the session is. */
static AttLane *lane_of(const AttCall *call) {
        AttRemote *r = call->remote;

        if (call->by_bus)
                return &lanes.attester;
        if (call->opens_session)
                return att_lane_to_open(r);
        if (r->service != &att_attester_names)
                return &lanes.verifier;
        return r->instance && r->instance->link->is_direct ? &lanes.direct_attester : &lanes.attester;
}

/* Under way on the direct link: it has no limit of their number, and a source for each
 * that waits would be looked at with every event. So one looks at all, when the first
 * can have run out. */

static void take_off_way(AttCall *call) {
        g_queue_unlink(&lanes.under_way, &call->link);
        if (g_queue_is_empty(&lanes.under_way) && lanes.sweep) {
                g_source_destroy(lanes.sweep);
                g_clear_pointer(&lanes.sweep, g_source_unref);
        }
}

/* Its answer may still come: the call stays until then, and its place is taken. */
static void give_up(AttCall *call) {
        take_off_way(call);
        call->is_given_up = true;
        call->handler->given_up(call);
}

static gboolean sweep(gpointer data) {
        gint64 now = g_get_monotonic_time(), next = G_MAXINT64;
        GList *next_link;

        (void) data;
        for (GList *link = lanes.under_way.head; link; link = next_link) {
                AttCall *call = link->data;
                gint64 sent_us = call->deadline_us - (gint64) call->timeout_ms * 1000;

                next_link = link->next;
                if (call->deadline_us > now) {
                        next = MIN(next, call->deadline_us);
                } else if (lanes.direct.heard_us < sent_us) {
                        /* Not a word in all that time: those under way come to know it by the loss, a
                         * little later, and are not to be taken for calls on the next connection. */
                        g_source_set_ready_time(lanes.sweep, now + G_USEC_PER_SEC);
                        att_link_drop(&lanes.direct, "attestd does not answer");
                        return G_SOURCE_CONTINUE;
                } else {
                        give_up(call);
                }
        }
        if (lanes.sweep)
                g_source_set_ready_time(lanes.sweep, next);
        return G_SOURCE_CONTINUE;
}

static void sweep_at(gint64 deadline_us) {
        if (!lanes.sweep) {
                lanes.sweep = g_timeout_source_new(0);
                g_source_set_callback(lanes.sweep, sweep, NULL, NULL);
                g_source_set_ready_time(lanes.sweep, deadline_us);
                (void) g_source_attach(lanes.sweep, lanes.direct.context);
        } else if (deadline_us < g_source_get_ready_time(lanes.sweep)) {
                g_source_set_ready_time(lanes.sweep, deadline_us);
        }
}

static void put_under_way(AttCall *call) {
        call->deadline_us = g_get_monotonic_time() + (gint64) call->timeout_ms * 1000;
        g_queue_push_tail_link(&lanes.under_way, &call->link);
        sweep_at(call->deadline_us);
}

static void transmit_waiting(void);

static void on_reply(GObject *bus, GAsyncResult *result, gpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDBusMessage) reply =
                g_dbus_connection_send_message_with_reply_finish(G_DBUS_CONNECTION(bus), result, &error);
        AttCall *call = data;
        bool is_good = reply && !g_dbus_message_to_gerror(reply, &error);
        AttLink *link = call->lane->link;

        call->lane->under_way--;
        if (link->is_direct) {
                if (reply)
                        link->heard_us = g_get_monotonic_time();
                if (!call->is_given_up)
                        take_off_way(call);
                /* It is told of the loss itself a little later, and would not take what is tried again. */
                if (link->bus && g_dbus_connection_is_closed(link->bus))
                        att_link_drop(link, "the connection was closed");
        }
        if (call->is_given_up) {
                if (is_good)
                        call->handler->answered_late(call, reply);
                att_call_free(call);
        } else if (!is_good) {
                call->handler->failed(call, error);
        } else {
                call->handler->answered(call, reply);
        }
        transmit_waiting();
}

static void send_call(AttLane *lane, AttCall *call) {
        g_autoptr(GDBusMessage) message = NULL;
        bool is_direct = lane->link->is_direct;

        g_clear_pointer(&call->instance, att_instance_unref);
        call->lane = lane;
        call->in_session = call->remote->n_sessions;
        if (is_in_session(call))
                call->instance = att_instance_ref(call->remote->instance);
        message = att_call_message(call, is_direct);
        lane->under_way++;
        if (is_direct)
                put_under_way(call);
        g_dbus_connection_send_message_with_reply(lane->link->bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                                  is_direct ? G_MAXINT : (int) call->timeout_ms, NULL, NULL, on_reply,
                                                  call);
}

/* Returns: there was one */
static bool transmit_lane(AttLane *lane) {
        bool any = false;

        while (lane->link->bus && lane->under_way < lane->max && !g_queue_is_empty(&lane->waiting)) {
                AttCall *call = g_queue_pop_head(&lane->waiting);
                const AttInstance *instance = call->remote->instance;

                any = true;
                if (att_call_is_abandoned(call)) {
                        att_call_free(call);
                } else if (is_in_session(call) && instance && instance->link != lane->link) { /* it moved */
                        g_queue_push_tail(&lane_of(call)->waiting, call);
                } else if (is_in_session(call) && !instance) { /* lost while it waited */
                        g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CLOSED,
                                                                      "the session was lost");

                        call->handler->failed(call, error);
                } else {
                        send_call(lane, call);
                }
        }
        return any;
}

/* A call that cannot be sent any more may bring another of any lane: the loop gets to
 * that too, where calling each other would take a stack as deep as the crowd is large. */
static void transmit_waiting(void) {
        AttCall *call;
        bool any;

        if (lanes.is_transmitting)
                return;
        lanes.is_transmitting = true;
        do {
                any = transmit_lane(&lanes.direct_attester);
                any = transmit_lane(&lanes.attester) || any; /* which may bring calls of the one before */
                any = transmit_lane(&lanes.verifier) || any;
        } while (any);
        lanes.is_transmitting = false;
        call = g_queue_peek_head(&lanes.attester.waiting);
        if (!call)
                call = g_queue_peek_head(&lanes.verifier.waiting);
        if (!lanes.bus.bus && call)
                att_link_connect(&lanes.bus, MIN(call->timeout_ms, CONNECT_MS));
}

void att_lane_transmit(AttCall *call) {
        g_queue_push_tail(&lane_of(call)->waiting, call);
        transmit_waiting();
}

void att_lanes_link_up(void) {
        transmit_waiting();
}

/* Those that wait now: what they make of it may wait for the next attempt. Who waited to
 * open a session directly may do it over the bus. */
static void fail_lane(AttLane *lane, const GError *error) {
        GQueue waiting = lane->waiting;
        AttCall *call;

        g_queue_init(&lane->waiting);
        while ((call = g_queue_pop_head(&waiting))) {
                g_autoptr(GError) copy = g_error_copy(error);

                if (lane->link->is_direct && call->opens_session && !call->remote->instance) {
                        att_lane_transmit(call);
                } else {
                        call->lane = lane;
                        call->handler->failed(call, copy);
                }
        }
}

void att_lanes_link_down(const AttLink *link, const GError *why) {
        if (link->is_direct) {
                g_autoptr(GError) lost = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CLOSED, why->message);

                fail_lane(&lanes.direct_attester, lost);
        } else {
                fail_lane(&lanes.attester, why);
                fail_lane(&lanes.verifier, why);
        }
        transmit_waiting();
}
