// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/sha1.h"

namespace barebpf {
namespace {

constexpr u32 rotl(u32 x, u32 n) {
    return x << n | x >> (32 - n);
}

// The round function and constant of step t (4.1.1, 4.2.1).
constexpr u32 mix(u32 t, u32 b, u32 c, u32 d) {
    if (t < 20) return ((b & c) | (~b & d)) + 0x5a827999;
    if (t < 40) return (b ^ c ^ d) + 0x6ed9eba1;
    if (t < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

u32 load_be32(const u8* p) {
    return u32{p[0]} << 24 | u32{p[1]} << 16 | u32{p[2]} << 8 | p[3];
}

}  // namespace

void Sha1::compress(const u8 block[64]) {
    u32 w[80];
    for (u32 t = 0; t < 16; ++t) w[t] = load_be32(block + 4 * t);
    for (u32 t = 16; t < 80; ++t) w[t] = rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);

    u32 a = state_[0], b = state_[1], c = state_[2], d = state_[3], e = state_[4];
    for (u32 t = 0; t < 80; ++t) {
        u32 next = rotl(a, 5) + mix(t, b, c, d) + e + w[t];
        e = d;
        d = c;
        c = rotl(b, 30);
        b = a;
        a = next;
    }
    state_[0] += a;
    state_[1] += b;
    state_[2] += c;
    state_[3] += d;
    state_[4] += e;
}

void Sha1::update(const void* data, size_t size) {
    const u8* bytes = static_cast<const u8*>(data);
    for (size_t i = 0; i < size; ++i) {
        block_[length_++ % 64] = bytes[i];
        if (length_ % 64 == 0) compress(block_);
    }
}

void Sha1::finish(u8 digest[kDigestSize]) {
    const u64 bits = length_ * 8;
    const u8 one = 0x80, zero = 0;
    update(&one, 1);
    while (length_ % 64 != 56) update(&zero, 1);
    for (u32 i = 0; i < 8; ++i) {
        u8 byte = u8(bits >> (56 - 8 * i));
        update(&byte, 1);
    }
    for (u32 i = 0; i < kDigestSize; ++i) digest[i] = u8(state_[i / 4] >> (24 - 8 * (i % 4)));
}

}  // namespace barebpf
