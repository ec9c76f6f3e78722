#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Installs what is missing, builds four ways, runs every test in each, then the fuzzers.
#
#     testkit/test.sh                  everything
#     testkit/test.sh gcc asan         only the builds named: gcc asan tsan release fuzz
#     JOBS=8 testkit/test.sh           more than two compilers and tests at a time
#     BUILD_ROOT=/dev/shm/b ...        build somewhere else than build/
#
#     build/gcc      GCC, -O2 -g, lock-order validator on
#     build/asan     Clang, AddressSanitizer and UndefinedBehaviorSanitizer
#     build/tsan     Clang, ThreadSanitizer (re-executes itself without ASLR where it has to)
#     build/release  GCC, -O2, no validator: what users get, and what the demo runs
#     build/fuzz     Clang, libFuzzer with ASan: the tests of suite `fuzz`, about a minute each
#
# The last line is `N passed, N failed, N skipped`: GoogleTest cases one by one, every other test as
# one. The exit status is zero only if something passed and nothing failed.
set -u
cd "$(dirname "$0")/.." || exit 2

jobs=${JOBS:-2}
root=${BUILD_ROOT:-build}
builds=${*:-gcc asan tsan release fuzz}
results=

options() {
    case $1 in
    gcc) echo "-Dbuildtype=debugoptimized -Dlock_validator=true" ;;
    asan) echo "-Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false" ;;
    tsan) echo "-Dbuildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false" ;;
    release) echo "-Doptimization=2 -Ddebug=false -Dlock_validator=false" ;;
    fuzz) echo "-Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false -Dfuzzers=true" ;;
    *) echo "test.sh: no build is called '$1' (gcc asan tsan release fuzz)" >&2 && return 2 ;;
    esac
}

configure() {
    if [ -f "$root/$1/build.ninja" ]; then
        ninja -C "$root/$1" build.ninja # anew if a meson.build changed
        return
    fi
    case $1 in
    gcc | release) cc=gcc cxx=g++ ;;
    *) cc=clang-19 cxx=clang++-19 ;;
    esac
    # shellcheck disable=SC2046  # a list of words
    CC="ccache $cc" CXX="ccache $cxx" meson setup "$root/$1" $(options "$1")
}

# Fuzz targets only: the rest of that build is not needed.
fuzz_targets() {
    meson introspect --tests "$root/fuzz" | python3 -c '
import json, os, sys
root = os.path.abspath(sys.argv[1])
for test in json.load(sys.stdin):
    if any(suite.split(":")[-1] == "fuzz" for suite in test["suite"]):
        print(os.path.relpath(test["cmd"][0], root))' "$root/fuzz"
}

compile() {
    targets=
    if [ "$1" = fuzz ]; then
        targets=$(fuzz_targets)
        [ -n "$targets" ] || return 0
    fi
    # shellcheck disable=SC2086  # a list of words
    ninja -C "$root/$1" -j "$jobs" $targets
}

run_tests() {
    case $1 in
    fuzz) select="--suite fuzz" slower=4 ;;
    asan | tsan) select="--no-suite fuzz --no-suite bench" slower=4 ;;
    *) select="--no-suite fuzz --no-suite bench" slower=1 ;;
    esac
    # shellcheck disable=SC2086  # a list of words
    UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1 TSAN_OPTIONS=halt_on_error=0 \
        meson test -C "$root/$1" --no-rebuild --num-processes "$jobs" --timeout-multiplier $slower $select
}

# step BUILD NAME COMMAND...: quiet when it works; says how long it took; shows the end of its log when not.
step() {
    step_log=$root/$1/$2.log
    step_began=$(date +%s)
    printf '%-8s %s ... ' "$1" "$2"
    shift 2
    if "$@" >"$step_log" 2>&1; then
        echo "$(($(date +%s) - step_began)) s"
    else
        echo "FAILED after $(($(date +%s) - step_began)) s, log: $step_log"
        grep -E 'FAILED|error:|ERROR|FAIL|TIMEOUT' "$step_log" | head -n 15
        return 1
    fi
}

for build in $builds; do
    options "$build" >/dev/null || exit 2
done
testkit/setup.sh || exit 1

for build in $builds; do
    mkdir -p "$root/$build"
    results="$results $root/$build"
    # No result of an earlier run may be taken for one of this run.
    rm -f "$root/$build"/meson-logs/testlog* "$root/$build"/*.xml "$root/$build"/*.log
    step "$build" configure configure "$build" || continue
    step "$build" compile compile "$build" || continue
    if [ "$build" = fuzz ] && [ -z "$(fuzz_targets)" ]; then
        results=${results% *}
        continue
    fi
    step "$build" test run_tests "$build"
    python3 testkit/summary.py --brief "$root/$build"
done

# shellcheck disable=SC2086  # a list of words
exec python3 testkit/summary.py $results
