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
	timeout 100 strata exec "$@"
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
	run timeout 100 python3 "$BATS_TEST_DIRNAME/terminal.py" 31 99 '' \
		strata exec -it web sh -c 'tty; stty size; exit 4'
	[ "$status" -eq 4 ]
	[[ $output == */dev/pts/* ]]
	[[ $output == *"31 99"* ]]
	run timeout 100 python3 "$BATS_TEST_DIRNAME/terminal.py" 24 80 '\x10\x11' \
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

# pid_of NAME: of its first process
pid_of()
{
	strata inspect "$1" | jq -r '.[0].state.pid'
}

@test "exec and cp do not enter who has the number of a first process that ended" {
	command -v strace >/dev/null || skip "needs strace"
	echo secret >"$SCRATCH/of-the-host"
	strata run -d --network none --name reused --restart always demo sleep 1000 >/dev/null
	pid=$(pid_of reused)
	# The command waits between the look at the instance and at the process, and meanwhile the number becomes another's.
	strace -f -o /dev/null -e trace=pidfd_open -e inject=pidfd_open:delay_enter=2000000 \
		strata exec reused cat "$SCRATCH/of-the-host" >"$SCRATCH/out" 2>&1 3>&- &
	command=$!
	strace -f -o /dev/null -P "/proc/$pid/root" -e trace=open,openat -e inject=open,openat:delay_enter=2000000 \
		strata cp "reused:$SCRATCH/of-the-host" - >"$SCRATCH/copied" 2>&1 3>&- &
	copy=$!
	sleep 0.5
	# clone3(2) with CLONE_ARGS_SIZE_VER1's set_tid: that very number, as soon as it is free
	python3 - "$pid" 3>&- <<'P' &
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
want = ctypes.c_int(int(sys.argv[1]))
args = (ctypes.c_uint64 * 10)(0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(want), 1)
os.kill(want.value, 9)
for _ in range(100000):
    pid = libc.syscall(435, ctypes.byref(args), 80)
    if pid == 0:
        os.execv("/bin/sleep", ["sleep", "1000"])
    if pid > 0:
        os.wait()
        break
    time.sleep(0.0001)
P
	other=$!
	status=0
	wait "$command" || status=$?
	wait "$copy" || true
	kill -9 "$pid" || true
	wait "$other" || true
	[ "$(cat "$SCRATCH/out" "$SCRATCH/copied" | grep -ac secret)" = 0 ]
	[ "$status" -ne 0 ]
	strata rm -f reused
}

@test "exec and cp do not enter an instance before its first process has left the host's root" {
	command -v strace >/dev/null || skip "needs strace"
	echo secret >"$SCRATCH/of-the-host"
	strata run -d --network none --name again --restart always demo sleep 1000 >/dev/null
	pid=$(pid_of again)
	monitor=$(strata inspect again | jq .[0].state.monitor_pid)
	strace -f -o /dev/null -p "$monitor" -e trace=pivot_root -e inject=pivot_root:delay_enter=1000000:when=1 3>&- &
	tracer=$!
	traced() { ! grep -q "^TracerPid:	0" "/proc/$monitor/status"; }
	wait_until traced
	kill -9 "$pid"
	runs_again() {
		strata exec again cat "$SCRATCH/of-the-host" >>"$SCRATCH/out" 2>&1
		strata cp "again:$SCRATCH/of-the-host" - >>"$SCRATCH/out" 2>&1
		strata exec again test ! -e "$SCRATCH/of-the-host"
	}
	: >"$SCRATCH/out"
	wait_until runs_again
	[ "$(grep -ac secret "$SCRATCH/out")" = 0 ]
	strata rm -f again
	wait "$tracer" || true
}
