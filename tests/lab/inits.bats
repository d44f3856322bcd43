#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Debian 12 with each init that it has besides systemd, in a system container: it boots to a login on its console, is rebooted from
# inside, and shut down by the init's own signal. The trees are made once. STRATA_LAB_LONG=1: they take minutes to make.
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	[ -n "${STRATA_LAB_LONG:-}" ] || return 0
	command -v debootstrap >/dev/null || skip "needs debootstrap"
	lab_strata
	lab_tree debian12-sysv sysvinit-core || skip "debootstrap: $(tail -n 1 "$LAB/said")"
	lab_tree debian12-runit runit-init || skip "debootstrap: $(tail -n 1 "$LAB/said")"
	tree_openrc || skip "openrc: $(tail -n 1 "$LAB/said")"
	local name
	for name in sysv runit openrc; do
		strata image import "$STRATA_LAB_CACHE/debian12-$name.tar" "$name"
	done
}

setup()
{
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: STRATA_LAB_LONG=1"
}

teardown_file()
{
	lab_remove
}

# debootstrap cannot replace sysv-rc, which sysvinit-core would rather have; apt can.
tree_openrc()
{
	if [ ! -f "$STRATA_LAB_CACHE/debian12-openrc.tar" ]; then
		mkdir "$LAB/tree"
		tar -C "$LAB/tree" -xf "$STRATA_LAB_CACHE/debian12-sysv.tar"
		cp /etc/resolv.conf "$LAB/tree/etc/"
		unshare --mount --pid --fork --kill-child sh -c '
			mount -t proc proc "$1/proc" && exec chroot "$1" sh -c "
				apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openrc"
			' sh "$LAB/tree" >"$LAB/said" 2>&1 || return
		rm "$LAB/tree/etc/resolv.conf"
		kept debian12-openrc
	fi
}

logins() # NAME COUNT: so many prompts on its console
{
	wait_until has_logins "$1" "$2" || { strata logs "$1" | tail -n 20; false; }
}

has_logins()
{
	[ "$(strata logs "$1" | grep -c 'login: ')" -ge "$2" ]
}

# life NAME [COMMAND]: boot, look, reboot from inside, stop
life()
{
	local name=$1
	shift
	strata run -d --system --network none -m 256m --name "$name" "$name" "$@"
	logins "$name" 1
	strata exec "$name" grep -q . /proc/1/comm
	strata exec "$name" test -c /dev/tty1
	strata exec "$name" reboot || true
	logins "$name" 2
	strata inspect "$name" | jq -e '.[0].state | .restarts == 1 and .status == "running"'
	strata stop -t 300 "$name" # 137 would be a kill
	strata inspect "$name" | jq -e '.[0].state | .status == "exited" and .exit_code == 0'
}

@test "sysvinit" {
	life sysv
	strata logs sysv | grep -q 'INIT: Entering runlevel: 2'
	strata logs sysv | grep -q 'All processes ended'
}

@test "OpenRC under sysvinit" {
	life openrc
	strata start openrc
	logins openrc 3
	run -0 strata exec openrc rc-status
	[[ $output == *"Runlevel: default"*"started"* ]]
	strata rm -f openrc
}

@test "OpenRC's own init" {
	strata run -d --system --network none -m 256m --name own openrc /sbin/openrc-init
	is_up() { [[ $(strata exec own rc-status) == *"Runlevel: default"*"started"* ]]; }
	restarted() { strata inspect own | jq -e '.[0].state | .restarts == 1 and .status == "running"'; }
	wait_until is_up
	[ "$(strata exec own cat /proc/1/comm)" = openrc-init ]
	strata exec own openrc-shutdown -r now || true
	wait_until restarted
	wait_until is_up
	restarted
	strata stop -t 300 own
	strata inspect own | jq -e '.[0].state | .status == "exited" and .exit_code == 0'
}

@test "runit" {
	life runit
	strata logs runit | grep -q 'enter stage: /etc/runit/3'
}
