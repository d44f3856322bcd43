#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Guests of strata-hv on Bochs, which has Intel's VMX with EPT, and AMD's SVM with what QEMU's lacks. It is slow: one guest in
# make test; STRATA_LAB_LONG=1 (make soak) runs the others.
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	needs bochs-bin grub-mkrescue xorriso mformat
	export LAB=$BATS_FILE_TMPDIR GUESTS=$REPO/build/tests/guest
	export PYTHONPATH=$REPO/tests/lab PYTHONDONTWRITEBYTECODE=1
}

# server WORD...: tests/lab/bochs.py with our program, and the guests of lab.cfg from standard input
server()
{
	local options=()
	cat >"$LAB/lab.cfg"
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	run "$REPO/tests/lab/bochs.py" "${options[@]}" "$REPO/build/strata" "$LAB/lab.cfg" "${@:2}"
	echo "$output"
}

long()
{
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: STRATA_LAB_LONG=1"
}

@test "VMX: a guest, and the instructions of an exit and back, counted" {
	server --seconds 100 --until ': exits ' -- "$GUESTS/guest_exit_cost" <<-END
		guest cost
		memory 4M
		kernel guest_exit_cost
		append loops=20 cpuid-most=250 port-most=500 mmio-most=1500 lapic-most=1750 x2apic-most=700
	END
	[ "$status" = 0 ]
	[[ "$output" == *"CPU: Intel"* ]]
	[[ "$output" == *"[cost] end: 9 passed, 0 failed"* ]]
}

# Bochs's line takes 11 bytes a ms, of its own time.
@test "guests that print without end share the server's slow line, lose nothing, and one that sleeps beside them wakes in time" {
	server --seconds 100 --ips 100000000 --until '^guest halts: exits ' -- "$GUESTS/guest_share" <<-END
		guest one
		memory 4M
		kernel guest_share
		append floods=180
		guest two
		memory 4M
		kernel guest_share
		append floods=180
		guest halts
		memory 4M
		kernel guest_share
		append halts=1 ticks=200000000
	END
	[ "$status" = 0 ]
	# 200 in two seconds, and 115 lines of 17 ms each
	[[ "$output" =~ \[halts\]\ woke\ ([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 190 ]
	local name lines
	for name in one two; do
		lines=$(grep -c "^\[$name\] line " <<<"$output")
		((lines >= 50 && lines <= 75))
		[ "$(sed -n "s/^\[$name\] line \([0-9]*\) \.\{180\}$/\1/p" <<<"$output")" = "$(seq 0 $((lines - 1)))" ]
	done
}

@test "VMX: task switches, all of which exit" {
	server --seconds 100 --until ': exits ' --times 2 -- "$GUESTS/guest_tasks" <<-END
		guest tasks
		memory 32M
		kernel guest_tasks
		append all=1
		guest broken
		memory 32M
		kernel guest_tasks
		append end=1
	END
	[ "$status" = 0 ]
	[[ "$output" == *"[tasks] end: 29 passed, 0 failed"* ]]
	[[ "$output" == *"guest broken: crashed its CPU (triple fault)"* && "$output" != *FAIL* ]]
	[[ "$output" =~ "guest tasks: exits "[^$'\n']*" task "[1-9][0-9] ]]
}

@test "VMX: two guests whose TSCs have rates of their own, beside the server's" {
	local khz
	for khz in 5000 20000; do
		echo "guest clocks$khz"
		echo "memory 16M"
		echo "kernel guest_clocks"
		echo "tsc-khz $khz"
		echo "append tsc-khz=$khz"
	done >"$LAB/rates.cfg"
	server --seconds 200 --until ': exits ' --times 2 -- "$GUESTS/guest_clocks" <"$LAB/rates.cfg"
	[ "$status" = 0 ]
	passed clocks5000 clocks20000
	[[ "$output" == *"[clocks5000] ok the_tsc_has_the_rate"* && "$output" == *"[clocks20000] ok the_tsc_has_the_rate"* ]]
	[[ "$output" != *FAIL* ]]
}

@test "VMX: a rate that a CPU cannot give is refused" {
	long
	server --model corei7_ivy_bridge_3770k --until 'cannot scale' -- "$GUESTS/guest_clocks" <<-END
		guest a
		memory 16M
		kernel guest_clocks
		tsc-khz 5000
	END
	[ "$status" = 0 ]
	[[ "$output" =~ "guest a: tsc-khz 5000: this server's CPU cannot scale its TSC: without it, the guest has the server's "[0-9]+" kHz" ]]
}

# Tiger Lake announces IBPB, STIBP, IBRS_ALL, and MD_CLEAR without MDS_NO.
@test "a CPU that can is made to forget between two guests, and not at their exits" {
	local guest
	server --seconds 100 --model tigerlake --until 'the last guest is gone' -- "$GUESTS/guest_pio" < <(printf 'guest %s\nmemory 4M\nkernel guest_pio\n' a b)
	[ "$status" = 0 ]
	[[ "$output" == *"against speculation between guests: branches (IBPB), buffers (VERW), IBRS for good, STIBP for good"* ]]
	for guest in a b; do
		[[ "$output" == *"[$guest] end: 11 passed, 0 failed"* ]]
		[[ "$output" =~ guest\ $guest:\ exits\ .*\ pio\ ([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -gt 50 ]
		[[ "$output" =~ guest\ $guest:\ its\ CPU\ was\ made\ to\ forget\ ([0-9]+)\ times ]]
		((BASH_REMATCH[1] >= 1 && BASH_REMATCH[1] <= 25))
	done
	[[ "$output" == *"the last guest is gone: all of its memory is back"* ]]
}

@test "VMX turned off by the firmware is said; a CPU without what is needed, too" {
	long
	local at
	at=$(nm "$REPO/build/hypervisor/strata-hv64" | awk '$3 == "vmx_feature_check" { print "0x" $1 }')
	server --debug "lb $at" --debug c --debug 'set rdi = 1' --until 'CPU 0:' -- </dev/null
	[ "$status" = 0 ]
	[[ "$output" == *"CPU 0: VT-x (VMX) is turned off by the firmware: turn it on there"* ]]
	server --model corei5_lynnfield_750 --until 'CPU 0:' -- </dev/null
	[[ "$output" == *"CPU 0: this CPU's VMX has no unrestricted guests"* ]]
	server --model core2_penryn_t9600 --until 'CPU 0:' -- </dev/null
	[[ "$output" == *"CPU 0: this CPU's VMX has no EPT"* ]]
	server --model p4_prescott_celeron_336 --until 'CPU 0:' -- </dev/null
	[[ "$output" == *"CPU 0: this CPU has neither AMD-V (SVM) nor VT-x (VMX)"* ]]
}

@test "VMX: control registers, instructions of a hypervisor's, events that meet an exit, NMIs, steps and breakpoints" {
	long
	server --until ': exits ' -- "$GUESTS/guest_cpu" <<-END
		guest cpu
		memory 32M
		kernel guest_cpu
		append vmx=1
	END
	[ "$status" = 0 ]
	[[ "$output" == *"[cpu] end: 48 passed, 0 failed"* ]]
}

@test "VMX: guest programs: ports, devices, interrupts, a second vcpu; Ivy Bridge and Skylake" {
	long
	local model
	for model in corei7_skylake_x corei7_ivy_bridge_3770k; do
		server --model $model --cpus 2 --seconds 300 --until 'the last guest is gone' -- "$GUESTS"/guest_{pio,mmio,interrupts,smp} <<-END
			$(guests pio mmio interrupts)
			$(guests smp)
			vcpus 2
			append nmis=200
		END
		[ "$status" = 0 ]
		[[ "$output" == *"the last guest is gone: all of its memory is back"* ]]
		passed pio mmio interrupts smp
		[[ "$output" != *FAIL* ]]
	done
}

@test "VMX: a guest that trespasses gets its fault, or is stopped; the one beside it never notices" {
	long
	{
		trespassers
		printf 'guest good\nmemory 16M\nkernel guest_interrupts\n'
	} >"$LAB/trespass.cfg"
	server --seconds 400 --until ': exits ' --times 5 -- "$GUESTS"/guest_{trespass,interrupts} <"$LAB/trespass.cfg"
	[ "$status" = 0 ]
	[[ "$output" != *FAIL* ]]
	passed bad0
	[[ "$output" == *"guest bad1: crashed its CPU (triple fault)"* ]]
	[[ "$output" == *"guest bad2: stopped: the guest executes where it has no memory"* ]]
	[[ "$output" == *"guest bad3: stopped: the guest's page tables are where it has no memory"* ]]
	[[ "$output" != *"guest bad4: exits"* ]] # it goes round for ever, and starves nobody
	passed good
}

# Bochs holds interrupts back from a guest of SVM's that is entered with RFLAGS.IF clear: one vcpu each, and one CPU.
@test "SVM a second time: guest programs, and one that is stopped" {
	long
	server --model zambezi --seconds 300 --until ': exits ' --times 4 -- "$GUESTS"/guest_{pio,mmio,interrupts,trespass} <<-END
		$(guests pio mmio interrupts)
		guest bad
		memory 16M
		kernel guest_trespass
		append end=3
	END
	[ "$status" = 0 ]
	[[ "$output" == *"CPU: AMD"* ]]
	passed pio mmio interrupts
	[[ "$output" == *"guest bad: stopped: the guest's page tables are where it has no memory"* ]]
	[[ "$output" != *FAIL* ]]
}

@test "VMX: Debian's kernel with two vcpus on one CPU: to its init, a disk, and power off" {
	long
	debian_guest "" virtio_pci virtio_blk
	# its own tests of its ciphers take longer than all the rest
	server --ips 20000000 --memory 512 --seconds 600 --until 'the last guest is gone' -- "$LAB"/{vmlinuz,initrd,disk.img} <<-END
		guest two
		memory 128M
		vcpus 2
		kernel vmlinuz
		initrd initrd
		append console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests=1
		disk disk.img read-only
	END
	[ "$status" = 0 ]
	[[ "$output" == *"[two] up: 2 CPUs, 2 told of a hypervisor"* ]]
	[[ "$output" == *"[two] slept"* && "$output" == *"[two] disk: on the disk"* ]]
	[[ "$output" == *"guest two: powered off"* ]]
	[[ "$output" == *"the last guest is gone: all of its memory is back"* ]]
}
