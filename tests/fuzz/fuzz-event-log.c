/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_event_log_open, att_event_log_next, att_event_dup_text, att_event_parts, att_event_replay_run,
 * att_event_log_is_like */
#include "codec/event-text.h"
#include "crypto/event-replay.h"

static const uint8_t *begin, *end;

/* All that was found lies within the input; what touches it is for the sanitizer. */
static void check(const uint8_t *p, size_t size) {
        volatile uint8_t last;

        g_assert(p >= begin && p <= end && size <= (size_t) (end - p));
        if (size > 0) {
                last = p[size - 1];
                (void) last;
        }
}

static void check_event(const AttEvent *event) {
        g_autofree char *text = att_event_dup_text(event);
        AttCursor parts[ATT_EVENT_PARTS_MAX], part;
        size_t n = att_event_parts(event, parts);

        g_assert(n <= ATT_EVENT_PARTS_MAX);
        for (size_t i = 0; i < n; i++)
                check(parts[i].at, parts[i].left);
        if (event->data.left > 0)
                check(event->data.at, event->data.left);
        for (unsigned bank = 0; bank < ATT_BANKS; bank++)
                if (event->digests[bank])
                        check(event->digests[bank], att_bank_size((AttBank) bank));
        g_assert(!text || g_utf8_validate(text, -1, NULL));
        if (att_event_digest(event, &part) == ATT_EVENT_DIGEST_PART)
                check(part.at, part.left);
        g_assert(event->reg < ATT_EVENT_REGISTERS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);
        g_autoptr(AttEventReplay) replay = NULL, walked = att_event_replay_new(ATT_BANK_SET_ALL);
        g_autoptr(GError) error = NULL, run_error = NULL;
        bool is_like = att_event_log_is_like(bytes), is_good = true;
        AttEventStep step;
        AttEventTail tail;
        AttEventLog log;
        AttEvent event;
        size_t at = 0;

        begin = data;
        end = data + size;
        replay = att_event_replay_run(bytes, ATT_BANK_SET_ALL, &run_error);
        g_assert((replay == NULL) == (run_error != NULL));
        if (!att_event_log_open(&log, att_cursor(data, size), &error)) {
                g_assert(error && !replay);
                return 0;
        }
        while ((step = att_event_log_next(&log, &event, &error)) == ATT_EVENT_READ) {
                /* One follows the other, and there is nothing between them. */
                g_assert(event.offset == at);
                at = att_event_log_end(&log, NULL);
                g_assert(at > event.offset && at <= size);
                check_event(&event);
                is_good = is_good && att_event_replay_add(walked, &event, NULL);
        }
        g_assert((step == ATT_EVENT_BAD) == (error != NULL));
        g_assert(att_event_log_end(&log, &tail) == at);
        g_assert((replay != NULL) == (is_good && step == ATT_EVENT_END && tail != ATT_EVENT_TAIL_OTHER));
        g_assert(!replay || is_like || !log.is_agile);
        for (uint32_t reg = 0; replay && reg < ATT_EVENT_REGISTERS; reg++)
                for (unsigned bank = 0; bank < ATT_BANKS; bank++)
                        g_assert(att_event_replay_gives(replay, reg, (AttBank) bank,
                                                        att_event_replay_register(walked, reg, (AttBank) bank), NULL));
        return 0;
}
