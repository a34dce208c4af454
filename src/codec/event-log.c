/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/event-log.h"

#include "util/error.h"

#define SIGNATURE_SIZE 16u
#define SHA1_SIZE 20u
#define NO_REGISTER 0xffffffffu
#define DIGEST_SIZE_MAX 128u /* of an algorithm that we do not know */
#define SPEC_MAJOR 2u

static const char spec_id[SIGNATURE_SIZE] = "Spec ID Event03";

static const struct {
        uint16_t id;
        AttBank bank;
} known[] = {
        { 0x0004, ATT_BANK_SHA1 },
        { 0x000b, ATT_BANK_SHA256 },
        { 0x000c, ATT_BANK_SHA384 },
        { 0x000d, ATT_BANK_SHA512 },
};

static bool find_bank(uint16_t id, AttBank *ret) {
        for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                if (known[i].id == id) {
                        *ret = known[i].bank;
                        return true;
                }
        return false;
}

static bool is_filled(const uint8_t *p, size_t size, uint8_t with) {
        /* Each byte is as the one before it. */
        return size == 0 || (p[0] == with && memcmp(p, p + 1, size - 1) == 0);
}

/* The fields that both forms begin with. */
static void take_old_head(AttCursor *c, uint32_t *reg, uint32_t *type, const uint8_t **digest, AttCursor *data) {
        *reg = att_take_u32le(c);
        *type = att_take_u32le(c);
        *digest = att_take(c, SHA1_SIZE);
        *data = att_take_sub(c, att_take_u32le(c));
}

static bool is_agile(AttCursor log) {
        uint32_t reg, type;
        const uint8_t *digest;
        AttCursor data;

        /* The size may be wrong: it is still one, and the error says what is wrong. */
        reg = att_take_u32le(&log);
        type = att_take_u32le(&log);
        digest = att_take(&log, SHA1_SIZE);
        (void) att_take_u32le(&log);
        data = att_take_sub(&log, SIGNATURE_SIZE);
        return digest && reg < ATT_EVENT_REGISTERS && type == ATT_EVENT_NO_ACTION && !data.failed &&
               memcmp(data.at, spec_id, SIGNATURE_SIZE) == 0;
}

static gboolean bad_header(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "header of the event log: %s", what);
}

static gboolean take_algorithm(AttCursor *c, AttEventLog *log, GError **error) {
        AttEventAlgorithm a = { .id = att_take_u16le(c), .size = att_take_u16le(c) };
        AttBank bank;

        for (unsigned i = 0; i < log->n_algorithms; i++)
                if (log->algorithms[i].id == a.id)
                        return bad_header(error, "an algorithm stands there twice");
        if (find_bank(a.id, &bank)) {
                if (a.size != att_bank_size(bank))
                        return bad_header(error, "an algorithm has not the size that its digests have");
                log->banks |= ATT_BANK_SET(bank);
        } else if (a.size == 0 || a.size > DIGEST_SIZE_MAX) {
                return bad_header(error, "an algorithm has digests of a size that none has");
        }
        log->algorithms[log->n_algorithms++] = a;
        return TRUE;
}

/* TCG_EfiSpecIdEvent, and nothing behind it. */
static gboolean parse_spec(AttCursor data, AttEventLog *log, GError **error) {
        uint8_t major;
        uint32_t n;

        (void) att_take(&data, SIGNATURE_SIZE);
        (void) att_take_u32le(&data); /* platform class: client or server */
        (void) att_take_u8(&data);    /* minor */
        major = att_take_u8(&data);
        (void) att_take_u8(&data);    /* errata */
        (void) att_take_u8(&data);    /* size of integers: firmware writes there what it likes, and no event has one */
        n = att_take_u32le(&data);
        if (data.failed)
                return bad_header(error, "it is cut short");
        if (major != SPEC_MAJOR)
                return bad_header(error, "it is of a specification that is not known");
        if (n == 0 || n > ATT_EVENT_ALGORITHMS_MAX)
                return bad_header(error, "it names no algorithm, or too many");

        for (uint32_t i = 0; i < n; i++)
                if (!take_algorithm(&data, log, error))
                        return FALSE;
        (void) att_take(&data, att_take_u8(&data)); /* the vendor's */
        return att_cursor_is_spent(&data) ? TRUE : bad_header(error, "its size is not that of what it holds");
}

/* Register, type and what counts the digests are 0, or the few bytes that are left are. */
static bool is_at_zeros(AttCursor rest, bool agile) {
        size_t head = agile ? 12 : 8 + SHA1_SIZE + 4;

        return is_filled(rest.at, MIN(rest.left, head), 0);
}

static bool is_at_end(const AttEventLog *log) {
        AttCursor rest = log->rest;

        if (rest.left == 0 || is_at_zeros(rest, log->is_agile))
                return true;
        /* Too few for a register. */
        if (rest.left < sizeof(uint32_t))
                return is_filled(rest.at, rest.left, 0xff);
        return att_take_u32le(&rest) >= ATT_EVENT_REGISTERS;
}

gboolean att_event_log_open(AttEventLog *ret, AttCursor log, GError **error) {
        AttEventLog l = { .rest = log, .size = log.left, .is_agile = is_agile(log) };
        const uint8_t *digest;
        uint32_t reg, type;
        AttCursor data;

        if (log.failed || log.left > ATT_EVENT_LOG_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "an event log over %u bytes", ATT_EVENT_LOG_MAX);
        take_old_head(&log, &reg, &type, &digest, &data);
        if (log.failed || reg >= ATT_EVENT_REGISTERS)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not an event log: it does not begin with an event");

        if (l.is_agile) {
                if (!is_filled(digest, SHA1_SIZE, 0))
                        return bad_header(error, "it has a digest");
                if (!parse_spec(data, &l, error))
                        return FALSE;
        } else {
                l.banks = ATT_BANK_SET(ATT_BANK_SHA1);
                l.algorithms[l.n_algorithms++] = (AttEventAlgorithm) { .id = known[0].id, .size = SHA1_SIZE };
        }
        if (is_at_end(&l))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "an event log without an event");
        *ret = l;
        return TRUE;
}

static AttEventStep bad_event(const AttEventLog *log, AttError code, const char *what, GError **error) {
        (void) att_error_set(error, code, "event %u at offset %zu: %s", log->n_events, log->size - log->rest.left,
                             what);
        return ATT_EVENT_BAD;
}

static const AttEventAlgorithm *find_algorithm(const AttEventLog *log, uint16_t id, unsigned *ret_bit) {
        for (unsigned i = 0; i < log->n_algorithms; i++)
                if (log->algorithms[i].id == id) {
                        *ret_bit = 1u << i;
                        return &log->algorithms[i];
                }
        return NULL;
}

/* What is wrong, or NULL. */
static const char *take_digests(const AttEventLog *log, AttCursor *c, const uint8_t *digests[ATT_BANKS]) {
        uint32_t n = att_take_u32le(c);
        unsigned seen = 0, bit = 0;

        if (!c->failed && (n == 0 || n > log->n_algorithms))
                return "it has no digests, or more than the header names algorithms";
        for (uint32_t i = 0; i < n && !c->failed; i++) {
                uint16_t id = att_take_u16le(c);
                const AttEventAlgorithm *algorithm = find_algorithm(log, id, &bit);
                const uint8_t *digest;
                AttBank bank;

                if (c->failed)
                        break;
                if (!algorithm)
                        return "it has a digest of an algorithm that the header does not name";
                if (seen & bit)
                        return "it has two digests of one algorithm";
                seen |= bit;
                digest = att_take(c, algorithm->size);
                if (digest && find_bank(id, &bank))
                        digests[bank] = digest;
        }
        return NULL;
}

static bool has_digest(const AttEvent *event) {
        for (unsigned bank = 0; bank < ATT_BANKS; bank++)
                if (event->digests[bank] && !is_filled(event->digests[bank], att_bank_size((AttBank) bank), 0))
                        return true;
        return false;
}

AttEventStep att_event_log_next(AttEventLog *log, AttEvent *ret, GError **error) {
        AttCursor c = log->rest;
        AttEvent e = { .number = log->n_events, .offset = log->size - log->rest.left };
        const char *what = NULL;
        uint32_t size;

        if (is_at_end(log))
                return ATT_EVENT_END;
        if (log->n_events == ATT_EVENT_LOG_EVENTS_MAX)
                return bad_event(log, ATT_ERROR_TOO_LARGE, "no log has so many", error);

        e.reg = att_take_u32le(&c);
        e.type = att_take_u32le(&c);
        /* The header itself is in the old form. */
        if (log->is_agile && log->n_events > 0)
                what = take_digests(log, &c, e.digests);
        else
                e.digests[ATT_BANK_SHA1] = att_take(&c, SHA1_SIZE);
        if (what)
                return bad_event(log, ATT_ERROR_BAD_DATA, what, error);
        size = att_take_u32le(&c);
        if (!c.failed && size > ATT_EVENT_DATA_MAX)
                return bad_event(log, ATT_ERROR_TOO_LARGE, "its data is over the limit", error);
        e.data = att_take_sub(&c, size);
        if (c.failed)
                return bad_event(log, ATT_ERROR_BAD_DATA, "it is cut short", error);
        /* Nothing was extended, so that nothing would vouch for it. */
        if (e.type == ATT_EVENT_NO_ACTION && has_digest(&e))
                return bad_event(log, ATT_ERROR_BAD_DATA, "it extends nothing and has a digest", error);

        e.is_late = log->separated & 1u << e.reg;
        if (e.type == ATT_EVENT_SEPARATOR)
                log->separated |= 1u << e.reg;
        log->rest = c;
        log->n_events++;
        *ret = e;
        return ATT_EVENT_READ;
}

size_t att_event_log_end(const AttEventLog *log, AttEventTail *ret_tail) {
        AttCursor rest = log->rest;

        if (ret_tail)
                *ret_tail = rest.left == 0 ? ATT_EVENT_TAIL_NONE :
                            is_filled(rest.at, rest.left, 0) ? ATT_EVENT_TAIL_ZEROS :
                            is_filled(rest.at, rest.left, 0xff) ? ATT_EVENT_TAIL_ONES : ATT_EVENT_TAIL_OTHER;
        return log->size - rest.left;
}

const char *att_event_tail_name(AttEventTail tail) {
        static const char *const names[] = { "none", "zeros", "ones", "other" };

        return names[tail];
}

const char *att_event_algorithm_name(uint16_t id) {
        AttBank bank;

        if (find_bank(id, &bank))
                return att_bank_name(bank);
        switch (id) {
        case 0x0012:
                return "sm3_256";
        case 0x0027:
                return "sha3_256";
        case 0x0028:
                return "sha3_384";
        case 0x0029:
                return "sha3_512";
        default:
                return NULL;
        }
}

bool att_event_log_is_like(GBytes *bytes) {
        AttCursor c = att_cursor_bytes(bytes);
        AttEventStep step;
        AttEventTail tail;
        AttEventLog log;
        AttEvent event;

        if (is_agile(c))
                return true;
        if (!att_event_log_open(&log, c, NULL))
                return false;
        while ((step = att_event_log_next(&log, &event, NULL)) == ATT_EVENT_READ)
                /* No hash is 0: these are zeros of something else. */
                if (event.type != ATT_EVENT_NO_ACTION && !has_digest(&event))
                        return false;
        (void) att_event_log_end(&log, &tail);
        return step == ATT_EVENT_END && log.n_events > 0 && tail != ATT_EVENT_TAIL_OTHER;
}

/* TCG PC Client Platform Firmware Profile, and Intel's of TXT left out. */
static const struct {
        uint32_t type;
        const char *name;
        bool is_of_data;
} types[] = {
        { 0x00000000, "EV_PREBOOT_CERT", false },
        { 0x00000001, "EV_POST_CODE", false },
        { ATT_EVENT_NO_ACTION, "EV_NO_ACTION", false },
        { ATT_EVENT_SEPARATOR, "EV_SEPARATOR", true },
        { 0x00000005, "EV_ACTION", true },
        { 0x00000006, "EV_EVENT_TAG", false },
        { 0x00000007, "EV_S_CRTM_CONTENTS", false },
        { 0x00000008, "EV_S_CRTM_VERSION", true },
        { 0x00000009, "EV_CPU_MICROCODE", false },
        { 0x0000000a, "EV_PLATFORM_CONFIG_FLAGS", false },
        { 0x0000000b, "EV_TABLE_OF_DEVICES", false },
        { 0x0000000c, "EV_COMPACT_HASH", false },
        { 0x0000000d, "EV_IPL", false },
        { 0x0000000e, "EV_IPL_PARTITION_DATA", false },
        { 0x0000000f, "EV_NONHOST_CODE", false },
        { 0x00000010, "EV_NONHOST_CONFIG", false },
        { 0x00000011, "EV_NONHOST_INFO", false },
        { 0x00000012, "EV_OMIT_BOOT_DEVICE_EVENTS", true },
        { 0x00000013, "EV_POST_CODE2", false },
        { 0x80000001, "EV_EFI_VARIABLE_DRIVER_CONFIG", true },
        { 0x80000002, "EV_EFI_VARIABLE_BOOT", false }, /* of all of it, or of the value */
        { 0x80000003, "EV_EFI_BOOT_SERVICES_APPLICATION", false },
        { 0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER", false },
        { 0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER", false },
        { 0x80000006, "EV_EFI_GPT_EVENT", true },
        { 0x80000007, "EV_EFI_ACTION", true },
        { 0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB", false },
        { 0x80000009, "EV_EFI_HANDOFF_TABLES", false },
        { 0x8000000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2", false },
        { 0x8000000b, "EV_EFI_HANDOFF_TABLES2", false },
        { 0x8000000c, "EV_EFI_VARIABLE_BOOT2", true },
        { 0x8000000d, "EV_EFI_GPT_EVENT2", true },
        { 0x80000010, "EV_EFI_HCRTM_EVENT", false },
        { 0x800000e0, "EV_EFI_VARIABLE_AUTHORITY", false }, /* shim measures less than it writes down */
        { 0x800000e1, "EV_EFI_SPDM_FIRMWARE_BLOB", false },
        { 0x800000e2, "EV_EFI_SPDM_FIRMWARE_CONFIG", false },
        { 0x800000e3, "EV_EFI_SPDM_DEVICE_POLICY", false },
        { 0x800000e4, "EV_EFI_SPDM_DEVICE_AUTHORITY", false },
};

const char *att_event_type_name(uint32_t type) {
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                if (types[i].type == type)
                        return types[i].name;
        return NULL;
}

bool att_event_type_is_of_data(uint32_t type) {
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                if (types[i].type == type)
                        return types[i].is_of_data;
        return false;
}
