// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/range.h"

#include "kernel/bpf/range_impl.h"

namespace barebpf {

template struct BasicScalar<u64>;

Scalar byte_swap(const Scalar& scalar, unsigned bits) {
    return Scalar::of_tnum(tnum_byte_swap(scalar.var_off, bits));
}

namespace {

// Writes "name=value", with a comma between one field and the next.
class Fields {
public:
    Fields(TextBuffer& out, bool comma) : out_(out), comma_(comma) {}

    template <class Value>
    void add(const char* name, const Value& value) {
        if (comma_) out_.append(',');
        comma_ = true;
        out_.print(name, '=', value);
    }
    template <class Value>
    void add_if(bool shown, const char* name, const Value& value) {
        if (shown) add(name, value);
    }

private:
    TextBuffer& out_;
    bool comma_;
};

}  // namespace

void print_scalar_fields(TextBuffer& out, const Scalar& s, bool comma) {
    constexpr s32 kS32Min = kSignedMinOf<u32>, kS32Max = kSignedMaxOf<u32>;
    // Widened, so that each half bound is compared with the whole's as a number.
    const s64 s32_min = s.s32_min, s32_max = s.s32_max;
    const u64 u32_min = s.u32_min, u32_max = s.u32_max;
    Fields fields(out, comma);
    fields.add_if(s.smin != kSignedMinOf<u64> && static_cast<u64>(s.smin) != s.umin, "smin",
                  s.smin);
    fields.add_if(s.smax != kSignedMaxOf<u64> && static_cast<u64>(s.smax) != s.umax, "smax",
                  s.smax);
    fields.add_if(s.umin != 0, "umin", s.umin);
    fields.add_if(s.umax != kMaxOf<u64>, "umax", s.umax);
    fields.add_if(!s.var_off.is_unknown(), "var_off", s.var_off);
    fields.add_if(s32_min != s.smin && s32_min != kS32Min, "s32_min", s32_min);
    fields.add_if(s32_max != s.smax && s32_max != kS32Max, "s32_max", s32_max);
    fields.add_if(u32_min != s.umin && u32_min != 0, "u32_min", s.u32_min);
    fields.add_if(u32_max != s.umax && u32_max != kMaxOf<u32>, "u32_max", s.u32_max);
}

void print_scalar(TextBuffer& out, const Scalar& scalar, u32 id) {
    if (scalar.is_const()) {
        out.print(static_cast<s64>(scalar.value()));
        return;
    }
    out.append("scalar(");
    if (id) out.print("id=", id);
    print_scalar_fields(out, scalar, id != 0);
    out.append(')');
}

}  // namespace barebpf
