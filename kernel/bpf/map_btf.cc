// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The type information of a map's keys and values.
#include "kernel/bpf/map_table.h"
#include "kernel/host/fd.h"

namespace barebpf {

Result<void> map_attach_btf(Map*, const bpf_attr& attr) {
    if (!attr.btf_key_type_id && !attr.btf_value_type_id) return {};
    // BTF_LOAD is not built: no descriptor is one of BTF, and the error is that of a wrong one.
    TRY(host::get_fd(static_cast<int>(attr.btf_fd), [](host::FileObject*) {}));
    return Errno::Inval;
}

void map_detach_btf(Map*) {}

void map_info_btf(const Map*, bpf_map_info*) {}

}  // namespace barebpf
