#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `strata run --virt hybrid --kernel` as a hostile or unlucky user has it: what cannot be is one line and leaves
# nothing; what runs is sealed; what is killed is gone.
bats_require_minimum_version 1.5.0
load helper

setup_file()
{
	if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
		skip "there is no usable /dev/kvm here"
	fi
	strata_setup_file
	export RESET=${STRATA_BIN%/*}/bench/guest_reset WAIT=${STRATA_BIN%/*}/bench/guest_wait
	export PROGRAMS=${STRATA_BIN%/*}/tests/guest
}

setup()
{
	cd "$SCRATCH" || return 1
}

# A test that failed leaves the others their names.
teardown()
{
	strata_remove_all
}

# refused PATTERN FLAG...: 125 and one line, from `run` with the kernel that only resets; nothing is kept
refused()
{
	local pattern=$1 before
	shift
	before=$(kept)
	run timeout 100 strata run --rm --virt hybrid --network none --kernel "$RESET" "$@" </dev/null
	[ "$status" = 125 ] || { echo "status $status for $*: $output" >&2; return 1; }
	one_line_error "$pattern"
	[ "$(kept)" = "$before" ] || { echo "kept: $(kept)" >&2; return 1; }
}

# What there is of instances.
kept()
{
	strata ps -a -q
	find "$STRATA_RUN/instances" "$STRATA_ROOT/instances" -mindepth 1 -maxdepth 1 2>/dev/null
	ls -d /sys/fs/cgroup/strata-* /sys/fs/cgroup/*/strata-* 2>/dev/null
	return 0
}

nothing_kept()
{
	[ -z "$(strata ps -a -q)" ]
	[ -z "$(ls -A "$STRATA_RUN/instances")" ]
	[ -z "$(ls -A "$STRATA_ROOT/instances")" ]
}

# up NAME FLAG...: a machine that waits for ever, which has said its x
up()
{
	local name=$1
	shift
	strata run -d --name "$name" --virt hybrid --network none --memory 64M --kernel "$WAIT" "$@" >/dev/null
	wait_until said "$name"
}

said() { [ "$(strata logs "$1")" = x ]; }

state() { strata inspect "$1" | jq -c ".[0].state | $2"; }

# Every process of a machine: the VMM, and the holder of its memory.
processes_of()
{
	local pid
	pid=$(state "$1" .pid)
	echo "$pid"
	pgrep -P "$pid"
}

# Or dead and not yet waited for by whoever got it.
gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

@test "a kernel that is none, and an initrd that is none" {
	mkdir -p directory
	: >empty
	head -c 100000 /dev/urandom >junk
	head -c 20 "$RESET" >short
	[ -p fifo ] || mkfifo fifo
	truncate -s 80M big
	truncate -s 3G sparse
	refused '--kernel missing: No such file' --kernel missing
	refused "the file's name is empty" --kernel ""
	refused 'empty: empty' --kernel empty
	refused 'directory: not a regular file' --kernel directory
	refused '/dev/zero: not a regular file' --kernel /dev/zero
	refused 'fifo: not a regular file' --kernel fifo # nobody writes to it: it is not waited for
	refused 'junk: kernel: not a kernel' --kernel junk
	refused 'short: kernel: the ELF image is cut short' --kernel short
	refused '--initrd missing: No such file' --initrd missing
	refused 'empty: empty' --initrd empty
	refused 'fifo: not a regular file' --initrd fifo
	refused "big: its 81920 KiB do not fit into the guest's 64 MiB" --memory 64M --initrd big
	refused "sparse: its 3145728 KiB do not fit into the guest's 64 MiB" --memory 64M --initrd sparse
	rm -f sparse big
}

@test "sizes that cannot be" {
	refused '--append: 5000 bytes' --append "$(head -c 5000 /dev/zero | tr '\0' x)"
	refused '--vcpus: 0 is not' --vcpus 0
	refused '--vcpus: 65 is not' --vcpus 65
	refused "--vcpus: 'x' is not" --vcpus x
	refused 'asked, this host has [0-9]+ MiB' --memory 500T
	refused "--memory: 'x' is not a size" --memory x
	refused '--memory must be at least' --memory 1k
	refused '--cpus 100.00: this host has' --cpus 100
	run strata run --rm --virt hybrid --network none --kernel "$RESET" --memory 0 # Docker's "not limited"
	[ "$status" = 0 ]
	[ "$output" = x ]
}

@test "a disk that cannot be" {
	local i many=()
	mkdir -p directory
	truncate -s 1000 odd
	: >empty
	truncate -s 4M disk
	refused '--disk missing: there is neither a file nor a volume' --disk missing
	refused 'directory is neither a file nor a block device' --disk directory
	refused '/dev/null is neither' --disk /dev/null
	refused 'odd has 1000 bytes, which is not a multiple of 512' --disk odd
	refused 'empty is empty' --disk empty
	refused 'disk is not a qcow2 image' --disk disk,format=qcow2
	refused "'bogus' is not known" --disk disk,bogus
	for ((i = 0; i < 17; i++)); do
		many+=(--disk "disk,ro")
	done
	refused '--disk: 17 disks' "${many[@]}"
}

@test "a disk in use is refused, two readers are not" {
	truncate -s 4M used
	up w --disk used
	refused 'used is in use by another virtual machine' --disk used
	refused 'used is in use by another virtual machine' --disk used,ro
	strata rm -f w
	up w --disk used,ro
	run strata run --rm --virt hybrid --network none --kernel "$RESET" --disk used,ro
	[ "$status" = 0 ]
	strata rm -f w
}

# Regression: it was said to be in use by another virtual machine.
@test "a disk that is given twice" {
	local path
	truncate -s 4M twice
	ln -sf twice link
	ln -f twice hard
	strata volume create --size 4M vol >/dev/null
	path=$(strata volume inspect vol | jq -r '.[0].path')
	refused 'twice is given twice: leave out one' --disk twice --disk twice
	refused 'twice is given twice: leave out one' --disk twice --disk ./twice,ro
	refused 'link is given twice, also as .*/twice: leave out one' --disk twice --disk link
	refused 'twice is given twice, also as .*/hard: leave out one' --disk hard,ro --disk twice
	refused "$path is given twice" --disk vol --disk "$path"
	refused 'volumes/vol/disk.img is given twice' --disk vol --disk vol,format=raw
	run strata run --rm --virt hybrid --network none --kernel "$RESET" --disk twice,ro --disk link,ro
	[ "$status" = 0 ]
	# What the names led to when it was made need not be what they lead to when it starts.
	truncate -s 4M other
	ln -sf other link
	strata create --name later --virt hybrid --network none --kernel "$RESET" --disk twice --disk link
	ln -sf twice link
	run strata start later
	one_line_error 'is given twice'
	strata rm later
	strata volume rm vol
}

@test "flags that a virtual machine has not" {
	refused '--device is not for' --device /dev/null
	refused '--volume, --mount or --tmpfs is not for' -v /tmp:/x
	refused '--volume, --mount or --tmpfs is not for' --mount type=bind,src=/tmp,dst=/x
	refused '--tmpfs is not for' --tmpfs /x
	refused '--tmpfs is not for' -v data:/x
	[ -z "$(strata volume list -q)" ]
	refused '--network host is not for' --network host
	refused '--memory-swap .*is not for' -m 64M --memory-swap 1G
	refused '--userns.* is not for' --userns auto
	refused '--userns.* is not for' --uidmap 0:1000:1
	refused '--init is not for' --init
	refused '--read-only is not for' --read-only
	refused '--user is for what an image runs' --user nobody
	refused '--env is for what an image runs' -e A=b
	refused '--privileged is for what an image runs' --privileged
	refused '--security-opt is for what an image runs' --security-opt seccomp=unconfined
	refused '--hostname is for what .*--network-alias' --hostname box
	refused '--time-offset is not for' --time-offset boottime=1
	refused '--stop-signal USR1: a kernel alone' --stop-signal USR1
	refused 'nothing can be reached' -p 80:80
	run strata run --rm --virt hybrid --mount type=bind,src=/tmp,dst=/x,bind-propagation=rshared demo true
	[ "$status" = 125 ]
	one_line_error "a bind's propagation is not for a virtual machine"
	run strata run --rm --virt os-level --kernel "$RESET"
	[ "$status" = 125 ]
	one_line_error '--virt os-level has no virtual machine'
}

@test "a qcow2 disk that is cut short, or whose backing file is gone" {
	strata volume create --size 4M --format qcow2 cut >/dev/null
	cp "$(strata volume inspect cut | jq -r '.[0].path')" cut.qcow2
	strata volume rm cut >/dev/null
	head -c 60 cut.qcow2 >header
	refused 'header' --disk header,format=qcow2
	command -v qemu-img >/dev/null || skip "the rest needs qemu-img"
	qemu-img create -q -f qcow2 base.qcow2 4M
	qemu-img create -q -f qcow2 cut.qcow2 4M
	qemu-io -f qcow2 -c 'write -q 0 64k' cut.qcow2
	cp cut.qcow2 cut2.qcow2
	truncate -s 4K cut.qcow2
	truncate -s 256K cut2.qcow2 # the L1 table is there, what it points to is not
	refused 'cut.qcow2 is cut short' --disk cut.qcow2
	refused 'cut2.qcow2 is cut short' --disk cut2.qcow2
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
	rm base.qcow2
	refused 'backing file of disk .*top.qcow2: open disk .*base.qcow2: No such file' --disk top.qcow2
	mkdir base.qcow2
	refused 'backing file of disk .*top.qcow2: disk .*base.qcow2 is neither' --disk top.qcow2
	rmdir base.qcow2
}

@test "a full host disk is an I/O error of the guest's" {
	mkdir -p small
	# shellcheck disable=SC2016 # the inner shell's
	unshare -m sh -eu -c '
		mount -t tmpfs -o size=1M none small
		truncate -s 4M small/disk
		head -c 1M /dev/zero >small/filler 2>/dev/null || true
		timeout 200 strata run --rm --virt hybrid --network none --memory 128M --disk small/disk,format=raw \
			--kernel "$PROGRAMS/guest_blk" >full.out 2>full.err || echo $? >full.status
	'
	cat full.out full.err
	# Its writes fail, which its own checks count; it lives, and reaches its end.
	grep -Eq '^FAIL write_.*: got 0x1, not 0x0' full.out # VIRTIO_BLK_S_IOERR
	grep -q '^ok ends_without_needs_reset' full.out
	grep -Eq '^end: [0-9]+ passed, [1-9][0-9]* failed' full.out
	[ ! -s full.err ]
	[ "$(cat full.status)" = 3 ] # isa-debug-exit: 2 * 1 + 1
}

@test "the seal, from outside" {
	local pid holder task fd kind
	truncate -s 4M sealed
	up w --vcpus 2 --disk sealed
	pid=$(state w .pid)
	holder=$(pgrep -P "$pid")
	[ "$(wc -w <<<"$holder")" = 1 ]
	for task in "/proc/$pid/task/"* "/proc/$holder/task/"*; do
		grep -Eq '^Uid:\s65534\s65534\s65534\s65534$' "$task/status"
		grep -Eq '^Gid:\s65534\s65534\s65534\s65534$' "$task/status"
		grep -Eq '^Groups:\s*$' "$task/status"
		[ "$(grep -Ec '^Cap(Inh|Prm|Eff|Bnd|Amb):\s0000000000000000$' "$task/status")" = 5 ]
		grep -Eq '^NoNewPrivs:\s1$' "$task/status"
		grep -Eq '^Seccomp:\s2$' "$task/status" || { cat "$task/status" >&2; return 1; }
	done
	for kind in user mnt net ipc uts; do
		[ "$(readlink "/proc/$pid/ns/$kind")" != "$(readlink "/proc/self/ns/$kind")" ]
		[ "$(readlink "/proc/$pid/ns/$kind")" = "$(readlink "/proc/$holder/ns/$kind")" ]
	done
	# The holder is in none of the instance's cgroups, whose removal would wait for it.
	grep -q /strata- "/proc/$pid/cgroup"
	run grep /strata- "/proc/$holder/cgroup"
	[ "$status" = 1 ]
	# An empty root, read-only: no /dev/kvm, no /proc, nothing by any path.
	for task in "$pid" "$holder"; do
		[ -z "$(ls -A "/proc/$task/root/")" ]
		[ "$(readlink "/proc/$task/cwd")" = / ]
		[ "$(wc -l <"/proc/$task/mountinfo")" = 1 ]
		grep -Eq ' / / ro,' "/proc/$task/mountinfo"
		[ "$(wc -l <"/proc/$task/net/dev")" -le 3 ] # two lines of heading, lo
	done
	# What it holds: its memory, KVM, its disk, its streams, its own events. Nothing else of the host's.
	for fd in "/proc/$pid/fd/"*; do
		case $(readlink "$fd") in
		anon_inode:kvm-vm | anon_inode:kvm-vcpu:[01] | anon_inode:kvm-vcpu-stats:[01] | /dev/kvm | "/memfd:guest-ram (deleted)") ;;
		anon_inode:\[event*\] | anon_inode:\[timerfd\] | anon_inode:\[signalfd\] | anon_inode:\[io_uring\]) ;;
		"$SCRATCH/sealed" | */exits.ask | */memory.ask | /dev/null | /dev/urandom | pipe:*) ;;
		*) echo "unexpected: $(ls -l "$fd")" >&2; return 1 ;;
		esac
	done
	strata rm -f w
	wait_until gone "$pid"
	wait_until gone "$holder"
}

@test "a debugger's port that is in use" {
	local pid
	python3 -c 'import socket, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
print(s.getsockname()[1], flush=True)
time.sleep(600)' >port 3>&- &
	pid=$!
	wait_until test -s port
	refused "debugger at .*$(cat port): Address already in use" --gdb "$(cat port)"
	kill "$pid"
}

# It has been answered: it waits for signals, too.
connected() { find "/proc/$1/fd" -lname '*signalfd*' | grep -q .; }

@test "attach gets its end" {
	up w -i
	strata attach w </dev/null >attached 2>&1 3>&- &
	local pid=$! status=0
	wait_until connected "$pid"
	strata kill -s TERM w
	wait "$pid" || status=$?
	cat attached
	[ "$status" = 143 ]
	strata rm w
}

@test "its life: logs, pause, rename, signals, restart, wait, what it has not" {
	local pid
	up w
	[ "$(strata ps | awk 'END { print $NF }')" = hybrid ]
	[ "$(state w .status)" = '"running"' ]
	strata stats --no-stream w | grep -q 67.1MB
	strata top w | grep -q strata-vmm
	run strata exec w ls
	[ "$status" = 125 ]
	one_line_error 'no agent of ours inside'
	run strata cp w:/etc .
	one_line_error 'no agent of ours inside'
	run strata cp bin w:/
	one_line_error 'no agent of ours inside'
	strata pause w
	[ "$(state w .status)" = '"paused"' ]
	strata resume w
	strata rename w w2
	strata kill -s USR1 w2 # nothing of a bare kernel's
	[ "$(state w2 .status)" = '"running"' ]
	strata restart -t 0 w2
	[ "$(state w2 .status)" = '"running"' ]
	pid=$(state w2 .pid)
	strata stop -t 60 w2 # nobody listens to the power button: at once
	[ "$(state w2 '[.status, .exit_code, .stopped_by_user]')" = '["exited",143,true]' ]
	[ "$(strata wait w2)" = 143 ]
	gone "$pid"
	strata start w2
	strata pause w2
	strata stop -t 0 w2 # a frozen one too
	strata start w2
	strata kill w2
	[ "$(state w2 .exit_code)" = 137 ]
	strata rm w2
	nothing_kept
}

@test "a guest that fails is started again, as often as was said" {
	# Its checks fail without a disk, and it says so through isa-debug-exit.
	strata run -d --name f --virt hybrid --network none --memory 64M --restart on-failure:2 --kernel "$PROGRAMS/guest_blk" >/dev/null
	wait_until ended f
	[ "$(state f .restarts)" = 2 ]
	[ "$(state f .exit_code)" = 3 ]
	[ "$(strata logs f | grep -c '^end: ')" = 3 ]
	strata rm f
}

ended() { [ "$(state "$1" .status)" = '"exited"' ]; }
dead() { [ "$(state "$1" .status)" != '"running"' ]; }

@test "whoever is killed: the machine is gone, and the states say so" {
	local all
	# The machine.
	up w
	mapfile -t all < <(processes_of w)
	[ "${#all[@]}" = 2 ]
	kill -9 "${all[0]}"
	[ "$(strata wait w)" = 137 ]
	[ "$(state w '[.status, .exit_code]')" = '["exited",137]' ]
	wait_until gone "${all[1]}"
	# Its holder: the machine does not need it to live.
	strata start w
	mapfile -t all < <(processes_of w)
	kill -9 "${all[1]}"
	[ "$(state w .status)" = '"running"' ]
	strata stop w
	# Its monitor: nothing of the machine outlives it.
	strata start w
	mapfile -t all < <(processes_of w)
	kill -9 "$(state w .monitor_pid)"
	wait_until gone "${all[0]}"
	wait_until gone "${all[1]}"
	wait_until dead w
	strata start w
	# Paused, then everything at once.
	strata pause w
	mapfile -t all < <(processes_of w)
	kill -9 "$(state w .monitor_pid)" "${all[@]}"
	strata rm -f w
	wait_until gone "${all[0]}"
	wait_until gone "${all[1]}"
	nothing_kept
}

@test "the command is killed while its machine runs" {
	local pid
	strata run --rm --name w --virt hybrid --network none --memory 64M --kernel "$WAIT" </dev/null >killed.out 2>&1 3>&- &
	pid=$!
	wait_until grep -q x killed.out
	kill -9 "$pid"
	wait "$pid" || true
	strata rm -f w
	nothing_kept
}

@test "streams that end early" {
	local flags=(--rm --virt hybrid --network none --memory 64M --kernel "$RESET")
	[ "$(echo x | timeout 100 strata run -i "${flags[@]}")" = x ]
	[ "$(timeout 100 strata run -i "${flags[@]}" </dev/null)" = x ]
	[ "$(timeout 100 strata run -i "${flags[@]}" <&-)" = x ]
	[ "$(timeout 100 strata run "${flags[@]}" | head -c1)" = x ]
	timeout 100 strata run "${flags[@]}" >&- 2>/dev/null || true
	timeout 100 strata run "${flags[@]}" >/dev/full 2>/dev/null || true
	[ "$(head -c 1M /dev/zero | timeout 100 strata run -i "${flags[@]}")" = x ]
	nothing_kept
}

# Where it is killed at a step: one line or none, and after the next commands nothing.
killed_at()
{
	local stride=$1 what=$2 n status
	local machine=(--name k --virt hybrid --network none --memory 64M --kernel "$WAIT")
	for ((n = 1; ; n += stride)); do
		status=0
		timeout 200 "${STRATA_BIN%/*}/tests/kill_step" "$n" ${what:+-e "$what"} -- \
			strata run -d "${machine[@]}" >step 2>step.err </dev/null || status=$?
		[ "$status" -le 1 ] || { echo "step $n: $(cat step step.err)" >&2; return 1; }
		cat step
		timeout 100 strata ps -a >/dev/null
		timeout 100 strata rm -f k >/dev/null 2>&1 || true
		nothing_kept || { echo "step $n: $(cat step step.err)" >&2; return 1; }
		wait_until no_machine || { echo "step $n: $(cat step); a machine is left" >&2; return 1; }
		[ "$status" -eq 0 ] || break
	done
	[ "$n" -gt 1 ]
}

# In the cgroups of this file's instances, whichever there have been.
no_machine()
{
	local id
	for id in $(jq -r .id "$STRATA_ROOT/events" | sort -u); do
		! grep -qs . "/sys/fs/cgroup/strata-$id/cgroup.procs" /sys/fs/cgroup/*/"strata-$id/cgroup.procs" || return 1
	done
}

@test "the machine killed at its steps" {
	killed_at 4 strata-vmm
}

@test "the monitor killed at its steps" {
	killed_at 5 "strata-monitor run"
}

@test "the command killed at its steps" {
	killed_at 7 ""
}
