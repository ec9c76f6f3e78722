#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Installs what is missing, builds four ways, runs every test in each, then the fuzzers, a part as a process on
# arm64, then the tests on bare metal: in guests under QEMU.
#
#     testkit/test.sh                  everything
#     testkit/test.sh gcc asan         only the builds named: gcc asan tsan release fuzz arm64 guest-x86 guest-arm64
#     JOBS=8 testkit/test.sh           more than two compilers and tests at a time
#     BUILD_ROOT=/dev/shm/b ...        build somewhere else than build/
#
# What each build is stands in testkit/build.sh.
#
# The last line is `N passed, N failed, N skipped`: GoogleTest cases one by one, every other test as
# one. The exit status is zero only if something passed and nothing failed.
set -u
cd "$(dirname "$0")/.." || exit 2

jobs=${JOBS:-2}
root=${BUILD_ROOT:-build}
export JOBS="$jobs" BUILD_ROOT="$root"
builds=${*:-gcc asan tsan release fuzz arm64 guest-x86 guest-arm64}
results=

has_fuzz_tests() {
    meson test -C "$root/fuzz" --no-rebuild --list --suite fuzz 2>/dev/null | grep -q fuzz
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
    printf '%-12s %s ... ' "$1" "$2"
    shift 2
    if "$@" >"$step_log" 2>&1; then
        echo "$(($(date +%s) - step_began)) s"
    else
        echo "FAILED after $(($(date +%s) - step_began)) s, log: $step_log"
        grep -E 'FAILED|error:|ERROR|FAIL|TIMEOUT' "$step_log" | head -n 15
        return 1
    fi
}

testkit/setup.sh || exit 1

for build in $builds; do
    case $build in
    gcc | asan | tsan | release | fuzz | arm64 | guest-x86 | guest-arm64) ;;
    *)
        echo "test.sh: no build is called '$build' (gcc asan tsan release fuzz arm64 guest-x86 guest-arm64)" >&2
        exit 2
        ;;
    esac
    mkdir -p "$root/$build"
    results="$results $root/$build"
    # No result of an earlier run may be taken for one of this run.
    rm -f "$root/$build"/meson-logs/testlog* "$root/$build"/*.xml "$root/$build"/*.log
    step "$build" compile testkit/build.sh "$build" || continue
    if [ "$build" = fuzz ] && ! has_fuzz_tests; then
        results=${results% *}
        continue
    fi
    step "$build" test run_tests "$build"
    python3 testkit/summary.py --brief "$root/$build"
done

# shellcheck disable=SC2086  # a list of words
exec python3 testkit/summary.py $results
