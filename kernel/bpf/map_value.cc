// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/map_value.h"

namespace barebpf {

using host::Order;

namespace {

constexpr u32 kLockSize = 4;

u8* bytes(void* p) {
    return static_cast<u8*>(p);
}
const u8* bytes(const void* p) {
    return static_cast<const u8*>(p);
}

class ValueLock {
public:
    ValueLock(const Map* map, const void* value)
        : word_(host::atomic_at<u32>(const_cast<u8*>(bytes(value)) + map->spin_lock_offset)) {
        acquire_value_lock(word_);
    }
    ~ValueLock() { release_value_lock(word_); }
    ValueLock(const ValueLock&) = delete;
    ValueLock& operator=(const ValueLock&) = delete;

private:
    host::IrqOff irq_off_;
    host::Atomic<u32>& word_;
};

}  // namespace

void acquire_value_lock(host::Atomic<u32>& word) {
    // Acquire pairs with the release of whoever held it before.
    u32 free = 0;
    for (u32 spins = 0; !word.compare_exchange(free, 1, Order::Acquire, Order::Relaxed); ++spins) {
        backend::spin_relax(spins);
        free = 0;
    }
}

void store_value_around_lock(const Map* map, void* map_side, const void* from) {
    const u32 lock = static_cast<u32>(map->spin_lock_offset);
    const u32 behind = lock + kLockSize;
    store_bytes(map_side, from, lock);
    // A lock is 4-byte aligned; the words after it may be 4 bytes off.
    const u32 odd = behind % 8 && behind < map->value_size ? 4 : 0;
    for (u32 i = behind; i < behind + odd && i < map->value_size; ++i) {
        host::atomic_at<u8>(bytes(map_side) + i).store(bytes(from)[i], Order::Relaxed);
    }
    if (behind + odd < map->value_size) {
        store_bytes(bytes(map_side) + behind + odd, bytes(from) + behind + odd,
                    map->value_size - behind - odd);
    }
}

void load_value_around_lock(const Map* map, void* to, const void* map_side) {
    load_bytes(to, map_side, map->value_size);
    __builtin_memset(bytes(to) + map->spin_lock_offset, 0, kLockSize);
}

void store_value_locked(const Map* map, void* map_side, const void* from) {
    ValueLock lock(map, map_side);
    store_value_around_lock(map, map_side, from);
}

void load_value_locked(const Map* map, void* to, const void* map_side) {
    ValueLock lock(map, map_side);
    load_value_around_lock(map, to, map_side);
}

}  // namespace barebpf
