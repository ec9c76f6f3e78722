// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: the names that each machine's image.ld gives to the parts of the image (all page-aligned but the
// arrays). Physical addresses: arch::kImagePhysical in <guest_arch/cpu.h> is what kImageBase is mapped to.
//
//     image_begin   whatever boot.S needs (mapped read and write, once the final tables are on)
//     text_begin .. text_end      read, execute
//     rodata_begin .. rodata_end  read; holds the array of constructors
//     ... image_end               data, bss, boot stacks: read, write
//
// The memory outside of [image_begin, image_end) that a machine keeps for itself (the AP trampoline) is not in
// what arch::probe() reports as RAM.
#pragma once

#include <guest_arch/cpu.h>  // arch::kImagePhysical

#include "testkit/guest/layout.h"

extern "C" {
extern char guest_image_begin[];
extern char guest_text_begin[];
extern char guest_text_end[];
extern char guest_rodata_begin[];
extern char guest_rodata_end[];
extern char guest_image_end[];
extern void (*guest_init_array_begin[])();
extern void (*guest_init_array_end[])();
}

namespace barebpf::guest {

inline u64 image_physical(const void* address) {
    return reinterpret_cast<u64>(address) - kImageBase + arch::kImagePhysical;
}

}  // namespace barebpf::guest
