#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Installs what is missing (as root), builds, compiles two programs with clang and runs them on packets that
# tcpdump recorded: without privileges, and without the kernel's BPF. Then one of them again in a kernel of our own, on
# emulated x86-64 and arm64 machines.
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

# The kernels are compiled meanwhile; testkit/guest/run would do it too, and says what is wrong if that fails.
export JOBS="${JOBS:-$(nproc)}"
for machine in x86 arm64; do
    nice testkit/build.sh guest-run-$machine testkit/guest/barebpf-guest-run || exit
done >/dev/null 2>&1 &
kernels=$!
trap 'kill "$kernels" 2>/dev/null || true' EXIT

say "Building barebpf, and compiling $programs/{xdp_proto_count,tc_firewall}.bpf.o from C"
mkdir -p "$release"
if ! testkit/build.sh release \
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

say "The firewall again, in a kernel that is nothing but barebpf: on an emulated x86-64 machine, compiled; on arm64, interpreted"
wait "$kernels" || true
for machine in x86 arm64; do
    show testkit/guest/run $machine "$programs/tc_firewall.bpf.o" --pcap $captures/mixed.pcap --smp 2 --elements 4
done

say "Go on with: $barebpf --help"
