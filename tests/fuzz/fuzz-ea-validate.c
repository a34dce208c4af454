/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_ea_validate */
/* The keys, requests and the corpus' good authenticator are those of tests/ea/test-ea-vectors.c. */
#include "ea/authenticator.h"

#define CONTEXT                                                                                                 \
        "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18" \
        "\x19\x1a\x1b\x1c\x1d\x1e\x1f"

static const char with_offer[] = "\x11\x00\x00\x2f\x20" CONTEXT "\x00\x0c\x00\x0d\x00\x04\x00\x02\x08\x07\xff\x00\x00";
static const char without[] = "\x11\x00\x00\x2b\x20" CONTEXT "\x00\x08\x00\x0d\x00\x04\x00\x02\x08\x07";

static const AttEaKeys keys = {
        .hash = ATT_HASH_SHA256,
        .sender = ATT_ROLE_SERVER,
        .handshake_context = { 0xb5, 0x92, 0x02, 0x28, 0x10, 0x28, 0x85, 0xce, 0x3b, 0xbc, 0x87,
                               0x92, 0x52, 0xd7, 0xc4, 0xae, 0x80, 0xf4, 0x76, 0x16, 0xcd, 0xc9,
                               0x14, 0x56, 0x33, 0x84, 0x27, 0xe7, 0x89, 0x09, 0x41, 0xb0 },
        .finished_key = { 0xd7, 0x57, 0x1c, 0xcc, 0x15, 0x77, 0xb0, 0x42, 0x77, 0x76, 0x5d,
                          0xa1, 0xc8, 0x75, 0xd9, 0x33, 0xbe, 0x15, 0x71, 0x7b, 0x3e, 0xcf,
                          0x45, 0xd0, 0x70, 0x84, 0x31, 0xfa, 0x07, 0x7d, 0xf5, 0x4d },
};

static void check(GBytes *authenticator, const char *request, size_t request_size) {
        g_autoptr(GBytes) asked = g_bytes_new_static(request, request_size);
        g_auto(AttEaIdentity) identity = { 0 };
        g_autoptr(GError) error = NULL;

        if (!att_ea_validate(&keys, asked, 0xff00, authenticator, &identity, &error)) {
                g_assert(error && !identity.certificates && !identity.spki && !identity.cmw);
                return;
        }
        /* Nobody signs for the fuzzer: what is valid was made with the key of the corpus. */
        g_assert(identity.certificates->len > 0 && identity.scheme == ATT_SCHEME_ED25519);
        g_assert(g_bytes_get_size(identity.spki) == 44);
        g_assert(!identity.cmw || request == with_offer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) authenticator = g_bytes_new_static(data, size);

        check(authenticator, with_offer, sizeof with_offer);
        check(authenticator, without, sizeof without - 1);
        return 0;
}
