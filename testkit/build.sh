#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Configures (once) and compiles one of the builds that the scripts use.
#
#     testkit/build.sh BUILD [TARGET...]       JOBS=8: more than two compilers at a time
#                                              BUILD_ROOT=DIR: instead of build/
#
#     build/gcc      GCC, -O2 -g, lock-order validator on
#     build/asan     Clang, AddressSanitizer and UndefinedBehaviorSanitizer
#     build/tsan     Clang, ThreadSanitizer: the tests whose subject is concurrency
#     build/release  GCC, -O2, no validator: what users get, and what the demo runs; the tests that run it from
#                    outside
#     build/fuzz     Clang, libFuzzer with ASan and UBSan; unless told otherwise only the tests of suite `fuzz`
#     build/arm64    GCC, a process on arm64 under qemu-user: the library, and the tests of testkit/foreign
#     build/guest-x86, build/guest-arm64
#                    GCC, the test kernel with the library and all tests that need no process, UBSan on; QEMU
#                    runs it
#     build/guest-run-x86, build/guest-run-arm64
#                    GCC, the test kernel with the library alone, quick to compile: what testkit/guest/run boots
set -eu
cd "$(dirname "$0")/.."

build=${1:-}
dir=${BUILD_ROOT:-build}/$build
debug="-Dbuildtype=debugoptimized -Dlock_validator=true"
lines="-Doptimization=1 -Ddebug=false -Dcpp_args=-gline-tables-only -Dlock_validator=true"
sanitize="$lines -Db_lundef=false -Db_sanitize"
cc=clang-19 cxx=clang++-19
case $build in
gcc) cc=gcc cxx=g++ options=$debug ;;
asan) options="$sanitize=address,undefined" ;;
tsan) options="$sanitize=thread -Dtests=threaded" ;;
release) cc=gcc cxx=g++ options="-Doptimization=2 -Ddebug=false -Dlock_validator=false -Dtests=clients" ;;
fuzz) options="$sanitize=address,undefined -Dfuzzers=true" ;;
arm64)
    # Of the tools that run here; the other compiler stands in the cross file.
    testkit/setup.sh arm64 "$dir/libraries"
    cc=gcc cxx=g++
    export CC_FOR_BUILD="ccache gcc" CXX_FOR_BUILD="ccache g++"
    options="--cross-file testkit/foreign/arm64.ini -Doptimization=1 -Ddebug=false -Dlock_validator=true"
    ;;
guest-x86 | guest-arm64)
    # Of the tools that run here; the guest's compiler stands in the cross file.
    cc=gcc cxx=g++
    export CC_FOR_BUILD="ccache gcc" CXX_FOR_BUILD="ccache g++"
    options="--cross-file testkit/guest/${build#guest-}.ini -Dhost=guest $debug"
    ;;
guest-run-x86 | guest-run-arm64)
    cc=gcc cxx=g++
    export CC_FOR_BUILD="ccache gcc" CXX_FOR_BUILD="ccache g++"
    options="--cross-file testkit/guest/${build#guest-run-}.ini -Dhost=guest"
    options="$options -Doptimization=g -Ddebug=false -Dlock_validator=false"
    ;;
*)
    echo "usage: build.sh gcc|asan|tsan|release|fuzz|arm64|guest-x86|guest-arm64|guest-run-x86|guest-run-arm64 [TARGET...]" >&2
    exit 2
    ;;
esac
shift

if [ -f "$dir/build.ninja" ]; then
    ninja -C "$dir" build.ninja # anew if a meson.build changed
else
    # shellcheck disable=SC2086  # a list of words
    CC="ccache $cc" CXX="ccache $cxx" meson setup "$dir" $options
fi

if [ "$build" = fuzz ] && [ $# = 0 ]; then
    targets=$(meson introspect --tests "$dir" | python3 -c '
import json, os, sys
for test in json.load(sys.stdin):
    if any(suite.split(":")[-1] == "fuzz" for suite in test["suite"]):
        print(os.path.relpath(test["cmd"][0], os.path.abspath(sys.argv[1])))' "$dir")
    [ -n "$targets" ] || exit 0
    # shellcheck disable=SC2086  # a list of words
    set -- $targets
fi
ninja -C "$dir" -j "${JOBS:-2}" "$@"
