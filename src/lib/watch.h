/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the links tell of themselves and of the services: up, down, started again, stale. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/** att_watch_links: @context: of our thread, which need not run yet */
void att_watch_links(GMainContext *context);

G_END_DECLS
