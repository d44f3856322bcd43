#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata logs: what was written, of which stream, since when; following; rotation.
load helper

setup_file() {
	strata_setup_file
	strata run --name ten --network none demo sh -c \
		'for i in 1 2 3 4 5 6 7 8 9 10; do echo "line $i"; done; echo wrong >&2' >/dev/null 2>&1
}

@test "logs gives back both streams, apart" {
	strata logs ten >"$SCRATCH/o" 2>"$SCRATCH/e"
	[ "$(wc -l <"$SCRATCH/o")" -eq 10 ]
	[ "$(tail -n 1 "$SCRATCH/o")" = "line 10" ]
	[ "$(cat "$SCRATCH/e")" = wrong ]
}

@test "--tail counts lines from the end" {
	[ "$(strata logs -n 3 ten 2>&1 | wc -l)" -eq 3 ]
	[ "$(strata logs --tail 0 ten 2>&1 | wc -l)" -eq 0 ]
	[ "$(strata logs --tail 99 ten 2>&1 | wc -l)" -eq 11 ]
	[ "$(strata logs --tail all ten 2>&1 | wc -l)" -eq 11 ]
}

@test "-t puts a time before each line; --since and --until choose by it" {
	run strata logs -t ten
	local line
	for line in "${lines[@]}"; do
		[[ $line =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z\ [lw] ]]
	done
	local last=${lines[9]%% *}
	[ "$(strata logs --since 2001-01-01T00:00:00Z ten 2>&1 | wc -l)" -eq 11 ]
	[ "$(strata logs --until 2001-01-01T00:00:00Z ten 2>&1 | wc -l)" -eq 0 ]
	[ "$(strata logs --since 1h ten 2>&1 | wc -l)" -eq 11 ]
	strata logs --since "$last" ten | grep -q "line 10"
	run strata logs --since yesterday ten
	[ "$status" -eq 125 ]
	one_line_error "since"
}

@test "-f goes on until the end, and ends with it" {
	strata run -d -i --name talk --network none demo sh -c 'echo first; read x; echo "then $x"' >/dev/null
	timeout 100 strata logs -f talk >"$SCRATCH/follow" &
	local pid=$!
	wait_until grep -q first "$SCRATCH/follow"
	echo more | timeout 100 strata attach talk
	wait "$pid"
	[ "$(cat "$SCRATCH/follow")" = $'first\nthen more' ]
	[ "$(timeout 100 strata logs -f talk)" = $'first\nthen more' ]
	strata rm talk
}

@test "an unfinished line and bytes that are no text come back as they were" {
	strata run -d --name raw --network none demo sh -c 'printf "no end"; printf "\000\377\001" >&2' >/dev/null
	strata wait raw
	[ "$(strata logs raw 2>/dev/null)" = "no end" ]
	strata logs raw 2>&1 >/dev/null | cmp - <(printf '\000\377\001')
	strata rm raw
}

@test "the log rotates at its size and keeps so many files" {
	strata run --name big --network none --log-opt max-size=20k --log-opt max-file=2 demo sh -c \
		'i=0; while [ $i -lt 3000 ]; do echo "this is line number $i"; i=$((i + 1)); done' >/dev/null
	local id n
	id=$(strata inspect big | jq -r '.[0].id')
	[ "$(cat "$STRATA_ROOT/instances/$id"/log* | wc -c)" -le 50000 ]
	[ "$(find "$STRATA_ROOT/instances/$id" -maxdepth 1 -name 'log*' | wc -l)" -eq 2 ]
	n=$(strata logs big | wc -l)
	[ "$n" -gt 100 ]
	[ "$n" -lt 3000 ]
	[ "$(strata logs big | tail -n 1)" = "this is line number 2999" ]
	[ "$(strata logs -n 1 big)" = "this is line number 2999" ]
	strata rm big
}

@test "a long log is complete and in order" {
	strata run -d --name seq --network none demo seq 1 100000 >/dev/null
	strata wait seq
	seq 1 100000 | cmp - <(strata logs seq)
	strata rm seq
}

@test "logs into head ends quietly" {
	run bash -c 'timeout 100 strata logs ten 2>/dev/null | head -n 1'
	[ "$status" -eq 0 ]
	[ "$output" = "line 1" ]
}

@test "logs of a terminal, of one that never ran, of none" {
	strata run -d -t --name tty --network none demo echo on a terminal >/dev/null
	strata wait tty
	[ "$(strata logs tty | tr -d '\r')" = "on a terminal" ]
	strata create --name idle --network none demo true >/dev/null
	run strata logs idle
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	run strata logs nosuch
	[ "$status" -eq 125 ]
	one_line_error nosuch
	strata rm tty idle
}
