// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/verifier_log.h"

namespace barebpf {

namespace {
constexpr u32 kSmallestLog = 128;
constexpr u32 kLargestLog = ~u32{0} >> 2;
constexpr u32 kLevels = kVerifierLogBranches | kVerifierLogAll | kVerifierLogStats;
}  // namespace

Result<void> VerifierLog::open(const VerifierLogRequest& request, host::MemoryOwner& owner) {
    if (!request.level && !request.size && !request.buffer) return {};
    if (request.size < kSmallestLog || request.size > kLargestLog || !request.level ||
        !request.buffer || (request.level & ~kLevels))
        return Errno::Inval;
    if (!chunk_.allocate(kChunk, host::AllocContext::MaySleep, owner)) return Errno::NoMem;
    level_ = request.level;
    size_ = request.size;
    buffer_ = request.buffer;
    return {};
}

TextBuffer VerifierLog::space() {
    const u64 filled = used_ - flushed_;
    return {chunk_.data() + filled, kChunk - filled};
}

void VerifierLog::commit(size_t length) {
    used_ += length;
    if (used_ + 1 > size_) {
        used_ = size_ - 1;
        dropped_ = true;
    }
}

// The text and a NUL behind it; only the text counts as flushed, the NUL is overwritten.
void VerifierLog::flush() {
    const u64 filled = used_ - flushed_;
    chunk_[filled] = '\0';
    if (!failed_ && !host::copy_to_user(buffer_ + flushed_, chunk_.data(), filled + 1).ok())
        failed_ = true;
    flushed_ = used_;
}

void VerifierLog::rewind(u64 mark) {
    if (!level_ || mark > used_) return;
    if (mark < flushed_) flushed_ = mark;
    used_ = mark;
    dropped_ = false;
}

Result<void> VerifierLog::finish() {
    if (!level_) return {};
    flush();
    chunk_.reset();
    const bool full = dropped_ || used_ + 1 >= size_;
    level_ = 0;
    if (failed_) return Errno::Fault;
    if (full) return Errno::NoSpc;
    return {};
}

}  // namespace barebpf
