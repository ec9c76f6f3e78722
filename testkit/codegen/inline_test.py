#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What must be inline is: looks at the machine code of inline_probe.cc.

    inline_test.py OBJECT

No probe may call, jump to or take the address of another function; the exceptions are cold paths,
named here.
"""
import re
import subprocess
import sys

# Symbols that a probe may reach, all of them off the fast path.
COLD = re.compile(r"lock_contended|count_first_or_last|run_pending_interrupts")
DATA = re.compile(r"thread_state|cpu_count|cpu_slots|attention|whole_fences|\.rodata|\.text")
EXPECTED = {"probe_lock_irq_save", "probe_lock_no_irq", "probe_biased_lock", "probe_percpu_this_cpu",
            "probe_percpu_cpu", "probe_cpu_id", "probe_rcu_read", "probe_pin", "probe_in_nmi", "probe_atomics"}


def main():
    listing = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", sys.argv[1]], check=True,
                             capture_output=True, text=True).stdout
    problems = []
    seen = set()
    function = None
    for line in listing.splitlines():
        start = re.match(r"^[0-9a-f]+ <(\w+)>:", line)
        if start:
            function = start.group(1)
            seen.add(function)
            continue
        if not function or not function.startswith("probe_"):
            continue
        # A relocation names what an instruction reaches; calls within the file have none.
        relocation = re.search(r"R_\S+\s+(\S+)", line)
        if relocation and not COLD.search(relocation.group(1)) and not DATA.search(relocation.group(1)):
            problems.append(f"{function} reaches {relocation.group(1)}")
        call = re.search(r"\b(call|bl)\s+\S+ <([^>+]+)", line)
        if call and call.group(2) != function and not COLD.search(call.group(2)):
            problems.append(f"{function} calls {call.group(2)}")
        if re.search(r"\b(call|blr)\s+\*?(%|x\d)", line):
            problems.append(f"{function} calls through a register:{line}")
    for missing in EXPECTED - seen:
        problems.append(f"{missing} is not in the object")
    for problem in problems:
        print(problem)
    print(f"{len(seen & EXPECTED)} probes, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
