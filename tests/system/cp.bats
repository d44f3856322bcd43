#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata cp: both directions, of one that runs and one that does not, with docker cp's rules.
load helper

setup_file() {
	strata_setup_file
	strata run -d --name up --network none demo sleep 1000 >/dev/null
	strata create --name down --network none demo true >/dev/null
	mkdir -p "$SCRATCH/tree/sub"
	echo one >"$SCRATCH/tree/file"
	echo two >"$SCRATCH/tree/sub/deep"
	ln -s file "$SCRATCH/tree/link"
	chmod 0751 "$SCRATCH/tree/file"
}

setup() {
	OUT=$(mktemp -d "$SCRATCH/out.XXXXXX")
}

inside() {
	timeout 100 strata cp "$1:$2" - | tar -xOf -
}

@test "a file goes in and out, under its name or another, with its mode" {
	local who
	for who in up down; do
		strata cp "$SCRATCH/tree/file" $who:/tmp
		[ "$(inside $who /tmp/file)" = one ]
		strata cp "$SCRATCH/tree/file" $who:/tmp/other
		strata cp $who:/tmp/other "$OUT/$who"
		[ "$(cat "$OUT/$who")" = one ]
		[ "$(stat -c %a "$OUT/$who")" = 751 ]
		strata cp $who:/tmp/file "$OUT"
		[ "$(cat "$OUT/file")" = one ]
	done
	[ "$(strata exec up cat /tmp/other)" = one ]
}

@test "what was copied in before the start is there after it" {
	strata create --name late --network none demo cat /data/sub/deep >/dev/null
	strata cp "$SCRATCH/tree" late:/data
	run strata start -a late
	[ "$output" = two ]
	strata rm late
}

@test "a directory becomes a new one, or goes into one that is there" {
	local who
	for who in up down; do
		strata cp "$SCRATCH/tree" $who:/new
		[ "$(inside $who /new/sub/deep)" = two ]
		strata cp "$SCRATCH/tree" $who:/new
		[ "$(inside $who /new/tree/sub/deep)" = two ]
		strata cp "$SCRATCH/tree/." $who:/tmp
		[ "$(inside $who /tmp/sub/deep)" = two ]
		strata cp $who:/new "$OUT/$who"
		[ "$(cat "$OUT/$who/tree/sub/deep")" = two ]
		[ "$(readlink "$OUT/$who/link")" = file ]
	done
}

@test "a tar on standard input and output" {
	local who
	for who in up down; do
		tar -C "$SCRATCH/tree" -cf - sub | strata cp - $who:/root
		[ "$(inside $who /root/sub/deep)" = two ]
		strata cp $who:/root/sub - | tar -tf - | grep -qx sub/deep
	done
	run sh -c 'echo no tar at all, however long it is | strata cp - up:/tmp'
	[ "$status" -ne 0 ]
	one_line_error "tar|archive"
	run sh -c "tar -C '$SCRATCH/tree' -cf - sub | strata cp - up:/nosuch"
	one_line_error "/nosuch"
}

# attributes FILE: its extended attributes, but for those that every file may have on this host
attributes() {
	python3 -c 'import os, sys
for path in sys.argv[1:]:
    print(*sorted(f"{n}={os.getxattr(path, n).hex()}" for n in os.listxattr(path) if not n.startswith("security.selinux")))' "$@"
}

@test "extended attributes go in and out: user's and capabilities, no others" {
	local who
	mkdir -p "$SCRATCH/attr"
	echo x >"$SCRATCH/attr/f"
	python3 -c 'import os, sys
d, f = sys.argv[1:]
os.setxattr(d, "user.dir", b"1")
os.setxattr(f, "user.a", b"\0\n=b")
os.setxattr(f, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
os.setxattr(f, "trusted.mine", b"1")' "$SCRATCH/attr" "$SCRATCH/attr/f" || skip "no extended attributes here"
	for who in up down; do
		strata cp "$SCRATCH/attr" "$who:/tmp/attr"
		strata cp "$who:/tmp/attr" "$OUT/$who"
		[ "$(attributes "$OUT/$who" "$OUT/$who/f")" = "user.dir=31
security.capability=0100000200200000000000000000000000000000 user.a=000a3d62" ]
	done
}

@test "links are copied; with -L what they point to" {
	strata cp "$SCRATCH/tree" up:/l
	strata cp up:/l/link "$OUT/"
	[ "$(readlink "$OUT/link")" = file ]
	strata cp -L up:/l/link "$OUT/followed"
	[ "$(cat "$OUT/followed")" = one ]
	[ ! -L "$OUT/followed" ]
}

@test "an inside link to a host path stays inside" {
	strata exec up ln -s "$SCRATCH" /tmp/trap
	run strata cp "$SCRATCH/tree/file" up:/tmp/trap/escaped
	[ ! -e "$SCRATCH/escaped" ]
	strata exec up ln -s "$SCRATCH/tree/file" /tmp/leak
	run strata cp -L up:/tmp/leak "$OUT/leaked"
	[ "$status" -ne 0 ]
	[ ! -e "$OUT/leaked" ]
}

@test "into a volume of a running instance" {
	strata run -d --name vol -v cpvol:/v --network none demo sleep 1000 >/dev/null
	strata cp "$SCRATCH/tree/file" vol:/v/
	[ "$(strata run --rm -v cpvol:/x --network none demo cat /x/file)" = one ]
	strata rm -f vol
	strata volume rm cpvol
}

@test "a directory does not take the place of a file" {
	local who
	for who in up down; do
		echo mine >"$OUT/file"
		strata cp "$OUT/file" $who:/plain
		ln -sf nowhere "$OUT/dangling"
		for to in file dangling; do
			for from in /etc /etc/.; do
				run strata cp $who:$from "$OUT/$to"
				[ "$status" = 125 ]
				one_line_error "copy to $OUT/$to: a directory cannot take the place of what is there"
			done
		done
		[ "$(cat "$OUT/file")" = mine ]
		[ "$(readlink "$OUT/dangling")" = nowhere ]
		run strata cp "$SCRATCH/tree" $who:/plain
		[ "$status" = 125 ]
		one_line_error "copy to /plain: a directory cannot take the place of what is there"
		[ "$(inside $who /plain)" = mine ]
		strata cp "$SCRATCH/tree/link" $who:/plain # no directory, and replaced as ever
	done
}

@test "an empty path of the host is not the current directory" {
	cd "$OUT"
	touch here
	run strata cp "" up:/tmp
	[ "$status" = 125 ]
	one_line_error "path of the host is empty"
	run strata cp up:/etc/passwd ""
	[ "$status" = 125 ]
	one_line_error "path of the host is empty"
	[ "$(ls)" = here ]
	run strata exec up find /tmp -name here
	[ -z "$output" ]
}

@test "what cannot be is one line" {
	local from to
	while read -r from to; do
		run strata cp "$from" "$to"
		[ "$status" -ne 0 ]
		one_line_error "nosuch|no such|must be|no path"
	done <<-END
		up:/nosuch $OUT
		$SCRATCH/nosuch up:/tmp
		up:/etc/passwd $OUT/nosuch/file
		$SCRATCH/tree/file up:/nosuch/dir/file
		nosuch:/etc/passwd $OUT
		up:/etc/passwd down:/tmp
		up: $OUT
	END
	run strata cp up:/nosuch "$OUT"
	[[ $output == *"/nosuch"* ]]
	[ -z "$(ls "$OUT")" ]
}
