# SPDX-License-Identifier: Apache-2.0
"""The software CPU beside QEMU's TCG and the host's own CPU: one kernel, one static guest, taking turns. Part of make bench."""
import json
import math
import os
import re
import shutil
import stat
import statistics
import subprocess
import sys
import time

from bench_vm import private_kib
from lab import TOP, LabError

sys.path.insert(0, f"{TOP}/tests/lab")
import guest_image  # pylint: disable=wrong-import-position

RUNS = int(os.environ.get("STRATA_BENCH_HOSTED_RUNS", "5"))
MEMORY_MIB = 512
APPEND = "console=ttyS0 quiet mitigations=off panic=-1 nokaslr"
SPEC = {"id": "0" * 64, "name": "bench", "args": ["guest"], "virt": "hosted"}
# Per group: what issue 4 asks of the ratio to TCG's time.
TARGETS = {"compute": 0.35, "floating": 0.10, "system": 0.6}
NATIVE = {"registers": 1.15, "mixed": 1.8, "dense": 2.4}


def make_initrd(lab):
    cpio = guest_image.Cpio()
    cpio.add("dev", stat.S_IFDIR | 0o755)
    cpio.add("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
    with open(f"{lab.build}/bench/guest_bench", "rb") as file:
        cpio.add("init", stat.S_IFREG | 0o755, file.read())
    path = f"{lab.dir}/bench.cpio"
    with open(path, "wb") as file:
        file.write(cpio.end())
    return path


def find_kernel(lab):
    return guest_image.fetch_kernel(os.environ.get("STRATA_LAB_CACHE", f"{lab.build}/lab"))[0]


def vmm_command(lab, kernel, initrd, append, vcpus=1):
    """The VMM itself, as a monitor would start it."""
    path = f"{lab.dir}/hosted{vcpus}.json"
    vm = {"kernel": kernel, "initrd": initrd, "append": append, "memory_bytes": MEMORY_MIB << 20, "vcpus": vcpus}
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**SPEC, "vm": vm}, file)
    return [f"{lab.build}/strata-vmm", path]


def commands(lab, kernel, initrd):
    """How each side is started."""
    qemu = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", str(MEMORY_MIB), "-nodefaults",
            "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd,
            "-append", APPEND]
    return {"ours": vmm_command(lab, kernel, initrd, APPEND), "tcg": qemu, "native": [f"{lab.build}/bench/guest_bench"]}


def once(command):
    """{item: (group, ns, sum)} of one run, and the seconds from its start to init's first word."""
    start = time.monotonic()
    items, init = {}, None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        try:
            for line in child.stdout:
                words = line.decode("ascii", "replace").split()
                if words[:1] == ["init"]:
                    init = time.monotonic() - start
                elif len(words) == 4 and re.fullmatch("[0-9a-f]{16}", words[3]):
                    items[words[0]] = (words[1], int(words[2]), words[3])
            child.wait(timeout=60)
        finally:
            child.kill()
    return items, init


def medians(runs):
    return {name: statistics.median(items[name][1] for items, _ in runs) for name in runs[0][0]}


def check_sums(results):
    """A CPU that computes something else is no faster one."""
    native = results["native"][0][0]
    for side, runs in results.items():
        for items, _ in runs:
            for name, (_, _, total) in native.items():
                if items.get(name, (0, 0, ""))[2] != total and name != "libm":
                    raise LabError(f"{side}: {name} gave {items.get(name, (0, 0, 'nothing'))[2]}, not {total}")


def bench_hosted(lab, report):
    if not shutil.which("qemu-system-x86_64"):
        print("the software CPU is not measured: it takes qemu-system-x86_64 to compare with")
        return
    sides = commands(lab, find_kernel(lab), make_initrd(lab))
    results = {side: [] for side in sides}
    for _ in range(RUNS):
        for side, command in sides.items():
            results[side].append(once(command))
            if not results[side][-1][0]:
                raise LabError(f"{side}: the guest said nothing")
    check_sums(results)
    report_all(report, results)
    bench_memory(lab, report)


def resting_mib(lab, kernel, initrd, vcpus):
    """The VMM's own memory beside the guest's and the code cache, once its guest waits."""
    command = vmm_command(lab, kernel, initrd, APPEND + " bench=wait", vcpus)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as vmm:
        try:
            if not any(b"waits" in line for line in vmm.stdout):
                raise LabError("the guest said nothing")
            return private_kib(vmm.pid, MEMORY_MIB, "strata-code") / 1024
        finally:
            vmm.kill()


def bench_memory(lab, report):
    kernel, initrd = find_kernel(lab), make_initrd(lab)
    one, four = resting_mib(lab, kernel, initrd, 1), resting_mib(lab, kernel, initrd, 4)
    report.line("hosted: VMM's memory, one vcpu", one, None, 5, "MiB")
    report.line("  each further vcpu", (four - one) / 3, None, 1, "MiB")


def report_all(report, results):
    ours, tcg, native = (medians(results[side]) for side in ("ours", "tcg", "native"))
    groups = {name: group for name, (group, _, _) in results["native"][0][0].items()}
    starts = {side: statistics.median(init for _, init in results[side]) * 1000 for side in ("ours", "tcg")}
    report.line("hosted: kernel's start to init, TCG", starts["ours"], starts["tcg"], 0.6)
    for group, target in TARGETS.items():
        names = [name for name in groups if groups[name] == group]
        mean = math.exp(sum(math.log(ours[n] / tcg[n]) for n in names) / len(names))
        report.line(f"hosted: {group}, geometric mean", mean, 1, target, "")
        for name in names:
            report.line(f"  {name}", ours[name] / 1e6, tcg[name] / 1e6, 1.05)
    for name, target in NATIVE.items():
        report.line(f"hosted: {name}, native", ours[name] / 1e6, native[name] / 1e6, target)


