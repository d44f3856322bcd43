#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata-oci at the level of bundles: what a container manager relies on, and what bad configurations are told.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
load helper
load oci_helper

setup()
{
	oci_setup
	mkdir -p "$SCRATCH/shared"
}

in_bundle()
{
	config "$@"
	timeout 100 "$OCI_BIN" --root "$OCI_ROOT" run -b "$B" box
}

status_of()
{
	oci state "$1" | jq -r .status
}

is()
{
	[ "$(status_of "$1")" = "$2" ]
}

@test "run: output, standard input, exit status, and nothing left" {
	[ "$(in_bundle . echo hello)" = hello ]
	[ "$(echo in | in_bundle . cat)" = in ]
	run in_bundle . sh -c 'exit 7'
	[ "$status" -eq 7 ]
	config . sleep 1000
	oci run -b "$B" box &
	wait_until is box running
	oci kill box KILL
	local ended=0
	wait $! || ended=$?
	[ "$ended" -eq 137 ]
	[ -z "$(oci list -q)" ]
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "create, start, state, kill and delete: each state in its turn" {
	config . sh -c 'echo started; exec sleep 1000'
	oci create -b "$B" --pid-file "$SCRATCH/pid" box >"$SCRATCH/out" 2>&1
	is box created
	[ ! -s "$SCRATCH/out" ]
	pid=$(cat "$SCRATCH/pid")
	[ "$(oci state box | jq .pid)" = "$pid" ]
	[ "$(oci state box | jq -r .bundle)" = "$B" ]
	[ "$(oci state box | jq -r .id)" = box ]
	oci start box
	is box running
	wait_until grep -q started "$SCRATCH/out"
	sleeps() { [ "$(tr '\0' ' ' <"/proc/$pid/cmdline")" = "sleep 1000 " ]; } # the shell that said so becomes it
	wait_until sleeps
	run oci start box
	one_line_error "cannot be started: it is running"
	run oci delete box
	one_line_error "not stopped"
	oci kill box 0 # whether there is somebody
	is box running
	oci kill box KILL
	wait_until is box stopped
	[ "$(oci state box | jq .pid)" = 0 ]
	run oci kill box 0
	one_line_error "container not running"
	run oci kill box
	one_line_error "container not running"
	oci delete box
	run oci state box
	one_line_error "container 'box' does not exist"
	run oci delete box
	one_line_error "does not exist"
	oci delete --force box
}

@test "state leaves one that waits alone, and two starts start it once" {
	config . sh -c 'echo started; exec sleep 1000'
	oci create -b "$B" box >"$SCRATCH/out" 2>&1
	for _ in 1 2 3 4 5; do is box created; done
	[ ! -s "$SCRATCH/out" ]
	oci start box >"$SCRATCH/one" 2>&1 &
	first=$!
	local failed=0
	oci start box >"$SCRATCH/two" 2>&1 || failed=1
	wait "$first" || failed=$((failed + 1))
	[ "$failed" -eq 1 ]
	wait_until grep -q started "$SCRATCH/out"
	[ "$(grep -c started "$SCRATCH/out")" -eq 1 ]
	oci delete --force box
}

@test "a configuration without a process: it is made, others run in it, and it is not started" {
	config 'del(.process)' unused
	run oci run -b "$B" box
	one_line_error "process is missing: what is it to run"
	oci create -b "$B" box </dev/null >"$SCRATCH/out" 2>&1
	is box created
	run oci start box
	one_line_error "cannot be started: its configuration has no process"
	is box created
	echo '{"args": ["/bin/sh", "-c", "id -u; pwd"], "cwd": "/tmp", "env": ["PATH=/bin"]}' >"$SCRATCH/process.json"
	[ "$(oci exec --process "$SCRATCH/process.json" box)" = "0
/tmp" ]
	oci delete box
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "delete takes one that was never started; a name is taken once" {
	config . sleep 1000
	oci create -b "$B" box >"$SCRATCH/out" 2>&1
	run oci create -b "$B" box
	one_line_error "container 'box' exists already"
	is box created
	oci delete box
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "a command that is not there fails create, in the words managers look for; nothing is left" {
	config . nosuch
	run oci create -b "$B" box
	[ "$status" -eq 1 ]
	one_line_error 'nosuch: executable file not found in \$PATH'
	config . /etc/passwd
	run oci create -b "$B" box
	one_line_error "run /etc/passwd: permission denied"
	config . /no/such
	run oci run -b "$B" box
	one_line_error "no such file or directory"
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "exec: in all its namespaces and cgroups, as whom it is told, with its status" {
	config . sleep 1000
	oci create -b "$B" box >"$SCRATCH/out" 2>&1
	oci start box
	run oci exec box sh -c 'echo $0; exit 4'
	[ "$status" -eq 4 ]
	[ "$(oci exec --env PATH=/bin:/x --env A=1 box sh -c 'echo "$PATH $A"')" = "/bin:/x 1" ]
	[ "$(oci exec --cap CAP_KILL box sh -c 'grep -E "Cap(Inh|Amb)" /proc/self/status | cut -f 2 | sort -u')" = 0000000000000000 ]
	[ "$(oci exec box readlink /proc/self/ns/pid)" = "$(oci exec box readlink /proc/1/ns/pid)" ]
	[ "$(oci exec box cat /proc/self/cgroup)" = "$(oci exec box cat /proc/1/cgroup)" ]
	[ "$(oci exec -u 1000:1000 -g 7 box id)" = "uid=1000(demo) gid=1000(demo) groups=7(7)" ] ||
		[ "$(oci exec -u 1000:1000 box id -u)" = 1000 ]
	[ "$(oci exec -e A=b --cwd /tmp box sh -c 'echo $A $PWD')" = "b /tmp" ]
	[ "$(echo in | oci exec box cat)" = in ]
	run oci exec box nosuch
	[ "$status" -eq 255 ]
	one_line_error "executable file not found"
	jq -n '{args: ["sh", "-c", "echo $X; exit 9"], cwd: "/", env: ["X=y"], user: {uid: 0, gid: 0}}' >"$SCRATCH/process.json"
	run oci exec --process "$SCRATCH/process.json" box
	[ "$status" -eq 9 ]
	[ "$output" = y ]
	oci exec --detach --pid-file "$SCRATCH/pid" box sleep 999 >/dev/null 2>&1
	[ "$(tr '\0' ' ' <"/proc/$(cat "$SCRATCH/pid")/cmdline")" = "sleep 999 " ]
	[ "$(oci ps -f json box | jq length)" -eq 2 ]
	oci ps box | grep -qx "$(cat "$SCRATCH/pid")"
}

@test "pause holds every process, resume lets it go on" {
	config . sh -c 'while :; do echo x; sleep 0.02; done'
	oci create -b "$B" box >"$SCRATCH/out" 2>&1
	oci start box
	oci pause box
	is box paused
	before=$(stat -c %s "$SCRATCH/out")
	run oci exec box true
	one_line_error "it is paused"
	[ "$(stat -c %s "$SCRATCH/out")" = "$before" ]
	oci resume box
	is box running
	grown() { [ "$(stat -c %s "$SCRATCH/out")" -gt "$before" ]; }
	wait_until grown
	run oci resume box
	one_line_error "cannot be resumed"
}

@test "the console socket gets the terminal; without one only run has a terminal" {
	config '.process.terminal = true' sh -c 'tty; exit 3'
	run oci create -b "$B" box
	one_line_error "console-socket"
	[ -z "$(ls "$OCI_ROOT")" ]
	python3 - "$SCRATCH/tty" >"$SCRATCH/said" <<'P' &
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + ".new"); s.listen(1)
os.rename(sys.argv[1] + ".new", sys.argv[1])  # it is there once it listens
c = s.accept()[0]
data, ancillary, _, _ = c.recvmsg(64, socket.CMSG_SPACE(4))
fd = array.array("i", ancillary[0][2])[0]
text = b""
try:
    while True:
        piece = os.read(fd, 4096)
        if not piece:
            break
        text += piece
except OSError:
    pass
print(text.decode().strip())
P
	reader=$!
	wait_until test -S "$SCRATCH/tty"
	oci create -b "$B" --console-socket "$SCRATCH/tty" box
	oci start box
	wait "$reader"
	grep -q '^/dev/pts/0' "$SCRATCH/said"
	wait_until is box stopped
	oci delete box
	run timeout 100 script -qec "$OCI_BIN --root $OCI_ROOT run -b $B box" /dev/null
	[ "$status" -eq 3 ]
	[[ $output == *"/dev/pts/0"* ]]
}

@test "a terminal has the size of ours before anything runs on it" {
	local sized='stty rows 33 cols 101; '"'$OCI_BIN' --root '$OCI_ROOT'"

	# A hook that dawdles is between the container's start and our staying with it.
	config '.process.terminal = true | .hooks.poststart = [{path: "/bin/sleep", args: ["sleep", "1"]}]' stty size
	run timeout 100 script -qec "$sized run -b '$B' box" /dev/null
	[ "$status" -eq 0 ]
	[[ $output == *"33 101"* ]]
	config '.process.terminal = true | .process.consoleSize = {height: 20, width: 50}' stty size
	run timeout 100 script -qec "'$OCI_BIN' --root '$OCI_ROOT' run -b '$B' box" /dev/null </dev/null
	[ "$status" -eq 0 ]
	[[ $output == *"20 50"* ]]
	config . sleep 1000
	oci run -d -b "$B" box >/dev/null 2>&1 </dev/null
	run timeout 100 script -qec "$sized exec -t box stty size" /dev/null
	[ "$status" -eq 0 ]
	[[ $output == *"33 101"* ]]
	oci delete --force box
}

@test "namespaces: new ones are others, those by path are these, those not named are ours" {
	for kind in pid net ipc uts mnt cgroup; do
		[ "$(in_bundle . readlink "/proc/self/ns/$kind")" != "$(readlink "/proc/self/ns/$kind")" ]
	done
	[ "$(in_bundle '.linux.namespaces |= map(select(.type != "network"))' readlink /proc/self/ns/net)" = \
		"$(readlink /proc/self/ns/net)" ]
	config . sleep 1000
	oci create -b "$B" --pid-file "$SCRATCH/pid" pod >"$SCRATCH/out" 2>&1
	oci start pod
	for kind in network:net ipc:ipc uts:uts pid:pid; do
		path=/proc/$(cat "$SCRATCH/pid")/ns/${kind#*:}
		[ "$(in_bundle "(.linux.namespaces[] | select(.type == \"${kind%:*}\")).path = \"$path\" | del(.hostname)" \
			readlink "/proc/self/ns/${kind#*:}")" = "$(readlink "$path")" ]
	done
}

@test "a user namespace: who is root inside is another outside, devices included" {
	chmod 0755 "$B"
	run in_bundle '.linux.namespaces += [{type: "user"}]
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = [{containerID: 0, hostID: 100000, size: 65536}]' \
		sh -c 'id -u; cat /proc/self/uid_map; echo x >/dev/null && echo null'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 0 ]
	[[ ${lines[1]} == *100000*65536 ]]
	[ "${lines[2]}" = null ]
}

@test "a bind mount with mapped ids shows its files as others'" {
	touch "$SCRATCH/shared/file"
	chown 100005:100005 "$SCRATCH/shared/file"
	[ "$(in_bundle ".mounts += [{destination: \"/mnt\", type: \"bind\", source: \"$SCRATCH/shared\", options: [\"bind\"],
		uidMappings: [{containerID: 0, hostID: 5, size: 1}, {containerID: 100005, hostID: 7, size: 1}],
		gidMappings: [{containerID: 0, hostID: 5, size: 1}, {containerID: 100005, hostID: 7, size: 1}]}]" \
		stat -c %u /mnt/file)" = 7 ]
}

@test "mounts: order, options of their own and of all below, propagation, copies" {
	mkdir -p "$SCRATCH/shared/sub"
	echo x >"$SCRATCH/shared/file"
	bind="{destination: \"/mnt\", type: \"bind\", source: \"$SCRATCH/shared\"}"
	[ "$(in_bundle ".mounts += [$bind + {options: [\"rbind\", \"ro\", \"nosuid\", \"noatime\"]}]" \
		grep -o ' /mnt ro,nosuid,noatime' /proc/self/mountinfo)" = " /mnt ro,nosuid,noatime" ]
	mount -t tmpfs inner "$SCRATCH/shared/sub"
	run in_bundle ".mounts += [$bind + {options: [\"rbind\", \"rro\"]}]" sh -c 'touch /mnt/x /mnt/sub/x'
	[ "$(grep -c "Read-only" <<<"$output")" -eq 2 ]
	[ "$(in_bundle ".mounts += [$bind + {options: [\"rbind\", \"ro\"]}]" sh -c 'touch /mnt/sub/x && echo wrote')" = wrote ]
	[ -z "$(in_bundle ".mounts += [$bind + {options: [\"bind\"]}]" ls /mnt/sub)" ]
	umount "$SCRATCH/shared/sub"
	[ "$(in_bundle ".mounts += [$bind + {options: [\"rbind\", \"rshared\"]}]" \
		sh -c 'grep -c " /mnt .* shared:" /proc/self/mountinfo')" = 1 ]
	[ "$(in_bundle '.mounts += [{destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "mode=700"]}]' \
		sh -c 'cmp /etc/passwd /etc/passwd && echo x >/etc/new && echo copied')" = copied ]
	[ "$(in_bundle ".mounts += [{destination: \"/file\", type: \"bind\", source: \"$SCRATCH/shared/file\", options: [\"bind\"]}] | .root.readonly = false" cat /file)" = x ]
	rm -f "$DEMO_ROOTFS/file"
}

@test "links in the image lead nowhere but inside" {
	mkdir -p "$SCRATCH/evil" "$SCRATCH/victim"
	cp -a "$DEMO_ROOTFS/." "$SCRATCH/evil/"
	ln -s "$SCRATCH/victim" "$SCRATCH/evil/link"
	in_bundle ".root = {path: \"$SCRATCH/evil\"} | .mounts += [{destination: \"/link/sub\", type: \"tmpfs\", source: \"t\"}]" true || true
	[ -z "$(ls "$SCRATCH/victim")" ]
	rm -rf "$SCRATCH/evil/proc"
	ln -s "$SCRATCH/victim" "$SCRATCH/evil/proc"
	run in_bundle ".root = {path: \"$SCRATCH/evil\"}" true
	one_line_error "symbolic link"
	run in_bundle ".mounts += [{destination: \"/proc/self/attr\", type: \"tmpfs\", source: \"t\"}]" true
	one_line_error "inside /proc"
	run in_bundle ".mounts |= map(if .destination == \"/proc\" then .type = \"tmpfs\" else . end)" true
	one_line_error "only a proc file system"
	rm -rf "$SCRATCH/evil"
}

@test "devices: those that are named, and rules for the rest" {
	[ "$(in_bundle '.linux.devices = [{path: "/dev/mem0", type: "c", major: 1, minor: 3, fileMode: 384, uid: 3, gid: 4}]' \
		stat -c '%F %a %u %g %t:%T' /dev/mem0)" = "character special file 600 3 4 1:3" ]
	run in_bundle '.linux.devices = [{path: "/dev/zram", type: "b", major: 7, minor: 0}]' dd if=/dev/zram of=/dev/null count=1
	[[ $output == *"Operation not permitted"* ]]
	run in_bundle '.linux.devices = [{path: "/dev/mine", type: "c", major: 10, minor: 200}]
		| .linux.resources.devices += [{allow: true, type: "c", major: 10, minor: 200, access: "r"}]' \
		sh -c 'true 3</dev/mine && echo read; true 3>/dev/mine && echo wrote'
	[[ $output == *read* ]]
	[[ $output == *"Operation not permitted"* ]]
	[[ $output != *wrote* ]]
}

# Its mode and owner were the default's, and other numbers were refused.
@test "devices: one that is there by default is the bundle's where it has it" {
	[ "$(in_bundle '.linux.devices = [{path: "/dev/tty", type: "c", major: 5, minor: 0, fileMode: 384, uid: 3, gid: 4},
			{path: "/dev/random", type: "c", major: 1, minor: 9, fileMode: 420}]' \
		stat -c '%F %a %u %g %t:%T' /dev/tty /dev/random /dev/null | tr '\n' ';')" = \
		"character special file 600 3 4 5:0;character special file 644 0 0 1:9;character special file 666 0 0 1:3;" ]
	run in_bundle '.linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 3}, {path: "/dev/x", type: "c", major: 1, minor: 5}]' true
	one_line_error "device /dev/x: there is something else"
}

@test "devices: in their order, all but one of what is allowed, by what is asked of it" {
	tried='for d in tun fuse; do { true 3</dev/$d; } 2>/dev/null && echo "$d r"; { true 3>/dev/$d; } 2>/dev/null && echo "$d w";
		{ true 3<>/dev/$d; } 2>/dev/null && echo "$d rw"; done; true'
	nodes='.linux.devices = [{path: "/dev/tun", type: "c", major: 10, minor: 200}, {path: "/dev/fuse", type: "c", major: 10, minor: 229}]'
	while IFS='#' read -r rules words; do
		run in_bundle "$nodes | .linux.resources.devices = $rules" sh -c "$tried"
		[ "$status" -eq 0 ]
		[ "$(echo "$output" | tr '\n' ' ')" = "$words" ] || { echo "$rules: $output"; false; }
	done <<-'END'
		[{allow: false}, {allow: true, type: "c", major: 10}, {allow: false, type: "c", major: 10, minor: 200}]#fuse r fuse w fuse rw 
		[{allow: true}, {allow: false, type: "c", major: 10, minor: 229}]#tun r tun w tun rw 
		[{allow: true}, {allow: false, minor: 229, access: "w"}]#tun r tun w tun rw fuse r 
		[{allow: false}, {allow: true, type: "c", major: 10}, {allow: false, type: "c", minor: 200, access: "rw"}, {allow: true, type: "c", major: 10, minor: 200, access: "r"}]#tun r fuse r fuse w fuse rw 
		[{allow: false}, {allow: true, type: "c", minor: 200}]#tun r tun w tun rw 
		[{allow: false}, {allow: true, type: "b", major: 10}, {allow: false, type: "b", major: 10, minor: 200}]# 
	END
}

@test "process: user, groups, umask, capabilities, limits, directory, no new privileges" {
	[ "$(in_bundle '.process.user = {uid: 1000, gid: 1000, additionalGids: [5, 6], umask: 63}' sh -c 'id -u; id -G; umask')" = "1000
1000 5 6
0077" ]
	[ "$(in_bundle '.process.capabilities = {bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"],
		inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"]} | .process.user = {uid: 1000, gid: 1000}' \
		sh -c 'grep -E "Cap(Inh|Prm|Eff|Bnd|Amb)" /proc/self/status | cut -f 2 | sort -u')" = 0000000000000020 ]
	[ "$(in_bundle '.process.capabilities.ambient = []' grep NoNewPrivs /proc/self/status | cut -f 2)" = 1 ]
	[ "$(in_bundle '.process.noNewPrivileges = false' grep NoNewPrivs /proc/self/status | cut -f 2)" = 0 ]
	[ "$(in_bundle '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 77, hard: 88}]' sh -c 'ulimit -n; ulimit -Hn')" = "77
88" ]
	[ "$(in_bundle '.process.cwd = "/tmp"' pwd)" = /tmp ]
	[ "$(in_bundle '.process.oomScoreAdj = 500' cat /proc/self/oom_score_adj)" = 500 ]
	[ "$(in_bundle '.process.env = ["A=b"]' env | sort)" = "A=b
HOME=/root" ] || [ "$(in_bundle '.process.env = ["A=b"]' env | grep -c '^A=b')" = 1 ]
	run in_bundle '.process.capabilities.bounding += ["CAP_NONSENSE"]' echo ran
	[ "$status" -eq 0 ]
	[[ $output == *"1 capabilities are not known"* ]]
	[[ $output == *ran* ]]
}

@test "masked and read-only paths, sysctls, names, a read-only root" {
	[ "$(in_bundle . sh -c 'cat /proc/keys; ls /sys/firmware')" = "" ]
	run in_bundle . sh -c 'echo 1 >/proc/sys/kernel/msgmax'
	[[ $output == *"Read-only"* ]]
	[ "$(in_bundle '.linux.sysctl = {"kernel.msgmax": "9000", "net.ipv4.ip_forward": "1"}' \
		cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward)" = "9000
1" ]
	run in_bundle '.linux.sysctl = {"kernel.panic": "1"}' true
	one_line_error "linux.sysctl.kernel.panic is not a container's own"
	run in_bundle '.linux.sysctl = {"net.ipv4.ip_forward": "1"} | .linux.namespaces |= map(select(.type != "network"))' true
	one_line_error "its namespace is shared"
	[ "$(in_bundle '.hostname = "here" | .domainname = "there"' sh -c 'hostname; cat /proc/sys/kernel/domainname')" = "here
there" ]
	run in_bundle . touch /new
	[[ $output == *"Read-only"* ]]
}

CG='cg() { for f in "$@"; do for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
	[ -f $d/$f ] && { cat $d/$f; return; }; done; done; echo none; }; '

@test "resources are the cgroup's files, update changes them; what cannot be is refused" {
	[ "$(in_bundle '.linux.resources += {memory: {limit: 67108864, reservation: 33554432}}' sh -c "$CG cg memory.max memory.limit_in_bytes
		cg memory.low memory.soft_limit_in_bytes")" = "67108864
33554432" ]
	[ "$(in_bundle '.linux.resources += {pids: {limit: 33}}' sh -c "$CG cg pids.max")" = 33 ]
	run in_bundle '.linux.resources += {cpu: {quota: 50000, period: 100000, shares: 512, cpus: "0"}}' sh -c "$CG cg cpu.max cpu.cfs_quota_us; grep Cpus_allowed_list /proc/self/status"
	[[ ${lines[0]} == 50000* ]]
	[[ ${lines[1]} == *0 ]]
	config . sleep 1000
	oci create -b "$B" box >"$SCRATCH/out" 2>&1
	oci start box
	echo '{"memory": {"limit": 33554432}, "pids": {"limit": 44}}' | oci update --resources - box
	[ "$(oci exec box sh -c "$CG cg pids.max; cg memory.max memory.limit_in_bytes")" = "44
33554432" ]
	echo '{"pids": {"limit": "x"}}' >"$SCRATCH/bad"
	oci update --memory 48m --pids-limit 45 --cpu-share 512 box
	[ "$(oci exec box cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max | tr '\n' ' ')" = "50331648 45 " ] ||
		[ "$(oci exec box cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max | tr '\n' ' ')" = "50331648 45 " ]
	# What is lifted takes the limit on swap with it: version 1 has no memory above the total.
	oci update --memory 48m --memory-swap 96m box
	oci update --memory -1 --pids-limit -1 box
	lifted=$(oci exec box sh -c "$CG cg pids.max; cg memory.max memory.limit_in_bytes")
	[[ $lifted == $'max\nmax' || $lifted == $'max\n9223372036854'* ]]
	run oci update --memory lots box
	one_line_error "memory"
	run oci update box
	one_line_error "takes --resources, or"
	run oci update --resources "$SCRATCH/bad" box
	one_line_error "resources: pids.limit must be a whole number"
	run in_bundle '.linux.resources += {blockIO: {leafWeight: 10}}' true
	one_line_error "blockIO.leafWeight is not supported"
	run in_bundle '.linux.resources += {unified: {"x.max": "x"}}' true
	one_line_error "unified.x.max is not supported"
}

@test "cgroupsPath is where it is; a container without one has its own" {
	config '.linux.cgroupsPath = "/strata-test/inner"' sleep 1000
	oci create -b "$B" --pid-file "$SCRATCH/pid" box >"$SCRATCH/out" 2>&1
	grep -q ':/strata-test/inner$' "/proc/$(cat "$SCRATCH/pid")/cgroup"
	oci delete --force box
	find /sys/fs/cgroup -maxdepth 3 -type d -name strata-test -exec rmdir {} + 2>/dev/null || true
	run in_bundle '.linux.cgroupsPath = "system.slice:a:b"' true
	one_line_error "systemd's form"
}

@test "seccomp: the profile of the configuration holds, in exec too; what we cannot do is refused" {
	profile='.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95}]}'
	run in_bundle "$profile" mkdir /tmp/x
	[[ $output == *"not supported"* ]]
	config "$profile" sleep 1000
	oci create -b "$B" box >"$SCRATCH/out" 2>&1
	oci start box
	run oci exec box mkdir /tmp/x
	[[ $output == *"not supported"* ]]
	oci delete -f box
	run in_bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_NOTIFY"}]}' true
	one_line_error "seccomp.listenerPath must be an absolute path: the profile has SCMP_ACT_NOTIFY"
	run in_bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_FOO"}' true
	one_line_error "linux.seccomp.*SCMP_ACT_FOO"
}

@test "hooks: all six, in order, with the state on standard input, where they belong" {
	hook='{path: "/bin/sh", args: ["sh", "-c", "read -r line; cat >>'$SCRATCH'/hooks.json; echo $0 >>'$SCRATCH'/hooks", $name]}'
	inside='{path: "/bin/sh", args: ["sh", "-c", "cat >/dev/null; echo \($name) >>/tmp/hooks; hostname >>/tmp/hooks", $name]}'
	: >"$SCRATCH/hooks"
	mkdir -p "$SCRATCH/tmp"
	config "([\"prestart\", \"createRuntime\", \"createContainer\", \"poststart\", \"poststop\"]
		| map(. as \$name | {(\$name): [$hook]}) | add) as \$h
		| (\"startContainer\" as \$name | {startContainer: [$inside]}) as \$i
		| .hooks = \$h + \$i | .mounts += [{destination: \"/tmp\", type: \"bind\", source: \"$SCRATCH/tmp\", options: [\"rbind\"]}]
		| .annotations = {\"a.b\": \"c\"}" true
	oci create -b "$B" box
	[ "$(tr '\n' ' ' <"$SCRATCH/hooks")" = "prestart createRuntime createContainer " ]
	grep -q '"id": "box"' "$SCRATCH/hooks.json"
	grep -q '"a.b": "c"' "$SCRATCH/hooks.json"
	oci start box
	[ "$(tr '\n' ' ' <"$SCRATCH/tmp/hooks")" = "startContainer strata " ]
	wait_until is box stopped
	oci delete box
	[ "$(tr '\n' ' ' <"$SCRATCH/hooks")" = "prestart createRuntime createContainer poststart poststop " ]
}

@test "a startContainer hook may what the container may: the image chose the program" {
	run in_bundle '.process.user = {uid: 1000, gid: 1000, additionalGids: [7]} | .process.capabilities[] = ["CAP_KILL"]
		| .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "{ id -u; id -G; grep -E \"Cap(Eff|Bnd|Inh)|NoNew\" /proc/self/status; } >/dev/shm/hook"]}]' \
		cat /dev/shm/hook
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 1000 ]
	[ "${lines[1]}" = "1000 7" ]
	[[ $output == *"CapBnd:"*"0000000000000020"* ]]
	[[ $output == *"NoNewPrivs:"*1* ]]
	[[ $output != *"3fffff"* ]]
}

@test "a startContainer hook has the container's filter, also where somebody outside answers it" {
	local nnp action
	for nnp in true false; do
		for action in SCMP_ACT_ERRNO SCMP_ACT_NOTIFY; do
			run in_bundle '.process.noNewPrivileges = '$nnp' | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
				listenerPath: "'"$SCRATCH"'/nobody", syscalls: [{names: ["mkdir"], action: "'$action'"}]}
				| .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "mkdir /dev/shm/x && exit 3; exit 4"]}]' true
			one_line_error "startContainer: hook /bin/sh: exit status 4"
		done
	done
}

@test "hooks that fail, hang and flood: the container is not made, and nothing is left" {
	run in_bundle '.hooks.createRuntime = [{path: "/bin/false"}]' echo ran
	one_line_error "createRuntime: hook /bin/false: exit status 1"
	run in_bundle '.hooks.prestart = [{path: "/bin/sleep", args: ["sleep", "100"], timeout: 1}]' echo ran
	one_line_error "not done after 1 s"
	run in_bundle '.hooks.createContainer = [{path: "/no/such"}]' echo ran
	one_line_error "createContainer: hook /no/such"
	run in_bundle '.hooks.startContainer = [{path: "/bin/false"}]' echo ran
	one_line_error "startContainer: hook /bin/false"
	[ "$(in_bundle '.hooks.prestart = [{path: "/usr/bin/head", args: ["head", "-c", "10000000", "/dev/zero"]}]' echo ran)" = ran ]
	run in_bundle '.hooks.poststart = [{path: "/bin/false"}] | .hooks.poststop = [{path: "/bin/false"}]' echo ran
	[ "$status" -eq 0 ]
	[[ $output == *warning*poststart* ]]
	[[ $output == *warning*poststop* ]]
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "each part missing, of another type, out of range: one line that names it" {
	local filter says
	while IFS='#' read -r filter says; do
		run in_bundle "$filter" true
		[ "$status" -eq 1 ] || { echo "$filter: $status"; false; }
		one_line_error "$says" || { echo "$filter"; false; }
	done <<'CASES'
del(.ociVersion)#config.json: ociVersion is missing
.ociVersion = 1#ociVersion must be a string
.ociVersion = "2.0.0"#ociVersion 2.0.0 is not supported
del(.root)#config.json: root is missing
.root = []#root must be an object
.root = {}#root.path is missing
.root.path = "/no/such"#/no/such
del(.process)#process is missing
.process.args = []#process.args is missing or empty
.process.args = "sh"#process.args must be an array
.process.args = [1]#process.args\[0\] must be a string
del(.process.cwd)#process.cwd is missing
.process.cwd = "x"#process.cwd must be an absolute path
.process.env = ["X"]#is not NAME=VALUE
.process.user = {uid: -1}#process.user.uid must be a whole number from 0
.process.user = {uid: 1.5}#process.user.uid must be a whole number
.process.rlimits = [{type: "RLIMIT_X", soft: 1, hard: 1}]#RLIMIT_X' is not known
.process.rlimits = [{type: "RLIMIT_CORE", soft: 2, hard: 1}]#must not be more than hard
.process.apparmorProfile = ["x"]#apparmorProfile must be a string
.process.selinuxLabel = 1#selinuxLabel must be a string
.mounts = {}#mounts must be an array
.mounts += [{type: "tmpfs"}]#mounts\[7\].destination is missing
.mounts += [{destination: "/x"}]#mounts\[7\].type is missing
.mounts += [{destination: "/x", type: "bind"}]#mounts\[7\].source is missing
.mounts += [{destination: "/", type: "tmpfs"}]#must not be the root
.mounts += [{destination: "/x", type: "nosuchfs", source: "x"}]#mount nosuchfs
.mounts += [{destination: "/tmp", type: "tmpfs", source: "x", options: ["nosuch=1"]}]#nosuch
.mounts += [{destination: "/tmp", type: "bind", source: "/tmp", options: ["nosuch"]}]#means nothing to a bind
.linux.namespaces += [{type: "x"}]#linux.namespaces\[6\].type 'x' is not known
.linux.namespaces += [{type: "pid"}]#pid is there twice
.linux.namespaces |= map(select(.type != "mount"))#without a mount namespace
.linux.namespaces |= map(select(.type != "uts"))#no uts namespace
.linux.uidMappings = [{containerID: 0, hostID: 0, size: 1}]#must both be there or neither
.linux.devices = [{path: "/dev/x", type: "z"}]#linux.devices\[0\].type must be
.linux.devices = [{path: "/dev/x", type: "c"}]#major and minor
.linux.devices = [{path: "/dev/x", type: "c", major: 5000, minor: 1}]#from 0 to 4095
.domainname = "a" | .linux.sysctl = {"kernel.domainname": "b"}#says another thing than domainname
.linux.cgroupsPath = "a\nb"#cgroupsPath must be one line
.linux.rootfsPropagation = "x"#rootfsPropagation 'x' is not known
.linux.intelRdt = {closID: "x"}#linux.intelRdt is not supported
.linux.personality = {domain: "X"}#personality.domain .X. is not known
.linux.resources.memory = {limit: "1"}#resources.memory.limit must be a whole number
.linux.resources.devices = [{allow: 1}]#devices\[0\].allow must be true or false
.hooks = {prestart: [{}]}#hooks.prestart\[0\].path is missing
.hooks = {prestart: [{path: "x"}]}#must be an absolute path
.annotations = {a: 1}#annotations.a must be a string
CASES
	[ -z "$(ls "$OCI_ROOT")" ]
}

@test "no JSON, no bundle, a large one, bad names and flags" {
	config . true
	echo '{' >"$B/config.json"
	run oci run -b "$B" box
	one_line_error "config.json: not valid JSON: line"
	head -c 20000000 /dev/zero | tr '\0' ' ' >"$B/config.json"
	run oci run -b "$B" box
	one_line_error "file too large"
	run oci run -b "$SCRATCH/nosuch" box
	one_line_error "bundle .*: no such file"
	config . true
	for name in . .. a/b "" .x "a b"; do
		run oci run -b "$B" "$name"
		one_line_error "container id"
	done
	run oci nosuch
	one_line_error "unknown verb"
	run oci checkpoint box
	one_line_error "container 'box' does not exist"
	run oci create
	one_line_error "create takes: ID"
	run oci create --nosuch box
	one_line_error "nosuch"
	[ ! -e "$OCI_ROOT" ] || [ -z "$(ls "$OCI_ROOT")" ]
}

@test "errors go to --log too, in either format" {
	run "$OCI_BIN" --root "$OCI_ROOT" --log "$SCRATCH/log" --log-format json state nosuch
	[ "$status" -eq 1 ]
	[ "$(jq -r '.level + " " + .msg' "$SCRATCH/log")" = "error container 'nosuch' does not exist" ]
	run "$OCI_BIN" --root "$OCI_ROOT" --log "$SCRATCH/log2" state nosuch
	grep -q 'level=error msg="container' "$SCRATCH/log2"
}

@test "--preserve-fds hands on those fds and no others" {
	config . sh -c 'head -n 1 <&5; ls /proc/self/fd | tr "\n" " "'
	run bash -c 'exec 3</dev/null 4</dev/null 5<"$1/etc/passwd" 6</dev/null; exec "$2" --root "$3" run -b "$4" --preserve-fds 3 box' \
		x "$DEMO_ROOTFS" "$OCI_BIN" "$OCI_ROOT" "$B"
	[ "${lines[0]}" = "$(head -n 1 "$DEMO_ROOTFS/etc/passwd")" ]
	[ "${lines[1]}" = "0 1 2 3 4 5 6 " ]
	run bash -c 'exec 3</dev/null 4</dev/null; exec "$2" --root "$3" run -b "$4" box' \
		x "$DEMO_ROOTFS" "$OCI_BIN" "$OCI_ROOT" "$B"
	[[ $output == *"0 1 2 3 " ]]
}

@test "--preserve-fds beyond what the caller has hands on none of ours" {
	config . sh -c 'ls /proc/self/fd | tr "\n" " "'
	run bash -c 'for ((i = 4; i < 100; i++)); do eval "exec $i>&-"; done; exec 3</dev/null "$1" --root "$2" run -b "$3" --preserve-fds 40 box' \
		x "$OCI_BIN" "$OCI_ROOT" "$B"
	[ "$output" = "0 1 2 3 4 " ]
}

@test "LISTEN_FDS that were another process's: what has their numbers now stays outside" {
	config . sh -c 'echo "${LISTEN_FDS-none}"; ls -l /proc/self/fd'
	run bash -c 'exec 3</etc; LISTEN_FDS=1 LISTEN_PID=1 exec "$1" --root "$2" run -b "$3" box' x "$OCI_BIN" "$OCI_ROOT" "$B"
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = none ]
	[[ $output != *" /etc"* ]]
	run bash -c 'exec 3</etc; LISTEN_FDS=1 LISTEN_PID=$BASHPID exec "$1" --root "$2" run -b "$3" box' x "$OCI_BIN" "$OCI_ROOT" "$B"
	[ "${lines[0]}" = 1 ]
	[[ $output == *" 3 -> "* ]]
}

@test "LISTEN_FDS: the sockets go in, with the number of the process that is to take them" {
	config . sh -c 'echo "$LISTEN_FDS $LISTEN_PID $$"'
	run bash -c 'exec 3</dev/null; LISTEN_FDS=1 exec "$1" --root "$2" run -b "$3" box' x "$OCI_BIN" "$OCI_ROOT" "$B"
	[ "$output" = "1 1 1" ]
}

@test "createContainer hooks see the host's files and, below the bundle, the container's mounts" {
	config '.hooks.createContainer = [{path: "/bin/sh", args: ["sh", "-c", "test -e rootfs/proc/self && test -d /usr/bin && test -n \"$PATH\""]}]
		| .root.path = "rootfs"' echo ran
	ln -sfn "$DEMO_ROOTFS" "$B/rootfs"
	[ "$(oci run -b "$B" box)" = ran ]
}

@test "a working directory that is not there is made, also where the root is read-only" {
	[ "$(in_bundle ".process.cwd = \"/tmp/made$$\"" pwd)" = "/tmp/made$$" ]
	rm -rf "$DEMO_ROOTFS/tmp/made$$"
}

@test "an inheritable capability alone is kept by one who is not root" {
	[ "$(in_bundle '.process.capabilities = {bounding: ["CAP_KILL"], inheritable: ["CAP_KILL"]} | .process.user = {uid: 1000, gid: 1000}' \
		sh -c 'grep CapInh /proc/self/status | cut -f 2')" = 0000000000000020 ]
}

@test "spec --rootless: a user namespace with the caller alone in it" {
	mkdir "$SCRATCH/rootless"
	oci spec --rootless -b "$SCRATCH/rootless"
	jq -e '.linux | (.namespaces | map(.type) | index("user") and (index("network") | not))
		and (has("resources") | not) and .uidMappings == [{containerID: 0, hostID: 0, size: 1}]' "$SCRATCH/rootless/config.json"
	jq --arg root "$DEMO_ROOTFS" '.root.path = $root | .process.terminal = false | .process.args = ["id", "-u"]' \
		"$SCRATCH/rootless/config.json" >"$B/config.json"
	[ "$(oci run -b "$B" box)" = 0 ]
}

@test "run --config and --keep" {
	config . echo ran
	mv "$B/config.json" "$SCRATCH/other.json"
	[ "$(oci run -b "$B" --config "$SCRATCH/other.json" --keep box)" = ran ]
	is box stopped
	oci delete box
}

@test "list knows all of them; features says what there is" {
	config . sleep 1000
	oci create -b "$B" one >"$SCRATCH/out" 2>&1
	oci create -b "$B" two >"$SCRATCH/out" 2>&1
	[ "$(oci list -q | sort | tr '\n' ' ')" = "one two " ]
	[ "$(oci list -f json | jq -r '.[] | select(.id == "two") | .status')" = created ]
	oci features | jq -e '.ociVersionMax == "1.2.0" and (.hooks | length == 6) and (.mountOptions | index("rro"))
		and .linux.cgroup.v2 and .linux.apparmor.enabled and (.linux.namespaces | length == 8)'
	oci --version | grep -q '^spec: 1.2'
}

@test "a maker that is killed at any moment leaves nothing that delete --force does not remove" {
	config . sleep 1000
	local delay
	for delay in 0 0.001 0.002 0.003 0.004 0.005 0.006 0.008 0.01 0.015; do
		timeout -s KILL "$delay" "$OCI_BIN" --root "$OCI_ROOT" create -b "$B" box >/dev/null 2>&1 || true
		gone() { oci delete --force box; }
		wait_until gone
		[ ! -e "$OCI_ROOT/box" ]
	done
	[ -z "$(find /sys/fs/cgroup -maxdepth 3 -type d -name strata-oci-box)" ]
}
