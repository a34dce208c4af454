/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hashes of a measurement log and of the registers it is replayed to. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef enum {
        ATT_BANK_SHA1,
        ATT_BANK_SHA256,
        ATT_BANK_SHA384,
        ATT_BANK_SHA512,
} AttBank;

#define ATT_BANKS 4u
#define ATT_BANK_SIZE_MAX 64u
#define ATT_BANK_SET(bank) (1u << (bank))
#define ATT_BANK_SET_ALL ((1u << ATT_BANKS) - 1)

static inline size_t att_bank_size(AttBank bank) {
        static const size_t sizes[ATT_BANKS] = { 20, 32, 48, 64 };

        return sizes[bank];
}

/* "sha1", "sha256", "sha384", "sha512" */
static inline const char *att_bank_name(AttBank bank) {
        static const char *const names[ATT_BANKS] = { "sha1", "sha256", "sha384", "sha512" };

        return names[bank];
}

static inline bool att_bank_from_name(const char *name, AttBank *ret) {
        for (unsigned b = 0; b < ATT_BANKS; b++)
                if (strcmp(name, att_bank_name((AttBank) b)) == 0) {
                        *ret = (AttBank) b;
                        return true;
                }
        return false;
}
