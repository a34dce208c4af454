/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/tpm-context.h"

#include "codec/ima-log.h"
#include "codec/tpm-quote.h"
#include "crypto/tpm-key.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti_device.h>

#define FIRST_PERSISTENT 0x81000000u
#define LAST_PERSISTENT 0x81ffffffu

struct AttTpmContext {
        TSS2_TCTI_CONTEXT *tcti;
        ESYS_CONTEXT *esys;
        ESYS_TR ak;
        AttBank bank;
        GBytes *ak_public; /* TPMT_PUBLIC */
        GBytes *ak_name;
        AttKey *ak_key;
};

/* Cleared, then freed: ESYS allocates what it gives with malloc(). */
static void esys_free(void *p) {
        void **given = p;

        Esys_Free(*given);
}
#define esys_auto __attribute__((cleanup(esys_free)))

void att_tpm_context_free(AttTpmContext *context) {
        if (!context)
                return;

        if (context->esys)
                Esys_Finalize(&context->esys);
        if (context->tcti) {
                Tss2_Tcti_Finalize(context->tcti);
                g_free(context->tcti);
        }
        g_clear_pointer(&context->ak_public, g_bytes_unref);
        g_clear_pointer(&context->ak_name, g_bytes_unref);
        att_key_free(context->ak_key);
        g_free(context);
}

GBytes *att_tpm_context_ak_name(const AttTpmContext *context) {
        return context->ak_name;
}

/* ----- what went wrong */

static const char *remedy_of(TSS2_RC rc) {
        if ((rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER)
                return "it has gone, or its driver has: see the kernel's log";
        if ((rc & TSS2_RC_LAYER_MASK) != TSS2_TPM_RC_LAYER)
                return "see the kernel's log";
        if (rc == TPM2_RC_LOCKOUT)
                return "it is locked out after wrong passwords: wait, or clear its lockout";
        if (!(rc & TPM2_RC_FMT1))
                return "see its maker's documentation";

        switch (rc & (TPM2_RC_FMT1 | 0x3f)) {
        case TPM2_RC_AUTH_FAIL:
        case TPM2_RC_BAD_AUTH:
        case TPM2_RC_AUTH_MISSING:
                return "it wants a password that attestd does not have: name another key by AkHandle=";
        case TPM2_RC_HIERARCHY:
                return "its endorsement hierarchy is switched off: name a key by AkHandle=";
        case TPM2_RC_HANDLE:
                return "it has no key of this handle: correct AkHandle=";
        default:
                return "see its maker's documentation";
        }
}

static gboolean refused(GError **error, TSS2_RC rc, const char *what) {
        return att_error_set(error, ATT_ERROR_FAILED, "the TPM %s: %s; %s", what, Tss2_RC_Decode(rc), remedy_of(rc));
}

/* For a sentence: the library only says that it cannot. */
static gboolean check_device(GError **error) {
        att_autofd int fd = open(ATT_TPM_PATH, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

        if (fd >= 0)
                return TRUE;
        if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
                return att_error_set(error, ATT_ERROR_NO_TEE, "there is no TPM: " ATT_TPM_PATH ": %s",
                                     g_strerror(errno));
        return att_error_set(error, ATT_ERROR_FAILED, "cannot open " ATT_TPM_PATH ": %s", g_strerror(errno));
}

/* ----- opening */

static gboolean connect_to(AttTpmContext *context, GError **error) {
        size_t size = 0;
        TSS2_RC rc = Tss2_Tcti_Device_Init(NULL, &size, NULL);

        if (rc == TSS2_RC_SUCCESS) {
                context->tcti = g_malloc0(size);
                rc = Tss2_Tcti_Device_Init(context->tcti, &size, ATT_TPM_PATH);
        }
        if (rc != TSS2_RC_SUCCESS) {
                g_clear_pointer(&context->tcti, g_free);
                return refused(error, rc, "cannot be opened");
        }
        rc = Esys_Initialize(&context->esys, context->tcti, NULL);
        return rc == TSS2_RC_SUCCESS || refused(error, rc, "cannot be spoken to");
}

static bool selects(const TPMS_PCR_SELECTION *s, AttBank bank) {
        return s->hash == att_tpm_algorithm(bank) && s->sizeofSelect > ATT_IMA_PCR / 8 &&
               s->pcrSelect[ATT_IMA_PCR / 8] & 1u << ATT_IMA_PCR % 8;
}

static gboolean check_bank(AttTpmContext *context, GError **error) {
        esys_auto TPMS_CAPABILITY_DATA *data = NULL;
        TPMI_YES_NO more;
        TSS2_RC rc = Esys_GetCapability(context->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_PCRS, 0,
                                        TPM2_NUM_PCR_BANKS, &more, &data);

        if (rc != TSS2_RC_SUCCESS)
                return refused(error, rc, "does not say which PCRs it has");
        for (guint i = 0; i < MIN(data->data.assignedPCR.count, TPM2_NUM_PCR_BANKS); i++)
                if (selects(&data->data.assignedPCR.pcrSelections[i], context->bank))
                        return TRUE;
        return att_error_set(error, ATT_ERROR_FAILED, "the TPM has no PCR 10 in its bank %s",
                             att_bank_name(context->bank));
}

/* Always the same key, as long as nobody gives the hierarchy another seed. Who has
 * locked the TPM out does not lock us out: there is no password to be guessed. */
static TSS2_RC make_ak(AttTpmContext *context, TPM2B_PUBLIC **ret) {
        const TPM2B_PUBLIC template = {
                .publicArea = {
                        .type = TPM2_ALG_ECC,
                        .nameAlg = TPM2_ALG_SHA256,
                        .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                            TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                            TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
                        .parameters.eccDetail = {
                                .symmetric.algorithm = TPM2_ALG_NULL,
                                .scheme = { .scheme = TPM2_ALG_ECDSA,
                                            .details.ecdsa.hashAlg = TPM2_ALG_SHA256 },
                                .curveID = TPM2_ECC_NIST_P256,
                                .kdf.scheme = TPM2_ALG_NULL,
                        },
                },
        };
        const TPM2B_SENSITIVE_CREATE sensitive = { 0 };
        const TPM2B_DATA outside = { 0 };
        const TPML_PCR_SELECTION pcrs = { 0 };

        return Esys_CreatePrimary(context->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                  &sensitive, &template, &outside, &pcrs, &context->ak, ret, NULL, NULL, NULL);
}

static TSS2_RC find_ak(AttTpmContext *context, guint32 handle, TPM2B_PUBLIC **ret) {
        TSS2_RC rc = Esys_TR_FromTPMPublic(context->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                           &context->ak);

        return rc == TSS2_RC_SUCCESS ? Esys_ReadPublic(context->esys, context->ak, ESYS_TR_NONE, ESYS_TR_NONE,
                                                       ESYS_TR_NONE, ret, NULL, NULL) :
                                       rc;
}

static gboolean take_public(AttTpmContext *context, const TPM2B_PUBLIC *public, GError **error) {
        uint8_t bytes[sizeof public->publicArea];
        size_t size = 0;
        TSS2_RC rc = Tss2_MU_TPMT_PUBLIC_Marshal(&public->publicArea, bytes, sizeof bytes, &size);
        AttTpmPublic p;

        if (rc != TSS2_RC_SUCCESS)
                return refused(error, rc, "has a key that cannot be written down");
        context->ak_public = g_bytes_new(bytes, size);
        if (!att_tpm_public_parse(context->ak_public, &p, error))
                return FALSE;
        if (!att_tpm_public_is_ak(&p))
                return att_error_set(error, ATT_ERROR_FAILED,
                                     "the TPM's key signs what others have made, or can leave the TPM; name a "
                                     "restricted signing key by AkHandle=");
        context->ak_key = att_key_from_tpm_public(&p, error);
        context->ak_name = context->ak_key ? att_tpm_name(context->ak_public, error) : NULL;
        return context->ak_name != NULL;
}

AttTpmContext *att_tpm_context_open(guint32 ak_handle, AttBank bank, GError **error) {
        g_autoptr(AttTpmContext) context = g_new0(AttTpmContext, 1);
        esys_auto TPM2B_PUBLIC *public = NULL;
        TSS2_RC rc;

        context->bank = bank;
        if (ak_handle != 0 && (ak_handle < FIRST_PERSISTENT || ak_handle > LAST_PERSISTENT)) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "0x%08x is not the handle of a persistent key",
                              ak_handle);
                return NULL;
        }
        if (!check_device(error) || !connect_to(context, error) || !check_bank(context, error))
                return NULL;

        rc = ak_handle == 0 ? make_ak(context, &public) : find_ak(context, ak_handle, &public);
        if (rc != TSS2_RC_SUCCESS) {
                refused(error, rc, ak_handle == 0 ? "makes no key" : "does not give its key");
                return NULL;
        }
        return take_public(context, public, error) ? g_steal_pointer(&context) : NULL;
}

/* ----- quotes */

/* So that nothing leaves us that a verifier would refuse. */
static gboolean check_quote(const AttTpmContext *context, const AttTpmEvidence *evidence,
                            const uint8_t extra_data[ATT_SHA256_SIZE], GError **error) {
        AttTpmSignature signature;
        AttTpmQuote quote;

        if (!att_tpm_quote_parse(evidence->attest, &quote, error) ||
            !att_tpm_signature_parse(evidence->signature, &signature, error) ||
            !att_key_verify_tpm(context->ak_key, &signature, g_bytes_get_data(evidence->attest, NULL),
                                g_bytes_get_size(evidence->attest), error))
                return FALSE;
        if (quote.extra_data.left != ATT_SHA256_SIZE ||
            !att_equal(quote.extra_data.at, extra_data, ATT_SHA256_SIZE) || quote.bank != context->bank ||
            quote.pcrs != 1u << ATT_IMA_PCR)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the TPM's quote is not what it was asked for");
        return TRUE;
}

static GBytes *marshal_signature(const TPMT_SIGNATURE *signature, GError **error) {
        uint8_t bytes[sizeof *signature];
        size_t size = 0;
        TSS2_RC rc = Tss2_MU_TPMT_SIGNATURE_Marshal(signature, bytes, sizeof bytes, &size);

        if (rc == TSS2_RC_SUCCESS)
                return g_bytes_new(bytes, size);
        refused(error, rc, "gives a signature that cannot be written down");
        return NULL;
}

GBytes *att_tpm_context_quote(AttTpmContext *context, const uint8_t extra_data[ATT_SHA256_SIZE], GError **error) {
        const TPMT_SIG_SCHEME scheme = { .scheme = TPM2_ALG_NULL }; /* the key's own */
        TPML_PCR_SELECTION pcrs = { .count = 1 };
        TPM2B_DATA qualifying = { .size = ATT_SHA256_SIZE };
        esys_auto TPM2B_ATTEST *attest = NULL;
        esys_auto TPMT_SIGNATURE *signature = NULL;
        g_autoptr(AttTpmEvidence) evidence = g_new0(AttTpmEvidence, 1);
        TSS2_RC rc;

        pcrs.pcrSelections[0] = (TPMS_PCR_SELECTION) { .hash = att_tpm_algorithm(context->bank), .sizeofSelect = 3 };
        pcrs.pcrSelections[0].pcrSelect[ATT_IMA_PCR / 8] = 1u << ATT_IMA_PCR % 8;
        memcpy(qualifying.buffer, extra_data, ATT_SHA256_SIZE);

        rc = Esys_Quote(context->esys, context->ak, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &qualifying, &scheme,
                        &pcrs, &attest, &signature);
        if (rc != TSS2_RC_SUCCESS) {
                refused(error, rc, "makes no quote");
                return NULL;
        }

        evidence->attest = g_bytes_new(attest->attestationData, attest->size);
        evidence->signature = marshal_signature(signature, error);
        evidence->ak_public = g_bytes_ref(context->ak_public);
        if (!evidence->signature || !check_quote(context, evidence, extra_data, error))
                return NULL;
        return att_tpm_evidence_encode(evidence);
}
