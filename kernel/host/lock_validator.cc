// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The lock-order validator (rules: lock_validator.h).
//
// A CPU's stacks are touched only by what runs on that CPU; an interrupt or NMI that comes in the
// middle takes and releases its own locks and leaves the stack as it found it. NMI context has a
// stack of its own, because what it interrupted may be in the middle of a push. So nothing here is
// atomic.
#include "kernel/host/lock_validator.h"

#if defined(BAREBPF_LOCK_VALIDATOR)

#include "kernel/host/cpu.h"
#include "kernel/host/log.h"

namespace barebpf::host::validator {

namespace {

constexpr u32 kDepth = 16;

struct Held {
    const LockClass* lock_class;
    const void* lock;
};

struct alignas(64) Stack {
    u32 depth;
    Held held[kDepth];
};

enum Context : u32 { kNormal, kNmi, kContexts };

Stack stacks[kMaxCpus][kContexts];

Stack& this_stack() {
    return stacks[cpu_id()][in_nmi() ? kNmi : kNormal];
}

// Text of a report, cut at the end of its buffer.
class Line {
public:
    Line& operator<<(const char* text) {
        while (*text && length_ < sizeof(text_) - 1) text_[length_++] = *text++;
        text_[length_] = 0;
        return *this;
    }
    Line& operator<<(u32 number) {
        char digits[11];
        u32 at = sizeof(digits) - 1;
        digits[at] = 0;
        do {
            digits[--at] = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number);
        return *this << digits + at;
    }
    const char* text() const { return text_; }
    u32 length() const { return length_; }

private:
    char text_[200] = {};
    u32 length_ = 0;
};

void print_stack(const char* name, const Stack& stack) {
    for (u32 i = 0; i < stack.depth; ++i) {
        Line line;
        line << "  CPU " << cpu_id() << " holds in " << name
             << " context: " << stack.held[i].lock_class->name << " (rank "
             << stack.held[i].lock_class->rank << ")";
        print(LogLevel::Error, line.text(), line.length());
    }
}

[[noreturn]] void report(const char* what, const LockClass* lock_class, const LockClass* held) {
    Line line;
    line << "lock validator: " << what;
    if (lock_class) line << ": " << lock_class->name << " (rank " << lock_class->rank << ")";
    if (held) line << " while holding " << held->name << " (rank " << held->rank << ")";
    print(LogLevel::Error, line.text(), line.length());
    print_stack("normal", stacks[cpu_id()][kNormal]);
    print_stack("NMI", stacks[cpu_id()][kNmi]);
    panic(line.text());
}

}  // namespace

void acquiring(const LockClass& lock_class, const void* lock) {
    if (in_nmi()) report("an unbounded acquisition in NMI context", &lock_class, nullptr);
    const Stack& stack = this_stack();
    for (u32 i = 0; i < stack.depth; ++i) {
        const Held& held = stack.held[i];
        if (held.lock == lock) report("taken twice", &lock_class, held.lock_class);
        if (held.lock_class->rank >= lock_class.rank)
            report("wrong order", &lock_class, held.lock_class);
    }
}

void waiting(const LockClass& lock_class, const void* lock) {
    const Stack& stack = this_stack();
    for (u32 i = 0; i < stack.depth; ++i) {
        const Held& held = stack.held[i];
        if (held.lock != lock && held.lock_class->rank >= lock_class.rank)
            report("wrong order", &lock_class, held.lock_class);
    }
}

void acquired(const LockClass& lock_class, const void* lock) {
    Stack& stack = this_stack();
    if (stack.depth == kDepth) report("too many locks held", &lock_class, nullptr);
    stack.held[stack.depth] = {&lock_class, lock};
    ++stack.depth;
}

void released(const LockClass& lock_class, const void* lock) {
    Stack& stack = this_stack();
    for (u32 i = stack.depth; i-- > 0;) {
        if (stack.held[i].lock != lock) continue;
        for (u32 above = i + 1; above < stack.depth; ++above)
            stack.held[above - 1] = stack.held[above];
        --stack.depth;
        return;
    }
    report("released but not held", &lock_class, nullptr);
}

void forget_held() {
    for (auto& contexts : stacks) {
        for (Stack& stack : contexts) stack.depth = 0;
    }
}

u32 held_outside_nmi() {
    return stacks[cpu_id()][kNormal].depth;
}

void expect_none_held(const char* where) {
    const Stack& stack = this_stack();
    if (stack.depth) report(where, nullptr, stack.held[stack.depth - 1].lock_class);
}

}  // namespace barebpf::host::validator

#endif
