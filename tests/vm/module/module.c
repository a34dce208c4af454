// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* tee_double: makes a VM look like a TDX or SNP guest, for tests of attestd.
 *
 * Only the hardware and its driver are imitated; what they would say comes from a
 * program that reads /dev/tee_double. With tee_double_tsm it plugs into the kernel's
 * own configfs-tsm. Never load it where it matters: it taints the kernel. */
#include <linux/module.h>
#include <linux/string.h>

#include "double.h"

bool tee_double_is_snp;
EXPORT_SYMBOL_GPL(tee_double_is_snp);
unsigned int tee_double_privlevel_floor;
EXPORT_SYMBOL_GPL(tee_double_privlevel_floor);

static char *tee = "tdx";
module_param(tee, charp, 0444);
MODULE_PARM_DESC(tee, "tdx or snp");
module_param_named(privlevel_floor, tee_double_privlevel_floor, uint, 0444);
MODULE_PARM_DESC(privlevel_floor, "snp: the VMPL of this guest; above 0 there is an SVSM");

/* In the order of their start; the end is the other way round. */
static const struct part {
        int (*init)(void);
        void (*exit)(void);
} parts[] = {
        { exchange_init, exchange_exit },
        { registers_init, registers_exit },
};

static void stop(unsigned int n) {
        while (n-- > 0)
                parts[n].exit();
}

static int __init tee_double_init(void) {
        tee_double_is_snp = strcmp(tee, "snp") == 0;

        for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++) {
                int rc = parts[i].init();

                if (rc < 0) {
                        stop(i);
                        return rc;
                }
        }
        return 0;
}
module_init(tee_double_init);

static void __exit tee_double_exit(void) {
        stop(ARRAY_SIZE(parts));
}
module_exit(tee_double_exit);

MODULE_DESCRIPTION("A TEE guest's device without a TEE, for tests");
MODULE_LICENSE("GPL");
