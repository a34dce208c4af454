/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/unit.h"

#include <string.h>
#include <unistd.h>

/* systemd.unit(5): what a unit name is made of. */
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@"

#define INVOCATIONS "/run/systemd/units/invocation:"

G_STATIC_ASSERT(sizeof ((AttUnit *) NULL)->name == 256);

const char *att_unit_kind_name(AttUnitKind kind) {
        switch (kind) {
        case ATT_UNIT_NONE: return NULL;
        case ATT_UNIT_SYSTEM: return "system";
        case ATT_UNIT_USER: return "user";
        case ATT_UNIT_SCOPE: return "scope";
        case ATT_UNIT_CONTAINER: return "container";
        }
        return NULL;
}

static bool is_unit_of(const char *name, const char *suffix) {
        size_t size = strlen(name);

        return size > strlen(suffix) && size < sizeof ((AttUnit *) NULL)->name && g_str_has_suffix(name, suffix) &&
               name[0] != '.' && strspn(name, NAME_CHARACTERS) == size;
}

bool att_unit_name_is_valid(const char *name) {
        return is_unit_of(name, ".service") || is_unit_of(name, ".socket") || is_unit_of(name, ".mount") ||
               is_unit_of(name, ".swap") || is_unit_of(name, ".scope");
}

/* Groups that container managers make without systemd, at the root or below a unit of their own. */
static bool is_container_group(const char *name) {
        static const char *const names[] = {
                "docker", "kubepods", "lxc", "machine", "machine.slice", "kubepods.slice",
        };

        for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_equal(name, names[i]))
                        return true;
        return g_str_has_prefix(name, "lxc.") || g_str_has_prefix(name, "libpod-");
}

/* Units that they ask systemd for. */
static bool is_container_unit(const char *name) {
        static const char *const scopes[] = { "docker-", "libpod-", "crio-", "cri-containerd-", "machine-" };

        if (g_str_has_suffix(name, ".scope"))
                for (gsize i = 0; i < G_N_ELEMENTS(scopes); i++)
                        if (g_str_has_prefix(name, scopes[i]))
                                return true;
        return g_str_has_prefix(name, "systemd-nspawn@");
}

static AttUnit unit(AttUnitKind kind, const char *name) {
        AttUnit u = { .kind = kind };

        /* Cut, a name would be another's. */
        if (g_strlcpy(u.name, name, sizeof u.name) >= sizeof u.name)
                return (AttUnit) { 0 };
        return u;
}

/* A component as systemd wrote it: what would clash with a file of the kernel's has a '_' in front. */
static const char *unescape(const char *component) {
        return component[0] == '_' ? component + 1 : component;
}

/* Past the slices; NULL if there is nothing but slices. */
static char **skip_slices(char **c) {
        while (*c && is_unit_of(unescape(*c), ".slice"))
                c++;
        return *c ? c : NULL;
}

/* From the manager's own group down, all is the user's word. */
static AttUnit unit_of_user(char **c) {
        char **below = skip_slices(c + 1);
        const char *name = unescape(below ? *below : *c);

        return att_unit_name_is_valid(name) ? unit(ATT_UNIT_USER, name) : unit(ATT_UNIT_USER, unescape(*c));
}

static AttUnit unit_from_path(const char *path) {
        g_auto(GStrv) components = g_strsplit(path + 1, "/", -1);
        char **last = components, **c;
        const char *name;

        if (!components[0])
                return (AttUnit) { 0 };
        for (char **i = components; *i; i++) {
                /* ".." is beyond our own namespace's root: what it is called from there is not known here. */
                if (**i == '\0' || g_str_equal(*i, "..") || !g_utf8_validate(*i, -1, NULL))
                        return (AttUnit) { 0 };
                last = i;
        }

        if (is_container_group(components[0]))
                return unit(ATT_UNIT_CONTAINER, *last);

        c = skip_slices(components);
        if (!c)
                return (AttUnit) { 0 };
        name = unescape(*c);
        if (!att_unit_name_is_valid(name))
                return (AttUnit) { 0 };
        if (g_str_has_prefix(name, "user@"))
                return unit_of_user(c);

        for (char **i = c + 1; *i; i++)
                if (is_container_group(*i))
                        return unit(ATT_UNIT_CONTAINER, *last);
        if (is_container_unit(name))
                return unit(ATT_UNIT_CONTAINER, name);
        return unit(g_str_has_suffix(name, ".scope") ? ATT_UNIT_SCOPE : ATT_UNIT_SYSTEM, name);
}

AttUnit att_unit_from_cgroup(const char *text, gsize size) {
        const char *end = text + size;

        for (const char *line = text, *next; line < end; line = next) {
                const char *stop = memchr(line, '\n', (gsize) (end - line));
                g_autofree char *path = NULL;

                if (!stop)
                        break;
                next = stop + 1;
                if (stop - line < 4 || memcmp(line, "0::/", 4) != 0)
                        continue;
                if (memchr(line, '\0', (gsize) (stop - line)))
                        break;

                path = g_strndup(line + 3, (gsize) (stop - line - 3));
                return unit_from_path(path);
        }
        return (AttUnit) { 0 };
}

bool att_unit_read_invocation(const char *name, uint8_t ret[16]) {
        g_autofree char *path = g_strconcat(INVOCATIONS, name, NULL);
        char text[33];
        ssize_t n = readlink(path, text, sizeof text);
        uint8_t id[16];

        if (n != 32)
                return false;

        for (guint i = 0; i < sizeof id; i++) {
                int high = g_ascii_xdigit_value(text[2 * i]), low = g_ascii_xdigit_value(text[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                id[i] = (uint8_t) (high << 4 | low);
        }

        memcpy(ret, id, sizeof id);
        return true;
}
