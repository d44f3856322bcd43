#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Disks of virtual machines under a writer that is killed: what a completed flush covered stays, and a qcow2 image stays
# sound (leaked clusters are allowed). disk_killer looks after each kill, qemu-img at the end.
load helper

# 77: io_uring is denied here
killer() {
	local status=0
	timeout 500 "$(dirname "$STRATA_BIN")/tests/disk_killer" "$@" || status=$?
	[ "$status" != 77 ] || skip "io_uring is denied here"
	return "$status"
}

# qemu-img check: 0 sound, 3 leaks only
sound() {
	local status=0
	command -v qemu-img >/dev/null || return 0
	qemu-img check -q "$1" || status=$?
	[ "$status" = 0 ] || [ "$status" = 3 ]
}

@test "200 kills lose no flush of a raw disk" {
	truncate -s 8M "$SCRATCH/a.img"
	killer "$SCRATCH/a.img" raw uring 200
}

@test "200 kills lose no flush of a qcow2 disk, and leave it sound" {
	strata volume create --size 8M --format qcow2 killed
	killer "$STRATA_ROOT/volumes/killed/disk.qcow2" qcow2 uring 200
	sound "$STRATA_ROOT/volumes/killed/disk.qcow2"
	strata volume rm killed
}

@test "the same with threads, and with small clusters over a backing image" {
	command -v qemu-img >/dev/null || skip "qemu-img is not installed"
	truncate -s 8M "$SCRATCH/b.img"
	killer "$SCRATCH/b.img" raw threads 40
	truncate -s 4M "$SCRATCH/base.img"
	qemu-img create -q -f qcow2 -F raw -b base.img -o cluster_size=4k "$SCRATCH/b.qcow2" 8M
	killer "$SCRATCH/b.qcow2" qcow2 threads 40
	sound "$SCRATCH/b.qcow2"
	qemu-img create -q -f qcow2 -o cluster_size=512 "$SCRATCH/c.qcow2" 8M
	killer "$SCRATCH/c.qcow2" qcow2 threads 15
	sound "$SCRATCH/c.qcow2"
}
