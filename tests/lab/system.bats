#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Debian 12 with systemd in a system container: it boots, keeps its log, reboots and shuts down. The tree is made once, by debootstrap.
bats_require_minimum_version 1.5.0

setup_file()
{
	REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	export REPO STRATA_LAB_CACHE=${STRATA_LAB_CACHE:-$REPO/build/lab}
	command -v debootstrap >/dev/null || skip "needs debootstrap"
	LAB=$(mktemp -d /tmp/strata-system.XXXXXX)
	export LAB PATH=$LAB/bin:$PATH
	chmod 755 "$LAB"
	mkdir "$LAB/bin"
	printf '#!/bin/sh\nexec %q --root %q --run-root %q "$@"\n' "$REPO/build/strata" "$LAB/root" "$LAB/run" >"$LAB/bin/strata"
	chmod +x "$LAB/bin/strata"
	mkdir -p "$STRATA_LAB_CACHE"
	if [ ! -f "$STRATA_LAB_CACHE/debian12.tar" ]; then
		debootstrap --variant=minbase --include=systemd-sysv,dbus bookworm "$LAB/tree" >"$LAB/said" 2>&1 ||
			skip "debootstrap: $(tail -n 1 "$LAB/said")"
		rm -rf "$LAB/tree"/var/cache/apt/archives/*.deb "$LAB/tree"/var/lib/apt/lists/*
		tar -C "$LAB/tree" -cf "$STRATA_LAB_CACHE/debian12.tar.new" .
		mv "$STRATA_LAB_CACHE/debian12.tar.new" "$STRATA_LAB_CACHE/debian12.tar"
		rm -rf "$LAB/tree"
	fi
	strata image import "$STRATA_LAB_CACHE/debian12.tar" debian12
	strata run -d --system --name deb --network none -m 256m debian12
}

teardown_file()
{
	[ -n "${LAB:-}" ] || return 0
	strata ps -aq | xargs -r strata rm -f >/dev/null
	rm -rf "$LAB"
}

until_says()
{
	for ((i = 0; i < 300; i++)); do
		[ "$(strata logs deb | grep -c "$1")" -ge "$2" ] && return
		sleep 0.1
	done
	strata logs deb | tail -n 20
	return 1
}

@test "it reaches running, and a login prompt on its console" {
	until_says 'login: ' 1
	run -0 timeout 60 strata exec deb systemctl is-system-running --wait
	[ "$output" = running ] || { strata exec deb systemctl --failed --no-pager; false; }
	[ "$(strata exec deb systemd-detect-virt --container)" = container-other ]
}

@test "its journal can be read, and its machine id is the instance's" {
	strata exec deb journalctl -b --no-pager | grep -q 'Reached target multi-user.target'
	[ "$(strata exec deb cat /etc/machine-id)" = "$(strata inspect deb | jq -r '.[0].id' | cut -c 1-32)" ]
}

@test "services are started, grouped and killed by it" {
	strata exec deb systemd-run --unit probe sleep 1000
	strata exec deb systemctl is-active probe
	strata exec deb grep -q probe.service "/proc/$(strata exec deb systemctl show -p MainPID --value probe)/cgroup"
	strata exec deb systemctl kill probe
	run strata exec deb systemctl is-active probe
	[ "$status" -ne 0 ]
}

@test "a reboot from inside boots it again, stop shuts it down cleanly" {
	strata exec deb systemctl reboot || true
	until_says 'login: ' 2
	strata inspect deb | jq -e '.[0].state.restarts == 1'
	timeout 60 strata stop deb
	strata inspect deb | jq -e '.[0].state | .status == "exited" and .exit_code == 0'
	strata logs deb | tail -n 5 | grep -Eq 'Halting system|System Halt'
}
