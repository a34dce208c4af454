/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* timed FILE PROGRAM [ARGUMENT...]: run it, and write to FILE what it took, as JSON:
 * {"seconds", "cpu_seconds", "peak_rss_kib"}. Small itself: the kernel counts what fork()
 * has copied as the child's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static double seconds(struct timeval t) {
        return (double) t.tv_sec + (double) t.tv_usec / 1e6;
}

int main(int argc, char **argv) {
        struct rusage usage;
        double began = now(), took;
        int status;
        pid_t pid;
        FILE *f;

        if (argc < 3)
                return 2;
        pid = fork();
        if (pid == 0) {
                execvp(argv[2], argv + 2);
                perror(argv[2]);
                _exit(127);
        }
        while (wait4(pid, &status, 0, &usage) < 0)
                if (errno != EINTR)
                        return 2;
        took = now() - began;

        f = fopen(argv[1], "we");
        if (!f || fprintf(f, "{\"seconds\": %.6f, \"cpu_seconds\": %.6f, \"peak_rss_kib\": %ld}\n", took,
                          seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss) < 0 || fclose(f) != 0)
                return 2;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
