// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "arch/x86/net/layout.h"

namespace barebpf::x86 {

constexpr u32 kUnbound = ~0u;

Label Layout::new_label() {
    if (label_count_ >= mark_capacity_ || phase_ != Phase::Sizing) {
        ok_ = false;
        return Label{};
    }
    marks_[label_count_] = Mark{};
    return Label{label_count_++};
}

void Layout::reserve_labels(u32 count) {
    for (u32 i = 0; i < count; i++) new_label();
}

Label Layout::local_label() {
    if (phase_ == Phase::Sizing) {
        Label label = new_label();
        if (first_local_ == kUnbound) first_local_ = next_local_ = label.id;
        return label;
    }
    if (next_local_ >= label_count_) ok_ = false;
    return Label{next_local_++};
}

u32 Layout::position(Label label) const {
    return label.id < label_count_ ? marks_[label.id].position : kUnbound;
}

void Layout::bind(Label label, u32 position) {
    if (label.id >= label_count_) {
        ok_ = false;
        return;
    }
    Mark& mark = marks_[label.id];
    if (phase_ == Phase::Final) {
        if (mark.position != position) ok_ = false;
        return;
    }
    if (phase_ == Phase::Placing) {
        mark.position = position;
        return;
    }
    if (mark.position != kUnbound) ok_ = false;
    mark = {position, jump_count_};
}

bool Layout::next_jump_is_near(Label label, u32 short_end, u32 growth) {
    if (phase_ != Phase::Sizing) {
        if (next_jump_ >= jump_count_ || jumps_[next_jump_].label != label.id) {
            ok_ = false;
            return true;
        }
        Jump& jump = jumps_[next_jump_++];
        if (phase_ == Phase::Placing) jump.end = short_end + (jump.near ? growth : 0);
        return jump.near;
    }
    if (jump_count_ >= jump_capacity_ || label.id >= label_count_) {
        ok_ = false;
        return true;
    }
    jumps_[jump_count_++] = {short_end, label.id, 0, static_cast<u8>(growth), false};
    return false;
}

u32 Layout::moved_at(const Mark& mark) const {
    return mark.jumps_before < jump_count_ ? jumps_[mark.jumps_before].moved : total_growth_;
}

// Lengthens every jump that does not reach under the present sizes. True when there was one.
bool Layout::grow_once() {
    bool changed = false;
    for (u32 i = 0; i < jump_count_; i++) {
        Jump& jump = jumps_[i];
        if (jump.near) continue;
        const Mark& mark = marks_[jump.label];
        s64 distance = static_cast<s64>(mark.position) + moved_at(mark);
        distance -= static_cast<s64>(jump.end) + jump.moved;
        if (fits_s8(distance)) continue;
        jump.near = true;
        changed = true;
    }
    total_growth_ = 0;
    for (u32 i = 0; i < jump_count_; i++) {
        jumps_[i].moved = total_growth_;
        if (jumps_[i].near) total_growth_ += jumps_[i].growth;
    }
    return changed;
}

void Layout::restart(Phase phase) {
    phase_ = phase;
    next_jump_ = 0;
    next_local_ = first_local_;
}

bool Layout::relax(Padding padding) {
    if (!ok_ || phase_ != Phase::Sizing) return false;
    for (u32 i = 0; i < jump_count_; i++)
        if (marks_[jumps_[i].label].position == kUnbound) return ok_ = false;
    while (grow_once()) {
    }
    for (u32 i = 0; i < label_count_; i++)
        if (marks_[i].position != kUnbound) marks_[i].position += moved_at(marks_[i]);
    restart(padding == Padding::None ? Phase::Final : Phase::Placing);
    return true;
}

bool Layout::settle() {
    // Each pass lengthens at least one jump; that can take many, so the last ones all grow at once.
    constexpr u32 kPatience = 6;
    bool all = ++placing_passes_ >= kPatience;
    bool changed = false;
    for (u32 i = 0; i < jump_count_; i++) {
        Jump& jump = jumps_[i];
        s64 distance = static_cast<s64>(marks_[jump.label].position) - jump.end;
        if (jump.near || (fits_s8(distance) && !all)) continue;
        jump.near = true;
        changed = true;
    }
    restart(changed ? Phase::Placing : Phase::Final);
    return !changed;
}

}  // namespace barebpf::x86
