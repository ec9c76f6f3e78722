// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Whether this is compiled for AddressSanitizer, and its interface, or nothing in place of it.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EXPLORE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define EXPLORE_ASAN 1
#endif

#if defined(EXPLORE_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#endif
