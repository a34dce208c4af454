/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each byte of an event log changed: what is seen of it. */
#pragma once

#include "crypto/event-replay.h"

#include "../codec/exact.h"

#include <stdio.h>

/* What no register covers. Only the digest of all of the log in the claims does. */
typedef enum {
        UNCOVERED_HEADER, /* fields that change nothing, and the register of an EV_NO_ACTION */
        UNCOVERED_TYPE,
        UNCOVERED_DATA, /* that are not what is measured */
        UNCOVERED,
} Uncovered;

typedef struct Changes {
        unsigned refused; /* by the walk, or because data were not measured as their type says */
        unsigned other;   /* they replay to something else */
        unsigned not_covered[UNCOVERED];
} Changes;

static inline void changes_print(const Changes *c, const char *name) {
        printf("%s: %u changes of a byte are refused, %u replay to something else; seen by no register: %u in types, "
               "%u in data that are not measured as they stand, %u in the header\n", name, c->refused, c->other,
               c->not_covered[UNCOVERED_TYPE], c->not_covered[UNCOVERED_DATA], c->not_covered[UNCOVERED_HEADER]);
}

/* Has an event a digest of this algorithm? */
static inline bool changes_is_used(GBytes *bytes, uint16_t id) {
        static const uint16_t ids[ATT_BANKS] = { 0x0004, 0x000b, 0x000c, 0x000d };
        bool is_used = false;
        AttEventLog log;
        AttEvent e;

        ck_assert(att_event_log_open(&log, att_cursor_bytes(bytes), NULL));
        while (att_event_log_next(&log, &e, NULL) == ATT_EVENT_READ)
                for (unsigned bank = 0; e.number > 0 && bank < ATT_BANKS; bank++)
                        is_used = is_used || (ids[bank] == id && e.digests[bank]);
        return is_used;
}

/* What byte @at is, which may be changed without that it is seen. */
static inline Uncovered changes_what(GBytes *bytes, size_t at) {
        AttEventLog log;
        AttEvent e;

        ck_assert(att_event_log_open(&log, att_cursor_bytes(bytes), NULL));
        while (att_event_log_next(&log, &e, NULL) == ATT_EVENT_READ) {
                size_t end = att_event_log_end(&log, NULL), in = at - e.offset;

                if (at >= end)
                        continue;
                if (log.is_agile && e.number == 0) {
                        size_t algorithms = 60, vendor = algorithms + 4 * log.n_algorithms;

                        /* Register; platform class, minor version, errata, size of integers; an algorithm
                         * that no event has a digest of; the vendor's. */
                        ck_assert_msg(in < 4 || (in >= 48 && in <= 52) || in == 54 || in == 55 || in > vendor ||
                                      (in >= algorithms && in < vendor &&
                                       !changes_is_used(bytes, log.algorithms[(in - algorithms) / 4].id)),
                                      "byte %zu of the header", in);
                        return UNCOVERED_HEADER;
                }
                if (in < 4 && e.type == ATT_EVENT_NO_ACTION)
                        return UNCOVERED_HEADER;
                if (in >= 4 && in < 8)
                        return UNCOVERED_TYPE;
                /* The size of the last one's too: what falls off its end may look like an unused area. */
                ck_assert_msg(at >= end - e.data.left || (at >= end - e.data.left - 4 && end == log.size),
                              "byte %zu, in event %u", at, e.number);
                ck_assert_msg(att_event_digest(&e, NULL) != ATT_EVENT_DIGEST_DATA ||
                              !att_event_type_is_of_data(e.type), "data of event %u", e.number);
                return UNCOVERED_DATA;
        }
        ck_abort_msg("byte %zu is in no event", at);
}

/* Each byte of @bytes, which are events only, XORed with @x. */
static inline void changes_try(Changes *c, GBytes *bytes, unsigned banks, uint8_t x) {
        g_autoptr(AttEventReplay) good = att_event_replay_run(bytes, banks, NULL);

        ck_assert_ptr_nonnull(good);
        for (size_t at = 0; at < g_bytes_get_size(bytes); at++) {
                uint8_t byte = ((const uint8_t *) g_bytes_get_data(bytes, NULL))[at] ^ x;
                g_autoptr(GBytes) edited = exact_edit(bytes, at, &byte, 1);
                g_autoptr(AttEventReplay) replay = att_event_replay_run(edited, banks, NULL);
                bool same = true;

                if (!replay || att_event_replay_falsehoods(replay, NULL) > 0) {
                        c->refused++;
                        continue;
                }
                for (unsigned bank = 0; bank < ATT_BANKS; bank++)
                        for (uint32_t reg = 0; banks & ATT_BANK_SET(bank) && reg < ATT_EVENT_REGISTERS; reg++)
                                same = same && att_event_replay_gives(replay, reg, (AttBank) bank,
                                                                      att_event_replay_register(good, reg,
                                                                                                (AttBank) bank), NULL);
                if (same)
                        c->not_covered[changes_what(bytes, at)]++;
                else
                        c->other++;
        }
}
