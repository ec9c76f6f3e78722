// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Memory for verifier states: many small pieces, taken and given back all the time, all gone when
// the verification ends. Pieces come from large chunks and go to a free list of their size class; a
// chunk goes back to the host only at the end, so nothing can leak.
//
//     classes: 64, 128, 256 ... 64 KiB; larger requests fail
//     chunk -> [piece|piece|piece| ... unused]      free[class] -> piece -> piece -> null
//
// Pieces are not zeroed. One user; no locking. May sleep.
#pragma once

#include "kernel/host/alloc.h"

namespace barebpf {

class VerifierPool {
public:
    explicit VerifierPool(host::MemoryOwner& owner) : owner_(owner) {}
    ~VerifierPool();
    VerifierPool(const VerifierPool&) = delete;
    VerifierPool& operator=(const VerifierPool&) = delete;

    // Null: out of memory, or larger than kLargest.
    [[nodiscard]] void* take(size_t size) {
        const unsigned c = class_of(size);
        if (UNLIKELY(c >= kClasses)) return nullptr;
        if (Piece* piece = free_[c]) {
            free_[c] = piece->next;
            return piece;
        }
        return carve(c);
    }
    // size as taken. Null is fine.
    void give(void* memory, size_t size) {
        if (!memory) return;
        Piece* piece = static_cast<Piece*>(memory);
        Piece*& head = free_[class_of(size)];
        piece->next = head;
        head = piece;
    }

    static constexpr size_t kLargest = size_t{64} << 10;

private:
    struct Piece {
        Piece* next;
    };
    struct Chunk {
        Chunk* next;
        size_t size;
    };
    static constexpr unsigned kSmallestShift = 6;
    static constexpr unsigned kClasses = 11;
    static constexpr size_t kChunkSize = size_t{256} << 10;

    static unsigned class_of(size_t size) {
        if (size <= (size_t{1} << kSmallestShift)) return 0;
        return 64 - static_cast<unsigned>(__builtin_clzll(size - 1)) - kSmallestShift;
    }
    void* carve(unsigned size_class);

    host::MemoryOwner& owner_;
    Chunk* chunks_ = nullptr;
    char* next_ = nullptr;
    char* end_ = nullptr;
    Piece* free_[kClasses] = {};
};

}  // namespace barebpf
