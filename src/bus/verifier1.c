/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/verifier1.h"

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-source.h"
#include "bus/verifier-owners.h"
#include "codec/tls-handshake.h"
#include "codec/tsm-report.h"
#include "crypto/digest.h"
#include "ea/used-contexts.h"
#include "util/bank.h"
#include "util/bytes.h"
#include "util/io.h"
#include "util/memfd.h"
#include "verifier/appraisal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define NAME "org.attestd.Verifier1"
#define PATH "/org/attestd/Verifier1"
#define SESSION_NAME NAME ".Session"
#define SESSION_PATH PATH "/session"

#define POLICY_DEFAULT "default"
#define POLICY_NAME_MAX 64u
#define PEER_NAME_MAX 253u
#define SPKI_MAX (8u * 1024u)
/* What a certificate takes once OpenSSL has read it: most where it is a list of short
 * names, which take 37 times their size. */
#define ANCHOR_BYTES (8u * 1024u)
#define ANCHOR_FACTOR 40u
/* Entries of a log are read for so long before others have their turn. */
#define SLICE_US 5000u
/* Logs that calls of Appraise wait for. */
#define APPRAISALS_MAX 64u
#define APPRAISALS_PER_USER_MAX 4u

typedef struct Verifier1 {
        const char *policy_directory; /* borrowed */
        AttOwners *owners;
        GHashTable *sessions;         /* of Session, by number; owned */
        GHashTable *policies;         /* of Shared, by digest; owned */
        GHashTable *anchors;          /* the same */
        GPtrArray *appraisals;        /* of Appraisal: those that read their log; owned */
        AttSignatureMemo *memo;       /* of all callers: what is right is right for each */
        guint64 n_opened;
} Verifier1;

/* A log that is being read, and the call that waits for it. */
typedef struct Reading {
        AttImaHistory *log;           /* borrowed */
        sd_bus_message *call;         /* NULL: none */
        guint source;
} Reading;

/* What sessions and appraisals have in common, and is the same for each: a policy of
 * thousands of lines, or a bundle of certificates. */
typedef struct Shared {
        GHashTable *among;  /* borrowed of the verifier: where it is found */
        GBytes *digest;     /* SHA-256 of what it was read from */
        gsize bytes;        /* that it is charged with */
        guint n_users;
        AttPolicy *policy;  /* one of these */
        GPtrArray *anchors; /* of AttCertificate */
} Shared;

static void shared_free(gpointer data) {
        Shared *shared = data;

        g_bytes_unref(shared->digest);
        att_policy_unref(shared->policy);
        g_clear_pointer(&shared->anchors, g_ptr_array_unref);
        g_free(shared);
}

/* Returns: (nullable): with one more user, as shared_new() makes it with its first */
static Shared *shared_find(GHashTable *among, GBytes *digest) {
        Shared *shared = g_hash_table_lookup(among, digest);

        if (shared)
                shared->n_users++;
        return shared;
}

static Shared *shared_new(GHashTable *among, GBytes *digest, gsize bytes) {
        Shared *shared = g_new0(Shared, 1);

        shared->among = among;
        shared->digest = g_bytes_ref(digest);
        shared->bytes = bytes;
        shared->n_users = 1;
        (void) g_hash_table_insert(among, shared->digest, shared);
        return shared;
}

/* The last user takes it along. */
static void shared_drop(Shared *shared) {
        if (--shared->n_users == 0)
                (void) g_hash_table_remove(shared->among, shared->digest);
}

typedef struct Session {
        Verifier1 *verifier;          /* borrowed */
        guint64 number;
        AttVerifierSession *inner;
        AttOwned *owned;              /* borrowed */
        AttHash hash;
        AttRole role;
        Shared *policy;               /* borrowed of the verifier */
        Shared *anchors;              /* (nullable), the same */
        Reading reading;
} Session;

static int reply_error(sd_bus_message *call, GError *error) {
        sd_bus_error e = SD_BUS_ERROR_NULL;
        int r = sd_bus_reply_method_errno(call, att_bus_error_take(&e, error), &e);

        if (r < 0)
                g_debug("cannot answer %s: %s", sd_bus_message_get_member(call), g_strerror(-r));
        sd_bus_error_free(&e);
        return r;
}

static void reading_start(Reading *reading, AttImaHistory *log, sd_bus_message *call, GSourceFunc slice,
                          gpointer userdata) {
        reading->log = log;
        reading->call = sd_bus_message_ref(call);
        reading->source = g_idle_add_full(G_PRIORITY_DEFAULT, slice, userdata, NULL);
}

/* The call, which is to be answered, and then to be freed. */
static sd_bus_message *reading_end(Reading *reading) {
        sd_bus_message *call = reading->call;

        *reading = (Reading) { 0 };
        return call;
}

static void reading_cancel(Reading *reading, const char *why) {
        g_autoptr(sd_bus_message) call = NULL;

        if (!reading->call)
                return;
        (void) g_source_remove(reading->source);
        call = reading_end(reading);
        (void) reply_error(call, g_error_new(ATT_ERROR, ATT_ERROR_CANCELLED, "%s", why));
}

static void session_free(gpointer data) {
        Session *s = data;

        reading_cancel(&s->reading, "the session was closed");
        g_clear_pointer(&s->policy, shared_drop);
        g_clear_pointer(&s->anchors, shared_drop);
        att_verifier_session_free(s->inner);
        g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_free)

static void on_owner_gone(gpointer item, gpointer userdata) {
        const Session *s = item;
        Verifier1 *v = userdata;

        if (!g_ptr_array_remove_fast(v->appraisals, item))
                (void) g_hash_table_remove(v->sessions, &s->number);
}

/* The options that several calls have, with what they leave to be freed. */
typedef struct Parameters {
        const char *role, *hash;
        const char *policy_name, *policy_text;
        const char *peer_name;
        GPtrArray *trust_anchors;
        GBytes *handshake_key, *local_key;
        GBytes *evidence, *report_data, *binding;
        uint64_t at;
        GBytes *ima_log, *boot_log;
        int ima_log_fd;        /* borrowed; -1: none */
        const char *ima_bank;
} Parameters;

static void parameters_clear(Parameters *p) {
        g_clear_pointer(&p->trust_anchors, g_ptr_array_unref);
        g_clear_pointer(&p->handshake_key, g_bytes_unref);
        g_clear_pointer(&p->local_key, g_bytes_unref);
        g_clear_pointer(&p->evidence, g_bytes_unref);
        g_clear_pointer(&p->report_data, g_bytes_unref);
        g_clear_pointer(&p->binding, g_bytes_unref);
        g_clear_pointer(&p->ima_log, g_bytes_unref);
        g_clear_pointer(&p->boot_log, g_bytes_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parameters, parameters_clear)

static gboolean read_role(const char *text, AttRole *ret, GError **error) {
        return att_role_from_name(text, ret) ||
               att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "\"role\" is \"client\" or \"server\"");
}

static gboolean read_hash(const char *text, AttHash *ret, GError **error) {
        return att_hash_from_name(text, ret) ||
               att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "\"hash\" is \"sha256\" or \"sha384\"");
}

/* Whose digests a list has: by default that which every kernel has. */
static gboolean read_bank(const char *text, AttBank *ret, GError **error) {
        if (text && !att_bank_from_name(text, ret))
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                     "the bank of a list is \"sha1\", \"sha256\", \"sha384\" or \"sha512\"");
        if (!text)
                *ret = ATT_BANK_SHA1;
        return TRUE;
}

/* A name of the caller's becomes a file name of ours: no separator, no dot in front. */
static bool is_policy_name(const char *name) {
        size_t size = strlen(name);

        if (size == 0 || size > POLICY_NAME_MAX || name[0] == '.')
                return false;
        for (const char *c = name; *c; c++)
                if (!g_ascii_isalnum(*c) && !strchr("._-", *c))
                        return false;
        return true;
}

static GBytes *load_policy(const char *directory, const char *name, const char *file, GError **error) {
        g_autoptr(GBytes) text = NULL;
        g_autoptr(GError) why = NULL;
        att_autofd int dir = -1;

        if (!is_policy_name(name)) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                              "the name of a policy has 1 to %u letters, digits, dots, \"_\" and \"-\", and no dot in "
                              "front", POLICY_NAME_MAX);
                return NULL;
        }

        dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                att_error_set_errno(&why, errno, "the directory of policies");
        else
                text = att_read_at(dir, file, ATT_POLICY_SIZE_MAX, &why);
        if (!text) {
                g_info("policy \"%s\": %s", name, why->message);
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                              "no policy \"%s\" can be read: attestd-verifier(8) says where it is looked for", name);
                return NULL;
        }
        return g_steal_pointer(&text);
}

static GBytes *get_policy_text(const Verifier1 *v, const Parameters *p, char **ret_file, GError **error) {
        const char *name = p->policy_name ? p->policy_name : POLICY_DEFAULT;

        if (p->policy_text && p->policy_name) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "either \"policy\" or \"policy_text\", not both");
                return NULL;
        }
        if (p->policy_text) {
                *ret_file = g_strdup("policy_text");
                return g_bytes_new_static(p->policy_text, strlen(p->policy_text));
        }
        *ret_file = g_strdup_printf("%s.policy", name);
        return load_policy(v->policy_directory, name, *ret_file, error);
}

/* Who has the same text already has it parsed. To be given to shared_drop(). */
static Shared *get_policy(const Verifier1 *v, const Parameters *p, GError **error) {
        g_autofree char *file = NULL;
        g_autoptr(GBytes) text = get_policy_text(v, p, &file, error), digest = NULL;
        uint8_t sum[ATT_SHA256_SIZE];
        AttPart part = { 0 };
        Shared *shared;
        AttPolicy *policy;

        if (!text)
                return NULL;
        part.data = g_bytes_get_data(text, &part.size);
        att_sha256(&part, 1, sum);
        digest = g_bytes_new(sum, sizeof sum);
        shared = shared_find(v->policies, digest);
        if (shared)
                return shared;
        policy = att_policy_parse(file, part.data, part.size, error);
        if (!policy)
                return NULL;
        shared = shared_new(v->policies, digest, 2 * part.size);
        shared->policy = policy;
        return shared;
}

static GPtrArray *read_anchors(GPtrArray *ders, GError **error) {
        g_autoptr(GPtrArray) anchors = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);

        for (guint i = 0; i < ders->len; i++) {
                GBytes *der = ders->pdata[i];
                AttCertificate *anchor =
                        att_certificate_from_der(g_bytes_get_data(der, NULL), g_bytes_get_size(der), error);

                if (!anchor) {
                        g_prefix_error(error, "trust anchor %u: ", i + 1);
                        (*error)->code = ATT_ERROR_INVALID_ARGUMENT;
                        return NULL;
                }
                g_ptr_array_add(anchors, anchor);
        }
        return g_steal_pointer(&anchors);
}

/* Of the digest of each: so no two lists have the same bytes. */
static AttOwnersShared name_anchors(GPtrArray *ders) {
        g_autoptr(GByteArray) text = g_byte_array_new();
        uint8_t sum[ATT_SHA256_SIZE];
        gsize bytes = 0;

        for (guint i = 0; i < ders->len; i++) {
                AttPart der = { 0 };

                der.data = g_bytes_get_data(ders->pdata[i], &der.size);
                att_sha256(&der, 1, sum);
                g_byte_array_append(text, sum, sizeof sum);
                bytes += ANCHOR_BYTES + ANCHOR_FACTOR * der.size;
        }
        att_sha256(&(AttPart) { text->data, text->len }, 1, sum);
        return (AttOwnersShared) { .name = g_bytes_new(sum, sizeof sum), .size = bytes };
}

static Shared *get_anchors(const Verifier1 *v, GPtrArray *ders, const AttOwnersShared *name, GError **error) {
        Shared *shared = shared_find(v->anchors, name->name);
        GPtrArray *anchors;

        if (shared)
                return shared;
        anchors = read_anchors(ders, error);
        if (!anchors)
                return NULL;
        shared = shared_new(v->anchors, name->name, name->size);
        shared->anchors = anchors;
        return shared;
}

/* Of its own, and so not of its policy and its anchors. */
static gsize size_of(const Parameters *p, const AttPolicy *policy) {
        gsize size = ATT_VERIFIER_SESSION_BYTES + att_policy_session_bytes(policy);

        if (p->handshake_key)
                size += g_bytes_get_size(p->handshake_key);
        if (p->local_key)
                size += g_bytes_get_size(p->local_key);
        return size;
}

/* Before the anchors are read there must be room for them. */
static gboolean own_session(Session *s, sd_bus_message *call, const Parameters *p, GError **error) {
        Verifier1 *v = s->verifier;
        AttOwnersShared shared[ATT_OWNERS_SHARED] = { { s->policy->digest, s->policy->bytes } };
        g_autoptr(GBytes) name = NULL;
        gsize size = size_of(p, s->policy->policy);

        if (p->trust_anchors) {
                shared[1] = name_anchors(p->trust_anchors);
                name = shared[1].name;
                if (!att_owners_check(v->owners, call, size, shared, error))
                        return FALSE;
                s->anchors = get_anchors(v, p->trust_anchors, &shared[1], error);
                if (!s->anchors)
                        return FALSE;
        }
        s->owned = att_owners_add(v->owners, call, s, size, shared, error);
        return s->owned != NULL;
}

static Session *session_new(Verifier1 *v, sd_bus_message *call, const Parameters *p, GError **error) {
        AttVerifierParameters q = {
                .peer_name = p->peer_name,
                .handshake_key = p->handshake_key,
                .local_key = p->local_key,
                .memo = v->memo,
                .memo_user = att_owners_uid(v->owners, call),
        };
        g_autoptr(Session) s = g_new0(Session, 1);

        s->verifier = v;
        if (!read_role(p->role, &q.role, error) || !read_hash(p->hash, &q.hash, error))
                return NULL;
        s->policy = get_policy(v, p, error);
        if (!s->policy || !own_session(s, call, p, error))
                return NULL;

        q.policy = s->policy->policy;
        q.trust_anchors = s->anchors ? s->anchors->anchors : NULL;
        s->inner = att_verifier_session_new(&q, error);
        if (!s->inner) {
                att_owned_release(s->owned);
                return NULL;
        }
        s->hash = q.hash;
        s->role = q.role;
        return g_steal_pointer(&s);
}

static int open_session(Verifier1 *v, sd_bus_message *call, sd_bus_error *error) {
        g_auto(Parameters) p = { 0 };
        const AttOption options[] = {
                { .name = "role", .type = "s", .ret = &p.role, .is_mandatory = true },
                { .name = "hash", .type = "s", .ret = &p.hash, .is_mandatory = true },
                { .name = "policy", .type = "s", .ret = &p.policy_name },
                { .name = "policy_text", .type = "s", .ret = &p.policy_text, .max = ATT_POLICY_SIZE_MAX },
                { .name = "peer_name", .type = "s", .ret = &p.peer_name, .max = PEER_NAME_MAX },
                { .name = "trust_anchors", .type = "aay", .ret = &p.trust_anchors, .max = ATT_CERTIFICATE_SIZE_MAX },
                { .name = "handshake_key", .type = "ay", .ret = &p.handshake_key, .max = SPKI_MAX },
                { .name = "local_key", .type = "ay", .ret = &p.local_key, .max = SPKI_MAX },
                { .name = NULL },
        };
        g_autoptr(Session) s = NULL;
        g_autofree char *path = NULL;
        GError *e = NULL;
        int r;

        r = att_call_read_options(call, options, error);
        if (r < 0)
                return r;
        s = session_new(v, call, &p, &e);
        if (!s)
                return att_bus_error_take(error, e);

        s->number = ++v->n_opened;
        path = g_strdup_printf(SESSION_PATH "/%" G_GUINT64_FORMAT, s->number);
        (void) g_hash_table_insert(v->sessions, &s->number, s);
        (void) g_steal_pointer(&s);
        return sd_bus_reply_method_return(call, "o", path);
}

static int append_entry(sd_bus_message *m, const char *name, const char *type, ...) {
        va_list ap;
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', type);
        if (r >= 0) {
                va_start(ap, type);
                r = sd_bus_message_appendv(m, type, ap);
                va_end(ap);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_checks(sd_bus_message *m, const GPtrArray *checks) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', "checks");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(sss)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sss)");
        for (guint i = 0; r >= 0 && i < checks->len; i++) {
                const AttCheck *check = checks->pdata[i];

                r = sd_bus_message_append(m, "(sss)", check->name, att_check_status_name(check->status),
                                          check->detail);
        }
        for (int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_ids(sd_bus_message *m, const AttClaims *claims) {
        char boot[33], instance[33];
        int r;

        att_hex(claims->boot_id, sizeof claims->boot_id, boot);
        att_hex(claims->instance_id, sizeof claims->instance_id, instance);
        r = append_entry(m, "boot_id", "s", boot);
        if (r >= 0)
                r = append_entry(m, "instance_id", "s", instance);
        if (r >= 0)
                r = append_entry(m, "generation", "t", claims->generation);
        return r;
}

static int append_result(sd_bus_message *m, const AttResult *result) {
        g_autofree char *json = att_result_to_json(result, false);
        const AttClaims *claims = att_result_claims(result);
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_entry(m, "accepted", "b", (int) att_result_accepted(result));
        if (r >= 0)
                r = append_entry(m, "reason", "s", att_result_reason(result));
        if (r >= 0)
                r = append_checks(m, att_result_checks(result));
        if (r >= 0 && att_result_profile(result))
                r = append_entry(m, "profile", "s", att_result_profile(result));
        if (r >= 0 && att_result_tee(result))
                r = append_entry(m, "tee", "s", att_result_tee(result));
        if (r >= 0 && claims)
                r = append_ids(m, claims);
        if (r >= 0)
                r = append_entry(m, "json", "s", json);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int reply_result(sd_bus_message *call, const AttResult *result) {
        g_autoptr(sd_bus_message) reply = NULL;
        bool accepted = att_result_accepted(result);
        int r;

        g_info("%s: %s%s%s", sd_bus_message_get_member(call), accepted ? "accepted" : "refused",
               accepted ? "" : ": ", att_result_reason(result));
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", (int) accepted);
        if (r >= 0)
                r = append_result(reply, result);
        if (r >= 0)
                r = sd_bus_message_send(reply);
        return r;
}

static gboolean read_report_data(const Parameters *p, AttAppraisalInput *input, GError **error) {
        gsize size;
        const void *bytes = g_bytes_get_data(p->report_data, &size);

        if (size != sizeof input->report_data)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "\"report_data\" has exactly %zu bytes, not "
                                     "%zu", sizeof input->report_data, size);
        memcpy(input->report_data, bytes, size);
        input->bound_to = ATT_BOUND_REPORT_DATA;
        return TRUE;
}

static gboolean read_binding(const Parameters *p, AttAppraisalInput *input, GError **error) {
        gsize size;
        const void *bytes = g_bytes_get_data(p->binding, &size);

        if (!read_hash(p->hash, &input->hash, error) || !read_role(p->role, &input->role, error))
                return FALSE;
        if (size != att_hash_size(input->hash))
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "\"binding\" has exactly %zu bytes with %s, "
                                     "not %zu", att_hash_size(input->hash), att_hash_name(input->hash), size);
        memcpy(input->binding, bytes, size);
        input->bound_to = ATT_BOUND_BINDING;
        return TRUE;
}

static gboolean read_bound_to(const Parameters *p, AttAppraisalInput *input, GError **error) {
        if (p->report_data && p->binding)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                     "either \"report_data\" or \"binding\", not both");
        if (!p->binding && (p->hash || p->role))
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                     "\"hash\" and \"role\" say how to read \"binding\", which is missing");
        if (p->report_data)
                return read_report_data(p, input, error);
        return !p->binding || read_binding(p, input, error);
}

/* Evidence whose log is being read. */
typedef struct Appraisal {
        Verifier1 *verifier;          /* borrowed */
        Parameters parameters;        /* texts in it are gone with the call, which @reading keeps */
        AttAppraisalInput input;
        Shared *policy;               /* borrowed of the verifier */
        AttImaHistory *log;           /* (nullable) */
        AttOwned *owned;              /* borrowed; NULL: it need not be waited for */
        Reading reading;
} Appraisal;

static void appraisal_free(gpointer data) {
        Appraisal *a = data;

        reading_cancel(&a->reading, "the caller has left the bus");
        att_ima_history_free(a->log);
        g_clear_pointer(&a->policy, shared_drop);
        parameters_clear(&a->parameters);
        g_free(a);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Appraisal, appraisal_free)

static int reply_appraisal(sd_bus_message *call, const Appraisal *a) {
        g_autoptr(AttResult) result = att_appraise(&a->input);

        return reply_result(call, result);
}

/* It is answered, or will be by being freed. */
static void appraisal_end(Appraisal *a) {
        att_owned_release(a->owned);
        (void) g_ptr_array_remove_fast(a->verifier->appraisals, a);
}

static gboolean read_appraisal_log(gpointer userdata) {
        Appraisal *a = userdata;
        g_autoptr(sd_bus_message) call = NULL;
        GError *error = NULL;
        AttImaWork work = att_ima_history_work(a->log, SLICE_US, &error);

        if (work == ATT_IMA_WORK_MORE)
                return G_SOURCE_CONTINUE;
        call = reading_end(&a->reading);
        if (work == ATT_IMA_WORK_FAILED)
                (void) reply_error(call, error);
        else if (reply_appraisal(call, a) < 0)
                g_debug("cannot answer Appraise");
        appraisal_end(a);
        return G_SOURCE_REMOVE;
}

static guint n_appraisals_of(const Verifier1 *v, uint32_t uid) {
        guint n = 0;

        for (guint i = 0; i < v->appraisals->len; i++) {
                const Appraisal *a = v->appraisals->pdata[i];

                n += att_owned_uid(a->owned) == uid;
        }
        return n;
}

static gboolean check_appraisals(const Verifier1 *v, sd_bus_message *call, GError **error) {
        if (n_appraisals_of(v, att_owners_uid(v->owners, call)) >= APPRAISALS_PER_USER_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED, "a user may have %u logs appraised at a time: "
                                     "try later", APPRAISALS_PER_USER_MAX);
        if (v->appraisals->len >= APPRAISALS_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED, "%u logs are being appraised already: try later",
                                     APPRAISALS_MAX);
        return TRUE;
}

/* As a session is: it ends when its caller leaves, and his user is charged for what it holds. */
static gboolean own_appraisal(Appraisal *a, sd_bus_message *call, GError **error) {
        const Parameters *p = &a->parameters;
        const AttOwnersShared shared[ATT_OWNERS_SHARED] = { { a->policy->digest, a->policy->bytes } };
        gsize logs = att_ima_history_held(a->log) + (p->boot_log ? g_bytes_get_size(p->boot_log) : 0);

        a->owned = att_owners_add(a->verifier->owners, call, a,
                                  ATT_VERIFIER_SESSION_BYTES + g_bytes_get_size(p->evidence) +
                                  att_policy_session_bytes(a->policy->policy), shared, error);
        if (!a->owned)
                return FALSE;
        if (att_owned_set_logs(a->owned, logs, error))
                return TRUE;
        att_owned_release(g_steal_pointer(&a->owned));
        return FALSE;
}

/* What Appraise was given of the IMA log, into the history that it makes of it. */
static gboolean add_whole_log(Appraisal *a, GError **error) {
        Parameters *p = &a->parameters;
        AttBank listed;

        if (p->ima_bank && !p->ima_log && p->ima_log_fd < 0)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                     "\"ima_bank\" says how to read \"ima_log\", which is missing");
        if (!read_bank(p->ima_bank, &listed, error))
                return FALSE;
        if (p->ima_log_fd >= 0) {
                p->ima_log = att_memfd_read(p->ima_log_fd, ATT_IMA_LOG_HELD_MAX, error);
                if (!p->ima_log)
                        return FALSE;
        }
        if (!p->ima_log || !att_policy_needs_ima_log(a->policy->policy))
                return TRUE;
        a->log = att_ima_history_new(a->policy->policy);
        a->input.ima_log = a->log;
        return att_ima_history_add(a->log, p->ima_log, 0, listed, error);
}

static gboolean read_appraisal(Appraisal *a, sd_bus_message *call, GError **error) {
        const Parameters *p = &a->parameters;

        if (g_bytes_get_size(p->evidence) > ATT_EVIDENCE_INPUT_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "evidence has at most %u bytes",
                                     ATT_EVIDENCE_INPUT_MAX);
        if (p->boot_log && g_bytes_get_size(p->boot_log) > ATT_BOOT_LOG_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "\"boot_log\" has at most %u bytes", ATT_BOOT_LOG_MAX);
        if (p->at > G_MAXINT64)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "\"at\" is no time");
        if (!read_bound_to(p, &a->input, error))
                return FALSE;
        a->policy = get_policy(a->verifier, p, error);
        if (!a->policy)
                return FALSE;
        a->input.evidence = p->evidence;
        a->input.memo = a->verifier->memo;
        a->input.memo_user = att_owners_uid(a->verifier->owners, call);
        a->input.policy = a->policy->policy;
        a->input.at = (int64_t) p->at;
        a->input.boot_log = p->boot_log;
        return add_whole_log(a, error);
}

static int appraise(Verifier1 *v, sd_bus_message *call, sd_bus_error *error) {
        g_autoptr(Appraisal) a = g_new0(Appraisal, 1);
        Parameters *p = &a->parameters;
        const AttOption options[] = {
                { .name = "evidence", .type = "ay", .ret = &p->evidence, .is_mandatory = true },
                { .name = "policy", .type = "s", .ret = &p->policy_name },
                { .name = "policy_text", .type = "s", .ret = &p->policy_text, .max = ATT_POLICY_SIZE_MAX },
                { .name = "report_data", .type = "ay", .ret = &p->report_data },
                { .name = "binding", .type = "ay", .ret = &p->binding },
                { .name = "hash", .type = "s", .ret = &p->hash },
                { .name = "role", .type = "s", .ret = &p->role },
                { .name = "batch", .type = "b", .ret = &a->input.batch },
                { .name = "at", .type = "t", .ret = &p->at },
                { .name = "ima_log", .type = "ay", .ret = &p->ima_log },
                { .name = "ima_log", .type = "h", .ret = &p->ima_log_fd },
                { .name = "ima_bank", .type = "s", .ret = &p->ima_bank },
                { .name = "boot_log", .type = "ay", .ret = &p->boot_log },
                { .name = NULL },
        };
        GError *e = NULL;
        int r;

        a->verifier = v;
        p->at = (uint64_t) (g_get_real_time() / G_USEC_PER_SEC);
        p->ima_log_fd = -1;
        r = att_call_read_options(call, options, error);
        if (r < 0)
                return r;
        if (!read_appraisal(a, call, &e))
                return att_bus_error_take(error, e);
        if (!a->log)
                return reply_appraisal(call, a);

        if (!check_appraisals(v, call, &e) || !own_appraisal(a, call, &e))
                return att_bus_error_take(error, e);
        reading_start(&a->reading, a->log, call, read_appraisal_log, a);
        g_ptr_array_add(v->appraisals, g_steal_pointer(&a));
        return 1; /* read_appraisal_log() replies */
}

static void on_owner_known(sd_bus_message *call, GError *error, gpointer userdata) {
        const char *member = sd_bus_message_get_member(call);
        bool is_appraisal = g_str_equal(member, "Appraise");
        sd_bus_error e = SD_BUS_ERROR_NULL;
        int r;

        if (error)
                r = att_bus_error_take(&e, error);
        else
                r = is_appraisal ? appraise(userdata, call, &e) : open_session(userdata, call, &e);
        if (r < 0)
                r = sd_bus_reply_method_errno(call, r, &e);
        if (r < 0)
                g_debug("cannot answer %s: %s", member, g_strerror(-r));
        sd_bus_error_free(&e);
}

/* OpenSession(in a{sv} parameters, out o session)
 * Appraise(in a{sv} input, out b accepted, out a{sv} result) */
static int method_of_owner(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Verifier1 *v = userdata;

        (void) error;
        att_owners_identify(v->owners, call);
        return 1; /* on_owner_known() replies */
}

/* CreateRequest(in a{sv} options, out ay request, out ay context) */
static int method_create_request(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Session *s = userdata;
        uint16_t cmw_attestation = ATT_CMW_ATTESTATION_DEFAULT;
        const char *profile = ATT_PROFILE_EVIDENCE;
        bool batch = false;
        const AttOption options[] = {
                { .name = "cmw_attestation", .type = "q", .ret = &cmw_attestation },
                { .name = "batch", .type = "b", .ret = &batch },
                { .name = "profile", .type = "s", .ret = &profile },
                { .name = NULL },
        };
        g_autoptr(sd_bus_message) reply = NULL;
        g_autoptr(GBytes) request = NULL;
        g_autoptr(GBytes) context = NULL;
        GError *e = NULL;
        int r;

        r = att_call_read_options(call, options, error);
        if (r < 0)
                return r;
        if (!att_owned_grow(s->owned, ATT_USED_CONTEXT_HELD, &e))
                return att_bus_error_take(error, e);
        request = att_verifier_session_request(s->inner, profile, cmw_attestation, batch, &context, &e);
        if (!request) {
                att_owned_shrink(s->owned, ATT_USED_CONTEXT_HELD);
                return att_bus_error_take(error, e);
        }

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', g_bytes_get_data(request, NULL), g_bytes_get_size(request));
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', g_bytes_get_data(context, NULL), g_bytes_get_size(context));
        if (r >= 0)
                r = sd_bus_message_send(reply);
        return r;
}

/* RecordContext(in ay context) */
static int method_record_context(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Session *s = userdata;
        g_autoptr(GBytes) context = NULL;
        GError *e = NULL;
        const void *p;
        size_t size;
        int r;

        r = att_call_read_bytes(call, "context", 0, ATT_CONTEXT_SIZE_MAX, &p, &size, error);
        if (r < 0)
                return r;
        context = g_bytes_new(p, size);
        if (!att_owned_grow(s->owned, ATT_USED_CONTEXT_HELD, &e))
                return att_bus_error_take(error, e);
        if (!att_verifier_session_record_context(s->inner, context, &e)) {
                att_owned_shrink(s->owned, ATT_USED_CONTEXT_HELD);
                return att_bus_error_take(error, e);
        }
        return sd_bus_reply_method_return(call, NULL);
}

static gboolean read_added_log(gpointer userdata) {
        Session *s = userdata;
        g_autoptr(sd_bus_message) call = NULL;
        GError *error = NULL;
        AttImaWork work = att_ima_history_work(s->reading.log, SLICE_US, &error);

        if (work == ATT_IMA_WORK_MORE)
                return G_SOURCE_CONTINUE;
        call = reading_end(&s->reading);
        (void) att_owned_set_logs(s->owned, att_verifier_session_log_bytes(s->inner), NULL);
        if (work == ATT_IMA_WORK_FAILED)
                (void) reply_error(call, error);
        else if (sd_bus_reply_method_return(call, NULL) < 0)
                g_debug("cannot answer AddLog");
        return G_SOURCE_REMOVE;
}

/* Returns: is it to be answered now? Else read_added_log() will. */
static gboolean add_ima_log(Session *s, sd_bus_message *call, int fd, guint64 first, AttBank listed, GError **error) {
        AttImaHistory *log = att_verifier_session_ima_log(s->inner);
        g_autoptr(GBytes) entries = att_memfd_read(fd, ATT_IMA_LOG_CALL_MAX, error);
        gsize held = att_verifier_session_log_bytes(s->inner);

        if (!entries || !att_owned_set_logs(s->owned, held + g_bytes_get_size(entries), error))
                return FALSE;
        if (!att_ima_history_add(log, entries, first, listed, error)) {
                (void) att_owned_set_logs(s->owned, held, NULL);
                return FALSE;
        }
        reading_start(&s->reading, log, call, read_added_log, s);
        return TRUE;
}

/* Copied: what is mapped of a caller's stays where it is for as long as the session. */
static gboolean add_boot_log(Session *s, int fd, guint64 first, GError **error) {
        g_autoptr(GBytes) mapped = NULL, log = NULL;
        gsize size, held = att_verifier_session_log_bytes(s->inner);
        const void *p;

        if (first != 0)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                     "the boot's event log is given whole: first is 0");
        mapped = att_memfd_read(fd, ATT_BOOT_LOG_MAX, error);
        if (!mapped)
                return FALSE;
        p = g_bytes_get_data(mapped, &size);
        if (!att_owned_set_logs(s->owned, held + size, error))
                return FALSE;
        log = g_bytes_new(p, size);
        att_verifier_session_set_boot_log(s->inner, log);
        return att_owned_set_logs(s->owned, att_verifier_session_log_bytes(s->inner), error);
}

/* AddLog(in s log, in h entries, in t first, in a{sv} options) */
static int method_add_log(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Session *s = userdata;
        const char *log, *bank = NULL;
        const AttOption options[] = {
                { .name = "bank", .type = "s", .ret = &bank },
                { .name = NULL },
        };
        GError *e = NULL;
        AttBank listed;
        uint64_t first;
        int fd, r;

        r = sd_bus_message_read(call, "sht", &log, &fd, &first);
        if (r >= 0)
                r = att_call_read_options(call, options, error);
        if (r < 0)
                return r;
        if (!g_strv_contains(att_verifier_session_logs(s->inner), log))
                return att_bus_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                         "the policy of this session needs no such log");
        if (s->reading.call)
                return att_bus_error_set(error, ATT_ERROR_LIMIT_REACHED, "the former AddLog is not answered yet");
        if (!read_bank(bank, &listed, &e))
                return att_bus_error_take(error, e);
        if (g_str_equal(log, ATT_LOG_IMA)) {
                if (add_ima_log(s, call, fd, first, listed, &e))
                        return 1; /* read_added_log() replies */
        } else if (add_boot_log(s, fd, first, &e)) {
                return sd_bus_reply_method_return(call, NULL);
        }
        return att_bus_error_take(error, e);
}

/* Validate(in ay authenticator, in ay exported_value, in a{sv} options, out b accepted, out a{sv} result) */
static int method_validate(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Session *s = userdata;
        g_autoptr(AttSecret) handshake_context = NULL, finished_key = NULL;
        const AttOption options[] = {
                { .name = "handshake_context", .type = "ay", .ret = &handshake_context, .is_mandatory = true },
                { .name = "finished_key", .type = "ay", .ret = &finished_key, .is_mandatory = true },
                { .name = NULL },
        };
        g_auto(AttEaKeys) keys = { .hash = s->hash, .sender = s->role };
        g_autoptr(GBytes) authenticator = NULL;
        g_autoptr(AttResult) result = NULL;
        GError *e = NULL;
        const void *p, *exported;
        size_t size, exported_size, hash_size = att_hash_size(s->hash);
        int r;

        r = att_call_read_bytes(call, "authenticator", 1, ATT_TLS_AUTHENTICATOR_MAX, &p, &size, error);
        if (r < 0)
                return r;
        authenticator = g_bytes_new(p, size);
        r = att_call_read_bytes(call, "exported_value", ATT_EXPORTED_SIZE, ATT_EXPORTED_SIZE, &exported,
                                &exported_size, error);
        if (r >= 0)
                r = att_call_read_options(call, options, error);
        if (r < 0)
                return r;
        if (s->reading.call)
                return att_bus_error_set(error, ATT_ERROR_LIMIT_REACHED, "an AddLog is not answered yet");
        if (!att_secret_read(handshake_context, "handshake_context", hash_size, keys.handshake_context, &e) ||
            !att_secret_read(finished_key, "finished_key", hash_size, keys.finished_key, &e))
                return att_bus_error_take(error, e);

        result = att_verifier_session_validate(s->inner, authenticator, exported, &keys,
                                               g_get_real_time() / G_USEC_PER_SEC);
        /* Never more than before. */
        (void) att_owned_set_logs(s->owned, att_verifier_session_log_bytes(s->inner), NULL);
        return reply_result(call, result);
}

/* Close() */
static int method_close(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Session *s = userdata;

        (void) error;
        att_owned_release(s->owned);
        (void) g_hash_table_remove(s->verifier->sessions, &s->number);
        return sd_bus_reply_method_return(call, NULL);
}

/* The number in a path of ours, as we wrote it; 0 if it is none. */
static guint64 session_number(const char *path) {
        guint64 number = 0;
        const char *digits;

        if (!g_str_has_prefix(path, SESSION_PATH "/"))
                return 0;
        digits = path + strlen(SESSION_PATH "/");
        if (!g_ascii_string_to_unsigned(digits, 10, 1, G_MAXUINT64, &number, NULL) || digits[0] == '0')
                return 0;
        return number;
}

/* A session is there for its owner. To all others it is an unknown object. */
static Session *find(const Verifier1 *v, sd_bus_message *call, const char *path) {
        guint64 number = session_number(path);
        Session *s = g_hash_table_lookup(v->sessions, &number);

        return s && call && att_owned_is_of(s->owned, sd_bus_message_get_sender(call)) ? s : NULL;
}

static int find_session(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                        sd_bus_error *error) {
        (void) interface, (void) error;
        *ret = find(userdata, sd_bus_get_current_message(bus), path);
        return *ret != NULL;
}

static int property_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) property, (void) userdata, (void) error;
        return sd_bus_message_append(reply, "s", ATT_VERSION);
}

static int property_profiles(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) property, (void) userdata, (void) error;
        return sd_bus_message_append(reply, "as", 3, ATT_PROFILE_EVIDENCE, ATT_PROFILE_EXPAT_PAD, ATT_PROFILE_COCOS);
}

static int property_formats(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) property, (void) userdata, (void) error;
        return sd_bus_message_append(reply, "as", 1, ATT_TSM_REPORT_CBOR);
}

static int property_logs(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Session *s = userdata;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;
        return sd_bus_message_append_strv(reply, (char **) att_verifier_session_logs(s->inner));
}

static int property_log_next(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Session *s = userdata;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;
        return sd_bus_message_append(reply, "t", att_verifier_session_log_next(s->inner));
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", property_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Profiles", "as", property_profiles, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Formats", "as", property_formats, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD_WITH_ARGS("OpenSession",
                                SD_BUS_ARGS("a{sv}", parameters),
                                SD_BUS_RESULT("o", session),
                                method_of_owner,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Appraise",
                                SD_BUS_ARGS("a{sv}", input),
                                SD_BUS_RESULT("b", accepted, "a{sv}", result),
                                method_of_owner,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable session_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Logs", "as", property_logs, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("LogNext", "t", property_log_next, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("CreateRequest",
                                SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("ay", request, "ay", context),
                                method_create_request,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RecordContext",
                                SD_BUS_ARGS("ay", context),
                                SD_BUS_NO_RESULT,
                                method_record_context,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AddLog",
                                SD_BUS_ARGS("s", log, "h", entries, "t", first, "a{sv}", options),
                                SD_BUS_NO_RESULT,
                                method_add_log,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Validate",
                                SD_BUS_ARGS("ay", authenticator, "ay", exported_value, "a{sv}", options),
                                SD_BUS_RESULT("b", accepted, "a{sv}", result),
                                method_validate,
                                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("Close",
                                SD_BUS_NO_ARGS,
                                SD_BUS_NO_RESULT,
                                method_close,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        (void) userdata;
        return att_call_check_signature(call, NAME, vtable, error);
}

static int on_session_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *path = sd_bus_message_get_path(call);

        if (g_str_has_prefix(path, SESSION_PATH "/") && !find(userdata, call, path))
                return att_bus_error_set(error, ATT_ERROR_NO_SUCH_SESSION, "this caller has no such session");
        return att_call_check_signature(call, SESSION_NAME, session_vtable, error);
}

static int add_objects(sd_bus *bus, Verifier1 *v) {
        int r;

        r = sd_bus_add_object(bus, NULL, PATH, on_call, v);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, PATH, NAME, vtable, v);
        if (r >= 0)
                r = sd_bus_add_fallback(bus, NULL, SESSION_PATH, on_session_call, v);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, SESSION_PATH, SESSION_NAME, session_vtable, find_session, v);
        return r;
}

static void verifier1_stop(gpointer object) {
        Verifier1 *v = object;

        while (v->appraisals->len > 0) {
                Appraisal *a = v->appraisals->pdata[0];

                reading_cancel(&a->reading, "the service is stopping");
                appraisal_end(a);
        }
        att_owners_cancel(v->owners);
}

static void verifier1_free(gpointer object) {
        Verifier1 *v = object;

        att_owners_free(v->owners);
        g_ptr_array_unref(v->appraisals);
        g_hash_table_unref(v->sessions);
        g_hash_table_unref(v->policies);
        g_hash_table_unref(v->anchors);
        att_signature_memo_free(v->memo);
        g_free(v);
}

static gpointer verifier1_start(sd_bus *bus, gpointer configuration, GError **error) {
        const AttVerifier1Configuration *c = configuration;
        static const AttOwnersHandler handler = { .known = on_owner_known, .gone = on_owner_gone };
        Verifier1 *v = g_new0(Verifier1, 1);
        int r;

        v->policy_directory = c->policy_directory;
        v->sessions = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, session_free);
        v->appraisals = g_ptr_array_new_with_free_func(appraisal_free);
        v->memo = att_signature_memo_new();
        v->policies = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, NULL, shared_free);
        v->anchors = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, NULL, shared_free);
        v->owners = att_owners_new(bus, &handler, v, error);
        if (!v->owners) {
                verifier1_free(v);
                return NULL;
        }
        r = add_objects(bus, v);
        if (r < 0) {
                verifier1_free(v);
                att_error_set_errno(error, -r, "cannot add the objects");
                return NULL;
        }
        return v;
}

AttExit att_verifier1_run(const AttVerifier1Configuration *configuration) {
        static const AttService service = {
                .name = NAME,
                .start = verifier1_start,
                .stop = verifier1_stop,
                .free = verifier1_free,
        };

        return att_service_run(&service, (gpointer) configuration);
}
