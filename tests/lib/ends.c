/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ends.h"

#include "codec/claims.h"
#include "codec/ima-record.h"
#include "codec/tls-handshake.h"
#include "codec/tsm-report.h"
#include "exporter.h"

#include <check.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Services. */

static void call_free(gpointer data) {
        MockCall *call = data;

        g_clear_pointer(&call->exported, g_bytes_unref);
        g_clear_pointer(&call->context, g_bytes_unref);
        g_clear_pointer(&call->public_key, g_bytes_unref);
        g_clear_pointer(&call->authenticator, g_bytes_unref);
        g_clear_pointer(&call->entries, g_bytes_unref);
        g_free(call->log);
        g_free(call->bank);
        g_free(call);
}

static void post(Mock *m, AttEvent *event) {
        g_mutex_lock(&m->lock);
        g_queue_push_tail(&m->events, event);
        (void) eventfd_write(m->fd, 1);
        g_mutex_unlock(&m->lock);
}

static void post_stale(Mock *m) {
        AttEvent *event = g_new0(AttEvent, 1);

        event->type = ATT_EVENT_STALE;
        event->state = m->state;
        event->reasons = g_strdupv((char *[]) { (char *) "test", NULL });
        post(m, event);
}

static void add_call(Mock *m, MockCall *call) {
        g_queue_push_tail(&m->calls, call);
        if (m->is_automatic)
                (void) mock_answer(m, call->answer);
}

static void attest(AttServices *s, const uint8_t exported[ATT_EXPORTED_SIZE], GBytes *context, GBytes *public_key,
                   const char *profile, bool batch) {
        MockCall *call = g_new0(MockCall, 1);

        (void) profile;
        call->answer = ATT_EVENT_EVIDENCE;
        call->batch = batch;
        call->exported = g_bytes_new(exported, ATT_EXPORTED_SIZE);
        call->context = g_bytes_ref(context);
        call->public_key = g_bytes_ref(public_key);
        g_ptr_array_add(((Mock *) s)->keys, g_bytes_ref(public_key));
        add_call((Mock *) s, call);
}

static void create_request(AttServices *s, const char *profile, bool batch) {
        MockCall *call = g_new0(MockCall, 1);

        (void) profile;
        call->answer = ATT_EVENT_REQUEST;
        call->batch = batch;
        add_call((Mock *) s, call);
}

static void validate(AttServices *s, GBytes *authenticator, const uint8_t exported[ATT_EXPORTED_SIZE],
                     const uint8_t *handshake_context, const uint8_t *finished_key) {
        Mock *m = (Mock *) s;
        MockCall *call = g_new0(MockCall, 1);

        call->answer = ATT_EVENT_VERDICT;
        call->authenticator = g_bytes_ref(authenticator);
        call->exported = g_bytes_new(exported, ATT_EXPORTED_SIZE);
        call->keys = (AttEaKeys) { .hash = m->hash, .sender = att_role_other(m->role) };
        memcpy(call->keys.handshake_context, handshake_context, att_hash_size(m->hash));
        memcpy(call->keys.finished_key, finished_key, att_hash_size(m->hash));
        add_call(m, call);
}

static void find_logs(AttServices *s) {
        MockCall *call = g_new0(MockCall, 1);

        call->answer = ATT_EVENT_LOGS;
        add_call((Mock *) s, call);
        if (!((Mock *) s)->logs[0]) /* is known of the session */
                (void) mock_answer((Mock *) s, ATT_EVENT_LOGS);
}

static void add_log(AttServices *s, const char *log, GBytes *entries, const char *bank, uint64_t first) {
        MockCall *call = g_new0(MockCall, 1);

        call->answer = ATT_EVENT_ADDED;
        call->log = g_strdup(log);
        call->entries = g_bytes_ref(entries);
        call->bank = g_strdup(bank);
        call->first = first;
        add_call((Mock *) s, call);
}

static void get_log(AttServices *s, const char *log, uint64_t from) {
        MockCall *call = g_new0(MockCall, 1);

        call->answer = ATT_EVENT_LOG;
        call->log = g_strdup(log);
        call->first = from;
        add_call((Mock *) s, call);
}

static void record_context(AttServices *s, GBytes *context) {
        g_ptr_array_add(((Mock *) s)->recorded, g_bytes_ref(context));
}

static AttEvent *next_event(AttServices *s) {
        Mock *m = (Mock *) s;
        eventfd_t count;
        AttEvent *event;

        g_mutex_lock(&m->lock);
        event = g_queue_pop_head(&m->events);
        if (g_queue_is_empty(&m->events))
                (void) eventfd_read(m->fd, &count);
        g_mutex_unlock(&m->lock);
        return event;
}

static int event_fd(AttServices *s) {
        return ((Mock *) s)->fd;
}

static void mock_free(AttServices *s) {
        Mock *m = (Mock *) s;

        g_queue_clear_full(&m->calls, call_free);
        g_queue_clear_full(&m->events, (GDestroyNotify) att_event_free);
        for (size_t i = 0; i < ATT_EVENT_TYPES; i++)
                g_free(m->failures[i]);
        g_ptr_array_unref(m->keys);
        g_ptr_array_unref(m->recorded);
        g_byte_array_unref(m->ima);
        g_array_unref(m->starts);
        g_byte_array_unref(m->boot);
        g_byte_array_unref(m->added);
        g_clear_pointer(&m->boot_added, g_bytes_unref);
        g_clear_pointer(&m->request, g_bytes_unref);
        g_clear_pointer(&m->context, g_bytes_unref);
        g_mutex_clear(&m->lock);
        close(m->fd);
        g_free(m);
}

static const AttServicesOps mock_ops = {
        .attest = attest,
        .create_request = create_request,
        .validate = validate,
        .find_logs = find_logs,
        .add_log = add_log,
        .get_log = get_log,
        .record_context = record_context,
        .next = next_event,
        .fd = event_fd,
        .free = mock_free,
};

Mock *mock_new(AttRole role, AttHash hash) {
        Mock *m = g_new0(Mock, 1);

        m->base.ops = &mock_ops;
        m->role = role;
        m->hash = hash;
        m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        g_mutex_init(&m->lock);
        m->keys = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        m->recorded = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        m->ima = g_byte_array_new();
        m->starts = g_array_new(FALSE, FALSE, sizeof(gsize));
        m->boot = g_byte_array_new();
        m->given_max = ATT_LOG_GIVEN_MAX;
        m->ima_bank = "sha1";
        m->added = g_byte_array_new();
        m->state = (AttStateId) { .known = true, .generation = 1 };
        memset(m->state.boot_id, 0xb0 + (int) role, sizeof m->state.boot_id);
        memset(m->state.instance_id, 0x10, sizeof m->state.instance_id);
        return m;
}

static GList *find_call(Mock *m, AttEventType kind) {
        for (GList *l = m->calls.head; l; l = l->next)
                if (((MockCall *) l->data)->answer == kind)
                        return l;
        return NULL;
}

bool mock_has(Mock *m, AttEventType kind) {
        return find_call(m, kind) != NULL;
}

void mock_seal(Mock *m) {
        GList *l = find_call(m, ATT_EVENT_EVIDENCE);
        MockCall *call = l ? l->data : NULL;

        if (call && !call->is_sealed) {
                call->is_sealed = true;
                call->generation = m->state.generation;
        }
}

/* "mock" || boot id || instance id || u64 generation || u64 entries of the log || binding */
static GBytes *evidence(Mock *m, MockCall *call) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        uint8_t binding[ATT_HASH_SIZE_MAX];

        att_ea_binding(m->hash, call->public_key, g_bytes_get_data(call->exported, NULL), binding);
        att_put(out, "mock", 4);
        att_put(out, m->state.boot_id, 16);
        att_put(out, m->state.instance_id, 16);
        att_put_be(out, call->generation, 8);
        att_put_be(out, m->starts->len, 8);
        att_put(out, binding, att_hash_size(m->hash));
        return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

static void give_evidence(Mock *m, MockCall *call, AttEvent *event) {
        if (!call->is_sealed)
                call->generation = m->state.generation;
        event->bytes = evidence(m, call);
        event->state = m->state;
        event->state.generation = call->generation;
        m->has_evidence = true;
        m->evidence_generation = call->generation;
        m->n_attested++;
}

static void give_request(Mock *m, AttEvent *event) {
        g_autoptr(GBytes) context = NULL;

        g_clear_pointer(&m->request, g_bytes_unref);
        m->request = att_ea_request_new(m->role, ATT_CMW_ATTESTATION_DEFAULT, &context, NULL);
        if ((m->same_context && m->context) || m->cut_context) {
                uint16_t scheme = ATT_SCHEME_ECDSA_SECP256R1_SHA256;
                GBytes *other = m->cut_context ? g_bytes_new_from_bytes(context, 0, m->cut_context) :
                                                 g_bytes_ref(m->context);

                g_bytes_unref(context);
                context = other;
                g_bytes_unref(m->request);
                m->request = att_tls_request_build(m->role == ATT_ROLE_SERVER ? ATT_TLS_CERTIFICATE_REQUEST :
                                                                                ATT_TLS_CLIENT_CERTIFICATE_REQUEST,
                                                   context, &scheme, 1, ATT_CMW_ATTESTATION_DEFAULT);
        }
        g_clear_pointer(&m->context, g_bytes_unref);
        m->context = g_bytes_ref(context);
        event->bytes = g_bytes_ref(m->request);
        event->context = g_bytes_ref(context);
}

static const char *judge(Mock *m, MockCall *call, AttStateId *ret, char **ret_reason) {
        g_auto(AttEaIdentity) identity = { 0 };
        g_autoptr(GError) error = NULL;
        uint8_t binding[ATT_HASH_SIZE_MAX];
        uint64_t entries;
        AttCursor c;

        if (!m->request)
                return "no-request: nothing is outstanding";
        for (guint i = 0; i < m->recorded->len; i++)
                if (g_bytes_equal(m->recorded->pdata[i], m->context))
                        return "context-reused: the peer has used it";
        if (!att_ea_validate(&call->keys, m->request, ATT_CMW_ATTESTATION_DEFAULT, call->authenticator, &identity,
                             &error))
                return *ret_reason = g_strdup(error->message);
        if (!identity.cmw)
                return "attestation-missing: no evidence";

        c = att_cursor_bytes(identity.cmw);
        if (!att_take(&c, 4) || c.left != 48 + att_hash_size(m->hash))
                return "cmw-malformed: not of the mock";
        memcpy(ret->boot_id, att_take(&c, 16), 16);
        memcpy(ret->instance_id, att_take(&c, 16), 16);
        ret->generation = att_take_be(&c, 8);
        ret->known = true;
        entries = att_take_be(&c, 8);
        att_ea_binding(m->hash, identity.spki, g_bytes_get_data(call->exported, NULL), binding);
        if (memcmp(binding, c.at, c.left) != 0)
                return "evidence-binding: it is of another connection";
        if (g_strv_contains((const char *const *) m->logs, "ima") && m->log_next < entries)
                return "ima-log: entries are missing";
        if (g_strv_contains((const char *const *) m->logs, "boot") && !m->boot_added)
                return "boot-log: it is missing";
        return m->refuses;
}

static void give_verdict(Mock *m, MockCall *call, AttEvent *event) {
        g_autofree char *text = NULL;
        const char *reason = judge(m, call, &event->state, &text);

        m->n_judged++;
        g_clear_pointer(&m->request, g_bytes_unref);
        event->accepted = !reason;
        event->reason = g_strdup(reason ? reason : "");
        event->json = g_strdup_printf("{\"accepted\":%s}", reason ? "false" : "true");
}

static void give_logs(Mock *m, AttEvent *event) {
        g_autoptr(GStrvBuilder) logs = g_strv_builder_new();

        for (char **log = m->logs; *log; log++)
                if (!g_str_equal(*log, "boot") || !m->boot_added)
                        g_strv_builder_add(logs, *log);
        event->logs = g_strv_builder_end(logs);
        event->first = m->log_next;
}

/* As attestd-verifier does: whole records, without a gap. */
static void take_log(Mock *m, MockCall *call, AttEvent *event) {
        AttCursor c = att_cursor_bytes(call->entries);
        AttImaRecord record;

        m->n_added++;
        if (m->dislikes) {
                event->reason = g_strdup(m->dislikes);
                m->dislikes = NULL;
                return;
        }
        if (g_str_equal(call->log, "boot")) {
                ck_assert(call->first == 0 && *call->bank == '\0');
                g_clear_pointer(&m->boot_added, g_bytes_unref);
                m->boot_added = g_bytes_ref(call->entries);
                return;
        }
        ck_assert_str_eq(call->log, "ima");
        ck_assert_str_eq(call->bank, "sha1");
        ck_assert_uint_eq(call->first, m->log_next);
        ck_assert_uint_gt(c.left, 0);
        att_put_bytes(m->added, call->entries);
        while (c.left > 0) {
                if (att_ima_record_parse(&c, ATT_BANK_SHA1, &record, NULL) != ATT_IMA_RECORD) {
                        event->reason = g_strdup("a record does not parse");
                        return;
                }
                m->log_next++;
        }
}

/* Whole records from @from on, as many as go into an answer. */
static GBytes *ima_from(const Mock *m, guint64 from) {
        gsize start, end;

        if (from >= m->starts->len)
                return g_bytes_new(NULL, 0);
        start = g_array_index(m->starts, gsize, from);
        end = m->ima->len;
        for (guint i = m->starts->len; end - start > m->given_max; i--)
                end = g_array_index(m->starts, gsize, i - 1);
        return g_bytes_new(m->ima->data + start, end - start - (m->is_cut ? 1 : 0));
}

static void give_log(Mock *m, MockCall *call, AttEvent *event) {
        bool is_boot = g_str_equal(call->log, "boot");

        m->n_given++;
        event->first = call->first + m->skew;
        event->bank = g_strdup(is_boot ? "" : g_str_equal(call->log, "register") ? "sha384" : m->ima_bank);
        if (is_boot)
                event->first = 0;
        event->bytes = is_boot ? g_bytes_new(m->boot->data, m->boot->len) : ima_from(m, call->first);
}

void mock_measure(Mock *m, const char *path, size_t size) {
        static const uint8_t digest[20] = { 0xd1 };
        g_autoptr(GByteArray) data = g_byte_array_new();
        g_autofree uint8_t *filler = g_malloc0(size);
        gsize start = m->ima->len;

        ima_put_digest(data, "sha256:", 0x5a, 32);
        ima_put_path(data, path);
        if (size > 0)
                ima_put_field(data, filler, size);
        g_array_append_val(m->starts, start);
        ima_put_record(m->ima, ATT_IMA_PCR, digest, ATT_BANK_SHA1, size > 0 ? "ima-sig" : "ima-ng", data);
}

bool mock_answer(Mock *m, AttEventType kind) {
        GList *link = find_call(m, kind);
        MockCall *call = link ? link->data : NULL;
        AttEvent *event;

        if (!call)
                return false;
        g_queue_delete_link(&m->calls, link);
        event = g_new0(AttEvent, 1);
        event->type = kind;
        if (m->failures[kind]) {
                event->error = g_error_new_literal(ATTESTD_ERROR, ATTESTD_ERROR_SERVICE, m->failures[kind]);
                g_clear_pointer(&m->failures[kind], g_free);
        } else if (kind == ATT_EVENT_EVIDENCE) {
                give_evidence(m, call, event);
        } else if (kind == ATT_EVENT_REQUEST) {
                give_request(m, event);
        } else if (kind == ATT_EVENT_LOGS) {
                give_logs(m, event);
        } else if (kind == ATT_EVENT_ADDED) {
                take_log(m, call, event);
        } else if (kind == ATT_EVENT_LOG) {
                give_log(m, call, event);
        } else {
                give_verdict(m, call, event);
        }
        call_free(call);
        post(m, event);
        if (kind == ATT_EVENT_EVIDENCE && m->has_evidence && m->evidence_generation < m->state.generation &&
            !m->tells_once)
                post_stale(m);
        return true;
}

void mock_change(Mock *m) {
        m->state.generation++;
        if (m->has_evidence)
                post_stale(m);
}

void mock_restart(Mock *m) {
        AttEvent *event = g_new0(AttEvent, 1);

        m->state.instance_id[0]++;
        m->state.generation = 1;
        m->has_evidence = false;
        event->type = ATT_EVENT_STALE;
        event->reasons = g_strdupv((char *[]) { (char *) "service-lost", NULL });
        post(m, event);
}

void mock_fail_next(Mock *m, AttEventType kind, const char *message) {
        g_free(m->failures[kind]);
        m->failures[kind] = g_strdup(message);
}

void mock_fail_record(Mock *m, const char *message) {
        AttEvent *event = g_new0(AttEvent, 1);

        event->type = ATT_EVENT_FAILED;
        event->error = g_error_new_literal(ATTESTD_ERROR, ATTESTD_ERROR_SERVICE, message);
        post(m, event);
}

/* Transport. */

static void frame_free(gpointer data) {
        Frame *frame = data;

        g_bytes_unref(frame->payload);
        g_free(frame);
}

/* Cuts what has come together into frames. What is none stops it. */
static void watch(End *end, GByteArray *bytes, GPtrArray *frames, bool is_sent, const void *data, size_t size) {
        g_byte_array_append(bytes, data, (guint) size);
        while (bytes->len >= ATT_FRAME_HEADER_SIZE) {
                Frame *frame;
                AttFrameType type;
                size_t payload;

                if (!att_frame_header(bytes->data, &type, &payload, NULL) ||
                    bytes->len < ATT_FRAME_HEADER_SIZE + payload)
                        return;
                frame = g_new(Frame, 1);
                frame->type = type;
                frame->payload = g_bytes_new(bytes->data + ATT_FRAME_HEADER_SIZE, payload);
                g_ptr_array_add(frames, frame);
                g_byte_array_remove_range(bytes, 0, (guint) (ATT_FRAME_HEADER_SIZE + payload));
                if (end->on_frame)
                        end->on_frame(end, is_sent, frame);
        }
}

static AttIo memory_read(AttTransport *t, void *data, size_t size, size_t *ret_size, GError **error) {
        Memory *m = (Memory *) t;
        size_t n = MIN(MIN(size, m->in->len), m->most);

        (void) error;
        if (n == 0)
                return m->in_cut ? ATT_IO_CUT : m->in_closed ? ATT_IO_CLOSED : ATT_IO_WANT_READ;
        memcpy(data, m->in->data, n);
        watch(m->end, m->end->receiving, m->end->received, false, data, n);
        g_byte_array_remove_range(m->in, 0, (guint) n);
        *ret_size = n;
        return ATT_IO_DONE;
}

static AttIo memory_write(AttTransport *t, const void *data, size_t size, size_t *ret_size, GError **error) {
        Memory *m = (Memory *) t;
        size_t n = MIN(MIN(size, m->room), m->most);

        (void) error;
        if (m->is_gone)
                return ATT_IO_CUT;
        ck_assert_msg(!m->out_closed, "%s: writes after close_notify", m->end->name);
        ck_assert_msg(m->pending->len == 0 ||
                      (size >= m->pending->len && memcmp(data, m->pending->data, m->pending->len) == 0),
                      "%s: a write was not repeated with the same bytes", m->end->name);
        g_byte_array_set_size(m->pending, 0);
        /* What is offered is sent: TLS does not give it back. */
        if (m->n_written + size > m->n_offered) {
                size_t more = m->n_written + size - m->n_offered;

                m->n_offered += more;
                watch(m->end, m->end->sending, m->end->sent, true, (const uint8_t *) data + size - more, more);
        }
        if (n == 0) {
                g_byte_array_append(m->pending, data, (guint) size);
                return ATT_IO_WANT_WRITE;
        }
        m->room -= n;
        m->n_written += n;
        g_byte_array_append(m->out, data, (guint) n);
        *ret_size = n;
        return ATT_IO_DONE;
}

static AttIo memory_close(AttTransport *t, GError **error) {
        Memory *m = (Memory *) t;

        if (m->is_gone) {
                g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_TLS, "the peer is gone");
                return ATT_IO_FAILED;
        }
        m->out_closed = true;
        return ATT_IO_DONE;
}

static gboolean memory_export(AttTransport *t, const char *label, const void *context, size_t context_size,
                              uint8_t *ret, size_t size, GError **error) {
        Memory *m = (Memory *) t;

        if (m->export_fails) {
                g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_TLS, "no exporter");
                return FALSE;
        }
        tls_exporter(t->hash, m->secret, label, context, context_size, NULL, ret, size);
        return TRUE;
}

/* A wait for something that is there is over at once, all others take their time. */
static gboolean memory_wait(AttTransport *t, bool for_read, bool for_write, int other_fd, int timeout_ms,
                            GError **error) {
        Memory *m = (Memory *) t;
        struct pollfd other = { .fd = other_fd, .events = POLLIN };

        (void) error;
        m->n_waits++;
        ck_assert_msg(m->n_waits < 100, "%s: waits, and does nothing", m->end->name);
        if (m->on_wait)
                m->on_wait(m->end, m->n_waits);
        if ((for_read && m->in->len > 0) || (for_write && m->room > 0) || poll(&other, 1, 0) > 0)
                return TRUE;
        ck_assert_msg(timeout_ms >= 0, "%s: waits for ever", m->end->name);
        *m->clock += (int64_t) timeout_ms * 1000;
        return TRUE;
}

static int64_t memory_now(AttTransport *t) {
        return *((Memory *) t)->clock;
}

static void memory_free(AttTransport *t) {
        Memory *m = (Memory *) t;

        g_byte_array_unref(m->in);
        g_byte_array_unref(m->out);
        g_byte_array_unref(m->pending);
        g_free(m);
}

static const AttTransportOps memory_ops = {
        .read = memory_read,
        .write = memory_write,
        .close = memory_close,
        .export = memory_export,
        .wait = memory_wait,
        .now = memory_now,
        .free = memory_free,
};

static GBytes *sign(guint16 scheme, GBytes *to_be_signed, gpointer key, GError **error) {
        gsize size;
        const void *data = g_bytes_get_data(to_be_signed, &size);

        (void) error;
        return pki_sign(key, scheme, data, size);
}

AttestdEndpoint *endpoint_new(int what) {
        static EVP_PKEY *key;
        static GBytes *leaf;
        g_autoptr(GPtrArray) certificates = g_ptr_array_new();
        AttestdEndpoint *e = attestd_endpoint_new();

        if (!key) {
                const PkiSpec spec = { .cn = "leaf", .extensions = { PKI_LEAF } };
                g_autoptr(X509) x509 = NULL;

                key = pki_key("P-256");
                x509 = pki_issue(&spec, key, NULL, NULL);
                leaf = pki_der(x509);
        }
        g_ptr_array_add(certificates, leaf);
        if (what & GIVES)
                ck_assert(attestd_endpoint_give(e, certificates, sign, key, NULL, NULL));
        if ((what & FIRST) || !(what & ASKS))
                attestd_endpoint_set_give_to(e, ATTESTD_GIVE_TO_ANYONE);
        attestd_endpoint_give_logs(e, (what & LOGS) != 0);
        if (what & COMPAT) {
                attestd_endpoint_set_compat(e, TRUE);
                attestd_endpoint_set_profile(e, ATT_PROFILE_COCOS);
        }
        if (what & ASKS)
                attestd_endpoint_ask(e, NULL);
        return e;
}

static void end_init(Pair *p, End *end, const char *name, AttRole role, AttestdEndpoint *endpoint) {
        Memory *m = g_new0(Memory, 1);

        m->base = (AttTransport) { .ops = &memory_ops, .role = role, .hash = p->hash };
        m->end = end;
        m->secret = p->secret;
        m->clock = &p->clock;
        m->in = g_byte_array_new();
        m->out = g_byte_array_new();
        m->pending = g_byte_array_new();
        m->room = m->most = SIZE_MAX;

        *end = (End) {
                .name = name,
                .endpoint = endpoint,
                .memory = m,
                .mock = mock_new(role, p->hash),
                .sent = g_ptr_array_new_with_free_func(frame_free),
                .received = g_ptr_array_new_with_free_func(frame_free),
                .sending = g_byte_array_new(),
                .receiving = g_byte_array_new(),
        };
        end->connection = att_connection_new(endpoint, &m->base, &end->mock->base);
}

void pair_init_with(Pair *p, AttHash hash, AttestdEndpoint *client, AttestdEndpoint *server) {
        *p = (Pair) { .hash = hash, .clock = 1 };
        memset(p->secret, 0x5e, sizeof p->secret);
        end_init(p, &p->client, "client", ATT_ROLE_CLIENT, client);
        end_init(p, &p->server, "server", ATT_ROLE_SERVER, server);
}

void pair_init(Pair *p, int client, int server) {
        pair_init_with(p, ATT_HASH_SHA256, endpoint_new(client), endpoint_new(server));
        p->client.memory->base.peer_is_verified = client & LOGS;
        p->server.memory->base.peer_is_verified = server & LOGS;
        if (client & LOGS)
                p->server.mock->logs[0] = (char *) "ima";
        if (server & LOGS)
                p->client.mock->logs[0] = (char *) "ima";
}

static void end_clear(End *end) {
        attestd_connection_free(end->connection);
        attestd_endpoint_unref(end->endpoint);
        g_ptr_array_unref(end->sent);
        g_ptr_array_unref(end->received);
        g_byte_array_unref(end->sending);
        g_byte_array_unref(end->receiving);
        g_clear_error(&end->error);
}

void pair_clear(Pair *p) {
        end_clear(&p->client);
        end_clear(&p->server);
}

End *pair_peer(Pair *p, End *end) {
        return end == &p->client ? &p->server : &p->client;
}

size_t pair_deliver(Pair *p, End *to, size_t n) {
        Memory *from = pair_peer(p, to)->memory;

        n = MIN(n, from->out->len);
        g_byte_array_append(to->memory->in, from->out->data, (guint) n);
        if (n > 0)
                g_byte_array_remove_range(from->out, 0, (guint) n);
        if (from->out->len == 0 && from->out_closed)
                to->memory->in_closed = true;
        return n;
}

AttestdStatus end_drive(End *end) {
        g_clear_error(&end->error);
        return attestd_connection_open(end->connection, &end->error);
}

static bool move(Pair *p, bool answer) {
        End *const ends[] = { &p->client, &p->server };
        bool moved = false;

        for (size_t i = 0; i < 2; i++) {
                (void) end_drive(ends[i]);
                if (pair_deliver(p, pair_peer(p, ends[i]), SIZE_MAX) > 0)
                        moved = true;
                for (unsigned kind = 0; answer && kind < ATT_EVENT_TYPES; kind++)
                        while (mock_answer(ends[i]->mock, kind))
                                moved = true;
        }
        return moved;
}

void pair_settle(Pair *p) {
        while (move(p, true))
                continue;
}

void pair_exchange(Pair *p) {
        while (move(p, false))
                continue;
}

void pair_answer(Pair *p, End *end, AttEventType kind) {
        ck_assert_msg(mock_answer(end->mock, kind), "%s: no such call", end->name);
        pair_exchange(p);
}

void pair_open(Pair *p, int client, int server) {
        pair_init(p, client, server);
        pair_settle(p);
        ck_are_open(p);
}

void end_write(End *end, const char *text) {
        gsize size = strlen(text), n = 0;
        AttestdStatus status;

        g_clear_error(&end->error);
        status = attestd_connection_write(end->connection, text, size, &n, &end->error);
        ck_assert_msg(status == ATTESTD_DONE && n == size, "%s: write came to %d: %s", end->name, (int) status,
                      end->error ? end->error->message : "");
}

char *end_read(End *end, gboolean *ret_stale) {
        GString *text = g_string_new(NULL);
        gboolean stale, first = TRUE;
        char data[8];
        gsize n;

        g_clear_error(&end->error);
        *ret_stale = FALSE;
        while (attestd_connection_read(end->connection, data, 1, &n, &stale, &end->error) == ATTESTD_DONE) {
                if (!first && stale != *ret_stale)
                        ck_abort_msg("%s: read past a change of stale", end->name);
                g_string_append_len(text, data, (gssize) n);
                *ret_stale = stale;
                first = FALSE;
        }
        return g_string_free(text, FALSE);
}

void ck_reads(End *end, const char *text, gboolean stale) {
        gboolean is_stale;
        g_autofree char *got = end_read(end, &is_stale);

        ck_assert_str_eq(got, text);
        ck_assert_int_eq(is_stale, stale);
}

void play_hello(End *to, int what) {
        char *profiles[] = { to->endpoint->profile, NULL };
        char *formats[] = { (char *) ATT_TSM_REPORT_CBOR, NULL };
        const AttHello hello = {
                .version = 1,
                .profiles = profiles,
                .formats = formats,
                .asks = what & ASKS,
                .gives = what & GIVES,
        };
        g_autoptr(GBytes) payload = att_hello_encode(&hello);

        inject(to, ATT_FRAME_HELLO, g_bytes_get_data(payload, NULL), g_bytes_get_size(payload));
}

GBytes *play_request(End *to, uint16_t code_point) {
        GBytes *context = NULL;
        g_autoptr(GBytes) request = att_ea_request_new(att_role_other(to->mock->role), code_point, &context, NULL);

        inject(to, ATT_FRAME_REQUEST, g_bytes_get_data(request, NULL), g_bytes_get_size(request));
        return context;
}

void play_accepted(End *to, GBytes *context) {
        g_autoptr(GBytes) payload = att_accepted_encode(context);

        inject(to, ATT_FRAME_ACCEPTED, g_bytes_get_data(payload, NULL), g_bytes_get_size(payload));
}

void inject_message(End *end, AttFrameType type, GBytes *payload) {
        inject(end, type, g_bytes_get_data(payload, NULL), g_bytes_get_size(payload));
}

void inject_bytes(End *end, const void *data, size_t size) {
        g_byte_array_append(end->memory->in, data, (guint) size);
}

void inject(End *end, AttFrameType type, const void *payload, size_t size) {
        att_frame_put(end->memory->in, type, payload, size);
}

char *frames_sent(const End *end) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        for (guint i = 0; i < end->sent->len; i++)
                g_ptr_array_add(names, (gpointer) att_frame_name(((Frame *) end->sent->pdata[i])->type));
        g_ptr_array_add(names, NULL);
        return g_strjoinv(" ", (char **) names->pdata);
}

guint count_sent(const End *end, AttFrameType type) {
        guint n = 0;

        for (guint i = 0; i < end->sent->len; i++)
                if (((Frame *) end->sent->pdata[i])->type == type)
                        n++;
        return n;
}

void ck_failed(const End *end, AttestdError code, const char *part) {
        if (!end->error)
                ck_abort_msg("%s: no failure", end->name);
        else if (!g_error_matches(end->error, ATTESTD_ERROR, (gint) code) || !strstr(end->error->message, part))
                ck_abort_msg("%s: %d %s", end->name, end->error->code, end->error->message);
}
