/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/event-replay.h"

#include "codec/event-text.h"
#include "crypto/digest.h"
#include "util/error.h"

#define LOCALITY_OF_HCRTM 4u

typedef struct {
        unsigned extensions;
        uint8_t value[ATT_BANK_SIZE_MAX];
} Register;

struct AttEventReplay {
        unsigned banks;
        bool has_locality;
        bool has_begun; /* PCR 0 was extended */
        unsigned falsehoods;
        unsigned first_falsehood;
        Register registers[ATT_BANKS][ATT_EVENT_REGISTERS];
};

const char *att_event_digest_name(AttEventDigest digest) {
        static const char *const names[] = { "none", "data", "part", "other", "false" };

        return names[digest];
}

AttEventReplay *att_event_replay_new(unsigned banks) {
        AttEventReplay *replay = g_new0(AttEventReplay, 1);

        replay->banks = banks & ATT_BANK_SET_ALL;
        return replay;
}

void att_event_replay_free(AttEventReplay *replay) {
        g_free(replay);
}

/* Is each digest that @event has of @part? */
static bool is_of(const AttEvent *event, AttCursor c) {
        AttPart part = { .data = c.at, .size = c.left };
        uint8_t digest[ATT_BANK_SIZE_MAX];
        bool any = false;

        for (unsigned b = 0; b < ATT_BANKS; b++) {
                AttBank bank = (AttBank) b;

                if (!event->digests[bank])
                        continue;
                att_bank_digest_parts(bank, &part, 1, digest);
                if (!att_equal(digest, event->digests[bank], att_bank_size(bank)))
                        return false;
                any = true;
        }
        return any;
}

AttEventDigest att_event_digest(const AttEvent *event, AttCursor *ret_part) {
        AttCursor parts[ATT_EVENT_PARTS_MAX];
        size_t n_parts;
        bool any = false;

        for (unsigned bank = 0; bank < ATT_BANKS; bank++)
                any = any || event->digests[bank];
        if (!any || event->type == ATT_EVENT_NO_ACTION)
                return ATT_EVENT_DIGEST_NONE;
        if (is_of(event, event->data))
                return ATT_EVENT_DIGEST_DATA;
        if (att_event_type_is_of_data(event->type))
                return ATT_EVENT_DIGEST_FALSE;

        n_parts = att_event_parts(event, parts);
        for (size_t i = 0; i < n_parts; i++)
                if (is_of(event, parts[i])) {
                        if (ret_part)
                                *ret_part = parts[i];
                        return ATT_EVENT_DIGEST_PART;
                }
        return ATT_EVENT_DIGEST_OTHER;
}

/* Where the TPM was started from: the last byte that PCR 0 begins with. */
static gboolean take_locality(AttEventReplay *replay, const AttEvent *event, GError **error) {
        static const char name[] = ATT_EVENT_STARTUP_LOCALITY; /* with its NUL */
        AttCursor data = event->data;
        const uint8_t *p = att_take(&data, sizeof name);
        uint8_t locality;

        if (!p || memcmp(p, name, sizeof name) != 0)
                return TRUE;

        locality = att_take_u8(&data);
        if (!att_cursor_is_spent(&data) || event->reg != 0 ||
            (locality != 0 && locality != 3 && locality != LOCALITY_OF_HCRTM))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "event %u: a StartupLocality that there is not",
                                     event->number);
        if (replay->has_locality || replay->has_begun)
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "event %u: a StartupLocality behind another, or behind what has extended PCR 0",
                                     event->number);
        for (unsigned bank = 0; bank < ATT_BANKS; bank++)
                replay->registers[bank][0].value[att_bank_size((AttBank) bank) - 1] = locality;
        replay->has_locality = true;
        return TRUE;
}

static void extend(Register *reg, AttBank bank, const uint8_t *digest) {
        size_t size = att_bank_size(bank);
        const AttPart parts[] = { { .data = reg->value, .size = size }, { .data = digest, .size = size } };

        att_bank_digest_parts(bank, parts, G_N_ELEMENTS(parts), reg->value);
        reg->extensions++;
}

gboolean att_event_replay_add(AttEventReplay *replay, const AttEvent *event, GError **error) {
        if (event->type == ATT_EVENT_NO_ACTION)
                return take_locality(replay, event, error);

        for (unsigned b = 0; b < ATT_BANKS; b++)
                if (event->digests[b] && replay->banks & ATT_BANK_SET(b))
                        extend(&replay->registers[b][event->reg], (AttBank) b, event->digests[b]);
        if (event->reg == 0)
                replay->has_begun = true;
        if (att_event_type_is_of_data(event->type) && att_event_digest(event, NULL) == ATT_EVENT_DIGEST_FALSE &&
            replay->falsehoods++ == 0)
                replay->first_falsehood = event->number;
        return TRUE;
}

AttEventReplay *att_event_replay_run(GBytes *bytes, unsigned banks, GError **error) {
        g_autoptr(AttEventReplay) replay = att_event_replay_new(banks);
        AttEventStep step;
        AttEventTail tail;
        AttEventLog log;
        AttEvent event;
        size_t end;

        if (!att_event_log_open(&log, att_cursor_bytes(bytes), error))
                return NULL;
        while ((step = att_event_log_next(&log, &event, error)) == ATT_EVENT_READ)
                if (!att_event_replay_add(replay, &event, error))
                        return NULL;
        if (step == ATT_EVENT_BAD)
                return NULL;
        end = att_event_log_end(&log, &tail);
        if (tail == ATT_EVENT_TAIL_OTHER) {
                (void) att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "what follows event %u at offset %zu is neither an event nor an unused area",
                                     log.n_events - 1, end);
                return NULL;
        }
        return g_steal_pointer(&replay);
}

unsigned att_event_replay_banks(const AttEventReplay *replay) {
        return replay->banks;
}

unsigned att_event_replay_extensions(const AttEventReplay *replay, uint32_t reg, AttBank bank) {
        return replay->registers[bank][reg].extensions;
}

const uint8_t *att_event_replay_register(const AttEventReplay *replay, uint32_t reg, AttBank bank) {
        return replay->registers[bank][reg].value;
}

unsigned att_event_replay_falsehoods(const AttEventReplay *replay, unsigned *ret_first) {
        if (ret_first)
                *ret_first = replay->first_falsehood;
        return replay->falsehoods;
}

static gboolean gives(const AttEventReplay *replay, uint32_t reg, AttBank bank, const uint8_t *value) {
        return reg < ATT_EVENT_REGISTERS && replay->banks & ATT_BANK_SET(bank) &&
               att_equal(replay->registers[bank][reg].value, value, att_bank_size(bank));
}

gboolean att_event_replay_gives(const AttEventReplay *replay, uint32_t reg, AttBank bank, const uint8_t *value,
                                GError **error) {
        return gives(replay, reg, bank, value) ? TRUE :
               att_error_set(error, ATT_ERROR_REFUSED, "the event log does not replay to register %u of bank %s", reg,
                             att_bank_name(bank));
}

gboolean att_event_replay_gives_rtmrs(const AttEventReplay *replay, const uint8_t *const rtmr[3], GError **error) {
        for (unsigned n = 0; n < 3; n++)
                if (!gives(replay, ATT_EVENT_RTMR(n), ATT_BANK_SHA384, rtmr[n]))
                        return att_error_set(error, ATT_ERROR_REFUSED, "the event log does not replay to RTMR %u", n);
        return TRUE;
}
