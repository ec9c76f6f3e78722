// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf(2): attr in, the table of commands, and what commands of every kind need.
#include "kernel/bpf/syscall.h"

#include "kernel/bpf/btf.h"
#include "kernel/bpf/map.h"
#include "kernel/bpf/prog_internal.h"
#include "kernel/bpf/syscall_elem.h"
#include "kernel/host/cred.h"

namespace barebpf {
namespace {

using host::UserAddress;

constexpr u32 kMaxId = 0x7fffffff;  // ids stay below
constexpr Errno kBadFd{77};         // EBADFD: OBJ_GET_INFO_BY_FD's own word for a bad descriptor

// A struct of the caller's whose size may differ from ours: what we do not know must be zero.
Result<void> check_excess(UserAddress from, u32 ours, u32 theirs) {
    if (theirs > host::kPageSize) return Errno::TooBig;
    if (theirs <= ours) return {};
    return TRY(host::user_bytes_are_zero(from + ours, theirs - ours))
    ? Result<void>{} : Errno::TooBig;
}

// In parts for which compilers write plain stores; all at once it is a REP STOS, which takes thirty cycles to begin.
ALWAYS_INLINE void zero(bpf_attr& attr) {
    constexpr u32 kPart = 48;
    static_assert(sizeof attr % kPart == 0);
    for (u32 i = 0; i < sizeof attr; i += kPart) {
        __builtin_memset(reinterpret_cast<u8*>(&attr) + i, 0, kPart);
    }
}

// Bytes from begin on, of `given` that the caller has set; begin is a multiple of 4: see ends_are_aligned(), the rest up to
// the next one is zero.
bool zero_from(const bpf_attr& attr, u32 begin, u32 given) {
    const auto* bytes = reinterpret_cast<const u8*>(&attr);
    u32 any = 0;
    for (u32 i = begin; i < given; i += 4) {
        u32 word;
        __builtin_memcpy(&word, bytes + i, 4);
        any |= word;
    }
    return !any;
}

// Result is not copied: its value is what the caller of bpf(2) gets.
template <class Object>
Result<s64> info_of(Object* object, Result<s64> (*info)(Object*, const bpf_attr&, UserAddress),
                    void (*put)(Object*), const bpf_attr& attr, UserAddress uattr) {
    Result<s64> result = info(object, attr, uattr);
    put(object);
    return result;
}

Result<s64> obj_get_info(const bpf_attr& attr, UserAddress uattr) {
    const int fd = static_cast<int>(attr.info.bpf_fd);
    auto map = map_get_by_fd(fd);
    if (map) return info_of(map.value().map, map_info, map_put, attr, uattr);
    if (map.error() == Errno::BadF) return kBadFd;
    auto prog = prog_get_by_fd(fd);
    if (prog) return info_of(prog.value(), prog_info, prog_put, attr, uattr);
    auto btf = btf_get_by_fd(fd);
    if (btf) return info_of(btf.value(), btf_info, btf_put, attr, uattr);
    return Errno::Inval;
}

struct Command {
    u32 number;
    BpfCommand run;
    u32 end;  // of the last field that it uses
};

#define BAREBPF_COMMAND(number, run, last)                                       \
    Command {                                                                    \
        number, run, __builtin_offsetof(bpf_attr, last) + sizeof(bpf_attr::last) \
    }

#define BATCH_COMMAND(number, run)                                           \
    Command {                                                                \
        number, run, __builtin_offsetof(bpf_attr, batch.flags) + sizeof(u64) \
    }

constexpr Command kCommands[] = {
    BAREBPF_COMMAND(BPF_MAP_CREATE, map_create, map_extra),
    BAREBPF_COMMAND(BPF_MAP_LOOKUP_ELEM, map_lookup_elem, flags),
    BAREBPF_COMMAND(BPF_MAP_UPDATE_ELEM, map_update_elem, flags),
    BAREBPF_COMMAND(BPF_MAP_DELETE_ELEM, map_delete_elem, key),
    BAREBPF_COMMAND(BPF_MAP_GET_NEXT_KEY, map_get_next_key, next_key),
    BAREBPF_COMMAND(BPF_MAP_GET_NEXT_ID, map_get_next_id, next_id),
    BAREBPF_COMMAND(BPF_MAP_GET_FD_BY_ID, map_get_fd_by_id, open_flags),
    Command{BPF_OBJ_GET_INFO_BY_FD, obj_get_info,
            __builtin_offsetof(bpf_attr, info.info) + sizeof(u64)},
    BAREBPF_COMMAND(BPF_MAP_LOOKUP_AND_DELETE_ELEM, map_lookup_and_delete_elem, flags),
    BAREBPF_COMMAND(BPF_MAP_FREEZE, map_freeze, map_fd),
    BATCH_COMMAND(BPF_MAP_LOOKUP_BATCH, map_lookup_batch),
    BATCH_COMMAND(BPF_MAP_LOOKUP_AND_DELETE_BATCH, map_lookup_and_delete_batch),
    BATCH_COMMAND(BPF_MAP_UPDATE_BATCH, map_update_batch),
    BATCH_COMMAND(BPF_MAP_DELETE_BATCH, map_delete_batch),
    BAREBPF_COMMAND(BPF_PROG_LOAD, prog_load, core_relo_rec_size),
    Command{BPF_PROG_TEST_RUN, prog_test_run,
            __builtin_offsetof(bpf_attr, test.batch_size) + sizeof(u32)},
    BAREBPF_COMMAND(BPF_PROG_GET_NEXT_ID, prog_get_next_id, next_id),
    BAREBPF_COMMAND(BPF_PROG_GET_FD_BY_ID, prog_get_fd_by_id, prog_id),
    BAREBPF_COMMAND(BPF_BTF_LOAD, btf_load, btf_log_level),
    BAREBPF_COMMAND(BPF_BTF_GET_NEXT_ID, btf_get_next_id, next_id),
    BAREBPF_COMMAND(BPF_BTF_GET_FD_BY_ID, btf_get_fd_by_id, btf_id),
};

#undef BAREBPF_COMMAND
#undef BATCH_COMMAND

constexpr bool ends_are_aligned() {
    for (const Command& command : kCommands) {
        if (command.end % 4) return false;
    }
    return true;
}
static_assert(ends_are_aligned());

const Command* find_command(u32 number) {
    for (const Command& command : kCommands) {
        if (command.number == number) return &command;
    }
    return nullptr;
}

Result<s64> run_command(u32 number, UserAddress uattr, u32 size) {
    // What makes new objects is refused first; everything else depends on having one.
    const bool makes_objects = number == BPF_MAP_CREATE || number == BPF_PROG_LOAD;
    if (makes_objects && backend::Cred::unprivileged_bpf_disabled() &&
        !host::capable(host::Capability::Bpf)) {
        return Errno::Perm;
    }
    bpf_attr attr;
    TRY(check_excess(uattr, sizeof attr, size));
    zero(attr);
    const u32 given = size < sizeof attr ? size : sizeof attr;
    TRY(host::copy_from_user(&attr, uattr, given));
    const Command* command = find_command(number);
    if (!command || !zero_from(attr, command->end, given)) return Errno::Inval;
    return command->run(attr, uattr);
}

constexpr bool in_object_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

}  // namespace

s64 bpf_command(u32 command, UserAddress attr, u32 size) {
    const Result<s64> result = run_command(command, attr, size);
    return result ? result.value() : -to_int(result.error());
}

Result<host::FileMode> file_mode_from_flags(u32 flags) {
    switch (flags & (BPF_F_RDONLY | BPF_F_WRONLY)) {
        case 0:
            return host::FileMode::ReadWrite;
        case BPF_F_RDONLY:
            return host::FileMode::ReadOnly;
        case BPF_F_WRONLY:
            return host::FileMode::WriteOnly;
        default:
            return Errno::Inval;
    }
}

Result<void> copy_object_name(char* to, const char* from) {
    __builtin_memset(to, 0, BPF_OBJ_NAME_LEN);
    for (u32 i = 0; i < BPF_OBJ_NAME_LEN; ++i) {
        if (from[i] == '\0') return {};
        if (!in_object_name(from[i])) return Errno::Inval;
        to[i] = from[i];
    }
    return Errno::Inval;
}

Result<s64> put_next_id(const bpf_attr& attr, UserAddress uattr, Result<u32> (*next)(u32)) {
    if (attr.start_id >= kMaxId) return Errno::Inval;
    if (!host::capable(host::Capability::SysAdmin)) return Errno::Perm;
    const u32 id = TRY(next(attr.start_id));
    TRY(host::put_user(uattr + __builtin_offsetof(bpf_attr, next_id), id));
    return s64{0};
}

Result<u32> info_size(u32 size, const bpf_attr& attr) {
    TRY(check_excess(UserAddress{attr.info.info}, size, attr.info.info_len));
    return size < attr.info.info_len ? size : attr.info.info_len;
}

Result<u32> begin_info(void* info, u32 size, const bpf_attr& attr) {
    const u32 common = TRY(info_size(size, attr));
    TRY(host::copy_from_user(info, UserAddress{attr.info.info}, common));
    return common;
}

Result<s64> end_info(UserAddress to, const void* info, u32 size, UserAddress uattr) {
    TRY(host::copy_to_user(to, info, size));
    TRY(host::put_user(uattr + __builtin_offsetof(bpf_attr, info.info_len), size));
    return s64{0};
}

}  // namespace barebpf
