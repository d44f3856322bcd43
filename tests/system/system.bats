#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# System containers (--system): an image's own init as process 1: busybox's, and one that does as sysvinit's and systemd's do.
# tests/lab/system.bats boots Debian.
load helper

setup_file()
{
	strata_setup_file || return
	local root=$SCRATCH/tree
	cp -a "$DEMO_ROOTFS" "$root"
	cat >"$root/etc/inittab" <<'END'
::sysinit:/bin/echo busybox boots
::once:/bin/sh -c 'echo ready; exec sleep 1000'
::shutdown:/bin/echo busybox shuts down
END
	strata image import "$root" busy
	# sysvinit's signal and systemd's, each by a script that says which it got; an old systemd has no libsystemd-shared-NNN.so.
	rm "$root/sbin/init" "$root/etc/inittab"
	cat >"$root/sbin/init" <<'END'
#!/bin/sh
trap 'echo got INT; exit 0' INT
trap 'echo got RTMIN+3; exit 0' 37
trap 'echo got TERM; exit 0' TERM
echo "script boots as $$"
while :; do sleep 1 & wait $!; done
END
	chmod 0755 "$root/sbin/init"
	printf 'ffffffffffffffffffffffffffffffff\n' >"$root/etc/machine-id"
	strata image import "$root" sysv
	mkdir -p "$root/lib/systemd"
	mv "$root/sbin/init" "$root/lib/systemd/systemd"
	ln -s /lib/systemd/systemd "$root/sbin/init"
	strata image import "$root" oldsystemd
	touch "$root/lib/systemd/libsystemd-shared-252.so"
	strata image import "$root" newsystemd
}

boot() # NAME IMAGE [FLAG...]
{
	local name=$1 image=$2
	shift 2
	timeout 100 strata run -d --system --network none --name "$name" "$@" "$image"
}

says() # NAME TEXT
{
	strata logs "$1" | grep -q "$2"
}

@test "busybox init boots, and stop is its own poweroff" {
	boot busy busy
	wait_until says busy ready
	[ "$(strata exec busy cat /proc/1/comm)" = init ]
	# Its inittab's getty would be there: the console by another name.
	strata exec busy sh -c 'echo by tty1 >/dev/tty1'
	wait_until says busy 'by tty1'
	timeout 100 strata stop busy
	says busy 'busybox shuts down'
	strata inspect busy | jq -e '.[0].state.exit_code == 0'
	strata rm busy
}

@test "reboot from inside boots it again, poweroff ends it" {
	boot again busy
	wait_until says again ready
	strata exec again sh -c 'echo kept >/root/file; echo gone >/run/file'
	strata exec again reboot || true # it may be killed by what it asks for
	wait_until sh -c 'strata inspect again | jq -e ".[0].state.restarts == 1 and .[0].state.status == \"running\""'
	wait_until sh -c '[ "$(strata logs again | grep -c ready)" = 2 ]'
	[ "$(strata exec again sh -c 'cat /root/file /run/file 2>/dev/null')" = kept ]
	strata exec again poweroff || true
	timeout 100 strata wait again
	strata inspect again | jq -e '.[0].state | .status == "exited" and .exit_code == 0'
	strata rm again
}

@test "each kind of init gets its own signal; what the user says wins" {
	local case
	for case in "sysv INT" "newsystemd RTMIN" "oldsystemd RTMIN" "sysv TERM --stop-signal TERM"; do
		# shellcheck disable=SC2086 # words
		set -- $case
		boot one "$1" "${@:3}"
		wait_until says one 'script boots as 1'
		timeout 100 strata stop one
		says one "got $2" || { echo "$case"; strata logs one; false; }
		strata rm one
	done
}

@test "it may divide the cgroup it is given, and sees no other" {
	boot new newsystemd
	strata exec new sh -c 'mkdir /sys/fs/cgroup/mine && rmdir /sys/fs/cgroup/mine'
	run strata exec new sh -c 'mkdir /mnt/m; for h in memory pids devices name=systemd; do
		mount -t cgroup -o $h x /mnt/m 2>/dev/null && { ls /mnt/m | grep -v "^[a-z_]*\(\.\|$\)"; umount /mnt/m; }; done
		mount -t cgroup2 x /mnt/m; ls -d /mnt/m/*/ /sys/fs/cgroup/*/'
	[[ $output != *strata-* ]]
	[ "$(strata exec new sh -c 'echo 1 >/sys/fs/cgroup/memory.max 2>&1; echo $?')" != 0 ] || ! strata exec new test -e /sys/fs/cgroup/memory.max
	strata rm -f new
	grep -q name=systemd /proc/self/mountinfo || skip "no hierarchy name=systemd"
	boot old oldsystemd
	strata exec old sh -c 'mkdir /sys/fs/cgroup/systemd/mine && ! mkdir /sys/fs/cgroup/memory/mine 2>/dev/null'
	strata rm -f old
}

@test "its machine id is its own and stays; run and tmp are new at each boot" {
	local id
	boot ida sysv
	boot idb sysv
	id=$(strata exec ida cat /etc/machine-id)
	[ ${#id} = 32 ]
	[ "$id" != "$(strata exec idb cat /etc/machine-id)" ]
	[ "$(strata exec ida sh -c 'tr "\0" "\n" </proc/1/environ | grep ^container=')" = container=strata ]
	strata exec ida sh -c 'touch /run/x /run/lock/x /tmp/x; test -c /dev/console'
	wait_until says ida 'script boots' # it hears its stop signal
	timeout 100 strata restart ida
	[ "$(strata exec ida cat /etc/machine-id)" = "$id" ]
	strata exec ida sh -c '! ls /run/x /run/lock/x /tmp/x 2>/dev/null'
	strata rm -f ida idb
}

@test "each boot has an id of its own" {
	local first
	boot boots sysv
	first=$(strata exec boots cat /proc/sys/kernel/random/boot_id)
	[ ${#first} = 36 ]
	[ "$first" != "$(cat /proc/sys/kernel/random/boot_id)" ]
	timeout 100 strata restart -t 0 boots
	[ "$(strata exec boots cat /proc/sys/kernel/random/boot_id)" != "$first" ]
	strata exec boots sh -c '! echo x >/proc/sys/kernel/random/boot_id' 2>/dev/null
	strata rm -f boots
}

@test "its root is nobody on the host" {
	boot nobody sysv
	local pid
	pid=$(strata inspect nobody | jq '.[0].state.pid')
	[ "$(stat -c %u "/proc/$pid")" -ge 65536 ]
	run strata exec nobody sh -c 'mknod /mnt/sda b 8 0; echo 1 >/proc/sysrq-trigger; echo x >/proc/sys/kernel/core_pattern; mount -o remount,rw /sys'
	[ "$status" -ne 0 ]
	strata exec nobody sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	strata rm -f nobody
}

@test "--root-size bounds what it writes, and stays with it" {
	strata run -d --network none --name quota --root-size 32m demo sleep 1000
	run strata exec quota dd if=/dev/zero of=/root/x bs=1M count=64
	[[ $status -ne 0 && $output == *"No space left"* ]]
	strata exec quota sh -c 'rm /root/x; echo kept >/root/y'
	strata restart -t 0 quota
	[ "$(strata exec quota cat /root/y)" = kept ]
	[ "$(strata exec quota df -m / | awk 'END { print $2 <= 32 }')" = 1 ]
	strata stop -t 0 quota
	strata cp quota:/root/y "$SCRATCH/y"
	[ "$(cat "$SCRATCH/y")" = kept ]
	strata rm quota
	run strata run --root-size 1m demo true
	one_line_error 'at least 16m'
}

@test "a disk's rates hold for a root of a size, which is behind a loop device" {
	local disk loop id
	disk=$(lsblk -npo PKNAME,NAME "$(findmnt -nvo SOURCE -T "$STRATA_ROOT")" 2>/dev/null | awk 'NR == 1 { print $1 ~ "^/" && NF == 2 ? $1 : $NF }')
	[ -b "$disk" ] || skip "no disk under $STRATA_ROOT"
	strata run -d --network none --name held --root-size 32m --device-write-bps "$disk:3m" demo sleep 1000
	id=$(strata inspect held | jq -r '.[0].id')
	loop=$(grep -l "$id" /sys/block/loop*/loop/backing_file | sed 's|/loop/.*||')
	rates() { cat /sys/fs/cgroup/{,*/}"strata-$id"/{blkio.throttle.write_bps_device,io.max} 2>/dev/null; }
	rates | grep -q "^$(cat "$loop/dev") .*3145728"
	strata update --device-write-bps "$disk:5m" --device-write-iops "$disk:700" held
	rates | grep -q "^$(cat "$loop/dev") .*5242880"
	strata update --device-write-bps "$disk:0" held
	[ -z "$(rates | grep 5242880)" ]
	strata rm -f held
}

@test "with lxcfs on the host /proc shows its limits" {
	command -v lxcfs >/dev/null && [ -c /dev/fuse ] || skip "no lxcfs here"
	if [ ! -f /var/lib/lxcfs/proc/meminfo ]; then
		mkdir -p /var/lib/lxcfs
		lxcfs -f -l -p "$SCRATCH/lxcfs.pid" /var/lib/lxcfs >"$SCRATCH/lxcfs.log" 2>&1 3>&- &
		wait_until test -f /var/lib/lxcfs/proc/meminfo
	fi
	boot views sysv -m 64m --cpuset-cpus 0 --cpus 1
	wait_until says views 'script boots'
	[ "$(strata exec views awk '/^MemTotal/ { print $2 }' /proc/meminfo)" = 65536 ]
	[ "$(strata exec views grep -c ^processor /proc/cpuinfo)" = 1 ]
	[ "$(strata exec views grep -c '^cpu[0-9]' /proc/stat)" = 1 ]
	[ "$(strata exec views cut -d. -f1 /proc/uptime)" -lt 100 ]
	strata exec views sh -c '! echo x >/proc/meminfo && cat /proc/loadavg /proc/swaps /proc/diskstats' >/dev/null
	strata rm -f views
	if [ -f "$SCRATCH/lxcfs.pid" ]; then
		kill "$(cat "$SCRATCH/lxcfs.pid")"
		wait_until sh -c '! test -f /var/lib/lxcfs/proc/meminfo'
	fi
}

@test "without lxcfs files of ours in /proc show its limits, and follow them" {
	[ ! -f /var/lib/lxcfs/proc/meminfo ] || skip "lxcfs serves them here"
	local id
	boot ours sysv -m 64m --cpuset-cpus 0 --cpus 1
	wait_until says ours 'script boots'
	[ "$(strata exec ours awk '/^MemTotal/ { print $2 }' /proc/meminfo)" = 65536 ]
	[ "$(strata exec ours grep -c ^processor /proc/cpuinfo)" = 1 ]
	[ "$(strata exec ours cat /sys/devices/system/cpu/online)" = 0 ]
	[ "$(strata exec ours grep -c '^cpu[0-9]' /proc/stat)" = 1 ]
	[ "$(strata exec ours cut -d. -f1 /proc/uptime)" -lt 100 ]
	strata exec ours sh -c '! echo x >/proc/meminfo && cat /proc/loadavg /proc/swaps && free && uptime' >/dev/null
	strata update -m 48m ours
	wait_until sh -c '[ "$(strata exec ours awk "/^MemTotal/ { print \$2 }" /proc/meminfo)" = 49152 ]'
	strata exec ours sh -c 'dd if=/dev/zero of=/tmp/x bs=1M count=16'
	wait_until sh -c '[ "$(strata exec ours awk "/^Shmem/ { print \$2 }" /proc/meminfo)" -ge 16384 ]'
	id=$(strata inspect ours | jq -r '.[0].id')
	strata rm -f ours
	[ ! -e "$STRATA_RUN/instances/$id" ]
}

@test "what cannot be booted, or contradicts it, is one line" {
	run strata run --system --network none demo /bin/nothing
	one_line_error 'no init to boot'
	mkdir "$SCRATCH/empty" "$SCRATCH/empty/etc"
	strata image import "$SCRATCH/empty" empty
	run strata run --system --network none empty
	one_line_error 'no init to boot'
	run strata run --system --init busy
	one_line_error '--init'
	run strata run --system --user 7 busy
	one_line_error '--user'
	run strata run --system --userns host busy
	one_line_error '--privileged'
	run strata run --system --virt hosted busy
	one_line_error '--system'
	strata ps -aq | xargs -r strata rm -f >/dev/null
}
