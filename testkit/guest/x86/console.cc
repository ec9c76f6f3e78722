// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: the first serial port, a 16550 whose transmitter is polled, and QEMU's debug exit.
//
// 16550 (TI PC16550D data sheet): data at the port, line status at + 5, whose bit 5 says that a byte may be sent.
// The speed does not matter to QEMU. isa-debug-exit (QEMU, hw/misc/debugexit.c): a write of n ends QEMU with the
// exit status (n << 1) | 1.
#include "testkit/guest/x86/x86.h"

namespace barebpf::guest::arch {

namespace {

constexpr u16 kLineStatus = PORT_SERIAL + 5;
constexpr u8 kMaySend = 1 << 5;

}  // namespace

void console_write(const char* text, size_t length) {
    for (size_t i = 0; i < length; ++i) {
        while ((in8(kLineStatus) & kMaySend) == 0) host::spin_hint();
        out8(PORT_SERIAL, static_cast<u8>(text[i]));
    }
}

void exit(u32 status) {
    out32(PORT_EXIT, status);
    // QEMU has not got the device.
    for (;;) asm volatile("cli\n\thlt");
}

}  // namespace barebpf::guest::arch
