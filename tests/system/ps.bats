#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata ps: what it lists, in which order, and its filters.
load helper

setup_file() {
	strata_setup_file
	strata run -d --name run1 -l env=prod -l tier=web --network none demo sleep 1000 >/dev/null
	strata create --name made -l env=test --network none demo true >/dev/null
	strata run --name bad --network none demo sh -c 'exit 3' || true
	strata run --name good -l env=prod --network none demo true
	strata run -d --name held --network none demo sleep 1000 >/dev/null
	strata pause held >/dev/null
}

# names FLAG...: what ps lists, in order
names() {
	strata ps -f json "$@" | jq -r '.[].name' | tr '\n' ' '
}

@test "ps lists what runs, -a all, newest first" {
	[ "$(names)" = "held run1 " ]
	[ "$(names -a)" = "held good bad made run1 " ]
	[ "$(names -n 2)" = "held good " ]
	[ "$(names -l)" = "held " ]
	[ "$(strata ps -aq | wc -l)" -eq 5 ]
	[ "$(strata ps -q --no-trunc | head -n 1 | wc -c)" -eq 65 ]
}

@test "the table has a header and a line each, with the state" {
	run strata ps -a
	[ "${#lines[@]}" -eq 6 ]
	[[ ${lines[0]} == INSTANCE*IMAGE*COMMAND*STATUS*NAMES* ]]
	[[ ${lines[1]} == *demo*sleep*Paused*held* ]]
	[[ $output == *"Exited (3)"*bad* ]]
	[[ $output == *Created*made* ]]
}

@test "filters: name, status, label, exited, ancestor, id" {
	[ "$(names -a --filter name=oo)" = "good " ]
	[ "$(names -a --filter status=exited)" = "good bad " ]
	[ "$(names --filter status=created)" = "made " ]
	[ "$(names --filter status=paused)" = "held " ]
	[ "$(names -a --filter label=env=prod)" = "good run1 " ]
	[ "$(names -a --filter label=env)" = "good made run1 " ]
	[ "$(names -a --filter label=env=prod --filter label=tier=web)" = "run1 " ]
	[ "$(names -a --filter exited=3)" = "bad " ]
	[ "$(names -a --filter ancestor=demo | wc -w)" -eq 5 ]
	[ "$(names -a --filter ancestor=other | wc -w)" -eq 0 ]
	[ "$(names -a --filter id="$(strata inspect bad | jq -r '.[0].id[0:12]')")" = "bad " ]
}

@test "a filter that is none is one line" {
	run strata ps --filter colour=red
	[ "$status" -eq 125 ]
	one_line_error "colour"
	run strata ps --filter status=happy
	[ "$status" -eq 125 ]
	one_line_error "happy"
}

@test "ps into head ends quietly" {
	run bash -c 'strata ps -a 2>&1 | head -n 1'
	[[ $output == INSTANCE* ]]
}

@test "a filtered list is a table too (it crashed: the columns are not in what filters read)" {
	strata ps -a --filter name=good >"$SCRATCH/filtered"
	strata ps -a | grep -E '^INSTANCE| good ' | sed 's/  */ /g' >"$SCRATCH/whole"
	[ "$(wc -l <"$SCRATCH/filtered")" -eq 2 ]
	[ "$(awk '{print $1, $2}' "$SCRATCH/filtered")" = "$(awk '{print $1, $2}' "$SCRATCH/whole")" ]
}
