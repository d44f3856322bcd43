#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The machine and its devices without an operating system under them: tests/bare builds the freestanding rooms into
# an image, which is host and driver in one. QEMU's TCG is the computer; nothing of ours runs on this host.

bats_require_minimum_version 1.5.0
REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

setup_file()
{
	local build=${STRATA_BIN:-$REPO/build/strata}
	export BARE=${build%/*}/tests/bare/bare
	export OUTPUT=$BATS_FILE_TMPDIR/output STATUS=$BATS_FILE_TMPDIR/status
	local status=0
	timeout 200 qemu-system-x86_64 -accel tcg -M q35 -m 64 -nodefaults -display none -no-reboot \
		-device isa-debug-exit,iobase=0xf4,iosize=1 -serial stdio -kernel "$BARE" \
		</dev/null >"$OUTPUT" 2>&1 || status=$?
	echo "$status" >"$STATUS"
}

@test "every device of the machine is driven without an operating system" {
	cat "$OUTPUT"
	run ! grep -E '^(FAIL|.*not so)' "$OUTPUT"
	[ "$(cat "$STATUS")" = 1 ] # isa-debug-exit: twice what was written, plus one
	[ "$(sed -n 's/^ok //p' "$OUTPUT" | sort | xargs)" = \
		"acpi boot broken-ring core cpuid debug-exit fwcfg i8042 intx ioapic lapic pci pic pit pm rtc serial testdevs virtio-balloon virtio-blk virtio-console virtio-net virtio-rng virtio-vsock" ]
	tail -n 1 "$OUTPUT" | grep -E '^end: [0-9]+ passed, 0 failed'
}

@test "the image wants nothing of a C library" {
	run -0 nm --undefined-only "$BARE"
	[ -z "$output" ]
	run ! grep -q INTERP <(readelf -l "$BARE")
}

@test "every object of the freestanding rooms is in it" {
	local object
	readelf -sW "$BARE" >"$BATS_TEST_TMPDIR/symbols"
	while read -r object; do
		grep -qE "FILE .* $(basename "$object")\$" "$BATS_TEST_TMPDIR/symbols" || {
			echo "$object is not linked"
			return 1
		}
	done < <(find "$REPO/src/x86" "$REPO/src/machine" "$REPO/src/devices" -name '*.c')
}
