#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Volumes: named and anonymous ones, who uses them, and what fills a new one.
load helper

in_demo() {
	timeout 100 strata run --rm --network none "$@"
}

@test "a named volume outlives its instances" {
	in_demo -v data:/d demo sh -c 'echo kept >/d/f'
	[ "$(in_demo --mount type=volume,src=data,dst=/d demo cat /d/f)" = kept ]
	run in_demo -v data:/d:ro demo sh -c 'echo x >/d/g'
	[ "$status" -ne 0 ]
	strata volume inspect data | jq -e '.[0].name == "data" and .[0].anonymous == false'
	strata volume rm data
}

@test "create, list, labels, rm" {
	[ "$(strata volume create -l k=v mine)" = mine ]
	strata volume list -f json | jq -e '.[] | select(.name == "mine")'
	strata volume inspect mine | jq -e '.[0].labels.k == "v"'
	run strata volume create mine
	[ "$status" -eq 0 ] || one_line_error "exists"
	run strata volume create 'a/b'
	[ "$status" -eq 125 ]
	one_line_error "a/b"
	strata volume rm mine
	run strata volume rm mine
	one_line_error "mine"
}

@test "a volume in use is not removed, and the user is named" {
	strata create --name holder -v held:/d --network none demo true >/dev/null
	run strata volume rm held
	[ "$status" -eq 125 ]
	one_line_error "in use"
	strata volume prune --force --all 2>/dev/null || strata volume prune --force
	strata volume inspect held >/dev/null
	strata rm holder
	strata volume rm held
}

@test "anonymous volumes go with --rm and rm -v, and stay with rm" {
	in_demo -v /anon demo touch /anon/x
	[ -z "$(strata volume ls -q)" ]
	strata create --name a -v /anon --network none demo true >/dev/null
	[ "$(strata volume ls -q | wc -l)" -eq 1 ]
	strata rm -v a
	[ -z "$(strata volume ls -q)" ]
	strata create --name a -v /anon --network none demo true >/dev/null
	strata rm a
	[ "$(strata volume ls -q | wc -l)" -eq 1 ]
	strata volume prune --force
	[ -z "$(strata volume ls -q)" ]
}

@test "a failed create leaves no anonymous volume" {
	strata create --name taken --network none demo true >/dev/null
	run strata create --name taken -v /anon --network none demo true
	[ "$status" -eq 125 ]
	[ -z "$(strata volume ls -q)" ]
	strata rm taken
}

@test "a new volume was empty where the image has files" {
	[ "$(in_demo -v fill:/etc demo cat /etc/issue)" = "$(cat "$DEMO_ROOTFS/etc/issue")" ]
	[ "$(in_demo -v fill:/x demo cat /x/issue)" = "$(cat "$DEMO_ROOTFS/etc/issue")" ]
	strata volume rm fill
}

@test "a filled volume has the directory's owner and mode" {
	in_demo -v fill:/tmp demo stat -c '%a %u' /tmp >"$SCRATCH/inside"
	in_demo demo stat -c '%a %u' /tmp | cmp - "$SCRATCH/inside"
	strata volume rm fill
}

@test "a volume that holds anything is not filled, nor is one with nocopy" {
	in_demo -v own:/d demo touch /d/mine
	run in_demo -v own:/etc demo sh -c 'ls /etc/mine /etc/issue'
	[[ $output == */etc/mine* ]]
	[[ $output == *"/etc/issue: No such"* ]]
	run in_demo --mount type=volume,src=bare,dst=/etc,volume-nocopy demo cat /etc/issue
	[ "$status" -ne 0 ]
	strata volume rm own bare
}

@test "a fill that was killed begins anew" {
	in_demo -v half:/etc demo true
	local home
	home=$(dirname "$(strata volume inspect half | jq -r '.[0].path')")
	rm "$home/data/issue"
	: >"$home/filling"
	[ "$(in_demo -v half:/etc demo cat /etc/issue)" = "$(cat "$DEMO_ROOTFS/etc/issue")" ]
	[ ! -e "$home/filling" ]
	strata volume rm half
}

@test "an image's VOLUME is made and filled for each instance" {
	strata image import -q -c 'VOLUME /etc' "$DEMO_ROOTFS" withvol >/dev/null
	strata create --name v --network none withvol cat /etc/issue >/dev/null
	[ "$(strata volume ls -q | wc -l)" -eq 1 ]
	run strata start -a v
	[ "$output" = "$(cat "$DEMO_ROOTFS/etc/issue")" ]
	strata rm -v v
	[ -z "$(strata volume ls -q)" ]
	strata image rm withvol
}

@test "two instances share a volume as they run" {
	strata run -d --name w -v both:/d --network none demo sh -c 'while :; do [ -e /d/ask ] && echo yes >/d/answer; sleep 0.05; done' >/dev/null
	in_demo -v both:/d demo touch /d/ask
	wait_until strata exec w test -s /d/answer
	strata rm -f w
	strata volume rm both
}

@test "a disk volume: create, list, inspect, resize, rm" {
	[ "$(strata volume create --size 10g disk)" = disk ]
	strata volume create --size 20m --format qcow2 -l k=v cow
	strata volume inspect disk | jq -e '.[0].kind == "raw" and .[0].size_bytes == 10737418240'
	strata volume inspect cow | jq -e '.[0].kind == "qcow2" and .[0].size_bytes == 20971520 and .[0].labels.k == "v"'
	strata volume ls | grep -E '^cow +qcow2 +2[01](\.[0-9]+)?MB '
	# Sparse.
	[ "$(du -k "$(strata volume inspect disk | jq -r '.[0].path')" | cut -f1)" -lt 1000 ]
	[ "$(strata volume resize disk 12g)" = disk ]
	strata volume inspect disk | jq -e '.[0].size_bytes == 12884901888'
	strata volume resize cow 1t
	strata volume inspect cow | jq -e '.[0].size_bytes == 1099511627776'
	run strata volume resize disk 1g
	[ "$status" -eq 125 ]
	one_line_error "can only grow"
	run strata volume create --size 1g cow
	one_line_error "exists"
	strata volume rm disk cow
	[ -z "$(strata volume ls -q)" ]
	[ -z "$(ls "$STRATA_ROOT/volumes")" ]
}

# poke FILE OFFSET BYTES: as printf writes them
poke()
{
	printf "%b" "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# qemu FILE: what qemu-img check's status says of it
qemu()
{
	command -v qemu-img >/dev/null || return "$2"
	qemu-img check -q "$1"
}

@test "check finds in a qcow2 disk what qemu-img finds, and repairs what can be" {
	strata volume create --size 20m --format qcow2 cow
	local path counts=$((2 * 65536))
	path=$(strata volume inspect cow | jq -r '.[0].path')
	run strata volume check cow
	[ "$status" = 0 ]
	[ "$output" = "cow: sound" ]
	# Header, refcount table, refcount block, L1: a fifth cluster is counted, and nothing's.
	truncate -s 448K "$path"
	poke "$path" $((counts + 2 * 5)) '\0\1\0\1'
	run qemu "$path" 3
	[ "$status" = 3 ]
	run strata volume check cow
	[ "$status" = 1 ]
	[ "${lines[0]}" = "cow: 2 leaked clusters at 0x50000" ]
	[ "${#lines[@]}" = 2 ]
	[[ ${lines[1]} == "cow: usable: --repair"* ]]
	run strata volume check --repair cow
	[ "$status" = 0 ]
	[ "${lines[0]}" = "cow: 2 leaked clusters at 0x50000" ]
	[ "${lines[1]}" = "cow: repaired" ]
	run qemu "$path" 0
	[ "$status" = 0 ]
	# Its L1 table is counted as free.
	poke "$path" $((counts + 2 * 3)) '\0\0'
	run qemu "$path" 2
	[ "$status" = 2 ]
	run strata volume check cow
	[ "$status" = 2 ]
	[[ ${lines[0]} == *"refcount that is too low"*"0x30000" ]]
	[[ ${lines[1]} == *"before --repair"* ]]
	run strata volume check --repair cow
	[ "$status" = 0 ]
	run qemu "$path" 0
	[ "$status" = 0 ]
	# Not closed, and marked as damaged.
	poke "$path" 79 '\3'
	run strata volume check cow
	[ "$status" = 2 ]
	[ "${#lines[@]}" = 3 ]
	strata volume check --repair cow
	[ "$(strata volume check cow)" = "cow: sound" ]
	# A table that leads nowhere is nothing to guess at.
	poke "$path" $((3 * 65536)) '\x80\0\0\0\x7f\xff\0\0'
	run strata volume check --repair cow
	[ "$status" = 2 ]
	[[ ${lines[0]} == *"past the end of the file"* ]]
	[[ ${lines[1]} == "cow: damaged"* ]]
	strata volume rm cow
}

@test "check: what is no qcow2 disk, or in use" {
	strata volume create --size 1m disk
	strata volume create dir
	[[ $(strata volume check disk) == "disk: a raw disk"* ]]
	run strata volume check dir
	[ "$status" = 125 ]
	one_line_error 'is a directory'
	run strata volume check none
	[ "$status" = 125 ]
	one_line_error 'no such volume'
	strata volume create --size 1m --format qcow2 cow
	python3 -c '
import fcntl, struct, sys, time
disk = open(sys.argv[1], "r+b")
fcntl.fcntl(disk, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
print("held", flush=True)
time.sleep(600)' "$(strata volume inspect cow | jq -r '.[0].path')" >"$SCRATCH/held" 3>&- &
	local pid=$!
	wait_until test -s "$SCRATCH/held"
	run strata volume check cow
	kill "$pid"
	[ "$status" = 125 ]
	one_line_error 'volume cow is in use: stop'
	strata volume rm disk dir cow
}

@test "wrong uses of disk volumes are one line each" {
	run strata volume create --format qcow2 x
	[ "$status" -eq 125 ]
	one_line_error "--size"
	run strata volume create --size 1g --format vmdk x
	one_line_error "vmdk"
	run strata volume create --size 0 x
	one_line_error "--size"
	run strata volume create --size much x
	one_line_error "much"
	run strata volume resize none 1g
	one_line_error "none"
	strata volume create dir
	run strata volume resize dir 1g
	one_line_error "is a directory"
	strata volume create --size 1m disk
	run in_demo -v disk:/d demo true
	[ "$status" -eq 125 ]
	one_line_error "virtual machine's disk"
	strata volume rm dir disk
	[ -z "$(strata volume ls -q)" ]
}

@test "a machine's disk is a volume by name, which is in use meanwhile" {
	strata volume create --size 1m disk
	strata volume create dir
	run strata create --virt hybrid --network none --kernel /bin/true --disk none
	[ "$status" -eq 125 ]
	one_line_error "neither a file nor a volume"
	run strata create --virt hybrid --network none --kernel /bin/true --disk dir
	one_line_error "is a directory"
	strata create --name vm --virt hybrid --network none --kernel /bin/true --disk disk,ro
	strata inspect vm | jq -e '.[0].vm.disks[0].format == "raw" and .[0].vm.disks[0].volume == "disk"'
	run strata volume rm disk
	one_line_error "in use"
	strata rm vm
	strata volume rm disk dir
}
