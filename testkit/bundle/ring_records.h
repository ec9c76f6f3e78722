// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reads a BPF_MAP_TYPE_RINGBUF where nobody has it mapped, as its reader would.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::bundle {

// Whom records are shown to, one after the other; the bytes are the ring's, and gone afterwards.
struct RecordVisitor {
    void (*visit)(RecordVisitor* self, const void* data, u32 size);
};

// Takes every complete record out of the ring buffer behind fd, up to the first that is still being written;
// discarded ones unseen. One reader at a time, no other. Context: as Bundle::load().
void take_ring_records(int fd, RecordVisitor* visitor);

}  // namespace barebpf::bundle
