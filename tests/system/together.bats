#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Commands at the same time, on the same instances: each succeeds or says in one line why not, none
# hangs, and nothing is left.
bats_require_minimum_version 1.5.0
load helper

# A seed, so that a failure can be repeated: STRATA_SEED.
setup_file()
{
	strata_setup_file
	export SEED=${STRATA_SEED:-$RANDOM}
}

# actor SEED COUNT: random verbs on three names; what is odd goes to standard output.
actor()
{
	local n name status err=$SCRATCH/actor.$1
	RANDOM=$1
	for ((n = 0; n < $2; n++)); do
		name=t$((RANDOM % 3))
		local verbs=(
			"run -d --name $name --network none demo sleep 1000"
			"run -d --name $name demo sleep 1000"
			"run --rm --name $name --network none demo true"
			"create --name $name --network none -v shared:/data demo sleep 1000"
			"start $name" "start $name" "stop -t 0 $name" "restart -t 0 $name" "kill $name"
			"rm -f $name" "rm $name" "exec $name true" "ps -a" "ps" "inspect $name"
			"rename $name t$((RANDOM % 3))" "logs $name" "pause $name" "resume $name"
			"volume rm shared" "image rm demo" "image prune -f" "network prune -f"
		)
		local verb=${verbs[RANDOM % ${#verbs[@]}]}
		status=0
		# shellcheck disable=SC2086 # words
		timeout 200 strata $verb >/dev/null 2>"$err" </dev/null || status=$?
		case $status in
		0) ;;
		124) echo "hangs: $verb" ;;
		125 | 1 | 126 | 127 | 137)
			[ "$(grep -c . "$err")" -le 1 ] || echo "$verb: more than a line: $(cat "$err")"
			! grep -Eiq 'internal|nonsense|assert|locked|EDEADLK|deadlock|constraint|malformed|No such file' "$err" ||
				echo "$verb: $(cat "$err")"
			;;
		*) echo "$verb: status $status: $(cat "$err")" ;;
		esac
	done
}

@test "four at a time, random verbs on three names" {
	local n
	strata create --name keeper --network none demo true # so that the image stays
	for n in 1 2 3 4; do
		actor "$((SEED + n))" "${STRATA_TOGETHER:-25}" >"$SCRATCH/odd.$n" 3>&- &
	done
	wait
	cat "$SCRATCH"/odd.* >"$SCRATCH/odd"
	if [ -s "$SCRATCH/odd" ]; then
		echo "seed $SEED" >&2
		cat "$SCRATCH/odd" >&2
		return 1
	fi
	[ "$(sqlite3 "$STRATA_ROOT/strata.db" 'PRAGMA integrity_check')" = ok ]
	[ -z "$(sqlite3 "$STRATA_ROOT/strata.db" 'PRAGMA foreign_key_check')" ]
	# shellcheck disable=SC2046 # one word an id
	strata rm -f $(strata ps -a -q)
	strata ps -a
	[ -z "$(ls -A "$STRATA_ROOT/instances")" ]
	[ -z "$(ls -A "$STRATA_RUN/instances")" ]
	[ "$(sqlite3 "$STRATA_ROOT/strata.db" 'SELECT count(*) FROM endpoint')" = 0 ]
}

# Those who look hold the run directory's lock for a moment; a monitor that met them said "is running already".
@test "a start while others look is not refused" {
	local n
	for n in 1 2; do
		while [ ! -e "$SCRATCH/enough" ]; do strata ps -a; done >/dev/null 2>&1 3>&- &
	done
	for n in $(seq 25); do
		strata run --rm --network none demo true || { touch "$SCRATCH/enough"; return 1; }
	done
	touch "$SCRATCH/enough"
	wait
}

# The next start used the name of a cgroup that the monitor before was about to remove.
@test "an instance that has just ended starts at once, again and again" {
	local n
	strata create --name again --network none demo true
	for n in $(seq 30); do
		run strata start again
		[ "$status" -eq 0 ] || one_line_error "again runs already" # it has not ended yet
	done
	strata rm -f again
}

# The attached command recorded whatever end it found: that of a run that somebody else had begun since.
@test "the end of one run is not taken for the end of the next" {
	strata create --name next --network none demo sh -c \
		'[ -e /second ] && exec sleep 1000; touch /second; while [ ! -e /go ]; do usleep 10000; done'
	strata start -a next 3>&- &
	local attached=$!
	wait_until strata exec next test -e /second
	kill -STOP "$attached"
	strata exec next touch /go
	strata wait next
	strata start next
	kill -CONT "$attached"
	wait "$attached"
	strata exec next true
	strata rm -f next
}

# The verb that a monitor runs last did not exist: the end waited for somebody to look.
@test "the end of what nobody is attached to is recorded, and --rm removes it, unasked" {
	strata run -d --rm --name unasked --network none demo sleep 0.2
	wait_until no_row unasked
	wait_until rmdir "$STRATA_ROOT/instances" # it is empty
	wait_until rmdir "$STRATA_RUN/instances"
}

no_row() { [ "$(sqlite3 "$STRATA_ROOT/strata.db" "SELECT count(*) FROM instance WHERE name = '$1'")" = 0 ]; }

# Its attached client is stopped and reads nothing: the end was told to nobody before all was delivered.
@test "stop ends although an attached client does not read" {
	strata create --name full --network none demo yes
	strata start -a full >"$SCRATCH/full.out" 3>&- &
	local client=$!
	wait_until test -s "$SCRATCH/full.out"
	client=$(pgrep -P "$client" -f 'start -a full' || echo "$client")
	kill -STOP "$client"
	wait_until is_stuck
	run timeout 100 strata stop -t 0 full
	kill -KILL "$client"
	[ "$status" -eq 0 ]
	strata rm -f full
}

is_stuck()
{
	local log before
	log=$(echo "$STRATA_ROOT"/instances/*/log)
	before=$(stat -c %s "$log")
	sleep 0.1
	[ "$(stat -c %s "$log")" = "$before" ]
}
