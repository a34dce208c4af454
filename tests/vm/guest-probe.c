/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-probe ima|registers|report|tpm: what the kernel answers about measurements, a line
 * each. It runs on a real kernel and on tests/tee-simulator, and must print the same.
 * "measure PATH" or "violate PATH" on its output asks for that, and a line on its input
 * says that it was done: only who runs it can. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMA "/sys/kernel/security/ima/"
#define MEASUREMENTS "/sys/class/misc/tdx_guest/measurements/"
#define PCRS "/sys/class/tpm/tpm0/"
#define REGISTER_SIZE 48

static uint8_t data[1 << 20];

static void tell(const char *what, long rc) {
        if (rc < 0)
                printf("%s: %s\n", what, strerrorname_np(errno));
        else
                printf("%s: %ld\n", what, rc);
}

static void ask_for(const char *what, const char *path) {
        char line[8];

        printf("%s %s\n", what, path);
        (void) fflush(stdout);
        if (!fgets(line, sizeof line, stdin))
                exit(EXIT_FAILURE);
}

static void tell_mode(const char *path) {
        struct stat st;

        if (lstat(path, &st) < 0)
                tell(path, -1);
        else
                printf("%s: %06o size %ld of %u:%u\n", path, st.st_mode, (long) st.st_size, st.st_uid, st.st_gid);
}

static int open_file(const char *path, int flags) {
        int fd = open(path, flags | O_CLOEXEC);

        if (fd < 0) {
                tell(path, -1);
                exit(EXIT_FAILURE);
        }
        return fd;
}

static long number_in(const char *path) {
        int fd = open_file(path, O_RDONLY);
        char text[32] = "";

        if (read(fd, text, sizeof text - 1) < 0)
                tell(path, -1);
        (void) close(fd);
        return atol(text);
}

/* ----- IMA */

static long all_of(int fd) {
        long size = 0, n;

        while ((n = read(fd, data + size, sizeof data - (size_t) size)) > 0)
                size += n;
        return n < 0 ? -1 : size;
}

static void tell_list(const char *name) {
        char path[128];
        long size, n, part;
        int fd;

        (void) snprintf(path, sizeof path, IMA "%s", name);
        tell_mode(path);
        fd = open_file(path, O_RDONLY);
        size = all_of(fd);
        printf("%s is empty: %s\n", name, size > 0 ? "no" : "yes");
        tell("at the end", read(fd, data, 100));
        tell("at the end again", read(fd, data, sizeof data));
        ask_for("measure", "/tmp/probe-a");
        tell("one more record", read(fd, data, sizeof data));
        tell("and then", read(fd, data, sizeof data));
        ask_for("measure", "/tmp/probe-b");
        ask_for("measure", "/tmp/probe-c");
        tell("a little of two more", n = read(fd, data, 7));
        tell("the rest", read(fd, data + n, sizeof data - (size_t) n));
        tell("and then", read(fd, data, sizeof data));
        tell("from the middle", part = pread(fd, data, 10, size + 3));
        tell("the same by seeking", lseek(fd, size + 3, SEEK_SET) - size);
        tell("read there", read(fd, data + 100, 10));
        printf("which is the same: %s\n", memcmp(data, data + 100, (size_t) part) == 0 ? "yes" : "no");
        tell("far behind", pread(fd, data, 10, 1 << 30));
        tell("before the start", pread(fd, data, 10, -1));
        tell("write", write(fd, "x", 1));
        (void) close(fd);
        tell("open for writing", open(path, O_WRONLY | O_CLOEXEC));
}

static void tell_pages(void) {
        int fd;
        long n;

        for (int i = 0; i < 60; i++) {
                char path[64];

                (void) snprintf(path, sizeof path, "/tmp/probe-page-%02d", i);
                ask_for("measure", path);
        }
        fd = open_file(IMA "binary_runtime_measurements", O_RDONLY);
        n = read(fd, data, sizeof data);
        printf("a read gives less than a page: %s, and more than half of one: %s\n", n < 4096 ? "yes" : "no",
               n > 2048 ? "yes" : "no");
        (void) close(fd);
}

static void tell_counts(void) {
        long count = number_in(IMA "runtime_measurements_count"), violations = number_in(IMA "violations");

        tell_mode(IMA "runtime_measurements_count");
        tell_mode(IMA "violations");
        ask_for("measure", "/tmp/probe-d");
        tell("more entries", number_in(IMA "runtime_measurements_count") - count);
        ask_for("measure", "/tmp/probe-d");
        tell("not twice", number_in(IMA "runtime_measurements_count") - count);
        ask_for("violate", "/tmp/probe-v");
        tell("more violations", number_in(IMA "violations") - violations);
        tell("which count", number_in(IMA "runtime_measurements_count") - count);
}

static void tell_last(const char *name) {
        char path[128];
        int fd;
        long size;

        (void) snprintf(path, sizeof path, IMA "%s", name);
        ask_for("violate", "/tmp/probe-w");
        ask_for("measure", "/tmp/probe sp");
        fd = open_file(path, O_RDONLY);
        size = all_of(fd);
        for (int lines = 0; size > 1 && lines < 2; size--)
                if (data[size - 2] == '\n' && ++lines == 2)
                        break;
        printf("%s", (const char *) data + (size > 1 ? size - 1 : 0));
        (void) close(fd);
}

static void probe_poll(const char *path) {
        struct pollfd poll_fd = { .fd = open_file(path, O_RDONLY), .events = POLLIN | POLLPRI };

        (void) all_of(poll_fd.fd);
        tell("poll at the end", poll(&poll_fd, 1, 0));
        printf("events: %x\n", (unsigned) poll_fd.revents);
        (void) close(poll_fd.fd);
}

static void probe_ima(void) {
        char target[64];
        ssize_t n;

        if ((n = readlink("/sys/kernel/security/ima", target, sizeof target)) < 0)
                tell("ima", -1);
        else
                printf("ima: %.*s\n", (int) n, target);
        tell_mode(IMA "binary_runtime_measurements");
        tell_mode(IMA "ascii_runtime_measurements");
        for (int i = 0; i < 3; i++) {
                static const char *const banks[] = { "sha256", "sha384", "sha512" };
                char path[128];

                (void) snprintf(path, sizeof path, IMA "binary_runtime_measurements_%s", banks[i]);
                tell_mode(path);
        }
        tell_list("binary_runtime_measurements_sha1");
        tell_counts();
        tell_pages();
        tell_last("ascii_runtime_measurements_sha1");
        probe_poll(IMA "binary_runtime_measurements");
}

/* ----- registers of a TD */

struct tdx_report_req {
        uint8_t reportdata[64];
        uint8_t tdreport[1024];
};

static void tell_hex(const char *what, const uint8_t *bytes, size_t size) {
        printf("%s: ", what);
        for (size_t i = 0; i < size; i++)
                printf("%02x", bytes[i]);
        printf("\n");
}

static void tell_register(const char *what, const char *name) {
        char path[128];
        uint8_t value[100];
        ssize_t n;
        int fd;

        (void) snprintf(path, sizeof path, MEASUREMENTS "%s", name);
        fd = open_file(path, O_RDONLY);
        n = read(fd, value, sizeof value);
        (void) close(fd);
        if (n < 0)
                tell(what, n);
        else
                tell_hex(what, value, (size_t) n);
}

static void tell_report(const char *what) {
        struct tdx_report_req request = { .reportdata = "probe" };
        int fd = open_file("/dev/tdx_guest", O_RDONLY), rc = ioctl(fd, _IOWR('T', 1, struct tdx_report_req), &request);

        if (rc < 0)
                tell(what, rc);
        else
                tell_hex(what, request.tdreport, sizeof request.tdreport);
        tell("another ioctl", ioctl(fd, _IOR('T', 9, int), &request));
        (void) close(fd);
}

static void tell_write(const char *what, const char *name, size_t size, off_t offset) {
        static const uint8_t ones[100] = { 1 };
        char path[128];
        int fd;

        (void) snprintf(path, sizeof path, MEASUREMENTS "%s", name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        tell(what, fd < 0 ? -1 : pwrite(fd, ones, size, offset));
        if (fd >= 0)
                (void) close(fd);
}

static void probe_registers(void) {
        tell_mode(MEASUREMENTS "mrtd:sha384");
        tell_mode(MEASUREMENTS "rtmr3:sha384");
        tell_register("mrtd", "mrtd:sha384");
        tell_register("mrowner", "mrowner");
        tell_report("report");
        tell_register("rtmr3", "rtmr3:sha384");
        tell_write("extension", "rtmr3:sha384", REGISTER_SIZE, 0);
        tell_register("rtmr3", "rtmr3:sha384");
        tell_write("too short", "rtmr3:sha384", REGISTER_SIZE - 1, 0);
        tell_write("too long", "rtmr3:sha384", REGISTER_SIZE + 1, 0);
        tell_write("not at the start", "rtmr3:sha384", 10, 1);
        tell_write("behind the end", "rtmr3:sha384", 10, REGISTER_SIZE);
        tell_register("rtmr3", "rtmr3:sha384");
        ask_for("extend", "3");
        tell_register("the files do not know", "rtmr3:sha384");
        tell_report("the report does");
        tell_register("and then they do", "rtmr3:sha384");
        ask_for("extend", "2");
        tell_write("a write of another", "rtmr1:sha384", REGISTER_SIZE, 0);
        tell_register("shows it", "rtmr2:sha384");
}

static void probe_report(void) {
        tell_report("the report");
}

/* ----- the TPM */

static const uint8_t get_random[] = { 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8 };

static void tell_poll(const char *what, int fd) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN | POLLOUT };

        (void) poll(&poll_fd, 1, 0);
        printf("%s: poll says %x\n", what, (unsigned) poll_fd.revents);
}

static void probe_tpm(void) {
        int fd = open_file("/dev/tpmrm0", O_RDWR);
        struct pollfd poll_fd;
        int pcr = open_file(PCRS "pcr-sha256/16", O_RDONLY);
        ssize_t n = read(pcr, data, 200);

        tell_mode(PCRS "pcr-sha256/16");
        tell_mode(PCRS "tpm_version_major");
        printf("PCR 16: %.*s", (int) n, (const char *) data);
        (void) close(pcr);

        tell("nothing to read", read(fd, data, 100));
        tell_poll("nothing", fd);
        tell("a command", write(fd, get_random, sizeof get_random));
        tell_poll("an answer", fd);
        tell("too early", write(fd, get_random, sizeof get_random));
        tell("its head", read(fd, data, 10));
        tell_poll("the rest", fd);
        tell("the rest", read(fd, data, 100));
        tell_poll("no rest", fd);
        tell("no more", read(fd, data, 100));
        tell("a short command", write(fd, get_random, sizeof get_random - 1));
        tell("a shorter one", write(fd, get_random, 3));
        tell("too long", write(fd, data, 4097));
        tell("a command", write(fd, get_random, sizeof get_random));
        tell("half read", read(fd, data, 10));
        tell("another instead", write(fd, get_random, sizeof get_random));
        tell("its answer", read(fd, data, 100));
        (void) close(fd);

        fd = open_file("/dev/tpmrm0", O_RDWR | O_NONBLOCK);
        tell("not waiting", write(fd, get_random, sizeof get_random));
        poll_fd = (struct pollfd) { .fd = fd, .events = POLLIN };
        tell("ready", poll(&poll_fd, 1, 10000));
        tell("its answer", read(fd, data, 100));
        (void) close(fd);
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                void (*run)(void);
        } probes[] = { { "ima", probe_ima }, { "registers", probe_registers }, { "report", probe_report },
                       { "tpm", probe_tpm } };

        for (unsigned i = 0; argc == 2 && i < sizeof probes / sizeof *probes; i++)
                if (strcmp(argv[1], probes[i].name) == 0) {
                        probes[i].run();
                        return EXIT_SUCCESS;
                }
        (void) fprintf(stderr, "guest-probe ima|registers|report|tpm\n");
        return 2;
}
