#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Debian's containerd, unchanged, with strata-oci below its shim io.containerd.runc.v2; driven by ctr.
# shellcheck disable=SC2016 # what is quoted is for the shell inside
load helper
bats_require_minimum_version 1.5.0

setup_file()
{
	strata_hierarchies
	strata_setup_file
	command -v containerd >/dev/null || skip "containerd is not installed (tools/setup test)"
	export D=$SCRATCH/containerd OCI_BIN=${STRATA_BIN%/*}/strata-oci
	mkdir -p "$D"
	cat >"$D/config.toml" <<-TOML
		version = 2
		root = "$D/root"
		state = "$D/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		address = "$D/sock"
		[ttrpc]
		address = "$D/sock.ttrpc"
	TOML
	containerd -c "$D/config.toml" >"$D/log" 2>&1 3>&- &
	echo $! >"$SCRATCH/pid"
	if ! wait_until tc version; then
		tail -n 5 "$D/log" >&2
		return 1
	fi
	strata image export --format oci -o "$D/demo.tar" demo
	tc image import "$D/demo.tar" >/dev/null
	# A directory on an overlay cannot be an overlay's upper one.
	echo overlayfs >"$D/snapshotter"
	in_box try true >/dev/null 2>&1 || echo native >"$D/snapshotter"
}

teardown_file()
{
	local pid
	if [ -f "${SCRATCH:-/nowhere}/pid" ]; then
		clear_all >/dev/null 2>&1
		pid=$(cat "$SCRATCH/pid")
		kill "$pid" 2>/dev/null || true
		dead() { ! kill -0 "$pid" 2>/dev/null; }
		wait_until dead || kill -9 "$pid"
		grep -o " $D/[^ ]*" /proc/self/mounts | sort -r | xargs -r umount -l 2>/dev/null || true
		find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -type d -name strata-ctr -exec rmdir {} + 2>/dev/null || true
	fi
	strata_teardown_file
}

# The namespace is the cgroups' parent too. ctr hands TERM on, and does not close a standard input that has ended.
tc()
{
	timeout -s KILL 100 ctr -a "$D/sock" -n strata-ctr "$@"
}

# in_box FLAGS... ID COMMAND...: the image comes before the name
in_box()
{
	local flags=()
	while [[ $1 == -* ]]; do
		flags+=("$1")
		shift
	done
	[[ " ${flags[*]} " == *" -d "* ]] || flags+=(--rm)
	tc run "${flags[@]}" --snapshotter "$(cat "$D/snapshotter")" --runtime io.containerd.runc.v2 --runc-binary "$OCI_BIN" \
		--runc-root "$D/runc" demo:latest "$@"
}

# The task's field of `task ls`: pid 2, status 3.
task()
{
	tc task ls | awk -v "id=$1" -v "field=$2" '$1 == id { print $field }'
}

is()
{
	[ "$(task "$1" 3)" = "$2" ]
}

# Version 1 of cgroups, or 2.
metrics_of()
{
	tc task metrics --format json "$1" >"$D/metrics"
	jq -e '.pids.current >= 1 and ((.memory.usage.limit == 67108864 and .cpu.usage.total > 0)
		or (.memory.usage_limit == 67108864 and .cpu.usage_usec > 0))' "$D/metrics"
}

teardown()
{
	[ -z "$(tc container ls -q)" ] || clear_all
}

clear_all()
{
	local id
	for id in $(tc container ls -q); do
		tc task rm -f "$id" || true
		tc container rm "$id" || true
	done
}

@test "run: output, input, exit status, a command that is not there" {
	[ "$(in_box box echo hello)" = hello ]
	[ "$(echo in | in_box box head -n 1)" = in ]
	run in_box box sh -c 'exit 5'
	[ "$status" -eq 5 ]
	run in_box box nosuch
	[ "$status" -ne 0 ]
	[[ $output == *"executable file not found"* ]]
	tc container rm box 2>/dev/null || true
	[ -z "$(tc task ls -q)" ]
	[ -z "$(find "$D/runc" -mindepth 2 -not -path '*/.*')" ]
}

@test "both snapshotters" {
	run tc snapshot --snapshotter native ls
	[ "$status" -eq 0 ]
	[ "$(tc run --rm --snapshotter native --runtime io.containerd.runc.v2 --runc-binary "$OCI_BIN" --runc-root "$D/runc" \
		demo:latest box echo native)" = native ]
}

@test "run -d, logs, attach, exec, ps, metrics, pause, kill, delete" {
	in_box -d "--log-uri=file://$D/box.log" --memory-limit=67108864 box \
		sh -c 'trap "exit 3" TERM; echo ready; while :; do sleep 0.05; done'
	wait_until grep -q ready "$D/box.log"
	is box RUNNING
	[ "$(tc task exec --exec-id one box echo in exec)" = "in exec" ]
	run tc task exec --exec-id two box sh -c 'exit 4'
	[ "$status" -eq 4 ]
	[ "$(echo in | tc task exec --exec-id three box head -n 1)" = in ]
	[ "$(tc task exec --exec-id four --user 1000 --cwd /tmp box sh -c 'echo $(id -u) $PWD')" = "1000 /tmp" ]
	run tc task exec --exec-id five box nosuch
	[ "$status" -ne 0 ]
	tc task ps box | grep -q "^$(task box 2) "
	wait_until metrics_of box
	tc task pause box
	is box PAUSED
	tc task resume box
	is box RUNNING
	tc task kill -s TERM box
	wait_until is box STOPPED
	run tc task rm box
	[[ $output == *"exit code 3"* ]]
	tc container rm box
}

@test "attach sees what is said from now on" {
	in_box -d "--fifo-dir=$D/fifos" box sh -c 'while :; do echo tick; sleep 0.05; done' >/dev/null 2>&1 &
	wait_until is box RUNNING
	ctr -a "$D/sock" -n strata-ctr task attach box >"$D/seen" 2>&1 3>&- &
	local attached=$!
	wait_until grep -q tick "$D/seen"
	kill -KILL $attached
	wait $attached || true
	tc task kill -s KILL box || true
	wait_until is box STOPPED
	tc task rm box || true
	tc container rm box
}

@test "a terminal, of run and of exec" {
	run timeout -s KILL 100 script -qec "ctr -a $D/sock -n strata-ctr run --rm -t --snapshotter $(cat "$D/snapshotter") \
		--runc-binary $OCI_BIN --runc-root $D/runc demo:latest box tty" /dev/null
	[[ $output == *"/dev/pts/0"* ]]
}

@test "namespaces that another container has, a user namespace, a profile, a read-only root" {
	in_box -d box sleep 1000
	pid=$(task box 2)
	for kind in network:net ipc:ipc pid:pid; do
		[ "$(in_box "--with-ns=${kind%:*}:/proc/$pid/ns/${kind#*:}" other readlink "/proc/self/ns/${kind#*:}")" = \
			"$(readlink "/proc/$pid/ns/${kind#*:}")" ]
	done
	tc task kill -s KILL box
	wait_until is box STOPPED
	tc task rm box || true
	tc container rm box
	[ "$(in_box --seccomp box grep -c '^Seccomp:.*2' /proc/self/status)" = 1 ]
	run in_box --read-only box touch /x
	[[ $output == *Read-only* ]]
}

@test "a shim that is killed leaves nothing once its container is deleted" {
	in_box -d box sleep 1000
	pid=$(task box 2)
	shim=$(awk '$1 == "PPid:" { print $2 }' "/proc/$pid/status")
	[[ $(tr '\0' ' ' <"/proc/$shim/cmdline") == containerd-shim* || $(tr '\0' ' ' <"/proc/$shim/cmdline") == */containerd-shim* ]]
	kill -9 "$shim"
	gone() { [ ! -d "/proc/$pid" ]; }
	wait_until gone
	tc task rm -f box 2>/dev/null || true
	tc container rm box
	emptied() { [ -z "$(find "$D/runc" -mindepth 2 -maxdepth 2 -not -name '.*')" ]; }
	wait_until emptied
	[ -z "$(find /sys/fs/cgroup -maxdepth 3 -path '*strata-ctr/box')" ]
}
