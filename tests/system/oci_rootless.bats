#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata-oci as an ordinary user, who is made here: accounts are the test's own, in a mount namespace.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
load helper

USER_ID=54321 # nobody's

setup_file()
{
	strata_setup_file
	export ETC=$SCRATCH/etc USER_HOME=$SCRATCH/user OCI_BIN=${STRATA_BIN%/*}/strata-oci
	mkdir -p "$ETC" "$USER_HOME/run" "$USER_HOME/bundle"
	cp /etc/passwd /etc/group "$ETC"
	echo "strat:x:$USER_ID:$USER_ID::$USER_HOME:/bin/sh" >>"$ETC/passwd"
	echo "strat:x:$USER_ID:" >>"$ETC/group"
	echo strat:700000:65536 | tee "$ETC/subuid" >"$ETC/subgid"
	touch /etc/subuid /etc/subgid
	cp -a "$DEMO_ROOTFS" "$USER_HOME/bundle/rootfs"
	chown -R "$USER_ID:$USER_ID" "$USER_HOME"
	as_user test -x "$OCI_BIN" -a -w "$USER_HOME" || skip "an ordinary user cannot get at $OCI_BIN"
}

setup()
{
	B=$USER_HOME/bundle
}

teardown()
{
	local id
	for id in $(u list -q); do u delete --force "$id"; done
	[ -z "$(ls "$USER_HOME/run/strata-oci" 2>/dev/null)" ]
}

# as_user COMMAND...: no root and no group, but what newuidmap gives; SUBIDS=no: without that
as_user()
{
	unshare -m sh -c '
		for f in passwd group subuid subgid; do mount --bind "$ETC/$f" "/etc/$f" || exit 120; done
		[ "${SUBIDS:-yes}" = yes ] || limit=--no-new-privs
		exec setpriv --reuid "$0" --regid "$0" --clear-groups ${limit:-} \
			env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$USER_HOME" XDG_RUNTIME_DIR="$USER_HOME/run" "$@"
	' "$USER_ID" "$@"
}

u()
{
	as_user timeout 100 "$OCI_BIN" "$@"
}

# config FILTER COMMAND...: a bundle of that user's, root inside is he himself
config()
{
	local filter=$1 args
	shift
	args=$(jq -nc '$ARGS.positional' --args -- "$@")
	rm -f "$B/config.json"
	"$OCI_BIN" spec -b "$B"
	jq --argjson args "$args" --argjson id "$USER_ID" '.process.terminal = false | .process.args = $args
		| .linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: $id, size: 1}]
		| .linux.gidMappings = .linux.uidMappings
		| (.mounts[] | select(.destination == "/dev/pts").options) -= ["gid=5"] | '"$filter" "$B/config.json" >"$B/new"
	mv "$B/new" "$B/config.json"
}

@test "run: root inside is the user outside; nothing is left" {
	config . sh -c 'id -u; cat /proc/self/uid_map; echo x >/dev/null; exit 7'
	run u run -b "$B" box
	[ "$status" -eq 7 ]
	[ "${lines[0]}" = 0 ]
	[ "$(echo "${lines[1]}" | tr -s ' ')" = " 0 0 1" ]
	config '.root.readonly = false' sh -c 'touch /made'
	u run -b "$B" box
	[ "$(stat -c %u "$B/rootfs/made")" = "$USER_ID" ]
	config . sh -c 'mount -t tmpfs none /tmp || echo no; echo 1 >/proc/sys/kernel/panic || echo no; mknod /dev/x c 1 3 || echo no'
	[ "$(u run -b "$B" box 2>/dev/null | grep -c no)" -eq 3 ]
}

@test "create, start, exec, ps, kill, delete; commands come from outside each time" {
	config . sh -c 'trap "exit 3" TERM; echo ready; while :; do sleep 0.02; done'
	u create -b "$B" --pid-file "$USER_HOME/pid" box </dev/null >"$SCRATCH/out" 2>&1
	[ "$(u state box | jq -r .status)" = created ]
	[ "$(u state box | jq -r .pid)" = "$(cat "$USER_HOME/pid")" ]
	[ "$(stat -c %u "$USER_HOME/run/strata-oci/box")" = "$USER_ID" ]
	u start box
	wait_until grep -q ready "$SCRATCH/out"
	run u exec box sh -c 'id -u; exit 4'
	[ "$status" -eq 4 ]
	[ "$output" = 0 ]
	[ "$(u exec box readlink /proc/self/ns/user)" = "$(u exec box readlink /proc/1/ns/user)" ]
	u ps -f json box | jq -e ".[0] == $(cat "$USER_HOME/pid")"
	run u pause box
	one_line_error "it has no cgroup"
	u kill --all box TERM
	stopped() { [ "$(u state box | jq -r .status)" = stopped ]; }
	wait_until stopped
	run u exec box true
	one_line_error "container not running"
	u delete box
	config . sleep 1000
	u create -b "$B" box </dev/null >"$SCRATCH/out" 2>&1
	u start box
	pid=$(u state box | jq .pid)
	u delete --force box
	gone() { [ ! -d "/proc/$pid" ]; } # once whoever got it as a child has waited for it
	wait_until gone
}

@test "more ids than his own are those of subuid; others are refused by number" {
	command -v newuidmap >/dev/null || skip "needs newuidmap: make setup"
	wider='.linux.uidMappings += [{containerID: 1, hostID: 700000, size: 1000}]
		| .linux.gidMappings = .linux.uidMappings | .process.user = {uid: 5, gid: 6, additionalGids: [7]}'
	config "$wider" sh -c 'id -u; id -g; touch /tmp/x; cat /proc/self/uid_map'
	run u run -b "$B" box
	[ "$status" -eq 0 ]
	[ "${lines[0]}${lines[1]}" = 56 ]
	config "$wider | .linux.uidMappings[1].hostID = 690000" true
	run u run -b "$B" box
	one_line_error "linux.uidMappings: the host's id 690000 is not yours"
	config "$wider" true
	SUBIDS=no run u run -b "$B" box
	one_line_error "linux.uidMappings: the host's id 700000 is not yours"
}

@test "without newuidmap his own id is enough" {
	config . id -u
	[ "$(SUBIDS=no u run -b "$B" box)" = 0 ]
}

@test "what a user cannot have is refused with the reason, and only where it is asked" {
	config '.linux.resources.memory = {limit: 50000000}' true
	run u run -b "$B" box
	one_line_error "linux.resources asks for a limit that this user cannot set"
	config '.linux.namespaces -= [{type: "user"}] | del(.linux.uidMappings, .linux.gidMappings)' true
	run u run -b "$B" box
	one_line_error "takes a user namespace"
	config . true
	run u --rootless false run -b "$B" box
	one_line_error "you are not root"
	run as_user env -u XDG_RUNTIME_DIR "$OCI_BIN" list
	one_line_error "XDG_RUNTIME_DIR is not set"
	run u --rootless perhaps list
	one_line_error "must be true, false or auto"
	config . sleep 1000
	u create -b "$B" box </dev/null >"$SCRATCH/out" 2>&1
	u start box
	jq -n '{memory: {limit: 50000000}}' >"$USER_HOME/resources"
	run u update -r "$USER_HOME/resources" box
	one_line_error "it has no cgroup"
}

@test "inside of another's user namespace, as podman runs it" {
	config '.linux.namespaces -= [{type: "user"}] | del(.linux.uidMappings, .linux.gidMappings)' sh -c 'id -u; ls /sys/fs/cgroup | wc -l'
	run as_user unshare -Ur "$OCI_BIN" run -b "$B" box
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 0 ]
}
