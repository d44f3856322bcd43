#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every field of two bundles' config.json missing, of another type, out of range, far too long: oci_mutate.py STRATA-OCI BUSYBOX [EVERY]

The bundles are `spec`'s and one that asks for everything there is. Whatever strata-oci makes of a mutant, it must end by itself, say no
more than one line of error, and leave no state, cgroup, mount or process behind. EVERY: one mutant in so many, 1 by default. To be
run with tools/apart.
"""
import copy
import json
import os
import shutil
import subprocess
import sys
import time

SECONDS = 100
LONG = 10 << 20
NUMBERS = (-1, 0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 1.5, 1e308, -2**63)
TEXTS = ("", "x", "/nonexistent/x", "a/../../b", "\u0000", "two\nlines\x1b[31m", "\ud800", "x" * 5000)
OTHERS = (None, True, 7, "text", [], {}, [[]], [{}], {"": {}})


def full():
    """What `spec` leaves out."""
    limits = {"memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 128 << 20, "swappiness": 10, "disableOOMKiller": False},
              "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"}, "pids": {"limit": 32},
              "blockIO": {"throttleReadBpsDevice": [{"major": 7, "minor": 0, "rate": 1 << 20}]},
              "devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}]}
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
               "syscalls": [{"names": ["kexec_load", "mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                             "args": [{"index": 1, "value": 77, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]}]}
    hook = {"path": "/bin/true", "args": ["true", "x"], "env": ["A=B"], "timeout": 5}
    caps = {kind: ["CAP_KILL", "CAP_CHOWN"] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")}
    return {"ociVersion": "1.2.0", "hostname": "box", "domainname": "example", "annotations": {"org.example": "x"},
            "root": {"path": "rootfs", "readonly": False},
            "process": {"terminal": False, "consoleSize": {"height": 20, "width": 70}, "args": ["/bin/true", "x"], "env": ["PATH=/bin"],
                        "cwd": "/tmp", "user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [5]}, "capabilities": caps,
                        "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}], "noNewPrivileges": True, "oomScoreAdj": 100,
                        "scheduler": {"policy": "SCHED_OTHER", "nice": 5}, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 5},
                        "execCPUAffinity": {"initial": "0", "final": "0"}},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
                       {"destination": "/data", "type": "bind", "source": "/etc", "options": ["rbind", "rro", "nodev", "rprivate"]},
                       {"destination": "/copy", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]},
                       {"destination": "/mapped", "source": "/etc", "options": ["bind", "ridmap"],
                        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
                        "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}]},
                       {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}],
            "hooks": {kind: [hook] for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")},
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup", "time")],
                      "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0}],
                      "cgroupsPath": "/mutants-box", "resources": limits, "seccomp": seccomp, "rootfsPropagation": "slave",
                      "sysctl": {"net.ipv4.ip_forward": "1"}, "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
                      "timeOffsets": {"monotonic": {"secs": 10}, "boottime": {"secs": 10}}, "personality": {"domain": "LINUX"}}}


def places(value, at=()):
    """Every member and element, with its place."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(members):
        yield at + (key,), inner
        yield from places(inner, at + (key,))


def variants(value):
    """What to put in a field's place. The host's own root is nothing to run in, so no "/"."""
    yield from (other for other in OTHERS if other is None or not isinstance(other, type(value)))
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from NUMBERS
    elif isinstance(value, str):
        yield from TEXTS
    elif isinstance(value, list):
        yield from ([], value * 2, value * 500, value[::-1], value + [None])
    elif isinstance(value, dict):
        yield from ({}, {**value, "unknown": {"a": [1]}}, {key: None for key in value})


def put(config, at, value):
    """The configuration with another value at a place, as text; without the field where the value is ..."""
    mutant = copy.deepcopy(config)
    holder = mutant
    for key in at[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[at[-1]]
    else:
        holder[at[-1]] = value
    return json.dumps(mutant)


def mutants(config):
    """(name, what makes the text of config.json)"""
    for at, value in places(config):
        for i, other in enumerate([..., *variants(value)]):
            yield f"{'.'.join(map(str, at))} #{i}", lambda at=at, other=other: put(config, at, other)
        if isinstance(value, str):
            yield f"{'.'.join(map(str, at))} #long", lambda at=at: put(config, at, "x" * LONG)
    text = json.dumps(config)
    yield from ((f"text cut at {n}", lambda n=n: text[:n]) for n in range(0, len(text), 97))
    yield from (("deep", lambda: "[" * 100000), ("twice", lambda: text + text), ("null", lambda: "null"),
                ("no UTF-8", lambda: text.replace("box", "\udcff")))


def groups():
    """Not those above the one that a path asks for: they stay, with every runtime."""
    return {entry.path for top in os.scandir("/sys/fs/cgroup") if top.is_dir() for entry in os.scandir(top.path)
            if entry.is_dir() and entry.name != "nonexistent"}


def left_behind(before, root):
    """What is there that was not; the kernel takes its time with processes, so not at once."""
    deadline = time.monotonic() + SECONDS
    while True:
        pids = {name for name in os.listdir("/proc") if name.isdigit()} - before["pids"]
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = set(file) - before["mounts"]
        state = [name for name in os.listdir(root) if name != ".cache"] if os.path.isdir(root) else []
        found = {"processes": pids, "mounts": mounts, "cgroups": groups() - before["groups"], "state": state}
        if not any(found.values()) or time.monotonic() > deadline:
            return {what: value for what, value in found.items() if value}
        time.sleep(0.02)


def judge(command, before, root):
    """Why a run was wrong, or None."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"not done after {SECONDS} s"
    errors = [line for line in done.stderr.split(b"\n") if line and not line.startswith(b"warning: ")]
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}"
    if len(errors) > 1 or (done.returncode == 1 and not errors):
        return f"status {done.returncode}, and says {done.stderr[:400]!r}"
    if any(byte < 32 or byte == 127 for byte in b"".join(errors)):
        return f"control characters in {errors[0][:200]!r}"
    left = left_behind(before, root)
    return f"left behind: {left}" if left else None


def main():
    program, busybox, every = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1
    root, bundle = f"{os.getcwd()}/state", f"{os.getcwd()}/bundle"
    for name in ("bin", "dev", "proc", "sys", "tmp", "etc"):
        os.makedirs(f"{bundle}/rootfs/{name}")
    shutil.copy(busybox, f"{bundle}/rootfs/bin/true")
    subprocess.run([program, "spec", "-b", bundle], check=True)
    with open(f"{bundle}/config.json", encoding="utf-8") as file:
        spec = json.load(file)
    spec["process"].update(terminal=False, args=["/bin/true"])
    command = [program, "--root", root, "run", "-b", bundle, "mutant"]
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        before = {"pids": {name for name in os.listdir("/proc") if name.isdigit()}, "mounts": set(file), "groups": groups()}
    wrong = n = 0
    for kind, config in (("spec", spec), ("full", full())):
        for name, make in [("as it is", lambda config=config: json.dumps(config)), *list(mutants(config))[::every]]:
            with open(f"{bundle}/config.json", "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(make())
            why = judge(command, before, root)
            n += 1
            if name == "as it is" and subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode:
                why = "does not run, so that its mutants mean nothing"
            if why:
                wrong += 1
                print(f"{kind}: {name}: {why}", flush=True)
    print(f"{n} mutants, {wrong} of them wrong")
    return 1 if wrong or n < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
