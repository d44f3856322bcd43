# SPDX-License-Identifier: Apache-2.0
"""embed.py NAME INPUT OUTPUT: a text file as a C string, so that the command needs no file beside it."""
import sys

name, source, target = sys.argv[1:]
with open(source, encoding="ascii") as f:
    lines = f.read().splitlines()
with open(target, "w", encoding="ascii") as f:
    f.write(f"extern const char {name}[];\nconst char {name}[] =\n")
    for line in lines:
        text = line.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
        f.write(f'\t"{text}\\n"\n')
    f.write("\t;\n")
