#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# create, start, attach, stop, kill, pause, wait, rename, rm, inspect, top, stats, events.
load helper

# What a test that failed left would have the name of the next one's.
teardown()
{
	[ -n "${BATS_TEST_COMPLETED:-}" ] || strata_remove_all
}

SLEEPER='trap "echo term; exit 5" TERM; trap "echo usr1" USR1; echo up; while :; do sleep 0.05; done'

status_of() {
	strata inspect "$1" | jq -r '.[0].state.status'
}

up() {
	strata run -d --network none --name "$@" >/dev/null
}

said() {
	wait_until sh -c "strata logs $1 2>&1 | grep -q $2"
}

@test "create, start, wait, start again, rm" {
	strata create --name a --network none demo sh -c 'echo x >>/count; exit 3' >/dev/null
	[ "$(status_of a)" = created ]
	strata start a
	[ "$(strata wait a)" = 3 ]
	[ "$(status_of a)" = exited ]
	run strata start --attach a
	[ "$status" -eq 3 ]
	[ "$(strata cp a:/count - | tar -xOf - | wc -l)" -eq 2 ]
	strata rm a
	run strata inspect a
	[ "$status" -ne 0 ]
}

# It "was running" for whoever was told of its end while another command had it in hand, to record just that.
@test "one that has ended has ended, recorded or not" {
	local id removed
	up e demo sh -c 'while [ ! -e /go ]; do sleep 0.01; done; exit 4'
	id=$(strata inspect e | jq -r '.[0].id')
	exec 8<"$STRATA_ROOT/instances/$id"
	flock 8
	strata exec e touch /go
	wait_until grep -q '^ended ' "$STRATA_RUN/instances/$id/status"
	[ "$(status_of e)" = exited ]
	[ "$(strata wait e)" = 4 ]
	strata rm e 8<&- 3>&- & # it waits for the lock, as what the monitor runs does
	removed=$!
	flock -u 8
	exec 8<&-
	wait "$removed"
	run strata inspect e
	[ "$status" -ne 0 ]
}

@test "stop sends the stop signal and records what came of it" {
	up a demo sh -c "$SLEEPER"
	said a up
	strata stop a
	[ "$(strata inspect a | jq -c '.[0].state | [.status, .exit_code, .stopped_by_user]')" = '["exited",5,true]' ]
	strata stop a # already so
	strata rm a
}

@test "stop kills what does not listen" {
	up a demo sleep 1000 # as process 1 it ignores SIGTERM
	strata stop -t 0 a
	[ "$(strata inspect a | jq '.[0].state.exit_code')" -eq 137 ]
	strata rm a
	up a --stop-signal USR1 --stop-timeout 60 demo sh -c 'trap "exit 6" USR1; echo up; while :; do sleep 0.05; done'
	said a up
	strata stop a
	[ "$(strata inspect a | jq '.[0].state.exit_code')" -eq 6 ]
	strata rm a
}

@test "kill sends any signal; without one it kills" {
	up a demo sh -c "$SLEEPER"
	said a up
	strata kill -s USR1 a
	said a usr1
	[ "$(status_of a)" = running ]
	strata kill -s SIGTERM a
	[ "$(strata wait a)" = 5 ]
	strata start a
	strata kill a
	[ "$(strata inspect a | jq '.[0].state.exit_code')" -eq 137 ]
	run strata kill a
	[ "$status" -ne 0 ]
	one_line_error "not running .exited.: .strata start a. starts it"
	strata rm a
}

@test "pause stops it, resume lets it go on" {
	up a demo sh -c 'i=0; while :; do i=$((i + 1)); echo $i >>/n; done'
	wait_until strata exec a test -s /n
	strata pause a
	[ "$(status_of a)" = paused ]
	local first
	first=$(strata cp a:/n - | tar -xOf -)
	[ "$(strata cp a:/n - | tar -xOf -)" = "$first" ]
	run strata pause a
	one_line_error "paused already"
	strata resume a
	[ "$(status_of a)" = running ]
	strata pause a
	strata stop -t 0 a # also a paused one
	strata start a
	strata pause a
	strata rm -f a
}

@test "wait waits, for several, and prints each status" {
	strata create --name a --network none demo sh -c 'exit 1' >/dev/null
	strata create --name b --network none -i demo sh -c 'cat; exit 2' >/dev/null
	strata start b
	timeout 100 strata wait b >"$SCRATCH/waited" &
	local pid=$!
	strata kill b
	wait "$pid"
	[ "$(cat "$SCRATCH/waited")" = 137 ]
	strata start a
	[ "$(strata wait a b)" = $'1\n137' ]
	strata rm a b
}

@test "a workload that reads none of its input can be stopped, and signalled by who sends it" {
	head -c 3000000 /dev/zero >"$SCRATCH/input"
	timeout 300 strata run --rm --name deaf -i --network none demo sh -c \
		'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done' <"$SCRATCH/input" >"$SCRATCH/deaf" &
	local pid=$!
	wait_until grep -q ready "$SCRATCH/deaf"
	timeout 300 strata stop -t 200 deaf
	local status=0
	wait "$pid" || status=$?
	[ "$status" -eq 9 ]
	timeout 300 strata run --rm --name deaf -i --network none demo sh -c \
		'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done' <"$SCRATCH/input" >"$SCRATCH/deaf" &
	pid=$!
	wait_until grep -q ready "$SCRATCH/deaf"
	kill "$pid" # timeout passes it on, and does not wait
	gone() { [ -z "$(strata ps -aq)" ]; }
	wait_until gone
}

@test "input that is larger than any buffer ends where it ends" {
	head -c 20000000 /dev/urandom >"$SCRATCH/input"
	local n
	for n in 1 2 3 4 5; do
		timeout -s KILL 300 strata run --rm -i --network none demo cat <"$SCRATCH/input" | cmp - "$SCRATCH/input"
	done
}

@test "rename: the new name finds it, the old does not, a taken one is refused" {
	# No hexadecimal digit: one id in sixteen begins with it.
	up old demo sleep 1000
	strata rename old b
	[ "$(strata exec b echo in)" = in ]
	run strata inspect old
	[ "$status" -ne 0 ]
	strata create --name c --network none demo true >/dev/null
	[ "$(strata events --since 1h --no-follow -f json | jq -rs 'map(select(.action == "rename")) | last | .name')" = b ]
	run strata rename c b
	[ "$status" -eq 125 ]
	one_line_error "taken"
	run strata rename c 'no/name'
	one_line_error "letters"
	strata rm -f b c
}

@test "rm refuses what runs and says how; -f does it" {
	up a demo sleep 1000
	run strata rm a
	[ "$status" -ne 0 ]
	one_line_error "strata stop a"
	[ "$(status_of a)" = running ]
	strata rm -f a
	[ ! -d "$STRATA_ROOT/instances/a" ]
	[ -z "$(ls "$STRATA_ROOT/instances")" ]
}

@test "an id's beginning is enough, if it is one's only" {
	up a demo sleep 1000
	local id
	id=$(strata inspect a | jq -r '.[0].id')
	[ "$(strata inspect "${id:0:8}" | jq -r '.[0].name')" = a ]
	strata rm -f "${id:0:12}"
}

@test "attach gets what is said from then on, and the end" {
	up a -i demo sh -c 'read x; echo "got $x"; exit 8'
	run timeout 100 sh -c 'echo word | strata attach a'
	[ "$status" -eq 8 ]
	[ "$output" = "got word" ]
	run strata attach a
	one_line_error "not running"
	strata rm a
}

@test "top shows the processes, their users and times" {
	up a -u 7 demo sleep 1000
	run strata top a
	[[ ${lines[0]} == PID*USER*TIME*COMMAND ]]
	[[ ${lines[1]} == *" 7 "*0:00*"sleep 1000" ]]
	[ "$(strata top -f json a | jq -r '.[0].command')" = "sleep 1000" ]
	strata rm -f a
}

@test "stats counts processes, memory and time" {
	up a -m 64m --pids-limit 50 demo sh -c 'sleep 1000 & sleep 1000'
	wait_until sh -c 'strata stats --no-stream -f json a | jq -e ".[0].pids == 2"'
	strata stats --no-stream -f json a | jq -e '.[0] | .memory_bytes > 0 and .memory_limit_bytes == 67108864 and
		.pids_limit == 50 and .cpu_ns > 0'
	strata rm -f a
}

@test "inspect tells what was asked and what became of it" {
	up a -l k=v --hostname h -e X=1 -m 64m demo sleep 1000
	strata inspect a | jq -e '.[0] | .name == "a" and .labels.k == "v" and .hostname == "h" and
		(.env | index("X=1")) and .limits.memory_bytes == 67108864 and .args == ["sleep", "1000"] and
		.state.status == "running" and .state.pid > 1 and (.state.started | length) > 20 and .image == "demo"'
	strata rm -f a
}

@test "events: each step once, in order, with a time" {
	local since
	since=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
	up a demo sh -c "$SLEEPER"
	said a up
	strata pause a
	strata resume a
	strata stop a
	strata rm a
	strata events --since "$since" --no-follow -f json >"$SCRATCH/events"
	[ "$(jq -r .action "$SCRATCH/events" | tr '\n' ' ')" = "create start pause resume die stop destroy " ] ||
		[ "$(jq -r .action "$SCRATCH/events" | tr '\n' ' ')" = "create start pause resume stop die destroy " ]
	jq -se 'all(.[]; .name == "a" and (.time | test("^20..-")))' "$SCRATCH/events"
	run strata events --since "$since" --no-follow
	[[ ${lines[0]} == 20??-*"instance create"*" a"* ]]
}

@test "events follows" {
	timeout 100 strata events -f json >"$SCRATCH/follow" &
	local pid=$!
	# Nothing tells when it listens: make events until it has seen one.
	seen() { strata run --rm --network none demo true; grep -q destroy "$SCRATCH/follow"; }
	wait_until seen
	kill "$pid"
	wait "$pid" || true
}

@test "a killed monitor takes the workload along, and the state says so" {
	up a demo sleep 1000
	local monitor pid
	read -r monitor pid < <(strata inspect a | jq -r '.[0].state | "\(.monitor_pid) \(.pid)"')
	kill -KILL "$monitor"
	wait_until sh -c "! kill -0 $pid"
	[ "$(strata inspect a | jq -c '.[0].state | [.status, .exit_code, .pid]')" = '["dead",137,0]' ]
	strata inspect a | jq -e '.[0].state.error | test("monitor")'
	strata start a
	[ "$(status_of a)" = running ]
	strata rm -f a
}

@test "many at once, and two starts of one" {
	local i pids=() ok=0
	for i in 1 2 3 4 5 6; do
		strata run -d --name "m$i" --network none demo sleep 1000 >/dev/null &
		pids+=($!)
	done
	wait "${pids[@]}"
	[ "$(strata ps -q | wc -l)" -eq 6 ]
	strata rm -f m1 m2 m3 m4 m5 m6
	strata create --name two --network none demo sleep 1000 >/dev/null
	strata start two >/dev/null 2>"$SCRATCH/first" & pids=($!)
	strata start two >/dev/null 2>"$SCRATCH/second" & pids+=($!)
	for i in "${pids[@]}"; do wait "$i" && ok=$((ok + 1)); done
	[ "$ok" -ge 1 ]
	[ "$(status_of two)" = running ]
	[ "$(strata top -f json two | jq length)" -eq 1 ]
	strata rm -f two
}

@test "attach to one that ends before it is heard says that it does not run" {
	command -v strace >/dev/null || skip "needs strace"
	local call
	strata create --network none --name late demo sleep 1000 >/dev/null
	# It ends before attach has connected, before it has asked, and before it has its answer.
	for call in connect sendmsg recvmsg; do
		strata start late >/dev/null
		timeout -s KILL 200 strace -f -o /dev/null -e trace=$call -e inject=$call:delay_enter=700000:when=1 \
			strata attach late </dev/null >"$SCRATCH/late" 2>&1 3>&- &
		attach=$!
		strata kill late >/dev/null
		status=0
		wait "$attach" || status=$?
		# Where it was heard in time it saw the end.
		[ "$status" = 137 ] || grep -q "^error: late is not running" "$SCRATCH/late"
	done
	strata rm -f late
}

@test "more commands than a monitor has places for: stop and kill are heard, and whoever waits sees the end" {
	local i pids=() all=()
	strata run -d --network none --name crowded demo sleep 1000 >/dev/null
	for ((i = 0; i < 40; i++)); do
		strata wait crowded >"$SCRATCH/waited.$i" 3>&- &
		pids+=($!)
	done
	# Those who say nothing, and those who attach and do not read.
	python3 - "$STRATA_RUN"/instances/*/sock 3>&- <<'P' >"$SCRATCH/crowd" &
import socket, sys, time
held = []
for i in range(400):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    try:
        if i % 5 == 0:
            s.send(b"a")
        elif i % 5 == 1:
            s.send(b"\xff" * 60000)
    except OSError:
        pass
    held.append(s)
print("there", flush=True)
time.sleep(1000)
P
	crowd=$!
	wait_until grep -q there "$SCRATCH/crowd"
	[ "$(strata exec crowded echo in)" = in ]
	strata stop -t 0 crowded
	[ "$(strata inspect crowded | jq -r '.[0].state.status')" = exited ]
	for i in "${pids[@]}"; do wait "$i"; done
	cat "$SCRATCH"/waited.* | sort -u >"$SCRATCH/waited"
	[ "$(cat "$SCRATCH/waited")" = 137 ]
	strata start crowded
	kill "$crowd"
	wait "$crowd" || true
	for ((i = 0; i < 40; i++)); do
		strata wait crowded >/dev/null 3>&- &
		all+=($!)
	done
	strata rm -f crowded >/dev/null
	for i in "${all[@]}"; do wait "$i" || true; done
	run strata inspect crowded
	[ "$status" -ne 0 ]
}

@test "rm -f removes one that another command starts, pauses or resumes at that moment" {
	local i what other
	for ((i = 0; i < 15; i++)); do
		for what in 'stop -t 0 gone:start gone' 'pause gone:resume gone' 'exec gone true:pause gone'; do
			strata run -d --network none --name gone demo sleep 1000 >/dev/null
			# shellcheck disable=SC2086 # its words
			strata ${what%:*} >/dev/null
			# shellcheck disable=SC2086
			strata ${what#*:} >/dev/null 2>&1 3>&- &
			other=$!
			strata rm -f gone >/dev/null
			wait "$other" || true
			run strata inspect gone
			[ "$status" -ne 0 ]
		done
	done
}

# Only eleven signals were known, and any other was TERM.
@test "an image's stop signal: any there is; one that is none is refused, and another can be chosen" {
	strata image import --change 'STOPSIGNAL SIGALRM' "$DEMO_ROOTFS" alarmed
	up a alarmed sh -c 'trap "exit 6" ALRM; echo up; while :; do sleep 0.05; done'
	said a up
	strata stop a
	[ "$(strata inspect a | jq '.[0].state.exit_code')" -eq 6 ]
	strata rm a
	strata image import --change 'STOPSIGNAL RTMIN+4294967298' "$DEMO_ROOTFS" wrong
	run strata create --network none wrong true
	one_line_error "image wrong is stopped by 'RTMIN.4294967298', which is no signal: choose one with --stop-signal"
	strata run --rm --network none --stop-signal TERM wrong true
	strata image rm alarmed wrong
}
