# SPDX-License-Identifier: Apache-2.0
# The guest side without a VMM of ours: Debian's kernel and strata-init under QEMU's TCG, guest_boot.py playing the host.
# Needs QEMU and mkfs.erofs (make setup), and Debian's archive for the kernel the first time.
#   STRATA_LAB_CACHE   where the kernel is kept (build/lab)

load lab_helper

setup_file()
{
	needs qemu-system-x86_64 mkfs.erofs busybox
	[ -x "$REPO/build/strata-init" ] || skip "build/strata-init was not built"
	LAB=$(mktemp -d /tmp/strata-lab.XXXXXX)
	export LAB
	python3 "$REPO/tests/lab/guest_boot.py" prepare "$LAB" "$REPO/build/strata-init"
}

teardown_file()
{
	[ -z "${LAB:-}" ] || rm -rf "$LAB"
}

boot()
{
	timeout 600 python3 "$REPO/tests/lab/guest_boot.py" "$1" "$LAB"
}

@test "strata-init is static and below 200 KiB" {
	[ "$(stat -c %s "$REPO/build/strata-init")" -lt $((200 * 1024)) ]
	run readelf -d "$REPO/build/strata-init"
	[[ $output != *NEEDED* ]]
}

@test "a command's output, its exit status, the power off" {
	boot hello
}

@test "standard input, a signal" {
	boot input
}

@test "a volume, and a writable layer that stays" {
	boot disks
}

@test "an address, a route, names" {
	boot network
}

@test "what a workload may not, and the end of memory" {
	boot limits
}

@test "a terminal" {
	boot terminal
}

@test "a command that is not there, a host that talks nonsense" {
	boot failures
}
