// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BTF: the type information of programs and maps, loaded by BTF_LOAD, checked once, then read only.
//
//     data    [header | types ... | strings]          as user space passed it
//     types_  offset in data of type 1, 2, 3, ...     type 0 is void and has no record
//     sizes_  bytes of an object of that type          0: it has none (void, functions, forward)
//
// After btf_check() every type id in the blob names a type, every name a string, every type that must have
// a size has one, and no type contains itself: readers need no checks.
//
// Context: everything that allocates may sleep; the readers work anywhere while a reference is held.
// Source: the kernel's BTF documentation (Documentation/bpf/btf.rst) for the format and its rules.
#pragma once

#include "kernel/host/contract.h"
#include "kernel/lib/result.h"
#include "kernel/lib/text.h"
#include "uapi/linux/bpf.h"
#include "uapi/linux/btf.h"

namespace barebpf {

struct Btf : host::FileObject {
    host::Buffer<u8> data;
    btf_header header{};
    host::Buffer<u32> types;
    host::Buffer<u32> sizes;

    u32 id = 0;
    host::Atomic<u32> refs{};
    host::MemoryOwner memory;
    host::RcuHead rcu;

    // Ids are 1..type_count().
    u32 type_count() const { return types.size() ? u32(types.size()) - 1 : 0; }
    // Null: void, or no such id.
    const btf_type* type(u32 type_id) const {
        if (type_id == 0 || type_id > type_count()) return nullptr;
        return reinterpret_cast<const btf_type*>(data.data() + types[type_id]);
    }
    // What follows the type's head: members, parameters, ...
    template <class T>
    static const T* extra(const btf_type* type) {
        return reinterpret_cast<const T*>(type + 1);
    }
    // Null: no such string.
    const char* string(u32 offset) const {
        if (offset >= header.str_len) return nullptr;
        return reinterpret_cast<const char*>(data.data()) + header.hdr_len + header.str_off +
               offset;
    }
    // Behind typedef, const, volatile, restrict and type tags; the id may become 0 (void).
    u32 skip_modifiers(u32 type_id) const;
    u32 size_of(u32 type_id) const { return type_id <= type_count() ? sizes[type_id] : 0; }
};

constexpr u32 btf_kind(const btf_type* type) {
    return BTF_INFO_KIND(type->info);
}
constexpr u32 btf_vlen(const btf_type* type) {
    return BTF_INFO_VLEN(type->info);
}
constexpr bool btf_is_modifier(u32 kind) {
    return kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_VOLATILE || kind == BTF_KIND_CONST ||
           kind == BTF_KIND_RESTRICT || kind == BTF_KIND_TYPE_TAG;
}

// Counted references.
void btf_get(Btf* btf);
void btf_put(Btf* btf);
Result<Btf*> btf_get_by_fd(int fd);  // BadF, Inval
Result<Btf*> btf_get_by_id(u32 id);  // NoEnt

// Takes a fresh Btf whose data is filled: parses and checks all of it. The reason for a refusal goes to
// log. Inval, TooBig, NotSupp, NoMem.
Result<void> btf_check(Btf* btf, TextBuffer* log);

// bpf(2)
Result<s64> btf_load(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> btf_info(Btf* btf, const bpf_attr& attr, host::UserAddress uattr);
Result<s64> btf_get_next_id(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> btf_get_fd_by_id(const bpf_attr& attr, host::UserAddress uattr);
void btf_reset_ids();   // of a world that ends
void btf_forget_ids();  // see forget_world()

}  // namespace barebpf
