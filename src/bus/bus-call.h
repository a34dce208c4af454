/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is the same in all method calls: their signature, byte arrays of a bounded
 * size, and options. What is wrong with them is InvalidArgument or UnknownOption,
 * with a sentence that names the argument. Each function returns 0, or what the
 * handler returns. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

G_BEGIN_DECLS

/**
 * att_call_check_signature: for a callback that comes before the vtables
 *
 * That is sd_bus_add_fallback() at the very path that a vtable is added to: sd-bus
 * goes from the longest path to the shortest, and at each to the callbacks first.
 * sd-bus would answer a wrong signature with an error name that is not ours.
 * Returns: 0 if @call is none of @vtable's methods, or has the arguments of one
 */
int att_call_check_signature(sd_bus_message *call, const char *interface, const sd_bus_vtable *vtable,
                             sd_bus_error *error);

/** att_call_is_direct: by a connection without a bus? Then whatever it says of its sender is not to be looked at */
bool att_call_is_direct(sd_bus_message *call);

/** att_call_name: of the connection that has sent it; for the log, and on a bus to be asked for */
const char *att_call_name(sd_bus_message *call);

/** att_call_read_bytes: an array of bytes; *@ret is borrowed from @call */
int att_call_read_bytes(sd_bus_message *call, const char *name, size_t min, size_t max, const void **ret,
                        size_t *ret_size, sd_bus_error *error);

/** att_call_read_list: an array of byte arrays of @max_size each; *@ret, of GBytes, is to be freed */
int att_call_read_list(sd_bus_message *call, const char *name, guint max_items, size_t max_size, GPtrArray **ret,
                       sd_bus_error *error);

typedef struct AttOption {
        const char *name;
        /* D-Bus signature of its value, and with it the type of *@ret:
         * s: const char *, borrowed from the call; b: bool; q: uint16_t; u: uint32_t;
         * t: uint64_t; h: int, borrowed from the call; ay: GBytes *; aay: GPtrArray * of GBytes; aq: GArray * of
         * uint16_t, all three to be freed */
        const char *type;
        void *ret;       /* untouched if the option is not there */
        size_t max;      /* s, ay: the most bytes; aay: of each; aq: numbers; 0: no limit but the message's */
        bool is_mandatory;
} AttOption;

/* Of an aay. */
#define ATT_OPTION_ITEMS_MAX 256u

/**
 * att_call_read_options: an a{sv} to its end
 * @options: all that there are; the last has no name. Two of one name and different
 *           types are alternatives
 *
 * Refused: a name that is none of them, one that comes twice, a value of another
 * type, over its limit, and a mandatory option that is missing. What was stored
 * until then stays stored: free it in any case.
 */
int att_call_read_options(sd_bus_message *call, const AttOption *options, sd_bus_error *error);

/* What an option of type ay that is a secret was copied to: wiped before it is freed. */
typedef GBytes AttSecret;

/** att_secret_free: nobody else has a reference */
void att_secret_free(AttSecret *secret);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttSecret, att_secret_free)

/** att_secret_read: into @ret; %ATT_ERROR_INVALID_ARGUMENT if it has not @size bytes */
gboolean att_secret_read(AttSecret *secret, const char *name, size_t size, uint8_t *ret, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
