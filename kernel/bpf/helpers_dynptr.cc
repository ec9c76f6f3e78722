// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/helpers_dynptr.h"

#include "kernel/bpf/helper_values.h"

namespace barebpf {
namespace {

bool is_inside(const Dynptr& dynptr, u32 offset, u32 length) {
    return length <= dynptr.size && offset <= dynptr.size - length;
}

u64 dynptr_from_mem(u64 data, u64 size, u64 flags, u64 out, u64) {
    Dynptr* dynptr = as_pointer<Dynptr>(out);
    clear_dynptr(dynptr);
    if (u32(size) > kMaxDynptrSize) return failed(Errno::TooBig);
    if (flags) return failed(Errno::Inval);
    set_dynptr(dynptr, as_pointer<void>(data), u32(size));
    return 0;
}

u64 dynptr_read(u64 out, u64 length, u64 from, u64 offset, u64 flags) {
    const Dynptr* dynptr = as_pointer<const Dynptr>(from);
    if (!dynptr->data || flags) return failed(Errno::Inval);
    if (!is_inside(*dynptr, u32(offset), u32(length))) return failed(Errno::TooBig);
    // The two may be one value of a map.
    __builtin_memmove(as_pointer<void>(out), dynptr->data + u32(offset), u32(length));
    return 0;
}

u64 dynptr_write(u64 to, u64 offset, u64 from, u64 length, u64 flags) {
    const Dynptr* dynptr = as_pointer<const Dynptr>(to);
    if (!dynptr->data) return failed(Errno::Inval);
    if (!is_inside(*dynptr, u32(offset), u32(length))) return failed(Errno::TooBig);
    if (flags) return failed(Errno::Inval);
    __builtin_memmove(dynptr->data + u32(offset), as_pointer<const void>(from), u32(length));
    return 0;
}

u64 dynptr_data(u64 of, u64 offset, u64 length, u64, u64) {
    const Dynptr* dynptr = as_pointer<const Dynptr>(of);
    if (!dynptr->data || !is_inside(*dynptr, u32(offset), u32(length))) return 0;
    return reinterpret_cast<u64>(dynptr->data + u32(offset));
}

using A = ArgType;

constexpr HelperProto kFromMem = {
    .name = "dynptr_from_mem",
    .function = dynptr_from_mem,
    .ret = RetType::Integer,
    .args = {A::UninitMem, A::SizeOrZero, A::Anything, A::LocalDynptrUninit},
    .privileged = true};
constexpr HelperProto kRead = {
    .name = "dynptr_read",
    .function = dynptr_read,
    .ret = RetType::Integer,
    .args = {A::UninitMem, A::SizeOrZero, A::Dynptr, A::Anything, A::Anything},
    .privileged = true};
constexpr HelperProto kWrite = {
    .name = "dynptr_write",
    .function = dynptr_write,
    .ret = RetType::Integer,
    .args = {A::Dynptr, A::Anything, A::Mem, A::SizeOrZero, A::Anything},
    .privileged = true};
constexpr HelperProto kData = {.name = "dynptr_data",
                               .function = dynptr_data,
                               .ret = RetType::DynptrMemOrNull,
                               .args = {A::Dynptr, A::Anything, A::ConstAllocSize},
                               .privileged = true};

}  // namespace

const HelperProto* dynptr_helper_proto(u32 func_id) {
    switch (func_id) {
        case BPF_FUNC_dynptr_from_mem:
            return &kFromMem;
        case BPF_FUNC_dynptr_read:
            return &kRead;
        case BPF_FUNC_dynptr_write:
            return &kWrite;
        case BPF_FUNC_dynptr_data:
            return &kData;
        default:
            return nullptr;
    }
}

}  // namespace barebpf
