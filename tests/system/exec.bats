#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata exec: another process in an instance that runs.
bats_require_minimum_version 1.5.0
load helper

setup_file() {
	strata_setup_file
	strata run -d --name web --network none -e WHO=web -w /tmp -u 7:8 --cap-drop CHOWN demo sleep 1000 >/dev/null
}

e() {
	timeout 30 strata exec "$@"
}

@test "exec has the instance's user, directory, variables and rights" {
	run e web sh -c 'id -u; id -g; pwd; echo $WHO; grep -w Seccomp: /proc/self/status | cut -f 2'
	[ "$output" = $'7\n8\n/tmp\nweb\n2' ]
	local bounding='grep CapBnd /proc/self/status'
	[ "$(e -u 0 web sh -c "$bounding" | cut -f 2)" = 00000000a80425fa ]
}

@test "exec takes its own user, directory and variables" {
	printf 'F=file\n' >"$SCRATCH/env"
	run e -u nobody -w /etc -e WHO=me --env-file "$SCRATCH/env" web sh -c 'id -un; pwd; echo $WHO $F'
	[ "$output" = $'nobody\n/etc\nme file' ]
	[ "$(e --privileged -u 0 web grep CapEff /proc/self/status | cut -f 2)" != 00000000a80425fa ]
}

@test "exec is in all namespaces and cgroups of the instance" {
	local kind first
	for kind in mnt pid net ipc uts cgroup; do
		first=$(readlink "/proc/$(strata inspect web | jq '.[0].state.pid')/ns/$kind")
		[ "$(e -u 0 web readlink /proc/self/ns/$kind)" = "$first" ]
	done
	[ "$(e web cat /proc/self/cgroup)" = "$(e web cat /proc/1/cgroup)" ]
}

@test "exec ends with the command's status" {
	local code
	for code in 0 7 125 255; do
		run e web sh -c "exit $code"
		[ "$status" -eq "$code" ]
	done
	run e web sh -c 'kill -TERM $$'
	[ "$status" -eq 143 ]
}

@test "exec of what is not there is 127, of what cannot be run 126, one line" {
	run -127 e web nosuch
	[ "$status" -eq 127 ]
	one_line_error nosuch
	run e web /etc/passwd
	[ "$status" -eq 126 ]
	one_line_error passwd
	run e -u nosuch web true
	[ "$status" -eq 125 ]
	one_line_error nosuch
}

@test "exec passes binary input and output, and keeps the two outputs apart" {
	head -c 3000000 /dev/urandom >"$SCRATCH/data"
	e -i web cat <"$SCRATCH/data" | cmp - "$SCRATCH/data"
	e web sh -c 'echo out; echo err >&2' >"$SCRATCH/o" 2>"$SCRATCH/e"
	[ "$(cat "$SCRATCH/o")" = out ]
	[ "$(cat "$SCRATCH/e")" = err ]
}

@test "exec into head ends when head does" {
	[ "$(e web yes | head -n 1)" = y ]
	wait_until sh -c '! strata top web | grep -q yes'
}

@test "exec on a terminal, and out of it by the detach keys" {
	run timeout 30 python3 "$BATS_TEST_DIRNAME/terminal.py" 31 99 '' \
		strata exec -it web sh -c 'tty; stty size; exit 4'
	[ "$status" -eq 4 ]
	[[ $output == */dev/pts/* ]]
	[[ $output == *"31 99"* ]]
	run timeout 30 python3 "$BATS_TEST_DIRNAME/terminal.py" 24 80 '\x10\x11' \
		strata exec -it web sh -c 'echo ready; sleep 1000'
	[ "$status" -eq 0 ]
}

@test "exec -d does not wait" {
	e -d web sh -c 'echo done >/tmp/detached'
	wait_until strata exec web grep -q done /tmp/detached
}

@test "no exec in what is paused, created or gone" {
	strata pause web
	run e web true
	[ "$status" -eq 125 ]
	one_line_error "strata resume web"
	strata resume web
	strata create --name idle --network none demo true
	run e idle true
	[ "$status" -eq 125 ]
	one_line_error "not running"
	strata rm idle
}
