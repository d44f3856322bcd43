#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The management channel of strata-hv on an emulated server: tests/lab/channel_test.py has the tests, channel.py the client.
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	needs qemu-system-x86_64
	export PYTHONDONTWRITEBYTECODE=1
}

# channel NAME...: the tests of these names
channel()
{
	run "$REPO/tests/lab/channel_test.py" "$REPO/build/strata-hv" "$REPO/build/tests/guest" "$@"
	echo "$output"
	[ "$status" = 0 ]
}

@test "a guest from uploaded files: made, started, watched, measured, destroyed" {
	channel basics console
}

@test "ports and sockets: an agent's conversation, a connection to the guest" {
	channel ports
}

@test "two guests of an image, one with two vcpus: their agent, input, output, sessions" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: STRATA_LAB_LONG=1"
	channel agents
}

@test "paused, a guest and all of its clocks stand still" {
	channel pause
}

@test "weights and caps change while guests run" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: STRATA_LAB_LONG=1"
	channel weights
}

@test "under full load it answers within a scheduler's period, counted in instructions" {
	channel latency
}

@test "the same with two CPUs, on VMX, over a serial line" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: STRATA_LAB_LONG=1"
	needs bochs-bin grub-mkrescue xorriso mformat
	local i bochs
	export STRATA_CHANNEL=$BATS_TEST_TMPDIR/tty
	for i in 1 2 3 4; do
		printf 'guest spins%u\nmemory 4M\nkernel guest_share\nconsole none\nappend interrupts=1 ticks=1000000000000000\n' $i
	done >"$BATS_TEST_TMPDIR/lab.cfg"
	"$REPO/tests/lab/bochs.py" --ips 100000000 --cpus 2 --seconds 600 --channel "$STRATA_CHANNEL" --until 'until we end it' \
		"$REPO/build/strata" "$BATS_TEST_TMPDIR/lab.cfg" "$REPO/build/tests/guest/guest_share" >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- &
	bochs=$!
	until grep -q 'the management channel is a serial line' "$BATS_TEST_TMPDIR/said"; do kill -0 $bochs && sleep 0.2; done
	run timeout 500 "$REPO/tests/lab/channel_test.py" "$REPO/build/strata-hv" "$REPO/build/tests/guest" latency_of_two
	kill $bochs
	wait $bochs || true
	cat "$BATS_TEST_TMPDIR/said"
	echo "$output"
	[ "$status" = 0 ]
}

@test "guests come and go: the memory is back to the byte" {
	channel memory
}

@test "a lowered target is another guest's memory, a raised one is promised or refused, and nobody takes what is neither" {
	channel target
}

@test "in the midst of giving memory back: paused, destroyed, every byte is back" {
	channel balloon_midway
}

@test "what Debian frees is another guest's while it runs, and a target takes more" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: STRATA_LAB_LONG=1"
	channel balloon
}

@test "over a serial line" {
	channel serial
}

@test "the server's own guests are managed too" {
	channel servers_own servers_restart
}

@test "a hostile client: lines, requests, streams" {
	channel hostile_lines hostile_requests hostile_streams
}

@test "a client that does not read, and one that sends anything" {
	channel hostile_reader hostile_random
}

@test "a hostile guest: rings that lie, on ports and sockets that somebody uses" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: STRATA_LAB_LONG=1"
	channel hostile_guest
}
