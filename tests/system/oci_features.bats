#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata-oci: the sections of a config.json that few containers have, and verbs that few managers call.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
bats_require_minimum_version 1.5.0
load helper
load oci_helper

setup()
{
	oci_setup
	OCI=(timeout 100 "${OCI[@]}")
}

teardown()
{
	local id
	[ -z "${LISTENER:-}" ] || kill "$LISTENER" 2>/dev/null || true
	oci_teardown
	for id in "$SCRATCH"/cgroup-*; do
		! mountpoint -q "$id" || umount "$id"
	done
}

in_bundle()
{
	config "$@"
	oci run -b "$B" feat
}

# started FILTER: a container that sleeps, until it is deleted
started()
{
	config "$1" sleep 1000
	oci create -b "$B" feat </dev/null >"$SCRATCH/out" 2>&1 || { cat "$SCRATCH/out"; false; }
	oci start feat
	PID=$(oci state feat | jq .pid)
}

USERNS='.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
	| .linux.gidMappings = .linux.uidMappings'

@test "scheduler, ioPriority and personality are the program's; exec has its own" {
	started '.process.scheduler = {policy: "SCHED_BATCH", nice: 7} | .linux.personality = {domain: "LINUX32"}
		| .process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 6}'
	chrt -p "$PID" | grep -q SCHED_BATCH
	[ "$(awk '{ print $19 }' "/proc/$PID/stat")" = 7 ]
	[ "$(ionice -p "$PID")" = "best-effort: prio 6" ]
	[ "$(oci exec feat uname -m)" = i686 ]
	jq -n '{args: ["cat", "/proc/self/stat"], cwd: "/", scheduler: {policy: "SCHED_OTHER", nice: 3}}' >"$SCRATCH/p.json"
	[ "$(oci exec --process "$SCRATCH/p.json" feat | awk '{ print $19 }')" = 3 ]
	config '.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 5, deadline: 1, period: 1}' true
	run oci run -b "$B" feat2
	one_line_error "process.scheduler: "
}

@test "execCPUAffinity: an exec runs on the CPUs it names" {
	started .
	for cpu in 0 $(($(nproc) - 1)); do
		jq -n --arg cpu "$cpu" '{args: ["grep", "Cpus_allowed_list", "/proc/self/status"], cwd: "/",
			execCPUAffinity: {initial: "0", final: $cpu}}' >"$SCRATCH/p.json"
		[ "$(oci exec --process "$SCRATCH/p.json" feat | tr -dc 0-9)" = "$cpu" ]
	done
}

@test "timeOffsets to the nanosecond" {
	run in_bundle '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 100, nanosecs: 5}}' \
		cat /proc/self/timens_offsets
	[[ $output == *"boottime"*"100"*"5"* ]]
}

@test "labels that this kernel cannot give are refused in one line" {
	[ ! -e /sys/fs/selinux/enforce ] || skip "SELinux is there"
	config '.process.selinuxLabel = "system_u:system_r:container_t:s0"' true
	run oci run -b "$B" feat
	one_line_error "process.selinuxLabel system_u:.*: this kernel does not run SELinux"
	[ ! -e /sys/module/apparmor ] || skip "AppArmor is there"
	config '.process.apparmorProfile = "docker-default"' true
	run oci run -b "$B" feat
	one_line_error "process.apparmorProfile docker-default: this kernel does not run AppArmor"
	[ "$(in_bundle '.process.apparmorProfile = "unconfined"' echo yes)" = yes ]
}

@test "a mount's label is left out where the kernel has no SELinux, and that is said" {
	[ ! -e /sys/fs/selinux/enforce ] || skip "SELinux is there"
	run -0 in_bundle '.linux.mountLabel = "system_u:object_r:container_file_t:s0"' grep -c " /dev/shm " /proc/self/mountinfo
	[ "${#lines[@]}" = 2 ]
	[[ $output == *"warning: linux.mountLabel system_u:object_r:container_file_t:s0 is left out: this kernel does not run SELinux"* ]]
	[[ $output == *1* ]]
}

@test "mapped ids: of a bind mount by the container's, and of a new file system" {
	mkdir "$SCRATCH/owned"
	touch "$SCRATCH/owned/file"
	bind="{destination: \"/mnt\", type: \"bind\", source: \"$SCRATCH/owned\", options: [\"rbind\", \"idmap\"]}"
	[ "$(in_bundle "$USERNS | .mounts += [$bind]" stat -c %u /mnt/file)" = 0 ]
	tmpfs='{destination: "/mnt", type: "tmpfs", source: "tmpfs", uidMappings: [{containerID: 0, hostID: 5, size: 10}],
		gidMappings: [{containerID: 0, hostID: 5, size: 10}]}'
	[ "$(in_bundle ".mounts += [$tmpfs]" sh -c 'touch /mnt/x 2>/dev/null || stat -c %u /mnt')" = 5 ]
	config ".mounts += [$bind]" true
	run oci run -b "$B" feat
	one_line_error "neither it nor linux has uidMappings"
}

# cgroup_v1 CONTROLLER: a hierarchy that this host may not have mounted; where its groups are is in V1
cgroup_v1()
{
	V1=$SCRATCH/cgroup-$1
	mkdir -p "$V1"
	mount -t cgroup -o "$1" none "$V1" 2>/dev/null || skip "no cgroup v1 of $1 can be mounted here"
}

@test "ids of a file system that cannot map them: refused by that reason" {
	local ids='uidMappings: [{containerID: 0, hostID: 1000, size: 10}], gidMappings: [{containerID: 0, hostID: 1000, size: 10}]'
	config '.mounts += [{destination: "/mnt", type: "bind", source: "/proc/sys", options: ["bind", "idmap"], '"$ids"'}]' true
	run oci run -b "$B" feat
	one_line_error "map the ids of /proc/sys: its file system,.* cannot"
	config '.mounts += [{destination: "/mnt", type: "sysfs", source: "s", '"$ids"'}]' true
	run oci run -b "$B" feat
	one_line_error "map the ids of sysfs: its file system,.* cannot"
}

# propagates ROOTFS MOUNT FILTER: "in" and "out": what the host mounts later is seen inside, and the other way round
propagates()
{
	local seen=
	started ".linux.rootfsPropagation = \"$1\" | .mounts += [{destination: \"/mnt\", type: \"bind\", source: \"$SCRATCH/tied\", options: [\"rbind\", \"$2\"]}]
		| .process.capabilities |= map_values(. + [\"CAP_SYS_ADMIN\"]) | $3"
	mount -t tmpfs outer "$SCRATCH/tied/out"
	! oci exec feat grep -q ' /mnt/out ' /proc/self/mountinfo || seen=in
	oci exec feat mount -t tmpfs inner /mnt/in
	! grep -q "$SCRATCH/tied/in " /proc/self/mountinfo || seen=$seen,out
	umount "$SCRATCH/tied/out"
	umount "$SCRATCH/tied/in" 2>/dev/null || true
	oci delete --force feat
	echo "$seen"
}

@test "a bind is tied to the host's mounts as it and rootfsPropagation say, and never both ways in a user namespace" {
	mkdir -p "$SCRATCH/tied"
	mount -t tmpfs tied "$SCRATCH/tied"
	mount --make-shared "$SCRATCH/tied"
	mkdir "$SCRATCH/tied/in" "$SCRATCH/tied/out"
	[ "$(propagates rslave rslave .)" = in ]
	[ "$(propagates shared rslave .)" = in ]
	[ "$(propagates slave rshared .)" = in ]
	[ "$(propagates rshared rshared .)" = in,out ]
	[ "$(propagates shared shared .)" = in,out ]
	[ -z "$(propagates private rshared .)" ]
	[ -z "$(propagates shared rprivate .)" ]
	[ "$(propagates shared rshared "$USERNS")" = in ]
	umount "$SCRATCH/tied"
}

@test "network class and priorities" {
	cgroup_v1 net_cls
	started '.linux.resources.network = {classID: 1048577}'
	[ "$(cat "$V1/strata-oci-feat/net_cls.classid")" = 1048577 ]
	grep -q "^$PID$" "$V1/strata-oci-feat/cgroup.procs"
	oci delete --force feat
	[ ! -d "$V1/strata-oci-feat" ]
	started .
	[ ! -d "$V1/strata-oci-feat" ]
	oci delete --force feat
	umount "$V1"
	config '.linux.resources.network = {classID: 1048577}' true
	run oci run -b "$B" feat
	one_line_error "network.classID: the cgroup controller 'net_cls' is not available here"
}

@test "huge pages" {
	cgroup_v1 hugetlb
	[ -e "$V1/hugetlb.2MB.limit_in_bytes" ] || skip "no huge pages of 2 MB"
	started '.linux.resources.hugepageLimits = [{pageSize: "2MB", limit: 4194304}]'
	[ "$(cat "$V1/strata-oci-feat/hugetlb.2MB.limit_in_bytes")" = 4194304 ]
	jq -n '{hugepageLimits: [{pageSize: "2MB", limit: 2097152}]}' >"$SCRATCH/r.json"
	oci update -r "$SCRATCH/r.json" feat
	[ "$(cat "$V1/strata-oci-feat/hugetlb.2MB.limit_in_bytes")" = 2097152 ]
	oci delete --force feat
	started .
	oci update -r "$SCRATCH/r.json" feat
	[ "$(cat "$V1/strata-oci-feat/hugetlb.2MB.limit_in_bytes")" = 2097152 ]
	grep -q "^$PID$" "$V1/strata-oci-feat/cgroup.procs"
	oci delete --force feat
	config '.linux.resources.hugepageLimits = [{pageSize: "3MB", limit: 4194304}]' true
	run oci run -b "$B" feat
	one_line_error "this kernel's cgroups have no hugetlb.3MB"
}

@test "checkBeforeUpdate: a limit below what is in use is refused" {
	started '.linux.resources.memory = {limit: 100000000}'
	oci exec feat sh -c 'head -c 20000000 /dev/zero >/dev/shm/x'
	jq -n '{memory: {limit: 5000000, checkBeforeUpdate: true}}' >"$SCRATCH/r.json"
	run oci update -r "$SCRATCH/r.json" feat
	one_line_error "memory.limit 5000000: .* bytes are in use"
	jq -n '{memory: {limit: 50000000, checkBeforeUpdate: true}}' >"$SCRATCH/r.json"
	oci update -r "$SCRATCH/r.json" feat
}

# listener SOCKET N: take N listeners of seccomp filters; answer the first call of each with EEXIST, write what came with it to SCRATCH/said
listener()
{
	python3 - "$1" "$2" "$SCRATCH/said" <<'P' 3>&- &
import array, fcntl, os, socket, struct, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + ".new"); s.listen(4)
os.rename(sys.argv[1] + ".new", sys.argv[1])                 # it is there once it listens
for _ in range(int(sys.argv[2])):
    c = s.accept()[0]
    text, ancillary, _, _ = c.recvmsg(65536, socket.CMSG_SPACE(4))
    fd = array.array("i", ancillary[0][2])[0]
    open(sys.argv[3], "ab").write(text + b"\n")
    call = bytearray(80)                                     # struct seccomp_notif
    fcntl.ioctl(fd, 0xc0502100, call)                        # SECCOMP_IOCTL_NOTIF_RECV
    answer = bytearray(struct.pack("<Qqii", struct.unpack_from("<Q", call)[0], 0, -17, 0))
    fcntl.ioctl(fd, 0xc0182101, answer)                      # SECCOMP_IOCTL_NOTIF_SEND
    os.close(fd)
P
	LISTENER=$!
	wait_until test -S "$1"
}

@test "seccomp: calls that somebody outside answers, at start, in run and in exec" {
	notify='.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", listenerPath: "'$SCRATCH'/seccomp", listenerMetadata: "of mine",
		flags: ["SECCOMP_FILTER_FLAG_LOG"], syscalls: [{names: ["mkdir"], action: "SCMP_ACT_NOTIFY"}]}'
	listener "$SCRATCH/seccomp" 4
	run in_bundle "$notify" mkdir /dev/shm/x
	[ "$status" -eq 1 ]
	[[ $output == *"File exists"* ]]
	jq -e '.metadata == "of mine" and .fds == ["seccompFd"] and .state.id == "feat" and .pid == .state.pid' "$SCRATCH/said"
	# Without no_new_privs the filter is there before the change of user.
	run in_bundle "$notify | .process.noNewPrivileges = false" mkdir /dev/shm/x
	[[ $output == *"File exists"* ]]
	config "$notify" sh -c 'mkdir /dev/shm/x; sleep 1000'
	oci create -b "$B" feat </dev/null >"$SCRATCH/out" 2>&1
	[ "$(wc -l <"$SCRATCH/said")" -eq 2 ]
	oci start feat
	grep_out() { grep -q "File exists" "$SCRATCH/out"; }
	wait_until grep_out
	run oci exec feat mkdir /dev/shm/y
	[[ $output == *"File exists"* ]]
	wait "$LISTENER"
	[ "$(tail -n 1 "$SCRATCH/said" | jq -r .state.status)" = running ]
	[ "$(tail -n 1 "$SCRATCH/said" | jq .pid)" != "$(oci state feat | jq .pid)" ]
	# Nobody answers any more.
	run oci exec feat true
	one_line_error "listenerPath .*/seccomp: nobody takes notifications"
	oci delete --force feat
	rm "$SCRATCH/seccomp"
	oci create -b "$B" feat </dev/null >"$SCRATCH/out" 2>&1
	run oci start feat
	one_line_error "listenerPath .*/seccomp: nobody takes notifications"
	stopped() { [ "$(oci state feat | jq -r .status)" = stopped ]; }
	wait_until stopped
	run in_bundle "$notify" true
	[ "$status" -ne 0 ]
}

@test "seccomp: a listener that takes it and dies is not waited for" {
	python3 - "$SCRATCH/seccomp" <<'P' 3>&- &
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + ".new"); s.listen(4)
os.rename(sys.argv[1] + ".new", sys.argv[1])
s.accept()[0].recvmsg(65536, socket.CMSG_SPACE(4))
P
	wait_until test -S "$SCRATCH/seccomp"
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", listenerPath: "'"$SCRATCH"'/seccomp",
		syscalls: [{names: ["execve"], action: "SCMP_ACT_NOTIFY"}]}' true
	status=0
	timeout -s KILL 200 "$OCI_BIN" --root "$OCI_ROOT" run -b "$B" feat </dev/null >"$SCRATCH/out" 2>&1 3>&- || status=$?
	rm "$SCRATCH/seccomp"
	[ "$status" -eq 1 ]
	grep -q "Function not implemented" "$SCRATCH/out"
}

@test "seccomp: what cannot be sent outside is refused" {
	run in_bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/x", syscalls: [{names: ["sendmsg"], action: "SCMP_ACT_NOTIFY"}]}' true
	one_line_error "SCMP_ACT_NOTIFY of sendmsg is not supported"
	run in_bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_NOTIFY", listenerPath: "/x"}' true
	one_line_error "defaultAction: SCMP_ACT_NOTIFY is not supported"
	run in_bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_NOTIFY"}]}' true
	one_line_error "listenerPath must be an absolute path"
	run in_bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_X"]}' true
	one_line_error "flags 'SECCOMP_FILTER_FLAG_X' is not known"
}

@test "events: what it uses, once and again, and each lack of memory, until it ends" {
	started '.linux.resources += {memory: {limit: 20000000}, pids: {limit: 33}}'
	[ "$(oci events --stats feat | jq -c '[.type, .id, .data.pids.limit, .data.pids.current, .data.memory.usage.limit]')" \
		= '["stats","feat",33,1,19996672]' ]
	oci events --stats feat | jq -e '.data.cpu.usage.total > 0 and .data.memory.usage.usage > 0 and (.data.memory.raw | length) > 5
		and (.data.cpuset.cpus | length) > 0 and (.data.blkio.ioServiceBytesRecursive | type) == "array"'
	oci events --interval 50ms feat >"$SCRATCH/events" &
	follower=$!
	twice() { [ "$(grep -c '"stats"' "$SCRATCH/events")" -ge 2 ]; }
	wait_until twice
	run oci exec feat sh -c 'tail -c 40000000 /dev/zero'
	[ "$status" -ne 0 ]
	lacked() { grep -q '"type":"oom","id":"feat"' "$SCRATCH/events"; }
	wait_until lacked
	oci kill feat KILL
	wait "$follower"
	run oci events --stats feat
	one_line_error "is not running"
	run oci events --interval 0s feat
	one_line_error "must be more than nothing"
	run oci events nosuch
	one_line_error "does not exist"
}

@test "libstrata-oci: its example runs a bundle, and a program that pkg-config builds" {
	config '.mounts |= map(select(.destination != "/sys/fs/cgroup"))' sh -c 'echo first; exec sleep 1000'
	run timeout 100 "${STRATA_BIN%/*}/examples/oci_example" "$B" "$OCI_ROOT" "$OCI_BIN"
	[ "$status" -eq 0 ]
	[[ $output == *"exec: status 0"* ]]
	[[ $output == *'"status": "running"'* ]]
	[[ $output == *"one more"* ]]
	[ -z "$(oci list -q)" ]
	run timeout 100 "${STRATA_BIN%/*}/examples/oci_example" "$SCRATCH/nosuch" "$OCI_ROOT" "$OCI_BIN"
	[ "$status" -eq 1 ]
	[ "$(grep -c '^create: --bundle .*nosuch: No such file' <<<"$output")" -eq 1 ]
	command -v pkg-config >/dev/null || skip "needs pkg-config"
	export PKG_CONFIG_PATH=${STRATA_BIN%/*}/meson-uninstalled
	# shellcheck disable=SC2046 # words
	cc -Wall -Werror "$REPO/examples/oci.c" $(pkg-config --cflags --libs strata-oci) -o "$SCRATCH/example"
	LD_LIBRARY_PATH=${STRATA_BIN%/*}/src/oci timeout 100 "$SCRATCH/example" "$B" "$OCI_ROOT" "$OCI_BIN" | grep -q "one more"
	[ "$(nm -D --defined-only "${STRATA_BIN%/*}/src/oci/libstrata-oci.so" | grep -vc ' strata_oci_')" -eq 0 ]
}

@test "features: what it says is what there is" {
	oci features >"$SCRATCH/f.json"
	jq -e '.linux.seccomp.actions | index("SCMP_ACT_NOTIFY")' "$SCRATCH/f.json"
	jq -e '.linux.cgroup == {v1: true, v2: true, systemd: true, systemdUser: true, rdma: true}' "$SCRATCH/f.json"
	jq -e '.potentiallyUnsafeConfigAnnotations == ["io.strata.virt", "org.systemd.property."]' "$SCRATCH/f.json"
	jq -e '.linux.intelRdt.enabled == false and .linux.mountExtensions.idmap.enabled and .linux.apparmor.enabled' "$SCRATCH/f.json"
	# Each flag that it knows is taken; each namespace can be made.
	for flag in $(jq -r '.linux.seccomp.supportedFlags[]' "$SCRATCH/f.json"); do
		[ "$flag" != SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ] || continue
		[ "$(in_bundle ".linux.seccomp = {defaultAction: \"SCMP_ACT_ALLOW\", flags: [\"$flag\"]}" echo yes)" = yes ]
	done
	[ "$(in_bundle ".linux.namespaces = $(jq -c '[.linux.namespaces[] | {type: .}]' "$SCRATCH/f.json")
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings" echo yes)" = yes ]
}

@test "checkpoint and restore: refused in one line where there is no criu, or none that works" {
	started .
	mkdir -p "$SCRATCH/fake" "$SCRATCH/none"
	run env PATH="$SCRATCH/none" "$OCI_BIN" --root "$OCI_ROOT" checkpoint --image-path "$SCRATCH/images" feat
	one_line_error "the program criu: it is not installed"
	printf '#!/bin/sh\nexit 1\n' >"$SCRATCH/fake/criu"
	chmod +x "$SCRATCH/fake/criu"
	run env PATH="$SCRATCH/fake:$PATH" "$OCI_BIN" --root "$OCI_ROOT" checkpoint --image-path "$SCRATCH/images" feat
	one_line_error "criu does not work on this kernel"
	# One that fails later: its own word is the error, and the container goes on.
	printf '#!/bin/sh\n[ "$1" = check ] || echo "(00.1) Error (criu/x.c:1): no" >"$5/dump.log"\n[ "$1" = check ]\n' >"$SCRATCH/fake/criu"
	run env PATH="$SCRATCH/fake:$PATH" "$OCI_BIN" --root "$OCI_ROOT" checkpoint --image-path "$SCRATCH/images" feat
	one_line_error "criu failed with status 1: Error .criu/x.c:1.: no; see .*/images/dump.log"
	[ "$(oci state feat | jq -r .status)" = running ]
	run env PATH="$SCRATCH/fake:$PATH" "$OCI_BIN" --root "$OCI_ROOT" restore -b "$B" --image-path "$SCRATCH/images" other
	one_line_error "criu failed with status 1"
	[ "$(oci list -q)" = feat ]
	# What it is asked for where it comes in two.
	local PATH=$SCRATCH/fake:$PATH
	printf '#!/bin/sh\n[ "$1" = check ] || echo "$@" >>"%s"\n' "$SCRATCH/asked" >"$SCRATCH/fake/criu"
	oci checkpoint --pre-dump --auto-dedup --image-path "$SCRATCH/memory" feat
	grep -q '^pre-dump .*--images-dir .*/memory .*--track-mem --auto-dedup ' "$SCRATCH/asked"
	[ "$(oci list -q)" = feat ]
	for bad in /no/such no/such "$SCRATCH/memory"; do
		run oci checkpoint --parent-path "$bad" --image-path "$SCRATCH/images" feat
		one_line_error "--parent-path $bad: must be a directory, by its path"
	done
	oci checkpoint --leave-running --parent-path ../memory --image-path "$SCRATCH/images" feat
	grep -q '^dump .*--images-dir .*/images .*--track-mem --prev-images-dir ../memory .*--leave-running' "$SCRATCH/asked"
	oci delete --force feat
	config "$USERNS" sleep 1000
	oci create -b "$B" feat </dev/null >"$SCRATCH/out" 2>&1
	oci start feat
	run oci checkpoint feat
	one_line_error "user namespace is not supported by checkpoint"
}

@test "checkpoint and restore: what it had in memory goes on" {
	criu check >/dev/null 2>&1 || skip "no criu that works on this kernel: docs/oci.md has how to get one"
	cp -a "$DEMO_ROOTFS" "$B/rootfs"
	mkdir "$SCRATCH/bound"
	bind="{destination: \"/mnt\", type: \"bind\", source: \"$SCRATCH/bound\", options: [\"rbind\"]}"
	config ".root = {path: \"rootfs\"} | .mounts += [$bind] | .linux.resources += {pids: {limit: 44}}" \
		sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/mnt/count; sleep 0.02; done'
	oci create -b "$B" feat </dev/null >/dev/null 2>&1
	oci start feat
	counts() { [ "$(cat "$SCRATCH/bound/count" 2>/dev/null || echo 0)" -gt "$1" ]; }
	wait_until counts 10
	oci checkpoint --leave-running --image-path "$SCRATCH/first" feat
	[ "$(oci state feat | jq -r .status)" = running ]
	# Its memory first, while it runs; then what has changed since. Which is which takes CONFIG_MEM_SOFT_DIRTY.
	if criu check --feature mem_dirty_track >/dev/null 2>&1; then
		oci checkpoint --pre-dump --image-path "$SCRATCH/memory" feat
		[ "$(oci state feat | jq -r .status)" = running ]
		oci checkpoint --parent-path ../memory --image-path "$SCRATCH/images" feat
		[ -L "$SCRATCH/images/parent" ]
	else
		run oci checkpoint --pre-dump --image-path "$SCRATCH/memory" feat
		one_line_error "Tracking memory is not available"
		oci checkpoint --image-path "$SCRATCH/images" feat
	fi
	[ -z "$(oci list -q)" ]
	at=$(cat "$SCRATCH/bound/count")
	oci restore --detach -b "$B" --image-path "$SCRATCH/images" --pid-file "$SCRATCH/pid" feat </dev/null >/dev/null 2>&1
	[ "$(oci state feat | jq .pid)" = "$(cat "$SCRATCH/pid")" ]
	wait_until counts $((at + 5))
	[ "$(oci events --stats feat | jq .data.pids.limit)" = 44 ]
	[ "$(oci exec feat id -u)" = 0 ]
	oci pause feat
	oci resume feat
	oci delete --force feat
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "--cgroup-manager disabled: no cgroup, and no limit" {
	config . sleep 1000
	before=$(find /sys/fs/cgroup -maxdepth 2 -name 'strata-oci-feat' | wc -l)
	oci --cgroup-manager disabled create -b "$B" feat </dev/null >"$SCRATCH/out" 2>&1 || { cat "$SCRATCH/out"; false; }
	oci start feat
	[ "$(find /sys/fs/cgroup -maxdepth 2 -name 'strata-oci-feat' | wc -l)" -eq "$before" ]
	[ "$(oci --cgroup-manager disabled exec feat echo in)" = in ]
	[ "$(oci ps -f json feat | jq length)" -eq 1 ]
	run oci pause feat
	one_line_error "it has no cgroup"
	PID=$(oci state feat | jq .pid)
	oci kill --all feat KILL
	gone() { [ ! -d "/proc/$PID" ] || grep -q '^State:.Z' "/proc/$PID/status"; }
	wait_until gone
	oci delete feat
	config '.linux.resources.memory = {limit: 50000000}' true
	run oci --cgroup-manager disabled run -b "$B" feat
	one_line_error "memory"
	[ "$(config '.linux.cgroupsPath = "a.slice:b:c"' echo any && oci --cgroup-manager disabled run -b "$B" feat)" = any ]
	run oci --cgroup-manager nosuch list
	[ "$status" -eq 1 ]
}

@test "memory policy: of the program and of what is executed later; words that are none" {
	[ -e /proc/self/numa_maps ] || skip "this kernel has one memory node"
	bind='.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"]}'
	[[ $(in_bundle "$bind" head -n 1 /proc/self/numa_maps) == *"bind=static:0 "* ]]
	[[ $(in_bundle '.linux.memoryPolicy = {mode: "MPOL_LOCAL"}' head -n 1 /proc/self/numa_maps) == *" local "* ]]
	started "$bind"
	[[ $(oci exec feat head -n 1 /proc/self/numa_maps) == *"bind=static:0 "* ]]
	oci delete --force feat
	while IFS='#' read -r policy words; do
		run in_bundle ".linux.memoryPolicy = $policy" true
		one_line_error "$words"
	done <<-'END'
		{}#memoryPolicy.mode is missing
		{mode: "MPOL_X"}#memoryPolicy.mode 'MPOL_X' is not known
		{mode: "MPOL_BIND", flags: ["X"]}#memoryPolicy.flags 'X' is not known
		{mode: "MPOL_BIND", nodes: "a"}#memoryPolicy.nodes 'a' is no list
		{mode: "MPOL_BIND", nodes: "2000"}#memoryPolicy.nodes '2000' is no list
		{mode: "MPOL_BIND"}#memoryPolicy: Invalid argument
	END
	oci features | jq -e '.linux.memoryPolicy | (.modes | index("MPOL_BIND")) and (.flags | length == 3)'
}

@test "exec --cgroup: below the container's own, and nowhere else" {
	started '.linux.cgroupsPath = "/strata-exec"'
	mapfile -t groups < <(find /sys/fs/cgroup -maxdepth 3 -type d -name strata-exec)
	mkdir "${groups[0]}/foo"
	top=$(oci exec feat grep -c '/foo$' /proc/self/cgroup || true)
	[ "$top" = 0 ]
	oci exec --cgroup foo feat grep -q '/foo$' /proc/self/cgroup
	oci exec --cgroup /foo feat grep -q '/foo$' /proc/self/cgroup
	for bad in .. ../x foo/.. ./foo/../.. nosuch cpu:nosuch nosuch:foo; do
		run oci exec --cgroup "$bad" feat true
		[ "$status" -eq 255 ]
		[[ $output == *"--cgroup $bad: "* ]]
	done
	oci delete --force feat
	run find /sys/fs/cgroup -maxdepth 3 -type d -name strata-exec
	[ -z "$output" ]
}

@test "--pidfd-socket: the pidfd of the first process, and of one executed" {
	config . sleep 1000
	cat >"$SCRATCH/take.py" <<-'END'
		import array, os, socket, sys
		server = socket.socket(socket.AF_UNIX)
		server.bind(sys.argv[1] + ".new")
		server.listen(4)
		os.rename(sys.argv[1] + ".new", sys.argv[1])  # it is there once it listens
		for _ in range(2):
		    peer, _ = server.accept()
		    _, fds, _, _ = socket.recv_fds(peer, 64, 1)
		    line = [l for l in open(f"/proc/self/fdinfo/{fds[0]}") if l.startswith("Pid:")][0]
		    print(line.split()[1], flush=True)
	END
	python3 "$SCRATCH/take.py" "$SCRATCH/pidfd" >"$SCRATCH/pids" 3>&- &
	LISTENER=$!
	wait_until test -S "$SCRATCH/pidfd"
	oci create -b "$B" --pidfd-socket "$SCRATCH/pidfd" feat </dev/null >"$SCRATCH/out" 2>&1 || { cat "$SCRATCH/out"; false; }
	oci start feat
	oci exec -d --pid-file "$SCRATCH/second" --pidfd-socket "$SCRATCH/pidfd" feat sleep 1000
	wait "$LISTENER"
	[ "$(sed -n 1p "$SCRATCH/pids")" = "$(oci state feat | jq .pid)" ]
	[ "$(sed -n 2p "$SCRATCH/pids")" = "$(cat "$SCRATCH/second")" ]
	run oci exec --pidfd-socket /no/such feat true
	[ "$status" -eq 255 ]
	[[ $output == *"--pidfd-socket /no/such"* ]]
}
