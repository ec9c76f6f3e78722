// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: the caller's memory.
//
// The core never follows a pointer that came through bpf(2): it copies, and a bad address is an
// error (EFAULT), never a crash. The caller may be in another address space (a session, a guest's
// user mode). Context: process, may sleep, no lock held and not inside an RCU read guard (a fault
// may sleep).
#pragma once

#include <host_backend/usercopy.h>

#include "kernel/lib/concepts.h"
#include "kernel/lib/result.h"

namespace barebpf::host {

// An address in the caller's space: a type of its own, so that it cannot be dereferenced by
// mistake.
struct UserAddress {
    u64 value = 0;
    explicit operator bool() const { return value != 0; }
    UserAddress operator+(u64 offset) const { return {value + offset}; }
};

template <class U>
concept IsUserCopy = requires(void* to, const void* from, u64 user, size_t size) {
    { U::from_user(to, user, size) } -> SameAs<bool>;     // false: a byte could not be read
    { U::to_user(user, from, size) } -> SameAs<bool>;     // false: a byte could not be written
    { U::read_nofault(to, user, size) } -> SameAs<bool>;  // false: a byte could not be read
};
static_assert(IsUserCopy<backend::UserCopy>);

inline Result<void> copy_from_user(void* to, UserAddress from, size_t size) {
    if (size && !backend::UserCopy::from_user(to, from.value, size)) return Errno::Fault;
    return {};
}
inline Result<void> copy_to_user(UserAddress to, const void* from, size_t size) {
    if (size && !backend::UserCopy::to_user(to.value, from, size)) return Errno::Fault;
    return {};
}
template <TriviallyCopyable T>
Result<void> get_user(T* value, UserAddress from) {
    return copy_from_user(value, from, sizeof(T));
}
template <TriviallyCopyable T>
Result<void> put_user(UserAddress to, const T& value) {
    return copy_to_user(to, &value, sizeof(T));
}
// Reads an address of this kernel that may be anything (a pointer that a program computed). Context: any,
// NMI included; never sleeps.
inline bool read_nofault(void* to, u64 from, size_t size) {
    return backend::UserCopy::read_nofault(to, from, size);
}

// Copies a string with its NUL. Length without NUL; TooBig when size bytes hold no NUL; Fault.
Result<u32> copy_string_from_user(char* to, UserAddress from, u32 size);
// True if all bytes are zero; Fault when one cannot be read.
Result<bool> user_bytes_are_zero(UserAddress from, size_t size);

}  // namespace barebpf::host
