/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vm-agent: runs programs inside a test VM for the test outside.
 *
 * Lines of JSON over a virtio serial port, each way. "id" is the caller's name for a
 * program; bytes are base64.
 *
 *   to us     {"id": 1, "start": ["cat", "-"], "env": {"A": "b"}}
 *             {"id": 1, "input": "aGVsbG8="}     {"id": 1, "end": true}    its standard input
 *             {"id": 1, "signal": 15}
 *   from us   {"ready": true}                    once, at the start
 *             {"id": 1, "pid": 123}              or {"id": 1, "error": "No such file or directory"}
 *             {"id": 1, "out": "aGVsbG8="}       {"id": 1, "err": "…"}
 *             {"id": 1, "status": 0}             all it wrote has come before; a signal is negative
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Agent {
        int port;
        GString *line; /* of the host, as far as it has come */
        GHashTable *programs; /* json_int_t * in the program → program, owned */
        GMainLoop *loop;
} Agent;

typedef struct Program {
        Agent *agent;
        json_int_t id;
        GPid pid;
        int in, out, err;
        GByteArray *input; /* not yet taken by the program */
        bool input_ends;
        guint in_watch, out_watch, err_watch;
} Program;

/* The host reads all the time; when it is slow, so are we. */
static void say(Agent *agent, json_t *message) {
        g_autofree char *text = json_dumps(message, JSON_COMPACT);
        g_autofree char *line = g_strconcat(text, "\n", NULL);

        for (size_t at = 0, size = strlen(line); at < size;) {
                ssize_t n = write(agent->port, line + at, size - at);
                struct pollfd writable = { .fd = agent->port, .events = POLLOUT };

                if (n >= 0)
                        at += (size_t) n;
                else if (errno == EAGAIN)
                        (void) poll(&writable, 1, -1);
                else if (errno != EINTR)
                        exit(EXIT_FAILURE); /* nobody is left to tell */
        }
        json_decref(message);
}

static void say_error(Agent *agent, json_int_t id, const char *what) {
        say(agent, json_pack("{s:I, s:s}", "id", id, "error", what));
}

/* Passes on what is there. Returns: false at the end of the stream */
static bool pump_output(Program *p, int fd, const char *stream) {
        for (;;) {
                guchar data[16384];
                ssize_t n = read(fd, data, sizeof data);
                g_autofree char *text = NULL;

                if (n < 0 && errno == EAGAIN)
                        return true;
                if (n <= 0)
                        return false;
                text = g_base64_encode(data, (gsize) n);
                say(p->agent, json_pack("{s:I, s:s}", "id", p->id, stream, text));
        }
}

static gboolean on_output(gint fd, GIOCondition condition, gpointer userdata) {
        Program *p = userdata;
        bool is_err = fd == p->err;

        (void) condition;
        if (pump_output(p, fd, is_err ? "err" : "out"))
                return G_SOURCE_CONTINUE;
        *(is_err ? &p->err_watch : &p->out_watch) = 0;
        return G_SOURCE_REMOVE;
}

static void close_fd(int *fd) {
        if (*fd >= 0)
                (void) close(*fd);
        *fd = -1;
}

static gboolean on_input_wanted(gint fd, GIOCondition condition, gpointer userdata) {
        Program *p = userdata;
        ssize_t n = p->input->len > 0 ? write(fd, p->input->data, p->input->len) : 0;

        (void) condition;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
                g_byte_array_set_size(p->input, 0); /* it does not read any more */
        if (n > 0)
                g_byte_array_remove_range(p->input, 0, (guint) n);
        if (p->input->len > 0)
                return G_SOURCE_CONTINUE;

        p->in_watch = 0;
        if (p->input_ends)
                close_fd(&p->in);
        return G_SOURCE_REMOVE;
}

static void watch_input(Program *p) {
        if (p->in >= 0 && p->in_watch == 0)
                p->in_watch = g_unix_fd_add(p->in, G_IO_OUT, on_input_wanted, p);
}

static void program_free(gpointer data) {
        Program *p = data;

        g_clear_handle_id(&p->in_watch, g_source_remove);
        g_clear_handle_id(&p->out_watch, g_source_remove);
        g_clear_handle_id(&p->err_watch, g_source_remove);
        close_fd(&p->in);
        close_fd(&p->out);
        close_fd(&p->err);
        g_byte_array_unref(p->input);
        g_free(p);
}

static void on_exit_of_program(GPid pid, gint status, gpointer userdata) {
        Program *p = userdata;
        json_int_t code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);

        (void) pid;
        (void) pump_output(p, p->out, "out");
        (void) pump_output(p, p->err, "err");
        say(p->agent, json_pack("{s:I, s:I}", "id", p->id, "status", code));
        g_hash_table_remove(p->agent->programs, &p->id);
}

static char **argv_of(const json_t *list) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        const json_t *word;
        size_t i;

        json_array_foreach (list, i, word)
                g_strv_builder_add(builder, json_is_string(word) ? json_string_value(word) : "");
        return g_strv_builder_end(builder);
}

static char **environment_with(json_t *more) {
        char **environment = g_get_environ();
        const char *name;
        json_t *value;

        json_object_foreach (more, name, value)
                environment = g_environ_setenv(environment, name, json_string_value(value), TRUE);
        return environment;
}

/* A group of its own, so that a signal reaches what it has started, too. */
static void before_exec(gpointer userdata) {
        (void) userdata;
        (void) setpgid(0, 0);
}

static void start(Agent *agent, json_int_t id, const json_t *message) {
        g_auto(GStrv) argv = argv_of(json_object_get(message, "start"));
        g_auto(GStrv) environment = environment_with(json_object_get(message, "env"));
        g_autoptr(GError) error = NULL;
        Program *p;

        if (!argv[0] || g_hash_table_contains(agent->programs, &id)) {
                say_error(agent, id, "not a new program");
                return;
        }

        p = g_new0(Program, 1);
        *p = (Program) { .agent = agent, .id = id, .in = -1, .out = -1, .err = -1, .input = g_byte_array_new() };
        if (!g_spawn_async_with_pipes("/", argv, environment, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                      before_exec, NULL, &p->pid, &p->in, &p->out, &p->err, &error)) {
                say_error(agent, id, error->message);
                program_free(p);
                return;
        }

        g_hash_table_insert(agent->programs, &p->id, p);
        (void) g_unix_set_fd_nonblocking(p->in, TRUE, NULL);
        (void) g_unix_set_fd_nonblocking(p->out, TRUE, NULL);
        (void) g_unix_set_fd_nonblocking(p->err, TRUE, NULL);
        say(agent, json_pack("{s:I, s:I}", "id", id, "pid", (json_int_t) p->pid));
        p->out_watch = g_unix_fd_add(p->out, G_IO_IN, on_output, p);
        p->err_watch = g_unix_fd_add(p->err, G_IO_IN, on_output, p);
        g_child_watch_add(p->pid, on_exit_of_program, p);
}

static void obey(Agent *agent, const char *line) {
        json_auto_t *message = json_loads(line, 0, NULL);
        json_int_t id = json_integer_value(json_object_get(message, "id"));
        const char *input = json_string_value(json_object_get(message, "input"));
        const json_t *number = json_object_get(message, "signal");
        Program *p = g_hash_table_lookup(agent->programs, &id);

        if (json_object_get(message, "start")) {
                start(agent, id, message);
                return;
        }
        if (!p)
                return; /* it has just ended; the host will know */

        if (number)
                (void) kill(-p->pid, (int) json_integer_value(number));
        if (input) {
                gsize size;
                g_autofree guchar *data = g_base64_decode(input, &size);

                g_byte_array_append(p->input, data, (guint) size);
        }
        if (json_object_get(message, "end"))
                p->input_ends = true;
        if (input || p->input_ends)
                watch_input(p);
}

static gboolean on_port(gint fd, GIOCondition condition, gpointer userdata) {
        Agent *agent = userdata;
        char data[16384];
        ssize_t n = read(fd, data, sizeof data);

        (void) condition;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return G_SOURCE_CONTINUE;
        if (n <= 0) {
                g_main_loop_quit(agent->loop);
                return G_SOURCE_REMOVE;
        }

        g_string_append_len(agent->line, data, n);
        for (char *end; (end = memchr(agent->line->str, '\n', agent->line->len));) {
                *end = '\0';
                obey(agent, agent->line->str);
                g_string_erase(agent->line, 0, end - agent->line->str + 1);
        }
        return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv) {
        Agent agent = { .port = -1 };

        if (argc != 2) {
                (void) fprintf(stderr, "vm-agent: PORT, such as /dev/vport0p1\n");
                return 2;
        }
        agent.port = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (agent.port < 0) {
                (void) fprintf(stderr, "vm-agent: %s: %s\n", argv[1], g_strerror(errno));
                return 1;
        }

        (void) signal(SIGPIPE, SIG_IGN);
        agent.line = g_string_new(NULL);
        agent.programs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, program_free);
        agent.loop = g_main_loop_new(NULL, FALSE);
        g_unix_fd_add(agent.port, G_IO_IN, on_port, &agent);
        say(&agent, json_pack("{s:b}", "ready", 1));
        g_main_loop_run(agent.loop);
        return 0;
}
