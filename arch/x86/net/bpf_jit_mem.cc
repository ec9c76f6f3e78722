// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Loads and stores. x86 orders loads with loads and stores with stores, so a load-acquire and a
// store-release are the plain instructions (SDM vol. 3, 9.2.2).
#include "arch/x86/net/bpf_jit_lower.h"

namespace barebpf::x86 {

Memory Lowering::memory(const Address& at) const {
    if (at.index == kNoReg) return Memory(x(at.base), at.disp);
    return Memory(x(at.base), x(at.index), static_cast<Scale>(at.scale), at.disp);
}

void Lowering::load(const Op& op) {
    if (op.sign && op.size != Width::W64)
        return out_.movsx(Width::W64, x(op.dst), op.size, memory(op.at));
    out_.movzx(x(op.dst), op.size, memory(op.at));
}

void Lowering::store(const Op& op) {
    out_.mov(op.size, memory(op.at), x(op.rhs));
}

void Lowering::store_const(const Op& op) {
    out_.mov(op.size, memory(op.at), static_cast<s32>(op.imm));
}

// One load from where the host keeps it (kernel/host/cpu_place.h).
void Lowering::cpu_id(const Op& op) {
    const host::CpuIdPlace place = host::cpu_id_place();
    const Segment segment = place.base == host::CpuIdBase::Thread ? Segment::Fs : Segment::Gs;
    out_.mov(Width::W32, x(op.dst), Memory::absolute(place.offset).in(segment));
}

}  // namespace barebpf::x86
