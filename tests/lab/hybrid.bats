#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An image in a virtual machine on hardware KVM, and containers on Debian's own kernel: inside an emulated AMD
# server (lab.py). One boot of the server for each test; what is asserted is what was printed there.
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	needs qemu-system-x86_64 mke2fs nft busybox passt setpriv ip
	LAB=$(mktemp -d /tmp/strata-lab.XXXXXX)
	export LAB
	python3 "$REPO/tests/lab/lab.py" --timeout 900 -- true || skip "the emulated server does not boot: no kernel package?"
	"$REPO/tools/demo-image" "$LAB/rootfs"
	host image import "$LAB/rootfs" demo
	host image import --change "VOLUME /own" "$LAB/rootfs" owner
	host image kernel fetch --from "$(find "$STRATA_LAB_CACHE/deb" -name '*.deb' | head -n 1)"
}

# host ARGUMENT...: strata on this host, with the store that the server gets
host()
{
	"$REPO/build/strata" --root "$LAB/root" --run-root "$LAB/run" "$@"
}

teardown_file()
{
	[ -z "${LAB:-}" ] || rm -rf "$LAB"
}

# lab SCRIPT: run it in the server; the store is at /store, the command is `strata`, and until_it COMMAND... tries until it succeeds,
# five minutes at most: everything is slow there. EXTRA: more flags of lab.py.
EXTRA=()
UNTIL_IT='until_it() {
	local now end
	read -r now _ </proc/uptime; end=$((${now%.*} + 300))
	until "$@"; do
		read -r now _ </proc/uptime
		[ ${now%.*} -lt $end ] || return 1
		usleep 200000
	done
}'
lab()
{
	local build=$REPO/build bin=/usr/local/bin
	printf '#!/bin/sh\nexec /usr/local/bin/strata.bin --root /store --run-root /run/strata "$@"\n' >"$LAB/strata"
	chmod +x "$LAB/strata"
	run python3 "$REPO/tests/lab/lab.py" --timeout 1200 --memory 2048 --file "$LAB/root:/store" \
		--file "$LAB/strata:$bin/strata" --file "$build/strata:$bin/strata.bin" \
		--file "$build/strata-vmm:$bin/strata-vmm" --file "$build/strata-monitor:$bin/strata-monitor" \
		--file "$build/strata-archive:$bin/strata-archive" --file "$build/strata-init:$bin/strata-init" \
		--file "$build/tests/guest:/guests" --file "$build/tests/vsock_peer:$bin/vsock_peer" "${EXTRA[@]}" --program mke2fs --program e2fsck --program setcap --program getcap --program nft --program passt --program setpriv --program ip --program "$build/strata-archive" -- "$UNTIL_IT
$1"
	echo "$output"
}

@test "Debian's kernel comes from its mirror, with the modules a guest needs" {
	local real version
	real=$(apt-cache show --no-all-versions linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/^Depends: *\(linux-image-[^ ,]*\).*/\1/p')
	[ -n "$real" ] || skip "apt knows no linux-image-cloud-amd64"
	(cd "$LAB" && apt-get -q download "$real" >"$LAB/apt" 2>&1) || skip "apt-get download fails: $(tail -n 1 "$LAB/apt")"
	run -0 host image kernel fetch
	[[ $output == *-cloud-amd64\ * ]]
	version=${output% *}
	[ "linux-image-$version" = "$real" ]
	[ "$(dd if="$LAB/root/kernels/$version/vmlinuz" bs=1 skip=514 count=4 status=none)" = HdrS ]
	[ -f "$LAB/root/kernels/$version/modules/virtio_blk.ko" ]
	# The same package by hand is the same kernel.
	local digest
	digest=$(host image kernel list -f json | jq -r '.[0].digest')
	host image kernel rm "$version"
	host image kernel fetch --from "$LAB"/linux-image-*.deb
	[ "$(host image kernel list -f json | jq -r '.[0].digest')" = "$digest" ]
}

@test "an image's command: output, status, streams, exec, stop, in a VM as in a container" {
	lab '
	strata info | grep -A1 hybrid
	for virt in os-level hybrid; do
		strata run --rm --virt $virt --network none demo sh -c "echo out \$0; echo err >&2; exit 7" $virt 2>/tmp/err
		echo "$virt status $?"; echo "$virt $(cat /tmp/err)"
		echo "from a pipe to $virt" | strata run --rm -i --virt $virt --network none demo cat
		strata run --rm --virt $virt --network none demo nosuch 2>/dev/null; echo "$virt nosuch $?"
		strata run --rm --virt $virt --network none demo sh -c "kill -9 \$\$; sleep 9" 2>/dev/null; echo "$virt killed $?"
		strata run -d --name x --virt $virt --network none --hostname box -e A=b demo sh -c \
			"trap \"echo stopping; exit 5\" TERM; [ -e /kept ] || echo kept >/kept; while :; do sleep 0.1; done" >/dev/null
		strata exec x sh -c "echo exec \$(hostname) \$A; exit 4"; echo "$virt exec $?"
		until [ "$(strata exec x cat /kept 2>/dev/null)" = kept ]; do sleep 0.1; done
		echo "$virt $(strata exec x cat /kept)"
		strata stop -t 100 x >/dev/null; echo "$virt stopped $(strata inspect x | grep -c "\"exit_code\": 5")"
		strata logs x
		strata start x >/dev/null; echo "$virt again $(strata exec x cat /kept)"; strata rm -f x >/dev/null
		strata ps -a -q | wc -l
	done'
	[ "$status" = 0 ]
	[[ $output == *hybrid*"hardware"* ]]
	local virt
	for virt in os-level hybrid; do
		has "out $virt"
		has "$virt status 7"
		has "$virt err"
		has "from a pipe to $virt"
		has "$virt nosuch 127"
		has "$virt exec 4"
		has "$virt kept"
		has "$virt stopped 1"
		has "$virt again kept"
	done
	[ "$(grep -c "exec box b" <<<"$output")" = 2 ]
	[ "$(grep -cx stopping <<<"$output")" = 2 ]
	[ "$(grep " killed " <<<"$output" | cut -d' ' -f3 | sort -u | wc -l)" = 1 ]
}

@test "sessions of a VM, and its statistics, which are those inside" {
	lab '
	strata run -d --name x --virt hybrid --network none -m 512m demo sh -c "sleep 1000 & sleep 1000 & wait" >/dev/null
	echo "to the session" | strata exec -i x sh -c "cat; echo e >&2; exit 6" 2>/tmp/err; echo "status $? $(cat /tmp/err)"
	echo "user $(strata exec -u demo x id -u)"
	strata exec x nothing 2>/dev/null; echo "nothing $?"
	echo "much $(strata exec x head -c 300000 /dev/zero | wc -c)"
	strata stats --no-stream -f json x | tr -d " \n"; echo
	strata pause x >/dev/null; strata stats --no-stream -f json x | tr -d " \n"; echo
	strata unpause x >/dev/null; strata rm -f x >/dev/null'
	[ "$status" = 0 ]
	has "to the session"
	has "status 6 e"
	has "user 1000"
	has "nothing 127"
	has "much 300000"
	local stats paused
	stats=$(grep '^\[{.*"pids":' <<<"$output" | head -n 1)
	paused=$(grep '^\[{.*"pids":' <<<"$output" | tail -n 1)
	jq -e '.[0] | .running and .pids == 3 and .memory_limit_bytes == 536870912 and .io_read_bytes > 0 and
		.memory_bytes > 0 and .memory_bytes < 20000000 and .cpu_ns > 0' <<<"$stats"
	# What its process takes of the host: the guest cannot say anything.
	jq -e '.[0] | .running and .memory_bytes > 30000000' <<<"$paused"
}

@test "a VM and a container on one network reach each other by name" {
	lab '
	set -e # the first that fails is the last, and what it says
	reaches() { until_it strata exec $1 ping -c 1 -q $2 >/tmp/ping 2>&1 || { cat /tmp/ping; return 1; }; echo "$1 reaches $2"; }
	are_new() { strata exec v1 sh -c "grep -q c3 /etc/hosts && ! grep -q \"c2\|v2\" /etc/hosts"; }
	strata run -d --name c1 demo sleep 10000 >/dev/null
	strata run -d --name v1 --virt hybrid demo sleep 10000 >/dev/null
	reaches v1 c1
	reaches c1 v1
	strata run -d --name c2 demo sleep 10000 >/dev/null
	reaches v1 c2
	reaches c2 v1
	strata run -d --name v2 --virt hybrid demo sleep 10000 >/dev/null
	reaches v1 v2
	reaches v2 v1
	strata rename c2 c3; strata rm -f v2 >/dev/null
	reaches v1 c3
	until_it are_new; echo "the names are new"
	strata rm -f c3 v1 c1 >/dev/null
	set +e
	echo "left $(ls /sys/class/net | grep -c "^st") $(ls /sys/fs/cgroup/unified | grep -c strata)"'
	[ "$status" = 0 ]
	has "v1 reaches c1"
	has "c1 reaches v1"
	has "v1 reaches c2"
	has "c2 reaches v1"
	has "v1 reaches v2"
	has "v2 reaches v1"
	has "v1 reaches c3"
	has "the names are new"
	has "left 0 0"
}

@test "the guest programs on hardware KVM" {
	lab '
	truncate -s 4M /tmp/disk
	for program in pio mmio interrupts clocks pci smp rng balloon blk hostile_rings; do
		for chip in engine machine; do
			strata run --rm --virt hybrid --network none -m 64m --vcpus 2 --irqchip $chip --disk /tmp/disk \
				--kernel /guests/guest_$program >/tmp/out
			echo "$program $chip $? $(grep -c "^FAIL" /tmp/out) $(tail -n 1 /tmp/out)"
		done
	done'
	[ "$status" = 0 ]
	[ "$(grep -cE '^[a-z_]+ (engine|machine) 1 0 end: [1-9][0-9]* passed, 0 failed$' <<<"$output")" = 20 ]
}

@test "those that want a peer: test devices, a bridge, an agent's ports, a vsock" {
	lab '
	vmm() { # PROGRAM CHIP MEMBERS: by hand, with what no flag asks for
		echo "{\"id\":\"$(printf %064d 1)\",\"name\":\"t\",\"virt\":\"hybrid\",\"args\":[\"x\"],\"vm\":{\"memory_bytes\":67108864," \
			"\"kernel\":\"/guests/guest_$1\",\"irqchip\":\"$2\",$3}}" >/tmp/spec
		timeout 1000 strata-vmm /tmp/spec
	}
	said() { # PROGRAM CHIP STATUS FILE
		echo "$1 $2 $3 $(grep -c "^FAIL" $4) $(tail -n 1 $4)"
	}
	mkdir /tmp/machine; seq -s " " 1000 >/tmp/in
	strata network create lab >/dev/null
	for chip in engine machine; do
		vmm testdev $chip "\"test_devices\":true" </dev/null >/tmp/out
		said testdev $chip $? /tmp/out
		strata run --rm --virt hybrid --network lab -m 64m --irqchip $chip --kernel /guests/guest_net >/tmp/out
		said net $chip $? /tmp/out
		vmm console $chip "\"agent\":true,\"console\":true,\"append\":\"agent=1\"" </tmp/in >/tmp/copy 2>/tmp/out
		said console $chip $? /tmp/out
		cmp /tmp/in /tmp/copy && echo "console copied"
		vmm vsock $chip "\"agent\":true,\"console\":true,\"append\":\"listen_port=7 listen_bytes=100000\"" \
			</dev/null 2>/tmp/out 5</tmp/machine &
		vsock_peer /tmp/machine/vsock 7 100000
		wait $!
		said vsock $chip $? /tmp/out
	done'
	[ "$status" = 0 ]
	[ "$(grep -cE '^[a-z_]+ (engine|machine) 1 0 end: [1-9][0-9]* passed, 0 failed$' <<<"$output")" = 8 ]
	[ "$(grep -cx "console copied" <<<"$output")" = 2 ]
	[ "$(grep -cx "echoed 100000" <<<"$output")" = 2 ]
}

# This emulator of SVM (QEMU 7.2) gives int3 to the guest whatever is intercepted, and does not arm the debug registers of
# a guest: breakpoints and watchpoints are for real hardware (tests/unit/engines/hybrid/test_kvm_debug.c).
@test "a debugger looks, steps, writes and detaches on hardware KVM" {
	local python module
	command -v gdb >/dev/null || skip "needs gdb"
	python=/usr/lib/$(ldd "$(command -v gdb)" | sed -n 's/.*lib\(python3[.0-9]*\)\.so.*/\1/p' | head -n 1)
	EXTRA=(--program gdb --file /usr/share/gdb)
	for module in "$python"/*.py "$python"/encodings "$python"/collections "$python"/importlib "$python"/re; do
		EXTRA+=(--file "$module")
	done
	lab '
	echo "{\"id\":\"$(printf %064d 1)\",\"name\":\"t\",\"virt\":\"hybrid\",\"args\":[\"x\"],\"vm\":{\"memory_bytes\":67108864," \
		"\"kernel\":\"/guests/guest_smp\",\"vcpus\":2,\"gdb\":\"unix:/tmp/gdb\"}}" >/tmp/spec
	timeout 1000 strata-vmm /tmp/spec </dev/null >/tmp/guest 2>&1 &
	until_it test -S /tmp/gdb
	timeout 800 gdb -q -nx -batch -ex "set confirm off" -ex "target remote /tmp/gdb" -ex "info threads" -ex stepi -ex stepi \
		-ex stepi -ex "print \$pc" -ex "set {char[2]}0x8100 = \"x\"" -ex "x/s 0x8100" -ex detach /guests/guest_smp 2>&1
	wait $!; cat /tmp/guest'
	[[ $output == *"vcpu 0"*"guest_entry"* ]]
	[[ $output == *"vcpu 1, not started"* ]]
	grep -q '^\$1 = .*<guest_entry+[1-9]' <<<"$output"
	[[ $output == *'0x8100:'*'"x"'* ]]
	has "end: 6 passed, 0 failed"
}

@test "files go in and out of a running VM, and a disk volume outlives its instance" {
	lab '
	mkdir -p /tmp/t/sub; cd /tmp/t; echo one >file; echo two >sub/deep; ln -s file link; chmod 751 file
	strata volume create --size 64m vol >/dev/null; strata volume create dir >/dev/null
	strata run -d --name x --virt hybrid --network none -v vol:/data demo sh -c \
		"trap \"exit 0\" TERM; while :; do sleep 0.1; done" >/dev/null
	strata cp file x:/tmp && strata cp /tmp/t x:/new && strata cp /tmp/t x:/new && strata cp /tmp/t/. x:/data
	strata exec x sh -c "stat -c %a /tmp/file; cat /new/sub/deep /new/t/sub/deep /data/file"
	mkdir /tmp/o; strata cp x:/new /tmp/o/a && strata cp x:/new /tmp/o && strata cp x:/tmp/file /tmp/o/f
	diff -r /tmp/t/sub /tmp/o/a/sub && diff -r /tmp/o/a /tmp/o/new && echo "out $(stat -c %a /tmp/o/f) $(cat /tmp/o/f)"
	strata cp -L x:/new/link /tmp/o/followed && strata cp x:/new/link /tmp/o/kept
	echo "links $(cat /tmp/o/followed) $(readlink /tmp/o/kept)"
	tar c file | strata cp - x:/etc && strata cp x:/etc/file - | tar xO
	cp file able; setcap cap_net_raw+ep able; strata cp able x:/tmp && strata cp x:/tmp/able /tmp/o/able; getcap /tmp/o/able
	strata cp x:/nowhere /tmp/o; strata cp file x:/nowhere/at/all; strata cp file x:/nowhere/
	strata stop -t 100 x >/dev/null; strata cp x:/new /tmp/o; strata rm x >/dev/null
	strata run --rm --virt hybrid --network none -v vol:/data:ro demo sh -c "cat /data/sub/deep; touch /data/x"
	strata volume create --size 64m etc >/dev/null # gets what the image has there
	strata run -d --name y --virt hybrid --network none -v etc:/etc -v vol:/data owner sh -c \
		"grep -c ^root: /etc/passwd >/data/z; echo kept >/data/y; mount | grep -c \" /own \" >>/data/z; echo kept >/srv/y; sync; sleep 1000" >/dev/null
	until_it strata exec y grep -x kept /srv/y
	strata pause y >/dev/null; strata cp y:/srv /tmp/o; strata unpause y >/dev/null; strata exec y echo thawed
	strata rm -f y >/dev/null; echo "volumes $(strata volume ls -q | wc -l)"
	strata run --rm --virt hybrid --network none -v vol:/data:ro demo true
	strata run --rm --virt hybrid --network none -v vol:/data demo sh -c "cat /data/y; echo mounted \$(cat /data/z)"
	strata run --rm --virt hybrid --network none -v vol:/one:ro -v vol:/two/in -v vol:/one/sub demo sh -c \
		"echo shared >/two/in/s; cat /one/s /one/sub/s; touch /one/no"
	strata run --rm --virt hybrid --network none -v vol:/one:ro -v vol:/two:ro demo sh -c "cat /one/s /two/s; touch /two/no"
	strata run --rm --virt hybrid --network none owner sh -c "stat -c \"own %a %u\" /own; echo x >/own/x && echo written"
	strata run --rm --virt hybrid --network none --read-only owner stat -c "own %a %u" /own
	strata create --virt hybrid --network none -v vol:/data --disk vol demo true
	strata volume resize vol 200m >/dev/null
	strata run --rm --virt hybrid --network none -v vol:/data:ro demo sh -c "echo small \$((\$(stat -f -c %b /data) < 70000))"
	strata run --rm --virt hybrid --network none -v vol:/ro:ro -v vol:/data demo sh -c \
		"echo large \$((\$(stat -f -c %b*%s /data) >= 180000000)); cat /data/y; head -c 100000000 /dev/zero >/data/big && echo fits; rm /data/big"
	e2fsck -fn /store/volumes/vol/disk.img >/dev/null 2>&1; echo "checked $?"
	strata run --rm --virt hybrid --network none -v dir:/data demo true
	strata run --rm --virt hybrid --network none -v /tmp/t:/data demo true
	strata run --rm --virt hybrid --network none -v /data demo true
	strata run --rm --virt hybrid --network none -v none:/data demo true; strata ps -aq | wc -l' 2>&1
	[ "$status" = 0 ]
	[ "$(grep -cx 751 <<<"$output")" = 1 ]
	[ "$(grep -cx two <<<"$output")" = 3 ]
	[ "$(grep -cx one <<<"$output")" = 2 ]
	has "out 751 one"
	has "links one file"
	[[ $output == *"/nowhere: No such file"* ]]
	[[ $output == *"copy to /nowhere/at/all: no directory /nowhere/at"* ]]
	[[ $output == *"copy to /nowhere/: no such directory"* ]]
	[[ $output == *"does not run"*"strata start x"* ]]
	[[ $output == *"/data/x: Read-only file system"* ]]
	[[ $output == *"y is paused"* ]]
	has thawed
	has "volumes 3"
	has "mounted 1 0"
	[[ $output == *"was not unmounted"*"writable"* ]]
	[ "$(grep -cx kept <<<"$output")" = 3 ]
	has "small 1"
	has "large 1"
	has fits
	has "/tmp/o/able cap_net_raw=ep"
	[ "$(grep -cx "own 755 0" <<<"$output")" = 2 ] # the image has no /own
	has written
	[ "$(grep -cx shared <<<"$output")" = 4 ]
	[[ $output == *"volumes/vol/disk.img is given twice"* ]]
	has "checked 0"
	[[ $output == *"/one/no: Read-only file system"* ]]
	[[ $output == *"/two/no: Read-only file system"* ]]
	[ "$(grep -c 'by the program virtiofsd, which is not installed: apt-get install qemu-system-common' <<<"$output")" = 4 ]
	has 0
}

@test "an ordinary user: his image with its owners, his network, his published port" {
	lab '
	ip='"$(command -v ip)"' # the shell has one of its own
	$ip link add d0 type veth peer name d1; $ip addr add 192.0.2.9/24 dev d0; $ip link set d0 up; $ip link set d1 up
	$ip route add default via 192.0.2.1; mkdir -p /etc; echo "nameserver 127.0.0.1" >/etc/resolv.conf
	chmod 666 /dev/kvm; mkdir -p /tmp/home; chown -R 4242:4242 /tmp/home /store
	mkdir -p /tmp/tree/bin; cp /bin/busybox /tmp/tree/bin; ln -s busybox /tmp/tree/bin/sh; cd /tmp/tree
	for d in proc sys dev tmp etc; do mkdir $d; done
	echo mine >file; chown 1234:70000 file; chmod 4750 file; mkdir shut; echo in >shut/in; chmod 0 shut; mknod null c 1 3
	tar -cf /tmp/home/odd.tar .; cd /tmp/home
	u() { '"$(command -v setpriv)"' --reuid 4242 --regid 4242 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \
		env HOME=/tmp/home STRATA_LIBEXEC=/usr/local/bin strata.bin --root /store --run-root /tmp/home/run "$@"; }
	u image import odd.tar odd >/dev/null
	u run --rm --virt hybrid odd /bin/busybox stat -c "%n %u:%g %a %F" /file /shut /shut/in /null /bin/sh
	u run -d --name n --virt hybrid -p 127.0.0.1:8080:80 --hostname box -m 256m demo sh -c \
		"ip -4 addr show dev eth0 | grep inet; ip route; cat /etc/resolv.conf; while :; do echo served by \$(hostname) | nc -l -p 80; done" >/dev/null
	serves() { nc -w 20 127.0.0.1 8080 </dev/null | grep .; }
	until_it serves
	u exec n sh -c "echo exec \$(id -u)"; u pause n >/dev/null; u resume n >/dev/null; u exec n grep CapEff /proc/self/status
	u stats --no-stream n; u top n; echo "limit $(u stats --no-stream n | grep -c 268MB)"
	u logs n; u stop -t 100 n >/dev/null; u rm n >/dev/null; echo "left $(u ps -aq | wc -l) $(ls /tmp/home/run/instances | wc -l)"' 2>&1
	[ "$status" = 0 ]
	has "/file 1234:70000 4750 regular file"
	has "/shut 0:0 0 directory"
	has "/shut/in 0:0 644 regular file"
	has "/null 0:0 644 character special file"
	[[ $output == *"inet 10.0.2.15/24"* ]]
	[[ $output == *"default via 10.0.2.2"* ]]
	has "nameserver 10.0.2.3"
	has "served by box"
	has "exec 0"
	has "CapEff:	00000000a80425fb" # what an image has anywhere, whoever starts it
	has "limit 1"
	has "left 0 0"
}
