// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/verifier_pool.h"

namespace barebpf {

VerifierPool::~VerifierPool() {
    while (Chunk* chunk = chunks_) {
        chunks_ = chunk->next;
        host::free(chunk, chunk->size, owner_);
    }
}

// What is left of the old chunk is lost until the end; at most one piece's worth of the largest
// class.
void* VerifierPool::carve(unsigned size_class) {
    const size_t size = size_t{1} << (kSmallestShift + size_class);
    if (static_cast<size_t>(end_ - next_) < size) {
        void* memory = host::alloc(kChunkSize, host::AllocContext::MaySleep, owner_);
        if (!memory) return nullptr;
        Chunk* chunk = static_cast<Chunk*>(memory);
        chunk->next = chunks_;
        chunk->size = kChunkSize;
        chunks_ = chunk;
        next_ = static_cast<char*>(memory) + (size_t{1} << kSmallestShift);
        end_ = static_cast<char*>(memory) + kChunkSize;
    }
    void* piece = next_;
    next_ += size;
    return piece;
}

}  // namespace barebpf
