#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel with strata-init and a root disk under QEMU's TCG; this program plays the VMM.

guest_boot.py prepare DIR INIT     fetch the kernel, make initramfs and disks in DIR
guest_boot.py CASE DIR             one case: see the functions case_*; exit status 0: it passed
"""
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guest_image  # noqa: E402
import guest_wire as wire  # noqa: E402

BOOT_S = 300  # TCG on a busy machine
PORTS = ("control", "stdin", "stdout", "stderr")
# no_timer_check: on a busy machine the TCG is too late for the kernel to believe in its timer.
APPEND = "console=ttyS0 panic=-1 quiet no_timer_check"
MAC = "52:54:00:12:34:56"


def prepare(folder, init):
    cache = os.environ.get("STRATA_LAB_CACHE", os.path.join(folder, "cache"))
    kernel, modules = guest_image.fetch_kernel(cache)
    os.makedirs(folder, exist_ok=True)
    shutil.copy(kernel, os.path.join(folder, "vmlinuz"))
    guest_image.make_initramfs(os.path.join(folder, "initrd"), init, modules)
    guest_image.make_root_disk(os.path.join(folder, "root.erofs"), folder)


def make_ext4(path, megabytes):
    with open(path, "wb") as file:
        file.truncate(megabytes << 20)
    guest_image.run("/sbin/mkfs.ext4", "-q", path)


class Reader(threading.Thread):
    """All that a port says."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.sock = sock
        self.data = b""
        self.changed = threading.Condition()
        self.start()

    def run(self):
        while True:
            try:
                data = self.sock.recv(65536)
            except OSError:
                data = b""
            with self.changed:
                self.data += data
                self.changed.notify_all()
            if not data:
                return

    def wait(self, enough, timeout=BOOT_S):
        with self.changed:
            if not self.changed.wait_for(lambda: enough(self.data), timeout):
                raise wire.Late(f"only {self.data!r} came")
        return self.data


class Guest:
    def __init__(self, folder, disks=(), net=False, memory=256):
        self.folder = folder
        self.run = tempfile.mkdtemp(prefix="strata-lab-")
        self.serial = os.path.join(self.run, "serial")
        with open(self.serial, "wb") as serial:
            self.process = subprocess.Popen(self.command(disks, net, memory), stdin=subprocess.DEVNULL,
                                            stdout=serial, stderr=serial)
        try:
            self.sockets = {name: self.connect(name) for name in PORTS}
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.control = wire.Conversation(self.sockets["control"])
        self.out = Reader(self.sockets["stdout"])
        self.err = Reader(self.sockets["stderr"])

    def command(self, disks, net, memory):
        made = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", str(memory), "-nodefaults",
                "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", f"{self.folder}/vmlinuz",
                "-initrd", f"{self.folder}/initrd", "-append", APPEND,
                "-drive", f"file={self.folder}/root.erofs,if=none,id=root,format=raw,readonly=on",
                "-device", "virtio-blk-pci,drive=root,serial=root"]
        for serial, path in disks:
            made += ["-drive", f"file={path},if=none,id={serial},format=raw,cache=writeback",
                     "-device", f"virtio-blk-pci,drive={serial},serial={serial}"]
        if net:
            made += ["-netdev", "user,id=net,restrict=on", "-device", f"virtio-net-pci,netdev=net,mac={MAC}"]
        made += ["-device", "virtio-serial-pci"]
        for name in PORTS:
            made += ["-chardev", f"socket,id={name},path={self.run}/{name},server=on,wait=off",
                     "-device", f"virtserialport,chardev={name},name=strata.{name}"]
        return made

    def connect(self, name):
        until = time.monotonic() + 100
        sock = socket.socket(socket.AF_UNIX)
        while True:
            try:
                sock.connect(os.path.join(self.run, name))
                return sock
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def start(self, args, pairs=(), flags=0, mounts=(), expect=wire.STARTED):
        assert self.control.expect(wire.READY, BOOT_S) == struct.pack("<I", 1)
        config = [("arg", arg) for arg in args] + list(pairs)
        config += [("flags", flags), ("caps", wire.CAPS_DEFAULT), ("hostname", "box")]
        config += [wire.mount(wire.MOUNT_ROOT, "id=root", "erofs")] + list(mounts)
        self.control.send(wire.CONFIG, wire.fields(config))
        return self.control.expect(expect, BOOT_S)

    def end(self):
        """EXIT, all the output it tells of, and the power off."""
        ended = wire.exit_of(self.control.expect(wire.EXIT, BOOT_S))
        ended["out"] = self.out.wait(lambda data: len(data) >= ended["stdout"]).decode()
        ended["err"] = self.err.wait(lambda data: len(data) >= ended["stderr"]).decode()
        self.off()
        return ended

    def off(self):
        self.control.send(wire.STOP)
        assert self.process.wait(BOOT_S) == 0

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if kind:
            with open(self.serial, "rb") as serial:
                sys.stderr.write(serial.read()[-3000:].decode("utf-8", "replace"))
        shutil.rmtree(self.run, ignore_errors=True)


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, expected {want!r}")


def case_hello(folder):
    with Guest(folder) as guest:
        guest.start(["sh", "-c", "echo hello; echo oops >&2; hostname; echo $$; exit 7"])
        ended = guest.end()
        equal((ended["status"], ended["oom"]), (7, 0))
        equal((ended["out"], ended["err"]), ("hello\nbox\n1\n", "oops\n"))


def case_input(folder):
    """Standard input and a signal; sessions want a vsock, which this machine has not (hybrid.bats)."""
    script = "trap 'echo got; exit 9' USR1; cat; echo end; while :; do sleep 0.1; done"
    with Guest(folder) as guest:
        guest.start(["sh", "-c", script], flags=wire.WITH_STDIN)
        guest.sockets["stdin"].sendall(b"typed\n")
        guest.out.wait(lambda data: b"typed\n" in data)
        guest.sockets["stdin"].close()  # the end of file
        guest.out.wait(lambda data: b"end\n" in data)
        guest.control.send(wire.SIGNAL, struct.pack("<I", 10))
        ended = guest.end()
        equal((ended["status"], ended["out"]), (9, "typed\nend\ngot\n"))


def case_disks(folder):
    """A volume, and a writable layer that the next boot finds as it was."""
    volume, upper, fixed = (os.path.join(folder, name) for name in ("volume", "upper", "fixed"))
    shutil.copy(os.path.join(folder, "root.erofs"), fixed)
    make_ext4(volume, 16)
    make_ext4(upper, 16)
    mounts = [wire.mount(wire.MOUNT_UPPER, "id=upper", "ext4"),
              wire.mount(wire.MOUNT_TMPFS, target="/scratch", options="size=1m,mode=700"),
              wire.mount(wire.MOUNT_VOLUME, "id=volume", "ext4", "/home", flags=wire.COPY_UP),
              wire.mount(wire.MOUNT_VOLUME, "id=fixed", "erofs", "/fixed", flags=wire.READ_ONLY_MOUNT)]
    script = ("cat /kept /home/kept 2>/dev/null; echo kept >/kept; echo volume >/home/kept; touch /scratch/x && "
              "stat -c %a /scratch && ls -d /home/user && test ! -e /home/.strata-filling && "
              "test $(stat -c %d /scratch) != $(stat -c %d /home) && ls /fixed/bin/busybox && ! touch /fixed/x 2>/dev/null")
    outputs = []
    for _ in range(2):
        with Guest(folder, disks=(("volume", volume), ("upper", upper), ("fixed", fixed))) as guest:
            guest.start(["sh", "-c", script], mounts=mounts)
            ended = guest.end()
            equal((ended["status"], ended["err"]), (0, ""))
            outputs.append(ended["out"])
    ended = "700\n/home/user\n/fixed/bin/busybox\n"
    equal(outputs, [ended, "kept\nvolume\n" + ended])
    for disk in (volume, upper):  # left clean: nothing to replay
        state = guest_image.run("/sbin/dumpe2fs", "-h", disk).decode()
        assert "needs_recovery" not in state, disk


def case_network(folder):
    script = ("ip -o -4 addr show eth0; ip route; ip -o link show lo; cat /etc/resolv.conf; "
              "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; nproc")
    with Guest(folder, net=True) as guest:
        guest.start(["sh", "-c", script], pairs=[wire.net(MAC, "10.0.2.15", 24, "10.0.2.2"),
                                                 ("resolv", "nameserver 10.0.2.3\n")])
        out = guest.end()["out"]
        for words in ("10.0.2.15/24", "default via 10.0.2.2 dev eth0", "LOOPBACK,UP", "nameserver 10.0.2.3", "\n0\n"):
            assert words in out, out


def case_limits(folder):
    """What a workload may not: more processes, devices, the kernel's settings; and what memory's end looks like."""
    script = ("mknod /tmp/disk b 254 0 && dd if=/tmp/disk of=/dev/null count=1 2>&1 | head -1; "
              "mknod /tmp/fuse c 10 229 && cat /tmp/fuse; : </dev/ptmx && dd if=/dev/zero of=/dev/null count=1 2>/dev/null && echo open; "
              "(for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done) 2>&1 | grep -c -i fork; "
              "echo 1 >/proc/sys/kernel/panic; dd if=/dev/zero of=/dev/shm/x bs=1M count=1000 2>/dev/null; tail /dev/zero")
    with Guest(folder, memory=192) as guest:
        guest.start(["sh", "-c", script], pairs=[("pids", 8), ("shm_bytes", 1 << 20)], flags=wire.INIT)
        ended = guest.end()
        assert "/tmp/disk': Operation not permitted" in ended["out"] and "open\n" in ended["out"], ended
        assert "/tmp/fuse': Operation not permitted" in ended["err"], ended
        assert "Read-only file system" in ended["err"], ended
        equal((ended["status"], ended["oom"]), (137, 1))


def case_terminal(folder):
    with Guest(folder) as guest:
        guest.start(["sh", "-c", "stty size; tty; read x; stty size; echo \"<$x>\""],
                    pairs=[("size", struct.pack("<HH", 30, 70))], flags=wire.TTY | wire.WITH_STDIN)
        guest.out.wait(lambda data: b"30 70" in data)
        guest.control.send(wire.RESIZE, struct.pack("<HH", 11, 22))
        guest.sockets["stdin"].sendall(b"line\r")
        ended = guest.end()
        equal(ended["status"], 0)
        assert "11 22\r\n<line>\r\n" in ended["out"], ended


def case_failures(folder):
    """A command that is not there; then a host that talks nonsense. The machine ends by STOP each time."""
    with Guest(folder) as guest:
        failed = wire.failed_of(guest.start(["nothing"], expect=wire.FAILED))
        equal((failed["status"], failed["text"]), (127, "run nothing: not found in the image's PATH"))
        guest.off()
    with Guest(folder) as guest:
        guest.control.expect(wire.READY, BOOT_S)
        guest.control.send(wire.CONFIG, b"nonsense")
        equal(wire.failed_of(guest.control.expect(wire.FAILED, BOOT_S))["status"], 125)
        guest.off()


def main():
    if sys.argv[1] == "prepare":
        prepare(*sys.argv[2:4])
        return
    globals()["case_" + sys.argv[1]](sys.argv[2])


if __name__ == "__main__":
    main()
