// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/guest/arm64/device_tree.h"

namespace barebpf::guest::arch {

namespace {

constexpr u32 kMagic = 0xd00dfeed;
constexpr u32 kMaxBytes = 2 << 20;
constexpr u32 kMaxDepth = 8;

u32 word(const u8* at) {
    return u32{at[0]} << 24 | u32{at[1]} << 16 | u32{at[2]} << 8 | at[3];
}

u64 cells(const u8* at, u32 count) {
    u64 value = 0;
    for (u32 i = 0; i < count; i++) value = value << 32 | word(at + 4 * i);
    return value;
}

bool equal(const char* a, const char* b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

class Walk {
public:
    Walk(const u8* tree, void (*visit)(const TreeNode&)) : tree_(tree), visit_(visit) {
        at_ = word(tree + 8);
        strings_ = word(tree + 12);
        size_ = word(tree + 4);
    }

    bool run() {
        for (;;) {
            u32 token;
            if (!next(&token)) return false;
            switch (token) {
                case 1:
                    if (!begin_node()) return false;
                    break;
                case 2:
                    if (depth_ == 0) return false;
                    visit_(nodes_[--depth_]);
                    break;
                case 3:
                    if (!property()) return false;
                    break;
                case 4:
                    break;
                case 9:
                    return depth_ == 0;
                default:
                    return false;
            }
        }
    }

private:
    bool next(u32* value) {
        if (at_ > size_ || size_ - at_ < 4) return false;
        *value = word(tree_ + at_);
        at_ += 4;
        return true;
    }

    // A string that ends within the tree.
    const char* string(u32 at) {
        for (u32 end = at; end < size_; end++)
            if (tree_[end] == 0) return reinterpret_cast<const char*>(tree_ + at);
        return nullptr;
    }

    bool begin_node() {
        const char* name = string(at_);
        if (!name || depth_ == kMaxDepth) return false;
        TreeNode& node = nodes_[depth_];
        node = TreeNode{};
        node.name = name;
        node.depth = depth_;
        if (depth_ > 0) {
            const TreeNode& parent = nodes_[depth_ - 1];
            node.parent = &parent;
            node.address_cells = parent.child_address_cells;
            node.size_cells = parent.child_size_cells;
        }
        depth_++;
        u32 length = 0;
        while (name[length]) length++;
        at_ += (length + 4) & ~3u;
        return true;
    }

    bool property() {
        u32 size, name_offset;
        if (!next(&size) || !next(&name_offset) || depth_ == 0) return false;
        if (size > size_ - at_ || name_offset > size_ || strings_ > size_) return false;
        const char* name = string(strings_ + name_offset);
        if (!name) return false;
        keep(nodes_[depth_ - 1], name, {tree_ + at_, size});
        at_ += (size + 3) & ~3u;
        return true;
    }

    static void keep(TreeNode& node, const char* name, Property value) {
        if (equal(name, "reg"))
            node.reg = value;
        else if (equal(name, "compatible"))
            node.compatible = value;
        else if (equal(name, "device_type"))
            node.device_type = value;
        else if (equal(name, "bootargs"))
            node.bootargs = value;
        else if (equal(name, "method"))
            node.method = value;
        else if (equal(name, "status"))
            node.status = value;
        else if (equal(name, "#address-cells") && value.size == 4)
            node.child_address_cells = word(value.data);
        else if (equal(name, "#size-cells") && value.size == 4)
            node.child_size_cells = word(value.data);
    }

    const u8* tree_;
    void (*visit_)(const TreeNode&);
    u32 at_, strings_, size_;
    u32 depth_ = 0;
    TreeNode nodes_[kMaxDepth];
};

}  // namespace

bool Property::contains(const char* text) const {
    for (u32 at = 0; at < size && data[size - 1] == 0; at++) {
        if (equal(reinterpret_cast<const char*>(data + at), text)) return true;
        while (data[at]) at++;
    }
    return false;
}

bool TreeNode::named(const char* wanted) const {
    u32 i = 0;
    while (wanted[i] && name[i] == wanted[i]) i++;
    return !wanted[i] && (!name[i] || name[i] == '@');
}

bool TreeNode::range(u32 index, u64* base, u64* size) const {
    if (address_cells > 2 || size_cells > 2) return false;
    u32 entry = 4 * (address_cells + size_cells);
    if (entry == 0 || reg.size / entry <= index) return false;
    const u8* at = reg.data + index * entry;
    *base = cells(at, address_cells);
    *size = cells(at + 4 * address_cells, size_cells);
    return true;
}

bool walk_device_tree(const void* tree, void (*visit)(const TreeNode& node)) {
    const u8* bytes = static_cast<const u8*>(tree);
    if (word(bytes) != kMagic) return false;
    u32 size = word(bytes + 4);
    if (size < 40 || size > kMaxBytes || word(bytes + 8) > size || word(bytes + 12) > size)
        return false;
    return Walk(bytes, visit).run();
}

}  // namespace barebpf::guest::arch
