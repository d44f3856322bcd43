# SPDX-License-Identifier: Apache-2.0
"""tools/bench's part on strata-oci: one bundle, two runtimes, taking turns."""
import json
import os
import shlex
import subprocess

from lab import LabError, run

AT_ONCE = 20


def spec_bundle(lab, program, folder, args):
    """What `strata-oci spec` writes, with a command of the demo image; of a version that every peer knows."""
    os.makedirs(folder)
    run([program, "spec", "-b", folder])
    path = f"{folder}/config.json"
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["ociVersion"] = "1.0.2"
    config["root"]["path"] = lab.rootfs
    config["process"].update(terminal=False, args=args)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


def cgroup_places(pid):
    """Where a container of ours is, as floor's arguments: beside its groups, v2 and v1."""
    mounts = {}
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        for line in lines:
            left, _, right = line.partition(" - ")
            kind, _, options = right.split()[:3]
            if kind in ("cgroup", "cgroup2"):
                mounts.setdefault("" if kind == "cgroup2" else options, left.split()[4])
    args = []
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as lines:
        for line in lines:
            _, controllers, path = line.strip().split(":", 2)
            if "/strata" not in path:
                continue
            for options, mount in mounts.items():
                if (options == "" == controllers) or \
                        (controllers and set(controllers.split(",")) <= set(options.split(","))):
                    args += ["-1" if controllers else "-2", f"{mount}{os.path.dirname(path)}/floor"]
                    break
    return args


def floor_of(lab, ours, folder):
    """The program that makes only the system calls such a bundle cannot do without, in the same cgroups."""
    pid_file = f"{lab.run_dir}/pid"
    quiet([*ours, "create", "-b", folder, "--pid-file", pid_file, "where"])
    try:
        with open(pid_file, encoding="utf-8") as file:
            places = cgroup_places(int(file.read()))
    finally:
        run([*ours, "delete", "--force", "where"])
    return [f"{lab.build}/bench/floor", "-b", *places, lab.rootfs, "/bin/true"]


def quiet(command):
    """What a container inherits it keeps: so no pipe of ours."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: status {done.returncode}")


def many_at_once(command, folder):
    """create, start and delete of so many names, each name in a process of its own."""
    one = f"{{ {shlex.join(command)} create -b {shlex.quote(folder)} bench$i && {shlex.join(command)} start bench$i && " \
          f"{shlex.join(command)} delete --force bench$i; }} >/dev/null 2>&1 </dev/null || touch \"$failed\""
    script = f"failed=$(mktemp -u); i=0; while [ $i -lt {AT_ONCE} ]; do i=$((i + 1)); {one} & done; wait; " \
             "[ ! -e \"$failed\" ] || { rm \"$failed\"; exit 1; }"
    return ["taskset", "-c", "0,1", "sh", "-c", script]


def bench_at_once(lab, ours, peer, report, runs):
    folder = f"{lab.dir}/sleep-bundle"
    spec_bundle(lab, ours[0], folder, ["/bin/sleep", "100000"])
    times = lab.pair({"ours": many_at_once(ours, folder), "peer": many_at_once(peer.program, folder)}, max(runs // 5, 5), 1)
    rates = {name: AT_ONCE * 1000 / row["median"] for name, row in times.items()}
    print(f"  create, start, delete: {rates['ours']:.0f} and {rates['peer']:.0f} containers a second", flush=True)
    # 1.15 times as many a second
    report.line(f"strata-oci, {AT_ONCE} at once", times["ours"]["median"], times["peer"]["median"], round(1 / 1.15, 2))


def bench_oci(lab, peer, report, runs):
    program = f"{lab.build}/strata-oci"
    ours = [program, "--root", f"{lab.run_dir}/oci"]
    folder = f"{lab.dir}/spec-bundle"
    spec_bundle(lab, program, folder, ["/bin/true"])
    spec = {"ours": [*ours, "run", "-b", folder, "bench"], "peer": [*peer.program, "run", "-b", folder, "bench"],
            "floor": floor_of(lab, ours, folder)}
    rows = lab.pair(spec, runs)
    times = {name: row["median"] for name, row in rows.items()}
    report.line("strata-oci run, the spec bundle", times["ours"], times["peer"], 0.5)
    report.line("  against the floor", times["ours"], times["floor"], 1.4)
    report.line("  largest resident set", rows["ours"]["rss_kib"] / 1024, rows["peer"]["rss_kib"] / 1024, 1.0, "MiB")
    full = {"ours": peer.run_with(ours), "peer": peer.run_with(peer.program)}
    times = {name: row["median"] for name, row in lab.pair(full, runs).items()}
    report.line("strata-oci run, Docker's rules", times["ours"], times["peer"], 0.5)
    bench_at_once(lab, ours, peer, report, runs)
