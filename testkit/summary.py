#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Adds up the results of `meson test` in one or more build folders.

    summary.py [--brief] BUILD...

Each GoogleTest case counts as one, each test of another kind as one. A program that crashes, hangs or
is stopped by a sanitizer counts as a failure even where all of its cases passed. A build folder that
has no results counts as a failure. Prints the failures with their logs, then `N passed, N failed,
N skipped`; exits non-zero unless something passed and nothing failed. `--brief` prints one
indented line and nothing else.
"""
import json
import os
import sys
import xml.etree.ElementTree as ElementTree

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP"}


class Count:
    def __init__(self):
        self.passed = 0
        self.skipped = 0
        self.failures = []
        self.logs = []

    def __str__(self):
        return f"{self.passed} passed, {len(self.failures)} failed, {self.skipped} skipped"


def case_outcome(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.find("skipped") is not None or case.get("status") == "notrun":
        return "skipped"
    return "passed"


def cases_by_test(path):
    """{test name: its cases}, for tests that report cases: meson calls their suites PROJECT.TEST[.SUITE]."""
    cases = {}
    if not os.path.exists(path):
        return cases
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        parts = suite.get("name", "").split(".")
        if len(parts) > 1:
            # "barebpf:guest-x86 / cpus1-0" where the test belongs to a suite of Meson's
            cases.setdefault(parts[1].split(" / ")[-1], []).extend(suite.iter("testcase"))
    return cases


def add_test(count, build, test, cases):
    """One line of testlog.json, and the cases that this test reported, if any."""
    failed_before = len(count.failures)
    for case in cases:
        outcome = case_outcome(case)
        if outcome == "passed":
            count.passed += 1
        elif outcome == "skipped":
            count.skipped += 1
        else:
            count.failures.append(f"{build}: {case.get('classname')}.{case.get('name')} ({test['name']})")
    result = test["result"]
    if result == "SKIP" and "fuzz / " in test["name"]:
        result = "FAIL"  # libFuzzer's exit status for a finding, 77, is Meson's for a skipped test
    if result in PASSED:
        count.passed += not cases
    elif result in SKIPPED:
        count.skipped += not cases
    elif len(count.failures) == failed_before:
        count.failures.append(f"{build}: {test['name']}: {result.lower()}, exit status {test['returncode']}")


def add_build(count, build):
    logs = os.path.join(build, "meson-logs")
    failed_before = len(count.failures)
    tests = []
    try:
        with open(os.path.join(logs, "testlog.json"), encoding="utf-8", errors="replace") as lines:
            tests = [json.loads(line) for line in lines]
    except OSError:
        pass
    if not tests:
        count.failures.append(f"{build}: no test ran")
        count.logs.append(f"{build}/compile.log, test.log")
        return
    cases = cases_by_test(os.path.join(logs, "testlog.junit.xml"))
    for test in tests:
        # "barebpf:fuzz / fuzz_bpf" where the test belongs to a suite
        name = test["name"].split(" / ")[-1]
        add_test(count, build, test, cases.get(name, []))
    if len(count.failures) > failed_before:
        count.logs.append(f"{logs}/testlog.txt")


def main(arguments):
    brief = arguments[:1] == ["--brief"]
    count = Count()
    for build in arguments[brief:]:
        add_build(count, build)
    if brief:
        print(f"{'':12} passed {count.passed}, failed {len(count.failures)}, skipped {count.skipped}")
        return 0
    if count.failures:
        print("\nfailures:", *count.failures, sep="\n  ")
        print("logs:", *count.logs, sep="\n  ")
    print(count)
    return 0 if count.passed and not count.failures else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
