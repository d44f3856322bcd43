#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The guest programs of tests/guest on the whole machine: on KVM with its interrupt controllers, on KVM with the machine's own,
# on the software CPU, and there interpreted, with nothing translated. What each says is in its source.
bats_require_minimum_version 1.5.0
load helper

setup() {
	PLACES="software interpreted"
	if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
		PLACES="engine machine $PLACES"
	fi
	PROGRAMS=$(dirname "$STRATA_BIN")/tests/guest
	DISK=$SCRATCH/disk.img
	truncate -s 4M "$DISK" "$SCRATCH/read-only.img"
}

teardown() {
	[ -z "${PEER:-}" ] || kill "$PEER" 2>/dev/null || true
	PEER=
}

# flags PLACE: of `strata run`
flags() {
	case $1 in
	engine | machine) echo "--virt hybrid --irqchip $1" ;;
	software) echo "--virt hosted" ;;
	interpreted) echo "--virt hosted --code-cache 0" ;;
	esac
}

# guest PROGRAM [FLAG...]: it ends with 1, as isa-debug-exit has it for "all is well" (2 * 0 + 1)
guest() {
	local program=$1 chip append
	shift
	for chip in $PLACES; do
		echo "-- $chip"
		append=${APPEND:-}
		[ "$chip" != engine ] || append=$(in_service)
		# shellcheck disable=SC2046 # words
		run timeout 200 strata run --rm --network "${NETWORK:-none}" --memory 128M $(flags "$chip") "$@" \
			--append "$append" --kernel "$PROGRAMS/guest_$program"
		echo "$output"
		[ "$status" = 1 ]
		[[ "$output" =~ end:\ [1-9][0-9]*\ passed,\ 0\ failed ]]
		[[ "$output" != *FAIL* ]]
	done
}

# members PLACE: of a spec, as flags
members() {
	case $1 in
	engine | machine) echo "\"virt\":\"hybrid\",\"vm\":{\"irqchip\":\"$1\"" ;;
	software) echo '"virt":"hosted","vm":{"irqchip":"machine"' ;;
	interpreted) echo '"virt":"hosted","vm":{"code_cache_bytes":0' ;;
	esac
}

# by_hand PROGRAM PLACE MEMBERS: strata-vmm with a spec of its own, for what no flag of `strata run` asks for
by_hand() {
	local id
	id=$(printf '%064d' 1)
	echo "{\"id\":\"$id\",\"name\":\"t\",\"args\":[\"x\"],$(members "$2"),\"memory_bytes\":67108864," \
		"\"kernel\":\"$PROGRAMS/guest_$1\",$3}}" >"$SCRATCH/spec.json"
	timeout 200 "$(dirname "$STRATA_BIN")/strata-vmm" "$SCRATCH/spec.json"
}

# passed FILE: what a guest said there is that all is well
passed() {
	cat "$1"
	grep -q '^end: [1-9][0-9]* passed, 0 failed' "$1"
	run ! grep -q FAIL "$1"
}

# Where KVM has no hardware assistance its LAPIC forgets what is being handled (tests/guest/interrupts.c).
in_service() {
	strata info | grep -q "without hardware assistance" && echo "in_service=0"
	return 0
}

@test "ports" {
	guest pio
}

@test "memory-mapped registers" {
	guest mmio
}

@test "interrupts" {
	guest interrupts
}

@test "clocks" {
	guest clocks
}

# On KVM they are the CPU's, or KVM's emulator's.
@test "task switches" {
	PLACES="software interpreted" APPEND=all=1
	guest tasks
}

@test "the PCI bus" {
	guest pci
}

@test "two CPUs, and four" {
	guest smp --vcpus 2
	guest smp --vcpus 4
}

@test "entropy" {
	guest rng
}

@test "balloon" {
	guest balloon
}

@test "disk, and a read-only one" {
	guest blk --disk "$DISK,format=raw" --disk "$SCRATCH/read-only.img,ro,format=raw"
}

@test "a qcow2 disk" {
	strata volume create --size 4M --format qcow2 guests
	guest blk --disk guests
	strata volume rm guests
}

@test "a driver that rewrites its rings while they are read" {
	guest hostile_rings --vcpus 2 --disk "$DISK,format=raw"
}

@test "the devices of kvm-unit-tests" {
	local chip append
	for chip in $PLACES; do
		append=
		case $chip in software | interpreted) append=bells=0 ;; esac # the software CPU's writes are all exits
		run -1 by_hand testdev "$chip" '"test_devices":true,"append":"'$append'"' </dev/null
		echo "$output" >"$SCRATCH/said"
		passed "$SCRATCH/said"
	done
}

@test "network, on a bridge, whose port sends back what is for everybody" {
	strata network create guests
	NETWORK=guests guest net
	strata network rm guests
}

@test "console of many ports, as an image's agent has it" {
	local chip
	# More than one buffer holds, on one line.
	head -c 3000 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$SCRATCH/in"
	echo >>"$SCRATCH/in"
	for chip in $PLACES; do
		run -1 --separate-stderr by_hand console "$chip" '"agent":true,"console":true,"append":"agent=1"' <"$SCRATCH/in"
		echo "$stderr" >"$SCRATCH/said"
		[ "$output" = "$(cat "$SCRATCH/in")" ]
		grep -q '^console: standard error' "$SCRATCH/said"
		passed "$SCRATCH/said"
	done
}

@test "vsock, to which the host connects" {
	local chip status
	mkdir "$SCRATCH/machine"
	for chip in $PLACES; do
		by_hand vsock "$chip" '"agent":true,"console":true,"append":"listen_port=7 listen_bytes=100000"' \
			</dev/null 2>"$SCRATCH/said" 3>&- 5<"$SCRATCH/machine" &
		PEER=$!
		timeout 200 "$(dirname "$STRATA_BIN")/tests/vsock_peer" "$SCRATCH/machine/vsock" 7 100000
		status=0
		wait "$PEER" || status=$?
		PEER=
		passed "$SCRATCH/said"
		[ "$status" = 1 ]
	done
	rm -r "$SCRATCH/machine"
}

# exits PLACE OPTIONS REASON...: how often the guest that leaves its code so often has left it, by reason
exits() {
	local place=$1 options=$2 id
	shift 2
	# shellcheck disable=SC2046 # words
	id=$(strata run -d --network none --memory 128M $(flags "$place") --append "stay=1 $options" \
		--kernel "$PROGRAMS/guest_exits")
	wait_until eval "strata logs $id | grep -q time_stamps_grow"
	wait_until halted "$id"
	strata stats -f json "$id" | python3 -c '
import json, sys
exits = json.load(sys.stdin)[0]["exits"]
print(*[exits[reason] for reason in sys.argv[1:]])' "$@"
	strata rm -f "$id" >/dev/null
}

# Nothing moves any more: two looks at it are alike.
halted() {
	[ "$(strata stats -f json "$1" | grep '"all\|"vmm\|"io\|"msr')" = "$(strata stats -f json "$1" | grep '"all\|"vmm\|"io\|"msr')" ]
}

@test "exits by reason are counted, each of them" {
	local place before after
	for place in $PLACES; do
		echo "-- $place"
		before=$(exits "$place" "ports=100 reads=100 cpuids=100 msrs=100" io mmio)
		after=$(exits "$place" "ports=723 reads=345 cpuids=100 msrs=100" io mmio)
		echo "$before -> $after"
		[ "$((${after% *} - ${before% *})) $((${after#* } - ${before#* }))" = "623 245" ]
	done
	for place in software interpreted; do
		before=$(exits "$place" "cpuids=100 msrs=100" cpuid msr)
		after=$(exits "$place" "cpuids=1100 msrs=612" cpuid msr)
		echo "$before -> $after"
		[ "$((${after% *} - ${before% *})) $((${after#* } - ${before#* }))" = "1000 512" ]
	done
}
