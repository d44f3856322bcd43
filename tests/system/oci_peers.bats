#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata-oci: what crun and runc do alike, and their managers count on.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
bats_require_minimum_version 1.5.0
load helper
load oci_helper

in_bundle()
{
	config "$@"
	timeout 100 "$OCI_BIN" --root "$OCI_ROOT" run -b "$B" peer
}

# image: a root file system of this test's own, to be changed
image()
{
	IMAGE=$SCRATCH/image
	mkdir -p "$IMAGE"
	cp -a "$DEMO_ROOTFS/." "$IMAGE/"
}

# tmpfs OPTION...: a filter that mounts one at /data
tmpfs()
{
	jq -nrc '".mounts += [{destination: \"/data\", type: \"tmpfs\", source: \"tmpfs\", options: \($ARGS.positional)}]"' --args -- "$@"
}

@test "a read-only tmpfs takes a copy of what it hides first" {
	image
	mkdir -p "$IMAGE/data/sub"
	echo x >"$IMAGE/data/sub/file"
	run -0 in_bundle "$(tmpfs ro tmpcopyup)" sh -c 'cat /data/sub/file; touch /data/new 2>/dev/null || echo refused'
	[ "$output" = $'x\nrefused' ]
}

@test "a tmpfs without a mode has that of the directory it hides" {
	image
	mkdir -p "$IMAGE/data"
	chmod 750 "$IMAGE/data"
	[ "$(in_bundle "$(tmpfs)" stat -c %a /data)" = 750 ]
	[ "$(in_bundle "$(tmpfs ro)" stat -c %a /data)" = 750 ]
	[ "$(in_bundle "$(tmpfs "" mode=711)" stat -c %a /data)" = 711 ]
	rm -r "$IMAGE/data"
	[ "$(in_bundle "$(tmpfs) | .root.readonly = false" stat -c %a /data)" = 1777 ]
}

@test "a masked or read-only path with a slash at its end is that file" {
	image
	echo secret >"$IMAGE/secret"
	[ -z "$(in_bundle '.linux.maskedPaths = ["/secret/"]' cat /secret)" ]
	run in_bundle '.root.readonly = false | .linux.readonlyPaths = ["/secret//"]' sh -c 'echo x >/secret'
	[ "$status" -ne 0 ]
	[ "$(cat "$IMAGE/secret")" = secret ]
}

@test "/dev/ptmx that a manager lists opens a terminal of the container, in a user namespace too" {
	local list='.linux.devices = [{path: "/dev/ptmx", type: "c", major: 5, minor: 2, fileMode: 438}]'
	local users='.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = .linux.uidMappings'
	[ "$(in_bundle "$list" sh -c 'readlink /dev/ptmx; : <>/dev/ptmx && echo opened')" = $'pts/ptmx\nopened' ]
	[ "$(in_bundle "$list | $users" sh -c 'readlink /dev/ptmx; : <>/dev/ptmx && echo opened')" = $'pts/ptmx\nopened' ]
}

@test "a container with all devices is in their cgroup, where version 1 has one" {
	grep -q '^[^ ]* [^ ]* cgroup [^ ]*\bdevices\b' /proc/mounts || skip "no devices hierarchy here"
	run -0 in_bundle '.linux.resources.devices = [{allow: true, access: "rwm"}] | .linux.cgroupsPath = "/peer-devices"
		| .linux.namespaces -= [{type: "cgroup"}]' sh -c 'grep -o "devices:.*" /proc/self/cgroup; cat /sys/fs/cgroup/devices/devices.list'
	[ "${lines[0]##*/}" = peer-devices ]
	[ "${lines[1]}" = "a *:* rwm" ]
}

@test "a process of exec has the container's oom_score_adj, or its own, and not the caller's" {
	config '.process.oomScoreAdj = 500' sleep 1000
	oci run -d -b "$B" peer </dev/null >"$SCRATCH/out" 2>&1
	[ "$(oci exec peer cat /proc/self/oom_score_adj)" = 500 ]
	jq '.process | .args = ["cat", "/proc/self/oom_score_adj"] | del(.oomScoreAdj)' "$B/config.json" >"$SCRATCH/process"
	[ "$(oci exec --process "$SCRATCH/process" peer)" = 500 ]
	jq '.process | .args = ["cat", "/proc/self/oom_score_adj"] | .oomScoreAdj = 700' "$B/config.json" >"$SCRATCH/process"
	[ "$(oci exec --process "$SCRATCH/process" peer)" = 700 ]
	# who waits for it is none of the container's
	oci exec peer sleep 1000 3>&- &
	EXEC=$!
	for ((i = 0; i < 300; i++)); do
		[ "$(oci ps -f json peer | jq length)" -ne 2 ] || break
		sleep 0.1
	done
	[ "$i" -lt 300 ]
	[ "$(cat "/proc/$EXEC/oom_score_adj")" = "$(cat /proc/self/oom_score_adj)" ]
	oci delete --force peer
	wait "$EXEC" || true
}
