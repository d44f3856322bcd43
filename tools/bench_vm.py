# SPDX-License-Identifier: Apache-2.0
"""The virtual machine's figures beside QEMU's microvm on the same /dev/kvm: part of make bench."""
import json
import os
import shutil
import subprocess
import time

from bench_vm_io import bench_vm_io
from lab import LabError

RUNS = 30
SPEC = {"id": "0" * 64, "name": "bench", "args": ["guest"], "virt": "hybrid"}
QEMU = ["qemu-system-x86_64", "-M", "microvm", "-accel", "kvm", "-cpu", "qemu64,-arch-capabilities", "-m", "128",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel"]


def vm_command(lab, name, kernel, **more):
    """strata-vmm itself, as a monitor would start it for `strata run --kernel`, with a spec in a file."""
    path = f"{lab.dir}/{name}.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**SPEC, "vm": {"kernel": kernel, "memory_bytes": 128 << 20, **more}}, file)
    return [f"{lab.build}/strata-vmm", path]


def private_kib(pid, guest_mib, but=None):
    """What a process alone has in memory, but for the guest's own: the mapping that is as large as the guest; and those named @but."""
    total, guest = 0, False
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as lines:
        for line in lines:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                low, high = (int(x, 16) for x in words[0].split("-"))
                guest = high - low == guest_mib << 20 or (but and but in line)
            elif words[0] in ("Private_Clean:", "Private_Dirty:") and not guest:
                total += int(words[1])
    return total


def resting(command, guest_mib=128):
    """The memory of a VMM whose guest waits for ever, once it no longer grows."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as vmm:
        try:
            if vmm.stdout.read(1) != b"x":
                raise LabError(f"{command[0]}: its guest said nothing")
            last, now = -1, 0
            while now != last:
                last, now = now, private_kib(vmm.pid, guest_mib)
                time.sleep(0.2)
            return now
        finally:
            vmm.kill()


def bench_vm(lab, report):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK) or not shutil.which(QEMU[0]):
        print("no virtual machine is measured: it takes a usable /dev/kvm and qemu-system-x86_64")
        return
    guest = f"{lab.build}/bench/guest_reset"
    commands = {"ours": vm_command(lab, "reset", guest), "peer": [*QEMU, guest],
                "floor": [f"{lab.build}/bench/kvm_floor", "-f"],
                "less": [f"{lab.build}/bench/kvm_floor"],
                "run": [*lab.strata, "run", "--rm", "--virt", "hybrid", "-m", "128m", "--kernel", guest]}
    times = {name: row["median"] for name, row in lab.pair(commands, RUNS).items()}
    report.line("a 30-byte guest, QEMU microvm", times["ours"], times["peer"], 0.1)
    report.line("  the same KVM calls and no more", times["ours"], times["floor"], 1.3)
    # Fewer calls than ours, and no wait for KVM's teardown, which ours leaves to another process (docs/decisions.md).
    report.line("  with KVM's LAPIC alone", times["ours"], times["less"], None)
    report.line("  by strata run, all of it", times["run"], times["peer"], None)
    waits = f"{lab.build}/bench/guest_wait"
    ours = resting(vm_command(lab, "wait", waits)) / 1024
    report.line("a VMM's memory beside its guest's", ours, resting([*QEMU, waits]) / 1024, None, "MiB")
    report.line("  at most", ours, None, 4, "MiB")
    bench_vm_io(lab, report)
