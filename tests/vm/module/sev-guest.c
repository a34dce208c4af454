// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* sev_guest: the device of the SNP driver, under the driver's name. What it lacks is
 * the firmware: reports come by tee_double. */
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <uapi/linux/sev-guest.h>

#include "double.h"

#define FIRMWARE_INVALID_PARAM 0x16
#define RESPONSE_HEAD 32
#define CERTS_MAX SZ_16K

static int vmpck_id = -1;
module_param(vmpck_id, int, 0444);
MODULE_PARM_DESC(vmpck_id, "which key is used: -1, that of the guest's VMPL");

/* As the driver does: what the firmware has refused is a success of the message. */
static int fill_response(struct snp_report_resp *response, u32 status, const struct exchange_answer *answer) {
        u32 size = answer ? answer->head.outblob_size : 0;

        memcpy(response->data, &status, sizeof(status));
        memcpy(response->data + sizeof(status), &size, sizeof(size));
        /* A report that does not fit could not have come. One that says so could. */
        if (answer)
                memcpy(response->data + RESPONSE_HEAD, answer->blobs,
                       min_t(size_t, size, sizeof(response->data) - RESPONSE_HEAD));
        return 0;
}

static int request_report(const struct snp_report_req *from, u32 certs_size, struct snp_report_resp *response,
                          struct snp_guest_request_ioctl *input, struct exchange_answer **ret) {
        struct tee_double_request *request;
        int rc;

        if (from->vmpl < tee_double_privlevel_floor) {
                input->exitinfo2 = 0;
                return fill_response(response, FIRMWARE_INVALID_PARAM, NULL);
        }

        request = kzalloc(sizeof(*request), GFP_KERNEL);
        if (!request)
                return -ENOMEM;
        request->privlevel = from->vmpl;
        request->inblob_size = sizeof(from->user_data);
        request->certs_size = certs_size;
        memcpy(request->inblob, from->user_data, sizeof(from->user_data));

        rc = tee_double_ask(request, ret);
        if (*ret) {
                input->fw_error = (*ret)->head.firmware_error;
                input->vmm_error = (*ret)->head.vmm_error;
        }
        kfree(request);
        return rc < 0 ? rc : fill_response(response, 0, *ret);
}

static int get_report(struct snp_guest_request_ioctl *input, struct snp_report_resp *response) {
        struct exchange_answer *answer = NULL;
        struct snp_report_req request;
        int rc;

        if (copy_from_user(&request, u64_to_user_ptr(input->req_data), sizeof(request)))
                return -EFAULT;
        rc = request_report(&request, 0, response, input, &answer);
        kvfree(answer);
        return rc;
}

static int give_certificates(const struct snp_ext_report_req *request, const struct exchange_answer *answer) {
        u8 __user *to = u64_to_user_ptr(request->certs_address);
        size_t size = answer->head.auxblob_size;

        /* All of the room is written: the driver has zeroed a buffer of its own for the host. */
        if (copy_to_user(to, answer->blobs + answer->head.outblob_size, size) ||
            clear_user(to + size, request->certs_len - size))
                return -EFAULT;
        return 0;
}

static int want_room(struct snp_guest_request_ioctl *input, struct snp_ext_report_req *request, u32 pages) {
        request->certs_len = pages << PAGE_SHIFT;
        input->fw_error = 0;
        input->vmm_error = SNP_GUEST_VMM_ERR_INVALID_LEN;
        return copy_to_user(u64_to_user_ptr(input->req_data), request, sizeof(*request)) ? -EFAULT : -EIO;
}

static int get_extended_report(struct snp_guest_request_ioctl *input, struct snp_report_resp *response) {
        struct exchange_answer *answer = NULL;
        struct snp_ext_report_req request;
        u32 room;
        int rc;

        if (copy_from_user(&request, u64_to_user_ptr(input->req_data), sizeof(request)))
                return -EFAULT;
        room = request.certs_address ? request.certs_len : 0;
        if (room > CERTS_MAX || !PAGE_ALIGNED(room))
                return -EINVAL;

        rc = request_report(&request.data, room, response, input, &answer);
        if (rc < 0 && input->vmm_error == SNP_GUEST_VMM_ERR_INVALID_LEN)
                rc = want_room(input, &request, answer->head.certs_pages);
        else if (rc == 0 && answer && answer->head.auxblob_size > room)
                rc = want_room(input, &request, DIV_ROUND_UP(answer->head.auxblob_size, PAGE_SIZE));
        else if (rc == 0 && answer && room > 0)
                rc = give_certificates(&request, answer);
        kvfree(answer);
        return rc;
}

static int handle(unsigned int command, struct snp_guest_request_ioctl *input, struct snp_report_resp *response) {
        switch (command) {
        case SNP_GET_REPORT:
                return get_report(input, response);
        case SNP_GET_EXT_REPORT:
                return get_extended_report(input, response);
        default:
                return -ENOTTY;
        }
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument) {
        struct snp_guest_request_ioctl __user *user = (struct snp_guest_request_ioctl __user *) argument;
        struct snp_guest_request_ioctl input;
        struct snp_report_resp *response;
        int rc;

        if (copy_from_user(&input, user, sizeof(input)))
                return -EFAULT;
        input.exitinfo2 = ~0ULL; /* no call yet */
        if (!input.msg_version)
                return -EINVAL;

        response = kzalloc(sizeof(*response), GFP_KERNEL);
        if (!response)
                return -ENOMEM;
        rc = handle(command, &input, response);
        if (rc == 0 && copy_to_user(u64_to_user_ptr(input.resp_data), response, sizeof(*response)))
                rc = -EFAULT;
        kfree(response);

        /* Not with a wiped key: the driver does not get as far. */
        if (rc != -ENOTTY && input.exitinfo2 && copy_to_user(user, &input, sizeof(input)))
                return -EFAULT;
        return rc;
}

static const struct file_operations operations = {
        .owner = THIS_MODULE,
        .unlocked_ioctl = device_ioctl,
};

static struct miscdevice device = {
        .minor = MISC_DYNAMIC_MINOR,
        .name = "sev-guest",
        .fops = &operations,
};

static int __init sev_guest_init(void) {
        return tee_double_is_snp ? misc_register(&device) : -ENODEV;
}
module_init(sev_guest_init);

static void __exit sev_guest_exit(void) {
        misc_deregister(&device);
}
module_exit(sev_guest_exit);

MODULE_DESCRIPTION("The SNP driver's device without SNP, for tests");
MODULE_LICENSE("GPL");
