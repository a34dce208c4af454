/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports that nobody has asked for. The firmware of an SNP machine can change under
 * a guest, and nothing but a report tells of it: so when none has been made for a
 * while, one is, and is looked at. A TD looks at itself. */
#pragma once

#include "attester/scheduler.h"

G_BEGIN_DECLS

typedef struct AttIdleReport AttIdleReport;

/** @seconds: without any report, after which one is made; 0: never. @scheduler, @tee: borrowed */
AttIdleReport *att_idle_report_new(guint seconds, AttScheduler *scheduler, AttTee *tee) G_GNUC_WARN_UNUSED_RESULT;
/** Before the scheduler. */
void att_idle_report_free(AttIdleReport *idle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttIdleReport, att_idle_report_free)

/** att_idle_report_saw: some report was made */
void att_idle_report_saw(AttIdleReport *idle);

/**
 * att_idle_report_consider: ask for one, if it is time
 *
 * Not of a device whose pace says that its reports are few, or of which the host lends so
 * many: they are for who waits. And not of one that fails: each failure may cost its key.
 */
void att_idle_report_consider(AttIdleReport *idle);

G_END_DECLS
