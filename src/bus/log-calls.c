/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/log-calls.h"

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-source.h"
#include "bus/credentials.h"
#include "bus/direct.h"
#include "bus/lent.h"
#include "tee/boot-log.h"
#include "util/error.h"
#include "util/io.h"
#include "util/memfd.h"

#include <malloc.h>

#define ACTION "org.attestd.Attester1.get-log"

/* A bus reads no more of us while it has 64 descriptors of ours for whoever does not read. */
#define LOGS_MAX 48u

static const AttLentLimits lent_limits = { .connection_max = 8, .user_max = 16, .all_max = LOGS_MAX };

struct AttLogCalls {
        AttAttester *attester;
        AttAuthority *authority;
        AttNameWatch *names;
        AttLogRefused refused;
        gpointer userdata;

        GQueue calls; /* of LogCall, by their link */
        guint step;   /* idle source: some may be made */
        AttLent *lent; /* owned; logs that were given */
};

typedef struct LogCall LogCall;

/* What is made of it in one turn of the loop. Sets @c->is_whole when there is no more. */
typedef GBytes *(*Make)(LogCall *c, guint64 *ret_count, GError **error);

struct LogCall {
        AttLogCalls *calls;
        GList link;
        sd_bus_message *call;
        char *name; /* of who has sent it */
        Make make;
        guint64 from;

        sd_bus_slot *credentials; /* asked for, until they are here */
        bool is_known;            /* who asks */
        uint32_t uid;
        char *who;                /* for the log */
        AttAuthz *authz;
        bool is_allowed;

        AttImaReader *ima;        /* of the log "ima"; NULL: not begun */
        AttMirrorReader *extensions; /* of the log "register" */
        int fd;                   /* what is made; -1: not begun */
        gsize size;
        guint64 count;            /* entries in it */
        bool is_whole;
};

static void call_free(LogCall *c) {
        g_queue_unlink(&c->calls->calls, &c->link);
        sd_bus_slot_unref(c->credentials);
        att_authz_cancel(c->authz);
        sd_bus_message_unref(c->call);
        att_ima_reader_free(c->ima);
        att_mirror_reader_free(c->extensions);
        att_close_p(&c->fd);
        g_free(c->name);
        g_free(c->who);
        g_free(c);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogCall, call_free)

/* @error is taken. */
static void refuse(LogCall *made, GError *error) {
        g_autoptr(LogCall) c = made;
        AttLogCalls *calls = c->calls;

        if (g_error_matches(error, ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED))
                calls->refused(c->name, c->who, error->message, calls->userdata);
        else
                g_info("GetLog of %s: %s", c->name, error->message);
        att_bus_reply_error(c->call, error);
        att_direct_sent(sd_bus_message_get_bus(c->call), 0);
}

/* ----- the logs */

static gboolean begin_ima(LogCall *c, GError **error) {
        AttRuntime *rt = att_attester_runtime(c->calls->attester);
        guint64 end = att_runtime_ima_count(rt);

        if (c->from > end)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "the log has %" G_GUINT64_FORMAT " entries",
                                     end);
        c->ima = att_runtime_read_ima(rt, c->from, end, error);
        return c->ima != NULL;
}

/* A log that is lost midway is not given in part. */
static GBytes *make_ima(LogCall *c, guint64 *ret_count, GError **error) {
        AttRuntime *rt = att_attester_runtime(c->calls->attester);
        GBytes *piece;

        if (!c->ima) /* what the TPM has quoted may be in the log only now */
                att_attester_look(c->calls->attester);
        if (att_runtime_ima_state(rt) != ATT_IMA_OK) {
                att_error_set(error, ATT_ERROR_FAILED, "the IMA log is %s: %s",
                              att_ima_state_name(att_runtime_ima_state(rt)), att_runtime_ima_detail(rt));
                return NULL;
        }
        if (!c->ima && !begin_ima(c, error))
                return NULL;

        piece = att_ima_reader_next(c->ima, ret_count, error);
        c->is_whole = piece && att_ima_reader_is_at_end(c->ima);
        return piece;
}

static GBytes *make_register(LogCall *c, guint64 *ret_count, GError **error) {
        GBytes *piece;

        if (!c->extensions) {
                att_attester_look(c->calls->attester);
                c->extensions = att_runtime_read_register(att_attester_runtime(c->calls->attester), c->from, error);
        }
        if (!c->extensions)
                return NULL;

        piece = att_mirror_reader_next(c->extensions, ret_count, error);
        c->is_whole = piece && att_mirror_reader_is_at_end(c->extensions);
        return piece;
}

static GBytes *make_boot(LogCall *c, guint64 *ret_count, GError **error) {
        g_autoptr(GError) e = NULL;
        GBytes *log;

        if (c->from != 0) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "the boot log is given whole: from must be 0");
                return NULL;
        }

        log = att_boot_log_read(&e);
        c->is_whole = true;
        if (log)
                *ret_count = g_bytes_get_size(log);
        else /* whether there is a TEE is another question */
                att_error_set(error, ATT_ERROR_FAILED, "%s", e->message);
        return log;
}

static const struct {
        const char *name;
        Make make;
} logs[] = {
        { "ima", make_ima },
        { "boot", make_boot },
        { "register", make_register },
};

/* ----- making one */

static gboolean step(LogCall *c, GError **error) {
        g_autoptr(GBytes) piece = NULL;
        guint64 count = 0;

        piece = c->make(c, &count, error);
        if (!piece)
                return FALSE;
        if (g_bytes_get_size(piece) > ATT_LOG_SIZE_MAX - c->size)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "the log is over %u bytes", ATT_LOG_SIZE_MAX);

        if (c->fd < 0)
                c->fd = att_memfd_open("attestd-log", error);
        if (c->fd < 0 || !att_memfd_append(c->fd, piece, &c->size, error))
                return FALSE;

        c->count += count;
        if (ATT_LOG_SIZE_MAX - c->size < ATT_IMA_RECORD_MAX)
                c->is_whole = true; /* the rest is for another call */
        return !c->is_whole || att_memfd_seal(c->fd, error);
}

static gboolean give(LogCall *c, GError **error) {
        att_autofd int fd = att_lent_lend(c->calls->lent, c->name, c->uid, att_steal_fd(&c->fd), error);
        int r;

        if (fd < 0)
                return FALSE;
        /* Who has the answer may have the list. */
        g_clear_pointer(&c->ima, att_ima_reader_free);
        g_clear_pointer(&c->extensions, att_mirror_reader_free);
        r = sd_bus_reply_method_return(c->call, "htt", fd, c->from, c->count);
        if (r < 0)
                return att_error_set_errno(error, -r, "the log cannot be sent");
        att_direct_sent(sd_bus_message_get_bus(c->call), 0);
        return TRUE;
}

static void answer(LogCall *c) {
        GError *error = NULL;

        if (give(c, &error))
                call_free(c);
        else
                refuse(c, error);
        (void) malloc_trim(0); /* the allocator would keep a piece's worth for the next log */
}

static LogCall *next_allowed(const AttLogCalls *calls) {
        for (GList *l = calls->calls.head; l; l = l->next)
                if (((LogCall *) l->data)->is_allowed)
                        return l->data;
        return NULL;
}

static gboolean on_step(gpointer userdata) {
        AttLogCalls *calls = userdata;
        LogCall *c = next_allowed(calls);
        GError *error = NULL;

        if (c && !step(c, &error))
                refuse(c, error);
        else if (c && c->is_whole)
                answer(c);

        if (next_allowed(calls))
                return G_SOURCE_CONTINUE;
        calls->step = 0;
        return G_SOURCE_REMOVE;
}

/* ----- who may */

static void on_authorized(GError *error, gpointer userdata) {
        LogCall *c = userdata;

        c->authz = NULL;
        if (!error && sd_bus_can_send(sd_bus_message_get_bus(c->call), 'h') <= 0)
                error = g_error_new(ATT_ERROR, ATT_ERROR_FAILED, "a log comes as a file descriptor, which this "
                                    "connection has not agreed to take: say NEGOTIATE_UNIX_FD before BEGIN");
        if (error) {
                refuse(c, error);
                return;
        }

        c->is_allowed = true;
        if (c->calls->step == 0)
                c->calls->step = g_idle_add_full(G_PRIORITY_DEFAULT, on_step, c->calls, NULL);
}

/* Those that we know the senders of. */
static AttLentCount count_known(const AttLogCalls *calls, const char *name, uint32_t uid) {
        AttLentCount n = { 0 };

        for (GList *l = calls->calls.head; l; l = l->next) {
                const LogCall *c = l->data;

                if (!c->is_known)
                        continue;
                n.of_all++;
                n.of_user += c->uid == uid;
                n.of_connection += c->uid == uid && g_str_equal(c->name, name);
        }
        return n;
}

/* Of a connection, whether we know its user or not. */
static guint n_calls_by(const AttLogCalls *calls, const char *name) {
        guint n = 0;

        for (GList *l = calls->calls.head; l; l = l->next)
                n += g_str_equal(((LogCall *) l->data)->name, name);
        return n;
}

/* For the direct socket there is no polkit to ask. */
static void authorize_direct(LogCall *c) {
        if (c->uid == 0)
                on_authorized(NULL, c);
        else
                refuse(c, g_error_new(ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED, "on the direct socket logs are for root "
                                      "alone: use the system bus"));
}

/* Returns: false if the call has been refused */
static bool identify(LogCall *c, AttPeer *peer) {
        AttLogCalls *calls = c->calls;
        g_autoptr(AttCaller) caller = NULL;
        GError *error = NULL;
        AttLentCount waiting;

        c->who = g_strdup_printf("uid %u", peer->uid);
        caller = att_caller_new(peer, att_attester_configuration(calls->attester), &error);
        if (!caller) {
                refuse(c, error);
                return false;
        }
        c->uid = att_caller_uid(caller);
        waiting = count_known(calls, c->name, c->uid);
        if (waiting.of_user >= ATT_LOG_CALLS_PER_USER_MAX) {
                refuse(c, g_error_new(ATT_ERROR, ATT_ERROR_LIMIT_REACHED, "this user waits for %u logs already",
                                      ATT_LOG_CALLS_PER_USER_MAX));
                return false;
        }
        if (!att_lent_check_with(calls->lent, c->name, c->uid, &waiting, &error)) {
                refuse(c, error);
                return false;
        }
        c->is_known = true;
        g_free(c->who);
        c->who = att_caller_describe(caller);
        return true;
}

static void on_credentials(AttPeer *peer, GError *error, gpointer userdata) {
        LogCall *c = userdata;
        AttAuthz *authz;

        if (!peer) {
                refuse(c, error);
                return;
        }
        peer->connected_by_us = att_name_watch_connected_by(c->calls->names, sd_bus_message_get_sender(c->call));
        if (!identify(c, peer))
                return;
        authz = att_authz_ask(c->calls->authority, c->call, c->uid, ACTION, on_authorized, c);
        if (authz) /* else it is over already */
                c->authz = authz;
}

int att_log_calls_add(AttLogCalls *calls, sd_bus_message *call, AttPeer *peer, sd_bus_error *error) {
        const char *name, *sender = att_call_name(call);
        Make make = NULL;
        uint64_t from;
        LogCall *c;
        int r = sd_bus_message_read(call, "st", &name, &from);

        if (r < 0)
                return r;
        for (gsize i = 0; i < G_N_ELEMENTS(logs); i++)
                if (g_str_equal(name, logs[i].name))
                        make = logs[i].make;
        if (!make)
                return att_bus_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "log is none of ima, boot, register");
        /* Until the bus has said whose it is, a call takes none of the places of all: else one connection had them
         * all while the bus is asked, again and again. Its own it takes at once. */
        if (n_calls_by(calls, sender) >= ATT_LOG_CALLS_PER_USER_MAX)
                return att_bus_error_set(error, ATT_ERROR_LIMIT_REACHED, "this connection waits for %u logs already",
                                         ATT_LOG_CALLS_PER_USER_MAX);

        c = g_new(LogCall, 1);
        *c = (LogCall) {
                .calls = calls,
                .call = sd_bus_message_ref(call),
                .name = g_strdup(sender),
                .make = make,
                .from = from,
                .fd = -1,
        };
        c->link.data = c;
        g_queue_push_tail_link(&calls->calls, &c->link);

        if (peer) {
                if (identify(c, peer))
                        authorize_direct(c);
                return 1; /* answer() replies, or a refusal has */
        }

        r = att_credentials_ask(call, &c->credentials, on_credentials, c);
        if (r < 0) {
                call_free(c);
                return r;
        }
        return 1; /* answer() replies */
}

/* ----- */

AttLogCalls *att_log_calls_new(AttAttester *attester, AttAuthority *authority, AttNameWatch *names,
                               AttLogRefused refused, gpointer userdata) {
        AttLogCalls *calls = g_new0(AttLogCalls, 1);

        calls->lent = att_lent_new(&lent_limits);
        calls->attester = attester;
        calls->authority = authority;
        calls->names = names;
        calls->refused = refused;
        calls->userdata = userdata;
        return calls;
}

void att_log_calls_stop(AttLogCalls *calls) {
        while (calls->calls.head)
                refuse(calls->calls.head->data, g_error_new(ATT_ERROR, ATT_ERROR_CANCELLED, "attestd is stopping"));
}

void att_log_calls_leave(AttLogCalls *calls, sd_bus *bus, const char *name) {
        for (GList *l = calls->calls.head, *next; l; l = next) {
                LogCall *c = l->data;

                next = l->next;
                if (sd_bus_message_get_bus(c->call) == bus && (!name || g_str_equal(c->name, name)))
                        call_free(c);
        }
}

void att_log_calls_free(AttLogCalls *calls) {
        if (!calls)
                return;

        while (calls->calls.head)
                call_free(calls->calls.head->data);
        att_lent_free(calls->lent);
        if (calls->step)
                g_source_remove(calls->step);
        g_free(calls);
}
