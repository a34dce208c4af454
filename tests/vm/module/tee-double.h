/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/* What goes over /dev/tee_double, between the module and the program that plays
 * the quoting enclave or the secure processor. Native byte order.
 *
 * read() blocks until there is a request, and gives one whole; poll() works.
 * write() takes an answer with its blobs behind it, in one call. ESTALE: nobody
 * waits for it any more; it has only told the driver that the device is free. */
#pragma once

#include <linux/types.h>

#define TEE_DOUBLE_PATH "/dev/tee_double"
#define TEE_DOUBLE_INBLOB_MAX 64
#define TEE_DOUBLE_TDREPORT_SIZE 1024
#define TEE_DOUBLE_SERVICE_MAX 32
#define TEE_DOUBLE_BLOBS_MAX (1024 * 1024)

struct tee_double_request {
        __u32 id;
        __u32 privlevel;
        __u32 inblob_size;
        __u32 certs_size; /* room that the guest has for a certificate table */
        __u32 service_manifest_version;
        char service_provider[TEE_DOUBLE_SERVICE_MAX]; /* "" without */
        __u8 service_guid[16];
        __u8 inblob[TEE_DOUBLE_INBLOB_MAX];
        __u8 tdreport[TEE_DOUBLE_TDREPORT_SIZE]; /* over inblob; zeros when the guest is no TD */
};

struct tee_double_answer {
        __u32 id;
        __u32 error; /* what the driver returns: 0, or an errno */
        __u32 firmware_error, vmm_error; /* snp: what the device's ioctls tell with that errno */
        __u32 certs_pages; /* snp: how much room the host says it wants, with the vmm_error of that */
        __u32 outblob_size;
        __u32 auxblob_size;
        __u32 manifestblob_size;
};
