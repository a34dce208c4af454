/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "appended.h"

#include <err.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PMU "/sys/bus/event_source/devices/kprobe/"

static struct perf_event_mmap_page *page;
static size_t page_size;

static unsigned long read_number(const char *path, const char *prefix) {
        FILE *file = fopen(path, "re");
        char text[64] = "";

        if (!file || !fgets(text, sizeof text, file) || strncmp(text, prefix, strlen(prefix)) != 0)
                errx(1, "%s", path);
        (void) fclose(file);
        return strtoul(text + strlen(prefix), NULL, 10);
}

int appended_watch(void) {
        struct perf_event_attr attr = {
                .size = sizeof attr,
                .type = (uint32_t) read_number(PMU "type", ""),
                .config = 1ull << read_number(PMU "format/retprobe", "config:"),
                .kprobe_func = (uint64_t) (uintptr_t) "ima_add_template_entry",
                .sample_period = 1,
                .sample_type = PERF_SAMPLE_TIME,
                .wakeup_events = 1,
                .use_clockid = 1,
                .clockid = CLOCK_MONOTONIC,
        };
        int fd;

        if (sysconf(_SC_NPROCESSORS_ONLN) != 1)
                errx(1, "this is for one processor");
        page_size = (size_t) sysconf(_SC_PAGESIZE);
        fd = (int) syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
        page = fd < 0 ? MAP_FAILED : mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED)
                err(1, "a probe of ima_add_template_entry");
        return fd;
}

int64_t appended_when(void) {
        uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE), at = page->data_tail;
        const uint8_t *ring = (const uint8_t *) page + page_size;
        int64_t when = 0;

        while (at < head) {
                /* Records are of multiples of eight, so none of these two is cut by the end of the ring. */
                const uint8_t *record = ring + at % page_size;
                struct perf_event_header header;

                memcpy(&header, record, sizeof header);
                if (header.type == PERF_RECORD_SAMPLE)
                        memcpy(&when, ring + (at + sizeof header) % page_size, sizeof when);
                at += header.size;
        }
        __atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
        return when;
}
