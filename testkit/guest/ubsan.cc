// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What GCC 12 and Clang 19 call for -fsanitize=undefined: each says file, line, column and kind, and ends the run.
//
// The first word of every kind's data is the place, but for nonnull returns, which tell it apart. Clang's
// floating-point overflow of old had none; the version it calls now has.
#include "testkit/guest/kernel.h"

namespace barebpf::guest {
namespace {

struct Place {
    const char* file;
    u32 line;
    u32 column;
};

[[noreturn]] void undefined(const void* data, const char* kind) {
    const auto* place = static_cast<const Place*>(data);
    fail_with("UBSan: ", place->file ? place->file : "?", ":", place->line, ":", place->column,
              ": ", kind);
}

}  // namespace
}  // namespace barebpf::guest

// A handler and the twin that Clang calls where it knows that there is no return.
#define UBSAN(name, kind, ...)                                                        \
    [[noreturn]] void __ubsan_handle_##name(const void* data, ##__VA_ARGS__);         \
    void __ubsan_handle_##name(const void* data, ##__VA_ARGS__) {                     \
        barebpf::guest::undefined(data, kind);                                        \
    }                                                                                 \
    [[noreturn]] void __ubsan_handle_##name##_abort(const void* data, ##__VA_ARGS__); \
    void __ubsan_handle_##name##_abort(const void* data, ##__VA_ARGS__) {             \
        barebpf::guest::undefined(data, kind);                                        \
    }

using Value = uintptr_t;

extern "C" {

UBSAN(add_overflow, "signed addition overflows", Value, Value)
UBSAN(sub_overflow, "signed subtraction overflows", Value, Value)
UBSAN(mul_overflow, "signed multiplication overflows", Value, Value)
UBSAN(negate_overflow, "negation overflows", Value)
UBSAN(divrem_overflow, "division by zero or overflow", Value, Value)
UBSAN(shift_out_of_bounds, "shift out of bounds", Value, Value)
UBSAN(out_of_bounds, "index out of bounds", Value)
UBSAN(local_out_of_bounds, "index out of bounds")
UBSAN(vla_bound_not_positive, "array of no positive size", Value)
UBSAN(float_cast_overflow, "floating-point value out of range", Value)
UBSAN(load_invalid_value, "load of a value that its type does not have", Value)
UBSAN(invalid_builtin, "builtin with an invalid argument")
UBSAN(function_type_mismatch, "call of a function of another type", Value)
UBSAN(function_type_mismatch_v1, "call of a function of another type", Value, Value, Value)
UBSAN(nonnull_arg, "null argument that must not be null")
UBSAN(nullability_arg, "null argument that must not be null")
UBSAN(pointer_overflow, "pointer arithmetic overflows", Value, Value)
UBSAN(implicit_conversion, "implicit conversion changes the value", Value, Value)
UBSAN(alignment_assumption, "assumed alignment does not hold", Value, Value, Value)

// No twins: these never return.
[[noreturn]] void __ubsan_handle_builtin_unreachable(const void* data);
void __ubsan_handle_builtin_unreachable(const void* data) {
    barebpf::guest::undefined(data, "unreachable code is reached");
}
[[noreturn]] void __ubsan_handle_missing_return(const void* data);
void __ubsan_handle_missing_return(const void* data) {
    barebpf::guest::undefined(data, "a function that returns a value ends without");
}

// The place is an argument of its own.
[[noreturn]] void __ubsan_handle_nonnull_return_v1(const void*, const void* place);
void __ubsan_handle_nonnull_return_v1(const void*, const void* place) {
    barebpf::guest::undefined(place, "null is returned where it must not be");
}
[[noreturn]] void __ubsan_handle_nonnull_return_v1_abort(const void*, const void* place);
void __ubsan_handle_nonnull_return_v1_abort(const void*, const void* place) {
    barebpf::guest::undefined(place, "null is returned where it must not be");
}

// Null, misaligned, or too small an object: the pointer tells which.
struct TypeMismatch {
    barebpf::guest::Place place;
    const void* type;
    barebpf::u8 log_alignment;
    barebpf::u8 kind;
};
[[noreturn]] void __ubsan_handle_type_mismatch_v1(const TypeMismatch* data, Value pointer);
void __ubsan_handle_type_mismatch_v1(const TypeMismatch* data, Value pointer) {
    const Value alignment = Value{1} << data->log_alignment;
    barebpf::guest::undefined(data, !pointer              ? "null pointer is used"
                                    : pointer % alignment ? "misaligned pointer is used"
                                                          : "object too small for its type");
}
[[noreturn]] void __ubsan_handle_type_mismatch_v1_abort(const TypeMismatch* data, Value pointer);
void __ubsan_handle_type_mismatch_v1_abort(const TypeMismatch* data, Value pointer) {
    __ubsan_handle_type_mismatch_v1(data, pointer);
}

}  // extern "C"
