/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tsm-probe: what configfs-tsm answers, a line each. It runs on a real kernel and on
 * tests/tee-simulator, and must print the same. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REPORTS "/sys/kernel/config/tsm/report"
#define NOBODY 65534
#define BLOB_MAX 65536u

static int reports;
static int entry;               /* of REPORTS/probe */
static uint8_t blob[BLOB_MAX];  /* what read_blob() has read */

static void tell(const char *what, long rc) {
        if (rc < 0)
                printf("%s: %s\n", what, strerrorname_np(errno));
        else
                printf("%s: %ld\n", what, rc);
}

static void tell_text(const char *what, const char *text) {
        printf("%s: %s\n", what, text);
}

static const uint8_t *filled(uint8_t with) {
        static uint8_t data[65];

        memset(data, with, sizeof data);
        return data;
}

static int open_at(const char *name, int flags) {
        return openat(entry, name, flags | O_CLOEXEC);
}

/* All of an attribute by a new descriptor; -1 with errno. */
static long read_all(const char *name) {
        int fd = open_at(name, O_RDONLY), error;
        long size = 0, n;

        if (fd < 0)
                return -1;
        while ((n = read(fd, blob + size, BLOB_MAX - (size_t) size)) > 0)
                size += n;
        error = errno;
        (void) close(fd);
        errno = error;
        return n < 0 ? -1 : size;
}

static void tell_attribute(const char *what, const char *name) {
        long size = read_all(name);

        if (size < 0)
                tell(what, size);
        else
                printf("%s: %.*s\n", what, (int) strcspn((char *) blob, "\n"), (char *) blob);
        memset(blob, 0, sizeof blob);
}

static void tell_generation(const char *what) {
        tell_attribute(what, "generation");
}

static long write_to(const char *name, const void *data, size_t size) {
        int fd = open_at(name, O_WRONLY), error;
        long n;

        if (fd < 0)
                return -1;
        n = write(fd, data, size);
        error = errno;
        (void) close(fd);
        errno = error;
        return n;
}

/* Is this the REPORTDATA of the blob that was read last? In TDX quotes of version 4,
 * then in SNP reports. */
static const char *holds(const void *data) {
        return memcmp(blob + 568, data, 64) == 0 || memcmp(blob + 0x50, data, 64) == 0 ? "yes" : "no";
}

static void tell_outblob(const char *what, uint8_t with) {
        long size = read_all("outblob");

        if (size < 0)
                tell(what, size);
        else
                printf("%s: %s over %02x: %s\n", what, size > 0 ? "a blob" : "empty", with, holds(filled(with)));
}

static void begin(void) {
        if (mkdirat(reports, "probe", 0700) < 0)
                tell("mkdir", -1);
        entry = openat(reports, "probe", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void end(void) {
        (void) close(entry);
        if (unlinkat(reports, "probe", AT_REMOVEDIR) < 0)
                tell("rmdir", -1);
}

/* ----- the tree */

static void tell_mode(const char *name) {
        struct stat st;
        char what[64];

        if (fstatat(entry, name, &st, 0) < 0)
                return;
        (void) snprintf(what, sizeof what, "mode of %s", *name ? name : "the entry");
        printf("%s: %o, size %jd, owner %u:%u\n", what, st.st_mode, (intmax_t) (S_ISDIR(st.st_mode) ? 0 : st.st_size),
               st.st_uid, st.st_gid);
}

/* The clock of files is a coarse one: what comes after this has another time than what came before. */
static void wait_for_the_clock(void) {
        struct timespec begin, now;

        (void) clock_gettime(CLOCK_REALTIME_COARSE, &begin);
        do
                (void) clock_gettime(CLOCK_REALTIME_COARSE, &now);
        while (memcmp(&begin, &now, sizeof now) == 0);
}

/* By which attestd knows that nobody has come or left. */
static void tell_links(const char *what, struct stat *before) {
        struct stat now;

        wait_for_the_clock();
        if (fstat(reports, &now) < 0)
                tell(what, -1);
        printf("%s: %+jd links, changed: %s, modified: %s\n", what,
               (intmax_t) now.st_nlink - (intmax_t) before->st_nlink,
               memcmp(&now.st_ctim, &before->st_ctim, sizeof now.st_ctim) == 0 ? "no" : "yes",
               memcmp(&now.st_mtim, &before->st_mtim, sizeof now.st_mtim) == 0 ? "no" : "yes");
        *before = now;
}

static void probe_links(void) {
        struct stat st;

        if (fstat(reports, &st) < 0)
                tell("stat of report", -1);
        tell_links("left alone", &st);
        begin();
        tell_links("an entry is made", &st);
        (void) write_to("inblob", filled(1), 64);
        tell_outblob("a report", 1);
        tell("chmod of the entry", fchmod(entry, 0700));
        tell_links("an entry is used", &st);
        tell("mkdir of another", mkdirat(reports, "probe-2", 0700));
        tell_links("another is made", &st);
        tell("rmdir of another", unlinkat(reports, "probe-2", AT_REMOVEDIR));
        tell_links("another is removed", &st);
        if (fstat(entry, &st) == 0)
                printf("links of an entry: %ju\n", (uintmax_t) st.st_nlink);
        tell("rmdir", unlinkat(reports, "probe", AT_REMOVEDIR));
        if (fstat(entry, &st) == 0)
                printf("links of what was removed: %ju\n", (uintmax_t) st.st_nlink);
        (void) close(entry);
}

static void probe_tree(void) {
        static const char *const names[] = {
                ".",        "inblob",    "outblob",         "auxblob",          "manifestblob",
                "provider", "privlevel", "privlevel_floor", "service_provider", "service_guid",
                "generation", "service_manifest_version",
        };
        char longest[NAME_MAX + 2];

        begin();
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                tell_mode(names[i]);
        tell_attribute("provider", "provider");
        tell_attribute("floor", "privlevel_floor");
        tell_generation("generation at first");

        tell("mkdir of what is there", mkdirat(reports, "probe", 0700));
        tell("mkdir in an entry", mkdirat(entry, "x", 0700));
        tell("mkdir beside report", mkdirat(reports, "../x", 0700));
        tell("create in report", openat(reports, "x", O_CREAT | O_WRONLY, 0600));
        tell("create in an entry", openat(entry, "x", O_CREAT | O_WRONLY, 0600));
        tell("unlink an attribute", unlinkat(entry, "inblob", 0));
        tell("rename an entry", renameat(reports, "probe", reports, "x"));
        tell("rename an attribute", renameat(entry, "inblob", entry, "x"));
        tell("symlink", symlinkat("/", reports, "x"));
        tell("link an attribute", linkat(entry, "inblob", entry, "x", 0));
        tell("mkfifo", mkfifoat(reports, "x", 0600));
        tell("rmdir of what is not there", unlinkat(reports, "x", AT_REMOVEDIR));
        tell("rmdir of report", unlinkat(reports, "../report", AT_REMOVEDIR));
        tell("rmdir of an attribute", unlinkat(entry, "inblob", AT_REMOVEDIR));

        tell("chmod of the entry", fchmod(entry, 0700));
        tell("chown of inblob", fchownat(entry, "inblob", NOBODY, NOBODY, 0));
        tell("chmod of outblob", fchmodat(entry, "outblob", 0400, 0));
        tell_mode(".");
        tell_mode("inblob");
        tell_mode("outblob");
        end();
        begin();
        tell_mode(".");
        tell_mode("inblob");
        end();

        memset(longest, 'x', sizeof longest - 1);
        longest[NAME_MAX + 1] = '\0';
        tell("mkdir of 256 bytes", mkdirat(reports, longest, 0700));
        longest[NAME_MAX] = '\0';
        tell("mkdir of 255 bytes", mkdirat(reports, longest, 0700));
        tell("rmdir of 255 bytes", unlinkat(reports, longest, AT_REMOVEDIR));
}

/* ----- the commit */

static void probe_open(void) {
        static const char *const attributes[] = { "outblob", "auxblob", "generation", "provider", "privlevel_floor" };

        begin();
        tell("inblob by O_RDWR", open_at("inblob", O_RDWR));
        tell("inblob by O_RDONLY", open_at("inblob", O_RDONLY));
        tell("privlevel by O_RDONLY", open_at("privlevel", O_RDONLY));
        for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
                tell(attributes[i], open_at(attributes[i], O_WRONLY));
                tell(attributes[i], open_at(attributes[i], O_RDWR));
        }
        (void) fchmodat(entry, "outblob", 0, 0);
        tell("outblob of mode 0", open_at("outblob", O_RDONLY));
        (void) fchmodat(entry, "inblob", 0600, 0);
        tell("inblob of mode 0600", open_at("inblob", O_RDONLY));
        end();
}

static void probe_commit(void) {
        int fd, copy;

        begin();
        tell_outblob("outblob without inblob", 1);
        (void) close(open_at("inblob", O_WRONLY | O_TRUNC));
        tell_generation("opened only");

        fd = open_at("inblob", O_WRONLY);
        tell("write of 64", write(fd, filled(1), 64));
        tell_generation("written, not closed");
        tell_outblob("before the close", 1);
        tell("close", close(fd));
        tell_generation("closed");
        tell_outblob("after the close", 1);

        fd = open_at("inblob", O_WRONLY);
        (void) write(fd, filled(2), 64);
        tell_outblob("the old one while the new one is open", 1);
        copy = dup(fd);
        (void) close(fd);
        tell_generation("a copy is open");
        (void) close(copy);
        tell_generation("no copy is open");
        tell_outblob("then", 2);

        tell("write of 65", write_to("inblob", filled(3), 65));
        tell_generation("after EFBIG");
        tell_outblob("after EFBIG", 3);

        tell("write of 63", write_to("inblob", filled(3), 63));
        tell_generation("after 63");
        tell_outblob("after 63", 3);

        fd = open_at("inblob", O_WRONLY);
        tell("write of 32", write(fd, filled(4), 32));
        tell("write of 32 more", write(fd, filled(4), 32));
        tell("write of 1 more", write(fd, filled(4), 1));
        (void) close(fd);
        tell_generation("after two halves");
        tell_outblob("two halves", 4);

        fd = open_at("inblob", O_WRONLY);
        tell("write behind a gap", pwrite(fd, filled(0), 1, 63));
        (void) close(fd);
        tell_outblob("zeros before it", 0);
        end();
}

/* ----- the report */

static void probe_cache(void) {
        static uint8_t first[BLOB_MAX];
        uint8_t head[100];
        int fd;

        begin();
        (void) write_to("inblob", filled(1), 64);
        tell_outblob("a report", 1);
        memcpy(first, blob, sizeof first);
        tell_outblob("again", 1);
        tell_text("the same bytes", memcmp(first, blob, sizeof first) == 0 ? "yes" : "no");
        (void) write_to("inblob", filled(1), 64);
        tell_outblob("the same inblob again", 1);
        tell_text("the same bytes", memcmp(first, blob, sizeof first) == 0 ? "yes" : "no");
        tell_generation("generation");

        fd = open_at("outblob", O_RDONLY);
        (void) write_to("inblob", filled(2), 64);
        tell("opened before the write, read after it", read(fd, blob, BLOB_MAX) > 0 ? 0 : -1);
        tell_text("holds what was written", holds(filled(2)));
        (void) write_to("inblob", filled(3), 64);
        tell_outblob("a new descriptor", 3);
        tell("pread of the old one", pread(fd, blob, BLOB_MAX, 0) > 0 ? 0 : -1);
        tell_text("keeps what it has read", holds(filled(2)));
        tell("pread of 100", pread(fd, head, sizeof head, 0));
        tell("pread behind the end", pread(fd, head, sizeof head, 60000));
        (void) close(fd);

        tell("auxblob", read_all("auxblob") > 0 ? 0 : -1);
        end();
}

static void probe_removal(void) {
        int in, out, generation;
        char text[32];

        begin();
        (void) write_to("inblob", filled(1), 64);
        in = open_at("inblob", O_WRONLY);
        out = open_at("outblob", O_RDONLY);
        generation = open_at("generation", O_RDONLY);
        (void) write(in, filled(2), 64);
        tell("rmdir with open descriptors", unlinkat(reports, "probe", AT_REMOVEDIR));
        tell("write", pwrite(in, filled(2), 64, 0));
        tell("read of outblob", read(out, blob, BLOB_MAX));
        tell("read of generation", read(generation, text, sizeof text));
        tell("close", close(in));
        (void) close(out);
        (void) close(generation);
        tell("open in what was removed", open_at("outblob", O_RDONLY));
        (void) close(entry);

        begin();
        tell_generation("made again");
        end();
}

static void probe_privlevel(void) {
        static const char *const levels[] = {
                "0",  "1",  "2",  "3\n",        "4",                       "-1",  "0x2", "0X3",  "0x",
                "+2", "02", "08", "4294967297", "99999999999999999999999", " 2",  "2 ",  "2\n\n", "abc",
        };
        static const char *const services[] = { "svsm", "svsm\n", "other" };

        begin();
        if (faccessat(entry, "privlevel", F_OK, 0) == 0)
                for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
                        tell(levels[i], write_to("privlevel", levels[i], strlen(levels[i])));
                        tell_generation("then");
                }
        (void) write_to("inblob", filled(1), 64);
        tell_outblob("by the last level", 1);
        end();

        begin();
        (void) write_to("inblob", filled(1), 64);
        tell_outblob("without a level", 1);
        tell("its auxblob", read_all("auxblob"));
        tell("its manifestblob", read_all("manifestblob"));
        tell("not a GUID", write_to("service_guid", "c476f1eb", 8));
        tell("a GUID", write_to("service_guid", "c476f1eb-0123-45a5-9641-b4e7dde5bfe3", 36));
        tell("a GUID and more", write_to("service_guid", "c476f1eb-0123-45a5-9641-b4e7dde5bfe3, more", 42));
        tell_generation("then");
        tell("manifest version", write_to("service_manifest_version", "1", 1));
        tell("manifest version", write_to("service_manifest_version", "x", 1));
        for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
                tell(services[i], write_to("service_provider", services[i], strlen(services[i])));
                tell_generation("then");
                tell("outblob", read_all("outblob") > 0 ? 0 : -1);
                tell("manifestblob", read_all("manifestblob"));
        }
        end();
}

/* ----- with something wrong, which the test has arranged */

static void probe_read(unsigned int times) {
        begin();
        (void) write_to("inblob", filled(7), 64);
        for (unsigned int i = 0; i < times; i++)
                tell_outblob("outblob", 7);
        tell_generation("generation");
        (void) write_to("inblob", filled(8), 64);
        tell_outblob("after a new inblob", 8);
        end();
}

int main(int argc, char **argv) {
        reports = open(REPORTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (reports < 0) {
                tell("report", -1);
                return 0;
        }

        if (argc == 3 && strcmp(argv[1], "read") == 0) {
                probe_read((unsigned int) atoi(argv[2]));
        } else if (argc == 1) {
                probe_links();
                probe_tree();
                probe_open();
                probe_commit();
                probe_cache();
                probe_removal();
                probe_privlevel();
        } else {
                (void) fprintf(stderr, "tsm-probe [read TIMES]\n");
                return 2;
        }
        return 0;
}
