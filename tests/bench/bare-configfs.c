/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bare-configfs COUNT: the least a client of configfs-tsm can do for a report it
 * may trust: one entry; for each report write inblob, close, read generation,
 * read outblob. The floor that Attest is held against. */
#include "latency.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ENTRY "/sys/kernel/config/tsm/report/bench-bare"

/* The folder stays open, as with attestd: on the simulator each part of a path costs a
 * round trip to user space, which a kernel's own configfs does not have. */
static int entry = -1;

static ssize_t read_file(const char *path, void *buffer, size_t size) {
        int fd = openat(entry, path, O_RDONLY | O_CLOEXEC);
        size_t n = 0;
        ssize_t k;

        if (fd < 0)
                err(1, "open %s", path);
        while ((k = read(fd, (char *) buffer + n, size - n)) > 0)
                n += (size_t) k;
        if (k < 0)
                err(1, "read %s", path);
        (void) close(fd);
        return (ssize_t) n;
}

static unsigned long long generation(void) {
        char text[32] = "";

        (void) read_file("generation", text, sizeof text - 1);
        return strtoull(text, NULL, 10);
}

static void report_once(void) {
        static unsigned char quote[128 * 1024];
        unsigned char report_data[64];
        unsigned long long before = generation();
        int fd = openat(entry, "inblob", O_WRONLY | O_CLOEXEC);

        if (fd < 0 || getrandom(report_data, sizeof report_data, 0) != (ssize_t) sizeof report_data)
                err(1, "inblob");
        if (write(fd, report_data, sizeof report_data) != (ssize_t) sizeof report_data || close(fd) < 0)
                err(1, "write inblob");
        if (generation() != before + 1)
                errx(1, "the write was not committed");
        if (read_file("outblob", quote, sizeof quote) < 1020)
                errx(1, "a short quote");
        if (memcmp(quote + 48 + 520, report_data, sizeof report_data) != 0)
                errx(1, "another quote");
        if (generation() != before + 1)
                errx(1, "somebody else wrote");
}

int main(int argc, char **argv) {
        guint count = argc > 1 ? (guint) atoi(argv[1]) : 1000;
        g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(gint64));

        if (mkdir(ENTRY, 0700) < 0)
                err(1, "mkdir %s", ENTRY);
        entry = open(ENTRY, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (entry < 0)
                err(1, "open %s", ENTRY);
        for (guint i = 0; i < count + count / 10; i++) {
                gint64 start = latency_now();

                report_once();
                start = latency_now() - start;
                if (i >= count / 10) /* the first tenth warms up */
                        g_array_append_val(samples, start);
        }
        (void) close(entry);
        if (rmdir(ENTRY) < 0)
                err(1, "rmdir %s", ENTRY);
        latency_print("bare-configfs", samples);
        return 0;
}
