// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The facts about our headers.
#include "uapi/linux/bpf.h"
#include "uapi/linux/bpf_common.h"
#include "uapi/linux/btf.h"
#include "uapi/linux/uapi_test_facts.h"

namespace barebpf::uapi_test {

Headers our_headers() {
    return {
        0,
        {
#include "uapi_names_ours.inc"
        },
        {__BPF_FUNC_MAPPER(HELPER)},
    };
}

}  // namespace barebpf::uapi_test
