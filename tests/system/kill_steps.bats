#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# SIGKILL at every step of a command, or of the process that does its work: whatever is left, the next
# ordinary commands list it, start it, remove it, and then nothing is left.
# Here every third step; all of them with STRATA_KILL_ALL=1.
bats_require_minimum_version 1.5.0
load helper

setup_file()
{
	strata_setup_file
	export KILL_STEP=${STRATA_BIN%/*}/tests/kill_step
	[ -x "$KILL_STEP" ] || { echo "there is no $KILL_STEP: run make" >&2; return 1; }
}

# whole COMMAND...: it ends in time; with success, or one line that says why not.
whole()
{
	local status=0
	timeout 100 "$@" >"$SCRATCH/out" 2>"$SCRATCH/err" </dev/null || status=$?
	[ "$status" -ne 124 ] || { echo "hangs: $*" >&2; return 1; }
	[ "$status" -lt 128 ] || { echo "died of signal $((status - 128)): $*" >&2; return 1; }
	[ "$status" -eq 0 ] || [ "$(grep -c '^error: ' "$SCRATCH/err")" = 1 ] ||
		{ echo "status $status, and not one line: $*" >&2; cat "$SCRATCH/err" >&2; return 1; }
	return "$status"
}

# must COMMAND...: it succeeds.
must()
{
	whole "$@" || { echo "failed: $*" >&2; cat "$SCRATCH/err" >&2; return 1; }
}

# may COMMAND...: it may fail, in its one line.
may()
{
	whole "$@" && return 0
	[ -s "$SCRATCH/err" ] || return 1
	grep -q '^error: ' "$SCRATCH/err"
}

# Every id there has been, for cgroups carry them.
ids_ever()
{
	jq -r '.id' "$STRATA_ROOT/events" | sort -u
}

nothing_left()
{
	local id dir
	for dir in "$STRATA_ROOT/instances" "$STRATA_RUN/instances" "$STRATA_ROOT/tmp"; do
		if [ -d "$dir" ] && [ -n "$(ls -A "$dir")" ]; then
			echo "left in $dir:" >&2
			ls -A "$dir" >&2
			return 1
		fi
	done
	for id in $1; do
		set -- /sys/fs/cgroup/strata-"$id" /sys/fs/cgroup/*/strata-"$id"
		for dir; do
			[ ! -d "$dir" ] || { echo "cgroup left: $dir" >&2; return 1; }
		done
	done
	# It ends once it has told who waited.
	wait_until no_process || { pgrep -af "strata-monitor.*$STRATA_RUN" >&2; return 1; }
}

no_process() { ! pgrep -f "strata-monitor.*$STRATA_RUN"; }

# The next commands: each ends, and after them there is nothing.
survivors()
{
	local ids
	must strata ps -a
	may strata start k
	may strata rm -f k
	must strata ps -a -q
	# shellcheck disable=SC2046 # one word an id
	[ ! -s "$SCRATCH/out" ] || must strata rm -f $(cat "$SCRATCH/out")
	must strata ps -a -q
	[ ! -s "$SCRATCH/out" ] || { echo "still listed: $(cat "$SCRATCH/out")" >&2; return 1; }
	must strata image prune -f
	ids=$(ids_ever)
	nothing_left "$ids"
}

# steps PREPARE FLAGS... -- COMMAND...: with each step in turn the last. MONITOR in the flags is its pid.
steps()
{
	local prepare=$1 n status after word
	shift
	for ((n = 1; ; n += ${STRATA_KILL_ALL:+-2} + 3)); do
		"$prepare" || { echo "before step $n: $prepare failed" >&2; return 1; }
		local flags=()
		for word; do
			[ "$word" != MONITOR ] || word=$(strata inspect k | jq -r '.. | .monitor_pid? // empty' | head -1)
			flags+=("$word")
		done
		status=0
		timeout 200 "$KILL_STEP" "$n" "${flags[@]}" >"$SCRATCH/step" 2>"$SCRATCH/step.err" \
			</dev/null || status=$?
		# Not in a condition: there "set -e" would be off.
		set +e
		(set -e; [ "$status" -le 1 ]; "${AFTER:-survivors}")
		after=$?
		set -e
		if [ "$after" -ne 0 ]; then
			echo "step $n of $*: $(cat "$SCRATCH/step")" >&2
			cat "$SCRATCH/step.err" >&2
			return 1
		fi
		[ "$status" -eq 0 ] || break
	done
	[ "$n" -gt 1 ] || { echo "it made no step: $(cat "$SCRATCH/step")" >&2; return 1; }
	# The last round killed nobody.
	grep -q '^survived [1-9]' "$SCRATCH/step" || { cat "$SCRATCH/step" >&2; return 1; }
}

nothing() { :; }
created() { must strata create --name k --network none demo sleep 1000; }
created_bridge() { must strata create --name k -p 18080:80 demo sleep 1000; }
running() { must strata run -d --name k --network none demo sleep 1000; }
running_bridge() { must strata run -d --name k -p 18080:80 demo sleep 1000; }
stopped() { running && must strata stop -t 0 k; }

@test "create, killed at every step" {
	steps nothing -- strata create --name k --network none -v /anonymous demo true
	must strata volume prune -f
}

@test "start, killed at every step" {
	steps created -- strata start k
}

@test "start, its monitor killed at every step" {
	steps created -e "strata-monitor run" -- strata start k
}

@test "start with a network and a port, killed at every step" {
	steps created_bridge -- strata start k
}

@test "start with a network and a port, its monitor killed at every step" {
	steps created_bridge -e "strata-monitor run" -- strata start k
}

@test "run --rm, killed at every step" {
	steps nothing -- strata run --rm --name k --network none demo true
}

@test "run --rm, its monitor killed at every step" {
	steps nothing -e "strata-monitor run" -- strata run --rm --name k --network none demo true
}

# Nobody looks: the kernel itself ends what the killed one was the parent of.
no_orphans()
{
	grep -q '^survived' "$SCRATCH/step" || wait_until none_inside "${INSIDE:-0}" ||
		{ echo "still in its cgroup" >&2; return 1; }
	survivors
}

# none_inside N: no more than N processes are in the cgroups of any instance there has been
none_inside()
{
	local id procs n
	for id in $(ids_ever); do
		for procs in /sys/fs/cgroup/strata-"$id"/cgroup.procs /sys/fs/cgroup/*/strata-"$id"/cgroup.procs; do
			n=$(cat "$procs" 2>/dev/null | wc -l)
			[ "$n" -le "$1" ] || return 1
		done
	done
}

created_init() { must strata create --name k --network none --init demo sleep 1000; }
created_mapped() { must strata create --name k --network none --userns auto demo sleep 1000; }

@test "start, its monitor killed at every step: the workload is dead before anybody looks" {
	AFTER=no_orphans steps created -e "strata-monitor run" -- strata start k
	AFTER=no_orphans steps created_init -e "strata-monitor run" -- strata start k
	AFTER=no_orphans steps created_mapped -e "strata-monitor run" -- strata start k
}

@test "exec -d, its parent killed at every step: the process is dead before anybody looks" {
	INSIDE=1 AFTER=no_orphans steps running -e "strata-monitor exec" -- strata exec -d k sleep 1000
}

@test "exec, killed at every step" {
	steps running -- strata exec k true
}

@test "exec, its parent killed at every step" {
	steps running -e "strata-monitor exec" -- strata exec k true
}

@test "stop, killed at every step" {
	steps running -- strata stop -t 0 k
}

@test "stop, the monitor killed at every step" {
	steps running -p MONITOR -- strata stop -t 0 k
}

@test "rm, killed at every step" {
	steps stopped -- strata rm k
}

@test "rm -f of what runs on a network, killed at every step" {
	steps running_bridge -- strata rm -f k
}

@test "rm -f, the monitor killed at every step" {
	steps running -p MONITOR -- strata rm -f k
}

# What images, volumes and networks leave.
store_survivors()
{
	must strata image list
	must strata network ls
	must strata volume list
	must strata image prune -f
	must strata volume prune -a -f
	must strata network prune -f
	[ -z "$(ls -A "$STRATA_ROOT/tmp")" ] || { ls -A "$STRATA_ROOT/tmp" >&2; return 1; }
	[ ! -d "$STRATA_ROOT/volumes" ] || [ -z "$(ls -A "$STRATA_ROOT/volumes")" ] ||
		{ echo "volume left: $(ls "$STRATA_ROOT/volumes")" >&2; return 1; }
	# Every image that is listed is whole, and no file is there that none of them has.
	must strata run --rm --network none demo true
	local image images n
	must strata image list -q
	mapfile -t images <"$SCRATCH/out"
	for image in "${images[@]}"; do
		must strata image export -o "$SCRATCH/export.tar" "$image"
	done
	n=$(sqlite3 "$STRATA_ROOT/strata.db" 'SELECT count(DISTINCT diff) FROM image_layers')
	[ "$(find "$STRATA_ROOT/layers" -mindepth 1 -maxdepth 1 | wc -l)" -eq "$n" ] || { echo "a layer is left" >&2; return 1; }
}

# Another layer than demo's: with demo's nothing would be unpacked.
other_source()
{
	[ -d "$SCRATCH/other" ] || { mkdir "$SCRATCH/other" && echo other >"$SCRATCH/other/file"; }
	may strata image rm other
}
other_image() { other_source && must strata image import "$SCRATCH/other" other; }
with_volume() { must strata volume create data; }
with_network() { may strata network create wires; }

@test "image import, killed at every step" {
	AFTER=store_survivors steps other_source -- strata image import "$SCRATCH/other" other
}

@test "image import, strata-archive killed at every step" {
	AFTER=store_survivors steps other_source -e strata-archive -- \
		strata image import "$SCRATCH/other" other
}

@test "image rm, killed at every step" {
	AFTER=store_survivors steps other_image -- strata image rm other
}

@test "volume create, killed at every step" {
	AFTER=store_survivors steps nothing -- strata volume create data
}

@test "volume rm, killed at every step" {
	AFTER=store_survivors steps with_volume -- strata volume rm data
}

@test "network create, killed at every step" {
	AFTER=store_survivors steps nothing -- strata network create wires
}

@test "network rm, killed at every step" {
	AFTER=store_survivors steps with_network -- strata network rm wires
}
