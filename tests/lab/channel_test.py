#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the management channel of strata-hv must do, on an emulated server: channel_test.py IMAGE GUESTS NAME...

GUESTS: the directory of the guest programs. baremetal_channel.bats runs each NAME.
"""
import errno
import os
import random
import select
import shutil
import struct
import sys
import tempfile
import time

import channel
import guest_boot
import guest_image
import server as lab_server
import guest_wire as wire

IMAGE, GUESTS = sys.argv[1:3]
LONG = bool(os.environ.get("STRATA_LAB_LONG"))
PERIOD_NS = 100_000_000  # SCHED_PERIOD_NS
AGENT_PORTS = "strata.control strata.stdin strata.stdout strata.stderr".split()


def program(name):
    return os.path.join(GUESTS, "guest_" + name)


def server(*programs, **more):
    return channel.Server(IMAGE, files=[program(name) for name in programs], **more)


def config(name, kernel, *lines, memory="4M"):
    return "\n".join((f"guest {name}", f"memory {memory}", f"kernel guest_{kernel}", "console none") + lines) + "\n"


SPINS = ("append end=4",)  # of guest_trespass: round and round, for ever


def refused(code, call, *args):
    """The call is refused with this error and a line of text."""
    try:
        call(*args)
    except channel.Refused as error:
        assert error.status == code, error
        assert error.text and "\n" not in error.text, error
        return error.text
    raise AssertionError(f"{args} was not refused")


def run(host, guest):
    """Starts a guest of whose console nothing was read, and returns its output when it has ended."""
    console = host.open(channel.CONSOLE, guest)
    host.of("START", guest)
    return console.wait_close(60).decode()


def ended(host, guest):
    def found():
        return [g for kind, _, g in host.events if kind == channel.EVENT_ENDED and g.id == guest]

    host.until(found)
    return found()[0]


def basics():
    with tempfile.NamedTemporaryFile() as disk, server(more=(
            "-drive", f"if=none,id=d,format=raw,file={disk.name}", "-device", "virtio-blk-pci,drive=d")) as s:
        disk.truncate(1 << 20)
        host = s.connect()
        info = host.info()
        assert (info.version and info.cpu and info.cpus == 2 and info.virtualization == "svm" and info.boot == host.boot), info
        assert info.guests == info.files == 0 and host.list() == [] and host.files() == {}
        with open(program("blk"), "rb") as file:
            host.upload("kernel", file.read())
        image = b"on the disk" + bytes(700_000) + b"\xff" * 170_000 + bytes(199_989)
        host.upload("disk.img", image, holes=True)
        files = host.files()
        assert files["disk.img"][2] == len(image) and files["disk.img"][1] == 0 and set(files) == {"disk.img", "kernel"}, files
        free = host.info().free
        guest = host.create("guest a\nmemory 16M\nvcpus 1\nkernel kernel\nconsole none\ndisk disk.img\ndisk kernel read-only\n")
        [listed] = host.list()
        assert (listed.name, listed.state, listed.memory, listed.id, listed.started) == ("a", channel.CREATED, 16 << 20, guest, 0)
        assert refused(errno.EBUSY, host.request, "FILE_DROP", b"disk.img") == "file disk.img: a guest has it"
        assert "failed" in (output := run(host, guest)) and " 0 failed" in output, output
        end = ended(host, guest)
        assert (end.how, end.state, end.status) == ("exit", channel.ENDED, 1) and end.ended > end.started > end.created > 0, end
        stats = host.stats(guest)
        assert stats.cpu > 0 and stats.vcpus == (stats.cpu,) and stats.exits["pio"] > 10 and stats.disk_reads > 0, stats
        assert stats.disk_write_bytes > 0 and stats.memory == 0, stats
        late = host.open(channel.CONSOLE, guest)  # of one that has ended, too
        assert late.wait_close().decode() == output
        refused(errno.EALREADY, host.of, "START", guest)
        refused(errno.ESRCH, host.of, "PAUSE", guest)
        host.of("DESTROY", guest)
        assert refused(errno.ENOENT, host.of, "DESTROY", guest) == f"there is no guest {guest}"
        assert host.list() == [] and host.info().free == free
        host.request("FILE_DROP", b"disk.img")
        host.request("FILE_DROP", b"kernel")
        assert host.info().free == info.free
        assert host.disks() == [("vd0", "", 1, 0, 1 << 20, 0)], host.disks()


def ports():
    with server("console", "vsock") as s:
        host = s.connect()
        free = host.info().free
        guest = host.create(config("agent", "console", "append agent=1", *(f"port {name}" for name in AGENT_PORTS)))
        console = host.open(channel.CONSOLE, guest)
        control, stdin, stdout, stderr = [host.open(channel.PORT, guest, name) for name in AGENT_PORTS]
        refused(errno.EBUSY, host.open, channel.PORT, guest, AGENT_PORTS[1])
        refused(errno.ENODEV, host.open, channel.PORT, guest, "strata.tty")
        refused(errno.ENODEV, lambda: host.open(channel.VSOCK, guest, port=1))
        host.of("START", guest)
        control.read_until(struct.pack("<III", 64, 4, 1))  # READY, behind what it says while it takes port 0 for a console
        control.write(struct.pack("<II", 1, 0))
        control.read_until(struct.pack("<II", 65, 0))
        stdin.write(b"hello you\n")
        stdin.end()
        assert stdout.read_until(b"\n") == b"hello you\n"
        assert stderr.read_until(b"\n") == b"console: standard error\n"
        control.write(struct.pack("<II", 6, 0))
        control.read_until(struct.pack("<II", 67, 24))
        control.write(struct.pack("<II", 4, 0))
        output = console.wait_close().decode()
        assert " 0 failed" in output, output
        host.until(lambda: all(port.closed for port in (control, stdin, stdout, stderr)))
        host.of("DESTROY", guest)

        guest = host.create(config("sock", "vsock", "append listen_port=7 listen_bytes=100000", "vsock"))
        console = host.open(channel.CONSOLE, guest)
        host.of("START", guest)
        while True:
            try:
                sock = host.open(channel.VSOCK, guest, port=7)
                break
            except channel.Refused as error:
                assert error.status == errno.ENOTCONN, error  # not yet
        data = random.Random(1).randbytes(100_000)
        sock.write(data)
        got = b""
        while len(got) < len(data):
            got += sock.read_until(b"")
            host.until(lambda: sock.data or sock.closed)
            got += sock.take()
        assert got == data
        sock.end()
        sock.wait_close()
        output = console.wait_close().decode()
        assert " 0 failed" in output, output
        host.of("DESTROY", guest)
        assert host.info().free == free


def pause():
    with server("clocks", "trespass") as s:
        host = s.connect()
        guest = host.create(config("spins", "trespass", *SPINS))
        refused(errno.EINVAL, host.of, "PAUSE", guest)
        refused(errno.EINVAL, host.of, "KILL", guest)
        host.of("START", guest)
        host.of("PAUSE", guest)
        host.of("PAUSE", guest)
        before = host.stats(guest)
        while host.info().now < before.now + 3 * PERIOD_NS:
            pass
        after = host.stats(guest)
        assert after.cpu == before.cpu and host.list()[0].state == channel.PAUSED, (before, after)
        host.of("RESUME", guest)
        host.of("RESUME", guest)
        while host.stats(guest).cpu < after.cpu + PERIOD_NS:
            pass
        refused(errno.EAGAIN, host.of, "STOP", guest)  # no operating system
        host.of("PAUSE", guest)
        host.of("KILL", guest)  # of a paused one
        assert ended(host, guest).how == "killed"
        refused(errno.ESRCH, host.of, "KILL", guest)
        host.of("DESTROY", guest)

        # All of a guest's clocks stand still together: it does not notice.
        guest = host.create(config("clocks", "clocks", memory="16M"))
        console = host.open(channel.CONSOLE, guest)
        host.of("START", guest)
        while not console.closed:
            for verb in "PAUSE", "RESUME":
                try:
                    host.of(verb, guest)
                except channel.Refused as error:
                    assert error.status == errno.ESRCH, error
        output = console.data.decode()
        assert " 0 failed" in output, output


def weights():
    with server("trespass", cpus=1, icount=True) as s:  # a busy machine's pauses would count as run
        host = s.connect()
        guests = [host.create(config(f"spins{i}", "trespass", *SPINS)) for i in range(2)]
        for guest in guests:
            host.of("START", guest)
        host.request("UPDATE", struct.pack("<IIII", guests[0], 768, 0xffffffff, 0))
        assert [g.weight for g in host.list()] == [768, 256]
        first = [host.stats(guest) for guest in guests]
        while host.info().now < first[0].now + 10 * PERIOD_NS:
            pass
        a, b = [host.stats(guest).cpu - then.cpu for guest, then in zip(guests, first)]
        assert 2.4 < a / b < 3.6, (a, b)
        host.request("UPDATE", struct.pack("<IIII", guests[0], 0, 10, 0))
        first = host.stats(guests[0])
        while host.info().now < first.now + 10 * PERIOD_NS:
            pass
        last = host.stats(guests[0])
        share = (last.cpu - first.cpu) / (last.now - first.now)
        assert 0.05 < share < 0.15, share
        refused(errno.EINVAL, host.request, "UPDATE", struct.pack("<IIII", guests[0], 65536, 0, 0))
        for megabytes in 2, 5:
            refused(errno.ENODEV, host.request, "UPDATE", struct.pack("<IIII", guests[0], 0, 0xffffffff, megabytes))


def latency():
    """Under full load, one answer behind another, in time that counts instructions (-icount)."""
    with server("trespass", cpus=1, icount=True) as s:  # one: TCG runs several in turns of its own when it counts
        host = s.connect()
        for i in range(4):
            guest = host.create(config(f"spins{i}", "trespass", *SPINS))
            host.of("START", guest)
        times = [host.info().now for _ in range(300 if LONG else 30)]
        gaps = sorted(b - a for a, b in zip(times, times[1:]))
        waited = host.info().longest_wait
        print(f"answers: median {gaps[len(gaps) // 2] / 1e6:.3f} ms, longest {gaps[-1] / 1e6:.3f} ms with the host's part; "
              f"from the interrupt to its turn at most {waited / 1e6:.3f} ms")
        assert 0 < waited < PERIOD_NS


def latency_of_two():
    """
    The same with two CPUs, on a server of Bochs's over a serial line (STRATA_CHANNEL, with guests that spin on both): its time is
    instructions, and its CPUs run side by side. What is asked at once is answered without our part in between; a reply takes 16 ms of
    the line.
    """
    host = channel.Host(channel.Terminal(os.environ["STRATA_CHANNEL"]), greet=False)
    host.greet(120)
    info = host.info()
    assert info.cpus == 2, info
    while len(guests := host.list()) < 4 or not all(host.stats(guest.id).cpu for guest in guests):
        pass
    gaps, busy = [], sum(host.stats(guest.id).cpu for guest in guests)
    first = host.info().now
    for _ in range(4):
        times = [host.info_of(host.answer(number, 300)).now for number in [host.ask("INFO") for _ in range(16)]]
        gaps += [b - a for a, b in zip(times, times[1:])]
    last = host.info()
    busy = sum(host.stats(guest.id).cpu for guest in guests) - busy
    print(f"answers: median {sorted(gaps)[len(gaps) // 2] / 1e6:.3f} ms, longest {max(gaps) / 1e6:.3f} ms; "
          f"from the line's tick to its turn at most {last.longest_wait / 1e6:.3f} ms; CPUs at work {busy / (last.now - first):.2f}")
    assert max(gaps) < PERIOD_NS and 0 < last.longest_wait < PERIOD_NS, gaps
    assert busy > 1.5 * (last.now - first), "no full load"


def memory():
    """As many guests as are asked for, one after the other, with all that the channel can give them: every byte is back."""
    times = 1000 if LONG else 40
    with server("pio", memory=256) as s:
        host = s.connect()
        host.upload("disk.img", bytes(65536), holes=True)
        free = host.info().free
        for i in range(times):
            guest = host.create(config(f"g{i}", "pio", "vcpus 2", "disk disk.img", "net", "vsock", "port a", "port b"))
            if i % 4:
                console = host.open(channel.CONSOLE, guest)
                port = host.open(channel.PORT, guest, "a")
            if i % 4 > 1:
                host.of("START", guest)
            if i % 4 == 3:
                assert b" 0 failed" in console.wait_close()
            host.of("DESTROY", guest)
            host.until(lambda: not host.streams)
            if i % 4 == 1:
                assert console.closed.status == port.closed.status == errno.ESTALE, console.closed
        assert host.info().free == free, f"{free - host.info().free} bytes are missing"
        assert host.list() == []


def balloon_midway():
    """Two guests give memory back and take it again for as long as they are; one is paused, resumed and destroyed in the midst of that."""
    with server("give_back", memory=192) as s:
        host = s.connect()
        free = host.info().free
        gives = ("vcpus 2", "balloon overcommit", "append cpus=2 rounds=1000000")
        other = host.create(config("other", "give_back", *gives, memory="16M"))
        host.of("START", other)
        for i in range(8):
            guest = host.create(config(f"g{i}", "give_back", *gives, memory="16M"))
            console = host.open(channel.CONSOLE, guest)
            host.of("START", guest)
            host.until(lambda: b"others_start" in console.data)
            for _ in range(10):
                host.of("PAUSE", guest)
                held = host.stats(guest).memory
                assert held <= 16 << 20 and host.stats(guest).memory == held, held
                host.of("RESUME", guest)
            if i % 2:
                host.of("PAUSE", guest)
            host.of("DESTROY", guest)
            host.until(lambda: not host.streams)
        host.of("DESTROY", other)
        assert host.info().free == free, f"{free - host.info().free} bytes are missing"


MIB = 1 << 20
FILLS = """#!/bin/sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
$b mkdir /t
$b mount -t tmpfs -o size=80% tmpfs /t
for m in /modules/*; do $b insmod $m; done
$b dd if=/dev/zero bs=1M count=96 of=/t/file 2>/dev/null
$b md5sum /t/file
$b rm /t/file
echo freed
$b sleep 1000
"""


def target():
    """Memory that a lowered target makes a guest give is another guest's, and only what the server has can be promised again."""
    with server("target", "pio", memory=160) as s:
        host = s.connect()
        before = host.info().free

        def starts(name, megabytes, *words):
            guest = host.create(config(name, "target", "balloon", " ".join((f"append megabytes={megabytes}",) + words), memory=f"{megabytes}M"))
            console = host.open(channel.CONSOLE, guest)
            host.of("START", guest)
            console.read_until(b"ready")
            return guest, console

        def update(guest, megabytes):
            host.request("UPDATE", struct.pack("<IIII", guest, 0, 0xffffffff, megabytes))

        guest, console = starts("a", 64)
        free = host.info().free
        assert "was started with 64 MiB" in refused(errno.EINVAL, update, guest, 66)
        refused(errno.EINVAL, update, guest, 33)
        plain = host.create(config("plain", "pio"))
        refused(errno.ENODEV, update, plain, 2)
        host.of("DESTROY", plain)
        update(guest, 32)
        console.read_until(b"balloon 8192 pages")
        host.until(lambda: host.stats(guest).memory <= 36 * MIB, 30)
        assert host.stats(guest).memory >= 32 * MIB
        assert host.info().free >= free + 28 * MIB, (host.info(), free)
        big = host.create(config("big", "pio", "balloon", memory=f"{host.info().free // MIB // 2 * 2 - 4}M"))
        held = host.stats(guest).memory
        assert "MiB free to make that 64" in refused(errno.ENOMEM, update, guest, 64)
        assert host.stats(guest).memory == held
        assert " 0 failed" in run(host, big)
        host.of("DESTROY", big)
        update(guest, 64)
        assert host.stats(guest).memory == 64 * MIB  # promised before it takes it
        refused(errno.ENOMEM, host.create, config("big", "pio", memory=f"{free // MIB // 2 * 2 + 2}M"))
        assert b" 0 failed" in console.wait_close(60)
        host.of("DESTROY", guest)

        guest, console = starts("steals", 32, "steals=1")
        update(guest, 16)
        end = ended(host, guest)
        assert (end.how, end.failure) == ("failed", "the guest uses memory that it gave back"), end
        host.of("DESTROY", guest)

        guest, console = starts("asks", 32, "asks=1")
        update(guest, 16)
        console.read_until(b"waits")
        assert host.stats(guest).memory <= 20 * MIB
        update(guest, 32)
        assert b" 0 failed" in console.wait_close(60)
        host.of("DESTROY", guest)
        assert host.info().free == before, f"{before - host.info().free} bytes are missing"


def balloon():
    """What Debian's kernel frees comes back while it runs, another guest is made of it, and a target takes more."""
    cache = os.environ["STRATA_LAB_CACHE"]
    kernel, package = guest_image.fetch_kernel(cache)
    with tempfile.TemporaryDirectory() as folder, server("pio", memory=320) as s:
        initrd = os.path.join(folder, "initrd")
        lab_server.initramfs(initrd, FILLS, shutil.which("busybox"), guest_image.load_order(package, ("virtio_pci", "virtio_balloon")))
        host = s.connect()
        for name, path in (("vmlinuz", kernel), ("initrd", initrd)):
            with open(path, "rb") as file:
                host.upload(name, file.read())
        guest = host.create("guest deb\nmemory 192M\nvcpus 2\nkernel vmlinuz\ninitrd initrd\nconsole none\nballoon overcommit\n"
                            "append console=ttyS0 quiet panic=-1 mitigations=off\n")
        free = host.info().free
        assert host.stats(guest).memory == 192 * MIB
        refused(errno.ENOMEM, host.create, config("big", "pio", memory="128M"))
        console = host.open(channel.CONSOLE, guest)
        host.of("START", guest)
        host.until(lambda: b"freed" in console.data, 300)

        def shrinks(to):
            end = time.monotonic() + 300
            while host.stats(guest).memory > to:
                assert time.monotonic() < end, host.stats(guest)
                time.sleep(0.1)

        shrinks(112 * MIB)
        assert host.info().free >= free + 80 * MIB, (host.info(), free)
        big = host.create(config("big", "pio", memory="128M"))
        assert " 0 failed" in run(host, big)
        host.of("DESTROY", big)
        refused(errno.EINVAL, host.request, "UPDATE", struct.pack("<IIII", guest, 0, 0xffffffff, 193))
        host.request("UPDATE", struct.pack("<IIII", guest, 0, 0xffffffff, 96))
        shrinks(96 * MIB)
        host.of("DESTROY", guest)
        assert host.info().free >= free + 192 * MIB - MIB, (host.info(), free)


def serial():
    with server("pio", serial=True) as s:
        host = s.connect()
        free = host.info().free
        host.upload("note", b"small")
        guest = host.create(config("a", "pio"))
        assert " 0 failed" in run(host, guest)
        host.of("DESTROY", guest)
        host.request("FILE_DROP", b"note")
        assert host.info().free == free
        host.close()
        host = s.connect()
        assert host.list() == []


def servers_own():
    """The guests of the server's own config: seen, watched, killed; what is asked of others does not touch them."""
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write("guest own\nmemory 4M\nkernel guest_trespass\nappend end=4\nguest short\nmemory 4M\nkernel guest_pio\nport a\n")
        file.flush()
        with channel.Server(IMAGE, files=[file.name, program("trespass"), program("pio")]) as s:
            host = s.connect()
            while len(guests := host.list()) > 1:
                pass
            [own] = guests
            assert own.name == "own" and own.flags == 1 and own.state == channel.RUNS
            refused(errno.EEXIST, host.create, config("own", "pio"))
            assert refused(errno.EPERM, host.request, "FILE_DROP", b"guest_pio").startswith("file guest_pio: the boot loader")
            first = host.stats(own.id)
            console = host.open(channel.CONSOLE, own.id)
            while host.stats(own.id).cpu < first.cpu + PERIOD_NS:
                pass
            host.of("KILL", own.id)
            assert ended(host, own.id).how == "killed"
            console.wait_close()
            while host.list():
                pass
            while "the last guest is gone" not in s.said():
                host.info()
            assert "all of its memory is back" in s.said(), s.said()


def servers_restart():
    """A guest of the server's own that is made again and again, while everything is asked of it: it is whole, or it is not there."""
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write("guest own\nmemory 8M\nkernel guest_pio\nconsole none\nrestart 100000\nballoon\nnet\nport a\nvsock\n")
        file.flush()
        with channel.Server(IMAGE, files=[file.name, program("pio")]) as s:
            host = s.connect()
            [own] = host.list()
            asks = [("STATS", struct.pack("<I", own.id)), ("UPDATE", struct.pack("<IIII", own.id, 0, 0xffffffff, 4)),
                    ("PAUSE", struct.pack("<I", own.id)), ("RESUME", struct.pack("<I", own.id))]
            for _ in range(500):
                for verb, body in asks:
                    try:
                        host.request(verb, body)
                    except channel.Refused as error:
                        assert error.status in (errno.ESRCH, errno.EINVAL), (error, s.said()[-1500:])
            [own] = host.list()
            assert s.said().count("guest own: exits") > 10, s.said()
            host.of("DESTROY", own.id)
            while host.list():
                pass
            assert "PANIC" not in s.said()


def console():
    """What is kept of a console that nobody reads, and what is said of what is not."""
    with server("trespass", "pio") as s:
        host = s.connect()
        guest = host.create(config("a", "pio"))
        stream = host.open(channel.CONSOLE, guest, window=10)
        host.of("START", guest)
        host.until(lambda: len(stream.data) == 10)
        ended(host, guest)
        assert len(stream.data) == 10 and not stream.closed  # no byte more than it gave credit for
        stream.window = 4096
        host.send(channel.CREDIT, stream.number, struct.pack("<I", 65536))
        assert b" 0 failed" in stream.wait_close()
        refused(errno.ENOENT, host.open, channel.CONSOLE, 77)


class Agent:
    """An image's guest, and this program its VMM: guest_boot.py over the channel's streams."""

    def __init__(self, host, name, *lines):
        self.host = host
        self.id = host.create("\n".join((
            f"guest {name}", "memory 256M", "kernel vmlinuz", "initrd initrd", f"append {guest_boot.APPEND}", "console none",
            "disk root.erofs read-only", "net", "vsock") + lines + tuple(f"port {port}" for port in AGENT_PORTS)) + "\n")
        self.console = host.open(channel.CONSOLE, self.id)
        self.control, self.stdin, self.stdout, self.stderr = [host.open(channel.PORT, self.id, port) for port in AGENT_PORTS]
        host.of("START", self.id)

    def frame(self, stream, seconds=300):
        """The next frame of the agent's on a stream: its type and payload."""
        self.host.until(lambda: len(stream.data) >= 8 or stream.closed or self.console.closed, seconds)
        if len(stream.data) < 8:
            raise AssertionError(f"no frame; the console: {self.console.data.decode(errors='replace')}")
        kind, length = struct.unpack("<II", stream.data[:8])
        self.host.until(lambda: len(stream.data) >= 8 + length, seconds)
        data = stream.take()
        stream.data = data[8 + length:]
        return kind, data[8:8 + length]

    def begin(self, script, flags=0, **fields):
        assert self.frame(self.control) == (wire.READY, struct.pack("<I", 1))
        pairs = [("arg", arg) for arg in ("sh", "-c", script)] + [("flags", flags), ("caps", wire.CAPS_DEFAULT), ("hostname", "box")]
        pairs += list(fields.items()) + [wire.mount(wire.MOUNT_ROOT, "id=strata-0", "erofs")]
        self.control.write(wire.frame(wire.CONFIG, wire.fields(pairs)))
        assert self.frame(self.control)[0] == wire.STARTED

    def exec(self, script):
        """A command's output and status, in a session over the vsock."""
        session = self.host.open(channel.VSOCK, self.id, port=1)
        pairs = [("arg", arg) for arg in ("sh", "-c", script)] + [("flags", 0), ("caps", wire.CAPS_DEFAULT)]
        session.write(wire.frame(16, wire.fields(pairs)))
        assert self.frame(session)[0] == wire.STARTED
        output = b""
        while True:
            kind, payload = self.frame(session)
            if kind == wire.EXIT:
                session.close()
                return output.decode(), wire.exit_of(payload)["status"]
            assert kind in (80, 81), kind
            output += payload

    def end(self):
        kind, payload = self.frame(self.control)
        assert kind == wire.EXIT
        status = wire.exit_of(payload)
        self.host.until(lambda: len(self.stdout.data) >= status["stdout"])
        self.control.write(wire.frame(wire.STOP))
        self.console.wait_close(60)
        return self.stdout.data.decode(), status["status"]


def agents():
    """Two guests of an image at once, one with two vcpus, driven by the agent inside: as guest/init does it under any VMM."""
    with tempfile.TemporaryDirectory() as folder:
        guest_boot.prepare(folder, os.path.join(os.path.dirname(IMAGE), "strata-init"))
        with channel.Server(IMAGE, files=[os.path.join(folder, "vmlinuz")]) as s:
            host = s.connect()
            free = host.info().free
            for name in "initrd", "root.erofs":
                with open(os.path.join(folder, name), "rb") as file:
                    host.upload(name, file.read(), holes=True)
            guests = [Agent(host, "one"), Agent(host, "two", "vcpus 2")]
            for guest in guests:
                guest.begin("echo hello; nproc; cat; exit 7", wire.WITH_STDIN)
            for guest, cpus in zip(guests, (1, 2)):
                guest.host.until(lambda: b"hello" in guest.stdout.data, 300)
                assert guest.exec("echo $(hostname) $(nproc); cat /proc/uptime >/dev/null; exit 3") == (f"box {cpus}\n", 3)
                # More than the windows and the pipes hold.
                assert guest.exec("seq 1 30000") == ("".join(f"{i}\n" for i in range(1, 30001)), 0)
                guest.stdin.write(b"typed " * 10000)
                guest.stdin.end()
                assert guest.end() == (f"hello\n{cpus}\n" + "typed " * 10000, 7)
                assert ended(host, guest.id).how == "power-off"
                stats = host.stats(guest.id)
                assert stats.disk_reads > 10 and len(stats.vcpus) == cpus and all(stats.vcpus), stats
                host.of("DESTROY", guest.id)
            for name in "initrd", "root.erofs":
                host.request("FILE_DROP", name.encode())
            assert host.info().free == free


# ---- a client that is up to no good ----

def watched():
    """A server whose own guest must not notice; other() asks how it is."""
    file = tempfile.NamedTemporaryFile("w", suffix=".cfg")
    file.write("guest own\nmemory 4M\nkernel guest_trespass\nappend end=4\n")
    file.flush()
    s = channel.Server(IMAGE, files=[file.name, program("trespass"), program("pio")])
    s.file = file
    return s


def well(s, free=None):
    """A new client finds everything as it was, and the server's guest going on."""
    host = s.connect()
    [own] = host.list()
    first = host.stats(own.id)
    while host.stats(own.id).cpu < first.cpu + 1_000_000:
        pass
    info = host.info()
    assert own.name == "own" and own.state == channel.RUNS and info.files == len(s_files(host)), info
    if free is not None:
        assert info.free >= free, f"{free - info.free} bytes are missing"
    return host


def s_files(host):
    return host.files()


def bad(host):
    host.until(lambda: any(kind == channel.EVENT_BAD for kind, _, _ in host.events))
    [event] = [e for e in host.events if e[0] == channel.EVENT_BAD]
    host.events.remove(event)
    assert event[2] and "\n" not in event[2]
    return event


def hostile_lines():
    with watched() as s:
        host = well(s)
        free = host.info().free
        # Garbage, half a frame, a length that cannot be, a wrong checksum, another session's frame: not a word, and the next is heard.
        good = channel.frame(host.key, channel.REQUEST, 0, struct.pack("<IHH", 99, 1, 0))
        wrong = bytearray(good)
        wrong[-1] ^= 1
        for junk in (os.urandom(5000), b"STCH" * 3000, good[:-6], bytes(wrong), channel.frame(host.key ^ 1, channel.REQUEST, 0, good[16:]),
                     channel.frame(0, channel.HELLO, 0, struct.pack("<IIQQ", 1, 0, 5, 0)),
                     b"STCH" + struct.pack("<IHHI", 0, 2, 0xffff, 0)):
            host.sock.sendall(junk + bytes(channel.QUIET_BYTES))
            assert host.info().free == free
        assert host.info().bad_frames > 1000 and 99 not in host.replies
        # A client that dies in a frame; the next one is not its heir.
        host.sock.sendall(channel.frame(host.key, channel.REQUEST, 0, bytes(4096))[:100])
        host.close()
        well(s, free).close()
        # Another version: answered, and then nothing.
        host = s.connect(greet=False)
        host.sock.sendall(channel.hello(host.nonce, version=77))
        host.until(lambda: host.boot)
        assert host.version == channel.VERSION
        host.ask("INFO")
        try:
            host.until(lambda: host.replies, 0.3)
            raise AssertionError("a session of another version")
        except TimeoutError:
            host.close()
        well(s, free)


def hostile_requests():
    with watched() as s:
        host = well(s)
        free = host.info().free
        for verb in 0, 1000, 9999:
            assert refused(errno.EOPNOTSUPP, host.request, verb) == f"there is no verb {verb}"
        for verb in "LIST", "STATS", "START", "DESTROY", "UPDATE", "PAUSE", "PRINTED":
            for body in b"", b"123", bytes(100), bytes(4088):
                refused(errno.EINVAL, host.request, verb, body)
        for verb in "STATS", "START", "KILL", "STOP", "PAUSE", "RESUME", "DESTROY":
            for guest in 0, 4711, 0xffffffff:
                refused(errno.ENOENT, host.of, verb, guest)
        for text in ("", "guest a\n", "guest a\nmemory 4M\nkernel nowhere\n", config("a", "pio") + config("b", "pio"),
                     config("a", "pio", "restart 3"), config("a", "pio", memory="3M"), config("a", "pio", memory="512G"),
                     config("a", "pio", "disk server:nvme7"), config("a", "pio", "vcpus 65"), config("own", "pio"),
                     config("a", "pio", "\0"), "\xff" * 2000, "guest a\nmemory 4M\nkernel guest.cfg\n"):
            try:
                host.create(text)
                raise AssertionError(f"{text!r} was taken")
            except channel.Refused as error:
                assert error.text and "\n" not in error.text, error
        for name in b"", b"x" * 64, b"x" * 4000, b"none", b"a\0b":
            try:
                host.request("FILE_DROP", name)
                raise AssertionError(f"{name!r} was dropped")
            except channel.Refused as error:
                assert error.status in (errno.EINVAL, errno.ENOENT)
        host.send(channel.REQUEST, 0, b"1234567")
        bad(host)
        host.send(channel.REQUEST, 5, bytes(8))
        bad(host)
        for kind in channel.REPLY, channel.EVENT, 13, 65535:
            host.send(kind, 0, b"")
            bad(host)
        host.close()
        well(s, free)


def hostile_streams():
    with watched() as s:
        host = well(s)
        free = host.info().free
        for kind in channel.DATA, channel.END, channel.CLOSE, channel.CREDIT, channel.HOLE:
            for stream in 3, 256, 0xffffffff:
                host.send(kind, stream, bytes(4))
                bad(host)
        for what in ((0, 1, ""), (5, 1, ""), (channel.CONSOLE, 99, ""), (channel.PORT, 1, "x" * 63), (channel.PORT, 1, "x" * 64),
                     (channel.PORT, 1, "a\0b"), (channel.VSOCK, 1, "")):
            try:
                host.open(*what)
                raise AssertionError(f"{what} was opened")
            except channel.Refused as error:
                assert error.text and "\n" not in error.text
        for size, code in (0, errno.EINVAL), (2 ** 40 + 1, errno.EFBIG), (2 ** 64 - 1, errno.EFBIG), (2 ** 30, errno.ENOMEM):
            refused(code, lambda: host.open(channel.FILE, name="a", size=size))
        for name in "", "a b", "a/b", "server:x", "a#", "guest_pio", "x" * 64, "\x7f":
            try:
                host.open(channel.FILE, name=name, size=5)
                raise AssertionError(f"a file {name!r}")
            except channel.Refused as error:
                assert error.status in (errno.EINVAL, errno.EEXIST), error
        # Data without credit, more than the file's size, behind its end; holes that reach too far.
        console = host.open(channel.CONSOLE, host.list()[0].id)
        for _ in range(console.credit // 4096 + 1):
            host.send(channel.DATA, console.number, bytes(4096))
        refused(errno.EPROTO, console.wait_close)
        for frames, code in (([(channel.DATA, bytes(11))], errno.EFBIG), ([(channel.HOLE, struct.pack("<Q", 11))], errno.EFBIG),
                             ([(channel.HOLE, struct.pack("<Q", 2 ** 64 - 1))], errno.EFBIG), ([(channel.HOLE, b"1")], errno.EINVAL),
                             ([(channel.CREDIT, struct.pack("<I", 2 ** 32 - 1))], errno.EPROTO), ([(channel.CREDIT, b"")], errno.EPROTO)):
            stream = host.open(channel.FILE, name="a", size=10)
            for kind, payload in frames:
                host.send(kind, stream.number, payload)
            refused(code, stream.wait_close)
        # Twice the same id; frames behind CLOSE are late, not wrong.
        stream = host.open(channel.FILE, name="a", size=10)
        host.begin(channel.FILE, name="b", size=10, number=stream.number)
        bad(host)
        host.streams[stream.number] = stream
        assert host.files()["a"][1] == 2  # under way
        refused(errno.EBUSY, host.request, "FILE_DROP", b"a")
        refused(errno.ENOENT, host.create, config("a", "pio").replace("guest_pio", "a"))
        stream.close()
        host.send(channel.DATA, stream.number, b"late")
        assert "a" not in host.files() and host.info().free >= free and not host.events
        # A client that dies with everything open.
        for i in range(1, 256):
            host.begin(channel.FILE, name=f"f{i}", size=5000)
        guest = host.create(config("mine", "pio", "port a", "vsock"))
        host.close()
        host = well(s_reconnect(s, guest), free)
        well_list = host.list()
        assert len(well_list) == 1


def s_reconnect(s, guest):
    """The former client's guest is still there, as a guest should; its uploads are not."""
    host = s.connect()
    assert [g.id for g in host.list() if g.name == "mine"] == [guest] and not [n for n in host.files() if n.startswith("f")]
    host.of("DESTROY", guest)
    host.close()
    return s


def hostile_reader():
    """Who asks and never reads is not listened to; the next one is."""
    with watched() as s:
        host = well(s)
        free = host.info().free
        host.sock.settimeout(0.5)
        try:
            while True:
                host.sock.sendall(channel.frame(host.key, channel.REQUEST, 0, struct.pack("<IHHI", 1, 4, 0, 0)) * 100)
        except TimeoutError:
            pass
        host.close()
        well(s, free)


def throw_away(host):
    """What has come by now."""
    while select.select([host.sock], [], [], 0)[0]:
        assert host.sock.recv(65536), "the server hung up"


def hostile_random():
    """Frames of this session with anything in them."""
    seed = int.from_bytes(os.urandom(4), "little")
    print("seed", seed)
    rng = random.Random(seed)
    with watched() as s:
        host = well(s)
        free = host.info().free
        host.close()
        for _ in range(40 if LONG else 4):
            host = s.connect()
            for _ in range(1500):
                kind = rng.choice((2, 2, 2, 5, 5, 7, 8, 9, 10, 12, rng.randrange(16)))
                size = rng.choice((0, 4, 8, 24, 30, rng.randrange(100), rng.randrange(4097)))
                payload = bytearray(rng.randbytes(size))
                if kind == 2 and size >= 8:
                    payload[4:8] = struct.pack("<HH", rng.choice((1, 2, 3, 4, 5, 6, 10, 11, 14, rng.randrange(20))), 0)
                    if size >= 12:
                        payload[8:12] = struct.pack("<I", rng.randrange(4))
                    if payload[4] in (8, 13):  # its own guest is to live
                        continue
                if kind == 5 and size >= 24:
                    payload[:24] = struct.pack("<HHIIIQ", rng.randrange(6), rng.randrange(2), rng.randrange(3), rng.randrange(9999),
                                               rng.randrange(9), rng.randrange(100000))
                    payload[24:] = bytes(97 + b % 26 for b in payload[24:])
                while not select.select([], [host.sock], [], 0)[1]:  # who never reads is not heard: hostile_reader
                    assert any(select.select([host.sock], [host.sock], [], 60)), "neither read nor answered"
                    throw_away(host)
                host.send(kind, rng.choice((0, 0, rng.randrange(6), rng.randrange(6), rng.randrange(300))) if kind != 2 else 0, bytes(payload))
                if rng.randrange(50) == 0:
                    throw_away(host)
            host.close()
            host = s.connect()
            own = [g for g in host.list() if g.name == "own"][0]
            if own.state == channel.PAUSED:
                host.of("RESUME", own.id)
            for name, (_, flags, _) in host.files().items():
                if not flags & 1:
                    host.request("FILE_DROP", name.encode())
            host.close()
            well(s, free).close()


def hostile_guest():
    """Rings that lie, on every device that the channel can give, while somebody reads and connects."""
    with server("hostile_rings") as s:
        host = s.connect()
        host.upload("disk", bytes(2 << 20), holes=True)
        free = host.info().free
        guest = host.create(config("bad", "hostile_rings", "vcpus 2", "disk disk", "net", "vsock", "port a", "port b", memory="32M"))
        console = host.open(channel.CONSOLE, guest)
        streams = [host.open(channel.PORT, guest, name) for name in "ab"]
        output, asked = b"", []

        def over():
            nonlocal output
            output += console.take()
            for stream in streams:
                stream.take()
            return console.closed

        host.of("START", guest)
        for _ in range(120):
            try:
                host.until(over, 1)
                break
            except TimeoutError:
                asked.append(host.begin(channel.VSOCK, guest, port=1))
        output += console.take()
        assert b" 0 failed" in output, output.decode(errors="replace")
        host.until(lambda: not host.streams)
        assert asked
        host.of("DESTROY", guest)
        assert host.info().free == free


TESTS = (basics, ports, pause, weights, latency, latency_of_two, memory, target, balloon_midway, balloon, serial, servers_own, servers_restart, console, agents, hostile_lines, hostile_requests, hostile_streams,
         hostile_reader, hostile_random, hostile_guest)

for wanted in sys.argv[3:]:
    [found] = [test for test in TESTS if test.__name__ == wanted]
    begin = time.monotonic()
    found()
    print(f"{wanted}: {time.monotonic() - begin:.1f} s")
