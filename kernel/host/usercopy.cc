// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/host/usercopy.h"

#include "kernel/host/page.h"

namespace barebpf::host {

namespace {

constexpr u32 kStep = 256;

// Bytes up to the end of the page that holds the address: what one copy may touch without reaching
// into a page that the string or area does not need.
u32 bytes_in_page(u64 address) {
    return static_cast<u32>(kPageSize - address % kPageSize);
}

u32 least(u32 a, u32 b) {
    return a < b ? a : b;
}

u32 length_up_to_nul(const char* text, u32 size) {
    u32 length = 0;
    while (length < size && text[length]) ++length;
    return length;
}

bool all_zero(const u8* bytes, size_t size) {
    u8 any = 0;
    for (size_t i = 0; i < size; ++i) any |= bytes[i];
    return any == 0;
}

}  // namespace

Result<u32> copy_string_from_user(char* to, UserAddress from, u32 size) {
    for (u32 done = 0; done < size;) {
        const UserAddress at = from + done;
        const u32 piece = least(least(size - done, kStep), bytes_in_page(at.value));
        TRY(copy_from_user(to + done, at, piece));
        const u32 length = length_up_to_nul(to + done, piece);
        if (length < piece) return done + length;
        done += piece;
    }
    return Errno::TooBig;
}

Result<bool> user_bytes_are_zero(UserAddress from, size_t size) {
    u8 piece_bytes[kStep];
    for (size_t done = 0; done < size;) {
        const size_t piece = size - done < kStep ? size - done : kStep;
        TRY(copy_from_user(piece_bytes, from + done, piece));
        if (!all_zero(piece_bytes, piece)) return false;
        done += piece;
    }
    return true;
}

}  // namespace barebpf::host
