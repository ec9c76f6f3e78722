// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* run_lpm_map: Linux's test_lpm_map as it stands. */
#include <tools/testing/selftests/bpf/test_lpm_map.c>
