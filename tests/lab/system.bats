#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Debian 12 with systemd in a system container: it boots, keeps its log, reboots and shuts down. The tree is made once, by debootstrap.
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	command -v debootstrap >/dev/null || skip "needs debootstrap"
	lab_strata
	lab_tree debian12 systemd-sysv,dbus || skip "debootstrap: $(tail -n 1 "$LAB/said")"
	strata image import "$STRATA_LAB_CACHE/debian12.tar" debian12
	strata run -d --system --name deb --network none -m 256m debian12
}

teardown_file()
{
	lab_remove
}

until_says()
{
	wait_until has_said "$1" "$2" || { strata logs deb | tail -n 20; false; }
}

has_said()
{
	[ "$(strata logs deb | grep -c "$1")" -ge "$2" ]
}

@test "it reaches running, and a login prompt on its console" {
	until_says 'login: ' 1
	run -0 timeout 300 strata exec deb systemctl is-system-running --wait
	[ "$output" = running ] || { strata exec deb systemctl --failed --no-pager; false; }
	[ "$(strata exec deb systemd-detect-virt --container)" = container-other ]
}

@test "its journal can be read, and its machine id is the instance's" {
	strata exec deb journalctl -b --no-pager | grep -q 'Reached target multi-user.target'
	[ "$(strata exec deb cat /etc/machine-id)" = "$(strata inspect deb | jq -r '.[0].id' | cut -c 1-32)" ]
}

@test "services are started, grouped and killed by it" {
	strata exec deb systemd-run --unit probe sleep 1000
	strata exec deb systemctl is-active probe
	strata exec deb grep -q probe.service "/proc/$(strata exec deb systemctl show -p MainPID --value probe)/cgroup"
	strata exec deb systemctl kill probe
	ended() { ! strata exec deb systemctl is-active probe; }
	wait_until ended
}

# The other way round of tests/system/oci_systemd.bats: systemd itself, and what it makes of what it is told.
@test "strata-oci --systemd-cgroup inside: a scope of its systemd, by the bus or without one, until either ends it" {
	mkdir -p "$LAB/oci/bundle/rootfs/bin" "$LAB/oci/bundle/rootfs/proc"
	cp "$REPO/build/strata-oci" "$REPO/build/strata-systemd" "$LAB/oci"
	cp "$(command -v busybox)" "$LAB/oci/bundle/rootfs/bin"
	ln -s busybox "$LAB/oci/bundle/rootfs/bin/sh"
	"$REPO/build/strata-oci" spec -b "$LAB/oci/bundle"
	jq '.process.terminal = false | .process.args = ["/bin/busybox", "sleep", "1000"] | .linux.cgroupsPath = "lab-nested.slice:strata:box"
		| .annotations = {"org.systemd.property.TimeoutStopSec": "uint64 7", "org.systemd.property.TasksMax": "uint64 50",
			"org.systemd.property.CPUWeight": "@t 200"}' "$LAB/oci/bundle/config.json" >"$LAB/oci/new"
	mv "$LAB/oci/new" "$LAB/oci/bundle/config.json"
	cat >"$LAB/oci/try" <<-'END'
		set -eu
		cd /opt/oci/bundle
		oci="../strata-oci --systemd-cgroup"
		unit=strata-box.scope
		group=/sys/fs/cgroup/lab.slice/lab-nested.slice/$unit
		show() { systemctl show -p "$1" --value $unit; }
		for bus in /run/dbus/system_bus_socket /no/such; do
			export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$bus
			# Its v2 has no controllers on a host where v1 has them.
			$oci create box </dev/null >said 2>&1 || { cat said; exit 1; }
			pid=$($oci state box | sed -n 's/.*"pid": \([0-9]*\),/\1/p')
			[ "$(cat $group/cgroup.procs)" = "$pid" ]
			systemctl status $unit --no-pager | grep -q "strata-oci container box"
			[ "$(show ActiveState)" = active ]
			[ "$(show Slice)" = lab-nested.slice ]
			[ "$(show Delegate)" = yes ]
			[ "$(show TasksMax)" = 50 ]
			[ "$(show CPUWeight)" = 200 ]
			[ "$(show TimeoutStopUSec)" = 7s ]
			$oci start box
			$oci exec box /bin/busybox true
			$oci delete --force box
			[ ! -e $group ]
			[ "$(show LoadState)" = not-found ]
		done
		# systemd ends it too, and the name is free again.
		$oci create box </dev/null >said 2>&1
		$oci start box
		systemctl stop $unit
		[ "$($oci state box | grep -c stopped)" = 1 ]
		$oci delete box
		$oci run -d box </dev/null >said 2>&1
		$oci delete --force box
	END
	strata cp "$LAB/oci" deb:/opt/
	until_says 'login: ' 1
	run strata exec deb sh -x /opt/oci/try
	[ "$status" -eq 0 ] || { echo "$output" | tail -n 20; false; }
}

@test "a reboot from inside boots it again, stop shuts it down cleanly" {
	strata exec deb systemctl reboot || true
	until_says 'login: ' 2
	strata inspect deb | jq -e '.[0].state.restarts == 1'
	timeout 600 strata stop -t 500 deb
	strata inspect deb | jq -e '.[0].state | .status == "exited" and .exit_code == 0'
	strata logs deb | tail -n 5 | grep -Eq 'Halting system|System Halt'
}
