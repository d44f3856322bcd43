#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Debian's dockerd, and the containerd below it, unchanged, with strata-oci as the default runtime.
# shellcheck disable=SC2016 # what is quoted is for the shell inside
load helper
bats_require_minimum_version 1.5.0

setup_file()
{
	strata_hierarchies
	strata_setup_file
	command -v dockerd >/dev/null || skip "docker is not installed (tools/setup test)"
	export D=$SCRATCH/docker DOCKER_HOST=unix://$SCRATCH/docker/sock
	mkdir -p "$D"
	dockerd --data-root "$D/data" --exec-root "$D/exec" -p "$D/pid" -H "$DOCKER_HOST" --iptables=false --ip-masq=false \
		--ip-forward=false --bridge=none --add-runtime "strata=${STRATA_BIN%/*}/strata-oci" --default-runtime strata \
		>"$D/log" 2>&1 3>&- &
	echo $! >"$SCRATCH/dockerd"
	if ! wait_until docker version; then
		tail -n 5 "$D/log" >&2
		return 1
	fi
	tar -C "$DEMO_ROOTFS" -c . | docker import - demo >/dev/null
}

teardown_file()
{
	local pid
	if [ -f "${SCRATCH:-/nowhere}/dockerd" ]; then
		docker ps -aq | xargs -r docker rm -f >/dev/null 2>&1 || true
		pid=$(cat "$SCRATCH/dockerd")
		kill "$pid" 2>/dev/null || true
		dead() { ! kill -0 "$pid" 2>/dev/null; }
		wait_until dead || kill -9 "$pid"
		find "$D" -xdev -depth -type d -exec umount -q {} + 2>/dev/null || true
		grep -o " $D/[^ ]*" /proc/self/mounts | sort -r | xargs -r umount -l 2>/dev/null || true
		find /sys/fs/cgroup -mindepth 2 -maxdepth 2 -type d -name docker -exec rmdir {} + 2>/dev/null || true
	fi
	strata_teardown_file
}

in_docker()
{
	local verb=$1
	shift
	timeout -s KILL 200 docker "$verb" --network none "$@"
}

@test "run: output, input, exit status, a command that is not there" {
	[ "$(in_docker run --rm demo echo hello)" = hello ]
	[ "$(echo in | in_docker run --rm -i demo cat)" = in ]
	run in_docker run --rm demo sh -c 'exit 6'
	[ "$status" -eq 6 ]
	run -127 in_docker run --rm demo nosuch
	[[ $output == *"executable file not found"* ]]
	[ -z "$(docker ps -aq)" ]
}

@test "run -d, exec, top, stats, pause, update, stop, rm" {
	in_docker run -d --name box -m 64m demo sh -c 'trap "exit 3" TERM; echo ready; while :; do sleep 0.05; done'
	said() { docker logs box | grep -q ready; }
	wait_until said
	[ "$(docker exec box echo in exec)" = "in exec" ]
	run docker exec box sh -c 'exit 4'
	[ "$status" -eq 4 ]
	docker top box | grep -q 'sh -c trap'
	docker stats --no-stream --format '{{.MemUsage}}' box | grep -q '64MiB'
	docker pause box
	[ "$(docker inspect -f '{{.State.Status}}' box)" = paused ]
	docker unpause box
	docker update --memory 32m --memory-swap 64m box
	[ "$(docker exec box sh -c 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null')" = 33554432 ]
	docker stop box
	[ "$(docker inspect -f '{{.State.ExitCode}}' box)" = 3 ]
	docker rm box
}

@test "docker run -t waited for ever: pipes beside the terminal were held open" {
	run in_docker run --rm -t demo tty
	[ "${output%$'\r'}" = /dev/pts/0 ]
	in_docker run -d --name box demo sleep 1000
	run docker exec -t box tty
	[[ $output == /dev/pts/* ]]
	docker rm -f box
}

@test "attach, and a network namespace that two share" {
	in_docker run -d -i --name box demo sh -c 'read -r line; echo "got $line"'
	echo hello | timeout -s KILL 100 docker attach box >/dev/null
	[ "$(docker wait box)" = 0 ]
	[ "$(docker logs box)" = "got hello" ]
	docker rm -f box
	in_docker run -d --name box --ipc shareable demo sleep 1000
	[ "$(timeout -s KILL 200 docker run --rm --network container:box --ipc container:box --pid container:box demo readlink /proc/self/ns/net)" = \
		"$(docker exec box readlink /proc/1/ns/net)" ]
	docker kill -s KILL box
	[ "$(docker wait box)" = 137 ]
	docker rm box
}

@test "a build" {
	mkdir -p "$SCRATCH/build"
	printf 'FROM demo\nRUN echo built >/made\nCMD ["cat", "/made"]\n' >"$SCRATCH/build/Dockerfile"
	DOCKER_BUILDKIT=0 timeout -s KILL 200 docker build --network none -t built "$SCRATCH/build"
	[ "$(in_docker run --rm built)" = built ]
	docker rmi -f built
}

# Whatever a test that failed has left.
teardown()
{
	docker ps -aq | xargs -r timeout -s KILL 100 docker rm -f >/dev/null 2>&1 || true
}
