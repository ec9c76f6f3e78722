// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Random programs that reserve, write and release records and dynptrs on many ways through branches and
// loops. Mostly each way gives back what it holds; now and then one does not, or uses what is gone.
#pragma once

#include "kernel/bpf/ring_cases_test.h"

namespace barebpf::test {

class RandomRingProgram {
public:
    explicit RandomRingProgram(u64 seed) : seed_(seed * 2654435761 + 1) {}

    Insns make() {
        block(0, 3 + below(8));
        release_all(held_);
        emit(leave());
        return out_;
    }

private:
    static constexpr u32 kRegs = 3;    // R6, R7, R8 hold records
    static constexpr u32 kPlaces = 3;  // fp-16, fp-32, fp-48 are dynptrs
    static constexpr u8 kSlice = BPF_REG_9;
    static constexpr s16 kSpill = -56, kBytes = -64, kCounter = -72;
    enum class Place : u8 { Nothing, Local, Ring };
    struct Held {
        bool record[kRegs];
        bool spilled;
        Place place[kPlaces];
        u8 slice_of;  // place + 1, or 0
    };

    u32 below(u32 limit) {
        seed_ ^= seed_ << 13;
        seed_ ^= seed_ >> 7;
        seed_ ^= seed_ << 17;
        return u32(seed_ >> 20) % limit;
    }
    bool chance(u32 percent) { return below(100) < percent; }
    void emit(const Insns& more) { out_.insert(out_.end(), more.begin(), more.end()); }
    static u8 reg_of(u32 record) { return u8(BPF_REG_6 + record); }
    static s32 off_of(u32 place) { return -16 * s32(place + 1); }

    // -- records --
    void submit(u32 record) {
        emit({insn_mov(BPF_REG_1, reg_of(record)), insn_mov_imm(BPF_REG_2, 0),
              helper_call(chance(50) ? BPF_FUNC_ringbuf_submit : BPF_FUNC_ringbuf_discard)});
        held_.record[record] = false;
    }
    void reserve(u32 record) {
        emit(reserve_record(s32(8 << below(3))) + Insns{insn_mov(reg_of(record), BPF_REG_0)});
        held_.record[record] = true;
        // Where there is none, the rest is given back.
        const size_t jump = out_.size();
        emit({insn_jump_imm(BPF_JNE, BPF_REG_0, 0, 0)});
        const Held before = held_;
        held_.record[record] = false;
        release_all(held_);
        emit(leave());
        held_ = before;
        out_[jump].off = s16(out_.size() - jump - 1);
    }
    void spill(u32 record) {
        if (held_.spilled) {
            emit({insn_load(BPF_DW, reg_of(record), BPF_REG_10, kSpill)});
            held_.record[record] = true;
        } else {
            emit({insn_store(BPF_DW, BPF_REG_10, kSpill, reg_of(record)),
                  insn_mov_imm(reg_of(record), 0)});
            held_.record[record] = false;
        }
        held_.spilled = !held_.spilled;
    }
    void use_record() {
        const u32 record = below(kRegs);
        const bool held = held_.record[record];
        if (!held && !chance(2) && !held_.spilled) return reserve(record);
        if (held != held_.spilled && chance(30)) return spill(record);
        if (!held) return;
        if (chance(40)) return submit(record);
        emit({insn_store_imm(BPF_DW, reg_of(record), chance(97) ? 0 : 8, 1)});
    }

    // -- dynptrs --
    void finish(u32 place) {
        emit(stack_address(BPF_REG_1, off_of(place)) +
             Insns{insn_mov_imm(BPF_REG_2, 0),
                   helper_call(chance(50) ? BPF_FUNC_ringbuf_submit_dynptr
                                          : BPF_FUNC_ringbuf_discard_dynptr)});
        forget(place);
    }
    void forget(u32 place) {
        held_.place[place] = Place::Nothing;
        if (held_.slice_of == place + 1) held_.slice_of = 0;
    }
    void make_dynptr(u32 place) {
        const bool ring = chance(60);
        if (ring)
            emit(load_map(BPF_REG_1, kRing) +
                 Insns{insn_mov_imm(BPF_REG_2, 16), insn_mov_imm(BPF_REG_3, 0)} +
                 stack_address(BPF_REG_4, off_of(place)) +
                 Insns{helper_call(BPF_FUNC_ringbuf_reserve_dynptr)});
        else
            emit(load_value(BPF_REG_1, kArray, 0) +
                 Insns{insn_mov_imm(BPF_REG_2, 16), insn_mov_imm(BPF_REG_3, 0)} +
                 stack_address(BPF_REG_4, off_of(place)) +
                 Insns{helper_call(BPF_FUNC_dynptr_from_mem)});
        forget(place);
        held_.place[place] = ring ? Place::Ring : Place::Local;
    }
    void read(u32 place) {
        emit(stack_address(BPF_REG_1, kBytes) + Insns{insn_mov_imm(BPF_REG_2, 8)} +
             stack_address(BPF_REG_3, off_of(place)) +
             Insns{insn_mov_imm(BPF_REG_4, 0), insn_mov_imm(BPF_REG_5, 0),
                   helper_call(BPF_FUNC_dynptr_read)});
    }
    void take_slice(u32 place) {
        emit(stack_address(BPF_REG_1, off_of(place)) +
             Insns{insn_mov_imm(BPF_REG_2, 0), insn_mov_imm(BPF_REG_3, 8),
                   helper_call(BPF_FUNC_dynptr_data), insn_mov(kSlice, BPF_REG_0)});
        held_.slice_of = u8(place + 1);
    }
    void overwrite(u32 place) {
        emit({insn_store_imm(BPF_DW, BPF_REG_10, s16(off_of(place) + (chance(50) ? 8 : 0)), 0)});
        forget(place);
    }
    void use_place() {
        const u32 place = below(kPlaces);
        const Place what = held_.place[place];
        if (what == Place::Nothing) {
            if (chance(2)) return read(place);
            return make_dynptr(place);
        }
        if (what == Place::Ring && chance(40)) return finish(place);
        if (what == Place::Local && chance(20)) return make_dynptr(place);
        if (chance(what == Place::Ring ? 2 : 20)) return overwrite(place);
        if (chance(50)) return take_slice(place);
        read(place);
    }
    void use_slice() {
        if (!held_.slice_of && !chance(2)) return;
        if (!held_.slice_of) return emit({insn_store_imm(BPF_B, kSlice, 0, 1)});
        emit({insn_jump_imm(BPF_JEQ, kSlice, 0, 1),
              insn_store_imm(BPF_B, kSlice, chance(97) ? 7 : 8, 1)});
    }

    // -- ways --
    void release_all(Held& held) { make_alike(held, {}); }
    // Gives back what `wanted` does not hold.
    void make_alike(Held& held, const Held& wanted) {
        for (u32 r = 0; r < kRegs; ++r)
            if (held.record[r] && !wanted.record[r] && !chance(1)) submit(r);
        if (held.spilled && !wanted.spilled) {
            for (u32 r = 0; r < kRegs && held.spilled; ++r) {
                if (held.record[r]) continue;
                spill(r);
                if (!wanted.record[r] && !chance(1)) submit(r);
            }
        }
        for (u32 p = 0; p < kPlaces; ++p)
            if (held.place[p] == Place::Ring && wanted.place[p] != Place::Ring && !chance(1))
                finish(p);
    }
    static Held common(const Held& a, const Held& b) {
        Held both{};
        for (u32 r = 0; r < kRegs; ++r) both.record[r] = a.record[r] && b.record[r];
        both.spilled = a.spilled && b.spilled;
        for (u32 p = 0; p < kPlaces; ++p)
            if (a.place[p] == b.place[p]) both.place[p] = a.place[p];
        if (a.slice_of == b.slice_of) both.slice_of = a.slice_of;
        return both;
    }
    void branch(u32 depth) {
        emit({helper_call(BPF_FUNC_get_prandom_u32)});
        const size_t jump = out_.size();
        emit({insn_jump_imm(BPF_JGT, BPF_REG_0, 1000, 0)});
        const Held before = held_;
        block(depth + 1, 1 + below(3));
        // What both ways hold can be known only when both are there: so each gives back what is new.
        make_alike(held_, common(held_, before));
        const Held first = held_;
        const size_t end = out_.size();
        emit({insn_goto()});
        out_[jump].off = s16(out_.size() - jump - 1);
        held_ = before;
        if (chance(60)) block(depth + 1, 1 + below(3));
        make_alike(held_, common(held_, first));
        out_[end].off = s16(out_.size() - end - 1);
        // What the first way holds alone is lost, unless it was luckily given back.
        held_ = common(held_, first);
    }
    void loop(u32 depth) {
        if (in_loop_) return;
        in_loop_ = true;
        emit({insn_store_imm(BPF_DW, BPF_REG_10, kCounter, s32(1 + below(4)))});
        const size_t start = out_.size();
        const Held before = held_;
        block(depth + 1, 1 + below(3));
        make_alike(held_, before);
        emit({insn_load(BPF_DW, BPF_REG_1, BPF_REG_10, kCounter), insn_add_imm(BPF_REG_1, -1),
              insn_store(BPF_DW, BPF_REG_10, kCounter, BPF_REG_1),
              insn_jump_imm(BPF_JNE, BPF_REG_1, 0, s16(s64(start) - s64(out_.size()) - 4))});
        in_loop_ = false;
    }
    void block(u32 depth, u32 statements) {
        for (u32 i = 0; i < statements && out_.size() < 600; ++i) {
            const u32 what = below(12);
            if (what < 4)
                use_record();
            else if (what < 8)
                use_place();
            else if (what < 9)
                use_slice();
            else if (what < 11 && depth < 3)
                branch(depth);
            else if (depth < 2)
                loop(depth);
        }
    }

    u64 seed_;
    Held held_{};
    Insns out_{};
    bool in_loop_ = false;
};

}  // namespace barebpf::test
