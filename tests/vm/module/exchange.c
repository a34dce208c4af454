// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <uapi/linux/sev-guest.h>

#include "double.h"

static unsigned int timeout_ms = 30000;
module_param(timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms, "how long a request waits for its answer; 30 s in the TDX driver, 60 s in SNP's");
static unsigned int requests;
module_param(requests, uint, 0444);
MODULE_PARM_DESC(requests, "how many have reached the driver");
static unsigned int asked;
module_param(asked, uint, 0444);
MODULE_PARM_DESC(asked, "how many of them have reached the host");
/* SNP's driver wipes the key that it talks to the firmware with when anything goes
 * wrong between them, for the same message must not be encrypted twice. */
static bool key_wiped;
module_param(key_wiped, bool, 0644);
MODULE_PARM_DESC(key_wiped, "snp: ENOTTY for ever");

static DEFINE_MUTEX(turn); /* the driver's: held for the whole of a request */

static DEFINE_MUTEX(lock); /* of all that follows */
static DECLARE_WAIT_QUEUE_HEAD(waiting);
static struct tee_double_request current_request;
static struct exchange_answer *current_answer;
static bool is_due;       /* there is a request that nobody has taken */
static bool is_answered;
/* TDX: who has asked is gone, but the buffer that guest and host share is still the
 * host's. Until it answers, nobody else can ask. */
static bool is_in_flight;

static long wait_for_answer(void) {
        long timeout = msecs_to_jiffies(READ_ONCE(timeout_ms));

        /* As the drivers do: a TD's request ends at any signal, SNP's at none. */
        if (tee_double_is_snp)
                return wait_event_timeout(waiting, READ_ONCE(is_answered), timeout);
        return wait_event_interruptible_timeout(waiting, READ_ONCE(is_answered), timeout);
}

static void publish(struct tee_double_request *request) {
        mutex_lock(&lock);
        request->id = current_request.id + 1;
        current_request = *request;
        is_due = true;
        is_answered = false;
        asked++;
        mutex_unlock(&lock);
        wake_up_all(&waiting);
}

/* Nobody waits any more. */
static int give_up(bool is_late) {
        if (tee_double_is_snp) {
                is_due = false;
                key_wiped = true;
        } else
                is_in_flight = true;
        return is_late ? -ETIMEDOUT : -EINTR;
}

/* Too little room for certificates is no fault of the message: it is sent again without. */
static bool wipes_key(const struct tee_double_answer *head) {
        return head->vmm_error != SNP_GUEST_VMM_ERR_INVALID_LEN &&
               (head->error == EIO || head->error == ETIMEDOUT || head->error == ENOTTY);
}

static int collect(struct exchange_answer **ret) {
        const struct tee_double_answer *head = &current_answer->head;
        bool has_key = tee_double_is_snp && current_request.service_provider[0] == '\0';

        *ret = current_answer;
        current_answer = NULL;
        if (has_key && wipes_key(head))
                key_wiped = true;
        return -(int) head->error;
}

static int ask_in_turn(struct tee_double_request *request, struct exchange_answer **ret) {
        long left;
        int rc;

        requests++;
        /* An SVSM is called without the key. */
        if (tee_double_is_snp && key_wiped && request->service_provider[0] == '\0')
                return -ENOTTY;
        if (READ_ONCE(is_in_flight))
                return -EBUSY;

        publish(request);
        left = wait_for_answer();

        mutex_lock(&lock);
        /* An answer that has come at the last moment counts. */
        rc = is_answered ? collect(ret) : give_up(left == 0);
        mutex_unlock(&lock);
        return rc;
}

int tee_double_ask(struct tee_double_request *request, struct exchange_answer **ret) {
        int rc = mutex_lock_interruptible(&turn);

        if (rc < 0)
                return rc;
        rc = ask_in_turn(request, ret);
        mutex_unlock(&turn);
        return rc;
}
EXPORT_SYMBOL_GPL(tee_double_ask);

/* ----- /dev/tee_double */

static ssize_t double_read(struct file *file, char __user *to, size_t size, loff_t *offset) {
        ssize_t rc = sizeof(current_request);

        if (size < sizeof(current_request))
                return -EINVAL;

        mutex_lock(&lock);
        while (!is_due) {
                mutex_unlock(&lock);
                if (file->f_flags & O_NONBLOCK)
                        return -EAGAIN;
                if (wait_event_interruptible(waiting, READ_ONCE(is_due)))
                        return -ERESTARTSYS;
                mutex_lock(&lock);
        }
        if (copy_to_user(to, &current_request, sizeof(current_request)))
                rc = -EFAULT;
        else
                is_due = false;
        mutex_unlock(&lock);
        return rc;
}

static bool is_whole(const struct tee_double_answer *head, size_t size) {
        u64 blobs = (u64) head->outblob_size + head->auxblob_size + head->manifestblob_size;

        return head->error <= MAX_ERRNO && blobs == size - sizeof(*head);
}

/* Takes @answer. */
static int accept(struct exchange_answer *answer) {
        int rc = 0;

        mutex_lock(&lock);
        if (answer->head.id != current_request.id || is_answered) {
                rc = -ESTALE;
        } else if (is_in_flight || (tee_double_is_snp && key_wiped)) {
                is_in_flight = is_due = false;
                rc = -ESTALE;
        } else {
                kvfree(current_answer);
                current_answer = answer;
                answer = NULL;
                WRITE_ONCE(is_answered, true);
        }
        mutex_unlock(&lock);

        kvfree(answer);
        wake_up_all(&waiting);
        return rc;
}

static ssize_t double_write(struct file *file, const char __user *from, size_t size, loff_t *offset) {
        struct exchange_answer *answer;
        int rc;

        if (size < sizeof(answer->head) || size > sizeof(answer->head) + TEE_DOUBLE_BLOBS_MAX)
                return -EINVAL;
        answer = vmemdup_user(from, size);
        if (IS_ERR(answer))
                return PTR_ERR(answer);
        if (!is_whole(&answer->head, size)) {
                kvfree(answer);
                return -EINVAL;
        }

        rc = accept(answer);
        return rc < 0 ? rc : size;
}

static __poll_t double_poll(struct file *file, poll_table *table) {
        poll_wait(file, &waiting, table);
        return EPOLLOUT | EPOLLWRNORM | (READ_ONCE(is_due) ? EPOLLIN | EPOLLRDNORM : 0);
}

static const struct file_operations double_operations = {
        .owner = THIS_MODULE,
        .read = double_read,
        .write = double_write,
        .poll = double_poll,
};

static struct miscdevice double_device = {
        .minor = MISC_DYNAMIC_MINOR,
        .name = "tee_double",
        .fops = &double_operations,
};

int exchange_init(void) {
        return misc_register(&double_device);
}

void exchange_exit(void) {
        misc_deregister(&double_device);
        kvfree(current_answer);
}
