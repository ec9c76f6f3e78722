// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The integer types of the ABI, under Linux's names and with its spellings, so that a file may
// include the system's <linux/types.h> as well. BAREBPF_ABI_SIZE(type, bytes) stops the build if a
// layout moves.
#ifndef BAREBPF_UAPI_TYPES_H
#define BAREBPF_UAPI_TYPES_H

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

// Network byte order: a note to the reader.
typedef __u16 __be16;
typedef __u32 __be32;

// A 64-bit word that is aligned to 8 bytes on 32-bit machines too; user pointers travel in it.
#ifndef __aligned_u64
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#endif

#ifdef __cplusplus
#define BAREBPF_ABI_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), "ABI: size of " #type)
#else
#define BAREBPF_ABI_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "ABI: size of " #type)
#endif

#endif  // BAREBPF_UAPI_TYPES_H
