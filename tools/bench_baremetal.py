#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The hypervisor's figures beside KVM's and Xen's, on the same emulated server: make bench BAREMETAL=1

tools/bench_baremetal.py [--runs N] [--peers kvm,xen]

Instructions are counted (QEMU's -icount: they repeat exactly); times are the emulator's CPU time, whoever else this machine is busy with,
medians of runs that take turns. KVM is Debian's, under our own
VMM with the in-kernel interrupt controllers, in the server of tests/lab/lab.py. Xen and its dom0 come from Debian's packages, which are
unpacked below $STRATA_LAB_CACHE (build/lab), not installed. All guests run Debian's cloud kernel with the same initramfs. A missed target is said and is
no failure.
"""
import argparse
import glob
import gzip
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, f"{TOP}/tests/lab")
import guest_image  # noqa: E402
import lab  # noqa: E402
import server  # noqa: E402

BUILD = os.path.join(TOP, "build")
CACHE = lab.CACHE
XEN = """xen-hypervisor-4.17-amd64 xen-utils-4.17 xen-utils-common xenstore-utils libxenmisc4.17 libxenstore4 libxencall1 libxendevicemodel1
    libxenevtchn1 libxenforeignmemory1 libxengnttab1 libxentoollog1 libxentoolcore1 libxenhypfs1 libyajl2 libnl-3-200 libnl-route-3-200
    libfdt1""".split()
XEN_MODULES = ("xen_privcmd", "xenfs", "xen_evtchn", "xen_gntdev", "xen_gntalloc")
GUEST_INIT = """#!/bin/sh
echo "guest: user space"
/bin/busybox poweroff -f
"""
DOM0_INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/xen-4.17/bin
export LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/usr/lib/xen-4.17/lib/x86_64-linux-gnu
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mkdir -p /dev/pts; mount -t devpts dev /dev/pts
mkdir -p /run /var/run /var/lib/xen /var/lib/xenstored /var/log/xen /tmp /proc/xen
mount -t tmpfs run /run; mount -t tmpfs run /var/run; mkdir -p /run/xen /var/run/xen /run/xenstored /var/run/xenstored
for m in $(ls /modules); do insmod /modules/$m; done
mount -t xenfs xenfs /proc/xen
xenstored --pid-file /run/xenstored.pid
xen-init-dom0
xenconsoled --log=guest --log-dir=/tmp --pid-file=/run/xenconsoled.pid
echo "dom0: ready"
xl create /guest.cfg
echo "dom0: created $?"
while [ ! -e /tmp/guest-g.log ]; do usleep 20000; done
tail -n +1 -f /tmp/guest-g.log
"""
SERVER = ["qemu-system-x86_64", "-M", "q35", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
GUEST_WORDS = "panic=-1 mitigations=off"


def emulator(pid):
    """The process, or the one below it, that is QEMU; 0: there is none."""
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as name, open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            if name.read().startswith("qemu"):
                return pid
            return next(filter(None, map(emulator, children.read().split())), 0)
    except OSError:  # it ended
        return 0


def cpu_seconds(pid):
    """CPU time of all its threads: clock_getcpuclockid(3), which Python has for threads only."""
    try:
        return time.clock_gettime(~int(pid) << 3 | 2) if pid else 0.0
    except OSError:
        return 0.0


def lines_of(argv, seconds):
    """(the emulator's CPU seconds, line) of a program, until it ends or time is up; it ends when nobody wants more."""
    qemu = 0
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        timer = threading.Timer(seconds, child.kill)
        timer.start()
        try:
            for raw in child.stdout:
                qemu = qemu or emulator(child.pid)
                yield cpu_seconds(qemu), raw.decode("utf-8", "replace").rstrip("\r\n")
        finally:
            timer.cancel()
            child.terminate()


def moments(argv, patterns, seconds=300, tries=1):
    """When the first line of each pattern came, in the emulator's seconds, by its name. What else came is said where one is missing."""
    found, said = {}, []
    for now, line in lines_of(argv, seconds):
        said.append(line)
        for name, pattern in patterns.items():
            if name not in found and re.search(pattern, line):
                found[name] = now
        if len(found) == len(patterns):
            return found
        if line.startswith("dom0: created") and not line.endswith(" 0"):
            break
    if tries > 1:
        return moments(argv, patterns, seconds, tries - 1)
    missing = ", ".join(set(patterns) - set(found))
    sys.exit("bench_baremetal: " + "\n".join([*said[-25:], f"not seen: {missing}: {' '.join(argv)[:200]}"]))


class Bench:
    def __init__(self, folder, peers):
        self.folder, self.peers = folder, peers
        self.kernel = f"{folder}/vmlinuz"
        self.initrd = f"{folder}/initrd"
        vmlinuz, self.modules = guest_image.fetch_kernel(CACHE)
        shutil.copy(vmlinuz, self.kernel)
        server.initramfs(self.initrd, GUEST_INIT, shutil.which("busybox"))
        self.write("guest.cfg", "guest g\nmemory 128M\nkernel vmlinuz\ninitrd initrd\n"
                   f"append console=ttyS0 earlyprintk=serial {GUEST_WORDS}\n")
        self.write("cost.cfg", "guest cost\nmemory 16M\nkernel guest_exit_cost\n")

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def ours(self, *options, config="guest.cfg", files=("vmlinuz", "initrd")):
        files = [f"{self.folder}/{config}", *(name if "/" in name else f"{self.folder}/{name}" for name in files)]
        return [*SERVER, "-accel", "tcg", "-cpu", "max", "-m", "1024", *options, "-kernel", f"{BUILD}/strata-hv", "-initrd",
                ",".join(files)]

    def spec(self, name, kernel, append, initrd=None):
        vm = {"kernel": kernel, "memory_bytes": 128 << 20, "append": append, "irqchip": "engine"}
        self.write(name, json.dumps({"id": "0" * 64, "name": "g", "args": ["x"], "virt": "hybrid",
                                     "vm": {**vm, **({"initrd": initrd} if initrd else {})}}))

    def kvm(self, spec, *options):
        return [sys.executable, f"{TOP}/tests/lab/lab.py", *options, "--timeout", "280", "--file", f"{BUILD}/strata-vmm:/vmm",
                "--file", f"{BUILD}/tests/guest:/guests", "--file", f"{self.kernel}:/vmlinuz", "--file", f"{self.initrd}:/initrd",
                "--file", f"{self.folder}/{spec}:/spec", "--", "/vmm /spec </dev/null"]

    # ---- instructions ----

    def costs(self, argv):
        return {name: int(ticks) / 2 for _, line in lines_of(argv, 280)
                for name, ticks in re.findall(r"(\w+): (\d+) ticks$", line)}

    def instructions(self):
        icount = ("-icount", "shift=1,sleep=off")
        return self.costs(self.ours(*icount, config="cost.cfg", files=[f"{BUILD}/tests/guest/guest_exit_cost"]))

    def instructions_kvm(self):
        self.spec("cost", "/guests/guest_exit_cost", "loops=200")
        return self.costs(self.kvm("cost", "--icount"))

    # ---- times ----

    def boot(self):
        found = moments(self.ours(), {"begin": "the hypervisor's own$", "made": "^guest g: .*made in",
                                      "kernel": r"^\[g\].*Linux version", "user": r"^\[g\] guest: user space"})
        return {"create": found["made"] - found["begin"], "power": found["kernel"], "user": found["user"] - found["kernel"]}

    def create_counted(self):
        """Instructions from the config to the first one of the guest's: two nanoseconds each, on the server's clock."""
        for _, line in lines_of(self.ours("-icount", "shift=1,sleep=off"), 120):
            made = re.search(r"^guest g: .* made in (\d+) us", line)
            if made:
                return int(made.group(1)) * 500
        sys.exit("bench_baremetal: our guest was not made")

    def boot_kvm(self):
        self.spec("boot", "/vmlinuz", f"console=ttyS0 earlyprintk=serial {GUEST_WORDS}", "/initrd")
        # On a busy machine strata-vmm now and then finds this KVM too slow to be one of hardware's, and runs no guest by it.
        found = moments(self.kvm("boot"), {"kernel": "Linux version", "user": "guest: user space"}, tries=3)
        return {"user": found["user"] - found["kernel"]}

    def boot_xen(self):
        xen, kernel, dom0 = self.xen
        argv = [*SERVER, "-accel", "tcg", "-cpu", "EPYC,-smap,-smep,-monitor,-rdtscp", "-m", "2048", "-kernel", xen, "-append",
                "console=com1 com1=115200,8n1 dom0_mem=1024M guest_loglvl=all", "-initrd",
                f"{kernel} console=hvc0 loglevel=4 rdinit=/init,{dom0}"]
        found = moments(argv, {"begin": "^dom0: ready", "created": "^dom0: created 0", "kernel": r"\(d1\).*Linux version",
                               "user": "guest: user space"})
        return {"create": found["created"] - found["begin"], "power": found["kernel"], "user": found["user"] - found["kernel"]}

    # ---- Xen's server ----

    def xen_make(self):
        root = f"{CACHE}/xen"
        if not os.path.isdir(root):
            depends = guest_image.run("apt-cache", "depends", "linux-image-amd64").decode()
            debs = f"{root}.debs"
            os.makedirs(debs, exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(debs, "_apt")
            guest_image.run("apt-get", "download", re.search(r"Depends: (linux-image-\S+)", depends).group(1), *XEN, cwd=debs)
            for deb in glob.glob(f"{debs}/*.deb"):
                guest_image.run("dpkg", "-x", deb, f"{root}.new")
            os.rename(f"{root}.new", root)
        xen, dom0 = f"{self.folder}/xen", f"{self.folder}/dom0"
        with gzip.open(glob.glob(f"{root}/boot/xen-*.gz")[0]) as packed, open(xen, "wb") as file:
            file.write(packed.read())
        self.dom0(root, dom0)
        self.xen = xen, glob.glob(f"{root}/boot/vmlinuz-*")[0], dom0

    def dom0(self, root, path):
        tree = lab.Tree()
        for folder in ("proc", "sys", "dev", "bin", "sbin", "modules", "run", "tmp", "var/log/xen", "etc/xen"):
            tree.parents(folder + "/x")
        tree.add("dev/console", 0o20600, rdev=(5, 1))
        tree.copy("/bin/busybox", "bin/busybox")
        tree.add("bin/sh", 0o120777, b"busybox")
        for name in ("usr/sbin", "usr/lib"):
            tree.copy(f"{root}/{name}", name)
        programs = [f for f in glob.glob(f"{root}/usr/lib/xen-4.17/bin/*") if os.access(f, os.X_OK)]
        libs = f"{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib/xen-4.17/lib/x86_64-linux-gnu"
        listed = subprocess.run(["ldd", *programs], env={**os.environ, "LD_LIBRARY_PATH": libs}, capture_output=True, text=True,
                                check=False).stdout
        gcc = subprocess.run(["gcc", "-print-file-name=libgcc_s.so.1"], capture_output=True, text=True, check=False).stdout.strip()
        for found in sorted({*re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listed, re.M), gcc}):
            if os.path.isfile(found) and not found.startswith(root):
                tree.copy(found, found)
        modules = f"{root}/lib/modules/" + os.listdir(f"{root}/lib/modules")[0]
        for number, module in enumerate(guest_image.load_order(modules, XEN_MODULES)):
            tree.copy(module, f"modules/{number:02}-{os.path.basename(module)}")
        tree.text("etc/xen/xl.conf", 'autoballoon="off"\n')
        tree.text("guest.cfg", 'name="g"\ntype="pvh"\nmemory=128\nvcpus=1\nkernel="/vmlinuz"\nramdisk="/initrd"\n'
                  f'extra="console=hvc0 earlyprintk=xen {GUEST_WORDS}"\n')
        tree.copy(self.kernel, "vmlinuz")
        tree.copy(self.initrd, "initrd")
        tree.text("init", DOM0_INIT, 0o755)
        with gzip.open(path, "wb", 1) as file:
            file.write(tree.end())


def line(what, ours, peer, most, unit, ratio=True):
    value = ours / peer if peer and ratio else ours
    verdict = "" if most is None else "met" if value <= most else "MISSED"
    print(f"{what:52} {ours:10.3f} {f'{peer:10.3f}' if peer else ' ' * 10} {unit:5} "
          f"{f'{ours / peer:6.2f}' if peer else ' ' * 6} {f'{most:g}' if most is not None else '':>6} {verdict}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=int(os.environ.get("STRATA_BENCH_RUNS", "5")))
    parser.add_argument("--peers", default="kvm,xen")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strata-bench.") as folder:
        bench = Bench(folder, args.peers.split(","))
        report(bench, args.runs)


def report(bench, runs):
    has_kvm, has_xen = "kvm" in bench.peers, "xen" in bench.peers
    if has_xen:
        bench.xen_make()
    print(f"{'':52} {'ours':>10} {'peer':>10} {'':5} {'ratio':>6} {'most':>6}")
    ours, kvm = bench.instructions(), bench.instructions_kvm() if has_kvm else {}
    limits = {"cpuid": 250, "port_write": 500, "port_read": 500, "mmio_read": 1500, "mmio_write": 1500}
    for name, count in ours.items():
        if name in limits:
            line(f"{name}, KVM", count, kvm.get(name), limits[name], "insns", ratio=False)
        else:
            line(f"{name}, KVM's LAPIC in the kernel", count, kvm.get(name), 1.0 if kvm else None, "insns")
    line("guest of 128 MiB created, counted", bench.create_counted() / 1e6, None, None, "Minsn")
    times = {"ours": [], "kvm": [], "xen": []}
    for _ in range(runs):
        times["ours"].append(bench.boot())
        if has_kvm:
            times["kvm"].append(bench.boot_kvm())
        if has_xen:
            times["xen"].append(bench.boot_xen())

    def median(who, what):
        return statistics.median(run[what] for run in times[who]) if times[who] else None

    line("guest of 128 MiB, xl create", median("ours", "create"), median("xen", "create"), 0.03 if has_xen else None, "s")
    line("power-on to a guest's first line, Xen with dom0", median("ours", "power"), median("xen", "power"), 0.15 if has_xen else None, "s")
    line("guest kernel to user space, KVM", median("ours", "user"), median("kvm", "user"), 0.75 if has_kvm else None, "s")
    line("  Xen, PVH", median("ours", "user"), median("xen", "user"), None, "s")


if __name__ == "__main__":
    main()
