/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both services by GDBus: attestd-verifier over the system bus, attestd over its direct
 * socket if it serves us there, else over the bus as well. What the application's thread
 * asks for is made here into calls, and given to our thread. */
#include "lib/services.h"

#include "crypto/digest.h"
#include "lib/lane.h"
#include "lib/remote.h"
#include "lib/worker.h"
#include "util/io.h"
#include "util/memfd.h"

/* attestd's own time limit ends first. */
#define LATER_MS 5000u

static GVariant *bytes_variant(GBytes *bytes) {
        return g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

static void free_secret(gpointer data) {
        GBytes *bytes = data;
        gsize size;
        const void *p = g_bytes_get_data(bytes, &size);

        att_cleanse((void *) (uintptr_t) p, size);
        g_bytes_unref(bytes);
}

/* GDBus copies it into its message; at least ours does not stay. */
static GVariant *secret_variant(const uint8_t *data, gsize size) {
        GBytes *copy = g_bytes_new(data, size);

        return g_variant_new_from_data(G_VARIANT_TYPE_BYTESTRING, g_bytes_get_data(copy, NULL), size, TRUE, free_secret,
                                       copy);
}

static void submit_job(gpointer data) {
        att_remote_submit(data);
}

static void submit(AttCall *call) {
        att_worker_do(submit_job, call);
}

static void attest(AttServices *s, const uint8_t exported[ATT_EXPORTED_SIZE], GBytes *context, GBytes *public_key,
                   const char *profile, bool batch) {
        AttClient *c = (AttClient *) s;
        GVariantBuilder options;
        AttCall *call;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "profile", g_variant_new_string(profile));
        g_variant_builder_add(&options, "{sv}", "timeout_ms", g_variant_new_uint32(c->timeout_ms));
        if (batch)
                g_variant_builder_add(&options, "{sv}", "batch", g_variant_new_boolean(TRUE));
        g_variant_builder_add(&options, "{sv}", "split", g_variant_new_boolean(TRUE));
        call = att_remote_call(&c->attester, "Attest",
                               g_variant_new("(@ay@ay@aya{sv})", secret_variant(exported, ATT_EXPORTED_SIZE),
                                             bytes_variant(context), bytes_variant(public_key), &options),
                               "(aya{sv})", ATT_EVENT_EVIDENCE, true);
        call->timeout_ms += LATER_MS;
        call->is_split = true;
        submit(call);
}

/* What the verifier is to know of this connection: most of those who only give never ask it. */
static void add_peer(GVariantBuilder *b, const AttClient *c) {
        const AttestdEndpoint *e = c->endpoint;

        if (e->anchors) {
                GVariantBuilder anchors;

                g_variant_builder_init(&anchors, G_VARIANT_TYPE_BYTESTRING_ARRAY);
                for (guint i = 0; i < e->anchors->len; i++)
                        g_variant_builder_add_value(&anchors, bytes_variant(e->anchors->pdata[i]));
                g_variant_builder_add(b, "{sv}", "peer_name", g_variant_new_string(e->peer_name));
                g_variant_builder_add(b, "{sv}", "trust_anchors", g_variant_builder_end(&anchors));
        } else if (c->peer_key) {
                g_variant_builder_add(b, "{sv}", "handshake_key", bytes_variant(c->peer_key));
        }
}

static GVariant *verifier_parameters(const AttClient *c) {
        const AttestdEndpoint *e = c->endpoint;
        GVariantBuilder b;

        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&b, "{sv}", "role", g_variant_new_string(att_role_name(att_role_other(c->role))));
        g_variant_builder_add(&b, "{sv}", "hash", g_variant_new_string(att_hash_name(c->hash)));
        if (e->policy_text)
                g_variant_builder_add(&b, "{sv}", "policy_text", g_variant_new_string(e->policy_text));
        else if (e->policy)
                g_variant_builder_add(&b, "{sv}", "policy", g_variant_new_string(e->policy));
        add_peer(&b, c);
        if (e->spki)
                g_variant_builder_add(&b, "{sv}", "local_key", bytes_variant(e->spki));
        return g_variant_ref_sink(g_variant_builder_end(&b));
}

static AttRemote *need_verifier(AttClient *c) {
        if (!c->verifier.parameters)
                c->verifier.parameters = verifier_parameters(c);
        return &c->verifier;
}

static void create_request(AttServices *s, const char *profile, bool batch) {
        AttClient *c = (AttClient *) s;
        GVariantBuilder options;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "cmw_attestation", g_variant_new_uint16(c->endpoint->code_point));
        g_variant_builder_add(&options, "{sv}", "profile", g_variant_new_string(profile));
        if (batch)
                g_variant_builder_add(&options, "{sv}", "batch", g_variant_new_boolean(TRUE));
        submit(att_remote_call(need_verifier(c), "CreateRequest", g_variant_new("(a{sv})", &options), "(ayay)",
                               ATT_EVENT_REQUEST, true));
}

static void validate(AttServices *s, GBytes *authenticator, const uint8_t exported[ATT_EXPORTED_SIZE],
                     const uint8_t *handshake_context, const uint8_t *finished_key) {
        AttClient *c = (AttClient *) s;
        gsize size = att_hash_size(c->hash);
        GVariantBuilder options;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "handshake_context", secret_variant(handshake_context, size));
        g_variant_builder_add(&options, "{sv}", "finished_key", secret_variant(finished_key, size));
        /* Not to be made in a new session: it would not know the request. */
        submit(att_remote_call(need_verifier(c), "Validate",
                               g_variant_new("(@ay@aya{sv})", bytes_variant(authenticator),
                                             secret_variant(exported, ATT_EXPORTED_SIZE), &options),
                               "(ba{sv})", ATT_EVENT_VERDICT, false));
}

static void find_logs(AttServices *s) {
        submit(att_remote_look(need_verifier((AttClient *) s)));
}

static void add_log(AttServices *s, const char *log, GBytes *entries, const char *bank, uint64_t first) {
        AttClient *c = (AttClient *) s;
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
        g_autoptr(GError) error = NULL;
        att_autofd int fd = att_memfd_new("attestd-log", entries, &error);
        GVariantBuilder options;
        AttCall *call;

        if (fd < 0 || g_unix_fd_list_append(fds, fd, &error) < 0) {
                att_mailbox_post_failure(&c->mailbox, ATT_EVENT_ADDED, "cannot pass a log on", error->message);
                return;
        }
        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        if (*bank)
                g_variant_builder_add(&options, "{sv}", "bank", g_variant_new_string(bank));
        call = att_remote_call(need_verifier(c), "AddLog",
                               g_variant_new("(sht@a{sv})", log, 0, first, g_variant_builder_end(&options)), "()",
                               ATT_EVENT_ADDED, false);
        call->fds = g_steal_pointer(&fds);
        submit(call);
}

static void get_log(AttServices *s, const char *log, uint64_t from) {
        AttClient *c = (AttClient *) s;
        AttCall *call = att_remote_call(&c->attester, "GetLog", g_variant_new("(st)", log, from), "(htt)",
                                        ATT_EVENT_LOG, true);

        call->to = ATT_TO_SERVICE;
        submit(call);
}

typedef struct Record {
        AttClient *client; /* a reference */
        GBytes *context;
} Record;

static void record(gpointer data) {
        Record *job = data;

        if (!att_mailbox_is_closed(&job->client->mailbox))
                att_remote_record(&job->client->verifier, job->context);
        g_bytes_unref(job->context);
        att_client_unref(job->client);
        g_free(job);
}

static void record_context(AttServices *s, GBytes *context) {
        Record *job = g_new(Record, 1);

        (void) need_verifier((AttClient *) s);
        job->client = att_client_ref((AttClient *) s);
        job->context = g_bytes_ref(context);
        att_worker_do(record, job);
}

static void close_client(gpointer data) {
        AttClient *c = data;

        att_remote_close(&c->attester);
        att_remote_close(&c->verifier);
        att_client_unref(c);
}

static void services_free(AttServices *s) {
        AttClient *c = (AttClient *) s;

        att_mailbox_close(&c->mailbox);
        att_worker_do(close_client, c);
}

static AttEvent *next_event(AttServices *s) {
        return att_mailbox_take(&((AttClient *) s)->mailbox);
}

static int event_fd(AttServices *s) {
        return ((AttClient *) s)->mailbox.fd;
}

static const AttServicesOps dbus_ops = {
        .attest = attest,
        .create_request = create_request,
        .validate = validate,
        .find_logs = find_logs,
        .add_log = add_log,
        .get_log = get_log,
        .record_context = record_context,
        .next = next_event,
        .fd = event_fd,
        .free = services_free,
};

AttServices *att_services_new(AttestdEndpoint *endpoint, const AttTransport *transport, GError **error) {
        AttClient *c;

        if (!att_worker_start(error))
                return NULL;
        c = att_client_new(&dbus_ops, endpoint, transport, error);
        return c ? &c->base : NULL;
}

static void look_elsewhere(gpointer address) {
        AttLink *direct = att_lanes_direct();

        direct->address = address;
        att_link_drop(direct, "there is another");
        att_link_forgive(direct);
}

void att_services_look_at(const char *address) {
        if (att_worker_is_started())
                att_worker_do(look_elsewhere, (gpointer) address);
        else
                look_elsewhere((gpointer) address);
}
