#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata-oci: namespaces that are others', of every kind, and a container without a mount namespace.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
load helper
load oci_helper

setup()
{
	oci_setup
	OCI=(timeout 100 "${OCI[@]}")
	MOUNTS=$(grep -c . /proc/self/mountinfo)
}

teardown()
{
	local pid
	oci_teardown
	for pid in ${HOLDERS:-}; do kill -KILL "$pid" 2>/dev/null || true; done
	[ -z "${WANT_MOUNTS:-}" ] || [ "$(grep -c . /proc/self/mountinfo)" -eq "$MOUNTS" ]
}

# Nothing that is masked or read-only by path can be in mounts that are others' too.
OPEN='del(.linux.maskedPaths, .linux.readonlyPaths)'
NONE="$OPEN | .linux.namespaces |= map(select(.type != \"mount\"))"

by_path() # KIND PATH
{
	echo "(.linux.namespaces |= (map(select(.type != \"$1\")) + [{type: \"$1\", path: \"$2\"}]))"
}

in_bundle()
{
	config "$@"
	oci run -b "$B" box
}

started() # ID FILTER
{
	config "$2" sleep 1000
	oci create -b "$B" "$1" </dev/null >"$SCRATCH/out" 2>&1 || { cat "$SCRATCH/out"; false; }
	oci start "$1"
	PID=$(oci state "$1" | jq .pid)
}

# holder OPTION...: somebody who keeps new namespaces; its number in $HOLDER
holder()
{
	rm -f "$SCRATCH/held"
	unshare "$@" sh -c 'echo >"$0"; exec sleep 1000' "$SCRATCH/held" 3>&- &
	HOLDER=$!
	HOLDERS="${HOLDERS:-} $HOLDER"
	wait_until test -s "$SCRATCH/held"
	[[ $* != *--user* ]] || for file in uid_map gid_map; do echo "0 100000 65536" >"/proc/$HOLDER/$file"; done
}

ns_of() # KIND PID
{
	readlink "/proc/$2/ns/$1"
}

@test "without a mount namespace: in ours, below a root of its own, and nothing of it stays" {
	WANT_MOUNTS=1
	before=$(sort /proc/self/mountinfo)
	started box "$NONE"
	[ "$(ns_of mnt "$PID")" = "$(ns_of mnt self)" ]
	[ "$(readlink "/proc/$PID/root")" = "$OCI_ROOT/box/rootfs" ]
	# The container's own: /proc, /dev and the root, on which the host's files are not.
	[ "$(oci exec box sh -c 'echo x >/dev/null && test -d /proc/self && pwd')" = / ]
	run oci exec box ls "$B"
	[ "$status" -ne 0 ]
	# The host's own mounts have kept their place and their propagation.
	after=$(grep -v " $OCI_ROOT/box/rootfs" /proc/self/mountinfo | sort)
	[ "$after" = "$before" ]
	# None of the mounts below reaches the directory that the root came from.
	run grep " $DEMO_ROOTFS/" /proc/self/mountinfo
	[ "$status" -ne 0 ]
	oci delete --force box
	[ "$(sort /proc/self/mountinfo)" = "$before" ]
	[ -d "$DEMO_ROOTFS/bin" ]
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "without a mount namespace: run, exec with a terminal, a read-only root, --no-pivot; two of one root" {
	WANT_MOUNTS=1
	[ "$(in_bundle "$NONE" pwd)" = / ]
	run in_bundle "$NONE | .root.readonly = true" touch /x
	[ "$status" -ne 0 ]
	[[ $output == *"ead-only"* ]]
	[ ! -e "$DEMO_ROOTFS/x" ]
	config "$NONE" sh -c 'exit 5'
	run oci run --no-pivot -b "$B" box
	[ "$status" -eq 5 ]
	started one "$NONE"
	started two "$NONE"
	run timeout 100 script -qec "${OCI[*]} exec -t two sh -c 'tty; ls -d /proc/self'" /dev/null
	[[ $output == *"/dev/pts/0"*"/proc/self"* ]]
	oci delete --force one
	[ "$(oci exec two readlink -f /proc/self/cwd)" = / ]
	oci delete --force two
}

@test "a mount namespace by path: the program is in it, mounts and all, and its own are not touched" {
	WANT_MOUNTS=1
	holder --mount
	before=$(nsenter -t "$HOLDER" -m sort /proc/self/mountinfo)
	started box "$OPEN | $(by_path mount "/proc/$HOLDER/ns/mnt")"
	[ "$(ns_of mnt "$PID")" = "$(ns_of mnt "$HOLDER")" ]
	[ "$(ns_of mnt "$PID")" != "$(ns_of mnt self)" ]
	[ "$(grep -c . /proc/self/mountinfo)" -eq "$MOUNTS" ]
	[ "$(oci exec box readlink /proc/self/ns/mnt)" = "$(ns_of mnt "$HOLDER")" ]
	run oci exec box ls "$B"
	[ "$status" -ne 0 ]
	[ "$(nsenter -t "$HOLDER" -m grep -v " $OCI_ROOT/box/rootfs" /proc/self/mountinfo | sort)" = "$before" ]
	oci delete --force box
	[ "$(nsenter -t "$HOLDER" -m sort /proc/self/mountinfo)" = "$before" ]
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "a container's mount namespace by path: the root is found there, nothing is mounted, and links do not lead out" {
	started pod '.root.readonly = false'
	join="$OPEN | $(by_path mount "/proc/$PID/ns/mnt") | .root.path = \"/\""
	run in_bundle "$join" true
	[ "$status" -eq 1 ]
	[[ $output == *"does not show $OCI_ROOT/box/rootfs: without that it can have no mounts"* ]]
	# /proc there is of that container's processes: so is the program.
	plain="$join | $(by_path pid "/proc/$PID/ns/pid") | .mounts = [] | .root.readonly = false"
	run in_bundle "$plain" readlink /proc/self/ns/mnt
	[ "$output" = "$(ns_of mnt "$PID")" ] || { echo "$output"; false; }
	[ "$(in_bundle "$plain | .root.path = \"/bin\"" /busybox pwd)" = / ]
	# A link that somebody in there made, by /proc to the root of one of ours.
	ln -sfn "/proc/1/root" "/proc/$PID/root/tmp/link"
	run in_bundle "$plain | .root.path = \"/tmp/link\"" true
	[ "$status" -eq 1 ]
	[[ $output == *"/tmp/link, in the mount namespace given"* ]]
	run in_bundle "$plain | .root.path = \"/no/such\"" true
	[[ $output == *"/no/such, in the mount namespace given: No such file"* ]]
	# What is at our place's path in there is not our place.
	mkdir -p "/proc/$PID/root$OCI_ROOT/box/rootfs"
	run in_bundle "$join" true
	[[ $output == *"does not show"* ]]
	rm -rf "/proc/$PID/root/${SCRATCH%%/*}${OCI_ROOT:?}"
	[ "$(oci list -q)" = pod ]
}

@test "a user namespace whose owner forbids to give up groups gets none of ours" {
	rm -f "$SCRATCH/held"
	unshare --user sh -c 'echo >"$0"; exec sleep 1000' "$SCRATCH/held" 3>&- &
	HOLDER=$! HOLDERS="${HOLDERS:-} $!"
	wait_until test -s "$SCRATCH/held"
	echo deny >"/proc/$HOLDER/setgroups"
	for file in uid_map gid_map; do echo "0 100000 65536" >"/proc/$HOLDER/$file"; done
	config "$(by_path user "/proc/$HOLDER/ns/user") | .root.readonly = false" sleep 1000
	setpriv --groups 4321 "$OCI_BIN" --root "$OCI_ROOT" create -b "$B" box </dev/null >"$SCRATCH/out" 2>&1
	oci start box
	grep -q '^Groups:[[:space:]]*$' "/proc/$(oci state box | jq .pid)/status"
	run setpriv --groups 4321 "$OCI_BIN" --root "$OCI_ROOT" exec box grep Groups: /proc/self/status
	[[ $output =~ ^Groups:[[:space:]]*$ ]]
}

@test "a user namespace by path: its mappings, its rights, exec; what mappings say beside it means nothing" {
	holder --user
	chmod 0755 "$B"
	user=$(by_path user "/proc/$HOLDER/ns/user")
	for filter in "$user" "$user | .linux.uidMappings = [{containerID: 0, hostID: 5, size: 1}] | .linux.gidMappings = .linux.uidMappings"; do
		run in_bundle "$filter" sh -c 'readlink /proc/self/ns/user; cat /proc/self/uid_map; readlink /proc/self/ns/mnt'
		[ "$status" -eq 0 ] || { echo "$output"; false; }
		[ "${lines[0]}" = "$(ns_of user "$HOLDER")" ]
		[ "$(echo ${lines[1]})" = "$(echo $(cat "/proc/$HOLDER/uid_map"))" ]
		[ "${lines[2]}" != "$(ns_of mnt self)" ]
	done
	# Namespaces that it has to itself are that user namespace's: it may mount.
	run in_bundle "$user | (.process.capabilities[] |= (. + [\"CAP_SYS_ADMIN\"]))" sh -c 'mount -t tmpfs none /mnt && echo mounted'
	[[ $output == *mounted* ]]
	started box "$user"
	[ "$(oci exec box readlink /proc/self/ns/user)" = "$(ns_of user "$HOLDER")" ]
	oci kill box KILL
	wait_until gone box
	oci delete box
	# Our own is none.
	[ "$(in_bundle "$(by_path user /proc/self/ns/user)" readlink /proc/self/ns/user)" = "$(ns_of user self)" ]
	started box "$(by_path user /proc/self/ns/user)"
	[ "$(oci exec box id -u)" = 0 ]
}

gone()
{
	[ "$(oci state "$1" | jq -r .status)" = stopped ]
}

@test "all of a container's namespaces by path: another program beside it" {
	userns='.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = .linux.uidMappings'
	chmod 0755 "$B"
	started pod "$userns"
	first=$PID
	all=. kind=
	for kind in mount:mnt user:user network:net ipc:ipc uts:uts pid:pid cgroup:cgroup; do
		all="$all | $(by_path "${kind%:*}" "/proc/$first/ns/${kind#*:}")"
	done
	run in_bundle "$OPEN | $all | .mounts = [] | .root.path = \"/\" | .root.readonly = false | del(.hostname)" \
		sh -c 'for n in mnt user net ipc uts pid cgroup; do readlink /proc/self/ns/$n; done; id -u'
	[ "$status" -eq 0 ] || { echo "$output"; false; }
	i=0
	for kind in mnt user net ipc uts pid cgroup; do
		[ "${lines[$i]}" = "$(ns_of "$kind" "$first")" ]
		i=$((i + 1))
	done
	[ "${lines[7]}" = 0 ]
	# With mounts of its own beside that user namespace, pid and network shared.
	run in_bundle "$(by_path user "/proc/$first/ns/user") | $(by_path pid "/proc/$first/ns/pid") | $(by_path network "/proc/$first/ns/net")" \
		sh -c 'readlink /proc/self/ns/pid; cat /proc/1/comm'
	[ "$status" -eq 0 ] || { echo "$output"; false; }
	[ "${lines[0]}" = "$(ns_of pid "$first")" ]
	[ "${lines[1]}" = sleep ]
}

@test "idmap of a mount beside a user namespace by path: the mappings are that one's" {
	mkdir -p "$SCRATCH/shared"
	touch "$SCRATCH/shared/file"
	chmod 0755 "$B"
	started pod '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = .linux.uidMappings'
	[ "$(in_bundle "$(by_path user "/proc/$PID/ns/user") |
		.mounts += [{destination: \"/mnt\", type: \"bind\", source: \"$SCRATCH/shared\", options: [\"bind\", \"idmap\"]}]" \
		stat -c %u /mnt/file)" = 0 ]
}

@test "a time namespace: offsets of a new one; one by path has its own, and takes none" {
	uptime=$(cut -d. -f1 /proc/uptime)
	started clock '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 1000000}, monotonic: {secs: 1000000}}'
	path=/proc/$PID/ns/time
	run in_bundle "$(by_path time "$path")" sh -c 'readlink /proc/self/ns/time; cut -d. -f1 /proc/uptime'
	[ "$status" -eq 0 ] || { echo "$output"; false; }
	[ "${lines[0]}" = "$(readlink "$path")" ]
	[ "${lines[1]}" -ge $((uptime + 1000000)) ]
	[ "$(ns_of time self)" != "$(readlink "$path")" ]
	[ "$(in_bundle "$(by_path time "$path") | .linux.timeOffsets = {}" echo yes)" = yes ]
	run in_bundle "$(by_path time "$path") | .linux.timeOffsets = {boottime: {secs: 5}}" true
	[ "$status" -eq 1 ]
	[[ $output == *"timeOffsets is there, but the time namespace is one by path"* ]]
	# Beside a user namespace of somebody else's too.
	holder --user
	chmod 0755 "$B"
	run in_bundle "$(by_path time "$path") | $(by_path user "/proc/$HOLDER/ns/user")" cut -d. -f1 /proc/uptime
	[ "$status" -eq 0 ] || { echo "$output"; false; }
	[ "$output" -ge $((uptime + 1000000)) ]
	run in_bundle ".linux.namespaces += [{type: \"time\"}] | .linux.timeOffsets = {boottime: {secs: 1000000}} |
		$(by_path user "/proc/$HOLDER/ns/user")" cut -d. -f1 /proc/uptime
	[ "$status" -eq 0 ] || { echo "$output"; false; }
	[ "$output" -ge $((uptime + 1000000)) ]
}

@test "paths that are no namespaces, or others than said, are refused by name and nothing is waited for" {
	mkfifo "$SCRATCH/fifo"
	ln -s loop "$SCRATCH/loop"
	local kind path
	for kind in mount user time network; do
		paths=("$SCRATCH/fifo" /proc/self/ns/uts)
		[ "$kind" != user ] || paths+=("$SCRATCH/loop" /dev/null /etc/passwd /no/such "$SCRATCH" /proc/self/fd/0)
		for path in "${paths[@]}"; do
			run in_bundle "$OPEN | $(by_path "$kind" "$path")" true
			[ "$status" -eq 1 ]
			[[ $output == *"namespace $path: "* ]]
			[ "${#lines[@]}" -eq 1 ]
		done
	done
	while IFS='#' read -r filter words; do
		run in_bundle "$filter" true
		[ "$status" -eq 1 ] || { echo "$filter: $output"; false; }
		[[ $output == *"$words"* ]] || { echo "$filter: $output"; false; }
	done <<-END
		$(by_path mount ns)#namespaces[$((5))].path must be absolute
		.linux.namespaces |= map(select(.type != "mount"))#maskedPaths cannot hold without a mount namespace of its own
		$NONE | .linux.readonlyPaths = ["/proc/sys"]#readonlyPaths cannot hold without
		$OPEN | $(by_path mount /proc/self/ns/mnt) | .hooks = {createContainer: [{path: "/bin/true"}]}#a createContainer hook would be what is at its path
		$NONE | .linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 0, size: 9}] | .linux.gidMappings = .linux.uidMappings#without a mount namespace of its own
	END
	[ -z "$(ls "$OCI_ROOT" 2>/dev/null)" ]
	run in_bundle "$NONE | .annotations = {\"io.strata.virt\": \"hosted\"}" true
	[[ $output == *"a shared mount namespace is not for a virtual machine"* ]]
}

@test "a holder that ends while we enter, and one whose namespaces are gone: an error, or a container, and nothing left" {
	local i left
	for i in 1 2 3 4 5 6; do
		holder --mount --user
		config "$OPEN | $(by_path user "/proc/$HOLDER/ns/user") | .mounts = [] | .root.readonly = false" true
		kill -KILL "$HOLDER" &
		oci run -b "$B" "gone$i" >"$SCRATCH/out" 2>&1 || [ "$(grep -c ^error "$SCRATCH/out")" -eq 1 ] || { cat "$SCRATCH/out"; false; }
		wait $! || true
	done
	[ -z "$(ls "$OCI_ROOT" 2>/dev/null)" ]
}

@test "delete never goes below a root that hangs in its directory, whoever else holds it" {
	started box "$NONE"
	# Somebody's copy of our mounts holds the root, and the files behind it must be there after all.
	holder --mount
	oci kill box KILL
	wait_until gone box
	oci delete box
	[ -d "$DEMO_ROOTFS/bin" ]
	[ -e "$DEMO_ROOTFS/bin/sh" ]
	run nsenter -t "$HOLDER" -m grep -c " $OCI_ROOT/box/rootfs" /proc/self/mountinfo
	[ "$output" -eq 0 ]
}
