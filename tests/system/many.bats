#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many instances at a time: each runs and is listed, and when they are removed the machine is as before.
# 50 of them; STRATA_MANY=200 for more.
bats_require_minimum_version 1.5.0
load helper

setup_file()
{
	strata_setup_file
	export MANY=${STRATA_MANY:-50}
}

# many_started NETWORK: eight at a time.
many_started()
{
	seq "$MANY" | xargs -P 8 -I '{}' timeout 200 strata run -d --name 'many{}' --network "$1" \
		demo sleep 1000 >"$SCRATCH/started"
	[ "$(wc -l <"$SCRATCH/started")" -eq "$MANY" ]
	[ "$(sort -u "$SCRATCH/started" | wc -l)" -eq "$MANY" ]
}

many_listed()
{
	run timeout 200 strata ps -q
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq "$MANY" ]
}

many_removed()
{
	# shellcheck disable=SC2046 # one word an id
	timeout 300 strata rm -f $(strata ps -a -q) >/dev/null
	many_gone
}

many_gone()
{
	[ -z "$(strata ps -a -q)" ]
	[ -z "$(ls -A "$STRATA_ROOT/instances")" ]
	[ -z "$(ls -A "$STRATA_RUN/instances")" ]
	strata_leaks || { cat "$SCRATCH/leaks" >&2; return 1; }
}

# A monitor's fds do not grow with what is asked of it.
monitor_fds()
{
	find "/proc/$(strata inspect many1 | jq '[.. | .monitor_pid? // empty][0]')/fd" -mindepth 1 | wc -l
}

# What a command that has ended was heard by may be open for a moment yet.
no_more_fds() { [ "$(monitor_fds)" -le "$1" ]; }

@test "without a network: started eight at a time, listed, removed" {
	many_started none
	many_listed
	many_removed
}

@test "with a bridge: started eight at a time, listed, removed" {
	many_started bridge
	many_listed
	# Each has an address of its own.
	local n
	n=$(sqlite3 "$STRATA_ROOT/strata.db" 'SELECT count(DISTINCT address) FROM endpoint')
	[ "$n" -eq "$MANY" ]
	many_removed
	run nft list tables
	[[ $output != *strata* ]]
}

@test "removed eight at a time" {
	many_started none
	seq "$MANY" | xargs -P 8 -I '{}' timeout 200 strata rm -f 'many{}' >/dev/null
	many_gone
}

@test "a monitor holds as many fds after 50 execs, stats and logs as before" {
	strata run -d --name many1 --network none demo sleep 1000
	strata exec many1 true
	local before
	before=$(monitor_fds)
	[ "$before" -gt 0 ]
	for _ in $(seq 50); do
		strata exec many1 true
		strata logs many1
	done
	strata stats --no-stream many1
	wait_until no_more_fds "$before"
	strata rm -f many1
}
