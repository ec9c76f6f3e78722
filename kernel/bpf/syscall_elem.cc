// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf(2): elements of maps. Each command: check flags, find the map, check what the descriptor
// allows, copy in, call the type, copy out; the order of these is Linux's.
//
// The type's functions run as programs would call them: pinned, inside an RCU read section. Nothing
// is copied from or to user space there.
#include "kernel/bpf/syscall_elem.h"

namespace barebpf {
namespace {

using host::UserAddress;

constinit host::MemoryOwner temporaries;

// A key or value on its way between user space and a map; small ones need no allocation.
class Transfer {
public:
    Transfer() = default;
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    Result<void> allocate(size_t size) {
        if (size <= sizeof small_) return {};
        if (!large_.allocate(size, host::AllocContext::MaySleep, temporaries)) return Errno::NoMem;
        return {};
    }
    Result<void> copy_in(UserAddress from, size_t size) {
        TRY(allocate(size));
        return host::copy_from_user(data(), from, size);
    }
    void* data() { return large_.data() ? large_.data() : small_; }

private:
    alignas(8) u8 small_[128];
    host::Buffer<u8> large_;
};

Result<s64> to_result(s64 result) {
    if (result < 0) return Errno(static_cast<int>(-result));
    return result;
}

// A map without keys (a queue) wants a null pointer for one.
Result<void> copy_key(const Map* map, u64 user_key, Transfer* key) {
    if (map->key_size == 0) {
        if (user_key) return Errno::Inval;
        return {};
    }
    return key->copy_in(UserAddress{user_key}, map->key_size);
}

s64 copy_value(Map* map, const void* key, void* value, u64 flags) {
    InsideProgram inside;
    return copy_element(map, key, value, flags);
}

// Types whose elements are descriptors translate them in process context, where objects may be
// looked up and given back.
s64 update(Map* map, const void* key, const void* value, u64 flags) {
    if (map->ops->update_from_user) return map->ops->update_from_user(map, key, value, flags);
    if (!map->ops->update) return -to_int(Errno::NotSupp);
    InsideProgram inside;
    return map->ops->update(map, key, value, flags);
}

}  // namespace

Result<s64> map_lookup_elem(const bpf_attr& attr, UserAddress) {
    if (attr.flags & ~u64{BPF_F_LOCK}) return Errno::Inval;
    ElementTarget map;
    TRY(map.open(attr.map_fd, true, false));
    if (!lock_flag_ok(map.get(), attr.flags)) return Errno::Inval;
    Transfer key, value;
    TRY(copy_key(map.get(), attr.key, &key));
    const u32 size = value_size_for_user(map.get());
    if (map->type == BPF_MAP_TYPE_BLOOM_FILTER) {  // the value is the question
        TRY(value.copy_in(UserAddress{attr.value}, size));
        return to_result(copy_value(map.get(), key.data(), value.data(), attr.flags));
    }
    TRY(value.allocate(size));
    TRY(to_result(copy_value(map.get(), key.data(), value.data(), attr.flags)));
    TRY(host::copy_to_user(UserAddress{attr.value}, value.data(), size));
    return s64{0};
}

Result<s64> map_update_elem(const bpf_attr& attr, UserAddress) {
    ElementTarget map;
    TRY(map.open(attr.map_fd, false, true));
    if (!lock_flag_ok(map.get(), attr.flags)) return Errno::Inval;
    Transfer key, value;
    TRY(copy_key(map.get(), attr.key, &key));
    TRY(value.copy_in(UserAddress{attr.value}, value_size_for_user(map.get())));
    TRY(to_result(update(map.get(), key.data(), value.data(), attr.flags)));
    map.changed();
    return s64{0};
}

Result<s64> map_delete_elem(const bpf_attr& attr, UserAddress) {
    ElementTarget map;
    TRY(map.open(attr.map_fd, false, true));
    Transfer key;
    TRY(copy_key(map.get(), attr.key, &key));
    if (!map->ops->erase) return Errno::NotSupp;
    {
        InsideProgram inside;
        TRY(to_result(map->ops->erase(map.get(), key.data())));
    }
    map.changed();
    return s64{0};
}

Result<s64> map_get_next_key(const bpf_attr& attr, UserAddress) {
    ElementTarget map;
    TRY(map.open(attr.map_fd, true, false));
    Transfer key, next;
    if (attr.key) TRY(copy_key(map.get(), attr.key, &key));
    TRY(next.allocate(map->key_size));
    if (!map->ops->next_key) return Errno::NotSupp;
    {
        InsideProgram inside;
        TRY(to_result(map->ops->next_key(map.get(), attr.key ? key.data() : nullptr, next.data())));
    }
    TRY(host::copy_to_user(UserAddress{attr.next_key}, next.data(), map->key_size));
    return s64{0};
}

Result<s64> map_lookup_and_delete_elem(const bpf_attr& attr, UserAddress) {
    if (attr.flags & ~u64{BPF_F_LOCK}) return Errno::Inval;
    ElementTarget map;
    TRY(map.open(attr.map_fd, true, true));
    if (!lock_flag_ok(map.get(), attr.flags)) return Errno::Inval;
    Transfer key, value;
    TRY(copy_key(map.get(), attr.key, &key));
    const u32 size = value_size_for_user(map.get());
    TRY(value.allocate(size));
    if (!map->ops->lookup_and_erase) return Errno::NotSupp;
    {
        InsideProgram inside;
        TRY(to_result(map->ops->lookup_and_erase(map.get(), key.data(), value.data(), attr.flags)));
    }
    map.changed();
    TRY(host::copy_to_user(UserAddress{attr.value}, value.data(), size));
    return s64{0};
}

}  // namespace barebpf
