#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The shortest way through: a container runs, its output and status come back, nothing stays.
bats_require_minimum_version 1.5.0
load helper

@test "version says its number" {
	run strata --version
	[ "$status" -eq 0 ]
	[[ $output == *0.1.0* ]]
}

@test "the demo image is listed" {
	run strata image list -f json
	[ "$status" -eq 0 ]
	jq -e 'length == 1' <<<"$output"
	[[ $output == *demo* ]]
}

@test "run prints the workload's output" {
	run strata run --rm --network none demo /bin/echo hello world
	[ "$status" -eq 0 ]
	[ "$output" = "hello world" ]
}

@test "run ends with the workload's status" {
	run strata run --rm --network none demo /bin/sh -c 'exit 37'
	[ "$status" -eq 37 ]
}

@test "a command that is not there is 127" {
	run -127 strata run --rm --network none demo /bin/no-such-thing
	[ "$status" -eq 127 ]
	one_line_error "no-such-thing"
}

@test "a file that cannot be executed is 126" {
	run strata run --rm --network none demo /etc/passwd
	[ "$status" -eq 126 ]
	one_line_error "passwd"
}

@test "an image that is not there is 125 and one line" {
	run strata run --rm no-such-image /bin/true
	[ "$status" -eq 125 ]
	one_line_error "no-such-image"
}

@test "a container lives in namespaces of its own" {
	local kind
	for kind in mnt pid net ipc uts cgroup; do
		run strata run --rm --network none demo readlink /proc/self/ns/$kind
		[ "$status" -eq 0 ]
		[ "$output" != "$(readlink /proc/self/ns/$kind)" ]
	done
}

@test "nothing is listed after --rm" {
	run strata ps -a -f json
	[ "$status" -eq 0 ]
	jq -e 'length == 0' <<<"$output"
}

@test "detached: exec, logs, stop, rm" {
	strata run -d --name web --network none demo /bin/sh -c 'echo up; exec sleep 1000'
	wait_until sh -c "strata logs web | grep -q up"
	run strata exec web /bin/echo inside
	[ "$output" = inside ]
	run strata exec web /bin/sh -c 'exit 9'
	[ "$status" -eq 9 ]
	strata stop -t 1 web
	run strata ps -f json
	jq -e 'length == 0' <<<"$output"
	strata rm web
}
