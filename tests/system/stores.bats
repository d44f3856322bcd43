#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Several stores (--root) on one host: what they share is the host's, and each has its own of it. Networks: network_lib.bats.
load helper

setup()
{
	RECORDS=/var/lib/strata-ids
	mkdir -p -m 700 "$RECORDS"
	OTHER=$(mktemp -d "$SCRATCH/other.XXXXXX")
	cp -a "$STRATA_TEST_SHARED/root" "$OTHER/root"
}

teardown()
{
	local ids
	strata_remove_all
	[ ! -d "$OTHER" ] || ids=$(other ps -a -q)
	# shellcheck disable=SC2086 # one word an id
	[ -z "${ids:-}" ] || other rm -f $ids >/dev/null
	rm -rf "$OTHER"
}

other() { "$STRATA_BIN" --root "$OTHER/root" --run-root "$OTHER/run" "$@"; }
# mapped COMMAND NAME [OPTION]...: an instance of that store, which is not started
mapped() { "$1" create --name "$2" --network none --userns auto "${@:3}" demo true; }
# first STORE NAME [uid|gid]: of its ids
first() { "$1" inspect "$2" | jq -e ".. | .${3:-uid}_map? // empty | .[0].outside" | head -1; }
# recorded ROOT: what the other stores are told of that one
recorded() { grep -hsF "\"$1\"" "$RECORDS"/*; }
# apart ID...: no two of these first ids have one in common
apart()
{
	printf '%s\n' "$@" | sort -n | awk 'NR > 1 && $1 < last + 65536 { exit 1 } { last = $1 }' ||
		{ echo "they overlap: $*" >&2; return 1; }
}

@test "--userns auto: an id is nobody's in two stores, whether its instance runs or not" {
	mapped strata one
	mapped other one
	mapped strata two
	apart "$(first strata one)" "$(first other one)" "$(first strata two)"
	apart "$(first strata one gid)" "$(first other one gid)" "$(first strata two gid)"
	# those that a user gave, too
	local next=$(($(first strata two) + 65536))
	other create --name given --network none --uidmap "0:$((next + 1000)):65536" --gidmap "0:$((next + 1000)):65536" demo true
	mapped strata three
	apart "$(first strata one)" "$(first other one)" "$(first strata two)" "$((next + 1000))" "$(first strata three)"
	# and it can be used
	[ "$(strata run --rm --network none --userns auto demo id -u)" = 0 ]
}

@test "--userns auto: stores that choose at once choose apart" {
	local pids=() i ids=()
	for i in 1 2 3 4; do
		mapped strata "at$i" 3>&- &
		pids+=($!)
		mapped other "at$i" 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	for i in 1 2 3 4; do ids+=("$(first strata "at$i")" "$(first other "at$i")"); done
	[ "${#ids[@]}" = 8 ]
	apart "${ids[@]}"
}

@test "--userns auto: ids of an instance or a store that is gone are free" {
	local gone
	mapped strata one
	mapped strata two
	gone="\"outside\":$(first strata two),"
	[[ $(recorded "$STRATA_ROOT") == *"$gone"* ]]
	strata rm two
	[[ $(recorded "$STRATA_ROOT") != *"$gone"* ]]
	mapped other one
	[ -n "$(recorded "$OTHER/root")" ]
	rm -rf "$OTHER"
	mapped strata three
	[ -z "$(recorded "$OTHER/root")" ]
	strata rm one three
	[ -z "$(recorded "$STRATA_ROOT")" ]
}

@test "--userns auto: what /etc/subuid gives to ordinary users is not taken" {
	echo "somebody:$((0x70000000)):131072" >"$OTHER/subid"
	touch /etc/subuid /etc/subgid
	# shellcheck disable=SC2016 # sh's
	unshare -m sh -c 'mount --bind "$1" /etc/subuid && mount --bind "$1" /etc/subgid &&
		exec "$2" --root "$3" --run-root "$4" create --name one --network none --userns auto demo true' \
		- "$OTHER/subid" "$STRATA_BIN" "$STRATA_ROOT" "$STRATA_RUN"
	apart $((0x70000000)) $((0x70010000)) "$(first strata one)"
	apart $((0x70000000)) $((0x70010000)) "$(first strata one gid)"
}

@test "--userns auto: a record that cannot be read is named, and nothing is made" {
	mkdir "$OTHER/records"
	echo "{" >"$OTHER/records/$(printf '%064d' 0)"
	# shellcheck disable=SC2016 # sh's
	run unshare -m sh -c 'mount --bind "$1" "$2" && exec "$3" --root "$4" --run-root "$5" create --name bad --userns auto demo true' \
		- "$OTHER/records" "$RECORDS" "$STRATA_BIN" "$STRATA_ROOT" "$STRATA_RUN"
	one_line_error "$RECORDS/0000"
	[ -z "$(strata ps -a -q)" ]
}
