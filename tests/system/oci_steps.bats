#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata-oci, killed at any system call of its own or of the container's first process; and each of these failing.
# Here a sample; every one of them with STRATA_KILL_ALL=1 (make soak).
bats_require_minimum_version 1.5.0
load helper

setup_file()
{
	strata_setup_file
	export KILL_STEP=${STRATA_BIN%/*}/tests/kill_step OCI_BIN=${STRATA_BIN%/*}/strata-oci OCI_ROOT=$SCRATCH/oci
	[ -x "$KILL_STEP" ] || { echo "there is no $KILL_STEP: run make" >&2; return 1; }
	export B=$SCRATCH/bundle
	mkdir -p "$B" "$SCRATCH/shared"
	oci spec -b "$B"
	# What the default leaves out is in it: a mount of its own, a sysctl, limits, a profile, a hook.
	jq --arg root "$DEMO_ROOTFS" --arg shared "$SCRATCH/shared" '.root.path = $root | .process.terminal = false
		| .process.args = ["/bin/sleep", "1000"]
		| .mounts += [{destination: "/mnt", type: "bind", source: $shared, options: ["rbind", "ro"]}]
		| .linux.sysctl = {"net.ipv4.ip_forward": "1"}
		| .linux.resources.memory = {limit: 67108864} | .linux.resources.pids = {limit: 50}
		| .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["bpf"], action: "SCMP_ACT_ERRNO"}]}
		| .hooks.createRuntime = [{path: "/bin/true"}]' "$B/config.json" >"$B/new"
	mv "$B/new" "$B/config.json"
	oci create -b "$B" box </dev/null >/dev/null 2>&1
	oci delete --force box
}

oci()
{
	"$OCI_BIN" --root "$OCI_ROOT" "$@"
}

# Anything of the container's: state, cgroups, processes, mounts.
remains()
{
	local found
	for found in "$OCI_ROOT"/* /sys/fs/cgroup/strata-oci-box /sys/fs/cgroup/*/strata-oci-box; do
		[ ! -e "$found" ] || { echo "left: $found"; return 0; }
	done
	grep -F "$OCI_ROOT" /proc/self/mounts && return 0
	pgrep -af "strata-oci --root $OCI_ROOT|^/bin/sleep 1000" && return 0
	return 1
}

nothing_remains() { ! remains; }

# steps STRIDE FLAGS... -- COMMAND...: with each STRIDE-th call in turn
steps()
{
	local stride=${STRATA_KILL_ALL:+1} n status check=$CHECK
	stride=${stride:-$1}
	shift
	for ((n = 1 + ${FIRST:-0} % stride; ; n += stride)); do
		[ -z "${PREPARE:-}" ] || $PREPARE
		status=0
		timeout -s KILL 100 "$KILL_STEP" "$n" -a "$@" >"$SCRATCH/step" 2>"$SCRATCH/err" </dev/null || status=$?
		if [ "$status" -gt 1 ] || ! "$check"; then
			echo "step $n of $*: $(cat "$SCRATCH/step")" >&2
			cat "$SCRATCH/err" >&2
			remains >&2
			return 1
		fi
		[ "$status" -eq 0 ] || break
	done
	[ "$n" -gt "$stride" ] || { echo "it made no step: $(cat "$SCRATCH/step")" >&2; return 1; }
	grep -q '^survived [1-9]' "$SCRATCH/step" || { cat "$SCRATCH/step" "$SCRATCH/err"; return 1; }
}

# Whatever is left, --force removes it; what was killed may be dying yet.
removable()
{
	local tries
	for ((tries = 0; tries < 1000; tries++)); do
		oci delete --force box 2>"$SCRATCH/delete" && break
		sleep 0.02
	done
	[ "$tries" -lt 1000 ] || { cat "$SCRATCH/delete" >&2; return 1; }
	! remains >/dev/null || wait_until nothing_remains
}

# A failure is one line, and undone; a success is one that can be deleted.
undone()
{
	local said
	said=$(grep -c . "$SCRATCH/err")
	if grep -Eq '^(failed|survived) ([0-9]+ )?([a-z0-9_]+ )?0( |$)' "$SCRATCH/step"; then
		oci delete --force box && nothing_remains >/dev/null
		return
	fi
	# The C library, before there is a main(), has no words for it: brk(2), mprotect(2), arch_prctl(2).
	grep -Eq '^failed [0-9]+ call (127|134|139) \(number (10|12|158), of the command' "$SCRATCH/step" && nothing_remains >/dev/null && return
	[ "$said" = 1 ] && grep -q '^error: ' "$SCRATCH/err" || { echo "not one line" >&2; return 1; }
	! remains >/dev/null || wait_until nothing_remains
}

@test "create, killed at every system call: delete --force removes what is left" {
	CHECK=removable steps 11 -- "$OCI_BIN" --root "$OCI_ROOT" create -b "$B" box
}

# The other one lives, and after a removal nothing but his is there.
spared()
{
	oci delete --force box 2>"$SCRATCH/delete" || { cat "$SCRATCH/delete" >&2; return 1; }
	[ "$("$OCI_BIN" --root "$SCRATCH/others" state other | jq -r .status)" = running ] || { echo "the other was killed" >&2; return 1; }
	[ ! -e "$OCI_ROOT/box" ]
}

@test "create, killed before its cgroup was made: delete --force does not kill whoever lives at that path" {
	mkdir -p "$SCRATCH/others-bundle"
	jq '.linux.cgroupsPath = "/strata-oci-box"' "$B/config.json" >"$SCRATCH/others-bundle/config.json"
	"$OCI_BIN" --root "$SCRATCH/others" create -b "$SCRATCH/others-bundle" other </dev/null >/dev/null 2>&1 3>&-
	"$OCI_BIN" --root "$SCRATCH/others" start other
	CHECK=spared steps 3 -- "$OCI_BIN" --root "$OCI_ROOT" create -b "$B" box
	"$OCI_BIN" --root "$SCRATCH/others" delete --force other
	nothing_remains
}

@test "run, killed at every system call: delete --force removes what is left" {
	jq '.process.args = ["/bin/true"]' "$B/config.json" >"$SCRATCH/run.json"
	mkdir -p "$SCRATCH/run-bundle"
	mv "$SCRATCH/run.json" "$SCRATCH/run-bundle/config.json"
	CHECK=removable steps 31 -- "$OCI_BIN" --root "$OCI_ROOT" run -b "$SCRATCH/run-bundle" box
}

created() { oci create -b "$B" box >/dev/null 2>&1 </dev/null; }

@test "start and delete, killed at every system call" {
	PREPARE=created CHECK=removable steps 23 -- "$OCI_BIN" --root "$OCI_ROOT" start box
	PREPARE=created CHECK=removable steps 23 -- "$OCI_BIN" --root "$OCI_ROOT" delete --force box
}

@test "create, with any system call failing: one line, and nothing is left" {
	# EIO, ENOMEM, EMFILE, ENOSPC
	FIRST=1 CHECK=undone steps 37 -f 5 -- "$OCI_BIN" --root "$OCI_ROOT" create -b "$B" box
	FIRST=5 CHECK=undone steps 37 -f 12 -- "$OCI_BIN" --root "$OCI_ROOT" create -b "$B" box
	FIRST=11 CHECK=undone steps 37 -f 24 -- "$OCI_BIN" --root "$OCI_ROOT" create -b "$B" box
	FIRST=17 CHECK=undone steps 37 -f 28 -- "$OCI_BIN" --root "$OCI_ROOT" create -b "$B" box
}

# shared FILTER: the bundle in $SCRATCH/other, its namespaces others'
shared()
{
	mkdir -p "$SCRATCH/other"
	jq "del(.linux.maskedPaths, .linux.readonlyPaths) | $1" "$B/config.json" >"$SCRATCH/other/config.json"
}

@test "without a mount namespace: killed at every system call, and each failing; its root goes with it" {
	shared '.linux.namespaces |= map(select(.type != "mount"))'
	CHECK=removable steps 83 -- "$OCI_BIN" --root "$OCI_ROOT" create -b "$SCRATCH/other" box
	FIRST=7 CHECK=undone steps 127 -f 12 -- "$OCI_BIN" --root "$OCI_ROOT" create -b "$SCRATCH/other" box
	[ -e "$DEMO_ROOTFS/bin/sh" ]
}

@test "in others' user and mount namespaces: killed at every system call, and each failing" {
	unshare --user --mount sh -c 'echo >"$0"; exec sleep 10000' "$SCRATCH/held" 3>&- &
	holder=$!
	wait_until test -s "$SCRATCH/held"
	for file in uid_map gid_map; do echo "0 100000 65536" >"/proc/$holder/$file"; done
	shared ".linux.namespaces += [{type: \"user\", path: \"/proc/$holder/ns/user\"}] | del(.linux.sysctl)"
	chmod 755 "$SCRATCH" "$B"
	CHECK=removable steps 97 -- "$OCI_BIN" --root "$OCI_ROOT" create -b "$SCRATCH/other" box
	FIRST=3 CHECK=undone steps 139 -f 12 -- "$OCI_BIN" --root "$OCI_ROOT" create -b "$SCRATCH/other" box
	kill -KILL "$holder"
	wait "$holder" || true
}
