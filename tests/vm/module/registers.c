// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* The measurement registers of a TD, and the two ways to see them without a quote:
 * TDX_CMD_GET_REPORT0, and the files that Linux 6.16 has in sysfs. */
#include <crypto/hash.h>
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <uapi/linux/tdx-guest.h>

#include "double.h"

#define REGISTER_SIZE 48

/* TDREPORT of TDX 1.5. The two hashes cover the structures further down; the MAC is
 * the CPU's alone, and zero here. */
struct td_report {
        u8 type;
        u8 reserved0[15];
        u8 cpu_svn[16];
        u8 tcb_info_hash[REGISTER_SIZE];
        u8 td_info_hash[REGISTER_SIZE];
        u8 report_data[REPORTDATA_SIZE];
        u8 reserved1[32];
        u8 mac[32];

        struct td_tcb_info {
                u8 valid[8];
                u8 svn[16];
                u8 mr_seam[REGISTER_SIZE];
                u8 mr_signer_seam[REGISTER_SIZE];
                u8 seam_attributes[8];
                u8 svn2[16];
                u8 reserved[95];
        } tcb_info;
        u8 reserved2[17];

        struct td_info {
                u8 attributes[8];
                u8 xfam[8];
                u8 mr_td[REGISTER_SIZE];
                u8 mr_config_id[REGISTER_SIZE];
                u8 mr_owner[REGISTER_SIZE];
                u8 mr_owner_config[REGISTER_SIZE];
                u8 rtmr[4][REGISTER_SIZE];
                u8 service_td_hash[REGISTER_SIZE];
                u8 reserved[64];
        } td_info;
};
static_assert(sizeof(struct td_report) == TEE_DOUBLE_TDREPORT_SIZE);
static_assert(offsetof(struct td_report, tcb_info) == 256);
static_assert(sizeof(struct td_tcb_info) == 239);
static_assert(offsetof(struct td_report, td_info) == 512);

static DEFINE_MUTEX(lock);
static struct td_report state; /* as it is; hashes and REPORTDATA are put in for each report */
/* The driver has one buffer for TDREPORTs, whoever asked for the last; the files show what is in it. A new one is
 * asked for only after a write to one of them. */
static struct td_report seen;
static bool is_in_sync;

static int sha384(const void *data, unsigned int size, u8 ret[REGISTER_SIZE]) {
        struct crypto_shash *hash = crypto_alloc_shash("sha384", 0, 0);
        int rc;

        if (IS_ERR(hash))
                return PTR_ERR(hash);
        rc = crypto_shash_tfm_digest(hash, data, size, ret);
        crypto_free_shash(hash);
        return rc;
}

int tee_double_tdreport(const u8 report_data[REPORTDATA_SIZE], u8 ret[TEE_DOUBLE_TDREPORT_SIZE]) {
        struct td_report *report = (struct td_report *) ret;
        int rc;

        mutex_lock(&lock);
        *report = seen = state;
        mutex_unlock(&lock);

        memcpy(report->report_data, report_data, REPORTDATA_SIZE);
        rc = sha384(&report->tcb_info, sizeof(report->tcb_info), report->tcb_info_hash);
        return rc < 0 ? rc : sha384(&report->td_info, sizeof(report->td_info), report->td_info_hash);
}
EXPORT_SYMBOL_GPL(tee_double_tdreport);

/* ----- /dev/tdx_guest */

static long guest_ioctl(struct file *file, unsigned int command, unsigned long argument) {
        struct tdx_report_req __user *request = (struct tdx_report_req __user *) argument;
        u8 report_data[REPORTDATA_SIZE];
        u8 *report;
        long rc;

        if (command != TDX_CMD_GET_REPORT0)
                return -ENOTTY;
        if (copy_from_user(report_data, request->reportdata, sizeof(report_data)))
                return -EFAULT;

        report = kzalloc(TEE_DOUBLE_TDREPORT_SIZE, GFP_KERNEL);
        if (!report)
                return -ENOMEM;
        rc = tee_double_tdreport(report_data, report);
        if (rc == 0 && copy_to_user(request->tdreport, report, TEE_DOUBLE_TDREPORT_SIZE))
                rc = -EFAULT;
        kfree(report);
        return rc;
}

static ssize_t register_read(struct file *file, struct kobject *object, struct bin_attribute *attribute, char *to,
                             loff_t offset, size_t size) {
        mutex_lock(&lock);
        if (!is_in_sync)
                seen = state;
        is_in_sync = true;
        memcpy(to, (const u8 *) &seen.td_info + (attribute->private - (void *) &state.td_info) + offset, size);
        mutex_unlock(&lock);
        return size;
}

static int extend(u8 at[REGISTER_SIZE], const u8 data[REGISTER_SIZE]) {
        u8 both[2 * REGISTER_SIZE];

        memcpy(both, at, REGISTER_SIZE);
        memcpy(both + REGISTER_SIZE, data, REGISTER_SIZE);
        return sha384(both, sizeof(both), at);
}

static ssize_t register_extend(struct file *file, struct kobject *object, struct bin_attribute *attribute, char *from,
                               loff_t offset, size_t size) {
        int rc;

        if (offset != 0 || size != REGISTER_SIZE)
                return -EINVAL;

        mutex_lock(&lock);
        rc = extend(attribute->private, from);
        is_in_sync = false;
        mutex_unlock(&lock);
        return rc < 0 ? rc : size;
}

/* Another than sysfs: the firmware, the kernel. The files do not hear of it. */
static int extend_foreign(const char *text, const struct kernel_param *parameter) {
        static const u8 data[REGISTER_SIZE] = "foreign";
        unsigned int number;
        int rc = kstrtouint(text, 0, &number);

        if (rc < 0 || number >= ARRAY_SIZE(state.td_info.rtmr))
                return -EINVAL;
        mutex_lock(&lock);
        rc = extend(state.td_info.rtmr[number], data);
        mutex_unlock(&lock);
        return rc;
}
static const struct kernel_param_ops extend_foreign_operations = { .set = extend_foreign };
module_param_cb(extend_foreign, &extend_foreign_operations, NULL, 0200);
MODULE_PARM_DESC(extend_foreign, "extend that RTMR, by another way than sysfs");

/* The TDX module was updated while the TD runs. */
static int set_svn2(const char *text, const struct kernel_param *parameter) {
        u8 svn;
        int rc = kstrtou8(text, 0, &svn);

        if (rc < 0)
                return rc;
        mutex_lock(&lock);
        state.tcb_info.svn2[0] = svn;
        mutex_unlock(&lock);
        return 0;
}
static const struct kernel_param_ops svn2_operations = { .set = set_svn2 };
module_param_cb(svn2, &svn2_operations, NULL, 0200);
MODULE_PARM_DESC(svn2, "the first byte of TEE_TCB_SVN2");

#define REGISTER(variable, file_name, member)              \
        static struct bin_attribute variable = {           \
                .attr = { .name = file_name, .mode = 0444 }, \
                .size = REGISTER_SIZE,                     \
                .private = state.td_info.member,           \
                .read = register_read,                     \
        }
#define EXTENDABLE(variable, file_name, member)            \
        static struct bin_attribute variable = {           \
                .attr = { .name = file_name, .mode = 0644 }, \
                .size = REGISTER_SIZE,                     \
                .private = state.td_info.member,           \
                .read = register_read,                     \
                .write = register_extend,                  \
        }

REGISTER(mr_td, "mrtd:sha384", mr_td);
REGISTER(mr_config_id, "mrconfigid", mr_config_id);
REGISTER(mr_owner, "mrowner", mr_owner);
REGISTER(mr_owner_config, "mrownerconfig", mr_owner_config);
EXTENDABLE(rtmr0, "rtmr0:sha384", rtmr[0]);
EXTENDABLE(rtmr1, "rtmr1:sha384", rtmr[1]);
EXTENDABLE(rtmr2, "rtmr2:sha384", rtmr[2]);
EXTENDABLE(rtmr3, "rtmr3:sha384", rtmr[3]);

static struct bin_attribute *registers[] = {
        &mr_td, &mr_config_id, &mr_owner, &mr_owner_config, &rtmr0, &rtmr1, &rtmr2, &rtmr3, NULL,
};
static const struct attribute_group measurements = { .name = "measurements", .bin_attrs = registers };
static const struct attribute_group *groups[] = { &measurements, NULL };

static const struct file_operations guest_operations = {
        .owner = THIS_MODULE,
        .unlocked_ioctl = guest_ioctl,
};

static struct miscdevice guest_device = {
        .minor = MISC_DYNAMIC_MINOR,
        .name = "tdx_guest",
        .fops = &guest_operations,
        .groups = groups,
};

/* ----- start */

static int fill(const char *of, u8 ret[REGISTER_SIZE]) {
        return sha384(of, strlen(of), ret);
}

/* Those of the quotes that tests/tee-simulator/forge.c makes when it is told nothing. */
static int set_defaults(void) {
        static const u8 valid[] = { 0xff, 0x01, 0x03 };
        static const u8 svn[] = { 5, 1, 2 };
        static const u8 xfam[] = { 0xe7, 0x1a, 0x06 };
        int rc;

        state.type = 0x81;
        memset(state.cpu_svn, 3, 8);
        memcpy(state.tcb_info.valid, valid, sizeof(valid));
        memcpy(state.tcb_info.svn, svn, sizeof(svn));
        memcpy(state.tcb_info.svn2, svn, sizeof(svn));
        state.td_info.attributes[3] = 0x10; /* SEPT_VE_DISABLE */
        memcpy(state.td_info.xfam, xfam, sizeof(xfam));

        rc = fill("test tdx module", state.tcb_info.mr_seam);
        rc = rc < 0 ? rc : fill("test mrtd", state.td_info.mr_td);
        rc = rc < 0 ? rc : fill("test rtmr0", state.td_info.rtmr[0]);
        rc = rc < 0 ? rc : fill("test rtmr1", state.td_info.rtmr[1]);
        return rc < 0 ? rc : fill("test rtmr2", state.td_info.rtmr[2]);
}

int registers_init(void) {
        int rc;

        if (tee_double_is_snp)
                return 0;
        rc = set_defaults();
        return rc < 0 ? rc : misc_register(&guest_device);
}

void registers_exit(void) {
        if (!tee_double_is_snp)
                misc_deregister(&guest_device);
}
