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
	run server --seconds 60 --cpus 2 --until 'the last guest is gone' "$HV" "$LAB/guest.cfg" \
		"$GUESTS"/guest_{pio,mmio,interrupts,clocks,smp}
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *"the last guest is gone: all of its memory is back"* ]]
	for program in pio mmio interrupts clocks smp; do
		[[ "$output" =~ \[$program\]\ end:\ [1-9][0-9]*\ passed,\ 0\ failed ]]
		[[ "$output" == *"guest $program: ended its test with 1"* ]]
	done
	[[ "$output" != *FAIL* ]]
}

@test "virtio: entropy, disks in memory, what drives them" {
	truncate -s 4M "$LAB/disk.img" "$LAB/read-only.img"
	config <<-END
		guest rng
		memory 16M
		kernel guest_rng
		guest blk
		memory 16M
		kernel guest_blk
		disk disk.img
		disk read-only.img read-only
		guest pci
		memory 16M
		kernel guest_pci
		guest thief
		memory 16M
		kernel guest_blk
		disk disk.img
	END
	run server --cpus 2 --until 'the last guest is gone' "$HV" "$LAB/guest.cfg" "$GUESTS"/guest_{rng,blk,pci} "$LAB"/{disk,read-only}.img
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *"the last guest is gone: all of its memory is back"* ]]
	for program in rng blk pci; do
		[[ "$output" =~ \[$program\]\ end:\ [1-9][0-9]*\ passed,\ 0\ failed ]]
	done
	[[ "$output" == *"guest thief: guest blk has disk disk.img"* ]]
}

@test "a guest that trespasses gets its fault, or is stopped; the one beside it never notices" {
	local how
	for how in 0 1 2 3 4; do
		printf 'guest bad%u\nmemory 16M\nkernel guest_trespass\nappend end=%u\n' $how $how
	done >"$LAB/guest.cfg"
	printf 'guest good\nmemory 16M\nkernel guest_clocks\nguest odd\nmemory 64G\nkernel guest_clocks\n' >>"$LAB/guest.cfg"
	run server --cpus 2 --until ': exits ' --times 5 "$HV" "$LAB/guest.cfg" "$GUESTS"/guest_{trespass,clocks}
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" != *FAIL* ]]
	[[ "$output" =~ \[bad0\]\ end:\ [1-9][0-9]*\ passed,\ 0\ failed ]]
	[[ "$output" == *"guest bad1: crashed its CPU (triple fault)"* ]]
	[[ "$output" == *"guest bad2: stopped: "* && "$output" == *"guest bad3: stopped: "* ]]
	[[ "$output" != *"guest bad4: exits"* ]] # it goes round for ever, and starves nobody
	[[ "$output" =~ \[good\]\ end:\ [1-9][0-9]*\ passed,\ 0\ failed ]]
	[[ "$output" =~ guest\ odd:\ 65536\ MiB\ of\ memory,\ the\ server\ has\ [0-9]+\ free ]]
}

@test "100 guests one after the other, each with a disk and a network card: the memory is back to the byte" {
	truncate -s 64K "$LAB/disk.img"
	config <<-END
		guest again
		memory 4M
		vcpus 2
		kernel guest_pio
		disk disk.img
		net
		restart 99
	END
	run server --cpus 2 --memory 256 --until 'the last guest is gone' "$HV" "$LAB/guest.cfg" "$GUESTS/guest_pio" "$LAB/disk.img"
	[ "$status" = 0 ]
	[ "$(grep -c 'end: [1-9][0-9]* passed, 0 failed' <<<"$output")" = 100 ]
	[ "${lines[-1]}" = "the last guest is gone: all of its memory is back" ]
}

@test "a config that makes no sense is one line, and no guest of it is started" {
	printf 'guest a\nmemory 16M\nkernel guest_pio\nmemry 3M\n' >"$LAB/guest.cfg"
	run server --seconds 20 --until 'unknown key' "$HV" "$LAB/guest.cfg" "$GUESTS/guest_pio"
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *'guest.cfg: line 4: unknown key: "memry"'* ]]
	[[ "$output" != *"guest a:"* ]]
}

@test "instructions of an exit and back, counted" {
	config <<-END
		guest cost
		memory 16M
		kernel guest_exit_cost
		append cpuid-most=500 port-most=1000 mmio-most=3000 lapic-most=3150 x2apic-most=1400
	END
	run server --icount --until ': exits ' "$HV" "$LAB/guest.cfg" "$GUESTS/guest_exit_cost"
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *"[cost] end: 9 passed, 0 failed"* ]]
}

@test "Debian's kernel with two vcpus, and beside it another with one: clock, disk, the network between them" {
	local kernel
	command -v busybox >/dev/null || skip "needs busybox: make setup"
	kernel=$(python3 -c "import guest_image; print(guest_image.fetch_kernel('$STRATA_LAB_CACHE')[0])") ||
		skip "there is no kernel package to be had"
	cp "$kernel" "$LAB/vmlinuz"
	printf 'on the disk' >"$LAB/disk.img"
	truncate -s 64K "$LAB/disk.img"
	python3 - "$LAB/initrd" "$(command -v busybox)" "$STRATA_LAB_CACHE" <<-'END'
		import sys, guest_image, server
		modules = guest_image.load_order(guest_image.fetch_kernel(sys.argv[3])[1], ("virtio_pci", "virtio_blk", "virtio_net"))
		server.initramfs(sys.argv[1], """#!/bin/sh
		b=/bin/busybox
		$b mount -t proc proc /proc
		$b mount -t devtmpfs dev /dev
		for m in /modules/*; do $b insmod $m; done
		echo "up: $($b nproc) CPUs, $($b grep -c hypervisor /proc/cpuinfo) told of a hypervisor"
		$b usleep 20000 && echo slept
		[ ! -e /dev/vda ] || echo "disk: $($b dd if=/dev/vda bs=11 count=1 2>/dev/null)"
		$b ip link set eth0 up
		if [ $($b nproc) = 1 ]; then
			$b ip addr add 10.0.0.1/24 dev eth0
			echo "from the other one" | $b nc -l -p 9 >/dev/null
			echo "network: answered"
		else
			$b ip addr add 10.0.0.2/24 dev eth0
			until said=$($b nc -w 5 10.0.0.1 9 </dev/null) && [ -n "$said" ]; do $b usleep 100000; done
			echo "network: $said"
		fi
		$b poweroff -f
		""".replace("\t\t", ""), sys.argv[2], modules)
	END
	config <<-END
		guest two
		memory 128M
		vcpus 2
		kernel vmlinuz
		initrd initrd
		append console=ttyS0 quiet panic=-1 mitigations=off
		disk disk.img read-only
		net
		guest one
		memory 128M
		kernel vmlinuz
		initrd initrd
		append console=ttyS0 quiet panic=-1 mitigations=off
		disk disk.img read-only
		net 02:00:00:00:00:01
	END
	run server --seconds 120 --cpus 2 --until 'the last guest is gone' "$HV" "$LAB/guest.cfg" "$LAB"/{vmlinuz,initrd,disk.img}
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *"[two] up: 2 CPUs, 2 told of a hypervisor"* ]]
	[[ "$output" == *"[one] up: 1 CPUs, 1 told of a hypervisor"* ]]
	[[ "$output" == *"[two] slept"*  && "$output" == *"[one] slept"* ]]
	[[ "$output" == *"[two] disk: on the disk"* && "$output" == *"[one] disk: on the disk"* ]]
	[[ "$output" == *"[two] network: from the other one"* && "$output" == *"[one] network: answered"* ]]
	[[ "$output" == *"the last guest is gone: all of its memory is back"* ]]
	[[ "$output" == *"guest two: powered off"* && "$output" == *"guest one: powered off"* ]]
}
