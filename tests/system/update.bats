#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata update: new limits for what runs, kept by restarts, and for what does not.
load helper

# cg ID FILE...: the first of these files that a hierarchy has for the instance
cg()
{
	local id name f
	id=$(strata inspect "$1" | jq -r '.[0].id')
	shift
	for name in "$@"; do
		for f in /sys/fs/cgroup/{,*/}"strata-$id/$name"; do
			[ ! -f "$f" ] || { cat "$f"; return; }
		done
	done
	echo none
}

limits()
{
	strata inspect "$1" | jq -c '.[0].limits // .[0].spec.limits'
}

@test "limits change while it runs, and a hierarchy it had no need of is joined" {
	strata run -d --network none --name one demo sleep 1000
	strata update --cpus 0.5 --cpu-shares 512 -m 64m --pids-limit 50 one
	[[ $(cg one cpu.cfs_quota_us cpu.max) == "50000"* ]]
	[ "$(cg one memory.limit_in_bytes memory.max)" = 67108864 ]
	[ "$(cg one pids.max)" = 50 ]
	limits one | jq -e '.cpu_quota_us == 50000 and .memory_bytes == 67108864 and .pids == 50'
	# its first process is held by them, not only the next
	grep -q ':cpu[,a-z]*:.*/strata-' "/proc/$(strata inspect one | jq '.[0].state.pid')/cgroup" ||
		! grep -q 'cgroup rw,cpu' /proc/self/mountinfo
	strata update --cpus 0 -m -1 --pids-limit -1 one
	[[ $(cg one cpu.cfs_quota_us cpu.max) == "-1" || $(cg one cpu.max) == max* ]]
	[ "$(cg one pids.max)" = max ]
	limits one | jq -e '.memory_bytes == null and .pids == null and .cpu_shares == 512'
	strata rm -f one
}

@test "restarts, its own and ours, keep them" {
	strata run -d --network none --restart always --name again -m 32m demo sh -c 'sleep 1000'
	strata update -m 48m again
	strata exec again kill -9 1 || true
	kill -9 "$(strata inspect again | jq '.[0].state.pid')"
	wait_until sh -c 'strata inspect again | jq -e ".[0].state.restarts >= 1 and .[0].state.status == \"running\""'
	[ "$(cg again memory.limit_in_bytes memory.max)" = 50331648 ]
	strata restart -t 0 again
	[ "$(cg again memory.limit_in_bytes memory.max)" = 50331648 ]
	strata rm -f again
}

@test "what is at rest is updated too" {
	strata create --network none --name rest demo sleep 1000
	strata update --pids-limit 33 rest
	strata start rest
	[ "$(cg rest pids.max)" = 33 ]
	strata rm -f rest
}

@test "block I/O: a disk's rate is set and lifted" {
	local disk
	disk=$(lsblk -dnpo NAME,TYPE 2>/dev/null | awk '$2 == "disk" { print $1; exit }')
	[ -b "$disk" ] || skip "no disk here"
	strata run -d --network none --name io --device-read-bps "$disk:10m" demo sleep 1000
	[[ $(cg io blkio.throttle.read_bps_device io.max) == *10485760* ]]
	strata update --device-write-iops "$disk:100" --device-read-bps "$disk:0" io
	[[ $(cg io blkio.throttle.read_bps_device io.max) != *10485760* ]]
	limits io | jq -e '.io == [{"device": "'"$disk"'", "write_iops": 100}]'
	strata rm -f io
}

@test "a limit that cannot be had is one line, and changes nothing" {
	strata run -d --network none --name no -m 64m demo sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=24; exec sleep 1000'
	wait_until strata exec no test -f /dev/shm/x
	wait_until sh -c '[ "$(strata exec no stat -c %s /dev/shm/x)" -ge 25165824 ]'
	run strata update -m 8m no
	one_line_error 'cannot be reclaimed|resource busy'
	[ "$(cg no memory.limit_in_bytes memory.max)" = 67108864 ]
	local flags
	for flags in "--cpus 100000" "--memory 1k" "--cpuset-cpus 4000" "--device-read-bps /dev/null:1m" "--device-read-bps x" "--blkio-weight 0" ""; do
		# shellcheck disable=SC2086 # words
		run strata update $flags no
		one_line_error .
	done
	limits no | jq -e '. == {"memory_bytes": 67108864}'
	run strata update -m 64m nosuch
	one_line_error 'nosuch'
	strata rm -f no
}
