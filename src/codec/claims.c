/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/claims.h"

#include "codec/cbor-in.h"
#include "codec/cbor-out.h"
#include "codec/text.h"
#include "util/bytes.h"
#include "util/error.h"

#include <string.h>

#define TAG_UCCS 601u

/* Keys, in the bytewise order of their encodings. */
enum {
        KEY_IAT = 6,
        KEY_EAT_NONCE = 10,
        KEY_EAT_PROFILE = 265,
        KEY_SUBMODS = 266,
        KEY_AIK_PUB_HASH = -78000,
        KEY_ROLE = -78001,
        KEY_STATE = -78002,
        KEY_CONFIG = -78003,
        KEY_SHARED_DEVICE = -78004,
};

#define COSE_SHA256 (-16)
#define SHA256_SIZE 32u
#define ID_SIZE 16u
#define ROOT_RTMR "rtmr"
#define RTMR_MAX 3
#define RTMR_BANK "sha384" /* all that an RTMR has */

static const char *const unit_kinds[] = { "system", "user", "scope", "container", NULL };
static const char *const ima_roots[] = { "tpm-in-tee", "tpm-outside", ROOT_RTMR, "claimed", NULL };
static const char *const ima_states[] = { "garbled", "unreadable", "history-lost", NULL };

static const struct {
        const char *name;
        size_t size;
} banks[] = { { "sha1", 20 }, { "sha256", 32 }, { "sha384", 48 }, { "sha512", 64 } };

AttCallerClaims *att_caller_claims_copy(const AttCallerClaims *caller) {
        AttCallerClaims *copy = g_memdup2(caller, sizeof *caller);

        copy->gids = caller->gids ? g_array_copy(caller->gids) : NULL;
        copy->label = g_strdup(caller->label);
        copy->unit_kind = g_strdup(caller->unit_kind);
        copy->unit = g_strdup(caller->unit);
        copy->exe_digest = caller->exe_digest ? g_bytes_ref(caller->exe_digest) : NULL;
        return copy;
}

void att_caller_claims_free(AttCallerClaims *caller) {
        if (!caller)
                return;
        g_clear_pointer(&caller->gids, g_array_unref);
        g_free(caller->label);
        g_free(caller->unit_kind);
        g_free(caller->unit);
        g_clear_pointer(&caller->exe_digest, g_bytes_unref);
        g_free(caller);
}

void att_ima_claims_free(AttImaClaims *ima) {
        if (!ima)
                return;
        g_free(ima->root);
        g_free(ima->bank);
        g_clear_pointer(&ima->aggregate, g_bytes_unref);
        g_clear_pointer(&ima->boot_aggregate, g_bytes_unref);
        g_clear_pointer(&ima->ak_name, g_bytes_unref);
        g_free(ima);
}

void att_claims_free(AttClaims *claims) {
        if (!claims)
                return;
        att_caller_claims_free(claims->caller);
        att_ima_claims_free(claims->ima);
        g_free(claims->ima_state);
        g_clear_pointer(&claims->boot_digest, g_bytes_unref);
        g_free(claims);
}

/* What holds of claims in either direction: our own before they are written,
 * another's after they were read. Each gives NULL, or what does not hold. */

static bool has_size(GBytes *bytes, size_t size) {
        return bytes && g_bytes_get_size(bytes) == size;
}

static bool is_one_of(const char *text, const char *const *names) {
        return text && g_strv_contains(names, text);
}

static size_t bank_size(const char *bank) {
        for (size_t i = 0; i < G_N_ELEMENTS(banks); i++)
                if (g_strcmp0(bank, banks[i].name) == 0)
                        return banks[i].size;
        return 0;
}

/* A digest of some bank's algorithm, with @more bytes before it. */
static bool is_digest(GBytes *bytes, size_t more) {
        for (size_t i = 0; i < G_N_ELEMENTS(banks); i++)
                if (has_size(bytes, more + banks[i].size))
                        return true;
        return false;
}

static const char *problem_of_caller(const AttCallerClaims *c) {
        if (c->gids && c->gids->len > ATT_CALLER_GIDS_MAX)
                return "too many gids";
        for (guint i = 1; c->gids && i < c->gids->len; i++)
                if (g_array_index(c->gids, uint32_t, i - 1) >= g_array_index(c->gids, uint32_t, i))
                        return "gids are not ascending";
        if (c->label && !att_text_is_plain(c->label, ATT_CALLER_TEXT_MAX))
                return "the LSM label is not plain text";
        if (!c->unit != !c->unit_kind || (c->has_invocation && !c->unit))
                return "a unit without its kind, or the reverse";
        if (c->unit && (!att_text_is_plain(c->unit, ATT_CALLER_TEXT_MAX) || !is_one_of(c->unit_kind, unit_kinds)))
                return "an unknown kind of unit, or a name that is not plain text";
        if (c->exe_digest && !has_size(c->exe_digest, SHA256_SIZE))
                return "the digest of the executable is not a SHA-256";
        return NULL;
}

static bool is_in_rtmr(const AttImaClaims *ima) {
        return g_strcmp0(ima->root, ROOT_RTMR) == 0;
}

static const char *problem_of_ima(const AttImaClaims *ima) {
        if (!is_one_of(ima->root, ima_roots))
                return "an unknown IMA root";
        if (bank_size(ima->bank) == 0)
                return "an unknown IMA bank";
        if (!has_size(ima->aggregate, bank_size(ima->bank)))
                return "the IMA aggregate is not of its bank";
        if (ima->boot_aggregate && !is_digest(ima->boot_aggregate, 0))
                return "boot_aggregate is not a digest";
        if (ima->ak_name && !is_digest(ima->ak_name, 2)) /* after the algorithm */
                return "the name of the AK is not a TPM name";
        if (is_in_rtmr(ima) && (ima->rtmr < 0 || ima->rtmr > RTMR_MAX || strcmp(ima->bank, RTMR_BANK) != 0))
                return "a log in an RTMR of which it is not said, or in a bank that is not its";
        return NULL;
}

static const char *problem_of(const AttClaims *c) {
        const char *problem = c->caller ? problem_of_caller(c->caller) : NULL;

        if (!problem && c->ima)
                problem = problem_of_ima(c->ima);
        if (!problem && c->ima_state && (c->ima || !is_one_of(c->ima_state, ima_states)))
                problem = "a state of the IMA log that is unknown, or beside the log";
        if (!problem && c->boot_digest && !has_size(c->boot_digest, SHA256_SIZE))
                problem = "the digest of the boot log is not a SHA-256";
        return problem;
}

/* Writing. Keys of one map stand in their order: shorter text first. */

static void put_sha256(GByteArray *out, GBytes *digest) {
        att_cbor_put_array(out, 2);
        att_cbor_put_int(out, COSE_SHA256);
        att_cbor_put_bytes(out, digest);
}

static bool has_peer(const AttCallerClaims *c) {
        return c->has_uid || c->gids || c->label;
}

static bool is_known(const AttCallerClaims *c) {
        return c && (has_peer(c) || c->unit || c->exe_digest);
}

static void put_peer(GByteArray *out, const AttCallerClaims *c) {
        att_cbor_put_map(out, 0u + c->has_uid + (c->gids != NULL) + (c->label != NULL));
        if (c->has_uid) {
                att_cbor_put_text(out, "uid");
                att_cbor_put_uint(out, c->uid);
        }
        if (c->gids) {
                att_cbor_put_text(out, "gids");
                att_cbor_put_array(out, c->gids->len);
                for (guint i = 0; i < c->gids->len; i++)
                        att_cbor_put_uint(out, g_array_index(c->gids, uint32_t, i));
        }
        if (c->label) {
                att_cbor_put_text(out, "label");
                att_cbor_put_text(out, c->label);
        }
}

static void put_unit(GByteArray *out, const AttCallerClaims *c) {
        att_cbor_put_map(out, 2u + c->has_invocation);
        att_cbor_put_text(out, "kind");
        att_cbor_put_text(out, c->unit_kind);
        att_cbor_put_text(out, "name");
        att_cbor_put_text(out, c->unit);
        if (c->has_invocation) {
                att_cbor_put_text(out, "invocation");
                att_cbor_put_data(out, c->invocation, ID_SIZE);
        }
}

static void put_caller(GByteArray *out, const AttCallerClaims *c) {
        att_cbor_put_map(out, 0u + has_peer(c) + (c->unit != NULL) + (c->exe_digest != NULL));
        if (has_peer(c)) {
                att_cbor_put_text(out, "peer");
                put_peer(out, c);
        }
        if (c->unit) {
                att_cbor_put_text(out, "unit");
                put_unit(out, c);
        }
        if (c->exe_digest) {
                att_cbor_put_text(out, "observed");
                att_cbor_put_map(out, 1);
                att_cbor_put_text(out, "exe");
                put_sha256(out, c->exe_digest);
        }
}

static void put_ima(GByteArray *out, const AttImaClaims *ima) {
        att_cbor_put_map(out, 5u + (ima->boot_aggregate != NULL) + (ima->ak_name != NULL) + is_in_rtmr(ima));
        if (ima->ak_name) {
                att_cbor_put_text(out, "ak");
                att_cbor_put_bytes(out, ima->ak_name);
        }
        att_cbor_put_text(out, "bank");
        att_cbor_put_text(out, ima->bank);
        att_cbor_put_text(out, "root");
        att_cbor_put_text(out, ima->root);
        att_cbor_put_text(out, "count");
        att_cbor_put_uint(out, ima->count);
        if (is_in_rtmr(ima)) {
                att_cbor_put_text(out, "register");
                att_cbor_put_uint(out, (uint64_t) ima->rtmr);
        }
        att_cbor_put_text(out, "aggregate");
        att_cbor_put_bytes(out, ima->aggregate);
        att_cbor_put_text(out, "violations");
        att_cbor_put_uint(out, ima->violations);
        if (ima->boot_aggregate) {
                att_cbor_put_text(out, "boot_aggregate");
                att_cbor_put_bytes(out, ima->boot_aggregate);
        }
}

static guint n_submods(const AttClaims *c) {
        return 0u + (c->ima != NULL) + (c->boot_digest != NULL) + is_known(c->caller) + (c->ima_state != NULL);
}

static void put_submods(GByteArray *out, const AttClaims *c) {
        att_cbor_put_map(out, n_submods(c));
        if (c->ima) {
                att_cbor_put_text(out, "ima");
                put_ima(out, c->ima);
        }
        if (c->boot_digest) {
                att_cbor_put_text(out, "boot");
                att_cbor_put_map(out, 1);
                att_cbor_put_text(out, "digest");
                put_sha256(out, c->boot_digest);
        }
        if (is_known(c->caller)) {
                att_cbor_put_text(out, "caller");
                put_caller(out, c->caller);
        }
        if (c->ima_state) {
                att_cbor_put_text(out, "ima-state");
                att_cbor_put_map(out, 1);
                att_cbor_put_text(out, "state");
                att_cbor_put_text(out, c->ima_state);
        }
}

/* Where in C stands what is one request's own. */
typedef struct Places {
        gsize binding, key_hash, role;
} Places;

/* The next @size bytes are a byte string's content; where it begins. */
static gsize put_data(GByteArray *out, const uint8_t *data, size_t size) {
        att_cbor_put_data(out, data, size);
        return out->len - size;
}

static void put_claims(GByteArray *out, const AttClaims *claims, Places *ret_places) {
        bool has_submods = n_submods(claims) > 0;
        size_t hash_size = att_hash_size(claims->hash);

        att_cbor_put_tag(out, TAG_UCCS);
        att_cbor_put_map(out, 7u + has_submods + claims->shared_device);
        att_cbor_put_int(out, KEY_IAT);
        att_cbor_put_int(out, claims->issued_at);
        att_cbor_put_int(out, KEY_EAT_NONCE);
        ret_places->binding = put_data(out, claims->binding, hash_size);
        att_cbor_put_int(out, KEY_EAT_PROFILE);
        att_cbor_put_text(out, ATT_PROFILE_EVIDENCE);
        if (has_submods) {
                att_cbor_put_int(out, KEY_SUBMODS);
                put_submods(out, claims);
        }
        att_cbor_put_int(out, KEY_AIK_PUB_HASH);
        att_cbor_put_array(out, 2);
        att_cbor_put_int(out, att_hash_cose_id(claims->hash));
        ret_places->key_hash = put_data(out, claims->key_hash, hash_size);
        att_cbor_put_int(out, KEY_ROLE);
        ret_places->role = out->len;
        att_cbor_put_uint(out, claims->role);
        att_cbor_put_int(out, KEY_STATE);
        att_cbor_put_array(out, 3);
        att_cbor_put_data(out, claims->boot_id, ID_SIZE);
        att_cbor_put_data(out, claims->instance_id, ID_SIZE);
        att_cbor_put_uint(out, claims->generation);
        att_cbor_put_int(out, KEY_CONFIG);
        att_cbor_put_data(out, claims->config_digest, SHA256_SIZE);
        if (claims->shared_device) {
                att_cbor_put_int(out, KEY_SHARED_DEVICE);
                att_cbor_put_bool(out, true);
        }
}

static GByteArray *encode(const AttClaims *claims, Places *ret_places, GError **error) {
        const char *problem = problem_of(claims);
        GByteArray *out;

        if (problem) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "claims: %s", problem);
                return NULL;
        }

        out = g_byte_array_new();
        put_claims(out, claims, ret_places);
        return out;
}

GBytes *att_claims_encode(const AttClaims *claims, GError **error) {
        Places places;
        GByteArray *out = encode(claims, &places, error);

        return out ? g_byte_array_free_to_bytes(out) : NULL;
}

struct AttClaimsMold {
        GByteArray *claims;
        Places places;
        gsize hash_size;
};

void att_claims_mold_free(AttClaimsMold *mold) {
        if (!mold)
                return;
        g_byte_array_unref(mold->claims);
        g_free(mold);
}

AttClaimsMold *att_claims_mold_new(const AttClaims *claims, GError **error) {
        Places places;
        GByteArray *encoded = encode(claims, &places, error);
        AttClaimsMold *mold;

        if (!encoded)
                return NULL;

        mold = g_new(AttClaimsMold, 1);
        *mold = (AttClaimsMold) {
                .claims = encoded,
                .places = places,
                .hash_size = att_hash_size(claims->hash),
        };
        return mold;
}

/* Both roles are numbers of one byte. */
G_STATIC_ASSERT(ATT_ROLE_CLIENT >= 0 && ATT_ROLE_CLIENT < 24 && ATT_ROLE_SERVER >= 0 && ATT_ROLE_SERVER < 24);

const void *att_claims_mold_cast(AttClaimsMold *mold, const uint8_t *binding, const uint8_t *key_hash, AttRole role,
                                 gsize *ret_size) {
        uint8_t *c = mold->claims->data;

        memcpy(c + mold->places.binding, binding, mold->hash_size);
        memcpy(c + mold->places.key_hash, key_hash, mold->hash_size);
        c[mold->places.role] = (uint8_t) role;
        *ret_size = mold->claims->len;
        return c;
}

/* Reading. */

static bool bad(GError **error, const char *problem) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "claims: %s", problem);
}

static GBytes *dup_sha256(const cbor_item_t *item) {
        AttCborArray a;
        int64_t id;

        if (!att_cbor_get_array(item, 2, 2, &a) || !att_cbor_get_int(a.items[0], &id) || id != COSE_SHA256)
                return NULL;
        return att_cbor_dup_bytes(a.items[1], SHA256_SIZE, SHA256_SIZE);
}

static bool get_u32(const cbor_item_t *item, uint32_t *ret) {
        uint64_t v;

        if (!att_cbor_get_uint(item, &v) || v > UINT32_MAX)
                return false;
        *ret = (uint32_t) v;
        return true;
}

static bool read_peer(const cbor_item_t *item, AttCallerClaims *c) {
        const cbor_item_t *uid, *gids, *label;
        AttCborArray a = { .n = 0 };
        AttCborMap map;

        if (!item)
                return true;
        if (!att_cbor_get_map(item, &map))
                return false;
        uid = att_cbor_take_named(&map, "uid");
        gids = att_cbor_take_named(&map, "gids");
        label = att_cbor_take_named(&map, "label");

        c->has_uid = uid != NULL;
        if ((uid && !get_u32(uid, &c->uid)) || (gids && !att_cbor_get_array(gids, 0, ATT_CALLER_GIDS_MAX, &a)) ||
            (label && !(c->label = att_cbor_dup_text(label, ATT_CALLER_TEXT_MAX))))
                return false;

        if (gids)
                c->gids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        for (size_t i = 0; i < a.n; i++) {
                uint32_t gid;

                if (!get_u32(a.items[i], &gid))
                        return false;
                g_array_append_val(c->gids, gid);
        }
        return true;
}

static bool read_unit(const cbor_item_t *item, AttCallerClaims *c) {
        const cbor_item_t *invocation;
        AttCborMap map;

        if (!item)
                return true;
        if (!att_cbor_get_map(item, &map))
                return false;

        c->unit_kind = att_cbor_dup_text(att_cbor_take_named(&map, "kind"), ATT_CALLER_TEXT_MAX);
        c->unit = att_cbor_dup_text(att_cbor_take_named(&map, "name"), ATT_CALLER_TEXT_MAX);
        invocation = att_cbor_take_named(&map, "invocation");
        c->has_invocation = invocation != NULL;
        return c->unit_kind && c->unit && (!invocation || att_cbor_get_bytes(invocation, c->invocation, ID_SIZE));
}

static bool read_observed(const cbor_item_t *item, AttCallerClaims *c) {
        AttCborMap map;

        if (!item)
                return true;
        if (!att_cbor_get_map(item, &map))
                return false;
        c->exe_digest = dup_sha256(att_cbor_take_named(&map, "exe"));
        return c->exe_digest != NULL;
}

static AttCallerClaims *read_caller(const cbor_item_t *item, GError **error) {
        g_autoptr(AttCallerClaims) c = g_new0(AttCallerClaims, 1);
        AttCborMap map;

        if (!att_cbor_get_map(item, &map) || !read_peer(att_cbor_take_named(&map, "peer"), c) ||
            !read_unit(att_cbor_take_named(&map, "unit"), c) ||
            !read_observed(att_cbor_take_named(&map, "observed"), c)) {
                bad(error, "submod caller is not as it should be");
                return NULL;
        }
        return g_steal_pointer(&c);
}

static AttImaClaims *read_ima(const cbor_item_t *item, GError **error) {
        g_autoptr(AttImaClaims) ima = g_new0(AttImaClaims, 1);
        const cbor_item_t *boot_aggregate, *ak, *rtmr;
        uint64_t number = 0;
        AttCborMap map;

        if (!att_cbor_get_map(item, &map))
                goto fail;
        ima->root = att_cbor_dup_text(att_cbor_take_named(&map, "root"), ATT_CALLER_TEXT_MAX);
        ima->bank = att_cbor_dup_text(att_cbor_take_named(&map, "bank"), ATT_CALLER_TEXT_MAX);
        ima->aggregate = att_cbor_dup_bytes(att_cbor_take_named(&map, "aggregate"), 1, ATT_CLAIMS_SIZE_MAX);
        boot_aggregate = att_cbor_take_named(&map, "boot_aggregate");
        ima->boot_aggregate = att_cbor_dup_bytes(boot_aggregate, 1, ATT_CLAIMS_SIZE_MAX);
        ak = att_cbor_take_named(&map, "ak");
        ima->ak_name = att_cbor_dup_bytes(ak, 1, ATT_CLAIMS_SIZE_MAX);
        rtmr = att_cbor_take_named(&map, "register");
        if (!ima->root || !ima->bank || !ima->aggregate || (rtmr != NULL) != is_in_rtmr(ima) ||
            !boot_aggregate != !ima->boot_aggregate || !ak != !ima->ak_name ||
            !att_cbor_get_uint(att_cbor_take_named(&map, "count"), &ima->count) ||
            !att_cbor_get_uint(att_cbor_take_named(&map, "violations"), &ima->violations) ||
            (rtmr && (!att_cbor_get_uint(rtmr, &number) || number > RTMR_MAX)))
                goto fail;
        ima->rtmr = rtmr ? (int) number : -1;
        return g_steal_pointer(&ima);

fail:
        bad(error, "submod ima is not as it should be");
        return NULL;
}

static char *read_ima_state(const cbor_item_t *item, GError **error) {
        g_autofree char *state = NULL;
        AttCborMap map;

        if (att_cbor_get_map(item, &map))
                state = att_cbor_dup_text(att_cbor_take_named(&map, "state"), ATT_CALLER_TEXT_MAX);
        if (!state)
                bad(error, "submod ima-state is not as it should be");
        return g_steal_pointer(&state);
}

static GBytes *read_boot(const cbor_item_t *item, GError **error) {
        g_autoptr(GBytes) digest = NULL;
        AttCborMap map;

        if (att_cbor_get_map(item, &map))
                digest = dup_sha256(att_cbor_take_named(&map, "digest"));
        if (!digest)
                bad(error, "submod boot is not as it should be");
        return g_steal_pointer(&digest);
}

static bool read_submods(const cbor_item_t *item, AttClaims *c, GError **error) {
        const cbor_item_t *caller, *ima, *boot, *state;
        AttCborMap map;

        if (!att_cbor_get_map(item, &map))
                return bad(error, "submods are not a map");
        for (size_t i = 0; i < map.n; i++)
                if (!cbor_isa_string(map.pairs[i].key))
                        return bad(error, "a submod without a name");

        caller = att_cbor_take_named(&map, "caller");
        ima = att_cbor_take_named(&map, "ima");
        boot = att_cbor_take_named(&map, "boot");
        state = att_cbor_take_named(&map, "ima-state");
        return (!caller || (c->caller = read_caller(caller, error))) && (!ima || (c->ima = read_ima(ima, error))) &&
               (!boot || (c->boot_digest = read_boot(boot, error))) &&
               (!state || (c->ima_state = read_ima_state(state, error)));
}

/* [ hash id, Hash(SPKI) ]: it says which hash the session has. */
static bool read_key_hash(const cbor_item_t *item, AttClaims *c) {
        AttCborArray a;
        int64_t id;

        if (!att_cbor_get_array(item, 2, 2, &a) || !att_cbor_get_int(a.items[0], &id))
                return false;
        if (id == att_hash_cose_id(ATT_HASH_SHA256))
                c->hash = ATT_HASH_SHA256;
        else if (id == att_hash_cose_id(ATT_HASH_SHA384))
                c->hash = ATT_HASH_SHA384;
        else
                return false;
        return att_cbor_get_bytes(a.items[1], c->key_hash, att_hash_size(c->hash));
}

static bool read_role(const cbor_item_t *item, AttClaims *c) {
        uint64_t role;

        if (!att_cbor_get_uint(item, &role) || (role != ATT_ROLE_CLIENT && role != ATT_ROLE_SERVER))
                return false;
        c->role = role == ATT_ROLE_SERVER ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT;
        return true;
}

/* [ boot id, instance id, generation ] */
static bool read_state(const cbor_item_t *item, AttClaims *c) {
        AttCborArray a;

        return att_cbor_get_array(item, 3, 3, &a) && att_cbor_get_bytes(a.items[0], c->boot_id, ID_SIZE) &&
               att_cbor_get_bytes(a.items[1], c->instance_id, ID_SIZE) && att_cbor_get_uint(a.items[2], &c->generation);
}

static bool read_claims(AttCborMap *map, AttClaims *c, GError **error) {
        g_autofree char *profile = att_cbor_dup_text(att_cbor_take(map, KEY_EAT_PROFILE), ATT_CALLER_TEXT_MAX);
        const cbor_item_t *shared = att_cbor_take(map, KEY_SHARED_DEVICE), *submods = att_cbor_take(map, KEY_SUBMODS);

        if (g_strcmp0(profile, ATT_PROFILE_EVIDENCE) != 0)
                return bad(error, "eat_profile is not " ATT_PROFILE_EVIDENCE);
        if (!read_key_hash(att_cbor_take(map, KEY_AIK_PUB_HASH), c))
                return bad(error, "AIK_pub_hash is not a SHA-256 or SHA-384");
        if (!att_cbor_get_bytes(att_cbor_take(map, KEY_EAT_NONCE), c->binding, att_hash_size(c->hash)))
                return bad(error, "eat_nonce is not as long as the hash of AIK_pub_hash");
        if (!att_cbor_get_int(att_cbor_take(map, KEY_IAT), &c->issued_at))
                return bad(error, "iat is not a number of seconds");
        if (!read_role(att_cbor_take(map, KEY_ROLE), c))
                return bad(error, "the role is neither client nor server");
        if (!read_state(att_cbor_take(map, KEY_STATE), c))
                return bad(error, "the state is not boot id, instance id and generation");
        if (!att_cbor_get_bytes(att_cbor_take(map, KEY_CONFIG), c->config_digest, SHA256_SIZE))
                return bad(error, "the digest of the configuration is not a SHA-256");
        if (shared && (!att_cbor_get_bool(shared, &c->shared_device) || !c->shared_device))
                return bad(error, "shared device is there and is not true");
        return !submods || read_submods(submods, c, error);
}

AttClaims *att_claims_decode(GBytes *bytes, GError **error) {
        g_autoptr(AttClaims) c = g_new0(AttClaims, 1);
        g_autoptr(cbor_item_t) item = NULL;
        const char *problem;
        AttCborMap map;
        uint64_t tag;

        if (g_bytes_get_size(bytes) > ATT_CLAIMS_SIZE_MAX) {
                att_error_set(error, ATT_ERROR_TOO_LARGE, "claims over %u bytes", ATT_CLAIMS_SIZE_MAX);
                return NULL;
        }
        item = att_cbor_load(bytes, ATT_CBOR_DETERMINISTIC, error);
        if (!item)
                return NULL;
        if (!att_cbor_get_map(att_cbor_get_tagged(item, &tag), &map) || tag != TAG_UCCS) {
                bad(error, "not a tagged UCCS");
                return NULL;
        }
        if (!read_claims(&map, c, error))
                return NULL;

        problem = problem_of(c);
        if (problem) {
                bad(error, problem);
                return NULL;
        }
        return g_steal_pointer(&c);
}
