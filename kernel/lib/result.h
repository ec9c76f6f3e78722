// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Errors without exceptions: Result<T> is a value or an Errno, TRY() hands an error to the caller.
//
//     Result<Map*> find(u32 id);
//     Result<void> touch(u32 id) {
//         Map* map = TRY(find(id));
//         ...
//         return {};
//     }
//
// Errno carries Linux's numbers, so that the public edge of bpf(2) returns -to_int(error) as it is.
// T must be trivially movable in practice (pointers, integers, small structs, move-only owners).
#pragma once

#include "kernel/lib/new.h"
#include "kernel/lib/types.h"

namespace barebpf {

// Linux's errno values (asm-generic); spelled so that <errno.h>'s macros do not collide with them.
enum class Errno : int {
    Perm = 1,
    NoEnt = 2,
    Intr = 4,
    Io = 5,
    TooBig = 7,
    BadF = 9,
    Again = 11,
    NoMem = 12,
    Acces = 13,
    Fault = 14,
    Busy = 16,
    Exist = 17,
    NoDev = 19,
    Inval = 22,
    NFile = 23,
    MFile = 24,
    NoSpc = 28,
    Range = 34,
    NameTooLong = 36,
    NoSys = 38,
    Loop = 40,
    NoData = 61,
    Overflow = 75,
    Proto = 71,
    BadMsg = 74,
    MsgSize = 90,
    OpNotSupp = 95,
    Already = 114,
    StaleHandle = 116,
    NotSupp = 524,  // in-kernel only by its number, yet bpf(2) does return it
};

constexpr int to_int(Errno error) {
    return static_cast<int>(error);
}

template <class T>
class [[nodiscard]] Result {
public:
    constexpr Result(T value) : value_(move(value)), error_{} {}  // NOLINT(implicit)
    constexpr Result(Errno error) : empty_(0), error_(error) {}   // NOLINT(implicit)
    Result(Result&& other) : empty_(0), error_(other.error_) {
        if (ok()) construct_at<T>(&value_, move(other.value_));
    }
    Result& operator=(Result&&) = delete;
    constexpr ~Result() {
        if (ok()) value_.~T();
    }

    constexpr bool ok() const { return error_ == Errno{}; }
    constexpr explicit operator bool() const { return ok(); }
    constexpr Errno error() const { return error_; }
    constexpr T& value() { return value_; }
    constexpr const T& value() const { return value_; }
    constexpr T release() { return move(value_); }

private:
    union {
        char empty_;
        T value_;
    };
    Errno error_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    constexpr Result() : error_{} {}
    constexpr Result(Errno error) : error_(error) {}  // NOLINT(implicit)

    constexpr bool ok() const { return error_ == Errno{}; }
    constexpr explicit operator bool() const { return ok(); }
    constexpr Errno error() const { return error_; }
    constexpr void release() {}

private:
    Errno error_;
};

}  // namespace barebpf

// The value of a Result, or a return of its error from the enclosing function.
#define TRY(expression)                                    \
    ({                                                     \
        auto try_result_ = (expression);                   \
        if (!try_result_.ok()) return try_result_.error(); \
        try_result_.release();                             \
    })
