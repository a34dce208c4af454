/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_connection_new, attestd_connection_open, _read, _write, _renew, _end, with a hostile peer */
#include "codec/frame.h"
#include "codec/tls-handshake.h"
#include "exporter.h"
#include "lib/connection.h"
#include "pki.h"

#include <stdlib.h>

/* The input is a schedule: what the peer sends, as it likes or well-formed, and
 * what the application and the services do in between. */
enum {
        RAW = 0x00, /* to 0x7f: so many bytes of the peer, which follow */
        HELLO = 0x80,
        REQUEST,
        ACCEPTED,
        REFUSED,
        STALE,
        DATA,
        END,
        AUTHENTICATOR,
        CLOSE,
        CUT,
        GIVE_REQUEST,
        GIVE_EVIDENCE,
        SAY_YES,
        SAY_NO,
        CHANGE,
        FAIL,
        OPEN,
        READ,
        WRITE,
        RENEW,
        LEAVE,
        CLOCK,
        CLOG,
        /* frames of logs, and what the services say of them */
        LOG_REQUEST,
        LOG_ENTRIES,
        LOG_REFUSED,
        SAY_LOGS,
        TAKE_LOG,
        TAKE_NO_LOG,
        GIVE_LOG,
};

typedef struct Peer Peer;

typedef struct PeerServices {
        AttServices base;
        Peer *peer;
} PeerServices;

struct Peer {
        AttTransport transport;
        PeerServices services;
        GByteArray *in;
        GByteArray *out;
        bool in_closed, in_cut, is_clogged;
        int64_t clock;
        guint n_contexts;

        GQueue events;
        bool calls[ATT_EVENT_TYPES];
        GBytes *context, *answered; /* ours, and of the peer's newest request */
        bool needs_verdict, has_verdict;
        bool is_compat, needs_logs;
        uint64_t n_entries; /* that our verifier has, and where the peer's next request begins */
        unsigned n_frames; /* that came, in compat mode */
};

static const uint8_t secret[ATT_HASH_SIZE_MAX] = { 0x5e };

static Peer *of_transport(AttTransport *t) {
        return (Peer *) t;
}

static Peer *of_services(AttServices *s) {
        return ((PeerServices *) s)->peer;
}

static AttIo peer_read(AttTransport *t, void *data, size_t size, size_t *ret_size, GError **error) {
        Peer *p = of_transport(t);
        size_t n = MIN(size, p->in->len);

        (void) error;
        if (n == 0)
                return p->in_cut ? ATT_IO_CUT : p->in_closed ? ATT_IO_CLOSED : ATT_IO_WANT_READ;
        memcpy(data, p->in->data, n);
        g_byte_array_remove_range(p->in, 0, (guint) n);
        *ret_size = n;
        return ATT_IO_DONE;
}

/* What the application writes is zeros, and so no frame that is of compat mode. */
static bool is_plain(const Peer *p) {
        return p->is_compat && p->out->len > 0 && p->out->data[0] == 0;
}

/* Data may leave only after the verdict that opens the gate. */
static void look_at(Peer *p) {
        for (;;) {
                AttFrameType type;
                size_t size;

                if (is_plain(p)) {
                        g_assert(!p->needs_verdict || p->has_verdict);
                        g_byte_array_set_size(p->out, 0);
                }
                if (p->out->len < ATT_FRAME_HEADER_SIZE)
                        return;
                g_assert(att_frame_header(p->out->data, &type, &size, NULL));
                if (p->out->len < ATT_FRAME_HEADER_SIZE + size)
                        return;
                g_assert(type != ATT_FRAME_DATA || !p->needs_verdict || p->has_verdict);
                g_assert(!p->is_compat || type == ATT_FRAME_REQUEST || type == ATT_FRAME_AUTHENTICATOR);
                g_assert(!p->is_compat || ++p->n_frames <= 2);
                g_byte_array_remove_range(p->out, 0, (guint) (ATT_FRAME_HEADER_SIZE + size));
        }
}

static AttIo peer_write(AttTransport *t, const void *data, size_t size, size_t *ret_size, GError **error) {
        Peer *p = of_transport(t);

        (void) error;
        if (p->is_clogged)
                return ATT_IO_WANT_WRITE;
        g_byte_array_append(p->out, data, (guint) size);
        look_at(p);
        *ret_size = size;
        return ATT_IO_DONE;
}

static AttIo peer_close(AttTransport *t, GError **error) {
        (void) t, (void) error;
        return ATT_IO_DONE;
}

static gboolean peer_export(AttTransport *t, const char *label, const void *context, size_t context_size, uint8_t *ret,
                            size_t size, GError **error) {
        (void) error;
        tls_exporter(t->hash, secret, label, context, context_size, NULL, ret, size);
        return TRUE;
}

static int64_t peer_now(AttTransport *t) {
        return of_transport(t)->clock;
}

static void peer_free(AttTransport *t) {
        (void) t;
}

static const AttTransportOps transport_ops = {
        .read = peer_read,
        .write = peer_write,
        .close = peer_close,
        .export = peer_export,
        .now = peer_now,
        .free = peer_free,
};

static void called(AttServices *s, AttEventType answer) {
        g_assert(!of_services(s)->calls[answer]); /* one at a time */
        of_services(s)->calls[answer] = true;
}

static void attest(AttServices *s, const uint8_t exported[ATT_EXPORTED_SIZE], GBytes *context, GBytes *public_key,
                   const char *profile, bool batch) {
        (void) exported, (void) context, (void) public_key, (void) profile, (void) batch;
        called(s, ATT_EVENT_EVIDENCE);
}

static void create_request(AttServices *s, const char *profile, bool batch) {
        (void) profile, (void) batch;
        called(s, ATT_EVENT_REQUEST);
}

static void validate(AttServices *s, GBytes *authenticator, const uint8_t exported[ATT_EXPORTED_SIZE],
                     const uint8_t *handshake_context, const uint8_t *finished_key) {
        (void) authenticator, (void) exported, (void) handshake_context, (void) finished_key;
        called(s, ATT_EVENT_VERDICT);
}

static void add_event(Peer *p, AttEvent *event) {
        g_queue_push_tail(&p->events, event);
}

static void find_logs(AttServices *s) {
        if (of_services(s)->needs_logs) {
                called(s, ATT_EVENT_LOGS);
        } else {
                AttEvent *event = g_new0(AttEvent, 1);

                event->type = ATT_EVENT_LOGS;
                add_event(of_services(s), event);
        }
}

static void add_log(AttServices *s, const char *log, GBytes *entries, const char *bank, uint64_t first) {
        g_assert(log && bank && g_bytes_get_size(entries) > 0);
        g_assert(first == 0 || first == of_services(s)->n_entries);
        called(s, ATT_EVENT_ADDED);
}

static void get_log(AttServices *s, const char *log, uint64_t from) {
        (void) log, (void) from;
        called(s, ATT_EVENT_LOG);
}

static void record_context(AttServices *s, GBytes *context) {
        (void) s, (void) context;
}

static AttEvent *next(AttServices *s) {
        return g_queue_pop_head(&of_services(s)->events);
}

static int fd(AttServices *s) {
        (void) s;
        return -1;
}

static void services_free(AttServices *s) {
        g_queue_clear_full(&of_services(s)->events, (GDestroyNotify) att_event_free);
}

static const AttServicesOps services_ops = {
        .attest = attest,
        .create_request = create_request,
        .validate = validate,
        .find_logs = find_logs,
        .add_log = add_log,
        .get_log = get_log,
        .record_context = record_context,
        .next = next,
        .fd = fd,
        .free = services_free,
};

/* A context for each request, so that none repeats unless the peer wants it so. */
static GBytes *new_context(Peer *p, uint8_t whose) {
        uint8_t context[ATT_CONTEXT_SIZE] = { whose, (uint8_t) p->n_contexts, (uint8_t) (p->n_contexts >> 8) };

        p->n_contexts++;
        return g_bytes_new(context, sizeof context);
}

static GBytes *request(AttRole role, GBytes *context) {
        const uint16_t scheme = ATT_SCHEME_ED25519;

        return att_tls_request_build(role == ATT_ROLE_SERVER ? ATT_TLS_CERTIFICATE_REQUEST :
                                                               ATT_TLS_CLIENT_CERTIFICATE_REQUEST,
                                     context, &scheme, 1, ATT_CMW_ATTESTATION_DEFAULT);
}

static void send_bytes(Peer *p, AttFrameType type, GBytes *payload) {
        att_frame_put(p->in, type, g_bytes_get_data(payload, NULL), g_bytes_get_size(payload));
        g_bytes_unref(payload);
}

/* @op: LOG_REQUEST to LOG_REFUSED */
static void send_log_frame(Peer *p, unsigned op) {
        const AttLogRequestFrame request = { .log = (char *) "boot", .from = p->n_entries };
        g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0), some = g_bytes_new("entry", 5);
        AttLogEntriesFrame entries = { .log = (char *) "ima", .first = p->n_entries, .entries = some,
                                       .bank = (char *) "sha1", .more = p->n_contexts % 2 == 0 };

        if (op == LOG_REQUEST) {
                send_bytes(p, ATT_FRAME_LOG_REQUEST, att_log_request_encode(&request));
                return;
        }
        if (op == LOG_REFUSED)
                entries = (AttLogEntriesFrame) { .log = (char *) "ima", .first = p->n_entries, .entries = nothing,
                                                 .bank = (char *) "", .reason = (char *) "no" };
        send_bytes(p, ATT_FRAME_LOG_ENTRIES, att_log_entries_encode(&entries));
}

static void send_frame(Peer *p, unsigned op) {
        char *profiles[] = { (char *) "tag:attestd.org,2026:evidence/1", NULL };
        char *formats[] = { (char *) "application/vnd.veraison.tsm-report+cbor", NULL };
        char *reasons[] = { (char *) "ima", NULL };
        const AttHello hello = { .version = 1, .profiles = profiles, .formats = formats, .asks = true, .gives = true };
        const AttStaleFrame stale = { .generation = p->n_contexts, .reasons = reasons };
        g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0);

        switch (op) {
        case HELLO:
                send_bytes(p, ATT_FRAME_HELLO, att_hello_encode(&hello));
                break;
        case REQUEST:
                g_clear_pointer(&p->answered, g_bytes_unref);
                p->answered = new_context(p, 2);
                send_bytes(p, ATT_FRAME_REQUEST, request(att_role_other(p->transport.role), p->answered));
                break;
        case ACCEPTED:
                if (p->answered)
                        send_bytes(p, ATT_FRAME_ACCEPTED, att_accepted_encode(p->answered));
                break;
        case REFUSED:
                send_bytes(p, ATT_FRAME_REFUSED, att_refused_encode(nothing, "no"));
                break;
        case STALE:
                send_bytes(p, ATT_FRAME_STALE, att_stale_encode(&stale));
                break;
        case DATA:
                att_frame_put(p->in, ATT_FRAME_DATA, "data", 4);
                break;
        case END:
                att_frame_put(p->in, ATT_FRAME_END, NULL, 0);
                break;
        default:
                att_frame_put(p->in, ATT_FRAME_AUTHENTICATOR, "authenticator", 13);
        }
}

static void answer(Peer *p, AttEventType type, bool yes) {
        AttEvent *event = g_new0(AttEvent, 1);

        event->type = type;
        if (type == ATT_EVENT_STALE) {
                event->state = (AttStateId) { .known = true, .generation = ++p->n_contexts };
        } else if (!p->calls[type]) {
                att_event_free(event);
                return;
        } else if (!yes && type != ATT_EVENT_VERDICT) {
                event->error = g_error_new_literal(ATTESTD_ERROR, ATTESTD_ERROR_SERVICE, "fails");
        } else if (type == ATT_EVENT_REQUEST) {
                event->context = new_context(p, 1);
                event->bytes = request(p->transport.role, event->context);
        } else if (type == ATT_EVENT_EVIDENCE) {
                event->bytes = g_bytes_new("evidence", 8);
                event->state = (AttStateId) { .known = true, .generation = p->n_contexts };
        } else {
                event->accepted = yes;
                event->reason = g_strdup(yes ? "" : "evidence-policy: no");
                event->json = g_strdup("{}");
                event->state = (AttStateId) { .known = true, .generation = p->n_contexts };
                p->has_verdict = p->has_verdict || yes;
        }
        p->calls[type] = false;
        g_queue_push_tail(&p->events, event);
}

/* @op: SAY_LOGS to GIVE_LOG */
static void answer_log(Peer *p, unsigned op) {
        const AttEventType type = op == SAY_LOGS ? ATT_EVENT_LOGS : op == GIVE_LOG ? ATT_EVENT_LOG : ATT_EVENT_ADDED;
        AttEvent *event;

        if (!p->calls[type])
                return;
        p->calls[type] = false;
        event = g_new0(AttEvent, 1);
        event->type = type;
        if (op == SAY_LOGS) {
                event->logs = g_strsplit("ima,boot,other", ",", 0);
                event->first = p->n_entries;
        } else if (op == TAKE_LOG) {
                p->n_entries++;
        } else if (op == TAKE_NO_LOG) {
                event->reason = g_strdup("no log");
        } else {
                event->bytes = g_bytes_new("the boot log", 12);
                event->bank = g_strdup("");
        }
        add_event(p, event);
}

static void act(Peer *p, AttestdConnection *c, unsigned op) {
        char data[64] = { 0 };
        gboolean stale;
        gsize n;

        switch (op) {
        case CLOSE:
                p->in_closed = true;
                break;
        case CUT:
                p->in_cut = true;
                break;
        case GIVE_REQUEST:
                answer(p, ATT_EVENT_REQUEST, true);
                break;
        case GIVE_EVIDENCE:
                answer(p, ATT_EVENT_EVIDENCE, true);
                break;
        case SAY_YES:
        case SAY_NO:
                answer(p, ATT_EVENT_VERDICT, op == SAY_YES);
                break;
        case CHANGE:
                answer(p, ATT_EVENT_STALE, true);
                break;
        case FAIL:
                answer(p, ATT_EVENT_EVIDENCE, false);
                break;
        case READ:
                if (attestd_connection_read(c, data, sizeof data, &n, &stale, NULL) == ATTESTD_DONE)
                        g_assert(!p->needs_verdict || p->has_verdict);
                break;
        case WRITE:
                (void) attestd_connection_write(c, data, sizeof data, &n, NULL);
                break;
        case RENEW:
                (void) attestd_connection_renew(c, NULL);
                break;
        case LEAVE:
                (void) attestd_connection_end(c, NULL);
                break;
        case CLOCK:
                p->clock += 11 * G_USEC_PER_SEC;
                break;
        case CLOG:
                p->is_clogged = !p->is_clogged;
                break;
        case LOG_REQUEST:
        case LOG_ENTRIES:
        case LOG_REFUSED:
                send_log_frame(p, op);
                break;
        case SAY_LOGS:
        case TAKE_LOG:
        case TAKE_NO_LOG:
        case GIVE_LOG:
                answer_log(p, op);
                break;
        default:
                (void) attestd_connection_open(c, NULL);
        }
}

static GBytes *sign(guint16 scheme, GBytes *to_be_signed, gpointer key, GError **error) {
        (void) error;
        return pki_sign(key, scheme, g_bytes_get_data(to_be_signed, NULL), g_bytes_get_size(to_be_signed));
}

static void give(AttestdEndpoint *e) {
        const PkiSpec spec = { .cn = "leaf", .extensions = { PKI_LEAF } };
        EVP_PKEY *key = pki_key("ED25519");
        g_autoptr(X509) x509 = pki_issue(&spec, key, NULL, NULL);
        g_autoptr(GPtrArray) certificates = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);

        g_ptr_array_add(certificates, pki_der(x509));
        g_assert(attestd_endpoint_give(e, certificates, sign, key, NULL, NULL));
}

/* @what: bit 0 asks, bit 1 gives, bit 2 in compat mode, bit 3 gives logs */
static AttestdEndpoint *endpoint(unsigned what) {
        static AttestdEndpoint *endpoints[16];

        if (!endpoints[what]) {
                endpoints[what] = attestd_endpoint_new();
                if (what & 1)
                        attestd_endpoint_ask(endpoints[what], NULL);
                if (what & 2)
                        give(endpoints[what]);
                if ((what & 3) == 2) /* as a server too */
                        attestd_endpoint_set_give_to(endpoints[what], ATTESTD_GIVE_TO_ANYONE);
                attestd_endpoint_set_compat(endpoints[what], (what & 4) != 0);
                attestd_endpoint_give_logs(endpoints[what], (what & 8) != 0);
        }
        return endpoints[what];
}

static void run(Peer *p, AttestdConnection *c, AttCursor *in) {
        while (in->left > 0) {
                unsigned op = att_take_u8(in);

                if (op < HELLO) {
                        size_t n = MIN(op, in->left);

                        att_put(p->in, att_take(in, n), n);
                } else if (op <= AUTHENTICATOR) {
                        send_frame(p, op);
                } else {
                        act(p, c, op);
                        continue; /* without being driven */
                }
                act(p, c, OPEN);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AttCursor in = att_cursor(data, size);
        unsigned kind = att_take_u8(&in);
        Peer p = {
                .transport = { .ops = &transport_ops, .role = kind & 4 ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT },
                .services = { .base.ops = &services_ops, .peer = &p },
                .in = g_byte_array_new(),
                .out = g_byte_array_new(),
                .clock = 1,
                .needs_verdict = kind & 1,
                .is_compat = kind & 8,
                .needs_logs = kind & 16,
        };
        AttestdConnection *c;

        p.transport.peer_is_verified = kind & 32;
        c = att_connection_new(endpoint((kind & 3) | (kind & 8) >> 1 | (kind & 32) >> 2), &p.transport,
                               &p.services.base);

        run(&p, c, &in);
        attestd_connection_free(c);
        g_byte_array_unref(p.in);
        g_byte_array_unref(p.out);
        g_clear_pointer(&p.answered, g_bytes_unref);
        return 0;
}
