/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registers.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define N_RTMRS 4u

/* linux/tdx-guest.h, which older headers lack. */
struct tdx_report_req {
        uint8_t reportdata[FORGE_REPORT_DATA_SIZE];
        uint8_t tdreport[FORGE_TDREPORT_SIZE];
};
#define TDX_CMD_GET_REPORT0 _IOWR('T', 1, struct tdx_report_req)

typedef struct Register {
        Registers *registers;
        const char *field; /* of the forge */
        int rtmr;          /* -1: it cannot be extended */
} Register;

static const struct {
        const char *name, *field;
        int rtmr;
} kinds[] = {
        { "mrtd:sha384", "mrtd", -1 },
        { "mrconfigid", "mrconfigid", -1 },
        { "mrowner", "mrowner", -1 },
        { "mrownerconfig", "mrownerconfig", -1 },
        { "rtmr0:sha384", "rtmr0", 0 },
        { "rtmr1:sha384", "rtmr1", 1 },
        { "rtmr2:sha384", "rtmr2", 2 },
        { "rtmr3:sha384", "rtmr3", 3 },
};

struct Registers {
        Forge *forge;     /* borrowed, like the next */
        Witness *witness;
        /* tsm-mr reads from the driver's last TDREPORT, and asks for a new one only after a write of its own. */
        bool is_in_sync;
        int ioctl_error, write_error;
        guint64 ioctl_countdown, write_countdown; /* the call that makes it 0 is held; 0: none is */
        GQueue held;                              /* of Answer */
        void (*changed)(gpointer);
        gpointer userdata;
        Register all[G_N_ELEMENTS(kinds)];
};

/* What a call gives that has succeeded. */
typedef struct Answer {
        fuse_req_t req;
        gsize n_written; /* 0: it was the ioctl */
        struct tdx_report_req request;
} Answer;

static void give(Answer *a) {
        if (a->n_written > 0)
                fuse_reply_write(a->req, a->n_written);
        else
                fuse_reply_ioctl(a->req, 0, &a->request, sizeof(a->request));
        g_free(a);
}

/* At once, unless it is the one to be held: the kernel has done what it asked for, and its caller does not know. */
static void answer(Registers *registers, guint64 *countdown, Answer *a) {
        if (*countdown == 0 || --*countdown > 0) {
                give(a);
                return;
        }
        g_queue_push_tail(&registers->held, a);
        registers->changed(registers->userdata);
}

static void register_read(fuse_req_t req, gpointer of, gpointer open, gsize size, goffset offset) {
        const Register *r = of;
        Registers *registers = r->registers;

        (void) open;
        if (!registers->is_in_sync) {
                guint8 report[FORGE_TDREPORT_SIZE], none[FORGE_REPORT_DATA_SIZE] = { 0 };

                forge_tdreport(registers->forge, none, report);
                registers->is_in_sync = true;
        }
        files_reply(req, forge_reported(registers->forge, r->field), FORGE_REGISTER_SIZE, size, offset);
}

/* A sysfs file of 48 bytes takes no more than these of a longer write, and nothing behind them. */
static void register_write(fuse_req_t req, gpointer of, gpointer open, const void *data, gsize size, goffset offset) {
        const Register *r = of;
        Registers *registers = r->registers;
        gsize n = (gsize) MAX((goffset) FORGE_REGISTER_SIZE - offset, 0);
        int error = 0;
        Answer *a;

        (void) open;
        n = MIN(n, size);
        if (offset >= FORGE_REGISTER_SIZE)
                error = EFBIG;
        else if (offset != 0 || n != FORGE_REGISTER_SIZE)
                error = EINVAL;
        else
                error = registers->write_error;
        witness_note(registers->witness, (WitnessCaller) { fuse_req_ctx(req)->pid, fuse_req_ctx(req)->uid }, "extend",
                     r->field, error, "size=%zu", size);
        if (error) {
                fuse_reply_err(req, error);
                return;
        }

        forge_extend(registers->forge, (guint) r->rtmr, data);
        registers->is_in_sync = false;
        a = g_new0(Answer, 1);
        *a = (Answer) { .req = req, .n_written = n };
        answer(registers, &registers->write_countdown, a);
}

static void device_ioctl(fuse_req_t req, gpointer of, unsigned command, const void *in, gsize in_size) {
        Registers *registers = of;
        int error = command != TDX_CMD_GET_REPORT0 ? ENOTTY : registers->ioctl_error;
        Answer *a;

        if (error == 0 && in_size != sizeof(a->request))
                error = EFAULT;
        witness_note(registers->witness, (WitnessCaller) { fuse_req_ctx(req)->pid, fuse_req_ctx(req)->uid }, "ioctl",
                     "tdx_guest", error, NULL);
        if (error) {
                fuse_reply_err(req, error);
                return;
        }

        a = g_new0(Answer, 1);
        a->req = req;
        memcpy(&a->request, in, sizeof(a->request));
        forge_tdreport(registers->forge, a->request.reportdata, a->request.tdreport);
        answer(registers, &registers->ioctl_countdown, a);
}

static const FileOps constant_ops = { .read = register_read };
static const FileOps rtmr_ops = { .read = register_read, .write = register_write };
static const FileOps device_ops = { .ioctl = device_ioctl };

Registers *registers_new(Files *files, Forge *forge, Witness *witness, void (*changed)(gpointer), gpointer userdata) {
        Registers *registers = g_new0(Registers, 1);

        *registers = (Registers) {
                .forge = forge,
                .witness = witness,
                .held = G_QUEUE_INIT,
                .changed = changed,
                .userdata = userdata,
        };
        files_add(files, "dev/tdx_guest", 0600, 0, &device_ops, registers);
        for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
                g_autofree char *path = g_strconcat("measurements/", kinds[i].name, NULL);
                bool can_extend = kinds[i].rtmr >= 0;
                Register *r = &registers->all[i];

                *r = (Register) { registers, kinds[i].field, kinds[i].rtmr };
                files_add(files, path, can_extend ? 0644 : 0444, FORGE_REGISTER_SIZE,
                          can_extend ? &rtmr_ops : &constant_ops, r);
        }
        return registers;
}

void registers_free(Registers *registers) {
        g_free(registers);
}

bool registers_extend(Registers *registers, guint number, const uint8_t data[FORGE_REGISTER_SIZE]) {
        if (number >= N_RTMRS)
                return false;
        forge_extend(registers->forge, number, data);
        return true;
}

void registers_fail(Registers *registers, int ioctl_error, int write_error) {
        registers->ioctl_error = ioctl_error;
        registers->write_error = write_error;
}

void registers_hold(Registers *registers, bool is_ioctl, guint64 nth) {
        *(is_ioctl ? &registers->ioctl_countdown : &registers->write_countdown) = nth;
}

void registers_release(Registers *registers) {
        Answer *a;

        registers->ioctl_countdown = registers->write_countdown = 0;
        while ((a = g_queue_pop_head(&registers->held)) != NULL)
                give(a);
}

guint registers_count_held(const Registers *registers) {
        return registers->held.length;
}
