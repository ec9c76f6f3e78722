// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The facts about the system's headers.
#include <linux/bpf.h>
#include <linux/bpf_common.h>
#include <linux/btf.h>
#include <linux/version.h>

#include "uapi/linux/uapi_test_facts.h"

namespace barebpf::uapi_test {

Headers system_headers() {
    return {
        LINUX_VERSION_CODE >> 8,
        {
#include "uapi_names_system.inc"
        },
        {__BPF_FUNC_MAPPER(HELPER)},
    };
}

}  // namespace barebpf::uapi_test
