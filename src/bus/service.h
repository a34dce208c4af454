/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop of a program, and no word of what it is for: a program links only the
 * service that its main() names. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

G_BEGIN_DECLS

/* Exit status of both services; documented in their man pages. */
typedef enum {
        ATT_EXIT_STOPPED = 0,  /* by SIGTERM or SIGINT */
        ATT_EXIT_FAILURE = 1,  /* could not start, or has lost the bus */
        ATT_EXIT_USAGE = 2,    /* command line or configuration */
        ATT_EXIT_NAME_TAKEN = 3, /* another instance is serving */
} AttExit;

typedef struct AttService {
        const char *name; /* on the bus */

        /** Begins to serve: adds the objects to @bus. The name is ours by then and
         *  not before, so a second instance gets no further than its name. What
         *  it returns is handed to the others; %NULL with @error set ends the
         *  program. */
        gpointer (*start)(sd_bus *bus, gpointer configuration, GError **error);

        /** Answers what waits with Cancelled, and takes no more. */
        void (*stop)(gpointer object);

        /** Is there no answer to come? (nullable): there never is one */
        bool (*is_idle)(gpointer object);

        /** The last of it; the bus is still there, the loop is not run again. */
        void (*free)(gpointer object);
} AttService;

/**
 * att_service_run: serve until SIGTERM, SIGINT, or the bus is lost
 * @configuration: for @service->start()
 *
 * Tells the service manager of ready, stopping and, by a timer of the same loop
 * that serves the bus, that it is alive. The reason of a failure is in the log.
 */
AttExit att_service_run(const AttService *service, gpointer configuration);

G_END_DECLS
