#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata baremetal disk: a server's disk and its extents, on an image; what is refused is one line and 125.
bats_require_minimum_version 1.5.0

setup() {
	STRATA=${STRATA:-$BATS_TEST_DIRNAME/../../build/strata}
	DIR=$(mktemp -d /tmp/disk-bats-XXXXXX)
	DISK=$DIR/server.img
	truncate -s 32M "$DISK"
}

teardown() {
	rm -rf "$DIR"
}

disk() {
	"$STRATA" baremetal disk "$@"
}

# refused TEXT WORD...: one line that has the text, and the disk stays as it is
refused() {
	local want=$1 before
	shift
	before=$(md5sum <"$DISK")
	run -125 disk "$@"
	[ "${#lines[@]}" = 1 ] && [[ $output == error:*"$want"* ]] || { echo "$*: $output"; false; }
	[ "$(md5sum <"$DISK")" = "$before" ]
}

@test "extents are added, listed and removed" {
	head -c 1500000 /dev/urandom >"$DIR/root.img"
	[ "$(disk format "$DISK")" = "$DISK" ]
	[ "$(disk add "$DISK" web --from "$DIR/root.img")" = web ]
	disk add "$DISK" logs 3m
	disk add --read-only "$DISK" shared 1
	run -0 disk ls "$DISK"
	[[ ${lines[0]} =~ ^NAME\ +SIZE\ +START\ +ACCESS$ ]]
	[[ ${lines[1]} =~ ^web\ +2\ MiB\ +1\ MiB\ +read-write$ ]]
	[[ ${lines[3]} =~ ^shared\ +1\ MiB\ +6\ MiB\ +read-only$ ]]
	cmp -n 1500000 -i $((2 * 1048576)):0 "$DISK" "$DIR/root.img"
	[ "$(disk rm "$DISK" logs web)" = $'logs\nweb' ]
	[ "$(disk ls -f json "$DISK" | jq -c .)" = '[{"name":"shared","size_bytes":1048576,"start_bytes":6291456,"read_only":true}]' ]
	# what was web's is nobody's to read
	disk add "$DISK" new 8m
	[ "$(disk ls -f json "$DISK" | jq -r '.[] | select(.name == "new").start_bytes')" = 7340032 ]
	disk add "$DISK" low 5m
	[ -z "$(dd if="$DISK" bs=1M skip=2 count=5 status=none | tr -d '\0')" ]
}

@test "what cannot be is one line, and the disk stays as it is" {
	refused 'no GUID partition table' ls "$DISK"
	refused 'no GUID partition table' add "$DISK" a 1m
	refused '512 or 4096' format --sector-size 1000 "$DISK"
	disk format "$DISK"
	refused 'has a partition table' format "$DISK"
	refused 'needs a SIZE' add "$DISK" a
	refused 'needs a SIZE' add "$DISK" a 0
	refused 'no extent' add "$DISK" a/b 1m
	refused 'no extent' add "$DISK" a234567890123456789012345 1m
	refused 'smaller' add "$DISK" a 1t
	refused 'no free piece' add "$DISK" a 30m
	refused 'there is no extent a' rm "$DISK" a
	refused 'No such file' add "$DISK" a 1m --from "$DIR/absent"
	refused 'the server'"'"'s disk itself' add "$DISK" a --from "$DISK"
	refused 'neither a file nor a block device' ls "$DIR"
	refused 'No such file' ls "$DIR/absent"
	printf X | dd of="$DISK" bs=1 seek=$((1048576 + 9)) conv=notrunc status=none
	run --separate-stderr -0 disk ls "$DISK"
	[[ $stderr == *"warning: "*"copy 0 of the table is refused"* ]]
	printf X | dd of="$DISK" bs=1 seek=$((1048576 + 524288 + 9)) conv=notrunc status=none
	refused 'neither copy of the table is good' add "$DISK" a 1m
}
