/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/kernel-probe.h"

#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PMU "/sys/bus/event_source/devices/kprobe/"
#define TEXT_MAX 64u
/* The page that says how far the ring is read and written, and a ring of one page. */
#define RING_PAGES 2u

typedef struct Ring {
        int fd;
        struct perf_event_mmap_page *page;
} Ring;

struct AttKernelProbe {
        gsize ring_size;
        GArray *rings; /* of Ring */
};

static gboolean refuse(const char *function, int err, GError **error) {
        switch (err) {
        case EACCES:
                return att_error_set(error, ATT_ERROR_FAILED,
                                     "the kernel wants CAP_PERFMON, or CAP_SYS_ADMIN, for a probe");
        case EPERM:
                return att_error_set(error, ATT_ERROR_FAILED,
                                     "the kernel allows no probe: locked down, or forbidden by a sandbox");
        case ENOENT:
                return att_error_set(error, ATT_ERROR_FAILED, "the kernel has no %s to probe", function);
        case ENOSYS:
                return att_error_set(error, ATT_ERROR_FAILED, "the kernel has no perf events");
        default:
                return att_error_set(error, ATT_ERROR_FAILED, "%s cannot be probed: %s", function,
                                     g_strerror(err));
        }
}

/* A number at the end of a line of the kernel's, after @prefix. */
static gboolean read_number(const char *path, const char *prefix, guint64 max, guint64 *ret) {
        g_autoptr(GBytes) bytes = att_read_at(AT_FDCWD, path, TEXT_MAX, NULL);
        g_autofree char *text = NULL;

        if (!bytes)
                return FALSE;

        text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
        g_strchomp(text);
        return g_str_has_prefix(text, prefix) &&
               g_ascii_string_to_unsigned(text + strlen(prefix), 10, 0, max, ret, NULL);
}

static gboolean describe(const char *function, struct perf_event_attr *attr, GError **error) {
        guint64 type, bit;

        if (!read_number(PMU "type", "", G_MAXUINT32, &type) ||
            !read_number(PMU "format/retprobe", "config:", 63, &bit))
                return att_error_set(error, ATT_ERROR_FAILED, "the kernel has no probes (CONFIG_KPROBE_EVENTS)");

        /* A sample has nothing in it: that there is one is all. */
        *attr = (struct perf_event_attr) {
                .size = sizeof *attr,
                .type = (uint32_t) type,
                .config = UINT64_C(1) << bit,
                .kprobe_func = (uint64_t) (uintptr_t) function,
                .sample_period = 1,
                .wakeup_events = 1,
        };
        return TRUE;
}

static void ring_clear(Ring *ring, gsize size) {
        if (ring->page)
                (void) munmap(ring->page, size);
        att_close_p(&ring->fd);
}

/* Returns: 0, or the errno; ENODEV for a processor that is offline. */
static int ring_init(Ring *ring, gsize size, struct perf_event_attr *attr, int cpu) {
        Ring r = { 0 };
        void *page;
        int err;

        r.fd = (int) syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
        if (r.fd < 0)
                return errno;

        page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
        if (page == MAP_FAILED) {
                err = errno;
                ring_clear(&r, size);
                return err;
        }
        r.page = page;
        *ring = r;
        return 0;
}

void att_kernel_probe_free(AttKernelProbe *probe) {
        if (!probe)
                return;

        for (guint i = 0; i < probe->rings->len; i++)
                ring_clear(&g_array_index(probe->rings, Ring, i), probe->ring_size);
        g_array_unref(probe->rings);
        g_free(probe);
}

AttKernelProbe *att_kernel_probe_open(const char *function, GError **error) {
        g_autoptr(AttKernelProbe) probe = g_new(AttKernelProbe, 1);
        long n_processors = sysconf(_SC_NPROCESSORS_CONF);
        struct perf_event_attr attr;
        int err = ENODEV;

        probe->ring_size = RING_PAGES * (gsize) sysconf(_SC_PAGESIZE);
        probe->rings = g_array_new(FALSE, FALSE, sizeof(Ring));
        if (!describe(function, &attr, error))
                return NULL;

        for (int cpu = 0; cpu < n_processors; cpu++) {
                Ring ring;

                err = ring_init(&ring, probe->ring_size, &attr, cpu);
                if (err == 0)
                        g_array_append_val(probe->rings, ring);
                else if (err != ENODEV)
                        break;
        }
        if (err != 0 && (err != ENODEV || probe->rings->len == 0)) {
                (void) refuse(function, err, error);
                return NULL;
        }
        return g_steal_pointer(&probe);
}

guint att_kernel_probe_size(const AttKernelProbe *probe) {
        return probe->rings->len;
}

int att_kernel_probe_fd(const AttKernelProbe *probe, guint i) {
        return g_array_index(probe->rings, Ring, i).fd;
}

bool att_kernel_probe_was_hit(const AttKernelProbe *probe) {
        for (guint i = 0; i < probe->rings->len; i++) {
                const struct perf_event_mmap_page *page = g_array_index(probe->rings, Ring, i).page;

                if (__atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE) != page->data_tail)
                        return true;
        }
        return false;
}

void att_kernel_probe_drain(AttKernelProbe *probe) {
        for (guint i = 0; i < probe->rings->len; i++) {
                struct perf_event_mmap_page *page = g_array_index(probe->rings, Ring, i).page;
                uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);

                /* Only we write the tail; the kernel writes on up to it. */
                __atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
        }
}
