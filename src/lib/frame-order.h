/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When a frame of the peer is legal: the table of docs/protocol.md section 6, and compat mode's few. */
#pragma once

#include "codec/frame.h"
#include "lib/attestd.h"

G_BEGIN_DECLS

/** att_frame_order_allows: may the peer send a frame of this type now? */
bool att_frame_order_allows(const AttestdConnection *c, AttFrameType type);

/** att_frame_order_is_over: in compat mode: the peer's frames are all here, and plain bytes follow */
bool att_frame_order_is_over(const AttestdConnection *c);

G_END_DECLS
