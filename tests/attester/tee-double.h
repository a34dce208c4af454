/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TEE that does what the test says, in place of the real one: it is linked
 * instead of it. The caller's side of it is tee/tee.h. */
#pragma once

#include "tee/tee.h"
#include "util/error.h"

/* The one that was made last; %NULL after it was freed. */
extern AttTee *tee_double;

/* Requests so far, in order; of uint8_t[64] each. */
extern GArray *tee_double_asked;

/* Answer each request by itself, in the next turn of the loop; off by default. */
void tee_double_answer_all(void);
/* Answer the request under way, now: with a report over what was asked, or with an error. */
void tee_double_answer(void);
void tee_double_fail(AttError code, const char *message);

void tee_double_set_state(AttTeeState state, const char *detail);
void tee_double_set_provider(const char *provider);
/* Of the state, and of reports that are answered from now on. */
void tee_double_set_shared(bool shared);
void tee_double_set_pause_ms(guint ms);
/* As if it had been learned. */
void tee_double_set_interval_us(guint64 us);
void tee_double_set_throttle_count(guint count);
/* Of one report; of more, so many times as long. */
void tee_double_set_expected_wait_us(gint64 us);
void tee_double_set_failing(bool is_failing);
/* What outblob a report has; the default is 64 bytes of 0x51 and the REPORTDATA. */
void tee_double_set_outblob_size(gsize size);
/* And what auxblob; 0: none, the default. */
void tee_double_set_auxblob_size(gsize size);
