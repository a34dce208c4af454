/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/bus-error.h"

#include <errno.h>
#include <stdbool.h>

#define NAME(x) "org.attestd.Error." x

static const char *const names[] = {
        [ATT_ERROR_FAILED]           = NAME("Failed"),
        [ATT_ERROR_INVALID_ARGUMENT] = NAME("InvalidArgument"),
        [ATT_ERROR_UNKNOWN_OPTION]   = NAME("UnknownOption"),
        [ATT_ERROR_BAD_DATA]         = NAME("BadData"),
        [ATT_ERROR_TOO_LARGE]        = NAME("TooLarge"),
        [ATT_ERROR_NOT_AUTHORIZED]   = NAME("NotAuthorized"),
        [ATT_ERROR_NO_TEE]           = NAME("NoTee"),
        [ATT_ERROR_DEVICE_LOST]      = NAME("DeviceLost"),
        [ATT_ERROR_DEVICE_BUSY]      = NAME("DeviceBusy"),
        [ATT_ERROR_TIMED_OUT]        = NAME("TimedOut"),
        [ATT_ERROR_CANCELLED]        = NAME("Cancelled"),
        [ATT_ERROR_LIMIT_REACHED]    = NAME("LimitReached"),
        [ATT_ERROR_NO_SUCH_SESSION]  = NAME("NoSuchSession"),
        [ATT_ERROR_CONTEXT_USED]     = NAME("ContextUsed"),
        [ATT_ERROR_PROFILE]          = NAME("ProfileNotGranted"),
        [ATT_ERROR_REFUSED]          = NAME("Refused"),
};

const char *att_bus_error_name(const GError *error) {
        if (error->domain == ATT_ERROR && error->code >= 0 && (gsize) error->code < G_N_ELEMENTS(names))
                return names[error->code];
        return names[ATT_ERROR_FAILED];
}

int att_bus_error_take(sd_bus_error *ret, GError *error) {
        /* The bus throws out who sends it anything but UTF-8. */
        g_autofree char *text = g_utf8_make_valid(error->message, -1);
        int r = sd_bus_error_set(ret, att_bus_error_name(error), text);

        g_error_free(error);
        return r;
}

int att_bus_error_set(sd_bus_error *ret, AttError code, const char *format, ...) {
        GError *error;
        va_list ap;

        va_start(ap, format);
        error = g_error_new_valist(ATT_ERROR, (gint) code, format, ap);
        va_end(ap);
        return att_bus_error_take(ret, error);
}

void att_bus_reply_error(sd_bus_message *call, GError *error) {
        sd_bus_error e = SD_BUS_ERROR_NULL;
        int r;

        (void) att_bus_error_take(&e, error);
        r = sd_bus_reply_method_error(call, &e);
        if (r < 0)
                g_debug("cannot send %s: %s", e.name, g_strerror(-r));
        sd_bus_error_free(&e);
}

void att_bus_log_unsent(const char *what, int r) {
        bool is_gone = r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE;

        g_log(G_LOG_DOMAIN, is_gone ? G_LOG_LEVEL_DEBUG : G_LOG_LEVEL_WARNING, "cannot send %s: %s", what,
              g_strerror(-r));
}
