// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: reading a flattened device tree. A visitor sees each node as it ends, with the properties that
// anything here asks for.
//
// Format facts: Devicetree Specification 0.4, chapter 5: a header of big-endian words (magic 0xd00dfeed, total size,
// offsets of structure and strings), then tokens: 1 begin node and its name, 2 end node, 3 property (length,
// offset of its name, value), 4 nothing, 9 end.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::guest::arch {

struct Property {
    const u8* data = nullptr;  // null: the node has none of that name
    u32 size = 0;

    // A list of NUL-terminated strings.
    bool contains(const char* text) const;
    bool is_string() const { return size > 0 && data[size - 1] == 0; }
};

struct TreeNode {
    const char* name = nullptr;
    u32 depth = 0;                          // the root is 0
    u32 address_cells = 2, size_cells = 1;  // of its reg, that is, the parent's say
    u32 child_address_cells = 2, child_size_cells = 1;
    Property reg, compatible, device_type, bootargs, method, status;
    const TreeNode* parent = nullptr;

    bool named(const char* wanted) const;  // up to a unit address: "cpu" is the name of cpu@3
    // Entry of reg; false past its end.
    bool range(u32 index, u64* base, u64* size) const;
};

// False: there is no tree at this address, or it is broken.
bool walk_device_tree(const void* tree, void (*visit)(const TreeNode& node));

}  // namespace barebpf::guest::arch
