#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata-oci --systemd-cgroup: what systemd is asked for, on a bus of our own where systemd_fake answers. tests/lab/system.bats has systemd itself.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
load helper
load oci_helper

setup()
{
	oci_setup
	OCI=(timeout 200 "${OCI[@]}" --systemd-cgroup)
	LOG=$SCRATCH/asked
	rm -f "$LOG" "$SCRATCH/bus" "$SCRATCH/listens"
	SOCKET=$SCRATCH/bus
	export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$SOCKET
	# Those of version 1 that systemd makes groups in; cpuset is none of them.
	mapfile -t ROOTS < <(awk '/ - cgroup2? / && !/[ ,]cpuset/ { print $5 }' /proc/self/mountinfo)
	V2=$(awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
	cat >"$SCRATCH/bus.conf" <<-END
		<busconfig><type>session</type><listen>$DBUS_SYSTEM_BUS_ADDRESS</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
	END
	dbus-daemon --config-file="$SCRATCH/bus.conf" --nofork --print-address 3>&- >"$SCRATCH/listens" 2>/dev/null &
	BUS=$!
	wait_until test -s "$SCRATCH/listens"
}

teardown()
{
	local i
	oci_teardown 2>/dev/null || true
	[ -z "${FAKE:-}" ] || kill "$FAKE" 2>/dev/null || true
	kill "$BUS" 2>/dev/null || true
	for i in "${ROOTS[@]}" /sys/fs/cgroup/cpuset; do
		[ ! -d "$i/a.slice" ] || find "$i/a.slice" -depth -type d -exec rmdir {} + || true
	done
}

# systemd PREFIX: one whose groups are below PREFIX
systemd()
{
	"${STRATA_BIN%/*}/tests/systemd_fake" "$LOG" "$1" "${ROOTS[@]}" 3>&- &
	FAKE=$!
	wait_until grep -q ready "$LOG"
}

asked()
{
	grep -qxF "$1" "$LOG" || { cat "$LOG"; false; }
}

UNIT=pre-box.scope
PATHS='.linux.cgroupsPath = "a-b.slice:pre:box"'

@test "a container is a scope in its slice, with its limits, and goes with it" {
	systemd ""
	config "$PATHS | .linux.resources += {memory: {limit: 67108864, swap: 100000000, reservation: 1048576}, pids: {limit: 50},
		cpu: {shares: 2048, quota: 15500, period: 50000, cpus: \"0\"}, unified: {}}" sleep 1000
	oci create -b "$B" box </dev/null >"$SCRATCH/out" 2>&1 || { cat "$SCRATCH/out" "$LOG"; false; }
	pid=$(oci state box | jq .pid)
	asked "start $UNIT Slice s a-b.slice"
	asked "start $UNIT PIDs au some"
	asked "start $UNIT Delegate b true"
	asked "start $UNIT DefaultDependencies b false"
	asked "start $UNIT MemoryAccounting b true"
	asked "start $UNIT MemoryMax t 67108864"
	asked "start $UNIT MemorySwapMax t 32891136"
	asked "start $UNIT MemoryLow t 1048576"
	asked "start $UNIT CPUWeight t 200"
	asked "start $UNIT CPUQuotaPeriodUSec t 50000"
	asked "start $UNIT CPUQuotaPerSecUSec t 310000"
	asked "start $UNIT TasksMax t 50"
	asked "start $UNIT AllowedCPUs ay 1"
	asked "start $UNIT DevicePolicy s strict"
	grep -q "^start $UNIT DeviceAllow a(ss) .*/dev/char/1:3 rwm" "$LOG"
	[ -z "$V2" ] || [ "$(cat "$V2/a.slice/a-b.slice/$UNIT/cgroup.procs")" = "$pid" ]
	for root in "${ROOTS[@]}"; do
		[ "$(cat "$root/a.slice/a-b.slice/$UNIT/cgroup.procs")" = "$pid" ]
	done
	oci start box
	# Whoever comes later is told by no flag that systemd made it.
	"$OCI_BIN" --root "$OCI_ROOT" exec box true
	"$OCI_BIN" --root "$OCI_ROOT" pause box
	[ "$(oci state box | jq -r .status)" = paused ]
	oci resume box
	[ "$(oci ps box | sed 1d)" = "$pid" ]
	oci update --memory 33554432 --pids-limit 40 --cpu-quota -1 box
	asked "set $UNIT MemoryMax t 33554432"
	asked "set $UNIT TasksMax t 40"
	asked "set $UNIT CPUQuotaPerSecUSec t 18446744073709551615"
	run grep "^set $UNIT Device" "$LOG"
	[ "$status" -ne 0 ]
	oci delete --force box
	asked "stop $UNIT"
	run find /sys/fs/cgroup -name "$UNIT"
	[ -z "$output" ]
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "the path is systemd's to choose: a user's own manager has its groups elsewhere" {
	systemd "a.slice/u@1.service/"
	config 'del(.linux.cgroupsPath)' sleep 1000
	oci create -b "$B" box+1 </dev/null >"$SCRATCH/out" 2>&1 || { cat "$SCRATCH/out" "$LOG"; false; }
	unit='strata-oci-box\x2b1.scope'
	asked "start $unit Slice s system.slice"
	for root in "${ROOTS[@]}"; do
		[ -d "$root/a.slice/u@1.service/system.slice/$unit" ]
	done
	oci start box+1
	oci exec box+1 true
	oci delete --force box+1
	run find /sys/fs/cgroup -name "$unit"
	[ -z "$output" ]
}

@test "annotations are properties, with their types; others' values are refused by name" {
	systemd ""
	config "$PATHS | .annotations = {\"org.systemd.property.TimeoutStopSec\": \"uint64 5\", \"org.systemd.property.CollectMode\": \"'inactive'\",
		\"org.systemd.property.IOWeight\": \"uint64 300\", \"org.systemd.property.SendSIGHUP\": \"true\",
		\"org.systemd.property.After\": \"['x.service', \\\"y.service\\\"]\"}" true
	oci run -b "$B" box
	asked "start $UNIT TimeoutStopUSec t 5000000"
	asked "start $UNIT CollectMode s inactive"
	asked "start $UNIT IOWeight t 300"
	asked "start $UNIT SendSIGHUP b true"
	asked "start $UNIT After as x.service y.service"
	config "$PATHS | .annotations = {\"org.systemd.property.PIDs\": \"[uint32 1]\"}" true
	run oci run -b "$B" box
	[[ $output == *"annotation org.systemd.property.PIDs: that one is ours"* ]]
	for value in "uint64 -1" "'open" "[1, 'a']" "(1, 2)" "" "true false"; do
		config "$PATHS | .annotations = {\"org.systemd.property.IOWeight\": $(jq -n --arg v "$value" '$v')}" true
		run oci run -b "$B" box
		[ "$status" -eq 1 ]
		[[ $output == *"annotation org.systemd.property.IOWeight"* ]]
	done
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "what systemd refuses is said in its words, in one line, and nothing is left" {
	systemd ""
	config '.linux.cgroupsPath = "a-b.slice:pre:denied"' true
	run oci run -b "$B" box
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"systemd: pre-denied.scope: not you"* ]]
	config '.linux.cgroupsPath = "a-b.slice:pre:doomed"' true
	run oci run -b "$B" box
	[[ $output == *"systemd: pre-doomed.scope: the job ended as failed"* ]]
	# One that failed before is forgotten, and made after all.
	config '.linux.cgroupsPath = "a-b.slice::stale"' echo made
	[ "$(oci run -b "$B" box)" = made ]
	asked "start stale.scope Slice s a-b.slice"
	kill "$FAKE"
	wait "$FAKE" || true
	run oci run -b "$B" box
	[ "$status" -eq 1 ]
	[[ $output == *"systemd: the manager: "* && ${#lines[@]} -eq 1 ]] || { echo "$output"; false; }
	[ -z "$(ls "$OCI_ROOT")" ]
	run find /sys/fs/cgroup -name '*.scope'
	[ -z "$output" ]
}

@test "a unit that somebody has already stays his, and so does all that runs in it" {
	systemd ""
	config "$PATHS" sleep 1000
	oci create -b "$B" box </dev/null >"$SCRATCH/out" 2>&1
	config '.linux.cgroupsPath = "a-b.slice:pre:taken"' true
	run oci run -b "$B" other
	[ "$status" -eq 1 ]
	[[ $output == *"systemd: pre-taken.scope: it is taken"* && ${#lines[@]} -eq 1 ]] || { echo "$output"; false; }
	run grep "^stop" "$LOG"
	[ "$status" -ne 0 ]
	[ "$(oci state box | jq -r .status)" = created ]
	[ "$(oci list -q)" = box ]
}

@test "a create that is killed while it asks for somebody's unit leaves that alone" {
	systemd ""
	config '.linux.cgroupsPath = "a-b.slice:pre:taken"' true
	kill -STOP "$FAKE"
	"$OCI_BIN" --root "$OCI_ROOT" --systemd-cgroup create -b "$B" other </dev/null >"$SCRATCH/out" 2>&1 3>&- &
	wait_until test -s "$OCI_ROOT/other/unit"
	kill -KILL $!
	kill -CONT "$FAKE"
	oci delete --force other
	[ -z "$(ls "$OCI_ROOT")" ]
	run grep "^stop" "$LOG"
	[ "$status" -ne 0 ]
}

@test "a bus that is gone by then keeps no container from going" {
	systemd ""
	config "$PATHS" sleep 1000
	oci create -b "$B" box </dev/null >"$SCRATCH/out" 2>&1
	kill "$BUS"
	wait "$BUS" || true
	run oci delete --force box
	[ "$status" -eq 0 ]
	[[ $output == *"warning: systemd: the system's bus"* ]]
	[ -z "$(ls "$OCI_ROOT")" ]
	run find /sys/fs/cgroup -name "$UNIT" -not -path '/sys/fs/cgroup/systemd/*' # that one is systemd's alone
	[ -z "$output" ]
	run oci run -b "$B" box
	[ "$status" -eq 1 ]
	[[ $output == *"systemd: the system's bus"* ]]
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "a create that is killed leaves what delete --force takes, the scope too" {
	systemd ""
	config "$PATHS | .hooks.createRuntime = [{path: \"/bin/sh\", args: [\"sh\", \"-c\", \"kill -KILL \$PPID\"]}]" sleep 1000
	run oci create -b "$B" box
	[ "$status" -ne 0 ]
	[ "$(oci list -q)" = box ]
	oci delete --force box
	asked "stop $UNIT"
	run find /sys/fs/cgroup -name "$UNIT"
	[ -z "$output" ]
}

@test "paths and flags that do not go together are refused" {
	plain=("$OCI_BIN" --root "$OCI_ROOT")
	config "$PATHS" true
	run "${plain[@]}" run -b "$B" box
	[[ $output == *"cgroupsPath 'a-b.slice:pre:box' is systemd's form: it takes --systemd-cgroup"* ]]
	while IFS='#' read -r path words; do
		config ".linux.cgroupsPath = \"$path\"" true
		run oci run -b "$B" box
		[ "$status" -eq 1 ]
		[[ $output == *"$words"* ]] || { echo "$path: $output"; false; }
	done <<-'END'
		/a/b#systemd's form is slice:prefix:name
		a.slice:b#systemd's form is slice:prefix:name
		a.slice:b:c:d#systemd's form is slice:prefix:name
		../x.slice:b:c#'../x.slice' is no slice
		a--b.slice:b:c#'a--b.slice' is no slice
		a:b:c#'a' is no slice
		a.slice:b:c/d#make no unit
		a.slice:b:#make no unit
		a.slice:b:c.slice#is a slice, and a container is a scope in one
	END
	run "${plain[@]}" --cgroup-manager nosuch list
	[[ $output == *"must be cgroupfs, systemd or disabled"* ]]
	run "${plain[@]}" --systemd-cgroup --cgroup-manager disabled list
	[[ $output == *"--cgroup-manager says disabled"* ]]
	"${plain[@]}" --cgroup-manager systemd list
	"${plain[@]}" features | jq -e '.linux.cgroup.systemd and .linux.cgroup.systemdUser'
	[ -z "$(ls "$OCI_ROOT" 2>/dev/null)" ]
}
