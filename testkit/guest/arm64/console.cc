// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: the console and the end. A PL011 where QEMU's virt machine has it; where there is none, or while
// it is not mapped, characters go through semihosting.
//
// Hardware facts: PL011 registers (Arm DDI 0183, 3.2): data 0x00, flags 0x18 (bit 5: transmit FIFO full), line
// control 0x2c, control 0x30, identification 0xfe0 to 0xffc. SYS_EXIT with the reason 0x20026 (application
// exit) hands a status over ("Semihosting for AArch32 and AArch64", 0x18); PSCI SYSTEM_OFF 0x84000008 ends
// without one (PSCI 1.1, 5.9).
#include "testkit/guest/arm64/internal.h"

extern "C" void guest_semihosting_exit(const barebpf::u64* block);
extern "C" void guest_semihosting_write(const char* character);

namespace barebpf::guest::arch {

namespace {

constexpr u64 kUart = 0x09000000;
constexpr u64 kUartBytes = 0x1000;

volatile char* uart;  // null: not mapped, or none

volatile u32& uart_register(u32 offset) {
    return *reinterpret_cast<volatile u32*>(uart + offset);
}

// The low byte of each identification word; a machine of another kind may fault on it.
bool is_pl011(char* base) {
    static constexpr u8 kIdentity[] = {0x11, 0x10, 0x0d, 0xf0, 0x05, 0xb1};
    static constexpr u16 kOffset[] = {0xfe0, 0xfe4, 0xff0, 0xff4, 0xff8, 0xffc};
    for (u32 i = 0; i < 6; i++) {
        u64 value;
        // The last word ends the page: eight bytes from there would be another device's.
        char* at = base + (kOffset[i] & ~7);
        if (!copy_nofault(&value, at, sizeof(value))) return false;
        if (kOffset[i] & 4) value >>= 32;
        if ((value & 0xff) != kIdentity[i]) return false;
    }
    return true;
}

}  // namespace

void find_console() {
    auto* base = static_cast<char*>(direct(kUart));
    if (!is_pl011(base)) return;
    uart = base;
    uart_register(0x30) = 0;
    uart_register(0x2c) = 0x70;   // 8 bits, FIFOs
    uart_register(0x30) = 0x301;  // on, receive, transmit
}

void remap_console() {
    if (!uart) return;
    uart = nullptr;  // it is not at its first address any more
    uart = static_cast<char*>(map_device(kUart, kUartBytes));
}

void console_write(const char* text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (!uart) {
            guest_semihosting_write(&text[i]);
            continue;
        }
        while (uart_register(0x18) & 0x20) {
        }
        uart_register(0) = static_cast<u8>(text[i]);
    }
}

void exit(u32 status) {
    const u64 block[2] = {0x20026, status};
    asm volatile("msr daifset, #15" ::: "memory");
    guest_semihosting_exit(block);
    psci_call(0x84000008, 0, 0, 0);
    for (;;) asm volatile("wfi");
}

}  // namespace barebpf::guest::arch
