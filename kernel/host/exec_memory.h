// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: memory that programs are executed from. Never writable and executable at once.
//
//   reserve(size)  -> exec: the address code will run at (not yet executable, or filled with traps)
//                     write: a writable alias of the same bytes
//   publish(code)     the alias is gone, exec is read+execute, and instruction fetch sees the bytes
//   free(code)        nobody runs it any more (the caller waited for a grace period)
//
// exec is within the reach of a direct call from and to the library's own text wherever the host
// can arrange it; exec_reachable() tells, so that a JIT can choose the short form. Context: process, may
// sleep; free() from RCU callbacks too.
#pragma once

#include <host_backend/exec_memory.h>

#include "kernel/host/alloc.h"

namespace barebpf::host {

struct ExecMemory {
    u8* exec = nullptr;
    u8* write = nullptr;  // null once published
    u32 size = 0;
};

template <class X>
concept IsExecMemory = requires(u32 size, u8* exec, u8* write) {
    // Sets exec and write; false when there is no memory.
    { X::reserve(size, &exec, &write) } -> SameAs<bool>;
    { X::publish(exec, write, size) } -> SameAs<bool>;
    X::free(exec, write, size);  // write is null once published
    // A direct call from anywhere in exec memory reaches this address.
    { X::reachable(static_cast<const void*>(exec)) } -> SameAs<bool>;
};
static_assert(IsExecMemory<backend::ExecMemory>);

[[nodiscard]] inline bool exec_reserve(u32 size, ExecMemory* code, MemoryOwner& owner) {
    if (!backend::ExecMemory::reserve(size, &code->exec, &code->write)) return false;
    code->size = size;
    owner.charge(size);
    return true;
}
[[nodiscard]] inline bool exec_publish(ExecMemory* code) {
    if (!backend::ExecMemory::publish(code->exec, code->write, code->size)) return false;
    code->write = nullptr;
    return true;
}
inline bool exec_reachable(const void* address) {
    return backend::ExecMemory::reachable(address);
}
inline void exec_free(ExecMemory* code, MemoryOwner& owner) {
    if (!code->exec) return;
    backend::ExecMemory::free(code->exec, code->write, code->size);
    owner.uncharge(code->size);
    *code = ExecMemory{};
}

}  // namespace barebpf::host
