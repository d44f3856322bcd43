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
	timeout -s KILL 100 "$OCI_BIN" --root "$OCI_ROOT" create -b "$B" "$@" >"$SCRATCH/out" 2>&1 </dev/null
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
	# It leaves the group that is killed.
	config '.hooks.createRuntime = [{path: "/usr/bin/env", timeout: 1, env: ["PATH=/usr/local/bin:/usr/bin:/bin"], args: ["env", "python3", "-c",
		"import os, time\nchild = os.fork()\nif child:\n os.setpgid(child, child)\n os.setpgid(0, child)\ntime.sleep(1000 if child else 5)"]}]' true
	! create box
	failed_in_one_line "not done after 1 s"
	nothing_left
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
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + ".new"); s.listen(1)
os.rename(sys.argv[1] + ".new", sys.argv[1])  # it is there once it listens
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
		timeout -s KILL 100 "$OCI_BIN" --root "$OCI_ROOT" delete --force box || { echo "after: $what" >&2; return 1; }
		[ -d /proc/1 ]
		dead() { [ ! -d "/proc/$pid" ]; }
		wait_until dead || { echo "lives after: $what" >&2; return 1; }
		nothing_left || { echo "after: $what" >&2; return 1; }
	done
}

@test "a cgroup that somebody lives in is not taken, and he goes on living there" {
	config '.linux.cgroupsPath = "/strata-taken/box"' sleep 1000
	oci create -b "$B" first </dev/null >"$SCRATCH/out" 2>&1
	oci start first
	for verb in run create restore; do
		run timeout 100 "$OCI_BIN" --root "$SCRATCH/second" "$verb" -b "$B" second </dev/null
		[ "$status" -eq 1 ]
		[ "$verb" = restore ] || [[ $output == *"it exists and has processes"* ]]
		[ -z "$(ls "$SCRATCH/second")" ]
		[ "$(oci state first | jq -r .status)" = running ]
	done
	oci delete --force first
	find /sys/fs/cgroup -maxdepth 3 -type d -name strata-taken -exec rmdir {} + 2>/dev/null || true
}

@test "who fails before his cgroup is made, or has none, does not kill those who live at its path" {
	config '.linux.cgroupsPath = "/strata-taken/box"' sleep 1000
	oci create -b "$B" first </dev/null >"$SCRATCH/out" 2>&1
	oci start first
	mkdir -p "$SCRATCH/other"
	for wrong in '.root.path = "/nonexistent"' '.mounts += [{destination: "/mnt", type: "bind", source: "/nonexistent", options: ["bind"]}]' \
		'.linux.namespaces += [{type: "user", path: "/nonexistent"}]'; do
		jq "$wrong" "$B/config.json" >"$SCRATCH/other/config.json"
		for verb in create run; do
			run timeout 100 "$OCI_BIN" --root "$OCI_ROOT" "$verb" -b "$SCRATCH/other" second </dev/null
			[ "$status" -eq 1 ]
			[ "$(oci state first | jq -r .status)" = running ]
		done
	done
	oci --cgroup-manager disabled create -b "$B" second </dev/null >"$SCRATCH/out" 2>&1
	oci start second
	run oci exec second grep -q /strata-taken /proc/self/cgroup
	[ "$status" -eq 1 ]
	oci kill --all second USR1
	for verb in pause events; do
		run oci "$verb" second
		[[ $output == *"it has no cgroup"* ]]
	done
	oci delete --force second
	[ "$(oci state first | jq -r .status)" = running ]
	oci delete --force first
	find /sys/fs/cgroup -maxdepth 3 -type d -name strata-taken -exec rmdir {} + 2>/dev/null || true
}

@test "a container that run stays with can be deleted by another, and run ends with its status" {
	config . sleep 1000
	"$OCI_BIN" --root "$OCI_ROOT" run -b "$B" box </dev/null >"$SCRATCH/out" 2>&1 3>&- &
	stays=$!
	runs() { [ "$(oci state box 2>/dev/null | jq -r .status)" = running ]; }
	wait_until runs
	run oci delete box
	one_line_error 'not stopped: it is running'
	oci delete --force box
	status=0
	wait "$stays" || status=$?
	[ "$status" -eq 137 ]
	[ ! -s "$SCRATCH/out" ]
	nothing_left
}

@test "two deletes and a create of one name at once: what was made is whole, or gone" {
	config . sleep 1000
	for ((i = 0; i < 40; i++)); do
		create box
		oci delete --force box 2>/dev/null 3>&- &
		one=$!
		oci delete --force box 2>/dev/null 3>&- &
		two=$!
		made=0
		create box || made=$?
		wait "$one" || true
		wait "$two" || true
		if [ "$made" -eq 0 ] && [ -d "$OCI_ROOT/box" ]; then
			[ "$(oci state box | jq -r .status)" = created ]
			oci delete --force box
		fi
		nothing_left
	done
}

@test "one that does not come to an end of being made is not paused, and delete --force ends it" {
	mkdir -p "$SCRATCH/shared"
	config '.hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "echo >/mnt/there; exec sleep 1000"]}]
		| .mounts += [{destination: "/mnt", type: "bind", source: "'"$SCRATCH/shared"'", options: ["bind", "rw"]}]' true
	for verb in run create; do
		rm -f "$SCRATCH/shared/there"
		"$OCI_BIN" --root "$OCI_ROOT" "$verb" -b "$B" box </dev/null >"$SCRATCH/out" 2>&1 3>&- &
		maker=$!
		if [ "$verb" = create ]; then
			wait "$maker"
			"$OCI_BIN" --root "$OCI_ROOT" start box </dev/null >"$SCRATCH/out" 2>&1 3>&- &
			maker=$!
		fi
		wait_until test -e "$SCRATCH/shared/there"
		if [ "$verb" = run ]; then
			run oci pause box
			one_line_error "being made, paused or deleted by process $maker"
			run oci delete box
			one_line_error "being made, paused or deleted by process $maker"
		fi
		oci delete --force box
		wait "$maker" || true
		nothing_left
	done
}

@test "one that is frozen or stopped before its start holds up nobody who looks, and starts after it" {
	local turn
	quick() { timeout -s KILL 200 "$OCI_BIN" --root "$OCI_ROOT" "$@" </dev/null; }
	config . sleep 1000
	create box
	oci pause box
	for turn in {1..30}; do [ "$(quick state box | jq -r .status)" = paused ]; done
	run quick start box
	one_line_error "cannot be started: it is paused"
	run quick exec box true
	one_line_error "it is paused"
	quick resume box
	[ "$(quick state box | jq -r .status)" = created ]
	kill -STOP "$(oci state box | jq .pid)"
	for turn in {1..30}; do [ "$(quick state box | jq -r .status)" = created ]; done
	run quick start box
	one_line_error "cannot be started: its first process answers nobody"
	kill -CONT "$(oci state box | jq .pid)"
	starts() { quick start box; }
	wait_until starts
	[ "$(oci state box | jq -r .status)" = running ]
	oci delete --force box
	create box
	oci pause box
	quick delete --force box
	nothing_left
}

@test "one that version 1's freezer holds dies of SIGKILL" {
	grep -q " - cgroup .*freezer" /proc/self/mountinfo || skip "needs the freezer of cgroup v1"
	config . sleep 1000
	unshare --mount --propagation private bash <<-'END'
		set -eu
		for place in $(awk '$3 == "cgroup2" { print $2 }' /proc/mounts); do umount "$place"; done
		oci() { "$OCI_BIN" --root "$SCRATCH/v1" "$@" </dev/null; }
		oci create -b "$B" box >/dev/null 2>&1
		oci start box
		oci pause box
		oci kill box TERM
		[ "$(oci state box | jq -r .status)" = paused ]
		oci kill box KILL
		for turn in {1..600}; do
			[ "$(oci state box | jq -r .status)" != stopped ] || break
			sleep 0.05
		done
		[ "$(oci state box | jq -r .status)" = stopped ]
		oci delete box
	END
}

@test "a state directory that is another user's is believed by nobody" {
	local verb own=$SCRATCH/anothers
	config . sleep 1000
	mkdir "$own"
	"$OCI_BIN" --root "$own" create -b "$B" box </dev/null >"$SCRATCH/out" 2>&1
	chown 1234 "$own/box"
	for verb in state kill start exec pause ps update delete "delete --force"; do
		# shellcheck disable=SC2086 # a verb and its flag
		run "$OCI_BIN" --root "$own" $verb box
		one_line_error "$own/box is user 1234's"
	done
	[ "$(stat -c %F "$own/box")" = directory ]
	# What would hold up who reads it.
	mkfifo "$own/box/waits"
	mv "$own/box/waits" "$own/box/config.json"
	run timeout -s KILL 200 "$OCI_BIN" --root "$own" list -q
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	chown 1234 "$own"
	run "$OCI_BIN" --root "$own" list
	one_line_error "$own is user 1234's"
	# Filters in a directory of his would let through what he likes.
	mkdir "$own/.cache"
	chown 1234 "$own/.cache"
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW"}' true
	run "$OCI_BIN" --root "$own" run -b "$B" other
	one_line_error "$own/.cache is user 1234's"
	chown 0 "$own" "$own/box"
	rm "$own/box/config.json"
	"$OCI_BIN" --root "$own" delete --force box
	rm -rf "$own"
}

@test "list says that it cannot look, and not that there is none" {
	mkdir -p "$SCRATCH/nobodys"
	: >"$SCRATCH/nobodys/file"
	run "$OCI_BIN" --root "$SCRATCH/nobodys/file" list
	one_line_error "open $SCRATCH/nobodys/file: not a directory"
	run "$OCI_BIN" --root "$SCRATCH/nobodys/none" list -q
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}
