# SPDX-License-Identifier: Apache-2.0
"""tools/bench's part on strata-oci: one bundle, two runtimes, taking turns."""
import json
import os

from lab import run


def spec_bundle(lab, program, folder):
    """What `strata-oci spec` writes, with /bin/true in the demo image; of a version that every peer knows."""
    os.makedirs(folder)
    run([program, "spec", "-b", folder])
    path = f"{folder}/config.json"
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["ociVersion"] = "1.0.2"
    config["root"]["path"] = lab.rootfs
    config["process"].update(terminal=False, args=["/bin/true"])
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


def bench_oci(lab, peer, report, runs):
    program = f"{lab.build}/strata-oci"
    ours = [program, "--root", f"{lab.run_dir}/oci"]
    folder = f"{lab.dir}/spec-bundle"
    spec_bundle(lab, program, folder)
    spec = {"ours": [*ours, "run", "-b", folder, "bench"], "peer": [*peer.program, "run", "-b", folder, "bench"]}
    times = {name: row["median"] for name, row in lab.pair(spec, runs).items()}
    report.line("strata-oci run, the spec bundle", times["ours"], times["peer"], 0.5)
    full = {"ours": peer.run_with(ours), "peer": peer.run_with(peer.program)}
    times = {name: row["median"] for name, row in lab.pair(full, runs).items()}
    report.line("strata-oci run, Docker's rules", times["ours"], times["peer"], 0.5)
