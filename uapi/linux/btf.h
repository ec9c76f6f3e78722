// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BTF: the header of a blob, the record of each kind of type and the fields packed into its words.
// Offsets count from the end of the header.
#ifndef __LINUX_BTF_H__
#define __LINUX_BTF_H__

#include "uapi/linux/barebpf/types.h"

#define BTF_MAGIC 0xeB9F
#define BTF_VERSION 1

struct btf_header {
    __u16 magic;
    __u8 version;
    __u8 flags;
    __u32 hdr_len;
    __u32 type_off;
    __u32 type_len;
    __u32 str_off;
    __u32 str_len;
};
BAREBPF_ABI_SIZE(struct btf_header, 24);

#define BTF_MAX_TYPE 0x000fffff
#define BTF_MAX_NAME_OFFSET 0x00ffffff
#define BTF_MAX_VLEN 0xffff

// Opens every type. `info`: bits 0-15 count what follows, 24-28 the kind, bit 31 the kind flag.
// `size` is for kinds that occupy memory, `type` for those that refer to another type.
struct btf_type {
    __u32 name_off;
    __u32 info;
    union {
        __u32 size;
        __u32 type;
    };
};
BAREBPF_ABI_SIZE(struct btf_type, 12);

#define BTF_INFO_KIND(info) (((info) >> 24) & 0x1f)
#define BTF_INFO_VLEN(info) ((info)&0xffff)
#define BTF_INFO_KFLAG(info) ((info) >> 31)

enum {
    BTF_KIND_UNKN = 0,
    BTF_KIND_INT = 1,
    BTF_KIND_PTR = 2,
    BTF_KIND_ARRAY = 3,
    BTF_KIND_STRUCT = 4,
    BTF_KIND_UNION = 5,
    BTF_KIND_ENUM = 6,
    BTF_KIND_FWD = 7,
    BTF_KIND_TYPEDEF = 8,
    BTF_KIND_VOLATILE = 9,
    BTF_KIND_CONST = 10,
    BTF_KIND_RESTRICT = 11,
    BTF_KIND_FUNC = 12,
    BTF_KIND_FUNC_PROTO = 13,
    BTF_KIND_VAR = 14,
    BTF_KIND_DATASEC = 15,
    BTF_KIND_FLOAT = 16,
    BTF_KIND_DECL_TAG = 17,
    BTF_KIND_TYPE_TAG = 18,
    BTF_KIND_ENUM64 = 19,

    NR_BTF_KINDS = 20,
    BTF_KIND_MAX = 19,
};

// BTF_KIND_INT is followed by one word.
#define BTF_INT_ENCODING(VAL) (((VAL)&0x0f000000) >> 24)
#define BTF_INT_OFFSET(VAL) (((VAL)&0x00ff0000) >> 16)
#define BTF_INT_BITS(VAL) ((VAL)&0x000000ff)

#define BTF_INT_SIGNED (1 << 0)
#define BTF_INT_CHAR (1 << 1)
#define BTF_INT_BOOL (1 << 2)

// BTF_KIND_ENUM: one per enumerator.
struct btf_enum {
    __u32 name_off;
    __s32 val;
};
BAREBPF_ABI_SIZE(struct btf_enum, 8);

// BTF_KIND_ENUM64: one per enumerator, the value in two halves.
struct btf_enum64 {
    __u32 name_off;
    __u32 val_lo32;
    __u32 val_hi32;
};
BAREBPF_ABI_SIZE(struct btf_enum64, 12);

// BTF_KIND_ARRAY: exactly one.
struct btf_array {
    __u32 type;
    __u32 index_type;
    __u32 nelems;
};
BAREBPF_ABI_SIZE(struct btf_array, 12);

// BTF_KIND_STRUCT and UNION: one per member. With the kind flag set, `offset` holds a bit-field's
// size and bit offset; without it, the bit offset alone.
struct btf_member {
    __u32 name_off;
    __u32 type;
    __u32 offset;
};
BAREBPF_ABI_SIZE(struct btf_member, 12);

#define BTF_MEMBER_BITFIELD_SIZE(val) ((val) >> 24)
#define BTF_MEMBER_BIT_OFFSET(val) ((val)&0xffffff)

// BTF_KIND_FUNC_PROTO: one per parameter; a last one of zeros stands for "...".
struct btf_param {
    __u32 name_off;
    __u32 type;
};
BAREBPF_ABI_SIZE(struct btf_param, 8);

// Linkage of BTF_KIND_VAR.
enum {
    BTF_VAR_STATIC = 0,
    BTF_VAR_GLOBAL_ALLOCATED = 1,
    BTF_VAR_GLOBAL_EXTERN = 2,
};

// Linkage of BTF_KIND_FUNC, kept in the vlen bits.
enum btf_func_linkage {
    BTF_FUNC_STATIC = 0,
    BTF_FUNC_GLOBAL = 1,
    BTF_FUNC_EXTERN = 2,
};

// BTF_KIND_VAR: exactly one.
struct btf_var {
    __u32 linkage;
};
BAREBPF_ABI_SIZE(struct btf_var, 4);

// BTF_KIND_DATASEC: one per variable of the section.
struct btf_var_secinfo {
    __u32 type;
    __u32 offset;
    __u32 size;
};
BAREBPF_ABI_SIZE(struct btf_var_secinfo, 12);

// BTF_KIND_DECL_TAG: exactly one; -1 tags the declaration itself, else its member or parameter.
struct btf_decl_tag {
    __s32 component_idx;
};
BAREBPF_ABI_SIZE(struct btf_decl_tag, 4);

#endif  // __LINUX_BTF_H__
