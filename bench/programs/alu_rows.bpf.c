// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rows that measure the compiler alone: hashes, checksums, branches, divisions, calls. The algorithms
// are public: Jenkins' lookup3, SipHash-2-4, FNV-1a, CRC-32, the Internet checksum.
#include "rows.h"

#define WORDS 16

u64 seed = 0x243f6a8885a308d3;
u8 message[64] = "The quick brown fox jumps over the lazy dog; 0123456789 ABCDEFGH";
u32 crc_table[256];

static __always_inline u32 rotl32(u32 x, u32 n) {
    return x << n | x >> (32 - n);
}
static __always_inline u64 rotl64(u64 x, u32 n) {
    return x << n | x >> (64 - n);
}

ROW int empty(struct __sk_buff* ctx) {
    return 0;
}

ROW int loop(struct __sk_buff* ctx) {
    u64 state = seed, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) sum += next_random(&state);
    return sum;
}

static __always_inline void lookup3_mix(u32* a, u32* b, u32* c) {
    *a -= *c, *a ^= rotl32(*c, 4), *c += *b;
    *b -= *a, *b ^= rotl32(*a, 6), *a += *c;
    *c -= *b, *c ^= rotl32(*b, 8), *b += *a;
    *a -= *c, *a ^= rotl32(*c, 16), *c += *b;
    *b -= *a, *b ^= rotl32(*a, 19), *a += *c;
    *c -= *b, *c ^= rotl32(*b, 4), *b += *a;
}
static __always_inline void lookup3_final(u32* a, u32* b, u32* c) {
    *c ^= *b, *c -= rotl32(*b, 14);
    *a ^= *c, *a -= rotl32(*c, 11);
    *b ^= *a, *b -= rotl32(*a, 25);
    *c ^= *b, *c -= rotl32(*b, 16);
    *a ^= *c, *a -= rotl32(*c, 4);
    *b ^= *a, *b -= rotl32(*a, 14);
    *c ^= *b, *c -= rotl32(*b, 24);
}

ROW int jhash_64(struct __sk_buff* ctx) {
    u32 sum = 0;
    for (u32 i = 0; i < FEW; ++i) {
        const u32* word = (const u32*)message;
        u32 a = 0xdeadbeef + 64 + i, b = a, c = a;
#pragma clang loop unroll(full)
        for (u32 k = 0; k < 15; k += 3) {
            a += word[k], b += word[k + 1], c += word[k + 2];
            lookup3_mix(&a, &b, &c);
        }
        a += word[15];
        lookup3_final(&a, &b, &c);
        sum += c;
    }
    return sum;
}

#define SIP_ROUND                                                              \
    (v0 += v1, v1 = rotl64(v1, 13), v1 ^= v0, v0 = rotl64(v0, 32), v2 += v3,   \
     v3 = rotl64(v3, 16), v3 ^= v2, v0 += v3, v3 = rotl64(v3, 21), v3 ^= v0,   \
     v2 += v1, v1 = rotl64(v1, 17), v1 ^= v2, v2 = rotl64(v2, 32))

ROW int siphash_64(struct __sk_buff* ctx) {
    u64 sum = 0;
    for (u32 i = 0; i < FEW; ++i) {
        const u64* word = (const u64*)message;
        u64 v0 = 0x736f6d6570736575 ^ i, v1 = 0x646f72616e646f6d, v2 = 0x6c7967656e657261,
            v3 = 0x7465646279746573;
#pragma clang loop unroll(disable)
        for (u32 k = 0; k < 8; ++k) {
            v3 ^= word[k];
            SIP_ROUND, SIP_ROUND;
            v0 ^= word[k];
        }
        v3 ^= (u64)64 << 56;
        SIP_ROUND, SIP_ROUND;
        v0 ^= (u64)64 << 56;
        v2 ^= 0xff;
        SIP_ROUND, SIP_ROUND, SIP_ROUND, SIP_ROUND;
        sum += v0 ^ v1 ^ v2 ^ v3;
    }
    return sum;
}

ROW int fnv_64(struct __sk_buff* ctx) {
    u64 sum = 0;
    for (u32 i = 0; i < FEW; ++i) {
        u64 hash = 0xcbf29ce484222325 + i;
#pragma clang loop unroll(disable)
        for (u32 k = 0; k < 64; ++k) hash = (hash ^ message[k]) * 0x100000001b3;
        sum += hash;
    }
    return sum;
}

/* The compiler must not know that the bit is 0 or 1: it would branch on it, and a verifier that follows
 * both sides of every branch never ends. */
static __always_inline u32 crc_step(u32 crc) {
    u32 bit = crc & 1;
    asm volatile("" : "+r"(bit));
    return crc >> 1 ^ 0xedb88320 * bit;
}

ROW int crc_bitwise(struct __sk_buff* ctx) {
    u32 sum = 0;
    for (u32 i = 0; i < FEW; ++i) {
        u32 crc = ~i;
#pragma clang loop unroll(disable)
        for (u32 k = 0; k < 64; ++k) {
            crc ^= message[k];
#pragma clang loop unroll(full)
            for (u32 bit = 0; bit < 8; ++bit) crc = crc_step(crc);
        }
        sum += ~crc;
    }
    return sum;
}

static __noinline void make_crc_table(void) {
    for (u32 i = 0; i < 256; ++i) {
        u32 crc = i;
#pragma clang loop unroll(full)
        for (u32 bit = 0; bit < 8; ++bit) crc = crc_step(crc);
        crc_table[i & 255] = crc;
    }
}

ROW int crc_table_64(struct __sk_buff* ctx) {
    u32 sum = 0;
    if (!crc_table[1]) make_crc_table();
    for (u32 i = 0; i < FEW; ++i) {
        u32 crc = ~i;
#pragma clang loop unroll(disable)
        for (u32 k = 0; k < 64; ++k) crc = crc >> 8 ^ crc_table[(crc ^ message[k]) & 0xff];
        sum += ~crc;
    }
    return sum;
}

ROW int branchy(struct __sk_buff* ctx) {
    u32 sum = 0;
    for (u32 i = 0; i < FEW; ++i) {
#pragma clang loop unroll(disable)
        for (u32 k = 0; k < 64; ++k) {
            const u8 byte = message[k] + i;
            if (byte < 32) {
                sum += 3;
            } else if (byte < 128) {
                sum ^= byte;
            } else if (byte & 1) {
                sum *= 3;
            } else {
                sum -= byte;
            }
        }
    }
    return sum;
}

ROW int divisions(struct __sk_buff* ctx) {
    u64 state = seed, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u64 x = next_random(&state);
        sum += x / ((u32)x | 1) + x % 1000 + (u32)x / 10;
    }
    return sum;
}

ROW int checksum_20(struct __sk_buff* ctx) {
    u32 sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u16* half = (const u16*)message;
        u32 folded = i;
#pragma clang loop unroll(full)
        for (u32 k = 0; k < 10; ++k) folded += half[k];
        folded = (folded & 0xffff) + (folded >> 16);
        folded = (folded & 0xffff) + (folded >> 16);
        sum += (u16)~folded;
    }
    return sum;
}

static __noinline u32 callee(u32 a, u32 b) {
    return a * 31 + b;
}

ROW int calls(struct __sk_buff* ctx) {
    u32 sum = seed;
    for (u32 i = 0; i < OPERATIONS; ++i) sum = callee(sum, i);
    return sum;
}

struct ethernet {
    u8 to[6], from[6];
    u16 protocol;
} __attribute__((packed));

struct ipv4 {
    u8 version_length, tos;
    u16 length, id, fragment;
    u8 ttl, protocol;
    u16 checksum;
    u32 from, to;
};

struct ports {
    u16 from, to;
};

static __always_inline u32 classify(const u8* data, const u8* end) {
    const struct ethernet* ethernet = (const void*)data;
    if ((const u8*)(ethernet + 1) > end) return 1;
    if (ethernet->protocol != __builtin_bswap16(0x0800)) return 2;
    const struct ipv4* ip = (const void*)(ethernet + 1);
    if ((const u8*)(ip + 1) > end) return 3;
    const u32 header = (ip->version_length & 15) * 4;
    if (header < 20) return 4;
    const struct ports* ports = (const void*)((const u8*)ip + header);
    if ((const u8*)(ports + 1) > end) return 5;
    switch (ip->protocol) {
        case 6: return 100 + __builtin_bswap16(ports->to) % 7;
        case 17: return __builtin_bswap16(ports->to) == 53 ? 6 : 7;
        default: return ip->from == ip->to ? 8 : 9;
    }
}

/* The packet is 16 frames of 64 bytes, each of another kind: one run parses 1,024 frames. */
ROW int packet_parse(struct __sk_buff* ctx) {
    const u8* data = (const u8*)(long)ctx->data;
    const u8* end = (const u8*)(long)ctx->data_end;
    if (data + 1024 > end) return 0;
    u32 sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u8* frame = data + (i & 15) * 64;
        sum = sum * 3 + classify(frame, end);
    }
    return sum;
}

char _license[] SEC("license") = "GPL";
