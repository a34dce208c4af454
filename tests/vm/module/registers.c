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
        *report = state;
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
        memcpy(to, (const u8 *) attribute->private + offset, size);
        mutex_unlock(&lock);
        return size;
}

static ssize_t register_extend(struct file *file, struct kobject *object, struct bin_attribute *attribute, char *from,
                               loff_t offset, size_t size) {
        u8 both[2 * REGISTER_SIZE];
        int rc;

        if (offset != 0 || size != REGISTER_SIZE)
                return -EINVAL;

        mutex_lock(&lock);
        memcpy(both, attribute->private, REGISTER_SIZE);
        memcpy(both + REGISTER_SIZE, from, REGISTER_SIZE);
        rc = sha384(both, sizeof(both), attribute->private);
        mutex_unlock(&lock);
        return rc < 0 ? rc : size;
}

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
