#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Restart policies, and what `strata boot` starts after the host did.
load helper

state() {
	strata inspect "$1" | jq -rc ".[0].state.$2"
}

up() {
	strata run -d --network none --name "$@" >/dev/null
}

# As a reboot leaves it: no process, no runtime files, the database as it was.
reboot() {
	local pid
	for pid in $(strata ps -aq | xargs -r strata inspect | jq '.[].state.monitor_pid | select(. > 0)'); do
		kill -KILL "$pid"
		wait_until sh -c "! kill -0 $pid"
	done
	rm -rf "$STRATA_RUN"
}

@test "no restart unless asked" {
	up a demo false
	[ "$(strata wait a)" = 1 ]
	[ "$(state a restarts)" = 0 ]
	strata rm a
}

@test "on-failure:3 tries three times more, and not after success" {
	up a --restart on-failure:3 demo sh -c 'echo x; exit 4'
	[ "$(timeout 100 strata wait a)" = 4 ]
	[ "$(state a restarts)" = 3 ]
	[ "$(strata logs a | wc -l)" -eq 4 ]
	strata rm a
	up a --restart on-failure demo true
	[ "$(timeout 100 strata wait a)" = 0 ]
	[ "$(state a restarts)" = 0 ]
	strata rm a
}

@test "a restarted one keeps its files and id" {
	up a --restart on-failure:5 demo sh -c 'echo x >>/n; [ $(wc -l </n) -ge 3 ]'
	[ "$(timeout 100 strata wait a)" = 0 ]
	[ "$(state a restarts)" = 2 ]
	strata rm a
}

@test "always goes on after success, until stopped" {
	up a --restart always demo true
	wait_until sh -c 'strata inspect a | jq -e ".[0].state.restarts >= 2"'
	strata stop a
	[ "$(state a status)" = exited ]
	[ "$(state a stopped_by_user)" = true ]
	strata rm a
}

@test "a kill by the user is no reason to restart" {
	up a --restart always demo sleep 1000
	strata kill a
	[ "$(state a status)" = exited ]
	strata rm a
}

@test "the verb restart stops and starts" {
	up a demo sleep 1000
	local pid
	pid=$(state a pid)
	strata restart -t 0 a
	[ "$(state a status)" = running ]
	[ "$(state a pid)" != "$pid" ]
	strata stop -t 0 a
	strata restart a # also what is stopped
	[ "$(state a status)" = running ]
	strata rm -f a
}

@test "rm -f in the delay between two starts" {
	up a --restart always demo false
	wait_until sh -c 'strata inspect a | jq -e ".[0].state.status == \"restarting\""'
	strata rm -f a
	[ -z "$(strata ps -aq)" ]
}

@test "boot starts always and unless-stopped, not what the user stopped" {
	up always --restart always demo sleep 1000
	up unless --restart unless-stopped demo sleep 1000
	up stopped --restart unless-stopped demo sleep 1000
	up failing --restart on-failure demo sleep 1000
	up plain demo sleep 1000
	strata stop -t 0 stopped
	reboot
	[ "$(state always status)" = dead ]
	strata boot
	[ "$(state always status)" = running ]
	[ "$(state unless status)" = running ]
	[ "$(state stopped status)" = exited ]
	[ "$(state plain status)" = dead ]
	[ "$(strata exec always echo in)" = in ]
	strata boot # again: nothing to do
	strata rm -f always unless stopped failing plain
}

@test "what --rm should have removed is gone after a reboot" {
	up a --rm demo sleep 1000
	reboot
	[ -z "$(strata ps -aq)" ]
}
