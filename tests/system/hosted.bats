#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --virt hosted from outside: what a guest that broke out of the translator would find.

bats_require_minimum_version 1.5.0
load helper

setup_file()
{
	strata_setup_file
	export WAIT=${STRATA_BIN%/*}/bench/guest_wait
}

setup()
{
	cd "$SCRATCH" || return 1
}

teardown()
{
	strata_remove_all
}

said() { [ "$(strata logs "$1")" = x ]; }

@test "the seal of the software CPU" {
	local pid task fd
	strata run -d --name w --virt hosted --network none --memory 64M --vcpus 2 --kernel "$WAIT" >/dev/null
	wait_until said w
	pid=$(strata inspect w | jq .[0].state.pid)
	[ "$(ls "/proc/$pid/task" | wc -l)" -ge 3 ] # the loop's and two vcpus'
	for task in "/proc/$pid/task/"*; do
		[ "$(grep -Ec '^Cap(Inh|Prm|Eff|Bnd|Amb):\s0000000000000000$' "$task/status")" = 5 ]
		grep -Eq '^NoNewPrivs:\s1$' "$task/status"
		grep -Eq '^Seccomp:\s2$' "$task/status" || { cat "$task/status" >&2; return 1; }
	done
	# Code is written by one mapping and executed by another.
	grep -Eq '^[^ ]+ r-xs .*strata-code' "/proc/$pid/maps"
	grep -Eq '^[^ ]+ rw-s .*strata-code' "/proc/$pid/maps"
	run grep -E '^[^ ]+ .wx' "/proc/$pid/maps"
	[ "$status" = 1 ]
	[ -z "$(ls -A "/proc/$pid/root/")" ]
	for fd in "/proc/$pid/fd/"*; do
		case $(readlink "$fd") in
		"/memfd:guest-ram (deleted)" | anon_inode:\[event*\] | anon_inode:\[timerfd\] | anon_inode:\[signalfd\]) ;;
		anon_inode:\[io_uring\] | */memory.ask | /dev/null | /dev/urandom | pipe:*) ;;
		*) echo "unexpected: $(ls -l "$fd")" >&2; return 1 ;;
		esac
	done
}
