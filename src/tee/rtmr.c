/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/rtmr.h"

#include "util/error.h"

struct AttMirror {
        uint8_t value[ATT_RTMR_SIZE];
};

const char *att_mirror_state_name(AttMirrorState state) {
        static const char *const names[] = { "ok", "absent", "foreign", "failed" };

        return names[state];
}

AttMirror *att_mirror_new(guint rtmr) {
        (void) rtmr;
        return g_new0(AttMirror, 1);
}

void att_mirror_free(AttMirror *m) {
        g_free(m);
}

void att_mirror_add(AttMirror *m, const AttImaRecord *record) {
        (void) m, (void) record;
}

AttMirrorState att_mirror_catch_up(AttMirror *m) {
        return att_mirror_state(m);
}

AttMirrorState att_mirror_check(AttMirror *m) {
        return att_mirror_state(m);
}

AttMirrorState att_mirror_state(const AttMirror *m) {
        (void) m;
        return ATT_MIRROR_ABSENT;
}

const char *att_mirror_detail(const AttMirror *m) {
        (void) m;
        return "this attestd extends none";
}

guint64 att_mirror_count(const AttMirror *m) {
        (void) m;
        return 0;
}

const uint8_t *att_mirror_register(const AttMirror *m) {
        return m->value;
}

GBytes *att_mirror_dup(const AttMirror *m, AttImaSource *source, guint64 first, gsize max, guint64 *ret_count,
                       GError **error) {
        (void) m, (void) source, (void) first, (void) max, (void) ret_count;
        att_error_set(error, ATT_ERROR_FAILED, "this attestd extends no register");
        return NULL;
}
