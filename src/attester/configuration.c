/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/configuration.h"

#include "attester/unit.h"
#include "codec/ima-log.h"
#include "crypto/digest.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX 256u

typedef struct Setting Setting;

/* What a setting is that decides what counts, as the digest has it. */
typedef void (*Print)(const AttConfiguration *c, const Setting *s, GString *to);

/* Where a value goes wrong; the names of file, group and key are put in front by who calls. */
typedef gboolean (*Apply)(AttConfiguration *c, const Setting *s, const char *value, GError **error);

struct Setting {
        const char *group;
        const char *key;
        Apply apply;
        size_t offset;  /* of the member */
        guint min, max; /* of a number; a switch of a reason has its bit as @max */
        Print print;    /* of what the digest is made of; NULL: it decides nothing of that */
};

#define MEMBER(type, c, s) ((type *) (void *) ((char *) (c) + (s)->offset))
#define CONST_MEMBER(type, c, s) ((type const *) (const void *) ((const char *) (c) + (s)->offset))

static gboolean refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean refuse(GError **error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_propagate_error(error, g_error_new_valist(ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT, format, ap));
        va_end(ap);
        return FALSE;
}

static gboolean apply_number(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        guint64 n;

        if (!g_ascii_string_to_unsigned(value, 10, s->min, s->max, &n, NULL))
                return refuse(error, "not a number from %u to %u", s->min, s->max);

        *MEMBER(guint, c, s) = (guint) n;
        return TRUE;
}

static gboolean parse_switch(const char *value, bool *ret, GError **error) {
        *ret = g_str_equal(value, "yes");
        return *ret || g_str_equal(value, "no") || refuse(error, "neither yes nor no");
}

static gboolean apply_switch(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        bool yes;

        if (!parse_switch(value, &yes, error))
                return FALSE;

        *MEMBER(bool, c, s) = yes;
        return TRUE;
}

static void print_switch(const AttConfiguration *c, const Setting *s, GString *to) {
        g_string_append(to, *CONST_MEMBER(bool, c, s) ? "yes" : "no");
}

static gboolean apply_reason(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        bool yes;

        if (!parse_switch(value, &yes, error))
                return FALSE;

        c->state_changes = (c->state_changes & ~s->max) | (yes ? s->max : 0);
        return TRUE;
}

static void print_reason(const AttConfiguration *c, const Setting *s, GString *to) {
        g_string_append(to, c->state_changes & s->max ? "yes" : "no");
}

/* ----- what counts of the IMA log. Like all lists that say what is so, and not who may: the last one says all. */

static gboolean apply_pcrs(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        g_auto(GStrv) words = g_strsplit_set(value, "; \t", -1);
        guint set = 0;

        for (char **w = words; *w; w++) {
                guint64 pcr;

                if (**w == '\0')
                        continue;
                if (!g_ascii_string_to_unsigned(*w, 10, 0, s->max, &pcr, NULL))
                        return refuse(error, "\"%s\" is not the number of a PCR, 0 to %u", *w, s->max);
                set |= 1u << pcr;
        }

        c->ima_pcrs = set;
        return TRUE;
}

static void print_pcrs(const AttConfiguration *c, const Setting *s, GString *to) {
        const char *between = "";

        for (guint pcr = 0; pcr <= s->max; pcr++)
                if (c->ima_pcrs & 1u << pcr) {
                        g_string_append_printf(to, "%s%u", between, pcr);
                        between = ";";
                }
}

static int compare_names(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static gboolean apply_texts(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        g_auto(GStrv) words = g_strsplit_set(value, "; \t", -1);
        g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);

        (void) error; /* any word will do */
        for (char **w = words; *w; w++)
                if (**w != '\0')
                        g_ptr_array_add(texts, g_strdup(*w));
        g_ptr_array_sort(texts, compare_names);
        for (guint i = 1; i < texts->len;)
                if (g_str_equal(texts->pdata[i - 1], texts->pdata[i]))
                        g_ptr_array_remove_index(texts, i);
                else
                        i++;
        g_ptr_array_add(texts, NULL);

        g_strfreev(*MEMBER(char **, c, s));
        *MEMBER(char **, c, s) = (char **) g_ptr_array_free(g_steal_pointer(&texts), FALSE);
        return TRUE;
}

/* A name that no kernel has would be a template that is not watched. */
static gboolean apply_templates(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        static const char *const known[] = { "ima", "ima-ng", "ima-ngv2", "ima-sig", "ima-sigv2", "ima-modsig",
                                             "ima-buf", "evm-sig", NULL };
        g_auto(GStrv) words = g_strsplit_set(value, "; \t", -1);

        for (char **w = words; *w; w++)
                if (**w != '\0' && !g_strv_contains(known, *w) && !strchr(*w, '|'))
                        return refuse(error, "\"%s\" is neither a template of the kernel, such as ima-sig, nor a "
                                             "format with \"|\"", *w);
        return apply_texts(c, s, value, error);
}

static void print_texts(const AttConfiguration *c, const Setting *s, GString *to) {
        char *const *texts = *CONST_MEMBER(char *const *, c, s);
        g_autofree char *joined = g_strjoinv(";", (char **) texts);

        g_string_append(to, joined);
}

/* ----- where the log is rooted */

static gboolean apply_root(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        static const char *const names[] = { "auto", "tpm", "rtmr", "claimed", "none" };

        (void) s;
        for (guint i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_equal(value, names[i])) {
                        c->ima_root = (AttImaRootWish) i;
                        return TRUE;
                }
        return refuse(error, "none of auto, tpm, rtmr, claimed, none");
}

/* Persistent handles of the owner's and the platform's hierarchies, TCG's registry. */
#define AK_HANDLE_MIN 0x81000000u
#define AK_HANDLE_MAX 0x81ffffffu

static gboolean apply_handle(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        guint64 handle = 0;

        (void) s;
        if (!g_str_equal(value, "0") &&
            (!g_str_has_prefix(value, "0x") ||
             !g_ascii_string_to_unsigned(value + 2, 16, AK_HANDLE_MIN, AK_HANDLE_MAX, &handle, NULL)))
                return refuse(error, "neither 0 nor a persistent handle, 0x%08x to 0x%08x", AK_HANDLE_MIN,
                              AK_HANDLE_MAX);

        c->ak_handle = (guint) handle;
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

/* ----- who may use the direct socket */

/* (uid_t) -1 and (gid_t) -1 are nobody's, and their names are looked up once: root's word, at the start. */
static bool find_user(const char *word, guint64 *ret) {
        const struct passwd *user;

        if (is_uid(word, ret))
                return true;
        user = getpwnam(word);
        if (user)
                *ret = user->pw_uid;
        return user != NULL;
}

static bool find_group(const char *word, guint64 *ret) {
        const struct group *group;

        if (is_uid(word, ret))
                return true;
        group = getgrnam(word);
        if (group)
                *ret = group->gr_gid;
        return group != NULL;
}

static gboolean add_ids(const char *value, bool (*find)(const char *word, guint64 *ret), const char *what,
                        GHashTable *set, GError **error) {
        g_auto(GStrv) words = g_strsplit_set(value, "; \t", -1);
        bool any = false;
        guint64 id;

        for (char **w = words; *w; w++) {
                if (**w == '\0')
                        continue;
                any = true;
                if (!find(*w, &id))
                        return refuse(error, "\"%s\" is neither the number nor the name of a %s", *w, what);
                g_hash_table_add(set, GUINT_TO_POINTER((guint) id));
        }
        if (!any)
                g_hash_table_remove_all(set);
        return TRUE;
}

static gboolean apply_users(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        return add_ids(value, find_user, "user", *MEMBER(GHashTable *, c, s), error);
}

static gboolean apply_groups(AttConfiguration *c, const Setting *s, const char *value, GError **error) {
        return add_ids(value, find_group, "group", *MEMBER(GHashTable *, c, s), error);
}

bool att_configuration_may_connect(const AttConfiguration *c, uint32_t uid, const GArray *gids) {
        if (uid == 0 || g_hash_table_contains(c->direct_uids, GUINT_TO_POINTER(uid)))
                return true;
        for (guint i = 0; gids && i < gids->len; i++)
                if (g_hash_table_contains(c->direct_gids, GUINT_TO_POINTER(g_array_index(gids, uint32_t, i))))
                        return true;
        return false;
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
        { "Limits", "Sessions", apply_number, AT(sessions), 1, 131072, NULL },
        { "Limits", "SessionsPerUser", apply_number, AT(sessions_per_user), 1, 65536, NULL },
        { "Limits", "SessionsPerConnection", apply_number, AT(sessions_per_connection), 1, 65536, NULL },
        { "Limits", "Requests", apply_number, AT(requests), 1, 262144, NULL },
        { "Limits", "RequestsPerUser", apply_number, AT(requests_per_user), 1, 131072, NULL },
        { "Limits", "RequestsPerSession", apply_number, AT(requests_per_session), 1, 1024, NULL },
        { "Limits", "DirectConnections", apply_number, AT(direct_connections), 1, 65536, NULL },
        { "Limits", "DirectConnectionsPerUser", apply_number, AT(direct_connections_per_user), 1, 65536, NULL },
        { "Access", "DirectUsers", apply_users, AT(direct_uids), 0, 0, NULL },
        { "Access", "DirectGroups", apply_groups, AT(direct_gids), 0, 0, NULL },
        { "Access", "ForeignNamespaces", apply_callers, AT(foreign_namespaces), 0, 0, NULL },
        { "Caller", "Fields", apply_fields, 0, 0, 0, NULL },
        { "Caller", "Observed", apply_switch, AT(observed), 0, 0, NULL },
        { "Ima", "Root", apply_root, 0, 0, 0, NULL },
        { "Ima", "Register", apply_number, AT(ima_register), 0, 3, NULL },
        { "Ima", "Interval", apply_number, AT(ima_interval_ms), 100, 60000, NULL },
        { "Ima", "Boot", apply_switch, AT(boot), 0, 0, NULL },
        { "Tpm", "AkHandle", apply_handle, 0, 0, 0, NULL },
        { "Snp", "IdleReport", apply_number, AT(idle_report_s), 0, 86400, NULL },
        { "StateChange", "Device", apply_switch, AT(device), 0, 0, print_switch },
        { "StateChange", "SharedDevice", apply_switch, AT(shared_device), 0, 0, print_switch },
        { "StateChange", "Ima", apply_reason, 0, 0, ATT_STATE_IMA, print_reason },
        { "StateChange", "ImaViolation", apply_reason, 0, 0, ATT_STATE_IMA_VIOLATION, print_reason },
        { "StateChange", "ImaState", apply_reason, 0, 0, ATT_STATE_IMA_STATE, print_reason },
        { "StateChange", "Root", apply_reason, 0, 0, ATT_STATE_IMA_ROOT, print_reason },
        { "StateChange", "Register", apply_reason, 0, 0, ATT_STATE_REGISTER, print_reason },
        { "StateChange", "Tcb", apply_reason, 0, 0, ATT_STATE_TCB, print_reason },
        { "StateChange", "Clone", apply_reason, 0, 0, ATT_STATE_CLONE, print_reason },
        { "StateChange", "Resume", apply_reason, 0, 0, ATT_STATE_RESUME, print_reason },
        { "StateChange", "Selinux", apply_reason, 0, 0, ATT_STATE_SELINUX, print_reason },
        { "StateChange", "Lockdown", apply_reason, 0, 0, ATT_STATE_LOCKDOWN, print_reason },
        { "StateChange", "ImaPcrs", apply_pcrs, 0, 0, 23, print_pcrs },
        { "StateChange", "ImaTemplates", apply_templates, AT(ima_templates), 0, 0, print_texts },
        { "StateChange", "ImaIgnorePaths", apply_texts, AT(ima_ignore_paths), 0, 0, print_texts },
        { "Profile expat-pad", "Units", apply_units, AT(expat_pad), 0, 0, NULL },
        { "Profile expat-pad", "Uids", apply_uids, AT(expat_pad), 0, 0, NULL },
        { "Profile cocos", "Units", apply_units, AT(cocos), 0, 0, NULL },
        { "Profile cocos", "Uids", apply_uids, AT(cocos), 0, 0, NULL },
};

/* The settings of [StateChange] in force, one a line, in this order: all of them
 * also where a file says what is so without it. */
static void update_digest(AttConfiguration *c) {
        g_autoptr(GString) text = g_string_new("[StateChange]\n");

        for (gsize i = 0; i < G_N_ELEMENTS(settings); i++)
                if (settings[i].print) {
                        g_string_append_printf(text, "%s=", settings[i].key);
                        settings[i].print(c, &settings[i], text);
                        g_string_append_c(text, '\n');
                }
        att_sha256(&(AttPart) { text->str, text->len }, 1, c->digest);
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
                .sessions = 16384,
                .sessions_per_user = 4096,
                .sessions_per_connection = 4096,
                .requests = 16384,
                .requests_per_user = 4096,
                .requests_per_session = 8,
                .direct_connections = 1024,
                .direct_connections_per_user = 256,
                .caller_fields = ATT_CALLER_UID | ATT_CALLER_GIDS | ATT_CALLER_LABEL | ATT_CALLER_UNIT | ATT_CALLER_EXE,
                .ima_root = ATT_IMA_ROOT_AUTO,
                .ima_register = 3,
                .ima_interval_ms = 5000,
                .boot = true,
                .idle_report_s = 600,
                .device = true,
                .shared_device = true,
                .state_changes = (1u << ATT_STATE_REASONS) - 1,
                .ima_pcrs = 1u << ATT_IMA_PCR,
                .ima_templates = g_new0(char *, 1),
                .ima_ignore_paths = g_new0(char *, 1),
        };
        grant_init(&c->foreign_namespaces);
        c->direct_uids = g_hash_table_new(NULL, NULL);
        c->direct_gids = g_hash_table_new(NULL, NULL);
        grant_init(&c->expat_pad);
        grant_init(&c->cocos);
        update_digest(c);
        return c;
}

void att_configuration_free(AttConfiguration *c) {
        if (!c)
                return;

        grant_free_parts(&c->foreign_namespaces);
        g_hash_table_unref(c->direct_uids);
        g_hash_table_unref(c->direct_gids);
        grant_free_parts(&c->expat_pad);
        grant_free_parts(&c->cocos);
        g_strfreev(c->ima_templates);
        g_strfreev(c->ima_ignore_paths);
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

/* A user gets half of what there is in all, see util/quota.h: who gave him more is to hear of it here, not by
 * LimitReached. */
static void warn_of_excess(const AttConfiguration *c) {
        const struct {
                const char *all_key, *user_key;
                guint all, user;
        } limits[] = {
                { "Sessions", "SessionsPerUser", c->sessions, c->sessions_per_user },
                { "Requests", "RequestsPerUser", c->requests, c->requests_per_user },
                { "DirectConnections", "DirectConnectionsPerUser", c->direct_connections,
                  c->direct_connections_per_user },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(limits); i++) {
                guint half = MAX(limits[i].all / 2, 1);

                if (limits[i].user > half)
                        g_warning("[Limits] %s=%u: a user gets %u at most, half of %s=%u", limits[i].user_key,
                                  limits[i].user, half, limits[i].all_key, limits[i].all);
        }
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
        warn_of_excess(c);
        return g_steal_pointer(&c);
}
