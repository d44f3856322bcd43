#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Debian's podman, unchanged, with strata-oci as its runtime.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
load helper
bats_require_minimum_version 1.5.0

setup_file()
{
	strata_hierarchies
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

teardown()
{
	pod pod rm -af >/dev/null 2>&1 || true
	pod rm -af -t 0 >/dev/null 2>&1 || true
}

pod()
{
	timeout -s KILL 100 podman --root "$STORE/root" --runroot "$STORE/run" --tmpdir "$STORE/tmp" --cgroup-manager cgroupfs \
		--events-backend file --runtime "$OCI_BIN" "$@"
}

# Its own default limits are above what a host without CAP_SYS_RESOURCE can give.
in_pod()
{
	local verb=$1
	shift
	timeout 200 podman --root "$STORE/root" --runroot "$STORE/run" --tmpdir "$STORE/tmp" --cgroup-manager cgroupfs \
		--events-backend file --runtime "$OCI_BIN" "$verb" --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 \
		--network none "$@"
}

@test "run: output, input, exit status, a command that is not there" {
	[ "$(in_pod run --rm demo echo hello)" = hello ]
	[ "$(echo in | in_pod run --rm -i demo cat)" = in ]
	run in_pod run --rm demo sh -c 'exit 5'
	[ "$status" -eq 5 ]
	run -127 in_pod run --rm demo nosuch
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
	pod stop -t 100 box
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
	[ "$(timeout 200 podman --root "$STORE/root" --runroot "$STORE/run" --tmpdir "$STORE/tmp" --cgroup-manager cgroupfs \
		--events-backend file --runtime "$OCI_BIN" run --rm --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 \
		--network container:first --ipc container:first --pid container:first demo ps | grep -c 'sleep 1000')" = 1 ]
	pod rm -f -t 0 first
}

@test "attach, and update of what runs" {
	in_pod run -d -i --name box -m 64m demo sh -c 'while read -r line; do echo "got $line"; done'
	[ "$(echo hello | timeout -s KILL 100 podman --root "$STORE/root" --runroot "$STORE/run" --tmpdir "$STORE/tmp" --cgroup-manager cgroupfs \
		--events-backend file --runtime "$OCI_BIN" attach box)" = "got hello" ]
	pod rm -f -t 0 box
	in_pod run -d --name box -m 64m demo sleep 1000
	pod update --memory 32m --memory-swap 64m box
	[ "$(pod exec box sh -c 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null')" = 33554432 ]
	pod rm -f -t 0 box
}

# Its first container holds the namespaces; the image is made here, from Debian's catatonit.
@test "a pod: an infra container of its own, a network and a host name that its containers share" {
	mkdir -p "$SCRATCH/infra"
	cp /usr/bin/catatonit "$SCRATCH/infra/pause"
	tar -C "$SCRATCH/infra" -c . | pod import -c 'ENTRYPOINT ["/pause","-P"]' - infra >/dev/null
	pod pod create --name pod --infra-image infra --infra-name pod-infra --network none --share net,ipc,uts,pid >/dev/null
	pod run -d --pod pod --name server --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 demo \
		httpd -f -p 8080 -h /etc >/dev/null
	[ "$(pod inspect -f '{{.State.Status}}' pod-infra)" = running ]
	listens() { pod exec server wget -q -O /dev/null http://127.0.0.1:8080/passwd; }
	wait_until listens
	[ "$(pod run --rm --pod pod --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 demo \
		wget -q -O - http://127.0.0.1:8080/passwd)" = "$(cat "$DEMO_ROOTFS/etc/passwd")" ]
	[ "$(pod exec server readlink /proc/self/ns/net)" = "$(pod exec server readlink /proc/1/ns/net)" ]
	[ "$(pod exec server hostname)" = pod ]
	pod pod stats --no-stream pod >/dev/null
	pod pod pause pod >/dev/null
	[ "$(pod inspect -f '{{.State.Status}}' server)" = paused ]
	pod pod unpause pod >/dev/null
	pod pod stop -t 0 pod >/dev/null
	pod pod rm -f pod >/dev/null
	[ -z "$(pod ps -aq)" ]
}

@test "a build: podman's, and buildah's with --isolation oci" {
	mkdir -p "$SCRATCH/build"
	printf 'FROM localhost/demo\nRUN echo built >/made && id -u >/uid\nCMD ["cat", "/made"]\n' >"$SCRATCH/build/Containerfile"
	buildah --root "$STORE/root" --runroot "$STORE/run" bud --runtime "$OCI_BIN" --isolation oci --network none \
		--ulimit nofile=1024:1024 --ulimit nproc=1000:1000 -t built "$SCRATCH/build"
	[ "$(in_pod run --rm built)" = built ]
	pod rmi -f built >/dev/null
	box=$(buildah --root "$STORE/root" --runroot "$STORE/run" from localhost/demo)
	run buildah --root "$STORE/root" --runroot "$STORE/run" run --runtime "$OCI_BIN" --isolation oci --network none "$box" sh -c 'echo ran; exit 9'
	buildah --root "$STORE/root" --runroot "$STORE/run" rm "$box" >/dev/null
	echo "$output"
	[ "$status" -eq 9 ]
	[[ $output == *ran* ]]
}

# rootless FLAGS...: podman as a user who is made here, in a mount namespace of the test's own
rootless()
{
	unshare -m sh -c '
		for f in passwd group subuid subgid; do mount --bind "$SCRATCH/etc/$f" "/etc/$f" || exit 120; done
		exec timeout -s KILL 100 setpriv --reuid 54323 --regid 54323 --clear-groups env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			HOME="$SCRATCH/user" XDG_RUNTIME_DIR="$SCRATCH/user/run" podman --root "$SCRATCH/user/store" --runroot "$SCRATCH/user/r" \
			--tmpdir "$SCRATCH/user/t" --storage-driver vfs --cgroup-manager cgroupfs --events-backend file --runtime "$OCI_BIN" "$@"
	' x "$@"
}

@test "an ordinary user: run, exec, logs, stop" {
	local limits=(--network none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000)
	mkdir -p "$SCRATCH/etc" "$SCRATCH/user/run"
	cp /etc/passwd /etc/group "$SCRATCH/etc"
	echo "strat:x:54323:54323::$SCRATCH/user:/bin/sh" >>"$SCRATCH/etc/passwd"
	echo "strat:x:54323:" >>"$SCRATCH/etc/group"
	echo strat:700000:65536 | tee "$SCRATCH/etc/subuid" >"$SCRATCH/etc/subgid"
	touch /etc/subuid /etc/subgid
	tar -C "$DEMO_ROOTFS" -cf "$SCRATCH/user/demo.tar" .
	chown -R 54323:54323 "$SCRATCH/user"
	rootless info >/dev/null 2>&1 || skip "an ordinary user cannot get at podman's storage or $OCI_BIN"
	cd "$SCRATCH/user"
	rootless import "$SCRATCH/user/demo.tar" demo >/dev/null
	run rootless run --rm "${limits[@]}" demo sh -c 'id -u; cat /proc/self/uid_map'
	[ "$status" -eq 0 ]
	grep -Eq '^ +0 +54323 +1$' <<<"$output"
	grep -Eq '^ +1 +700000 +65536$' <<<"$output"
	rootless run -d --name box "${limits[@]}" demo sh -c 'echo ready; exec sleep 1000' >/dev/null
	said() { rootless logs box | grep -q ready; }
	wait_until said
	[ "$(rootless exec box echo in exec)" = "in exec" ]
	run rootless exec box sh -c 'exit 4'
	[ "$status" -eq 4 ]
	rootless kill -s KILL box
	[ "$(rootless wait box)" = 137 ]
	rootless rm -f -t 0 box
	[ -z "$(rootless ps -aq)" ]
	rootless unshare rm -rf "$SCRATCH/user/store"
	# The process that keeps the user's namespaces.
	rootless system migrate >/dev/null 2>&1 || true
	pkill -KILL -U 54323 || true
}
