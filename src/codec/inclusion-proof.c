/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/inclusion-proof.h"

#include "codec/cbor-in.h"
#include "codec/cbor-out.h"
#include "util/error.h"

G_STATIC_ASSERT(ATT_BATCH_MAX == 1u << ATT_PROOF_PATH_MAX);

/* A node has a sibling on each level, unless it is the last of its level and has no
 * right neighbour: then it is moved up as it is. */
guint att_inclusion_proof_length(uint32_t n, uint32_t index) {
        guint length = 0;

        if (index >= n)
                return 0;
        for (uint32_t last = n - 1; last > 0; last >>= 1, index >>= 1)
                if (index % 2 == 1 || index < last)
                        length++;
        return length;
}

GBytes *att_inclusion_proof_encode(const AttInclusionProof *proof) {
        GByteArray *out = g_byte_array_sized_new(16 + proof->path_length * (ATT_PROOF_NODE_SIZE + 2));

        att_cbor_put_array(out, 3);
        att_cbor_put_uint(out, proof->n);
        att_cbor_put_uint(out, proof->index);
        att_cbor_put_array(out, proof->path_length);
        for (guint i = 0; i < proof->path_length; i++)
                att_cbor_put_data(out, proof->path[i], ATT_PROOF_NODE_SIZE);
        return g_byte_array_free_to_bytes(out);
}

static gboolean bad(GError **error, const char *problem) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "proof: %s", problem);
}

static gboolean read_path(const AttCborArray *nodes, AttInclusionProof *p, GError **error) {
        p->path_length = att_inclusion_proof_length(p->n, p->index);
        if (nodes->n != p->path_length)
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "proof: a path of %zu nodes, but leaf %u of %u has one of %u", nodes->n, p->index,
                                     p->n, p->path_length);
        for (guint i = 0; i < p->path_length; i++)
                if (!att_cbor_get_bytes(nodes->items[i], p->path[i], ATT_PROOF_NODE_SIZE))
                        return bad(error, "a node that is not of 32 bytes");
        return TRUE;
}

gboolean att_inclusion_proof_decode(GBytes *bytes, AttInclusionProof *ret, GError **error) {
        g_autoptr(cbor_item_t) item = att_cbor_load(bytes, ATT_CBOR_DETERMINISTIC, error);
        AttInclusionProof p = { 0 };
        AttCborArray fields, nodes;
        uint64_t n, index;

        if (!item)
                return FALSE;
        if (!att_cbor_get_array(item, 3, 3, &fields) || !att_cbor_get_uint(fields.items[0], &n) ||
            !att_cbor_get_uint(fields.items[1], &index) ||
            !att_cbor_get_array(fields.items[2], 0, SIZE_MAX, &nodes))
                return bad(error, "not an array of n, index and path");
        if (n < ATT_BATCH_MIN || n > ATT_BATCH_MAX)
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "proof: of a batch of %" G_GUINT64_FORMAT ", but one has %u to %u", n,
                                     ATT_BATCH_MIN, ATT_BATCH_MAX);
        if (index >= n)
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "proof: index %" G_GUINT64_FORMAT " in a batch of %" G_GUINT64_FORMAT, index, n);

        p.n = (uint32_t) n;
        p.index = (uint32_t) index;
        if (!read_path(&nodes, &p, error))
                return FALSE;
        *ret = p;
        return TRUE;
}
