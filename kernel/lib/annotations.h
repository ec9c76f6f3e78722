// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Names for Clang's thread-safety attributes (they vanish under other compilers) and for the few
// compiler hints that the hot paths need. See https://clang.llvm.org/docs/ThreadSafetyAnalysis.html
#pragma once

#if defined(__clang__)
#define BAREBPF_TSA(x) __attribute__((x))
#else
#define BAREBPF_TSA(x)
#endif

#define CAPABILITY(name) BAREBPF_TSA(capability(name))
#define SCOPED_CAPABILITY BAREBPF_TSA(scoped_lockable)
#define GUARDED_BY(lock) BAREBPF_TSA(guarded_by(lock))
#define PT_GUARDED_BY(lock) BAREBPF_TSA(pt_guarded_by(lock))
#define ACQUIRE(...) BAREBPF_TSA(acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) BAREBPF_TSA(try_acquire_capability(__VA_ARGS__))
#define RELEASE(...) BAREBPF_TSA(release_capability(__VA_ARGS__))
#define REQUIRES(...) BAREBPF_TSA(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) BAREBPF_TSA(requires_shared_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) BAREBPF_TSA(acquire_shared_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) BAREBPF_TSA(release_shared_capability(__VA_ARGS__))
#define EXCLUDES(...) BAREBPF_TSA(locks_excluded(__VA_ARGS__))
#define ACQUIRED_BEFORE(...) BAREBPF_TSA(acquired_before(__VA_ARGS__))
#define ACQUIRED_AFTER(...) BAREBPF_TSA(acquired_after(__VA_ARGS__))
#define ASSERT_HELD(...) BAREBPF_TSA(assert_capability(__VA_ARGS__))
#define RETURN_CAPABILITY(lock) BAREBPF_TSA(lock_returned(lock))
#define NO_THREAD_SAFETY_ANALYSIS BAREBPF_TSA(no_thread_safety_analysis)

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
