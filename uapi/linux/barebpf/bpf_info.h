// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What OBJ_GET_INFO_BY_FD reports, and the records that accompany a program. Include
// "uapi/linux/bpf.h" rather than this part.
#ifndef BAREBPF_UAPI_BPF_INFO_H
#define BAREBPF_UAPI_BPF_INFO_H

#include "uapi/linux/barebpf/bpf_attr.h"
#include "uapi/linux/barebpf/types.h"

#define BPF_TAG_SIZE 8
// Pointers and counts come in pairs: room offered when asked, number there is when answered.
struct bpf_prog_info {
    __u32 type;
    __u32 id;
    __u8 tag[BPF_TAG_SIZE];
    __u32 jited_prog_len;
    __u32 xlated_prog_len;
    __aligned_u64 jited_prog_insns;
    __aligned_u64 xlated_prog_insns;
    __u64 load_time;
    __u32 created_by_uid;
    __u32 nr_map_ids;
    __aligned_u64 map_ids;
    char name[BPF_OBJ_NAME_LEN];
    __u32 ifindex;
    __u32 gpl_compatible : 1;
    __u32 : 31;
    __u64 netns_dev;
    __u64 netns_ino;
    __u32 nr_jited_ksyms;
    __u32 nr_jited_func_lens;
    __aligned_u64 jited_ksyms;
    __aligned_u64 jited_func_lens;
    __u32 btf_id;
    __u32 func_info_rec_size;
    __aligned_u64 func_info;
    __u32 nr_func_info;
    __u32 nr_line_info;
    __aligned_u64 line_info;
    __aligned_u64 jited_line_info;
    __u32 nr_jited_line_info;
    __u32 line_info_rec_size;
    __u32 jited_line_info_rec_size;
    __u32 nr_prog_tags;
    __aligned_u64 prog_tags;
    __u64 run_time_ns;
    __u64 run_cnt;
    __u64 recursion_misses;
    __u32 verified_insns;
    __u32 attach_btf_obj_id;
    __u32 attach_btf_id;
    __u32 : 32;
} __attribute__((aligned(8)));
BAREBPF_ABI_SIZE(struct bpf_prog_info, 232);

struct bpf_map_info {
    __u32 type;
    __u32 id;
    __u32 key_size;
    __u32 value_size;
    __u32 max_entries;
    __u32 map_flags;
    char name[BPF_OBJ_NAME_LEN];
    __u32 ifindex;
    __u32 btf_vmlinux_value_type_id;
    __u64 netns_dev;
    __u64 netns_ino;
    __u32 btf_id;
    __u32 btf_key_type_id;
    __u32 btf_value_type_id;
    __u32 : 32;
    __u64 map_extra;
} __attribute__((aligned(8)));
BAREBPF_ABI_SIZE(struct bpf_map_info, 88);

struct bpf_btf_info {
    __aligned_u64 btf;
    __u32 btf_size;
    __u32 id;
    __aligned_u64 name;
    __u32 name_len;
    __u32 kernel_btf;
} __attribute__((aligned(8)));
BAREBPF_ABI_SIZE(struct bpf_btf_info, 32);

struct bpf_link_info {
    __u32 type;
    __u32 id;
    __u32 prog_id;
    union {
        struct {
            __aligned_u64 tp_name;
            __u32 tp_name_len;
        } raw_tracepoint;
        struct {
            __u32 attach_type;
            __u32 target_obj_id;
            __u32 target_btf_id;
        } tracing;
        struct {
            __u64 cgroup_id;
            __u32 attach_type;
        } cgroup;
        struct {
            __aligned_u64 target_name;
            __u32 target_name_len;
            union {
                struct {
                    __u32 map_id;
                } map;
            };
            union {
                struct {
                    __u64 cgroup_id;
                    __u32 order;
                } cgroup;
                struct {
                    __u32 tid;
                    __u32 pid;
                } task;
            };
        } iter;
        struct {
            __u32 netns_ino;
            __u32 attach_type;
        } netns;
        struct {
            __u32 ifindex;
        } xdp;
    };
} __attribute__((aligned(8)));
BAREBPF_ABI_SIZE(struct bpf_link_info, 48);

// PROG_LOAD: one per function.
struct bpf_func_info {
    __u32 insn_off;
    __u32 type_id;
};
BAREBPF_ABI_SIZE(struct bpf_func_info, 8);

// line_col packs both numbers.
#define BPF_LINE_INFO_LINE_NUM(line_col) ((line_col) >> 10)
#define BPF_LINE_INFO_LINE_COL(line_col) ((line_col)&0x3ff)
// PROG_LOAD: one per source line. The offsets of file and line text are into the BTF strings.
struct bpf_line_info {
    __u32 insn_off;
    __u32 file_name_off;
    __u32 line_off;
    __u32 line_col;
};
BAREBPF_ABI_SIZE(struct bpf_line_info, 16);

enum bpf_core_relo_kind {
    BPF_CORE_FIELD_BYTE_OFFSET = 0,
    BPF_CORE_FIELD_BYTE_SIZE = 1,
    BPF_CORE_FIELD_EXISTS = 2,
    BPF_CORE_FIELD_SIGNED = 3,
    BPF_CORE_FIELD_LSHIFT_U64 = 4,
    BPF_CORE_FIELD_RSHIFT_U64 = 5,
    BPF_CORE_TYPE_ID_LOCAL = 6,
    BPF_CORE_TYPE_ID_TARGET = 7,
    BPF_CORE_TYPE_EXISTS = 8,
    BPF_CORE_TYPE_SIZE = 9,
    BPF_CORE_ENUMVAL_EXISTS = 10,
    BPF_CORE_ENUMVAL_VALUE = 11,
    BPF_CORE_TYPE_MATCHES = 12,
};

// A compile-once relocation, by the loader or (core_relos of PROG_LOAD) in the kernel.
struct bpf_core_relo {
    __u32 insn_off;
    __u32 type_id;
    __u32 access_str_off;
    enum bpf_core_relo_kind kind;
};
BAREBPF_ABI_SIZE(struct bpf_core_relo, 16);

#endif  // BAREBPF_UAPI_BPF_INFO_H
