#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails if code that runs with the guest's vector state in the registers touches one, or calls what may.

tools/check_vectors.py ARCHIVE...: static libraries (src/engines/hosted/cpu.h, rule 2). What they call must be in one of
them, or in ALLOWED.
"""
import re
import subprocess
import sys

# What takes no vector register: base/core/rep.c; futex(2), which wakes and waits; what ends the process; the sanitizers.
ALLOWED = re.compile(r"rep_mem(cpy|move|set|cmp)|lock_(wait|wake)|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_")
VECTOR = re.compile(r"%([xyz]mm|mm[0-7]|k[0-7]|st\b)")
# Guest state goes to memory and back here, on purpose.
ON_PURPOSE = re.compile(r"\b(xsave|xsavec|xsaves|xsave64|xrstor|xrstor64|ldmxcsr|stmxcsr|fldcw|fnstcw|fninit)\b")


def lines_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def main():
    bad, defined, wanted = [], set(), {}
    for archive in sys.argv[1:]:
        member = archive
        for line in lines_of("nm", archive):
            if line.endswith(":"):
                member = line[:-1]
            parts = line.split()
            if len(parts) == 3 and parts[1] in "TtDdRrBb":
                defined.add(parts[2])
            elif len(parts) == 2 and parts[0] == "U":
                wanted.setdefault(parts[1], member)
        for line in lines_of("objdump", "-d", "--no-show-raw-insn", archive):
            if ": " in line and "file format" in line:
                member = line.split(":")[0]
            elif VECTOR.search(line) and not ON_PURPOSE.search(line):
                bad.append(f"{member}: {line.strip()}: a vector register")
    for name, member in sorted(wanted.items()):
        if name not in defined and not ALLOWED.fullmatch(name):
            bad.append(f"{member}: calls {name}(), which is not known to leave the vector registers alone")
    print("\n".join(bad), end="\n" if bad else "")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
