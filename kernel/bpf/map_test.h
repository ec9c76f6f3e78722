// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Maps for tests that need no bpf(2): made from an attr, as BPF_MAP_CREATE makes them, and a fixture with one.
// Through bpf(2): map_client_test.h.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/bpf/map_types.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf::test {

inline bpf_attr map_attr(u32 type, u32 key_size, u32 value_size, u32 entries, u32 flags = 0) {
    bpf_attr attr{};
    attr.map_type = type;
    attr.key_size = key_size;
    attr.value_size = value_size;
    attr.max_entries = entries;
    attr.map_flags = flags;
    return attr;
}

// Null: the type refuses the attr, or there is no memory.
inline Map* make_map(const bpf_attr& attr) {
    const MapOps* ops = map_ops(attr.map_type);
    if (!ops || !ops->check_attr(attr)) return nullptr;
    const Result<Map*> made = ops->create(attr);
    if (!made) return nullptr;
    map_init_from_attr(made.value(), ops, attr);
    return made.value();
}

// Its memory is free when this returns, if nobody else holds it. May be null.
inline void drop_map(Map* map) {
    if (map) map_put(map);
    settle();
}

// For fixtures: a map that goes with the test, which is inside the library.
template <class Base = ::testing::Test>
class WithMap : public Base {
protected:
    void make(const bpf_attr& attr) {
        map_ = make_map(attr);
        ASSERT_NE(map_, nullptr);
    }
    void drop() {
        drop_map(map_);
        map_ = nullptr;
    }
    void TearDown() override { drop(); }

    host::Cpu::Entry inside_;
    Map* map_ = nullptr;
};

}  // namespace barebpf::test
