/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/service.h"

#include "bus/bus-source.h"

#include <errno.h>
#include <glib-unix.h>
#include <systemd/sd-daemon.h>

/* How long answers may take to come once the service has been told to stop. */
#define DRAIN_MS 2000u

typedef struct Run {
        GMainLoop *loop;
        bool bus_lost;
        bool overdue;
} Run;

static gboolean on_signal(gpointer userdata) {
        Run *run = userdata;

        g_main_loop_quit(run->loop);
        return G_SOURCE_CONTINUE;
}

static void on_bus_lost(gpointer userdata) {
        Run *run = userdata;

        g_warning("the bus is gone");
        run->bus_lost = true;
        g_main_loop_quit(run->loop);
}

static gboolean on_watchdog(gpointer userdata) {
        (void) userdata;
        (void) sd_notify(0, "WATCHDOG=1");
        return G_SOURCE_CONTINUE;
}

static guint start_watchdog(void) {
        uint64_t usec;

        if (sd_watchdog_enabled(0, &usec) <= 0)
                return 0;
        return g_timeout_add((guint) CLAMP(usec / 2000, 1, G_MAXUINT), on_watchdog, NULL);
}

static gboolean on_overdue(gpointer userdata) {
        Run *run = userdata;

        run->overdue = true;
        return G_SOURCE_CONTINUE;
}

static void drain(const AttService *service, gpointer object, Run *run, sd_bus *bus) {
        guint timer = g_timeout_add(DRAIN_MS, on_overdue, run);

        service->stop(object);
        while (service->is_idle && !service->is_idle(object) && !run->overdue && !run->bus_lost)
                (void) g_main_context_iteration(NULL, TRUE);
        g_source_remove(timer);

        if (!run->bus_lost)
                (void) sd_bus_flush(bus);
}

/* Says why in the log, and with what the program ends. */
static AttExit own_name(sd_bus *bus, const char *name) {
        int r = sd_bus_request_name(bus, name, 0);

        switch (r) {
        case -EEXIST:
        case -EALREADY:
                g_warning("%s is served by another instance already; this one ends", name);
                return ATT_EXIT_NAME_TAKEN;
        case -EACCES:
        case -EPERM:
                g_warning("the bus does not let us own %s: is its policy file installed, and is this the right user?",
                          name);
                return ATT_EXIT_FAILURE;
        default:
                if (r >= 0)
                        return ATT_EXIT_STOPPED;
                g_warning("cannot own %s: %s", name, g_strerror(-r));
                return ATT_EXIT_FAILURE;
        }
}

static AttExit serve(const AttService *service, gpointer configuration, Run *run) {
        g_autoptr(GSource) source = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(sd_bus) bus = NULL;
        gpointer object;
        AttExit status;
        guint watchdog;
        int r;

        r = sd_bus_open_system_with_description(&bus, service->name);
        if (r < 0) {
                g_warning("cannot reach the system bus: %s", g_strerror(-r));
                return ATT_EXIT_FAILURE;
        }

        status = own_name(bus, service->name);
        if (status != ATT_EXIT_STOPPED)
                return status;

        object = service->start(bus, configuration, &error);
        if (!object) {
                g_warning("cannot serve %s: %s", service->name, error->message);
                return ATT_EXIT_FAILURE;
        }

        source = att_bus_source_new(bus);
        g_source_set_callback(source, (GSourceFunc) (void (*)(void)) on_bus_lost, run, NULL);
        g_source_attach(source, NULL);
        watchdog = start_watchdog();

        (void) sd_notify(0, "READY=1");
        g_main_loop_run(run->loop);
        (void) sd_notify(0, "STOPPING=1");

        drain(service, object, run, bus);
        service->free(object);

        g_source_destroy(source);
        if (watchdog)
                g_source_remove(watchdog);
        return run->bus_lost ? ATT_EXIT_FAILURE : ATT_EXIT_STOPPED;
}

AttExit att_service_run(const AttService *service, gpointer configuration) {
        g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
        Run run = { .loop = loop };
        /* Before the name is ours: who sees it may stop us. */
        guint sigterm = g_unix_signal_add(SIGTERM, on_signal, &run);
        guint sigint = g_unix_signal_add(SIGINT, on_signal, &run);
        AttExit status = serve(service, configuration, &run);

        g_source_remove(sigterm);
        g_source_remove(sigint);
        return status;
}
