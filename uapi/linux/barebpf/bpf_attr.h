// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Second argument of bpf(2). One member struct per command, or per family of commands; user
// pointers are __aligned_u64. Include "uapi/linux/bpf.h" rather than this part.
#ifndef BAREBPF_UAPI_BPF_ATTR_H
#define BAREBPF_UAPI_BPF_ATTR_H

#include "uapi/linux/barebpf/bpf_enums.h"
#include "uapi/linux/barebpf/types.h"

#define BPF_OBJ_NAME_LEN 16U

union bpf_attr {
    // MAP_CREATE
    struct {
        __u32 map_type;
        __u32 key_size;
        __u32 value_size;
        __u32 max_entries;
        __u32 map_flags;
        __u32 inner_map_fd;
        __u32 numa_node;
        char map_name[BPF_OBJ_NAME_LEN];
        __u32 map_ifindex;
        __u32 btf_fd;
        __u32 btf_key_type_id;
        __u32 btf_value_type_id;
        __u32 btf_vmlinux_value_type_id;
        __u64 map_extra;
    };

    // MAP_*_ELEM, MAP_GET_NEXT_KEY; MAP_FREEZE uses map_fd alone
    struct {
        __u32 map_fd;
        __aligned_u64 key;
        union {
            __aligned_u64 value;
            __aligned_u64 next_key;
        };
        __u64 flags;
    };

    // MAP_*_BATCH
    struct {
        __aligned_u64 in_batch;
        __aligned_u64 out_batch;
        __aligned_u64 keys;
        __aligned_u64 values;
        __u32 count;
        __u32 map_fd;
        __u64 elem_flags;
        __u64 flags;
    } batch;

    // PROG_LOAD
    struct {
        __u32 prog_type;
        __u32 insn_cnt;
        __aligned_u64 insns;
        __aligned_u64 license;
        __u32 log_level;
        __u32 log_size;
        __aligned_u64 log_buf;
        __u32 kern_version;
        __u32 prog_flags;
        char prog_name[BPF_OBJ_NAME_LEN];
        __u32 prog_ifindex;
        __u32 expected_attach_type;
        __u32 prog_btf_fd;
        __u32 func_info_rec_size;
        __aligned_u64 func_info;
        __u32 func_info_cnt;
        __u32 line_info_rec_size;
        __aligned_u64 line_info;
        __u32 line_info_cnt;
        __u32 attach_btf_id;
        union {
            __u32 attach_prog_fd;
            __u32 attach_btf_obj_fd;
        };
        __u32 core_relo_cnt;
        __aligned_u64 fd_array;
        __aligned_u64 core_relos;
        __u32 core_relo_rec_size;
    };

    // OBJ_PIN, OBJ_GET
    struct {
        __aligned_u64 pathname;
        __u32 bpf_fd;
        __u32 file_flags;
    };

    // PROG_ATTACH, PROG_DETACH
    struct {
        __u32 target_fd;
        __u32 attach_bpf_fd;
        __u32 attach_type;
        __u32 attach_flags;
        __u32 replace_bpf_fd;
    };

    // PROG_TEST_RUN
    struct {
        __u32 prog_fd;
        __u32 retval;
        __u32 data_size_in;
        __u32 data_size_out;
        __aligned_u64 data_in;
        __aligned_u64 data_out;
        __u32 repeat;
        __u32 duration;
        __u32 ctx_size_in;
        __u32 ctx_size_out;
        __aligned_u64 ctx_in;
        __aligned_u64 ctx_out;
        __u32 flags;
        __u32 cpu;
        __u32 batch_size;
    } test;

    // *_GET_NEXT_ID, *_GET_FD_BY_ID
    struct {
        union {
            __u32 start_id;
            __u32 prog_id;
            __u32 map_id;
            __u32 btf_id;
            __u32 link_id;
        };
        __u32 next_id;
        __u32 open_flags;
    };

    // OBJ_GET_INFO_BY_FD
    struct {
        __u32 bpf_fd;
        __u32 info_len;
        __aligned_u64 info;
    } info;

    // PROG_QUERY
    struct {
        __u32 target_fd;
        __u32 attach_type;
        __u32 query_flags;
        __u32 attach_flags;
        __aligned_u64 prog_ids;
        __u32 prog_cnt;
        __aligned_u64 prog_attach_flags;
    } query;

    // RAW_TRACEPOINT_OPEN
    struct {
        __u64 name;
        __u32 prog_fd;
    } raw_tracepoint;

    // BTF_LOAD
    struct {
        __aligned_u64 btf;
        __aligned_u64 btf_log_buf;
        __u32 btf_size;
        __u32 btf_log_size;
        __u32 btf_log_level;
    };

    // TASK_FD_QUERY
    struct {
        __u32 pid;
        __u32 fd;
        __u32 flags;
        __u32 buf_len;
        __aligned_u64 buf;
        __u32 prog_id;
        __u32 fd_type;
        __u64 probe_offset;
        __u64 probe_addr;
    } task_fd_query;

    // LINK_CREATE
    struct {
        __u32 prog_fd;
        union {
            __u32 target_fd;
            __u32 target_ifindex;
        };
        __u32 attach_type;
        __u32 flags;
        union {
            __u32 target_btf_id;
            struct {
                __aligned_u64 iter_info;
                __u32 iter_info_len;
            };
            struct {
                __u64 bpf_cookie;
            } perf_event;
            struct {
                __u32 flags;
                __u32 cnt;
                __aligned_u64 syms;
                __aligned_u64 addrs;
                __aligned_u64 cookies;
            } kprobe_multi;
            struct {
                __u32 target_btf_id;
                __u64 cookie;
            } tracing;
        };
    } link_create;

    // LINK_UPDATE
    struct {
        __u32 link_fd;
        __u32 new_prog_fd;
        __u32 flags;
        __u32 old_prog_fd;
    } link_update;

    // LINK_DETACH
    struct {
        __u32 link_fd;
    } link_detach;

    // ENABLE_STATS
    struct {
        __u32 type;
    } enable_stats;

    // ITER_CREATE
    struct {
        __u32 link_fd;
        __u32 flags;
    } iter_create;

    // PROG_BIND_MAP
    struct {
        __u32 prog_fd;
        __u32 map_fd;
        __u32 flags;
    } prog_bind_map;
} __attribute__((aligned(8)));
BAREBPF_ABI_SIZE(union bpf_attr, 144);

// What link_create.iter_info points at.
union bpf_iter_link_info {
    struct {
        __u32 map_fd;
    } map;
    struct {
        enum bpf_cgroup_iter_order order;
        __u32 cgroup_fd;
        __u64 cgroup_id;
    } cgroup;
    struct {
        __u32 tid;
        __u32 pid;
        __u32 pid_fd;
    } task;
};
BAREBPF_ABI_SIZE(union bpf_iter_link_info, 16);

#endif  // BAREBPF_UAPI_BPF_ATTR_H
