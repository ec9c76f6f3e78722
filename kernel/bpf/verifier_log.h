// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The verifier's log: text that goes to the loader's buffer as it is written.
//
// As Linux 6.1: the beginning is kept, what does not fit is dropped and finish() says NoSpc. The
// text in the caller's memory always ends in NUL. At level 1 a path that turns out well takes its
// text back (mark(), rewind()), so that in the end only the failing path is there.
//
// Text is collected in a small chunk and copied out when that is full, at a rewind before it, and at
// the end. Context: process, may sleep.
#pragma once

#include "kernel/bpf/verifier_api.h"
#include "kernel/lib/text.h"

namespace barebpf {

class VerifierLog {
public:
    // Inval for a request that Linux refuses; all zero means no log.
    Result<void> open(const VerifierLogRequest& request, host::MemoryOwner& owner);
    // Flushes. NoSpc when text was dropped, Fault when the caller's memory was bad.
    Result<void> finish();

    bool enabled() const { return UNLIKELY(level_ & (kVerifierLogBranches | kVerifierLogAll)); }
    bool every_path() const { return UNLIKELY(level_ & kVerifierLogAll); }
    bool stats() const { return level_ & kVerifierLogStats; }
    bool any() const { return level_ != 0; }

    // Anything TextBuffer::print takes. Does nothing without a log. Adds no newline.
    template <class... Parts>
    NOINLINE void print(const Parts&... parts) {
        if (!writable()) return;
        TextBuffer out = space();
        out.print(parts...);
        if (out.truncated()) {
            flush();
            out = space();
            out.print(parts...);
        }
        commit(out.length());
    }
    u64 mark() const { return used_; }
    void rewind(u64 mark);

private:
    bool writable() const { return level_ && !failed_ && used_ + 1 < size_; }
    TextBuffer space();
    void commit(size_t length);
    void flush();

    static constexpr u32 kChunk = 4096;
    host::Buffer<char> chunk_;  // holds text [flushed_, used_)
    u32 level_ = 0;
    u32 size_ = 0;
    u64 used_ = 0;
    u64 flushed_ = 0;
    bool dropped_ = false;
    bool failed_ = false;
    host::UserAddress buffer_{};
};

}  // namespace barebpf
