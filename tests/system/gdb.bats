#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --gdb: the real debugger at a virtual machine's CPUs.

bats_require_minimum_version 1.5.0
load helper

setup_file()
{
	command -v gdb >/dev/null || skip "needs gdb"
	strata_setup_file
	export ENGINES=hosted
	[ ! -w /dev/kvm ] || ENGINES="hosted hybrid"
	export GUEST=${STRATA_BIN%/*}/tests/guest/guest_smp
}

teardown_file()
{
	strata_teardown_file
}

# debug FLAGS... -- GDB_COMMAND...: a guest of two vcpus under gdb; gdb's words in $SCRATCH/gdb, the guest's in
# $SCRATCH/guest, and its exit status in $status. $virt is the engine.
debug()
{
	local flags=() commands=() guest
	while [ "$1" != -- ]; do
		flags+=("$1")
		shift
	done
	shift
	for command in "$@"; do
		commands+=(-ex "$command")
	done
	rm -f "$SCRATCH/socket"
	strata run --rm --virt "$virt" --kernel "$GUEST" --memory 64m --vcpus 2 --gdb "unix:$SCRATCH/socket" "${flags[@]}" \
		</dev/null >"$SCRATCH/guest" 2>&1 &
	guest=$!
	wait_until test -S "$SCRATCH/socket"
	timeout 200 gdb -q -nx -batch -ex "set confirm off" -ex "target remote $SCRATCH/socket" "${commands[@]}" "$GUEST" \
		>"$SCRATCH/gdb" 2>&1 || true
	status=0
	wait "$guest" || status=$?
	cat "$SCRATCH/gdb" "$SCRATCH/guest"
}

@test "it stops before the first instruction, at breakpoints, and steps" {
	local virt
	for virt in $ENGINES; do
		debug -- "info threads" "hbreak guest_main" continue "stepi" "print \$pc" delete continue
		grep -q 'vcpu 0.*guest_entry' "$SCRATCH/gdb"
		grep -q 'vcpu 1, not started' "$SCRATCH/gdb"
		grep -q 'hit Breakpoint 1, guest_main' "$SCRATCH/gdb"
		grep -q 'guest_main+[1-9]' "$SCRATCH/gdb"
		grep -q 'exited' "$SCRATCH/gdb"
		grep -q '^end: 6 passed, 0 failed' "$SCRATCH/guest" # it was not disturbed
	done
}

@test "breakpoints in memory work under either interrupt controllers" {
	local virt
	for virt in $ENGINES; do
		for irqchip in engine machine; do
			debug --irqchip "$irqchip" -- "break check" continue bt "info threads" delete continue
			grep -q 'hit Breakpoint 1, check' "$SCRATCH/gdb"
			grep -q '#2 .*guest_main' "$SCRATCH/gdb"
			grep -qE 'vcpu 1\) .*(smp_entered|pause)' "$SCRATCH/gdb"
			grep -q '^end: 6 passed, 0 failed' "$SCRATCH/guest"
		done
	done
}

@test "one that detaches leaves the guest as it was" {
	local virt
	for virt in $ENGINES; do
		debug -- "break finish" "set {char[2]}0x8100 = \"x\"" "x/s 0x8100" detach
		grep -q '0x8100:.*"x"' "$SCRATCH/gdb"
		grep -q '^end: 6 passed, 0 failed' "$SCRATCH/guest"
	done
}

@test "one that kills ends the machine" {
	local virt
	for virt in $ENGINES; do
		debug -- "hbreak guest_main" continue kill
		[ "$status" = 137 ]
		run ! grep -q '^end:' "$SCRATCH/guest"
	done
}

@test "a place that cannot be is one line" {
	local virt
	for virt in $ENGINES; do
		run strata run --rm --virt "$virt" --kernel "$GUEST" --gdb 70000
		one_line_error '--gdb 70000: neither a port'
		run strata run --rm --virt "$virt" --kernel "$GUEST" --gdb unix:/nowhere/at/all
		one_line_error 'wait for a debugger at unix:/nowhere/at/all: No such file or directory'
	done
}

# Of --virt hosted alone: not every KVM keeps the guest's debug registers for data.
@test "a watchpoint stops behind the instruction that wrote" {
	local virt=hosted
	debug -- "hbreak guest_main" continue delete "watch ready" continue delete continue
	grep -q 'Hardware watchpoint 2: ready' "$SCRATCH/gdb"
	grep -q 'Old value = 0' "$SCRATCH/gdb"
	grep -q 'New value = 1' "$SCRATCH/gdb"
	grep -q '^end: 6 passed, 0 failed' "$SCRATCH/guest"
}
