#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Guests of strata-hv on an emulated server: QEMU's TCG, which has AMD's SVM with nested paging.
bats_require_minimum_version 1.5.0

setup_file()
{
	REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	export REPO STRATA_LAB_CACHE=${STRATA_LAB_CACHE:-$REPO/build/lab}
	command -v qemu-system-x86_64 >/dev/null || skip "needs qemu-system-x86_64: make setup"
	export LAB=$BATS_FILE_TMPDIR HV=$REPO/build/strata-hv GUESTS=$REPO/build/tests/guest
	export PYTHONPATH=$REPO/tests/lab PYTHONDONTWRITEBYTECODE=1
}

# server WORD...: tests/lab/server.py with our image
server()
{
	"$REPO/tests/lab/server.py" "$@"
}

# config FILE...: guest.cfg from standard input, ready to be loaded
config()
{
	cat >"$LAB/guest.cfg"
}

@test "guest programs: ports, devices, interrupts, clocks, a second vcpu" {
	local program
	config <<-END
		guest pio
		memory 16M
		kernel guest_pio
		guest mmio
		memory 16M
		kernel guest_mmio
		guest interrupts
		memory 16M
		kernel guest_interrupts
		guest clocks
		memory 16M
		kernel guest_clocks
		guest smp
		memory 16M
		vcpus 2
		kernel guest_smp
	END
	run server --seconds 60 --cpus 2 --until ': exits ' --times 5 "$HV" "$LAB/guest.cfg" \
		"$GUESTS"/guest_{pio,mmio,interrupts,clocks,smp}
	echo "$output"
	[ "$status" = 0 ]
	for program in pio mmio interrupts clocks smp; do
		[[ "$output" =~ \[$program\]\ end:\ [1-9][0-9]*\ passed,\ 0\ failed ]]
		[[ "$output" == *"guest $program: ended its test with 1"* ]]
	done
	[[ "$output" != *FAIL* ]]
}

@test "instructions of an exit and back, counted" {
	config <<-END
		guest cost
		memory 16M
		kernel guest_exit_cost
		append cpuid-most=800 port-most=1900 mmio-most=3600 lapic-most=3600 x2apic-most=1750
	END
	run server --icount --until ': exits ' "$HV" "$LAB/guest.cfg" "$GUESTS/guest_exit_cost"
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *"[cost] end: 9 passed, 0 failed"* ]]
}

@test "Debian's kernel with two vcpus, and beside it another with one" {
	local kernel
	command -v busybox >/dev/null || skip "needs busybox: make setup"
	kernel=$(python3 -c "import guest_image; print(guest_image.fetch_kernel('$STRATA_LAB_CACHE')[0])") ||
		skip "there is no kernel package to be had"
	cp "$kernel" "$LAB/vmlinuz"
	python3 - "$LAB/initrd" "$(command -v busybox)" <<-'END'
		import sys, server
		server.initramfs(sys.argv[1], """#!/bin/sh
		/bin/busybox mount -t proc proc /proc
		echo "up: $(/bin/busybox nproc) CPUs, $(/bin/busybox grep -c hypervisor /proc/cpuinfo) told of a hypervisor"
		/bin/busybox usleep 20000 && echo slept
		/bin/busybox poweroff -f
		""".replace("\t\t", ""), sys.argv[2])
	END
	config <<-END
		guest two
		memory 128M
		vcpus 2
		kernel vmlinuz
		initrd initrd
		append console=ttyS0 quiet panic=-1 mitigations=off
		guest one
		memory 128M
		kernel vmlinuz
		initrd initrd
		append console=ttyS0 quiet panic=-1 mitigations=off
	END
	run server --seconds 120 --cpus 2 --until ': exits ' --times 2 "$HV" "$LAB/guest.cfg" "$LAB/vmlinuz" "$LAB/initrd"
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *"[two] up: 2 CPUs, 2 told of a hypervisor"* ]]
	[[ "$output" == *"[one] up: 1 CPUs, 1 told of a hypervisor"* ]]
	[[ "$output" == *"[two] slept"*  && "$output" == *"[one] slept"* ]]
	[[ "$output" == *"guest two: powered off"* && "$output" == *"guest one: powered off"* ]]
}
