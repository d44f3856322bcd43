#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Limits: in the cgroup's files as seen inside, and enforced. Both cgroup versions.
load helper

in_demo() {
	timeout 100 strata run --rm --network none "$@"
}

# cg NAME...: the first of these files that the instance's cgroup has
CG='cg() { for f in "$@"; do for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
	[ -f $d/$f ] && { cat $d/$f; return; }; done; done; echo none; }; '

@test "-m is the cgroup's limit" {
	[ "$(in_demo -m 64m demo sh -c "$CG cg memory.max memory.limit_in_bytes")" = 67108864 ]
	[ "$(in_demo -m 64m --memory-reservation 32m demo sh -c "$CG cg memory.low memory.soft_limit_in_bytes")" = 33554432 ]
}

@test "who takes more than -m gives dies: 137, and inspect says why" {
	run timeout 200 strata run --name oom --network none -m 16m demo sh -c 'exec tail /dev/zero'
	[ "$status" -eq 137 ]
	strata inspect oom | jq -e '.[0].state | .oom_killed and .exit_code == 137'
	strata rm oom
}

@test "a killed child is told as out of memory too" {
	run timeout 200 strata run --name oom --network none -m 16m demo sh -c 'tail /dev/zero; exit 3'
	[ "$status" -eq 3 ]
	strata inspect oom | jq -e '.[0].state | .oom_killed and .exit_code == 3'
	strata rm oom
	strata run --name well --network none -m 16m demo true
	strata inspect well | jq -e '.[0].state.oom_killed == false'
	strata rm well
}

@test "--cpus is a quota, --cpu-shares a weight, --cpuset-cpus a set" {
	run in_demo --cpus 0.5 demo sh -c "$CG cg cpu.max cpu.cfs_quota_us"
	[[ $output == "50000 100000" || $output == 50000 ]]
	run in_demo --cpu-shares 512 demo sh -c "$CG cg cpu.weight cpu.shares"
	[[ $output == 512 || $output -lt 100 ]]
	[ "$(in_demo --cpuset-cpus 0 demo sh -c 'grep Cpus_allowed_list /proc/self/status | cut -f 2')" = 0 ]
}

@test "--pids-limit stops a fork bomb" {
	[ "$(in_demo --pids-limit 33 demo sh -c "$CG cg pids.max")" = 33 ]
	run in_demo --pids-limit 5 demo sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; echo all'
	[ "$status" -ne 0 ]
	[[ $output == *"can't fork"* ]]
	[[ $output != *all* ]]
}

@test "a limit that this host cannot give is one line" {
	local flags
	for flags in "--cpus 100000" "--cpuset-cpus 4000" "--memory 1k" "--pids-limit 99999999"; do
		# shellcheck disable=SC2086 # two words
		run in_demo $flags demo true
		[ "$status" -eq 125 ] || { echo "$flags: $status $output"; false; }
		[ "${#lines[@]}" -eq 1 ]
	done
	[ -z "$(strata ps -aq)" ]
}

@test "the cgroup is gone with the instance" {
	strata run -d --name a -m 64m --network none demo sleep 1000 >/dev/null
	local id
	id=$(strata inspect a | jq -r '.[0].id')
	[ -n "$(find /sys/fs/cgroup -maxdepth 4 -type d -name "*$id*")" ]
	strata rm -f a
	[ -z "$(find /sys/fs/cgroup -maxdepth 4 -type d -name "*$id*")" ]
}
