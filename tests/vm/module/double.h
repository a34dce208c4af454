/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/* The parts of the modules. */
#pragma once

#include <linux/types.h>

#include "tee-double.h"

#define REPORTDATA_SIZE 64

/* module.c: the hardware that the guest seems to have. */
extern bool tee_double_is_snp;
extern unsigned int tee_double_privlevel_floor;

/* exchange.c: one request at a time to the program, as both drivers have it to
 * their host, with what they do when no answer comes. */

struct exchange_answer {
        struct tee_double_answer head;
        u8 blobs[];
};

/* Returns: 0, or what the driver would. @ret is to be kvfree()d, and may be there with an error too. */
int tee_double_ask(struct tee_double_request *request, struct exchange_answer **ret);
int exchange_init(void);
void exchange_exit(void);

/* registers.c: the measurement registers of a TD, /dev/tdx_guest, sysfs. */
int tee_double_tdreport(const u8 reportdata[REPORTDATA_SIZE], u8 ret[TEE_DOUBLE_TDREPORT_SIZE]);
int registers_init(void);
void registers_exit(void);
