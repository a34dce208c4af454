// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* tee_double_tsm: the provider of configfs-tsm that the TDX or SNP driver would be. */
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tsm.h>
#include <linux/version.h>

#include "double.h"

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#define tsm_ops tsm_report_ops
#define tsm_desc tsm_report_desc
#define tsm_register tsm_report_register
#define tsm_unregister tsm_report_unregister
#endif

/* SNP: the page that the host fills with certificates. */
#define CERTIFICATES_MAX SZ_16K

struct certificate_entry {
        u8 guid[16];
        __le32 offset;
        __le32 size;
};

static u8 *take_blob(const u8 **from, size_t size) {
        u8 *blob = kvzalloc(max(size, (size_t) 1), GFP_KERNEL);

        if (blob)
                memcpy(blob, *from, size);
        *from += size;
        return blob;
}

/* As sev-guest has it: all of the page up to what the entries claim to be the last
 * byte, and nobody has looked at what they claim. */
static size_t certificates_size(const u8 *table, size_t size) {
        u32 end = 0;

        for (size_t at = 0; at + sizeof(struct certificate_entry) <= size; at += sizeof(struct certificate_entry)) {
                const struct certificate_entry *entry = (const struct certificate_entry *) (table + at);

                if (!memchr_inv(entry, 0, sizeof(*entry)))
                        break;
                end = max(end, le32_to_cpu(entry->offset) + le32_to_cpu(entry->size));
        }
        return min_t(size_t, end, CERTIFICATES_MAX);
}

static u8 *take_certificates(const u8 **from, size_t size) {
        u8 *page = kvzalloc(CERTIFICATES_MAX, GFP_KERNEL);

        if (page)
                memcpy(page, *from, min_t(size_t, size, CERTIFICATES_MAX));
        *from += size;
        return page;
}

/* The core frees what it finds in @report, whatever we return. */
static int fill_report(struct tsm_report *report, const struct exchange_answer *answer) {
        const struct tee_double_answer *head = &answer->head;
        const u8 *p = answer->blobs;

        report->outblob_len = head->outblob_size;
        report->outblob = take_blob(&p, head->outblob_size);
        if (!report->outblob)
                return -ENOMEM;

        if (head->auxblob_size > 0) {
                report->auxblob_len = certificates_size(p, head->auxblob_size);
                report->auxblob = take_certificates(&p, head->auxblob_size);
                if (!report->auxblob)
                        return -ENOMEM;
        }
        if (head->manifestblob_size > 0) {
                report->manifestblob_len = head->manifestblob_size;
                report->manifestblob = take_blob(&p, head->manifestblob_size);
                if (!report->manifestblob)
                        return -ENOMEM;
        }
        return 0;
}

static int make_request(const struct tsm_desc *desc, struct tee_double_request *request) {
        /* Both drivers want all of REPORTDATA. */
        if (desc->inblob_len != REPORTDATA_SIZE)
                return -EINVAL;
        if (tee_double_is_snp && desc->service_provider) {
                if (strcmp(desc->service_provider, "svsm") != 0)
                        return -EINVAL;
        } else if (tee_double_is_snp && desc->privlevel < tee_double_privlevel_floor)
                return -EINVAL; /* the firmware's INVALID_PARAM */

        request->privlevel = desc->privlevel;
        request->certs_size = tee_double_is_snp ? SZ_16K : 0;
        request->inblob_size = (u32) desc->inblob_len;
        memcpy(request->inblob, desc->inblob, REPORTDATA_SIZE);
        if (desc->service_provider)
                strscpy(request->service_provider, desc->service_provider, sizeof(request->service_provider));
        export_guid(request->service_guid, &desc->service_guid);
        request->service_manifest_version = desc->service_manifest_version;
        return tee_double_is_snp ? 0 : tee_double_tdreport(request->inblob, request->tdreport);
}

static int report_new(struct tsm_report *report, void *data) {
        struct tee_double_request *request = kzalloc(sizeof(*request), GFP_KERNEL);
        struct exchange_answer *answer = NULL;
        int rc;

        if (!request)
                return -ENOMEM;

        rc = make_request(&report->desc, request);
        if (rc == 0)
                rc = tee_double_ask(request, &answer);
        if (rc == 0)
                rc = fill_report(report, answer);
        kvfree(answer);
        kfree(request);
        return rc;
}

/* What 6.12's drivers show. */
static bool has_attribute(int n) {
        switch (n) {
        case TSM_REPORT_GENERATION:
        case TSM_REPORT_PROVIDER:
                return true;
        case TSM_REPORT_PRIVLEVEL:
        case TSM_REPORT_PRIVLEVEL_FLOOR:
                return tee_double_is_snp;
        case TSM_REPORT_SERVICE_PROVIDER:
        case TSM_REPORT_SERVICE_GUID:
        case TSM_REPORT_SERVICE_MANIFEST_VER:
                return tee_double_is_snp && tee_double_privlevel_floor > 0;
        default:
                return false;
        }
}

static bool has_blob(int n) {
        switch (n) {
        case TSM_REPORT_INBLOB:
        case TSM_REPORT_OUTBLOB:
                return true;
        case TSM_REPORT_AUXBLOB:
                return tee_double_is_snp;
        case TSM_REPORT_MANIFESTBLOB:
                return tee_double_is_snp && tee_double_privlevel_floor > 0;
        default:
                return false;
        }
}

static struct tsm_ops operations = {
        .report_new = report_new,
        .report_attr_visible = has_attribute,
        .report_bin_attr_visible = has_blob,
};

static int __init provider_init(void) {
        operations.name = tee_double_is_snp ? "sev_guest" : "tdx_guest";
        operations.privlevel_floor = tee_double_privlevel_floor;
        /* EBUSY: another provider is there, or the entries of one that has gone. */
        return tsm_register(&operations, NULL);
}
module_init(provider_init);

static void __exit provider_exit(void) {
        tsm_unregister(&operations);
}
module_exit(provider_exit);

MODULE_DESCRIPTION("A configfs-tsm provider without a TEE, for tests");
MODULE_LICENSE("GPL");
