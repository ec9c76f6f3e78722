// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: descriptor tables. Each CPU has its own segment descriptors and task state; all share one table
// of 256 interrupt gates, which turn interrupts off on entry (SDM vol. 3, 3.4.5, 6.14, 7.2.3). The only purpose
// of the task state is its IST fields: the landings of entry.S.
#include "testkit/guest/x86/x86.h"

extern "C" const char guest_x86_vectors[];

namespace barebpf::guest::arch {

// assembly.h repeats these for the assembly files.
static_assert(IMAGE_BASE == kImageBase && kImagePhysical == 0);
static_assert(BOOT_STACK_BYTES == kStackBytes && TRAP_STACK_BYTES == kTrapStackBytes);
static_assert(offsetof(CpuArea, self) == 0 && offsetof(CpuArea, id) == 8);
static_assert(offsetof(X86Cpu, trap_stacks) == CPU_STACK_IRQ &&
              CPU_STACK_NMI == CPU_STACK_IRQ + 8 * kNmiStack &&
              CPU_STACK_FAULT == CPU_STACK_IRQ + 8 * kFaultStack &&
              CPU_STACK_DEBUG == CPU_STACK_IRQ + 8 * kDebugStack);
static_assert(offsetof(X86Cpu, in_nmi) == CPU_IN_NMI &&
              offsetof(X86Cpu, nmi_again) == CPU_NMI_AGAIN);
static_assert(offsetof(Frame, rax) == FRAME_RAX && offsetof(Frame, rbx) == FRAME_RBX &&
              offsetof(Frame, rcx) == FRAME_RCX && offsetof(Frame, rdx) == FRAME_RDX &&
              offsetof(Frame, rsi) == FRAME_RSI && offsetof(Frame, rdi) == FRAME_RDI &&
              offsetof(Frame, rbp) == FRAME_RBP && offsetof(Frame, r8) == FRAME_R8);
static_assert(offsetof(Frame, vector) == FRAME_VECTOR && offsetof(Frame, error) == FRAME_ERROR &&
              offsetof(Frame, rip) == FRAME_RIP && offsetof(Frame, cs) == FRAME_CS &&
              offsetof(Frame, rflags) == FRAME_RFLAGS && offsetof(Frame, rsp) == FRAME_RSP &&
              offsetof(Frame, ss) == FRAME_SS && sizeof(Frame) == FRAME_BYTES);

constinit X86Cpu x86_cpus[kMaxGuestCpus]{};

namespace {

constexpr u32 kVectors = 256;
constexpr u32 kVectorStubBytes = 16;  // entry.S
constexpr u32 kMachineCheck = 18;
constexpr u16 kInterruptGate = 0x8e00;  // present, 64-bit interrupt gate

constexpr u64 kCode64 = 0x00af9b000000ffff;
constexpr u64 kData = 0x00cf93000000ffff;
constexpr u64 kCode32 = 0x00cf9b000000ffff;
constexpr u64 kTaskAvailable = 0x89;

// SDM vol. 3, 6.14.1.
struct Gate {
    u16 offset0;
    u16 selector;
    u16 ist_and_type;
    u16 offset16;
    u32 offset32;
    u32 reserved;
};
static_assert(sizeof(Gate) == 16);

alignas(16) Gate gates[kVectors];

struct __attribute__((packed)) TablePointer {
    u16 limit;
    const void* base;
};

Landing landing_of(u32 vector) {
    if (vector == VECTOR_NMI) return kNmiLanding;
    if (vector == VECTOR_DOUBLE_FAULT || vector == kMachineCheck) return kDoubleFaultLanding;
    if (vector == VECTOR_DEBUG || vector == VECTOR_BREAKPOINT) return kDebugLanding;
    return vector < VECTOR_FIRST_IRQ ? kFaultLanding : kIrqLanding;
}

void describe_task(X86Cpu* cpu) {
    const auto base = reinterpret_cast<u64>(&cpu->task);
    cpu->task.io_map = sizeof(TaskState);
    cpu->descriptors[SELECTOR_TASK / 8] = (sizeof(TaskState) - 1) | (base & 0xffffff) << 16 |
                                          kTaskAvailable << 40 | (base >> 24 & 0xff) << 56;
    cpu->descriptors[SELECTOR_TASK / 8 + 1] = base >> 32;
}

}  // namespace

void build_vectors() {
    for (u32 vector = 0; vector < kVectors; ++vector) {
        const u64 entry = reinterpret_cast<u64>(guest_x86_vectors) + u64{vector} * kVectorStubBytes;
        gates[vector] = {static_cast<u16>(entry),
                         SELECTOR_CODE64,
                         static_cast<u16>(kInterruptGate | (landing_of(vector) + 1)),
                         static_cast<u16>(entry >> 16),
                         static_cast<u32>(entry >> 32),
                         0};
    }
}

void select_landings(X86Cpu* cpu, u32 set) {
    for (u32 i = 0; i < kLandings; ++i) {
        // An NMI that comes early must find the landing that no other trap uses: it has only the first.
        const u32 from = i == kNmiLanding ? 0 : set;
        const u64 top = reinterpret_cast<u64>(cpu->landings[from][i]) + kLandingBytes;
        __builtin_memcpy(&cpu->task.ist[i], &top, sizeof(top));
    }
    // The next trap of this CPU reads them.
    asm volatile("" ::: "memory");
}

void load_descriptors(X86Cpu* cpu) {
    cpu->descriptors[SELECTOR_CODE64 / 8] = kCode64;
    cpu->descriptors[SELECTOR_DATA / 8] = kData;
    cpu->descriptors[SELECTOR_CODE32 / 8] = kCode32;
    describe_task(cpu);
    select_landings(cpu, 0);
    const TablePointer segments{sizeof(cpu->descriptors) - 1, cpu->descriptors};
    const TablePointer vectors{sizeof(gates) - 1, gates};
    asm volatile("lgdt %0" ::"m"(segments) : "memory");
    asm volatile("ltr %w0" ::"r"(SELECTOR_TASK) : "memory");
    asm volatile("lidt %0" ::"m"(vectors) : "memory");
}

}  // namespace barebpf::guest::arch
