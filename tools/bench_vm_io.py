# SPDX-License-Identifier: Apache-2.0
"""What a virtio driver's work takes of exits, beside QEMU's virtio devices for the same driver (bench/guest_io.c)."""
import ctypes
import fcntl
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess

from lab import LabError

RUNS, RUNS_ALONE = 5, 2
SAME = 1.05  # "not more": two runs of one VMM differ as much
DISK_MIB, MIB, PACKETS = 16, 32, 4000
WARM = {"blk_mib": 1, "net_packets": 64}  # in every run, and subtracted: the start, the first doorbells
EXIT, USER = "kvm_exit", "kvm_userspace_exit"
# Where no hardware helps KVM, nothing exits: what would, is an access to a device or a halt.
INSTEAD = ("kvm_mmio", "kvm_pio", "kvm_vcpu_wakeup")
TAP_FD = 7  # src/engines/vmm/sync.h
QEMU = ["qemu-system-x86_64", "-M", "q35", "-accel", "kvm", "-cpu", "qemu64,-arch-capabilities", "-m", "128",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
        "-device", "virtio-blk-pci,drive=disk,disable-legacy=on", "-netdev", f"tap,fd={TAP_FD},id=net",
        "-device", "virtio-net-pci,netdev=net,disable-legacy=on,romfile="]


def open_tap():
    """In the child that becomes the VMM: a tap in a network namespace of its own, up, at TAP_FD."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "unshare")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    # TUNSETIFF: IFF_TAP, IFF_NO_PI, IFF_VNET_HDR; TUNSETVNETHDRSZ; SIOCSIFFLAGS: IFF_UP
    fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", b"bench", 0x0002 | 0x1000 | 0x4000))
    fcntl.ioctl(tap, 0x400454d8, struct.pack("i", 12))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH22x", b"bench", 1))
    os.dup2(tap, TAP_FD, inheritable=True)


def our_command(lab, kernel, disk, append):
    path = f"{lab.dir}/guest_io.json"
    spec = {"id": "0" * 64, "name": "bench", "args": ["guest"], "virt": "hybrid",
            "network": {"mode": "bridge", "endpoint": {"network": "bench"}},
            "vm": {"kernel": kernel, "append": append, "memory_bytes": 128 << 20,
                   "disks": [{"path": disk, "format": "raw", "read_only": True}]}}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(spec, file)
    return [f"{lab.build}/strata-vmm", path]


def qemu_command(_lab, kernel, disk, append):
    return [*QEMU, "-drive", f"file={disk},format=raw,if=none,id=disk,readonly=on", "-kernel", kernel,
            "-append", append]


def count_exits(lab, command):
    """All exits of one run, and those of them to user space."""
    out = f"{lab.dir}/perf.out"
    events = ",".join(f"kvm:{name}" for name in (EXIT, USER, *INSTEAD))
    done = subprocess.run(["perf", "stat", "-x,", "-o", out, "-e", events, "--", *command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
                          close_fds=False, preexec_fn=open_tap)
    if "end: 2 passed, 0 failed" not in done.stdout:
        raise LabError(f"{command[0]}: {(done.stdout.strip().splitlines() or ['its guest said nothing'])[-1]}")
    with open(out, encoding="utf-8") as file:
        rows = [line.split(",") for line in file]
    counts = {row[2].removeprefix("kvm:"): int(row[0]) for row in rows if len(row) > 2}
    return counts[EXIT] or sum(counts[name] for name in INSTEAD), counts[USER]


def median_exits(lab, make_command, disk, batch, **more):
    append = f"batch={batch} " + " ".join(f"{name}={WARM[name] + more.get(name, 0)}" for name in WARM)
    command = make_command(lab, f"{lab.build}/bench/guest_io", disk, append)
    runs = [count_exits(lab, command) for _ in range(RUNS if batch > 1 else RUNS_ALONE)]
    return [statistics.median(column) for column in zip(*runs)]


def work(lab, make_command, disk, batch):
    """Exits (all, to user space) a MiB read, and 1,000 packets sent."""
    base = median_exits(lab, make_command, disk, batch)
    blk = median_exits(lab, make_command, disk, batch, blk_mib=MIB)
    net = median_exits(lab, make_command, disk, batch, net_packets=PACKETS)
    return ([(n - b) / MIB for n, b in zip(blk, base)], [(n - b) / PACKETS * 1000 for n, b in zip(net, base)])


def can_count():
    # perf's wrapper may want a perf of the kernel's own version.
    tried = shutil.which("perf") and subprocess.run(["perf", "stat", "-e", f"kvm:{USER}", "true"], check=False,
                                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return tried and tried.returncode == 0


def bench_vm_io(lab, report):
    if not can_count():
        print("no exits are counted: it takes perf (linux-perf) and the kernel's kvm tracepoints")
        return
    disk = f"{lab.dir}/guest_io.img"
    with open(disk, "wb") as file:
        file.write(os.urandom(DISK_MIB << 20))
    both = [work(lab, make_command, disk, 16) for make_command in (our_command, qemu_command)]
    alone = [work(lab, make_command, disk, 1) for make_command in (our_command, qemu_command)]
    os.unlink(disk)
    for i, what in enumerate(("exits a MiB read, QEMU q35", "exits 1,000 packets, QEMU q35")):
        ours, peer = (figures[i] for figures in both)
        report.line(what, ours[0], peer[0], SAME, "")
        # None as a rule, so no ratio: QEMU's number is the bound.
        report.line("  of them to user space", ours[1], None, max(peer[1], 0), "")
        # Whoever is quicker with one sleeps sooner, and has to be woken for the next: with aio=io_uring, as ours,
        # A driver that rings for each: whoever sleeps sooner is woken more often.
        report.line("  told one at a time", alone[0][i][0], alone[1][i][0], SAME, "")
