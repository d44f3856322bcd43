#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The escapes that other runtimes have had, against strata-oci: docs/security.md lists them.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
load helper
load oci_helper

setup()
{
	oci_setup
	mkdir -p "$SCRATCH/victim"
	echo secret >"$SCRATCH/victim/file"
}

teardown()
{
	oci_teardown
	rm -rf "$B" "$SCRATCH/image" "$SCRATCH/victim"
}

in_bundle()
{
	config "$@"
	timeout -s KILL 100 "$OCI_BIN" --root "$OCI_ROOT" run -b "$B" box
}

evil_image()
{
	IMAGE=$SCRATCH/image
	mkdir -p "$IMAGE"
	cp -a "$DEMO_ROOTFS/." "$IMAGE/"
}

@test "CVE-2019-5736: /proc/self/exe is the runtime, on a mount that cannot be written to" {
	before=$(sha256sum <"$OCI_BIN")
	run in_bundle . /proc/self/exe --version
	[ "$status" -eq 0 ]
	[[ $output == "strata-oci version"* ]]
	config . sleep 1000
	oci create -b "$B" --pid-file "$SCRATCH/pid" box >/dev/null 2>&1 </dev/null
	run bash -c ': >"/proc/$1/exe"' x "$(cat "$SCRATCH/pid")"
	[[ $output == *"Read-only file system"* ]]
	[ "$(sha256sum <"$OCI_BIN")" = "$before" ]
}

@test "CVE-2016-9962, CVE-2016-8649: the first process is nobody's to look at until it is the container's program" {
	chmod 0755 "$B"
	config '.linux.namespaces += [{type: "user"}]
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = [{containerID: 0, hostID: 100000, size: 65536}]' sleep 1000
	oci create -b "$B" --pid-file "$SCRATCH/pid" box >/dev/null 2>&1 </dev/null
	pid=$(cat "$SCRATCH/pid")
	[ "$(awk '$1 == "Uid:" { print $2 }' "/proc/$pid/status")" = 100000 ]
	[ "$(stat -c %u "/proc/$pid/fd")" = 0 ]
	oci start box
	[ "$(stat -c %u "/proc/$pid/fd")" = 100000 ]
	run oci exec box sh -c 'ls -l /proc/self/fd 2>/dev/null | grep -c " /$"'
	[ "$output" = 0 ]
}

@test "exec: who comes in shows nobody inside the host's mounts, at no moment" {
	command -v strace >/dev/null || skip "needs strace"
	mkdir -p "$SCRATCH/looks"
	# Whoever turns up is looked at for as long as it is there.
	config '.mounts += [{destination: "/mnt", type: "bind", source: "'"$SCRATCH/looks"'", options: ["bind", "rw"]}]' sh -c '
		while :; do
			for p in /proc/[0-9]*; do
				case $p in /proc/1 | "/proc/$$") continue ;; esac
				cat "$p/mountinfo" >/dev/shm/theirs 2>/dev/null && [ -s /dev/shm/theirs ] || continue
				cmp -s /dev/shm/theirs /proc/1/mountinfo || cat /dev/shm/theirs >>/mnt/other
				: >>/mnt/seen
			done
		done'
	oci create -b "$B" box >/dev/null 2>&1 </dev/null
	oci start box
	come_in() { # slowly: it is there for a while before each step
		strace -f -o /dev/null -e trace=setns,execve -e inject=setns,execve:delay_enter=200000 \
			"$OCI_BIN" --root "$OCI_ROOT" exec box true </dev/null
		[ -e "$SCRATCH/looks/seen" ]
	}
	wait_until come_in
	[ ! -e "$SCRATCH/looks/other" ]
	oci delete --force box
	rm -rf "$SCRATCH/looks"
}

@test "exec: nobody comes into a container that run has not brought away from the host's root" {
	config '.hooks.createContainer = [{path: "/bin/sh", args: ["sh", "-c", "echo >'"$SCRATCH"'/there; exec cat <'"$SCRATCH"'/go"]}]' sleep 1000
	rm -f "$SCRATCH/there"
	mkfifo "$SCRATCH/go"
	"$OCI_BIN" --root "$OCI_ROOT" run -b "$B" box </dev/null >"$SCRATCH/out" 2>&1 3>&- &
	maker=$!
	wait_until test -e "$SCRATCH/there"
	run oci exec box cat "$SCRATCH/victim/file"
	[[ $output != *secret* ]]
	one_line_error "still being made, or whoever made it was killed"
	# Nor where nobody makes it any more.
	kill -9 "$maker"
	wait "$maker" || true
	run oci exec box cat "$SCRATCH/victim/file"
	[[ $output != *secret* ]]
	echo >"$SCRATCH/go"
	oci delete --force box
	"$OCI_BIN" --root "$OCI_ROOT" run -b "$B" box </dev/null >"$SCRATCH/out" 2>&1 3>&- &
	echo >"$SCRATCH/go"
	comes_in() { oci exec box true; }
	wait_until comes_in
	oci delete --force box
	rm "$SCRATCH/go"
}

@test "CVE-2024-21626: no fd leads out, as a working directory neither" {
	local fd
	config . sleep 1000
	oci create -b "$B" run >/dev/null 2>&1 </dev/null
	oci start run
	for fd in 3 4 5 6 7 8 9 10 11 12 16 20; do
		run in_bundle ".process.cwd = \"/proc/self/fd/$fd\"" sh -c 'cat ../../../../etc/hostname ../../../../../../tmp/*/victim/file'
		[[ $output != *secret* ]]
		run oci exec --cwd "/proc/self/fd/$fd" run sh -c 'cat ../../../../../../tmp/*/victim/file'
		[[ $output != *secret* ]]
	done
}

@test "CVE-2022-0492: no release_agent can be set, and no cgroup file system mounted" {
	run in_bundle . sh -c 'for f in /sys/fs/cgroup/*/release_agent /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/cgroup.procs; do
		echo 1 2>/dev/null >$f && echo wrote $f; done; mkdir /tmp/x; mount -t cgroup -o memory x /tmp/x && echo mounted'
	[[ $output != *wrote* ]]
	[[ $output != *mounted* ]]
}

@test "CVE-2022-24769, CVE-2022-29162, CVE-2022-27650: nothing is inheritable unless it is asked for" {
	[ "$(in_bundle . grep CapInh /proc/self/status | cut -f 2)" = 0000000000000000 ]
	config . sleep 1000
	oci create -b "$B" box >/dev/null 2>&1 </dev/null
	oci start box
	[ "$(oci exec box grep CapInh /proc/self/status | cut -f 2)" = 0000000000000000 ]
}

@test "CVE-2025-31133: another /dev/null in the image is not what covers masked files" {
	evil_image
	mkdir -p "$IMAGE/dev"
	ln -sf "$SCRATCH/victim/file" "$IMAGE/dev/null"
	run in_bundle '.mounts |= map(select(.destination | startswith("/dev") | not)) | .linux.maskedPaths = ["/proc/version"]' \
		sh -c 'cat /proc/version; stat -c %t:%T /proc/version'
	[[ $output != *secret* ]]
	[[ $output == *"1:3" || $output == "error: "* ]]
	[ "$(cat "$SCRATCH/victim/file")" = secret ]
}

@test "CVE-2025-52565: /dev/console as a link leads nowhere" {
	evil_image
	mkdir -p "$IMAGE/dev"
	ln -sf /proc/sys/kernel/core_pattern "$IMAGE/dev/console"
	config '.mounts |= map(select(.destination | startswith("/dev") | not)) | .process.terminal = true
		| .mounts += [{destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance", "ptmxmode=0666"]}]' true
	run timeout -s KILL 100 script -qec "$OCI_BIN --root $OCI_ROOT run -b $B box" /dev/null
	[[ $output == *"error: "* ]]
}

@test "CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-52881: /proc is a proc file system, and whole" {
	evil_image
	mkdir "$IMAGE/fake" && echo 0 >"$IMAGE/fake/ip_forward"
	for where in /proc/sys /proc/self/attr /proc/1/attr /proc/sys/net/ipv4; do
		run in_bundle ".mounts += [{destination: \"$where\", type: \"bind\", source: \"$IMAGE/fake\", options: [\"bind\"]}]" true
		one_line_error "inside /proc|no such file|not a directory"
	done
	rm -rf "$IMAGE/proc"
	ln -s fake "$IMAGE/proc"
	run in_bundle '.linux.sysctl = {"net.ipv4.ip_forward": "1"}' true
	one_line_error "symbolic link"
	[ "$(cat "$IMAGE/fake/ip_forward")" = 0 ]
}

@test "CVE-2021-30465, CVE-2024-45310: what links point to outside is neither mounted on nor made" {
	evil_image
	ln -s "$SCRATCH/victim" "$IMAGE/link"
	ln -s /../../../../../.."$SCRATCH/victim" "$IMAGE/up"
	for where in /link/made /up/made /link /up; do
		run in_bundle ".root.readonly = false | .mounts += [{destination: \"$where\", type: \"tmpfs\", source: \"t\"},
			{destination: \"$where/file\", type: \"bind\", source: \"/etc/hostname\", options: [\"bind\"]}]" true
	done
	[ "$(ls "$SCRATCH/victim")" = file ]
}

@test "CVE-2020-15257: no socket of ours has an abstract name" {
	config . sleep 1000
	oci create -b "$B" box >/dev/null 2>&1 </dev/null
	grep -q '/start$' /proc/net/unix
	run grep -E '@.*(strata|start)' /proc/net/unix
	[ "$status" -eq 1 ]
	[ "$(stat -c %a "$OCI_ROOT")" = 700 ]
}

@test "root of a user namespace remounts a read-only bind mount, and writes nothing" {
	chmod 0755 "$B"
	chmod 0777 "$SCRATCH/victim"
	mkdir "$SCRATCH/victim/below"
	mount -t tmpfs -o mode=1777 none "$SCRATCH/victim/below"
	run in_bundle '.linux.namespaces += [{type: "user"}]
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"]) | del(.linux.seccomp)
		| .mounts += [{destination: "/mnt", type: "bind", source: "'"$SCRATCH/victim"'", options: ["rbind", "rro"]}]' \
		sh -c 'mount -o remount,bind,rw /mnt; touch /mnt/written; umount /mnt/below || echo stays; mount -o remount,bind,rw /mnt/below; touch /mnt/below/written; grep -c " /mnt" /proc/self/mountinfo'
	umount "$SCRATCH/victim/below"
	[[ $output == *stays* ]]
	[ "${lines[-1]}" = 2 ]
	[ "$(grep -c 'Read-only' <<<"$output")" = 2 ]
	[ ! -e "$SCRATCH/victim/written" ]
}
