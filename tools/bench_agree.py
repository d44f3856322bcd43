#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What strata compare says beside what anybody takes by hand, in interleaved pairs: tools/bench_agree.py [PAIRS (20)]

As root, under tools/apart where v1 and v2 stand side by side (crun refuses that). By hand: the clock around the command line that docs/compare.md shows, chroot, crun on a mounted root file system; CPU time as
wait4(2) has it; memory as /proc has it. Environment: STRATA_BIN, STRATA_AGREE_KERNEL (a Debian package, for the machines), STRATA_AGREE_OUT
(JSON). The difference is the median of the pairs' ratios. Status 1 where it is more than 10 % and the quartiles part.
"""
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("STRATA_BIN", f"{TOP}/build/strata")
LOOP = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done"
LIMITS = ["--network", "none", "-m", "512m", "--cpus", "2"]
COLUMNS = ["host", "os-level", "hybrid", "hosted", "crun"]


def sh(*argv, **kwargs):
    return subprocess.run(argv, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs).stdout


class Agree:
    def __init__(self, directory):
        self.dir = directory
        self.rootfs = f"{directory}/rootfs"
        self.series = {}
        sh(f"{TOP}/tools/demo-image", self.rootfs)
        self.strata("image", "import", self.rootfs, "demo")
        kernel = os.environ.get("STRATA_AGREE_KERNEL")
        if kernel:
            self.strata("image", "kernel", "fetch", "--from", kernel)
        self.columns = [c for c in COLUMNS if (kernel or c not in ("hybrid", "hosted")) and (c != "crun" or shutil.which("crun"))]
        self.crun_bundle()

    def words(self, *argv):
        return [BIN, "--root", f"{self.dir}/root", "--run-root", f"{self.dir}/run", *argv]

    def strata(self, *argv):
        return sh(*self.words(*argv))

    def crun_bundle(self):
        """The configuration that crun itself proposes, on a root file system that is mounted before, as podman has it."""
        for name in ("upper", "work", "top"):
            os.makedirs(f"{self.dir}/bundle/{name}")
        if "crun" not in self.columns:
            return
        sh("crun", "spec", cwd=f"{self.dir}/bundle")
        with open(f"{self.dir}/bundle/config.json", encoding="utf-8") as file:
            config = json.load(file)
        config["root"] = {"path": "top", "readonly": False}
        config["process"].update(terminal=False, args=["sh", "-c", LOOP])
        with open(f"{self.dir}/bundle/config.json", "w", encoding="utf-8") as file:
            json.dump(config, file)

    def add(self, what, compared, by_hand):
        both = self.series.setdefault(what, ([], []))
        both[0].append(compared)
        both[1].append(by_hand)

    def by_hand(self, column):
        """ms of wall clock, and of CPU time of what waited for."""
        argv = ["chroot", self.rootfs, "sh", "-c", LOOP]
        if column == "crun":
            argv = ["crun", "--root", f"{self.dir}/crun", "run", "--bundle", f"{self.dir}/bundle", "agree"]
        elif column != "host":
            argv = self.words("run", "--rm", "--virt", column, *LIMITS, "demo", "sh", "-c", LOOP)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        took = time.monotonic() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return took * 1000, cpu * 1000

    def compare(self, *argv):
        return {m["id"]: m["cells"] for m in json.loads(self.strata("compare", "--runs", "1", "--quick", "-f", "json", *argv))["metrics"]}

    def pair(self, at):
        """Column by column, each way first in turn: what drifts on the host hits both."""
        for column in self.columns:
            wall, cpu = self.by_hand(column) if at % 2 else (0, 0)
            cells = self.compare("--virt", column, "demo", "sh", "-c", LOOP)
            wall, cpu = (wall, cpu) if at % 2 else self.by_hand(column)
            samples = cells["workload.time"][column]["samples"]
            if not samples:
                raise SystemExit(f"{column}: {cells['workload.time'][column]['why']}")
            self.add(f"{column}: time, ms", samples[0], wall)
            if column == "host":
                self.add(f"{column}: CPU time, ms", cells["workload.cpu"][column]["samples"][0], cpu)
        self.memory("os-level")

    def memory(self, column):
        compared = self.compare("--suite", "--virt", column, "--metric", "memory.overhead", "demo")["memory.overhead"][column]
        self.strata("run", "-d", "--name", "idle", "--virt", column, *LIMITS, "demo", "sh", "-c", "trap : TERM; echo idle; sleep 1000 & wait")
        while self.strata("logs", "idle") != "idle\n":
            time.sleep(0.01)
        tree = {json.loads(self.strata("inspect", "idle"))[0]["state"]["monitor_pid"]}
        parents = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    parents[int(pid)] = int(file.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
        while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
            tree |= more
        kib = 0
        for pid in tree:
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
                kib += int(re.search(r"\nPss: +(\d+)", file.read())[1])
        self.strata("rm", "-f", "idle")
        self.add(f"{column}: memory, MiB", compared["samples"][0], kib / 1024)

    def report(self):
        off = 0
        print(f"{'':24}{'strata compare':>26}{'by hand':>26}   difference, by pairs")
        for what, (ours, hand) in self.series.items():
            (q1, m1, p1), (q2, m2, p2) = (statistics.quantiles(s, n=4, method="inclusive") for s in (ours, hand))
            difference = statistics.median(a / b for a, b in zip(ours, hand)) - 1
            bad = abs(difference) > 0.1 and (q1 > p2 or q2 > p1)
            off += bad
            print(f"{what:24}{m1:10.2f} ({q1:.2f} - {p1:.2f}){m2:10.2f} ({q2:.2f} - {p2:.2f})   {100 * difference:+.1f} %{'  OFF' if bad else ''}")
        return off


def main():
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory(prefix="strata-agree.") as directory:
        agree = Agree(directory)
        bundle = f"{directory}/bundle"
        sh("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={agree.rootfs},upperdir={bundle}/upper,workdir={bundle}/work", f"{bundle}/top")
        try:
            for at in range(pairs):
                agree.pair(at)
        finally:
            sh("umount", f"{bundle}/top")
        off = agree.report()
        if os.environ.get("STRATA_AGREE_OUT"):
            with open(os.environ["STRATA_AGREE_OUT"], "w", encoding="utf-8") as file:
                json.dump(agree.series, file)
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
