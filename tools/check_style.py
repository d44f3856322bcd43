#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What clang-format cannot see: licence line, sizes, functions we never call. Prints the size table.

tools/check_style.py
"""
import glob
import os
import re
import statistics
import sys

FILE_MAX = 800
FUNCTION_MAX = 100  # lines; only a flat switch may be longer
FUNCTION_LOOK = 60
FORBIDDEN = re.compile(r"(?<![\w>.])(strcpy|strcat|sprintf|vsprintf|atoi|atol|gets|alloca|strtok|tmpnam|mktemp)\s*\(")
STRINGS = re.compile(r'"(?:\\.|[^"\\])*"')
COMMENTS = re.compile(r"/\*.*?\*/", re.S)


def functions(lines):
    """(name, line, length) of each definition: clang-format puts its braces in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            head = start - 1
            while head > 1 and lines[head - 1].startswith(("\t", " ")):
                head -= 1
            name = re.search(r"(\w+)\s*\(", " ".join(lines[head - 1:start]))
            yield name.group(1) if name else "?", head, number - head + 1
            start = None


def code_of(text):
    """The text without comments and strings, lines kept."""
    text = COMMENTS.sub(lambda m: "\n" * m.group().count("\n"), text)
    return STRINGS.sub('""', text)


def check_file(path, sizes):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    lines = text.splitlines()
    product = path.startswith(("src/", "guest/", "hypervisor/"))
    if not lines or "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
        yield f"{path}:1: the first line must be the SPDX line"
    if len(lines) > FILE_MAX:
        yield f"{path}: {len(lines)} lines: {FILE_MAX} is the most, split it by concept"
    code = code_of(text).splitlines()
    for number, line in enumerate(code, 1):
        match = FORBIDDEN.search(line)
        if match:
            yield f"{path}:{number}: {match.group(1)}() is not used here (CONTRIBUTING.md, Style)"
    if path.endswith(".h") and "#pragma once" not in lines:
        yield f"{path}: no #pragma once"
    for name, line, length in functions(lines):
        if product:
            sizes.append((length, f"{path}:{line}", name))
        if product and length > FUNCTION_MAX and not any("switch (" in l for l in code[line:line + length]):
            yield f"{path}:{line}: {name}() has {length} lines: {FUNCTION_MAX} is the most"


def main():
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = sorted(p for top in ("src", "include", "guest", "hypervisor", "tests", "fuzz", "bench")
                   for p in glob.glob(f"{top}/**/*.[ch]", recursive=True))
    sizes = []
    bad = [line for path in paths for line in check_file(path, sizes)]
    print("\n".join(bad), end="\n" if bad else "")

    lengths = sorted(s[0] for s in sizes) or [0]
    print(f"{len(paths)} files, {len(lengths)} functions in src/, guest/ and hypervisor/: median {statistics.median(lengths):.0f} lines, "
          f"p90 {lengths[int(len(lengths) * 0.9)]}, longest {lengths[-1]}")
    for length, where, name in sorted(sizes, reverse=True):
        if length > FUNCTION_LOOK:
            print(f"  over {FUNCTION_LOOK}: {where}: {name}() {length}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
