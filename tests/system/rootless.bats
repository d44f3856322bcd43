#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An ordinary user (his containers are rootless_os.bats'): images, volumes and virtual machines without root, without a capability and without cgroups. He gets a
# /dev/kvm of his own, in a mount namespace of this test's: the host's stays as it is.
bats_require_minimum_version 1.5.0
load helper

USER_ID=54321 # nobody's

setup_file()
{
	strata_setup_file
	export BUILD=${STRATA_BIN%/*}
	export RESET=$BUILD/bench/guest_reset WAIT=$BUILD/bench/guest_wait PROGRAMS=$BUILD/tests/guest
	mkdir "$SCRATCH/home" "$SCRATCH/dev"
	chown $USER_ID:$USER_ID "$SCRATCH/home"
	as_user test -x "$STRATA_BIN" -a -r "$RESET" || skip "an ordinary user cannot get at $BUILD"
	tar -C "$DEMO_ROOTFS" -cf "$SCRATCH/demo.tar" . # he may not look into all of it
}

setup()
{
	cd "$SCRATCH/home" || return 1
}

teardown()
{
	local ids
	ids=$(u ps -a -q) || return 0
	# shellcheck disable=SC2086 # one word an id
	[ -z "$ids" ] || u rm -f $ids >/dev/null
}

# as_user COMMAND...: no root, no capability, no group; KVM=no: no /dev/kvm either
as_user()
{
	# shellcheck disable=SC2016 # the inner shell's
	unshare -m sh -c '
		mount --make-rprivate / && mount -t tmpfs -o mode=755 none "$SCRATCH/dev" || exit 120
		if [ "${KVM:-yes}" = yes ] && [ -c /dev/kvm ]; then
			mknod "$SCRATCH/dev/kvm" c 10 232 && chmod 666 "$SCRATCH/dev/kvm" || exit 120
			mount --bind "$SCRATCH/dev/kvm" /dev/kvm || exit 120
		fi
		exec setpriv --reuid "$0" --regid "$0" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \
			env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$SCRATCH/home" STRATA_BIN="$STRATA_BIN" XDG_RUNTIME_DIR="$SCRATCH/home/run" "$@"
	' "$USER_ID" "$@"
}

u() { as_user "$STRATA_BIN" "$@"; }

needs_kvm() { [ -c /dev/kvm ] || skip "there is no /dev/kvm here"; }

needs_passt() { command -v passt >/dev/null || skip "needs passt: make setup"; }

# shellcheck disable=SC2016 # the inner shell's
# refused PATTERN FLAG...: 125 and one line, from `run` with the kernel that only resets; nothing is kept
refused()
{
	local pattern=$1
	shift
	run timeout 100 bash -c 'u run --rm --virt hybrid --kernel "$RESET" "$@"' refused "$@" </dev/null
	[ "$status" = 125 ] || { echo "status $status for $*: $output" >&2; return 1; }
	one_line_error "$pattern"
	[ -z "$(u ps -a -q)" ]
}
export -f u as_user
export USER_ID

up()
{
	local name=$1
	shift
	u run -d --name "$name" --virt hybrid --memory 64M --kernel "$WAIT" "$@" >/dev/null
	wait_until said "$name"
}

said() { [ "$(u logs "$1")" = x ]; }
state() { u inspect "$1" | jq -c ".[0].state | $2"; }
gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

@test "info says what he can run, and where his state is" {
	run u info
	[ "$status" = 0 ]
	[[ $output == *"$SCRATCH/home/.local/share/strata"* ]]
	[[ $output == *"$SCRATCH/home/run/strata"* ]]
	[ "$(stat -c %u:%a "$SCRATCH/home/.local/share/strata")" = $USER_ID:700 ]
	needs_kvm
	[[ $output =~ hybrid\ +yes ]]
}

@test "an image with owners, devices and closed directories comes in, goes out, and goes" {
	mkdir -p tree/closed
	echo text >tree/closed/file
	mknod tree/null c 1 3
	chown 1234:5678 tree/closed/file
	chmod 4711 tree/closed/file
	chmod 0 tree/closed
	tar -C tree --numeric-owner -cf tree.tar .
	chmod 0555 tree
	tar -C tree --numeric-owner -rf tree.tar . # its root too
	rm -rf tree
	run u image import tree.tar owned
	[ "$status" = 0 ]
	[[ $output != *"could not be kept"* ]] # a machine's disk has them all
	[ "$(u image list -q | wc -l)" = 1 ]
	u image export --format oci owned >out.tar
	u image rm owned >/dev/null
	[ -z "$(u image list -q)" ]
	u image import out.tar again
	u image tag again third
	u image rm again third >/dev/null
	[ -z "$(ls -A "$SCRATCH/home/.local/share/strata/layers")" ]
	[ -z "$(ls -A "$SCRATCH/home/.local/share/strata/blobs")" ]
	[ -z "$(ls -A "$SCRATCH/home/.local/share/strata/tmp")" ]
}

@test "volumes" {
	u volume create --size 8M disk
	u volume create --size 8M --format qcow2 cow
	u volume create dir
	[ "$(u volume list -q | wc -l)" = 3 ]
	[ "$(u volume inspect disk | jq -r '.[0].kind')" = raw ]
	u volume rm disk cow dir
	[ -z "$(u volume list -q)" ]
}

@test "a machine: its output, its disk, its end" {
	needs_kvm
	[ "$(u run --rm --virt hybrid --kernel "$RESET")" = x ]
	[ "$(u run --rm --virt hybrid --network none --cpus 2 -m 64M --kernel "$RESET")" = x ]
	u volume create --size 4M disk
	run u run --rm --virt hybrid --disk disk --kernel "$PROGRAMS/guest_blk"
	echo "$output"
	[[ $output =~ end:\ [1-9][0-9]*\ passed,\ 0\ failed ]]
	u volume rm disk
	[ -z "$(u ps -a -q)" ]
	[ -z "$(ls -A "$SCRATCH/home/run/strata/instances")" ]
}

@test "its life: logs, stats, top, pause, signals, restart, rm" {
	needs_kvm
	up w --vcpus 2
	[ "$(u ps | awk 'END { print $NF }')" = hybrid ]
	u stats --no-stream w | grep -q 67.1MB
	[ "$(u stats --no-stream -f json w | jq '.[0].pids')" -ge 3 ]
	[ "$(u top w | grep -c strata-vmm)" = 2 ] # and the holder of its memory
	# What its kernel grants is no matter of his rights here.
	[ "$(u inspect w | jq '.[0].caps | length')" = 14 ]
	u pause w
	[ "$(state w .status)" = '"paused"' ]
	grep -q '^State:.T' "/proc/$(state w .pid)/status"
	run u pause w
	one_line_error 'paused already'
	u resume w
	grep -q '^State:.[^T]' "/proc/$(state w .pid)/status"
	u rename w w2
	u restart -t 0 w2
	u pause w2
	u stop -t 0 w2 # a paused one too
	[ "$(state w2 .status)" = '"exited"' ]
	u start w2
	u pause w2
	u kill w2
	[ "$(state w2 .exit_code)" = 137 ]
	u rm w2
	[ -z "$(u ps -a -q)" ]
}

@test "what is sealed of it" {
	needs_kvm
	up w
	local pid
	pid=$(state w .pid)
	[ "$(awk '/^Uid:/ { print $2, $3, $4, $5 }' "/proc/$pid/status")" = "$USER_ID $USER_ID $USER_ID $USER_ID" ]
	[ "$(grep -Ec '^Cap(Inh|Prm|Eff|Amb):\s0000000000000000$' "/proc/$pid/status")" = 4 ]
	grep -Eq '^Seccomp:\s2$' "/proc/$pid/status"
	unshare -Ur true 2>/dev/null || skip "this host gives no user namespaces"
	[ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	[ -z "$(ls -A "/proc/$pid/root/")" ]
}

@test "limits are the machine's own, or refused" {
	needs_kvm
	[ -w /sys/fs/cgroup ] || skip "there are no cgroups here"
	refused '--cpuset-cpus needs a cgroup' --cpuset-cpus 0
	refused '--cpu-shares needs a cgroup' --cpu-shares 512
	refused 'part of a CPU .--cpus. needs a cgroup' --cpus 0.5
	refused 'part of a CPU .--cpus. needs a cgroup' --cpus 1 --vcpus 2
	up w --cpus 2
	[ "$(u inspect w | jq '.[0].vm.vcpus')" = 2 ]
}

@test "whoever is killed: the machine is gone, and starts again at once on its disk" {
	needs_kvm
	local pid monitor
	u volume create --size 4M disk
	up w --disk disk
	for _ in 1 2 3; do
		pid=$(state w .pid)
		monitor=$(state w .monitor_pid)
		kill -9 "$monitor"
		wait_until gone "$monitor" # until then it runs
		u start w # its disk is free again
		gone "$pid"
	done
	kill -9 "$(state w .pid)"
	[ "$(u wait w)" = 137 ]
	u rm w
	u volume rm disk
}

@test "networks that take root, and flags that passt has not" {
	refused '--network bridge .*takes root' --network bridge
	refused '--network bridge .*takes root' --network mine
	refused '--network bridge .*takes root' --ip 10.201.0.7
	refused '--network host is not for' --network host
	refused 'leaves no place for --ip' --network passt --ip 10.0.2.16
	run u network create passt
	one_line_error 'passt'
}

# in_net SCRIPT: by a shell as root in a network of its own, with one wire that leads nowhere and a name server on loopback
in_net()
{
	cat >"$SCRATCH/dns.py" <<-'END'
		import socket
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.bind(("127.0.0.1", 53))
		open("up", "w")
		while True:
		    d, a = s.recvfrom(600)
		    s.sendto(d[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + d[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x0a\0\0\x63", a)
	END
	echo "nameserver 127.0.0.1" >"$SCRATCH/resolv.conf"
	# shellcheck disable=SC2016 # the inner shell's
	unshare -nm bash -eu -c '
		cd "$SCRATCH" && rm -f up
		ip link set lo up
		ip link add d0 type veth peer name d1
		ip addr add 192.0.2.9/24 dev d0
		ip link set d1 up
		ip link set d0 up
		ip route add default via 192.0.2.1
		mount --bind "$SCRATCH/resolv.conf" "$(readlink -f /etc/resolv.conf)"
		python3 "$SCRATCH/dns.py" >/dev/null 2>&1 3>&- &
		dns=$!
		until [ -e up ]; do sleep 0.05; done
		trap "kill $dns" EXIT
		eval "$1"
	' in_net "$1"
}

@test "passt: the gateway, the host's name server, and a published port" {
	needs_kvm
	needs_passt
	export -f state
	# shellcheck disable=SC2016 # the inner shell's
	run in_net '
		u run -d --name n --virt hybrid --network passt -p 192.0.2.9:8099:7/udp -p 8098:80 --memory 64M \
			--append "dns=1 echo=5" --kernel "$PROGRAMS/guest_udp" >/dev/null
		u ps | grep n
		python3 -c "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.2)
got, tries = set(), 0
while len(got) < 5 and tries < 300:
    tries += 1
    s.sendto(b\"hello %d\" % len(got), (\"192.0.2.9\", 8099))
    try:
        got.add(s.recv(100))
    except OSError:
        pass
print(sorted(got))
"
		echo "ended $(u wait n)"
		u logs n
		u rm n
	'
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"192.0.2.9:8099->7/udp"* ]]
	[[ $output == *"[b'hello 0', b'hello 1', b'hello 2', b'hello 3', b'hello 4']"* ]]
	[[ $output == *"ok gateway_answers"* ]]
	[[ $output == *"ok answer_has_the_address"* ]]
	[[ $output == *"ok echoes"* ]]
	[[ $output == *"ended 1"* ]] # isa-debug-exit: 2 * 0 + 1
	[[ $output != *FAIL* ]]
}

@test "passt goes with its machine, whoever is killed" {
	needs_kvm
	needs_passt
	# shellcheck disable=SC2016 # the inner shell's
	run in_net '
		watch() { for i in $(seq 2000); do [ ! -d "/proc/$1" ] || grep -q "^State:.Z" "/proc/$1/status" || { sleep 0.05; continue; }; return 0; done; return 1; }
		get() { u inspect n | jq ".[0].state.$1"; }
		u run -d --name n --virt hybrid --network passt -p 8097:80 --memory 64M --kernel "$WAIT" >/dev/null
		passt=$(pgrep -P "$(get monitor_pid)" -x "passt|passt.avx2")
		kill -9 "$(get pid)"
		u wait n >/dev/null
		watch "$passt" && echo "gone with the machine"
		u start n
		passt=$(pgrep -P "$(get monitor_pid)" -x "passt|passt.avx2")
		kill -9 "$(get monitor_pid)"
		watch "$passt" && echo "gone with the monitor"
		u start n
		passt=$(pgrep -P "$(get monitor_pid)" -x "passt|passt.avx2")
		kill -9 "$passt"
		[ "$(get status)" = "\"running\"" ] && echo "the machine lives on"
		u rm -f n
	'
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"gone with the machine"* ]]
	[[ $output == *"gone with the monitor"* ]]
	[[ $output == *"the machine lives on"* ]]
}

@test "ports that cannot be, and a passt that cannot start" {
	needs_kvm
	needs_passt
	[ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -le 80 ] || refused '80/tcp is not for an ordinary user' --network passt -p 80:80
	refused 'does not have that address' --network passt -p 203.0.113.1:8096:80
	python3 -c 'import socket, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
print(s.getsockname()[1], flush=True)
time.sleep(600)' >port 3>&- &
	local pid=$!
	wait_until test -s port
	refused 'taken by another program' --network passt -p "$(cat port):80"
	kill "$pid"
	# Without a way out of the host it says so itself.
	# shellcheck disable=SC2016 # the inner shell's
	run unshare -n bash -c 'u run --rm --virt hybrid --network passt --kernel "$RESET"'
	[ "$status" = 125 ]
	one_line_error 'network passt: passt: '
	[ -z "$(u ps -a -q)" ]
}

@test "root may ask for passt as well" {
	needs_kvm
	needs_passt
	# shellcheck disable=SC2016 # the inner shell's
	run in_net 'strata run --rm --virt hybrid --network passt --memory 64M --append "dns=1" --kernel "$PROGRAMS/guest_udp"'
	echo "$output"
	[[ $output =~ end:\ [1-9][0-9]*\ passed,\ 0\ failed ]]
}

@test "without /dev/kvm hybrid says so, and all else works" {
	[ -c /dev/kvm ] || skip "there is none anyway"
	[ "$(stat -c %a /dev/kvm)" != 666 ] || skip "everybody may use this host's"
	export KVM=no
	run u info
	[[ $output =~ hybrid\ +no ]]
	run u run --rm --virt hybrid --kernel "$RESET"
	[ "$status" = 125 ]
	one_line_error '/dev/kvm'
	u volume create --size 1M v
	u volume rm v
	[ -z "$(u ps -a -q)" ]
}
