#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata-oci where the world around it changes, is full, or goes away while a container is made.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
load helper
load oci_helper

teardown()
{
	oci_teardown
	rm -rf "$B"
}

# No pipe of ours stays with the container.
create()
{
	timeout -s KILL 20 "$OCI_BIN" --root "$OCI_ROOT" create -b "$B" "$@" >"$SCRATCH/out" 2>&1 </dev/null
}

failed_in_one_line()
{
	[ "$(grep -c . "$SCRATCH/out")" = 1 ] && grep -Eqi "^error: .*($1)" "$SCRATCH/out" || { cat "$SCRATCH/out" >&2; return 1; }
}

nothing_left()
{
	local found
	for found in "$OCI_ROOT"/* /sys/fs/cgroup/strata-oci-box /sys/fs/cgroup/*/strata-oci-box; do
		[ ! -e "$found" ] || { echo "left: $found" >&2; return 1; }
	done
	! grep -F "$B" /proc/self/mounts
}

@test "the bundle vanishes midway: what was made of it starts and goes" {
	config ".hooks.createRuntime = [{path: \"/bin/rm\", args: [\"rm\", \"-r\", \"$B\"]}]" sleep 1000
	create box
	[ ! -e "$B" ]
	oci start box
	[ "$(oci exec box echo in)" = in ]
	oci delete --force box
	nothing_left
}

@test "the root file system vanishes midway: start says what is missing, and delete works" {
	mkdir -p "$B/rootfs/bin"
	cp "$DEMO_ROOTFS/bin/busybox" "$B/rootfs/bin/sleep"
	config ".root.path = \"rootfs\"" /bin/sleep 1000
	create box
	rm -rf "$B"
	run oci start box
	one_line_error "no such file|sleep"
	oci delete --force box
	nothing_left
	mkdir -p "$B/rootfs/bin"
	config ".root.path = \"rootfs\" | .hooks.prestart = [{path: \"/bin/rm\", args: [\"rm\", \"-r\", \"$B/rootfs\"]}]" /bin/sleep 1000
	! create box
	failed_in_one_line ""
	nothing_left
}

@test "eight creates of one name at once: one makes it, the others are told" {
	local i good=0 pids=()
	config . sleep 1000
	for i in 1 2 3 4 5 6 7 8; do
		"$OCI_BIN" --root "$OCI_ROOT" create -b "$B" box >"$SCRATCH/out.$i" 2>&1 </dev/null &
		pids+=($!)
	done
	for i in 1 2 3 4 5 6 7 8; do
		if wait "${pids[$((i - 1))]}"; then
			good=$((good + 1))
			[ ! -s "$SCRATCH/out.$i" ]
		else
			[ "$(grep -c . "$SCRATCH/out.$i")" = 1 ]
			grep -q "^error: container 'box' exists already" "$SCRATCH/out.$i"
		fi
	done
	[ "$good" -eq 1 ]
	oci start box
	oci delete --force box
	nothing_left
}

@test "a create and a delete --force of one name, over and over: nobody loses, nothing is left" {
	local i
	config . sleep 1000
	for i in 1 2 3 4 5 6; do
		"$OCI_BIN" --root "$OCI_ROOT" create -b "$B" box >"$SCRATCH/out" 2>&1 </dev/null &
		oci delete --force box >/dev/null 2>&1 || true
		wait $! || failed_in_one_line ""
		gone() { oci delete --force box; }
		wait_until gone
		nothing_left
	done
}

@test "hooks that flood standard error, leave a child behind, or hang in the container" {
	config '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "head -c 10000000 /dev/zero >&2; sleep 30 & exit 0"]}]' true
	create box
	[ ! -s "$SCRATCH/out" ]
	oci delete --force box
	config '.hooks.createContainer = [{path: "/bin/sleep", args: ["sleep", "100"], timeout: 1}]' true
	! create box
	failed_in_one_line "not done after 1 s"
	nothing_left
	config '.hooks.startContainer = [{path: "/bin/sleep", args: ["sleep", "100"], timeout: 1}]' true
	create box
	run oci start box
	one_line_error "not done after 1 s"
	oci delete --force box
	nothing_left
}

@test "a full limit of processes: exec is told so, and the container goes on" {
	config '.linux.resources.pids = {limit: 2}' sh -c 'sleep 1000 & wait'
	create box
	oci start box
	two() { [ "$(oci ps -f json box | jq length)" -eq 2 ]; }
	wait_until two
	run oci exec box sh -c 'true & wait'
	[ "$status" -ne 0 ]
	[ "$(oci state box | jq -r .status)" = running ]
	oci delete --force box
	nothing_left
}

@test "no more cgroups are allowed: one line that says so, and none is left" {
	local v2
	v2=$(awk '$0 ~ / - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
	[ -n "$v2" ] || skip "no cgroup v2 here"
	mkdir "$v2/strata-full"
	echo 0 >"$v2/strata-full/cgroup.max.descendants"
	config '.linux.cgroupsPath = "/strata-full/box"' true
	local ended=0
	create box || ended=$?
	find /sys/fs/cgroup -maxdepth 3 -path '*strata-full/box' >"$SCRATCH/left"
	find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -type d -name strata-full -exec rmdir {} +
	[ "$ended" -eq 1 ]
	failed_in_one_line "allows no more groups"
	[ ! -s "$SCRATCH/left" ]
	nothing_left
}

@test "a console socket that refuses, hangs up, or goes before the terminal is used" {
	config '.process.terminal = true' sh -c 'tty; exec sleep 1000'
	! create --console-socket "$SCRATCH/nosuch" box
	failed_in_one_line "no such file"
	nothing_left
	python3 - "$SCRATCH/tty" 3>&- <<'P' &
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
s.accept()[0].close()          # the first hangs up at once
s.accept()[0].recvmsg(64, 64)  # the second takes the terminal and is gone
P
	peer=$!
	wait_until test -S "$SCRATCH/tty"
	create --console-socket "$SCRATCH/tty" box || failed_in_one_line "console|terminal"
	oci delete --force box
	nothing_left
	create --console-socket "$SCRATCH/tty" box || failed_in_one_line "console|terminal"
	wait "$peer"
	oci start box || true
	oci delete --force box
	nothing_left
}

@test "a state directory that somebody has broken can still be deleted" {
	local what
	for what in 'rm state.json' 'rm config.json' 'rm start' ': >state.json' 'echo "{" >config.json' 'echo "{\"pid\": 1}" >state.json' \
		'rm *'; do
		config . sleep 1000
		create box
		pid=$(oci state box | jq .pid)
		(cd "$OCI_ROOT/box" && eval "$what")
		timeout -s KILL 20 "$OCI_BIN" --root "$OCI_ROOT" delete --force box || { echo "after: $what" >&2; return 1; }
		[ -d /proc/1 ]
		dead() { [ ! -d "/proc/$pid" ]; }
		wait_until dead || { echo "lives after: $what" >&2; return 1; }
		nothing_left || { echo "after: $what" >&2; return 1; }
	done
}
