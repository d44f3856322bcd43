#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An emulated AMD server: QEMU's TCG with SVM, Debian's cloud kernel with KVM, and our programs in its RAM disk.

tests/lab/lab.py [--smp N] [--memory MIB] [--timeout SECONDS] [--file SOURCE[:TARGET]]... [--program NAME]... -- COMMAND...

Runs COMMAND by a shell inside, prints what it says, and ends with its status; 124 where the server did not end
in time. The kernel's package is fetched once into $STRATA_LAB_CACHE (default: build/lab). /dev/kvm is hardware KVM to
whatever runs inside: nested paging, in-kernel interrupt controllers, everything.
"""
import argparse
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

import guest_image

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.environ.get("STRATA_LAB_CACHE", os.path.join(TOP, "build/lab"))
# -xsave: the TCG does not let XSETBV exit, so that KVM would not know what the guest enabled.
MODULES = ["irqbypass", "kvm", "kvm_amd", "tun", "bridge", "veth", "nf_tables", "nft_chain_nat", "nft_masq", "nft_nat",
           "nft_ct", "nft_redir", "nft_fib_ipv4", "nft_reject_ipv4", "overlay", "erofs", "loop"]
INIT = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
# A root that can be exchanged and overlaid, as a server's: the initramfs itself cannot.
if [ ! -e /lab/moved ]; then
	/bin/busybox mkdir /new && /bin/busybox mount -t tmpfs -o mode=755,size=90% root /new
	for f in /*; do [ $f = /new ] || /bin/busybox cp -a $f /new/; done
	:> /new/lab/moved
	exec /new/bin/busybox switch_root /new /init
fi
/bin/busybox --install -s /bin
for p in $(cat /lab/programs); do rm -f /bin/$p; done
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /run /tmp /root
mount -t devpts dev /dev/pts; mount -t tmpfs shm /dev/shm; mount -t tmpfs run /run; mount -t tmpfs tmp /tmp
mount -t tmpfs cg /sys/fs/cgroup; mkdir /sys/fs/cgroup/unified; mount -t cgroup2 cg /sys/fs/cgroup/unified
ifconfig lo up
for m in $(cat /lab/modules); do insmod /lab/$m || echo "lab: no $m"; done
mount -t debugfs debug /sys/kernel/debug
(sleep $(cat /lab/patience); sh /lab/stuck) &
echo "lab: begin"
sh /lab/command; status=$?
echo "lab: status $status"
poweroff -f
"""

# Shortly before the time is up: who waits for what. Nothing of it is printed if the server itself is what hangs.
STUCK = """echo "lab: the time is nearly up; what runs, and where it is:"
ps -o pid,ppid,stat,args
look() {
	for task in /proc/[0-9]*/task/*; do
		process=${task%/task/*}
		case $(readlink $process/exe) in
		*strata*) echo "$task $(cat $task/comm): $(cut -d ' ' -f 3,14,15 $task/stat) in $(cat $task/wchan) $(cat $task/syscall)";;
		esac
	done
	grep . /sys/kernel/debug/kvm/*/vcpu*/guest_mode /sys/kernel/debug/kvm/exits /sys/kernel/debug/kvm/halt_exits \
		/sys/kernel/debug/kvm/irq_injections /sys/kernel/debug/kvm/mmio_exits
	grep LOC /proc/interrupts
}
look; sleep 2; echo "lab: 2 s later:"; look
dmesg | tail -n 20
"""


class Tree(guest_image.Cpio):
    """An initramfs made of files of this machine; directories come as they are needed."""

    def __init__(self):
        super().__init__()
        self.made = set()

    def folder(self, name, mode=0o755):
        if name not in self.made:
            self.made.add(name)
            self.add(name, stat.S_IFDIR | mode)

    def parents(self, name):
        parts = name.split("/")[:-1]
        for i in range(1, len(parts) + 1):
            self.folder("/".join(parts[:i]))

    def copy(self, source, target, inside=False):
        """A link is what it points to, as a library's is, but for one inside of a copied directory."""
        target = target.strip("/")
        self.parents(target)
        if os.path.islink(source) and (inside or not os.path.isfile(source)):
            self.add(target, stat.S_IFLNK | 0o777, os.readlink(source).encode())
        elif os.path.isdir(source):
            self.folder(target, stat.S_IMODE(os.stat(source).st_mode))
            for name in sorted(os.listdir(source)):
                self.copy(os.path.join(source, name), f"{target}/{name}", True)
        elif os.path.isfile(source):
            with open(source, "rb") as file:
                self.add(target, stat.S_IFREG | stat.S_IMODE(os.stat(source).st_mode), file.read())

    def text(self, target, text, mode=0o644):
        self.parents(target)
        self.add(target, stat.S_IFREG | mode, text.encode())


def programs(names):
    """Each program's file and the libraries that it loads, as SOURCE paths."""
    paths = []
    for name in names:
        path = shutil.which(name) or sys.exit(f"lab: there is no program {name}")
        paths.append(path)
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        paths += re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listed, re.M)
    return list(dict.fromkeys(paths))


def ramdisk(path, loaded, files, names, command, patience):
    tree = Tree()
    for folder in ("proc", "sys", "dev", "bin", "sbin", "root"):
        tree.folder(folder)
    tree.add("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
    tree.copy("/bin/busybox", "bin/busybox")
    tree.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    for module in loaded:
        tree.copy(module, "lab/" + os.path.basename(module))
    tree.text("lab/modules", "\n".join(os.path.basename(m) for m in loaded) + "\n")
    tree.text("lab/programs", "\n".join(names) + "\n")  # in place of busybox's
    tree.text("lab/command", command + "\n")
    tree.text("lab/patience", f"{patience}\n")
    tree.text("lab/stuck", STUCK)
    tree.text("init", INIT, 0o755)
    for entry in files:
        source, _, target = entry.partition(":")
        tree.copy(os.path.abspath(source), target or os.path.abspath(source))
    with open(path, "wb") as file:
        file.write(tree.end())


def boot(vmlinuz, initrd, args):
    # tsc=reliable: a moment without a CPU on the host, and the server's kernel would take its TSC for broken, and its KVM change its
    # guests' clocks under them.
    argv = ["qemu-system-x86_64", *(["-icount", "shift=1,sleep=off"] if args.icount else []),
            "-accel", "tcg" if args.icount else "tcg,thread=multi", "-cpu", "max,-xsave", "-M", "q35", "-m", str(args.memory),
            "-smp", str(args.smp), "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", vmlinuz, "-initrd", initrd,
            "-append", "console=ttyS0 panic=-1 quiet mitigations=off no_timer_check tsc=reliable rdinit=/init"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        status, begun = 124, False
        timer = subprocess.Popen(["sh", "-c", f"sleep {args.timeout}; kill {server.pid}"], start_new_session=True)
        try:
            for raw in server.stdout:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                found = re.fullmatch(r"lab: status (\d+)", line)
                if found:
                    status = int(found.group(1))
                    break
                if begun or args.verbose:
                    print(line, flush=True)
                begun = begun or line == "lab: begin"
        finally:
            os.killpg(timer.pid, 15)
            timer.wait()
            if server.poll() is None:
                server.kill()
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--timeout", type=int, default=300)
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--program", action="append", default=[], help="with the libraries that it loads")
    parser.add_argument("--icount", action="store_true", help="an instruction takes 2 ns; one CPU")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what has begun is cleaned up
    vmlinuz, modules = guest_image.fetch_kernel(CACHE)
    loaded = guest_image.load_order(modules, MODULES)
    with tempfile.NamedTemporaryFile(prefix="strata-lab-", suffix=".cpio") as initrd:
        ramdisk(initrd.name, loaded, args.file + programs(args.program), args.program, " ".join(args.command),
                max(args.timeout - 30, args.timeout // 2))
        return boot(vmlinuz, initrd.name, args)


if __name__ == "__main__":
    sys.exit(main())
