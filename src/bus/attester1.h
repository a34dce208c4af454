/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.attestd.Attester1: dbus/org.attestd.Attester1.xml is its contract. */
#pragma once

#include "attester/configuration.h"
#include "bus/service.h"
#include "tee/event-source.h"

/* What att_service_run() takes as its configuration. All of it must outlive the service. */
typedef struct AttAttester1Start {
        const AttConfiguration *configuration;
        AttEventSource *events; /* not started */
} AttAttester1Start;

extern const AttService att_attester1;
