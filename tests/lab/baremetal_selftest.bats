#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The self-test medium on emulated servers: QEMU's TCG (SVM); Bochs (VMX) with STRATA_LAB_LONG=1 (make soak).
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	export LAB=$BATS_FILE_TMPDIR STRATA=$REPO/build/strata
	export PYTHONPATH=$REPO/tests/lab PYTHONDONTWRITEBYTECODE=1
	needs qemu-system-x86_64
}

# server ARG...: what grub.cfg of the medium $LAB/medium loads, by QEMU itself, until the server switches itself off
server()
{
	local words modules
	words=$(sed -n 's|^\tmultiboot /boot/strata-hv ||p' "$LAB/medium/boot/grub/grub.cfg")
	modules=$(sed -n "s|^\tmodule \(/boot/[^ ]*\) .*|$LAB/medium\1|p" "$LAB/medium/boot/grub/grub.cfg" | paste -sd,)
	run timeout 600 qemu-system-x86_64 -accel tcg -cpu max -M q35 -m 256 -nodefaults -display none -no-reboot -serial stdio \
		-kernel "$LAB/medium/boot/strata-hv" -append "$words" ${modules:+-initrd "$modules"} "$@" </dev/null
	output=$(tr -d '\r\0' <<<"$output")
	echo "$output"
}

@test "the medium tests a server with two CPUs and a disk, counts, switches it off, and wrote nothing to the disk" {
	local cpu program
	"$STRATA" baremetal image -o "$LAB/medium" --self-test --words self-test=off
	python3 "$REPO/tests/lab/gpt.py" "$LAB/disk.img"
	cp "$LAB/disk.img" "$LAB/as-it-was.img"
	server -smp 2 -drive "if=none,id=n,format=raw,file=$LAB/disk.img" -device nvme,drive=n,serial=N1
	[ "$status" = 0 ]
	[[ "$output" == *"self-test: pass: guests: svm"*"self-test: SVM: nested paging"* ]]
	[[ "$output" == *"self-test: not here: SVM: "*"decode assists"* ]]
	[[ "$output" == *"self-test: pass: CPUs: 2 of 2 started"* ]]
	[[ "$output" == *"TSC by the PIT: "*"TSC by the PM timer: "*"TSC by the HPET: "* ]]
	[[ "$output" == *"self-test: disk nvme0: 64 MiB"* && "$output" == *"self-test:   partition nvme0p1: 8 MiB, boot"* ]]
	[[ "$output" == *"self-test: pass: disk nvme0: 16 pieces of 1024 KiB read twice in "* ]]
	[[ "$output" == *"CPU 1: TSC "*" ns from the first one's, "* ]]
	for cpu in 0 1; do
		for program in pio mmio interrupts clocks tasks cpu smp trespass exit-cost; do
			[[ "$output" =~ "self-test: pass: CPU $cpu, $program: ended its test; "[1-9][0-9]*" passed, 0 failed" ]]
		done
		[[ "$output" == *"self-test: not here: CPU $cpu, clocks-scaled: the CPU does not scale its TSC"* ]]
		[[ "$output" == *"self-test: pass: CPU $cpu, triple-fault: triple fault"* ]]
		[[ "$output" == *"self-test: pass: CPU $cpu, code-nowhere: was stopped"* ]]
		[[ "$output" == *"self-test: pass: CPU $cpu, tables-nowhere: was stopped"* ]]
		[[ "$output" == *"self-test: pass: CPU $cpu, endless-loop: ran on until it was killed"* ]]
		[[ "$output" =~ "self-test: CPU $cpu: TSC ticks of an exit and back: cpuid: "[1-9] ]]
	done
	[[ "$output" == *"self-test: pass: memory: all of the guests' is back"* ]]
	# the clocks of an emulator on a busy machine may be off; nothing else may
	[ "$(grep 'self-test: FAIL' <<<"$output" | grep -vc 'TSC')" = 0 ]
	[[ "${output##*$'\n'}" =~ ^"self-test: "[1-9][0-9]*" passed, "[0-3]" failed, "[1-9][0-9]*" not here"$ ]]
	cmp "$LAB/disk.img" "$LAB/as-it-was.img"
}

@test "a CPU that runs no guests, and programs that were not brought, are said and counted" {
	rm -rf "$LAB/medium"
	"$STRATA" baremetal image -o "$LAB/medium" --words self-test=off
	server
	[ "$status" = 0 ]
	[[ "$output" == *"self-test: not here: CPU 0, pio: the loader brought no strata-guest-pio"* ]]
	[[ "${output##*$'\n'}" =~ ^"self-test: "[1-9][0-9]*" passed, " ]]
	server -cpu max,-svm
	[ "$status" = 0 ]
	[[ "$output" == *"self-test: FAIL: guests: this CPU has neither AMD-V (SVM) nor VT-x (VMX)"* ]]
	[[ "$output" == *"self-test: not here: guest programs: they need a CPU that runs guests"* ]]
	[[ "${output##*$'\n'}" =~ ^"self-test: "[1-9][0-9]*" passed, "[1-9] ]]
}

@test "the report is read over the management channel: what it says on the console, to its last line" {
	local words modules qemu host=$LAB/ch.sock
	local -a strata=("$STRATA" --root "$LAB/root" --run-root "$LAB/run" --host "$host")
	rm -rf "$LAB/medium"
	"$STRATA" baremetal image -o "$LAB/medium" --self-test
	modules=$(sed -n "s|^\tmodule \(/boot/[^ ]*\) .*|$LAB/medium\1|p" "$LAB/medium/boot/grub/grub.cfg" | paste -sd,)
	qemu-system-x86_64 -accel tcg -cpu max -M q35 -m 256 -nodefaults -display none -no-reboot -serial "file:$LAB/console" \
		-kernel "$LAB/medium/boot/strata-hv" -append self-test -initrd "$modules" -device virtio-serial-pci \
		-chardev "socket,id=c,path=$host,server=on,wait=off" -device virtserialport,chardev=c,name=strata.channel </dev/null 3>&- &
	qemu=$!
	until [ -S "$host" ]; do kill -0 $qemu && sleep 0.1; done
	# it goes on until the server is gone
	timeout 300 "${strata[@]}" logs -f >"$LAB/followed" 2>"$LAB/lost" </dev/null 3>&- &
	until grep -q '^self-test: [1-9][0-9]* passed, ' "$LAB/followed"; do kill -0 $qemu && kill -0 $! && sleep 0.2; done
	"${strata[@]}" logs >"$LAB/said"
	run -125 "${strata[@]}" logs -n 3
	[ "$output" = "error: of a server's own console: --follow only" ]
	kill $qemu
	wait
	cat "$LAB/said" "$LAB/lost"
	diff <(tr -d '\r' <"$LAB/console" | grep '^self-test: ') <(grep '^self-test: ' "$LAB/said")
	cmp "$LAB/followed" "$LAB/said"
	run -125 "$STRATA" --root "$LAB/root" --run-root "$LAB/run" logs
	[[ "$output" == "error: logs: of which INSTANCE?"* ]]
}

@test "--self-test and --config exclude each other" {
	echo '{"guests": []}' >"$LAB/guests.json"
	run -125 "$STRATA" baremetal image -o "$LAB/no" --self-test --config "$LAB/guests.json"
	[ "$output" = "error: --self-test starts no guests of a --config" ]
	[ ! -e "$LAB/no" ]
}

@test "VMX: the medium tests a server that Bochs emulates" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: STRATA_LAB_LONG=1"
	needs bochs-bin
	run "$REPO/tests/lab/bochs.py" --self-test --cpus 2 --seconds 600 --until 'self-test: [0-9]+ passed' "$STRATA"
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *"self-test: pass: guests: vmx"*"self-test: VMX: "*"unrestricted guest"* ]]
	[[ "$output" =~ "CPU 1, cpu: ended its test; "[1-9][0-9]*" passed, 0 failed" ]]
	[[ "$output" =~ "CPU 1, tasks: ended its test; "[1-9][0-9]*" passed, 0 failed" ]]
	[[ "$output" =~ "CPU 1, clocks-scaled: ended its test; "[1-9][0-9]*" passed, 0 failed" ]]
	[ "$(grep 'self-test: FAIL' <<<"$output" | grep -vc 'TSC')" = 0 ]
}
