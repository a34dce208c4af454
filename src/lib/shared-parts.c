/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/shared-parts.h"

#include "codec/evidence.h"
#include "util/error.h"
#include "util/memfd.h"
#include "util/tls-terms.h"

static void forget(AttSharedParts *parts, guint i) {
        g_clear_pointer(&parts->kept[i].bytes, g_bytes_unref);
        g_clear_pointer(&parts->kept[i].info, g_variant_unref);
}

void att_shared_parts_clear(AttSharedParts *parts) {
        for (guint i = 0; i < ATT_SHARED_PARTS_KEPT; i++)
                forget(parts, i);
        parts->n = 0;
}

static guint find(const AttSharedParts *parts, guint64 id) {
        guint i = 0;

        while (i < ATT_SHARED_PARTS_KEPT && !(parts->kept[i].bytes && parts->kept[i].id == id))
                i++;
        return i;
}

static void keep(AttSharedParts *parts, guint64 id, GBytes *bytes, GVariant *info) {
        guint i = find(parts, id);

        if (i == ATT_SHARED_PARTS_KEPT)
                i = parts->n++ % ATT_SHARED_PARTS_KEPT;
        forget(parts, i);
        parts->kept[i].id = id;
        parts->kept[i].bytes = g_bytes_ref(bytes);
        parts->kept[i].info = g_variant_ref(info);
}

/* A process at its limit of descriptors is not given them: then it has to do without. */
static GBytes *receive(GUnixFDList *fds, gint32 handle, GError **error) {
        gint n = 0;
        GBytes *part;
        const gint *own = fds ? g_unix_fd_list_peek_fds(fds, &n) : NULL; /* for the same reason no copy */

        if (handle >= n) {
                att_error_set(error, ATT_ERROR_FAILED, "a shared part whose descriptor did not arrive");
                return NULL;
        }
        part = att_memfd_read(own[handle], ATT_CMW_SIZE_MAX, error);
        att_memfd_give_back(own[handle]); /* attestd lends few at once, and this one is kept */
        return part;
}

/* What @info says of the shared part. Returns: 0: nothing, 1: all of it, -1: not all, or not in its types */
static int read_info(GVariant *info, guint64 *ret_id, guint64 *ret_at, guint64 *ret_size, gint32 *ret_handle) {
        g_autoptr(GVariant) id = g_variant_lookup_value(info, "shared", NULL);
        g_autoptr(GVariant) fd = g_variant_lookup_value(info, "shared_fd", NULL);
        g_autoptr(GVariant) at = g_variant_lookup_value(info, "shared_at", NULL);
        g_autoptr(GVariant) size = g_variant_lookup_value(info, "shared_size", NULL);

        if (!id && !fd && !at && !size)
                return 0;
        if (!id || !at || !size || !g_variant_is_of_type(id, G_VARIANT_TYPE_UINT64) ||
            !g_variant_is_of_type(at, G_VARIANT_TYPE_UINT64) || !g_variant_is_of_type(size, G_VARIANT_TYPE_UINT64) ||
            (fd && !g_variant_is_of_type(fd, G_VARIANT_TYPE_HANDLE)))
                return -1;
        *ret_id = g_variant_get_uint64(id);
        *ret_at = g_variant_get_uint64(at);
        *ret_size = g_variant_get_uint64(size);
        *ret_handle = fd ? g_variant_get_handle(fd) : -1;
        return *ret_id != 0 && (!fd || *ret_handle >= 0) ? 1 : -1;
}

GBytes *att_shared_parts_join(AttSharedParts *parts, GBytes *evidence, GVariant *info, GUnixFDList *fds,
                              GVariant **ret_info, GError **error) {
        g_autoptr(GBytes) part = NULL, whole = NULL;
        guint64 id = 0, at = 0, size = 0;
        gint32 handle = -1;
        int r = read_info(info, &id, &at, &size, &handle);
        guint i;

        if (r == 0) {
                *ret_info = g_variant_ref(info);
                return g_bytes_ref(evidence);
        }
        if (r < 0) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "a shared part that is not described as it should be");
                return NULL;
        }

        i = find(parts, id);
        if (handle >= 0) {
                part = receive(fds, handle, error);
                if (!part)
                        return NULL;
        } else if (i < ATT_SHARED_PARTS_KEPT) {
                part = g_bytes_ref(parts->kept[i].bytes);
        } else {
                att_error_set(error, ATT_ERROR_FAILED, "a shared part that was not sent");
                return NULL;
        }

        if (size == 0 || g_bytes_get_size(part) != size ||
            g_bytes_get_size(evidence) + g_bytes_get_size(part) > ATT_CMW_SIZE_MAX || at > g_bytes_get_size(evidence)) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "a shared part that does not fit");
                return NULL;
        }
        whole = att_evidence_join(evidence, part, (gsize) at, error);
        if (!whole)
                return NULL;
        if (handle >= 0)
                keep(parts, id, part, info);
        *ret_info = g_variant_ref(handle >= 0 ? info : parts->kept[i].info);
        return g_steal_pointer(&whole);
}
