/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/ima-signature.h"

#include "util/error.h"

#include <openssl/cms.h>
#include <openssl/err.h>

#define TYPE_IMA 3u
#define TYPE_EVM_PORTABLE 5u
#define TYPE_VERITY 6u
#define VERSION_2 2u
#define MODSIG_MAX (64u * 1024u)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CMS_ContentInfo, CMS_ContentInfo_free)

/* The kernel's enum hash_algo, in include/uapi/linux/hash_info.h. */
static bool bank_of_kernel(uint8_t algorithm, AttBank *ret) {
        static const struct {
                uint8_t algorithm;
                AttBank bank;
        } known[] = { { 2, ATT_BANK_SHA1 }, { 4, ATT_BANK_SHA256 }, { 5, ATT_BANK_SHA384 }, { 6, ATT_BANK_SHA512 } };

        for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
                if (known[i].algorithm == algorithm) {
                        *ret = known[i].bank;
                        return true;
                }
        return false;
}

/* Is @file's digest one of @bank? */
static bool is_of_bank(const AttFileDigest *file, AttBank bank) {
        const char *name = att_bank_name(bank);

        return file->algorithm_size == strlen(name) && memcmp(file->algorithm, name, file->algorithm_size) == 0 &&
               file->digest.left == att_bank_size(bank);
}

gboolean att_ima_signature_verify(const AttKey *key, AttCursor signature, const AttFileDigest *file, GError **error) {
        AttCursor c = signature;
        uint8_t type = att_take_u8(&c), version = att_take_u8(&c), algorithm = att_take_u8(&c);
        AttCursor bytes;
        AttBank bank;

        (void) att_take(&c, 4); /* key id */
        bytes = att_take_sub(&c, att_take_u16be(&c));
        if (type == TYPE_EVM_PORTABLE)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "a signature of EVM, which is not over the content");
        if (type == TYPE_VERITY)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "a signature of version 3, which is not known");
        if (!att_cursor_is_spent(&c) || type != TYPE_IMA || version != VERSION_2)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "no signature of version 2");
        if (!bank_of_kernel(algorithm, &bank) || !is_of_bank(file, bank))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the signature is over another kind of digest");
        return att_key_verify_digest(key, bank, file->digest.at, bytes.at, bytes.left, error);
}

static bool bank_of_oid(const X509_ALGOR *algorithm, AttBank *ret) {
        static const struct {
                int nid;
                AttBank bank;
        } known[] = {
                { NID_sha256, ATT_BANK_SHA256 }, { NID_sha384, ATT_BANK_SHA384 }, { NID_sha512, ATT_BANK_SHA512 },
        };
        const ASN1_OBJECT *oid = NULL;

        X509_ALGOR_get0(&oid, NULL, NULL, algorithm);
        for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
                if (oid && OBJ_obj2nid(oid) == known[i].nid) {
                        *ret = known[i].bank;
                        return true;
                }
        return false;
}

/* One signer, over the content itself. */
static CMS_SignerInfo *only_signer(CMS_ContentInfo *cms) {
        STACK_OF(CMS_SignerInfo) *signers;
        CMS_SignerInfo *signer;

        if (OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)
                return NULL;
        signers = CMS_get0_SignerInfos(cms);
        if (!signers || sk_CMS_SignerInfo_num(signers) != 1)
                return NULL;
        signer = sk_CMS_SignerInfo_value(signers, 0);
        return CMS_signed_get_attr_count(signer) <= 0 ? signer : NULL;
}

static gboolean read_cms(CMS_ContentInfo *cms, AttImaModsig *ret, GError **error) {
        CMS_SignerInfo *signer = only_signer(cms);
        X509_ALGOR *algorithm = NULL;
        const ASN1_OCTET_STRING *signature;
        AttBank bank;

        if (!signer)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a PKCS #7 of one signer without attributes");
        CMS_SignerInfo_get0_algs(signer, NULL, NULL, &algorithm, NULL);
        signature = CMS_SignerInfo_get0_signature(signer);
        if (!algorithm || !signature || !bank_of_oid(algorithm, &bank))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the signature is over another kind of digest");
        ret->bank = bank;
        ret->signature = g_bytes_new(ASN1_STRING_get0_data(signature), (gsize) ASN1_STRING_length(signature));
        return TRUE;
}

void att_ima_modsig_clear(AttImaModsig *modsig) {
        g_clear_pointer(&modsig->signature, g_bytes_unref);
}

gboolean att_ima_modsig_read(AttCursor bytes, AttImaModsig *ret, GError **error) {
        const unsigned char *p = bytes.at;
        g_autoptr(CMS_ContentInfo) cms = NULL;
        gboolean ok;

        if (bytes.left > 0 && bytes.left <= MODSIG_MAX)
                cms = d2i_CMS_ContentInfo(NULL, &p, (long) bytes.left);
        if (!cms || p != bytes.at + bytes.left) {
                ERR_clear_error();
                return att_error_set(error, ATT_ERROR_BAD_DATA, "no PKCS #7");
        }
        ok = read_cms(cms, ret, error);
        ERR_clear_error();
        return ok;
}

gboolean att_ima_modsig_verify(const AttKey *key, const AttImaModsig *modsig, const AttFileDigest *file,
                               GError **error) {
        gsize size;
        const void *signature = g_bytes_get_data(modsig->signature, &size);

        if (!is_of_bank(file, modsig->bank))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the signature is over another kind of digest");
        return att_key_verify_digest(key, modsig->bank, file->digest.at, signature, size, error);
}
