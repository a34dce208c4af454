/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bus with nobody at its other end: what is sent is taken, and nothing ever comes. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* One at a time. @says_hello: as on a bus with a broker, where messages have senders */
sd_bus *lone_bus_begin(bool says_hello);
void lone_bus_end(void);
