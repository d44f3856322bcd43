#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Debian's podman, unchanged, with strata-oci as its runtime.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
load helper

setup_file()
{
	strata_setup_file
	command -v podman >/dev/null || skip "podman is not installed (tools/setup test)"
	export STORE=$SCRATCH/podman OCI_BIN=${STRATA_BIN%/*}/strata-oci
	mkdir -p "$STORE"
	tar -C "$DEMO_ROOTFS" -c . | pod import - demo >/dev/null
}

teardown_file()
{
	if [ -n "${STORE:-}" ]; then
		pod rm -a -f -t 0 >/dev/null 2>&1 || true
		umount "$STORE/root/overlay" 2>/dev/null || true
		find /sys/fs/cgroup -maxdepth 3 -depth -type d -path '*libpod_parent*' -exec rmdir {} + 2>/dev/null || true
	fi
	strata_teardown_file
}

pod()
{
	podman --root "$STORE/root" --runroot "$STORE/run" --tmpdir "$STORE/tmp" --cgroup-manager cgroupfs \
		--events-backend file --runtime "$OCI_BIN" "$@"
}

# Its own default limits are above what a host without CAP_SYS_RESOURCE can give.
in_pod()
{
	local verb=$1
	shift
	timeout 60 podman --root "$STORE/root" --runroot "$STORE/run" --tmpdir "$STORE/tmp" --cgroup-manager cgroupfs \
		--events-backend file --runtime "$OCI_BIN" "$verb" --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 \
		--network none "$@"
}

@test "run: output, input, exit status, a command that is not there" {
	[ "$(in_pod run --rm demo echo hello)" = hello ]
	[ "$(echo in | in_pod run --rm -i demo cat)" = in ]
	run in_pod run --rm demo sh -c 'exit 5'
	[ "$status" -eq 5 ]
	run in_pod run --rm demo nosuch
	[ "$status" -eq 127 ]
	[[ $output == *"executable file not found"* ]]
	[ -z "$(pod ps -aq)" ]
}

@test "run -d, ps, logs, exec, top, stats, pause, stop, rm" {
	in_pod run -d --name box demo sh -c 'trap "exit 3" TERM; echo ready; while :; do sleep 0.05; done'
	said() { pod logs box | grep -q ready; }
	wait_until said
	[ "$(pod ps --format '{{.Names}}')" = box ]
	[ "$(pod exec box sh -c 'echo in exec')" = "in exec" ]
	run pod exec box sh -c 'exit 4'
	[ "$status" -eq 4 ]
	[ "$(pod exec -u 1000 -e A=b box sh -c 'echo $(id -u) $A')" = "1000 b" ]
	pod top box | grep -q 'sh -c trap'
	pod stats --no-stream --format json box | jq -e '.[0].name == "box"'
	pod pause box
	[ "$(pod inspect -f '{{.State.Status}}' box)" = paused ]
	pod unpause box
	pod stop -t 10 box
	[ "$(pod inspect -f '{{.State.Status}} {{.State.ExitCode}}' box)" = "exited 3" ]
	pod start box
	[ "$(pod exec box echo again)" = again ]
	pod kill -s KILL box
	[ "$(pod wait box)" = 137 ]
	pod rm box
	[ -z "$(pod ps -aq)" ]
}

@test "a terminal: -t, of run and of exec" {
	run in_pod run --rm -t demo sh -c 'tty; ls -l /dev/console | cut -c 1'
	[ "${lines[0]%$'\r'}" = /dev/pts/0 ]
	[ "${lines[1]%$'\r'}" = c ]
	in_pod run -d --name box demo sleep 1000
	run pod exec -t box tty
	[[ $output == /dev/pts/* ]]
	pod rm -f -t 0 box
}

@test "limits, users, capabilities, tmpfs, volumes, devices, sysctls, user namespaces" {
	[ "$(in_pod run --rm -m 64m --pids-limit 30 demo sh -c 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null')" = 67108864 ]
	[ "$(in_pod run --rm --user 1000:1000 --cap-add net_admin demo sh -c 'grep CapAmb /proc/self/status | cut -f 2')" = 0000000000001000 ]
	[ "$(in_pod run --rm --tmpfs /etc demo cat /etc/passwd | head -n 1)" = "$(head -n 1 "$DEMO_ROOTFS/etc/passwd")" ]
	run in_pod run --rm --read-only demo sh -c 'touch /x; touch /tmp/y && echo tmp'
	[[ $output == *"Read-only"* ]]
	[[ $output == *tmp ]]
	echo file >"$SCRATCH/file"
	[ "$(in_pod run --rm -v "$SCRATCH/file:/mnt/file:ro" demo cat /mnt/file)" = file ]
	[ "$(in_pod run --rm --sysctl kernel.msgmax=9000 demo cat /proc/sys/kernel/msgmax)" = 9000 ]
	run in_pod run --rm --uidmap 0:100000:65536 --gidmap 0:100000:65536 demo sh -c 'id -u; cat /proc/self/uid_map'
	[ "${lines[0]}" = 0 ]
	[[ ${lines[1]} == *100000*65536 ]]
	in_pod run --rm --privileged demo true
}

@test "containers that share namespaces" {
	in_pod run -d --name first demo sleep 1000
	[ "$(timeout 60 podman --root "$STORE/root" --runroot "$STORE/run" --tmpdir "$STORE/tmp" --cgroup-manager cgroupfs \
		--events-backend file --runtime "$OCI_BIN" run --rm --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 \
		--network container:first --ipc container:first --pid container:first demo ps | grep -c 'sleep 1000')" = 1 ]
	pod rm -f -t 0 first
}
