#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bundles in virtual machines: strata-oci by itself, and under Debian's podman. On the software CPU, which every host can run.
# shellcheck disable=SC2016,SC2154 # what is quoted is for the shell inside, or for jq; bats sets stderr
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	needs mke2fs busybox jq ip
	lab_strata
	export B=$LAB/bundle OCI_ROOT=$LAB/oci STORE=$LAB/podman
	mkdir "$B" "$STORE"
	! mountpoint -q /run/netns || touch "$LAB/netns" # ip makes one, and leaves it
	"$REPO/tools/demo-image" "$LAB/rootfs"
	lab_kernel
}

teardown_file()
{
	[ -n "${LAB:-}" ] || return 0
	local id
	for id in $(oci list -q); do oci delete --force "$id"; done
	if [ -d "$STORE/root" ]; then
		pod rm -a -f -t 0 >/dev/null 2>&1 || true
		umount "$STORE/root/overlay" 2>/dev/null || true
		find /sys/fs/cgroup -maxdepth 3 -depth -type d -path '*libpod_parent*' -exec rmdir {} + 2>/dev/null || true
	fi
	for id in vmbox vmpeer vmpod; do ip netns del "$id" 2>/dev/null || true; done
	[ -f "$LAB/netns" ] || umount /run/netns 2>/dev/null || true
	[ ! -f "$LAB/dockerd" ] || docker_end "$LAB/docker" "$(cat "$LAB/dockerd")"
	rm -rf --one-file-system "$LAB"
}

# docker_end DIR PID: as tests/system/docker.bats
docker_end()
{
	DOCKER_HOST=unix://$1/sock docker ps -aq | DOCKER_HOST=unix://$1/sock xargs -r docker rm -f >/dev/null 2>&1 || true
	kill "$2" 2>/dev/null || true
	timeout 100 tail --pid="$2" -f /dev/null || kill -9 "$2"
	find "$1" -xdev -depth -type d -exec umount -q {} + 2>/dev/null || true
	grep -o " $1/[^ ]*" /proc/self/mounts | sort -r | xargs -r umount -l 2>/dev/null || true
	find /sys/fs/cgroup -mindepth 2 -maxdepth 2 -type d -name docker -exec rmdir {} + 2>/dev/null || true
}

oci()
{
	"$REPO/build/strata-oci" --root "$OCI_ROOT" --strata-root "$LAB/root" "$@"
}

# config FILTER COMMAND...: spec's configuration for a virtual machine, without a terminal, changed by a jq filter
config()
{
	local filter=$1 args
	shift
	args=$(jq -nc '$ARGS.positional' --args -- "$@")
	rm -f "$B/config.json"
	oci spec -b "$B"
	jq --arg root "$LAB/rootfs" --argjson args "$args" ".annotations[\"io.strata.virt\"] = \"hosted\" | .root.path = \$root |
		.root.readonly = false | .process.terminal = false | .process.args = \$args | $filter" "$B/config.json" >"$B/new"
	mv "$B/new" "$B/config.json"
}

status_of()
{
	oci state "$1" | jq -r .status
}

is()
{
	[ "$(status_of "$1")" = "$2" ]
}

@test "run: a kernel of its own; output, input, exit status, user, limits, binds, a copied root, and nothing left" {
	mkdir -p "$LAB/given" "$LAB/written"
	chmod 777 "$LAB/written"
	echo "from the host" >"$LAB/given/file"
	config ".process.user = {uid: 7, gid: 8, additionalGids: [9]} | .process.env += [\"A=b c\"] | .hostname = \"guest\" |
		.linux.resources = {memory: {limit: 201326592}, cpu: {quota: 150000, period: 100000}} |
		.linux.sysctl = {\"net.ipv4.ip_forward\": \"1\"} |
		.annotations[\"io.strata.root\"] = \"copy\" |
		.mounts += [{destination: \"/given\", source: \"$LAB/given\", options: [\"rbind\", \"ro\"]},
			{destination: \"/written\", source: \"$LAB/written\", options: [\"rbind\", \"rw\"]},
			{destination: \"/scratch\", type: \"tmpfs\", options: [\"size=1m\", \"mode=1777\"]}]" \
		sh -c 'cat; id -u; id -g; echo "$A"; hostname; nproc; cat /given/file /proc/sys/net/ipv4/ip_forward
			echo 1 >/scratch/x && cat /scratch/x; uname -r; touch /tmp/copied /written/by7; echo err >&2; exit 7'
	run --separate-stderr oci run -b "$B" vmbox <<<"from stdin"
	[ "$status" -eq 7 ]
	[ "${lines[*]:0:9}" = "from stdin 7 8 b c guest 2 from the host 1 1" ]
	[ "${lines[9]}" != "$(uname -r)" ]
	[ "$stderr" = err ]
	[ "$(stat -c '%u %g' "$LAB/written/by7")" = "7 8" ]
	[ ! -e "$LAB/rootfs/tmp/copied" ]
	[ -z "$(oci list -q)" ]
	[ -z "$(find "$LAB/root/oci" -type f)" ]
	config . nosuch
	run oci run -b "$B" vmbox
	[ "$status" -eq 1 ]
	[[ $output == *"executable file not found in \$PATH"* ]]
}

@test "create, start, state, exec, ps, pause, update, kill, delete; the pid is the machine's" {
	config . sh -c 'trap "echo term; exit 5" TERM; trap "echo usr1" USR1; echo ready; while :; do sleep 0.1; done'
	oci create -b "$B" --pid-file "$LAB/pid" vmbox >"$LAB/out" 2>&1 </dev/null
	is vmbox created
	oci start vmbox
	is vmbox running
	[ "$(oci state vmbox | jq .pid)" = "$(cat "$LAB/pid")" ]
	[[ $(readlink "/proc/$(cat "$LAB/pid")/exe") == *strata-vmm ]]
	run oci exec vmbox sh -c 'echo in exec; [ "$(cat)" = piped ] && exit 4' <<<piped
	[ "$status" -eq 4 ]
	[ "$output" = "in exec" ]
	run oci exec vmbox nosuch
	[ "$status" -eq 255 ]
	oci exec -d --pid-file "$LAB/xpid" vmbox sh -c 'trap "exit 0" TERM; echo >/begun; while :; do sleep 0.1; done' >/dev/null 2>&1 </dev/null
	oci ps -f json vmbox | jq -e "index($(cat "$LAB/xpid")) != null"
	wait_until oci exec vmbox test -e /begun
	kill "$(cat "$LAB/xpid")"
	gone() { [ "$(oci exec vmbox sh -c 'ps | grep -c begu[n]')" = 0 ]; }
	wait_until gone
	oci pause vmbox
	is vmbox paused
	oci resume vmbox
	run oci update -r - vmbox <<<'{"memory": {"limit": 100000000}}'
	[[ $output == "error: another limit of memory is not for a virtual machine"* ]]
	oci update -r - vmbox <<<'{"cpu": {"shares": 512}}'
	oci kill vmbox USR1
	wait_until grep -q usr1 "$LAB/out"
	oci kill vmbox TERM
	wait_until is vmbox stopped
	[ "$(cat "$LAB/out")" = "$(printf 'ready\nusr1\nterm')" ]
	oci delete vmbox
	[ -z "$(oci list -q)" ]
}

@test "a network namespace of somebody else's: its address is the machine's, and the next one's there; never two at once" {
	ip netns add vmbox
	ip -n vmbox link add eth0 address 02:00:00:00:07:07 type veth peer name peer
	ip -n vmbox addr add 10.9.8.7/24 dev eth0
	ip -n vmbox link set eth0 up
	ip -n vmbox link set peer up
	ip -n vmbox route add default via 10.9.8.1
	ip netns add vmpeer
	ip -n vmbox link set peer netns vmpeer
	ip -n vmpeer addr add 10.9.8.1/24 dev peer
	ip -n vmpeer link set peer up
	config '.process.capabilities.bounding += ["CAP_NET_RAW"] | (.linux.namespaces[] | select(.type == "network")).path = "/run/netns/vmbox"' \
		sh -c 'cat /sys/class/net/eth0/address; ip -4 -o addr show eth0 | grep -o "10.9.8.7/24"; ping -c 1 -q -W 50 10.9.8.1 >/dev/null && echo reached; [ -z "$STAY" ] || sleep 100'
	said=$(printf '02:00:00:00:07:07\n10.9.8.7/24\nreached')
	[ "$(oci run -b "$B" vmbox </dev/null)" = "$said" ]
	[ "$(oci run -b "$B" vmbox </dev/null)" = "$said" ]
	jq '.process.env += ["STAY=1"]' "$B/config.json" >"$B/new"
	mv "$B/new" "$B/config.json"
	oci run -d -b "$B" vmbox >/dev/null 2>&1 </dev/null
	run oci run -b "$B" second </dev/null
	[[ $output == "error: the network namespace's interface is another virtual machine's" ]]
	oci delete --force vmbox
	ip netns del vmbox
	ip netns del vmpeer
}

@test "a terminal is a terminal, of the size of ours" {
	config '.process.terminal = true' sh -c 'tty; stty size; read -r line; echo "said $line"; exit 9'
	run script -qec "stty rows 33 cols 101; '$REPO/build/strata-oci' --root '$OCI_ROOT' --strata-root '$LAB/root' run -b '$B' vmbox" \
		/dev/null <<<hello
	[ "$status" -eq 9 ]
	output=${output//$'\r'/}
	[[ $output == *"/dev/pts/0"* ]]
	[[ $output == *"33 101"* ]]
	[[ $output == *"said hello"* ]]
}

@test "killed at once, and force-deleted: nothing is left" {
	config . sleep 1000
	oci create -b "$B" vmbox >/dev/null 2>&1 </dev/null
	oci delete --force vmbox
	oci create -b "$B" vmbox >/dev/null 2>&1 </dev/null
	oci start vmbox
	oci kill vmbox KILL
	wait_until is vmbox stopped
	oci delete vmbox
	[ -z "$(oci list -q)" ]
	[ -z "$(find "$LAB/root/oci" -type f)" ]
}

# What podman makes of the network, bridge and rules, is in a namespace that goes.
pod()
{
	nsenter --net=/run/netns/vmpod podman --root "$STORE/root" --runroot "$STORE/run" --tmpdir "$STORE/tmp" --cgroup-manager cgroupfs --events-backend file \
		--runtime "$REPO/build/strata-oci" --runtime-flag "strata-root=$LAB/root" "$@"
}

# Its own default limits are above what a host without CAP_SYS_RESOURCE can give.
vm_pod()
{
	local verb=$1
	shift
	timeout 300 nsenter --net=/run/netns/vmpod podman --root "$STORE/root" --runroot "$STORE/run" --tmpdir "$STORE/tmp" --cgroup-manager cgroupfs \
		--events-backend file --runtime "$REPO/build/strata-oci" --runtime-flag "strata-root=$LAB/root" \
		"$verb" --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 --annotation io.strata.virt=hosted "$@"
}

@test "podman: run, network, logs, exec, pause, stop, kill, exit status" {
	command -v podman >/dev/null || skip "podman is not installed (tools/setup test)"
	ip netns add vmpod
	ip -n vmpod link set lo up
	tar -C "$LAB/rootfs" -c . | pod import - demo >/dev/null
	run vm_pod run --rm --network none demo sh -c 'uname -r; exit 5'
	[ "$status" -eq 5 ]
	[ "$output" != "$(uname -r)" ]
	run -127 vm_pod run --rm --network none demo nosuch
	mkdir "$LAB/shared"
	vm_pod run -d --name vm -v "$LAB/shared:/shared" demo sh -c 'trap "echo bye; exit 3" TERM
		mkdir /www; echo served >/www/index.html; httpd -h /www -p 80; echo ready; while :; do sleep 0.1; done'
	said() { pod logs vm | grep -q ready; }
	wait_until said
	ip=$(pod inspect vm | jq -r '.[0].NetworkSettings.Networks.podman.IPAddress')
	served() { [ "$(nsenter --net=/run/netns/vmpod busybox wget -q -O - "http://$ip/")" = served ]; }
	wait_until served
	[ "$(pod exec vm sh -c 'ip -4 -o addr show eth0 | grep -o "inet [0-9.]*"')" = "inet $ip" ]
	run pod exec vm sh -c 'exit 4'
	[ "$status" -eq 4 ]
	pod exec vm sh -c 'echo to the host >/shared/out'
	[ "$(cat "$LAB/shared/out")" = "to the host" ]
	pod diff vm | grep -qx 'A /www/index.html'
	pod pause vm >/dev/null
	pod unpause vm >/dev/null
	pod stop vm >/dev/null
	[ "$(pod inspect vm | jq '.[0].State.ExitCode')" = 3 ]
	[[ $(pod logs vm) == *bye ]]
	pod cp vm:/www/index.html "$LAB/shared/copied"
	[ "$(cat "$LAB/shared/copied")" = served ]
	pod rm vm >/dev/null
	vm_pod run -d --name vm --network none demo sleep 1000 >/dev/null
	pod kill vm >/dev/null
	pod wait vm >/dev/null
	[ "$(pod inspect vm | jq '.[0].State.ExitCode')" = 137 ]
	pod rm vm >/dev/null
}

# No bridge, no rules: what dockerd would make of the host's network goes with it in no namespace of the test's own.
@test "docker: run, input, exec with a terminal, stop; by the runtime's name" {
	local tool
	for tool in dockerd docker; do
		command -v $tool >/dev/null || skip "docker is not installed (tools/setup test)"
	done
	local D=$LAB/docker id
	mkdir "$D"
	ln -s "$REPO/build/strata-oci" "$LAB/strata-oci-hosted"
	echo "{\"runtimes\": {\"vm\": {\"path\": \"$LAB/strata-oci-hosted\", \"runtimeArgs\": [\"--strata-root\", \"$LAB/root\"]}}}" >"$D/config"
	export DOCKER_HOST=unix://$D/sock
	dockerd --config-file "$D/config" --data-root "$D/data" --exec-root "$D/exec" -p "$D/pid" -H "$DOCKER_HOST" --iptables=false \
		--ip-masq=false --ip-forward=false --bridge=none >"$D/log" 2>&1 3>&- &
	echo $! >"$LAB/dockerd"
	wait_until docker version
	tar -C "$LAB/rootfs" -c . | docker import - demo >/dev/null
	run docker run --rm --runtime vm --network none demo sh -c 'uname -r; exit 6'
	[ "$status" -eq 6 ]
	[ "$output" != "$(uname -r)" ]
	id=$(docker run -d --runtime vm --network none demo sh -c 'trap "exit 3" TERM; while :; do sleep 0.1; done')
	[ "$(echo piped | docker exec -i "$id" cat)" = piped ]
	run script -qec "docker exec -it $id tty" /dev/null
	[[ $output == *"/dev/pts/"* ]]
	docker stop "$id" >/dev/null
	[ "$(docker inspect "$id" | jq '.[0].State.ExitCode')" = 3 ]
	docker rm "$id" >/dev/null
}
