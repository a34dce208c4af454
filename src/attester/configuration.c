/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/configuration.h"

#include "attester/unit.h"
#include "crypto/digest.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX 256u

typedef struct Setting Setting;

/* Where a value goes wrong; the names of file, group and key are put in front by who calls. */
typedef gboolean (*Apply)(AttConfiguration *c, const Setting *s, const char *value, GError **error);

struct Setting {
        const char *group;
        const char *key;
        Apply apply;
        size_t offset;  /* of the member */
        guint max;      /* of a limit */
};

#define MEMBER(type, c, s) ((type *) (void *) ((char *) (c) + (s)->offset))

static gboolean refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean refuse(GError **error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_propagate_error(error, g_error_new_valist(ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT, format, ap));
        va_end(ap);
        return FALSE;
}

static gboolean apply_limit(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        guint64 n;

        if (!g_ascii_string_to_unsigned(value, 10, 1, s->max, &n, NULL))
                return refuse(error, "not a number from 1 to %u", s->max);

        *MEMBER(guint, c, s) = (guint) n;
        return TRUE;
}

static gboolean apply_switch(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        bool yes = g_str_equal(value, "yes");

        if (!yes && !g_str_equal(value, "no"))
                return refuse(error, "neither yes nor no");

        *MEMBER(bool, c, s) = yes;
        return TRUE;
}

static void grant_clear(AttGrant *g) {
        g_hash_table_remove_all(g->units);
        g_hash_table_remove_all(g->uids);
}

static bool is_uid(const char *text, guint64 *ret) {
        /* (uid_t) -1 is nobody's. */
        return g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32 - 1, ret, NULL);
}

/* Each word of @value is added to @grant; none at all makes it empty. */
static gboolean add_words(const char *value, void (*forget)(AttGrant *), AttGrant *grant, bool units, bool uids,
                          GError **error) {
        g_auto(GStrv) words = g_strsplit_set(value, "; \t", -1);
        bool any = false;
        guint64 uid;

        for (char **w = words; *w; w++) {
                if (**w == '\0')
                        continue;
                any = true;
                if (uids && is_uid(*w, &uid))
                        g_hash_table_add(grant->uids, GUINT_TO_POINTER((guint) uid));
                else if (units && att_unit_name_is_valid(*w))
                        g_hash_table_add(grant->units, g_strdup(*w));
                else
                        return refuse(error, "\"%s\" is not %s", *w,
                                             !uids ? "the name of a unit, such as payroll.service"
                                             : !units ? "the number of a user"
                                                      : "the name of a unit or the number of a user");
        }
        if (!any)
                forget(grant);
        return TRUE;
}

static void forget_units(AttGrant *g) {
        g_hash_table_remove_all(g->units);
}

static void forget_uids(AttGrant *g) {
        g_hash_table_remove_all(g->uids);
}

static gboolean apply_units(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        return add_words(value, forget_units, MEMBER(AttGrant, c, s), true, false, error);
}

static gboolean apply_uids(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        return add_words(value, forget_uids, MEMBER(AttGrant, c, s), false, true, error);
}

static gboolean apply_callers(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        return add_words(value, grant_clear, MEMBER(AttGrant, c, s), true, true, error);
}

static const struct {
        const char *name;
        AttCallerFields field;
} fields[] = {
        { "uid", ATT_CALLER_UID },
        { "gids", ATT_CALLER_GIDS },
        { "label", ATT_CALLER_LABEL },
        { "unit", ATT_CALLER_UNIT },
        { "exe", ATT_CALLER_EXE },
};

/* Not added to what an earlier file lists: the last one says all that leaves the guest. */
static gboolean apply_fields(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        g_auto(GStrv) words = g_strsplit_set(value, "; \t", -1);
        guint chosen = 0;

        (void) s;
        for (char **w = words; *w; w++) {
                guint field = 0;

                if (**w == '\0')
                        continue;
                for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
                        if (g_str_equal(*w, fields[i].name))
                                field = fields[i].field;
                if (!field)
                        return refuse(error, "\"%s\" is none of uid, gids, label, unit, exe", *w);
                chosen |= field;
        }

        c->caller_fields = chosen;
        return TRUE;
}

#define AT(member) offsetof(AttConfiguration, member)

static const Setting settings[] = {
        { "Limits", "Sessions", apply_limit, AT(sessions), 65536 },
        { "Limits", "SessionsPerUser", apply_limit, AT(sessions_per_user), 65536 },
        { "Limits", "SessionsPerConnection", apply_limit, AT(sessions_per_connection), 65536 },
        { "Limits", "Requests", apply_limit, AT(requests), 131072 },
        { "Limits", "RequestsPerUser", apply_limit, AT(requests_per_user), 131072 },
        { "Limits", "RequestsPerSession", apply_limit, AT(requests_per_session), 1024 },
        { "Access", "ForeignNamespaces", apply_callers, AT(foreign_namespaces), 0 },
        { "Caller", "Fields", apply_fields, 0, 0 },
        { "Caller", "Observed", apply_switch, AT(observed), 0 },
        { "StateChange", "Device", apply_switch, AT(device), 0 },
        { "StateChange", "SharedDevice", apply_switch, AT(shared_device), 0 },
        { "Profile expat-pad", "Units", apply_units, AT(expat_pad), 0 },
        { "Profile expat-pad", "Uids", apply_uids, AT(expat_pad), 0 },
        { "Profile cocos", "Units", apply_units, AT(cocos), 0 },
        { "Profile cocos", "Uids", apply_uids, AT(cocos), 0 },
};

/* The settings of [StateChange] in force, one a line, in this order: all of them
 * also where a file says what is so without it. */
static void update_digest(AttConfiguration *c) {
        g_autofree char *text = g_strdup_printf("[StateChange]\nDevice=%s\nSharedDevice=%s\n", c->device ? "yes" : "no",
                                                c->shared_device ? "yes" : "no");

        att_sha256(&(AttPart) { text, strlen(text) }, 1, c->digest);
}

static void grant_init(AttGrant *g) {
        g->units = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g->uids = g_hash_table_new(NULL, NULL);
}

static void grant_free_parts(AttGrant *g) {
        g_hash_table_unref(g->units);
        g_hash_table_unref(g->uids);
}

bool att_grant_covers(const AttGrant *grant, uint32_t uid, const char *unit) {
        return g_hash_table_contains(grant->uids, GUINT_TO_POINTER(uid)) ||
               (unit && g_hash_table_contains(grant->units, unit));
}

AttConfiguration *att_configuration_new(void) {
        AttConfiguration *c = g_new(AttConfiguration, 1);

        *c = (AttConfiguration) {
                .sessions = 4096,
                .sessions_per_user = 1024,
                .sessions_per_connection = 256,
                .requests = 4096,
                .requests_per_user = 512,
                .requests_per_session = 8,
                .caller_fields = ATT_CALLER_UID | ATT_CALLER_GIDS | ATT_CALLER_LABEL | ATT_CALLER_UNIT | ATT_CALLER_EXE,
                .device = true,
                .shared_device = true,
        };
        grant_init(&c->foreign_namespaces);
        grant_init(&c->expat_pad);
        grant_init(&c->cocos);
        update_digest(c);
        return c;
}

void att_configuration_free(AttConfiguration *c) {
        if (!c)
                return;

        grant_free_parts(&c->foreign_namespaces);
        grant_free_parts(&c->expat_pad);
        grant_free_parts(&c->cocos);
        g_free(c);
}

static const Setting *find_setting(const char *group, const char *key) {
        for (gsize i = 0; i < G_N_ELEMENTS(settings); i++)
                if (g_str_equal(settings[i].group, group) && (!key || g_str_equal(settings[i].key, key)))
                        return &settings[i];
        return NULL;
}

static gboolean apply_group(AttConfiguration *c, const char *name, GKeyFile *file, const char *group, GError **error) {
        g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);

        if (!find_setting(group, NULL))
                return refuse(error, "%s: [%s]: there is no such group", name, group);

        for (char **k = keys; *k; k++) {
                const Setting *s = find_setting(group, *k);
                g_autofree char *value = g_key_file_get_value(file, group, *k, NULL);

                if (!s)
                        return refuse(error, "%s: [%s] %s=: there is no such setting",
                                             name, group, *k);
                if (!s->apply(c, s, g_strstrip(value), error)) {
                        g_prefix_error(error, "%s: [%s] %s=: ", name, group, *k);
                        return FALSE;
                }
        }
        return TRUE;
}

gboolean att_configuration_apply(AttConfiguration *configuration, const char *name, const char *text, gsize size,
                                 GError **error) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) e = NULL;
        g_auto(GStrv) groups = NULL;

        if (memchr(text, '\0', size) || !g_utf8_validate(text, (gssize) size, NULL))
                return refuse(error, "%s: not a text file", name);
        if (!g_key_file_load_from_data(file, text, size, G_KEY_FILE_KEEP_TRANSLATIONS, &e))
                return size == 0 || refuse(error, "%s: %s", name, e->message);

        groups = g_key_file_get_groups(file, NULL);
        for (char **g = groups; *g; g++)
                if (!apply_group(configuration, name, file, *g, error))
                        return FALSE;

        update_digest(configuration);
        return TRUE;
}

/* Another user's hand in a file of ours would be another user's word in C. */
static gboolean check_owner(int fd, const char *name, GError **error) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return att_error_set_errno(error, errno, "%s", name);
        if (!S_ISREG(st.st_mode))
                return refuse(error, "%s: not a regular file", name);
        if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return refuse(error, "%s: others than root can write it; chown root, chmod go-w", name);
        return TRUE;
}

/* To the end of @fd. Returns: the size, or -1 with @error */
static gssize read_all(int fd, char *buffer, gsize max, const char *name, GError **error) {
        gsize size = 0;
        gssize n;

        do {
                n = read(fd, buffer + size, max - size);
                if (n < 0 && errno != EINTR) {
                        (void) att_error_set_errno(error, errno, "cannot read %s", name);
                        return -1;
                }
                size += (gsize) MAX(n, 0);
        } while (n != 0 && size < max);

        if (size < max)
                return (gssize) size;
        (void) refuse(error, "%s: over %zu bytes", name, max - 1);
        return -1;
}

static gboolean load_file(AttConfiguration *c, int dir, const char *name, bool is_optional, GError **error) {
        att_autofd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        g_autofree char *text = NULL;
        gssize size;

        if (fd < 0 && errno == ENOENT && is_optional)
                return TRUE;
        if (fd < 0)
                return att_error_set_errno(error, errno, "cannot open %s", name);
        if (!check_owner(fd, name, error))
                return FALSE;

        text = g_malloc(ATT_CONFIGURATION_SIZE_MAX + 1);
        size = read_all(fd, text, ATT_CONFIGURATION_SIZE_MAX + 1, name, error);
        return size >= 0 && att_configuration_apply(c, name, text, (gsize) size, error);
}

static int compare_names(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static gboolean load_drop_ins(AttConfiguration *c, int dir, const char *path, GError **error) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GDir) listing = g_dir_open(path, 0, NULL);
        const char *name;

        if (!listing)
                return att_error_set_errno(error, errno, "cannot list attestd.conf.d");
        while ((name = g_dir_read_name(listing)))
                if (g_str_has_suffix(name, ".conf") && name[0] != '.')
                        g_ptr_array_add(names, g_strdup(name));
        if (names->len > FILES_MAX)
                return refuse(error, "attestd.conf.d: more than %u files", FILES_MAX);

        g_ptr_array_sort(names, compare_names);
        for (guint i = 0; i < names->len; i++)
                if (!load_file(c, dir, names->pdata[i], false, error)) {
                        g_prefix_error(error, "attestd.conf.d/");
                        return FALSE;
                }
        return TRUE;
}

AttConfiguration *att_configuration_load(const char *path, GError **error) {
        g_autoptr(AttConfiguration) c = att_configuration_new();
        g_autofree char *drop_ins = g_build_filename(path, "attestd.conf.d", NULL);
        att_autofd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), sub = -1;

        if (dir < 0) {
                if (errno == ENOENT)
                        return g_steal_pointer(&c);
                (void) att_error_set_errno(error, errno, "cannot open %s", path);
                return NULL;
        }

        if (!load_file(c, dir, "attestd.conf", true, error))
                return NULL;

        sub = open(drop_ins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (sub >= 0 && !load_drop_ins(c, sub, drop_ins, error))
                return NULL;
        if (sub < 0 && errno != ENOENT) {
                (void) att_error_set_errno(error, errno, "cannot open attestd.conf.d");
                return NULL;
        }
        return g_steal_pointer(&c);
}
