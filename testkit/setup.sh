#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The one list of Debian packages that this project needs, and what each is for.
#
#     testkit/setup.sh            what building, testing and the demo need
#     testkit/setup.sh captures   also the tools that testkit/data/make_captures.sh records
#     testkit/setup.sh plots      also what bench/ring_plot draws with
#     testkit/setup.sh arm64 DIR  unpacks arm64's shared libraries into DIR, if they are not there, and does nothing else
#
# As root it installs what is missing, quietly. Without root it installs nothing: if something is
# missing it prints the one apt-get line to run and fails, otherwise it succeeds without a word.
set -eu

packages() {
    cat <<'LIST'
meson               build system
ninja-build         build system's engine
pkg-config          finds libbpf, libpcap and the other libraries
ccache              makes the second build of the same sources fast
g++                 first compiler (GCC 12)
gcc                 C clients: oracle, libbpf skeletons
clang-19            second compiler, sanitizers, thread-safety analysis, BPF objects
llvm-19             symbolizer for sanitizer reports, llvm-objdump for BPF objects
lld-19              linker for sanitizer and bare-metal builds
libclang-rt-19-dev  run-time libraries of ASan, UBSan, TSan and libFuzzer
clang-16            BPF objects of an older compiler
libc6-dev           C library headers
linux-libc-dev      the system's <linux/bpf.h>, which ours is compared with
libgtest-dev        GoogleTest: unit tests (and googletest, its sources, for other architectures)
libbenchmark-dev    Google Benchmark: bench/
libbpf-dev          loads ELF objects: command line, clients, oracle; bpf_helpers.h for BPF C
bpftool             writes skeletons; a client in tests of its own
libpcap-dev         reads and writes captures
libcapstone-dev     prints machine code: barebpf disasm
libelf-dev          libbpf's ELF parser
zlib1g-dev          libbpf's section decompressor
libseccomp-dev      filter that kills a client which calls the kernel's bpf(2)
libxdp1             brings xdp-dispatcher.o, a real program that others wrote
linux-source-6.1    Linux's own tests of maps, run as outside programs
qemu-system-x86     machine for the x86-64 guest
qemu-system-arm     machine for the arm64 guest
g++-aarch64-linux-gnu compiler of the arm64 guest, and of a process on arm64
qemu-user-static    runs that process
python3             small scripts: summary of test results, test data
LIST
    [ "${1:-}" = captures ] && cat <<'LIST'
tcpdump             takes the captures
iproute2            ip: namespaces and veth pairs
util-linux          unshare: the private mount namespace
ethtool             turns checksum offload off, so that checksums on the wire are real
iputils-ping        ping
iputils-arping      arping
curl                HTTP client
dnsmasq-base        DNS server
bind9-dnsutils      dig: DNS client
LIST
    [ "${1:-}" = plots ] && cat <<'LIST'
gnuplot-nox         draws figures of docs/performance.md
LIST
    return 0
}

# What clients of libbpf load as processes on arm64, beside the cross compiler's libraries. Installed, they would bring
# a C library of their own, which the cross compiler's loader must not meet; so they are unpacked into a folder.
libraries() {
    cat <<'LIST'
libbpf1             what the clients are linked with
libelf1             libbpf's ELF parser
zlib1g              libbpf's section decompressor
LIST
}

# unpack_libraries ARCHITECTURE DIR: apt-get in a world of its own, where nothing is installed. Needs no root.
unpack_libraries() {
    [ -e "$2/complete" ] && return 0
    rm -rf "$2"
    mkdir -p "$2/apt/lists/partial" "$2/apt/cache/archives/partial"
    at=$(cd "$2" && pwd)
    own="-o APT::Architecture=$1 -o APT::Architectures=$1 -o Dir::State::status=/dev/null"
    own="$own -o Dir::State::lists=$at/apt/lists -o Dir::Cache=$at/apt/cache -o APT::Sandbox::User="
    # shellcheck disable=SC2046,SC2086  # lists of words
    if ! (cd "$at/apt" && apt-get -q $own update && apt-get -q $own download $(libraries | sed 's/ .*//')) \
        </dev/null >"$at/log" 2>&1; then
        tail -n 20 "$at/log" >&2
        echo "setup.sh: apt-get could not download what clients on $1 need, see above" >&2
        return 1
    fi
    for package in "$at"/apt/*.deb; do dpkg -x "$package" "$at"; done
    rm -rf "$at/apt"
    touch "$at/complete"
}

if [ "${1:-}" = arm64 ]; then
    unpack_libraries arm64 "${2:?}"
    exit
fi

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing() {
    packages "${1:-}" | while read -r name _; do
        installed "$name" || printf '%s ' "$name"
    done
}

need=$(missing "${1:-}")
[ -n "$need" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "These Debian packages are missing. Install them, then start again:" >&2
    echo "    sudo apt-get install --no-install-recommends $need" >&2
    exit 1
fi

echo "installing: $need"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086  # a list of words
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends $need; } </dev/null >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup.sh: apt-get failed, see above. Without network, install by hand: $need" >&2
    exit 1
fi
