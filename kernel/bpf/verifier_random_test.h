// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Random programs that look like programs: most registers hold what an instruction needs, offsets are
// mostly inside, loops end. About half of them are safe; the rest fail in interesting places.
#pragma once

#include <vector>

#include "kernel/bpf/insn.h"
#include "kernel/bpf/verifier_case_test.h"

namespace barebpf::test {

class RandomProgram {
public:
    // callbacks: with calls of for_each_map_elem and loop; such a program needs function information.
    explicit RandomProgram(u64 seed, bool callbacks = false)
        : seed_(seed * 2654435761 + 1), with_callbacks_(callbacks) {}

    std::vector<bpf_insn> make();
    // Where its functions begin, in order.
    const std::vector<u32>& functions() const { return functions_; }

private:
    enum class Kind : u8 { None, Number, Small, Context, Value, Packet, PacketEnd };
    struct Model {
        Kind reg[10];
        Kind slot[4];
        s16 packet_bytes;  // checked on this path
    };

    u32 below(u32 limit) {
        seed_ ^= seed_ << 13;
        seed_ ^= seed_ >> 7;
        seed_ ^= seed_ << 17;
        return static_cast<u32>(seed_ >> 20) % limit;
    }
    bool chance(u32 percent) { return below(100) < percent; }
    void emit(bpf_insn one) { out_.push_back(one); }
    template <class T>
    T pick(std::initializer_list<T> list) {
        return list.begin()[below(static_cast<u32>(list.size()))];
    }

    u8 any_target() { return static_cast<u8>(below(10)); }
    // A register of one of the kinds, or (rarely, or if there is none) any.
    u8 find(Kind a, Kind b = Kind::None);
    u8 number() { return find(Kind::Number, Kind::Small); }
    u8 size() { return pick<u8>({BPF_B, BPF_H, BPF_W, BPF_DW}); }
    s32 constant() { return pick<s32>({0, 1, 2, 7, 8, 31, 40, 47, 48, 63, 64, 255, -1, -8, 4096}); }
    void set(u8 reg, Kind kind) { model_.reg[reg] = kind; }
    void lose_arguments();
    void forget_differences(const Model& other);

    void statement(u32 depth);
    void arithmetic();
    void stack();
    void stack_variable();
    void value();
    void packet();
    void call_helper();
    void call_lookup();
    void branch(u32 depth);
    void loop(u32 depth);
    void guard();
    void atomic_access();
    void block(u32 depth, u32 statements);
    void finish();
    void subprogram();
    void call_with_callback();
    void callback(bool of_loop);

    u64 seed_;
    Model model_{};
    std::vector<bpf_insn> out_;
    std::vector<u32> calls_;
    struct Callback {
        u32 address;  // the instruction that loads the function's address
        bool of_loop;
    };
    std::vector<Callback> callbacks_;
    std::vector<u32> functions_;
    bool with_callbacks_;
    bool in_subprogram_ = false;
};

}  // namespace barebpf::test
