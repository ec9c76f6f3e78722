// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The life of a BTF object, and bpf(2)'s commands on it: BTF_LOAD, ids, info.
#include "kernel/bpf/btf.h"

#include "kernel/bpf/btf_internal.h"
#include "kernel/bpf/refcount.h"
#include "kernel/bpf/syscall.h"
#include "kernel/host/cred.h"
#include "kernel/lib/id_table.h"
#include "kernel/lib/list.h"

namespace barebpf {
namespace {

using host::AllocContext;
using host::Order;
using host::UserAddress;

constexpr u32 kMaxSize = 16 << 20;  // BTF_MAX_SIZE
constexpr u32 kMinLog = 128;
constexpr u32 kLogMask = 7;
constexpr u32 kLogRoom = 512;  // for the one line that says why

constinit IdTable<Btf> btf_ids;
constinit host::MemoryOwner btf_structs;

Btf* btf_of(host::FileObject* object) {
    return static_cast<Btf*>(object);
}

constexpr host::FileOps kBtfFileOps = {
    .kind = host::FileKind::Btf,
    .name = "btf",
    .release = [](host::FileObject* object) { btf_put(btf_of(object)); },
    .show_fdinfo = [](host::FileObject* object,
                      TextBuffer* out) { out->print("btf_id:\t", btf_of(object)->id, "\n"); },
    .mmap = nullptr,
    .munmapped = nullptr,
    .poll = nullptr,
};

void btf_free(Btf* btf) {
    btf->~Btf();
    host::free(btf, sizeof(Btf), btf_structs);
}

Btf* btf_alloc() {
    void* memory = host::alloc(sizeof(Btf), AllocContext::MaySleep, btf_structs);
    if (!memory) return nullptr;
    Btf* btf = construct_at<Btf>(memory);
    btf->file_ops = &kBtfFileOps;
    btf->refs.store(1, Order::Relaxed);
    return btf;
}

Result<void> check_log_request(const bpf_attr& attr) {
    if (!attr.btf_log_level && !attr.btf_log_buf && !attr.btf_log_size) return {};
    if (attr.btf_log_size < kMinLog || attr.btf_log_size > ~u32{0} >> 2 || !attr.btf_log_level ||
        attr.btf_log_level & ~kLogMask || !attr.btf_log_buf) {
        return Errno::Inval;
    }
    return {};
}

// Why a blob was refused, or nothing: at most what fits the caller's buffer.
Result<void> write_log(const bpf_attr& attr, const TextBuffer& log) {
    if (!attr.btf_log_buf) return {};
    const UserAddress to{attr.btf_log_buf};
    const bool fits = log.length() < attr.btf_log_size;
    const size_t length = fits ? log.length() : attr.btf_log_size - 1;
    TRY(host::copy_to_user(to, log.c_str(), length));
    TRY(host::put_user(to + length, '\0'));
    if (!fits) return Errno::NoSpc;
    return {};
}

Result<void> fill_btf(Btf* btf, const bpf_attr& attr) {
    if (attr.btf_size > kMaxSize) return Errno::TooBig;
    TRY(check_log_request(attr));
    if (!btf->data.allocate(attr.btf_size, AllocContext::MaySleep, btf->memory))
        return Errno::NoMem;
    TRY(host::copy_from_user(btf->data.data(), UserAddress{attr.btf}, attr.btf_size));
    char text[kLogRoom];
    TextBuffer log(text);
    auto checked = btf_check(btf, &log);
    auto written = write_log(attr, log);
    return checked.ok() ? move(written) : move(checked);
}

}  // namespace

void btf_get(Btf* btf) {
    ref_get(btf->refs);
}

void btf_put(Btf* btf) {
    if (!ref_put(btf->refs)) return;
    if (btf->id) btf_ids.erase(btf->id);
    host::call_rcu_process(&btf->rcu, [](host::RcuHead* head) {
        btf_free(detail::container<Btf, host::RcuHead, &Btf::rcu>(head));
    });
}

Result<Btf*> btf_get_by_fd(int fd) {
    const host::FileRef ref = TRY((object_from_fd<Btf, host::FileKind::Btf>(fd)));
    return btf_of(ref.object);
}

Result<Btf*> btf_get_by_id(u32 id) {
    Btf* btf = btf_ids.find(id, [](Btf* found) { return ref_get_unless_zero(found->refs); });
    if (!btf) return Errno::NoEnt;
    return btf;
}

void btf_reset_ids() {
    btf_ids.reset();
}
void btf_forget_ids() {
    btf_ids.forget();
}

Result<s64> btf_load(const bpf_attr& attr, UserAddress) {
    if (!host::capable(host::Capability::Bpf)) return Errno::Perm;
    Btf* btf = btf_alloc();
    if (!btf) return Errno::NoMem;
    if (auto filled = fill_btf(btf, attr); !filled) {
        btf_free(btf);
        return filled.error();
    }
    if (auto inserted = btf_ids.insert(btf); !inserted) {
        btf_free(btf);
        return inserted.error();
    }
    auto fd = host::install_fd(btf, host::FileMode::ReadOnly);
    if (!fd) {
        btf_put(btf);
        return fd.error();
    }
    return s64{fd.value()};
}

Result<s64> btf_get_next_id(const bpf_attr& attr, UserAddress uattr) {
    return put_next_id(attr, uattr, [](u32 after) { return btf_ids.next_id(after); });
}

Result<s64> btf_get_fd_by_id(const bpf_attr& attr, UserAddress) {
    if (!host::capable(host::Capability::SysAdmin)) return Errno::Perm;
    Btf* btf = TRY(btf_get_by_id(attr.btf_id));
    auto fd = host::install_fd(btf, host::FileMode::ReadOnly);
    if (!fd) {
        btf_put(btf);
        return fd.error();
    }
    return s64{fd.value()};
}

Result<s64> btf_info(Btf* btf, const bpf_attr& attr, UserAddress uattr) {
    bpf_btf_info info{};
    const u32 size = TRY(begin_info(&info, sizeof info, attr));
    const u32 room = info.btf_size;
    const u32 bytes = u32(btf->data.size());
    TRY(host::copy_to_user(UserAddress{info.btf}, btf->data.data(), room < bytes ? room : bytes));
    info.id = btf->id;
    info.btf_size = bytes;
    info.kernel_btf = 0;
    // Objects that are loaded have no name; the caller may have made room for one.
    if (info.name_len && !info.name) return Errno::Inval;
    if (info.name_len) TRY(host::put_user(UserAddress{info.name}, '\0'));
    info.name_len = 0;
    return end_info(UserAddress{attr.info.info}, &info, size, uattr);
}

}  // namespace barebpf
