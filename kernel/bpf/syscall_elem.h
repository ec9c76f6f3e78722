// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What bpf(2)'s commands on single elements and on batches of them share.
#pragma once

#include "kernel/bpf/map_value.h"
#include "kernel/bpf/syscall.h"

namespace barebpf {

// The map of an element command, for as long as the command runs.
class ElementTarget {
public:
    ElementTarget() = default;
    ElementTarget(const ElementTarget&) = delete;
    ElementTarget& operator=(const ElementTarget&) = delete;
    ~ElementTarget() {
        if (changed_ && map_->inner_meta) host::synchronize_rcu();
        if (!map_) return;
        if (writing_) {
            map_put_writing(map_);
        } else {
            map_put(map_);
        }
    }

    // BadF, Inval; Perm: not allowed through this descriptor, or frozen.
    Result<void> open(u32 fd, bool read, bool write) {
        const int number = static_cast<int>(fd);
        const MapRef ref =
            TRY(write ? map_get_by_fd_to_write(number, &writing_) : map_get_by_fd(number));
        map_ = ref.map;
        if ((read && !may_read(ref.mode)) || (write && (!writing_ || !may_write(ref.mode)))) {
            return Errno::Perm;
        }
        return {};
    }
    // The command has changed elements. One that changed a map of maps returns when no program uses what was in the
    // map before: user space may then take the old inner map for its own ("bpf: Wait for running BPF programs when
    // updating map-in-map").
    void changed() { changed_ = true; }
    Map* operator->() const { return map_; }
    Map* get() const { return map_; }

private:
    Map* map_ = nullptr;
    bool writing_ = false;
    bool changed_ = false;
};

// As programs call the type's functions.
struct InsideProgram {
    host::Cpu::Pin pin;
    host::RcuReadGuard rcu;
};

// A value as bpf(2) passes it, by the type's own way or from lookup(). Inside a program's context.
ALWAYS_INLINE s64 copy_element(Map* map, const void* key, void* value, u64 flags) {
    if (map->ops->copy_value) return map->ops->copy_value(map, key, value, flags);
    if (!map->ops->lookup) return -to_int(Errno::NotSupp);
    const void* found = map->ops->lookup(map, key);
    if (!found) return -to_int(Errno::NoEnt);
    load_value(map, value, found);
    return 0;
}

// syscall_batch.cc
Result<s64> map_lookup_batch(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_lookup_and_delete_batch(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_update_batch(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_delete_batch(const bpf_attr& attr, host::UserAddress uattr);

}  // namespace barebpf
