# SPDX-License-Identifier: Apache-2.0
"""What tools/demo, tools/bench and tools/soak share: a private root with the demo image, and a leak check."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class LabError(Exception):
    """One line for the user."""


def run(command, check=True, timeout=120, **options):
    """The finished process, its output as text. A failure names the command and its last words."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=timeout, check=False, **options)
    if check and done.returncode:
        words = done.stderr.strip().splitlines()
        raise LabError(f"{' '.join(command[:12])}: {words[-1] if words else f'exit status {done.returncode}'}")
    return done


def leaks():
    return set(run([f"{TOP}/tools/leaks"]).stdout.splitlines())


def find_key(value, key):
    """The first number or text under this key, however deep."""
    if isinstance(value, dict):
        if isinstance(value.get(key), (int, str)):
            return value[key]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            found = find_key(item, key)
            if found is not None:
                return found
    return None


class Lab:
    """A private root and run root with the image demo; leaves nothing when the with-block ends."""

    def __init__(self, build="build"):
        self.build = os.path.join(TOP, build)
        self.program = os.path.join(self.build, "strata")
        self.pair_program = os.path.join(self.build, "bench/pair")

    def __enter__(self):
        if os.geteuid() != 0:
            raise LabError("this needs root")
        if not os.access(self.program, os.X_OK):
            raise LabError(f"there is no {self.program}: make")
        self.before = leaks()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that __exit__ runs
        self.dir = tempfile.mkdtemp(prefix="strata-lab-")
        os.chmod(self.dir, 0o755)
        # A tmpfs, as /run is on every Debian host (not on every machine that runs tests).
        self.run_dir = tempfile.mkdtemp(prefix="strata-lab-", dir="/dev/shm")
        self.strata = [self.program, "--root", f"{self.dir}/root", "--run-root", f"{self.run_dir}/run"]
        self.rootfs = f"{self.dir}/rootfs"
        return self

    def make_image(self):
        run([f"{TOP}/tools/demo-image", self.rootfs])
        # Its progress is for the user to see.
        if subprocess.run([*self.strata, "image", "import", self.rootfs, "demo"], stdout=subprocess.DEVNULL,
                          check=False).returncode:
            raise LabError("strata image import failed")

    def __call__(self, *args, **options):
        return run([*self.strata, *args], **options)

    def ids(self):
        return self("ps", "-a", "-q").stdout.split()

    def remove_all(self):
        ids = self.ids()
        for at in range(0, len(ids), 50):
            self("rm", "-f", *ids[at:at + 50])

    def inspect(self, name):
        return json.loads(self("inspect", name).stdout)

    def pid(self, name):
        return int(find_key(self.inspect(name), "pid") or 0)

    def monitor(self, name):
        """The monitor's pid: what inspect says, else the parent of the container's first process."""
        said = find_key(self.inspect(name), "monitor_pid")
        if isinstance(said, int) and said > 0:
            return said
        with open(f"/proc/{self.pid(name)}/stat", encoding="utf-8") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])

    def private_kib(self, pid):
        """Memory that is this process's alone: what one more of it costs."""
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as lines:
            return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))

    def pair(self, commands, runs=50, warmup=5):
        """{name: median ms, ..., rss_kib} of interleaved runs, start to exit. commands: {name: [argv]}."""
        args = []
        for name, command in commands.items():
            args += (["::"] if args else []) + [name, *command]
        out = run([self.pair_program, "-n", str(runs), "-w", str(warmup), *args], timeout=1800).stdout
        rows = (line.split("\t") for line in out.splitlines())
        return {row[0]: dict(zip(("median", "q1", "q3", "min", "rss_kib"), map(float, row[1:]))) for row in rows}

    def leaked(self, wait_s=5):
        """What came since the beginning and is still here. The dying get a moment."""
        until = time.monotonic() + wait_s
        while True:
            left = sorted(leaks() - self.before)
            if not left or time.monotonic() > until:
                return left
            time.sleep(0.2)

    def __exit__(self, kind, value, trace):
        try:
            self.remove_all()
        except (LabError, subprocess.TimeoutExpired) as error:
            print(f"cleaning up: {error}", file=sys.stderr)
        mounts = [m[6:] for m in leaks() - self.before if m.startswith(f"mount {self.dir}/")]
        for path in sorted(mounts, reverse=True):
            run(["umount", "-l", path], check=False)
        if os.path.exists(self.dir):
            subprocess.run(["rm", "-rf", "--one-file-system", self.dir, self.run_dir], check=False)
        return False


def main_of(function):
    """Runs it; an error is one line and status 1."""
    os.chdir(TOP)
    try:
        sys.exit(function())
    except (LabError, subprocess.TimeoutExpired) as error:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
