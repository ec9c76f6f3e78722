#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Installs what is missing (as root), builds, compiles two programs with clang and runs them on packets that
# tcpdump recorded: without privileges, and without the kernel's BPF.
set -eu
cd "$(dirname "$0")/.."

release=${BUILD_ROOT:-build}/release
programs=$release/testkit/data/programs
captures=testkit/data/captures
log=$release/demo.log

say() { printf '\n== %s\n' "$*"; }

# The command as a reader would type it, then what it prints.
show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

testkit/setup.sh

say "Building barebpf, and compiling $programs/{xdp_proto_count,tc_firewall}.bpf.o from C"
mkdir -p "$release"
if ! JOBS=${JOBS:-$(nproc)} testkit/build.sh release \
    testkit/cli/barebpf testkit/preload/libbarebpf.so testkit/data/clients/count_packets \
    testkit/data/programs/xdp_proto_count.bpf.o testkit/data/programs/tc_firewall.bpf.o >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "demo.sh: the build failed; everything it said is in $log" >&2
    exit 1
fi
barebpf=$release/testkit/cli/barebpf

say "XDP: what is in $captures/mixed.pcap (ping, DNS, HTTP, IPv6, fragments), counted by protocol"
show "$barebpf" run "$programs/xdp_proto_count.bpf.o" --pcap $captures/mixed.pcap

say "TC: a firewall; its rules are constants in .rodata and end up in hash maps"
show "$barebpf" run "$programs/tc_firewall.bpf.o" --pcap $captures/mixed.pcap

say "The same counter through an ordinary libbpf program that knows nothing of barebpf, preloaded"
show env LD_PRELOAD="$release/testkit/preload/libbarebpf.so" "$release/testkit/data/clients/count_packets" $captures/mixed.pcap

say "Go on with: $barebpf --help"
