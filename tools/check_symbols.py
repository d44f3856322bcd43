#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails where two files of src/ define the same global name: of two archives, the linker takes the first and says nothing.

tools/check_symbols.py [BUILD]
"""
import collections
import glob
import subprocess
import sys


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else "build"
    objects = sorted(glob.glob(f"{build}/src/**/*.a.p/*.o", recursive=True))
    if not objects:
        sys.exit(f"{build} has no objects of src/: build it first")
    places = collections.defaultdict(set)
    out = subprocess.run(["nm", "--defined-only", "--extern-only", "--print-file-name", *objects], capture_output=True, text=True,
                         check=True).stdout
    for line in out.splitlines():
        path, _, rest = line.partition(":")
        kind, name = rest.split()[-2:]
        if kind in "TDBRC":
            places[name].add(path)
    twice = {name: files for name, files in places.items() if len(files) > 1}
    for name, files in sorted(twice.items()):
        print(f"{name}: in {', '.join(sorted(files))}", file=sys.stderr)
    print(f"{len(places)} global names in {len(objects)} objects, {len(twice)} of them twice")
    return 1 if twice else 0


if __name__ == "__main__":
    sys.exit(main())
