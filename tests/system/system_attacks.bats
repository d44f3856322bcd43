#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# System containers whose root is an enemy: whatever its init does, the host goes on, and stop and rm end it.
bats_require_minimum_version 1.5.0
load helper

setup_file()
{
	strata_setup_file || return
	local root=$SCRATCH/tree
	cp -a "$DEMO_ROOTFS" "$root"
	rm -f "$root/sbin/init"
	mkdir -p "$root/etc/runit"
	cat >"$root/sbin/init" <<'END'
#!/bin/sh
. /attack
END
	chmod 0755 "$root/sbin/init"
	touch "$root/attack"
	strata image import "$root" enemy
}

teardown()
{
	strata ps -aq | xargs -r strata rm -f >/dev/null
}

# enemy SCRIPT FLAG...: an init that does that. strata cp writes it before the first start: also to a root of a size, whose disk was not there then.
enemy()
{
	printf '%s\n' "$1" >"$SCRATCH/attack"
	shift
	timeout 100 strata create --system --network none --name enemy "$@" enemy >/dev/null
	strata cp "$SCRATCH/attack" enemy:/attack
	timeout 100 strata start enemy >/dev/null
}

says()
{
	strata logs enemy | grep -q "$1"
}

@test "an init that ignores its stop signal is killed when its time is up" {
	enemy 'trap "" INT TERM HUP; trap "echo asked" INT; echo up; while :; do sleep 1000 & wait $!; done' --stop-timeout 4
	wait_until says up
	timeout 100 strata stop enemy
	says asked
	strata inspect enemy | jq -e '.[0].state | .status == "exited" and .exit_code == 137'
}

@test "one that floods its console fills its log's size, and nothing else" {
	enemy 'echo up; exec yes "a line of the flood that is on its way to the log"' --log-opt max-size=64k --log-opt max-file=2
	wait_until sh -c '[ "$(du -sk "$STRATA_ROOT"/instances/*/ | awk "{ s += \$1 } END { print s }")" -gt 64 ]'
	[ "$(timeout 100 strata exec enemy echo answers)" = answers ]
	timeout 100 strata stop -t 0 enemy
	[ "$(find "$STRATA_ROOT/instances" -name '*log*' -type f -size +80k | wc -l)" = 0 ]
	[ "$(find "$STRATA_ROOT/instances" -name '*log*' -type f | wc -l)" -le 3 ]
}

@test "one that forks without end has its limit of processes, and dies at once" {
	# Whoever cannot fork ends; what sleeps is there for good.
	enemy 'bomb() { while :; do sleep 1000 & bomb & done; }; bomb & echo up; exec sleep 1000' --pids-limit 64 -m 64m
	wait_until says up
	wait_until sh -c '[ "$(strata stats --no-stream --format json enemy | jq ".[0].pids")" -ge 32 ]'
	[ "$(strata stats --no-stream --format json enemy | jq '.[0].pids')" -le 64 ]
	timeout 100 strata stop -t 0 enemy
	strata inspect enemy | jq -e '.[0].state.status == "exited"'
}

@test "one that fills its root has the root's size, and boots again with it full" {
	enemy 'echo up; dd if=/dev/zero of=/fill bs=1M count=40; : >/attacked; echo full; sleep 1000' --root-size 24m
	wait_until says full
	strata logs enemy | grep -q 'No space left'
	timeout 100 strata restart -t 0 enemy
	wait_until sh -c '[ "$(strata logs enemy | grep -c full)" = 2 ]'
	[ "$(du -sm "$STRATA_ROOT/instances" | cut -f1)" -le 32 ]
	timeout 100 strata rm -f enemy
	[ -z "$(losetup -ln -O BACK-FILE 2>/dev/null | grep "$STRATA_ROOT")" ]
}

@test "one that reboots in a loop is started ever later, and stop ends it" {
	enemy 'echo up; exec reboot -f'
	wait_until sh -c '[ "$(strata inspect enemy | jq ".[0].state.restarts")" -ge 3 ]'
	timeout 100 strata stop enemy
	strata inspect enemy | jq -e '.[0].state.status == "exited"'
	# 100 ms, 200, 400, ...: what it booted before is not a matter of how fast it boots.
	[ "$(strata logs enemy | grep -c up)" -le 12 ]
}

@test "what it mounts over the paths that the host looks at leads nowhere" {
	enemy 'mkdir -p /x; mount -t tmpfs x /proc/uptime 2>/dev/null; umount /proc/meminfo; umount /dev/console; rm -f /dev/console
		mount -t tmpfs x /dev; mount -t tmpfs x /etc; ln -s /proc/1/root/etc/passwd /etc/machine-id; mkdir /etc/runit; ln -s /proc/sysrq-trigger /etc/runit/stopit
		echo up; while :; do sleep 1000 & wait $!; done'
	wait_until says up
	timeout 100 strata restart -t 0 enemy
	wait_until sh -c '[ "$(strata logs enemy | grep -c up)" = 2 ]'
	timeout 100 strata rm -f enemy
	[ -s /etc/passwd ]
}

@test "one that remounts a read-only bind mount of the host's writes nothing there" {
	mkdir "$SCRATCH/host" "$SCRATCH/mapped"
	chmod 0777 "$SCRATCH/host"
	enemy 'for i in /ro /mapped /proc/meminfo; do mount -o remount,bind,rw $i; done
		touch /ro/written /mapped/written; mount --bind /ro /mnt; mount -o remount,bind,rw /mnt; touch /mnt/written; echo up; exec sleep 1000' \
		-v "$SCRATCH/host:/ro:ro" -v "$SCRATCH/mapped:/mapped:ro,idmap"
	wait_until says up
	strata exec enemy grep -q ' /ro ro' /proc/self/mountinfo
	strata exec enemy grep -q ' /proc/meminfo ro' /proc/self/mountinfo
	[ -z "$(ls -A "$SCRATCH/host" "$SCRATCH/mapped" | grep written)" ]
}
