#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian with systemd, from nothing to its login prompt: a system container of Strata's beside systemd-nspawn, interleaved.

    tools/bench_system.py TREE [--runs N] [--strata build/strata]

TREE: a root made by 'debootstrap --include=systemd-sysv,dbus bookworm TREE'. nspawn boots a copy of it in place, Strata an instance of
it; neither for the first time, and both without a network of the host's. Time: from execve(2) of the command to "login:" on the console. Memory:
the proportional share (Pss) of every process of it, its manager's too, a moment later.
"""
import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time


def children():
    tree = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", "rb") as f:
                parent = int(f.read().rsplit(b")", 1)[1].split()[1])
        except OSError:
            continue
        tree.setdefault(parent, []).append(int(pid))
    return tree


def pss_kib(roots):
    tree, todo, total = children(), list(roots), 0
    while todo:
        pid = todo.pop()
        todo += tree.get(pid, [])
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
        except (OSError, AttributeError):
            pass
    return total


def until_login(process):
    seen = b""
    while b"login:" not in seen:
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            raise RuntimeError(f"it ended: {seen[-400:].decode(errors='replace')}")
        seen = (seen + chunk)[-4000:]


class Strata:
    name = "strata"

    def __init__(self, binary, tree, scratch):
        self.base = [binary, "--root", f"{scratch}/root", "--run-root", f"{scratch}/run"]
        subprocess.run(self.base + ["image", "import", tree, "debian"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(self.base + ["create", "--system", "--name", "bench", "--network", "none", "debian"],
                       check=True, stdout=subprocess.DEVNULL)

    def start(self):
        return subprocess.Popen(self.base + ["start", "--attach", "bench"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def roots(self, process):
        return [process.pid]

    def stop(self, process):
        subprocess.run(self.base + ["kill", "bench"], check=True, stdout=subprocess.DEVNULL)
        process.wait()


class Nspawn:
    name = "systemd-nspawn"

    def __init__(self, tree, scratch):
        self.tree = f"{scratch}/nspawn"
        subprocess.run(["cp", "-a", tree, self.tree], check=True)

    def start(self):
        return subprocess.Popen(["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
                                 "-b", "-D", self.tree],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def roots(self, process):
        return [process.pid]

    def stop(self, process):
        for pid in children().get(process.pid, []):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def measure(side):
    begun = time.monotonic()
    process = side.start()
    try:
        until_login(process)
        seconds = time.monotonic() - begun
        return seconds, pss_kib(side.roots(process)) / 1024
    finally:
        side.stop(process)
        process.stdout.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--strata", default="build/strata")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench_system: needs root")
    if not shutil.which("systemd-nspawn"):
        sys.exit("bench_system: there is no systemd-nspawn: apt-get install systemd-container")
    with tempfile.TemporaryDirectory(prefix="strata-bench.") as scratch:
        os.chmod(scratch, 0o755)
        sides = [Strata(args.strata, args.tree, scratch), Nspawn(args.tree, scratch)]
        results = {side.name: [] for side in sides}
        for side in sides:  # once for the page cache
            measure(side)
        for run in range(args.runs):
            for side in sides if run % 2 else reversed(sides):
                results[side.name].append(measure(side))
    print("| | to the login prompt, s | memory, MiB |")
    print("|---|---|---|")
    medians = {}
    for name, rows in results.items():
        medians[name] = [statistics.median(column) for column in zip(*rows)]
        print(f"| {name} | {medians[name][0]:.3f} | {medians[name][1]:.1f} |")
    ratios = [a / b for a, b in zip(medians["strata"], medians["systemd-nspawn"])]
    print(f"| ratio | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
