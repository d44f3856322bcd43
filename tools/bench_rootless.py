# SPDX-License-Identifier: Apache-2.0
"""tools/bench's part on an ordinary user: `run --rm true` of strata and of Podman with crun, taking turns."""
import os
import shutil
import subprocess

from lab import LabError, run

USER = 54321  # nobody's
# Crun puts them up to what root has, which an ordinary user may not.
ULIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]


def account(lab):
    """A user with a range of ids, in mounts of this process's own: tools/bench runs in a mount namespace. Return: his home."""
    etc, home = f"{lab.dir}/etc", f"{lab.dir}/home"
    os.makedirs(etc)
    os.makedirs(f"{home}/run")
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", etc)
        with open(f"{etc}/{name}", "a", encoding="utf-8") as file:
            file.write(f"bench:x:{USER}:{USER}::{home}:/bin/sh\n" if name == "passwd" else f"bench:x:{USER}:\n")
    for name in ("subuid", "subgid"):
        with open(f"{etc}/{name}", "w", encoding="utf-8") as file:
            file.write("bench:700000:65536\n")
    for name in ("passwd", "group", "subuid", "subgid"):
        if not os.path.exists(f"/etc/{name}"):
            return None
        run(["mount", "--bind", f"{etc}/{name}", f"/etc/{name}"])
    run(["chown", "-R", f"{USER}:{USER}", home])
    return home


def bench_rootless(lab, report, runs):
    if not shutil.which("newuidmap"):
        print("  without root: not measured, newuidmap is missing (apt-get install uidmap)")
        return
    home = account(lab)
    if not home:
        print("  without root: not measured, there is no /etc/subuid")
        return
    user = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "env", "-i", f"PATH={os.environ['PATH']}",
            f"HOME={home}", f"XDG_RUNTIME_DIR={home}/run"]
    archive = f"{home}/demo.tar"
    run(["tar", "-C", lab.rootfs, "--owner", "0", "--group", "0", "-cf", archive, "."])
    ours = [*user, lab.program]
    peer = [*user, "podman", "--root", f"{home}/store", "--runroot", f"{home}/r", "--tmpdir", f"{home}/t", "--storage-driver", "overlay",
            "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "crun"]
    commands = {"ours": [*ours, "run", "--rm", "--network", "none", "demo", "true"]}
    try:
        run([*ours, "image", "import", archive, "demo"], cwd=home)
        run(commands["ours"], cwd=home)
        try:
            run([*peer, "import", archive, "demo"], cwd=home)
            commands["peer"] = [*peer, "run", "--rm", "--network", "none", *ULIMITS, "demo", "true"]
            run(commands["peer"], cwd=home)
        except (LabError, OSError) as error:
            commands.pop("peer", None)
            print(f"  without root: podman is not beside it: {error}")
        times = {name: row["median"] for name, row in lab.pair(commands, runs).items()}
        report.line("run --rm true, an ordinary user", times["ours"], times.get("peer"), 0.5 if "peer" in times else None)
    finally:
        # The process that keeps podman's namespace, and files of other ids.
        subprocess.run([*peer, "system", "migrate"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        for name in ("passwd", "group", "subuid", "subgid"):
            run(["umount", f"/etc/{name}"], check=False)
