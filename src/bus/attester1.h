/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.attestd.Attester1: dbus/org.attestd.Attester1.xml is its contract. */
#pragma once

#include "bus/service.h"

/* Its configuration is an AttConfiguration, which must outlive the service. */
extern const AttService att_attester1;
