#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Instances as guests of strata-hv on emulated servers (QEMU's TCG): one of their own, and one that several share (--host).
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	needs qemu-system-x86_64 mke2fs busybox
	lab_strata
	export GUESTS=$REPO/build/tests/guest
}

# Whatever went wrong in between: no server, no instance is left.
teardown_file()
{
	[ -n "${LAB:-}" ] || return 0
	local lab
	for lab in $(strata baremetal lab ls); do
		strata --host "$lab" ps -aq | xargs -r strata --host "$lab" rm -f >/dev/null
		strata baremetal lab stop "$lab" >/dev/null
	done
	lab_remove
}

# An image of busybox, and Debian's kernel.
image()
{
	strata image inspect demo >/dev/null 2>&1 && return
	lab_demo
}

# ours: the processes of this file's servers, a line each
ours()
{
	ps -eo pid,stat,args | awk -v lab="$LAB/" -v image="$REPO/build/strata-hv" \
		'$2 !~ /Z/ && (index($0, lab) || ($3 ~ /strata-hub|qemu-system/ && index($0, image))) && $3 !~ /awk|ps$/'
}

# What was killed may not have gone yet.
none_of_ours() { [ -z "$(ours)" ]; }

@test "an image on an emulated server: output, status, exec, files, figures, pause, signals, stop" {
	image
	strata run -d --name x --virt bare-metal --hostname box -e A=b -m 256m demo sh -c \
		'echo err >&2; trap "echo stopping; exit 5" TERM; trap "echo usr1" USR1; echo kept >/kept; while :; do sleep 0.1; done' >/dev/null
	run strata exec x sh -c 'echo exec $(hostname) $A; exit 4'
	[ "$status" = 4 ]
	[ "$output" = "exec box b" ]
	[ "$(echo "from a pipe" | strata exec -i x cat)" = "from a pipe" ]
	wait_until strata exec x grep -q kept /kept
	strata cp x:/kept "$LAB/kept"
	[ "$(cat "$LAB/kept")" = kept ]
	strata ps -f json | python3 -c 'import json,sys; row, = json.load(sys.stdin); assert row["lab"] is True and row["virt"] == "bare-metal", row'
	[[ "$(strata ps)" == *"bare-metal (lab)"* ]]
	[[ "$(strata inspect x)" == *'"cpu": "strata-hv (lab)"'* ]]
	strata stats -f json x >"$LAB/stats"
	strata pause x
	strata stats -f json x >"$LAB/paused"
	python3 - "$LAB/stats" "$LAB/paused" <<-'END'
		import json, sys
		running, paused = [json.load(open(name))[0] for name in sys.argv[1:]]
		assert running["lab"] is True and running["memory_limit_bytes"] == 256 << 20, running
		assert 0 < running["memory_bytes"] < 64 << 20, running # the workload's, not the machine's
		assert running["io_read_bytes"] > 100000, running
		for reason in ("io", "msr", "cpuid", "halt", "memory"):
		    assert 0 < running["exits"][reason] < running["exits"]["all"], running
		assert running["exits"]["instruction"] is None, running
		assert paused["cpu_percent"] == 0 and paused["cpu_ns"] >= running["cpu_ns"], paused
	END
	strata resume x
	memory_follows x 256 200
	strata kill -s USR1 x
	strata stop -t 100 x
	run strata logs x
	has err
	has usr1
	has stopping
	[[ "$(strata ps -a)" == *"Exited (5)"* ]]
	strata rm x
	wait_until none_of_ours
}

@test "a kernel alone; its server gone, or its monitor: nothing is left, and it is said" {
	local who pid
	run strata run --rm --virt bare-metal -m 16m --kernel "$GUESTS/guest_pio"
	[ "$status" = 1 ] # what the program leaves its test with
	[[ "$output" == *"passed, 0 failed"* ]]
	run strata run --rm --virt bare-metal -m 16m --vcpus 2 --kernel "$GUESTS/guest_smp"
	[[ "$output" == *"passed, 0 failed"* ]]
	for who in qemu-system strata-hub strata-vmm strata-monitor; do
		echo "-- $who"
		strata run -d --name k --virt bare-metal -m 16m --kernel "$GUESTS/guest_trespass" --append end=4 >/dev/null
		if [ $who = strata-vmm ]; then
			pid=$(strata inspect k | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["state"]["pid"])')
		else
			pid=$(ours | awk -v who=$who '$3 ~ who { print $1; exit }')
		fi
		kill -9 "$pid"
		run strata wait k
		strata ps -a
		case $who in
		qemu-system | strata-hub)
			[ "$output" = 125 ]
			[[ "$(strata logs k 2>&1)" == *"the server under the guest is gone"* ]]
			;;
		esac
		strata rm -f k >/dev/null
		wait_until none_of_ours
	done
}

@test "what strata-hv does not have is refused in one line, by its name" {
	image
	refuses "--publish is not for --virt bare-metal" strata run --virt bare-metal -p 80:80 demo true
	refuses "--network bridge is not for --virt bare-metal" strata run --virt bare-metal --network bridge demo true
	refuses "--network passt is not for --virt bare-metal" strata run --virt bare-metal --network passt demo true
	refuses "--gdb is not for --virt bare-metal" strata run --virt bare-metal --gdb 1234 demo true
	refuses "a bind mount is not for --virt bare-metal" strata run --virt bare-metal -v /tmp:/x demo true
	refuses "a volume that is a directory is not for --virt bare-metal" strata run --virt bare-metal -v folder:/x demo true
	refuses "no '#'" strata run --virt bare-metal --kernel "$GUESTS/guest_pio" --append 'a#b'
	refuses "no lab nowhere runs" strata --host nowhere ps
	refuses "neither a serial line nor a unix socket" strata --host /etc/passwd ps
	refuses "No such file" strata --host /dev/nothing ps
	refuses 'lab "../x"' strata baremetal lab start ../x
	refuses "--cpus" strata baremetal lab start --cpus 0 x
	refuses "unknown member" strata baremetal lab start --config <(echo '{"guests": [{"nme": "x"}]}') x
	wait_until none_of_ours
	[ -z "$(strata baremetal lab ls)" ]
}

@test "--host: a lab with a guest of its own; guests come and go; who is killed takes its guests along" {
	local pid
	cat >"$LAB/server.json" <<-END
		{ "guests": [ { "name": "own", "kernel": "$GUESTS/guest_trespass", "append": "end=4", "memory_bytes": 16777216 } ] }
	END
	truncate -s 1M "$LAB/own.img"
	strata baremetal lab start --memory 256m --cpus 2 --disk "$LAB/own.img" --config "$LAB/server.json" srv
	refuses "own.img is in use" strata baremetal lab start --disk "$LAB/own.img" other
	refuses "runs already" strata baremetal lab start srv
	[ "$(strata baremetal lab ls)" = srv ]
	[[ "$(strata --host srv ps)" == *"own"*"running"* ]]
	run strata --host srv run --rm -m 16m --kernel "$GUESTS/guest_pio"
	[ "$status" = 1 ]
	[[ "$output" == *"passed, 0 failed"* ]]
	strata --host srv run -d --name g -m 16m --kernel "$GUESTS/guest_trespass" --append end=4 >/dev/null
	[ -z "$(strata ps -aq)" ] # it is the server's
	refuses "no instance g" strata stop g
	strata --host srv pause g
	[[ "$(strata --host srv ps)" == *"(Paused)"* ]]
	strata --host srv resume g
	strata --host srv stats -f json g | python3 -c 'import json,sys; row, = json.load(sys.stdin); assert row["cpu_ns"] > 0 and row["exits"]["all"] > 0, row'
	strata --host srv update --cpus 0.5 --cpu-shares 2048 g
	refuses "g booted with 16 MiB, and gets no more" strata --host srv update -m 32m g
	strata --host srv update -m 12m g # it has no driver: it keeps what it has, and says nothing
	refuses "name the CPUs" strata --host srv update --cpuset-cpus 0 g
	[[ "$(strata --host srv inspect g)" == *'"cpu_shares": 2048'* ]]
	strata --host srv stats -f json own g | python3 -c 'import json,sys; own, g = json.load(sys.stdin); assert own["server"] and own["lab"] and own["cpu_ns"] > 0 and "id" not in own and "server" not in g, (own, g)'
	refuses "no instance nobody" strata --host srv stats nobody
	[[ "$(strata --host srv logs own)" == *"ok "* ]]
	strata --host srv pause own
	[[ "$(strata --host srv ps)" == *"own"*"paused"* ]]
	strata --host srv kill own
	refuses "no instance own" strata --host srv kill own
	# Its process is killed: the hub takes the guest from the server.
	kill -9 "$(strata --host srv inspect g | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["state"]["pid"])')"
	strata --host srv wait g >/dev/null
	until grep -q 'guest s-.*exits' "$LAB/run/hosts/srv/server.log"; do sleep 0.1; done
	strata --host srv rm g
	# The hub is killed: the server is gone, with all that ran on it.
	strata --host srv run -d --name h -m 16m --kernel "$GUESTS/guest_trespass" --append end=4 >/dev/null
	kill -9 "$(cat "$LAB/run/hosts/srv/pid")"
	until [ -z "$(ours)" ]; do sleep 0.05; done
	[ "$(strata wait "$(strata --host srv ps -aq 2>/dev/null || true)" 2>/dev/null || true)" = "" ]
	[ -z "$(strata baremetal lab ls)" ]
	[ ! -e "$LAB/run/hosts/srv" ]
	strata baremetal lab start srv
	kill -9 "$(cat "$LAB/run/hosts/srv/pid")"
	until [ -z "$(ours)" ]; do sleep 0.05; done # until then it lives
	# Three at once where one was killed: one server, and the others say so. One that had cleaned up for itself took another's socket.
	local n
	for n in 1 2 3; do strata baremetal lab start srv >"$LAB/start$n" 2>&1 3>&- & done
	wait
	[ "$(cat "$LAB"/start[123] | sort | uniq -c | awk '{ print $1, $NF }')" = $'2 already\n1 srv' ]
	[ "$(ours | awk '$3 ~ /^qemu-system/' | wc -l)" = 1 ]
	[ "$(strata --host srv wait h)" = 125 ]
	strata --host srv rm h
	strata baremetal lab stop srv
	wait_until none_of_ours
}

@test "--host: what one instance gives is another's, and what it is to have again has to be there" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: make soak, or STRATA_LAB_LONG=1"
	image
	local all
	b_starts() { strata --host mem rm -f b >/dev/null 2>&1; strata --host mem run -d --name b -m 400m demo sleep 1000; }
	a_has_it_again() { [ "$(megabytes_of a --host mem)" = "$all" ]; }
	strata baremetal lab start --memory 512m --cpus 2 mem
	strata --host mem run -d --name a -m 256m demo sleep 1000 >/dev/null
	all=$(megabytes_of a --host mem)
	refuses "MiB of memory, the server has" strata --host mem run --rm -m 400m demo true
	strata --host mem update -m 120m a
	wait_until b_starts
	refuses "MiB free to make that 256" strata --host mem update -m 256m a
	[ "$(strata --host mem stats -f json a | jq '.[0].memory_limit_bytes')" = $((120 << 20)) ]
	strata --host mem rm -f b >/dev/null
	strata --host mem update -m 256m a
	wait_until a_has_it_again
	# What it writes is in its memory: more than it had in between, and right.
	run strata --host mem exec a sh -c 'dd if=/dev/urandom of=/b bs=64k count=16 2>/dev/null; many() { for i in $(seq $1); do cat /b; done; }
		many 90 >/f; many 50 >/dev/shm/g; cat /f /dev/shm/g | md5sum; many 140 | md5sum'
	[ "${lines[0]}" = "${lines[1]}" ]
	[ "${#lines[@]}" = 2 ]
	strata --host mem rm -f a >/dev/null
	strata baremetal lab stop mem
	wait_until none_of_ours
}

@test "--host by a unix socket and by a serial line: what was brought to the server is there the next time" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: make soak, or STRATA_LAB_LONG=1"
	local host qemu
	local -a words=(-accel tcg -cpu max -M q35 -m 256 -smp 2 -nodefaults -display none -no-reboot -kernel "$REPO/build/strata-hv" -serial none)
	qemu-system-x86_64 "${words[@]}" -device virtio-serial-pci -chardev "socket,id=c,path=$LAB/ch.sock,server=on,wait=off" \
		-device virtserialport,chardev=c,name=strata.channel 3>&- &
	qemu=$!
	until [ -S "$LAB/ch.sock" ]; do sleep 0.1; done
	by_line "$LAB/ch.sock"
	kill $qemu
	qemu-system-x86_64 "${words[@]}" -append channel=com2 -serial pty >"$LAB/pty" 3>&- &
	qemu=$!
	until host=$(grep -o '/dev/pts/[0-9]*' "$LAB/pty"); do sleep 0.1; done
	by_line "$host"
	kill $qemu
	wait $qemu || true
	refuses "--host $host: " strata --host "$host" ps
	[ -z "$(strata baremetal lab ls)" ]
	until [ -z "$(ours)" ]; do sleep 0.2; done # its hub lingers
	[ -z "$(ls "$LAB/run/hosts")" ]
}

# pressable NAME: Debian's kernel with an init that listens to its power button, and does so (takes) or not (ignores): $LAB/NAME
pressable()
{
	case $1 in
	takes) set -- "$1" '$b dd if=/dev/input/event0 of=/dev/null bs=24 count=1 2>/dev/null; echo "the button"' ;;
	ignores) set -- "$1" 'while :; do $b sleep 1; done' ;;
	esac
	debian_guest 'echo listening; '"$2" button evdev
	mv "$LAB/initrd" "$LAB/$1"
}

@test "the power button: stop ends a guest that takes it, and kills one that ignores it; an instance, and the server's own" {
	local append="console=ttyS0 quiet panic=-1 mitigations=off" name
	pressable takes
	pressable ignores
	for name in takes ignores; do
		printf '{ "name": "%s", "kernel": "%s", "initrd": "%s", "append": "%s", "memory_bytes": 134217728 }\n' own-$name "$LAB/vmlinuz" "$LAB/$name" "$append"
	done | paste -sd, | sed 's/.*/{ "guests": [ & ] }/' >"$LAB/server.json"
	strata baremetal lab start --memory 640m --cpus 2 --config "$LAB/server.json" pwr
	for name in takes ignores; do
		strata --host pwr run -d --name $name -m 128m --kernel "$LAB/vmlinuz" --initrd "$LAB/$name" --append "$append" >/dev/null
	done
	for name in takes ignores own-takes own-ignores; do
		until [[ "$(strata --host pwr logs $name)" == *listening* ]]; do sleep 0.2; done
	done
	strata --host pwr stop -t 100 takes
	[ "$(strata --host pwr wait takes)" = 0 ]
	[[ "$(strata --host pwr logs takes)" == *"the button"* ]]
	strata --host pwr stop -t 1 ignores
	[ "$(strata --host pwr wait ignores)" = 137 ]
	[[ "$(strata --host pwr logs ignores)" != *"the button"* ]]
	[ "$(strata --host pwr stop -t 100 own-takes)" = own-takes ]
	[ "$(strata --host pwr stop -t 1 own-ignores)" = own-ignores ]
	strata --host pwr logs >"$LAB/said"
	grep -q '^guest own-takes: powered off$' "$LAB/said"
	grep -q '^guest own-ignores: ' "$LAB/said"
	! grep -q '^guest own-ignores: powered off' "$LAB/said"
	grep -q '\[own-takes\] the button' "$LAB/run/hosts/pwr/server.log"
	refuses "no instance own-takes" strata --host pwr stop own-takes
	refuses "no instance own-ignores" strata --host pwr stop own-ignores
	strata --host pwr rm takes ignores
	strata baremetal lab stop pwr
	wait_until none_of_ours
}

# 11 KB/s: what an image needs is on the medium, under the names of its content.
@test "VMX: --host by a serial line: ps, run, exec, logs, stats, stop; a file is brought over it" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: make soak, or STRATA_LAB_LONG=1"
	needs bochs-bin grub-mkrescue xorriso mformat
	image
	local file host=$LAB/tty bochs
	strata run --rm --virt bare-metal -m 128m demo true # makes its disk
	mkdir "$LAB/medium"
	for file in "$LAB"/root/kernels/*/vmlinuz "$LAB"/root/initramfs/* "$LAB"/root/disks/*; do
		cp "$file" "$LAB/medium/f-$(sha256sum <"$file" | cut -c1-40)"
	done
	# so fast that a frame is not longer under way in it than on the line
	"$REPO/tests/lab/bochs.py" --ips 100000000 --memory 512 --seconds 900 --channel "$host" --until 'until we end it' \
		"$REPO/build/strata" "$LAB/medium"/f-* >"$LAB/bochs.out" 2>&1 3>&- &
	bochs=$!
	until grep -q 'the management channel is a serial line' "$LAB/bochs.out"; do kill -0 $bochs && sleep 0.2; done
	by_bochs "$host" || {
		cat "$LAB/bochs.out"
		kill $bochs
		false
	}
	kill $bochs
	wait $bochs || true
	grep -q '^CPU: Intel' "$LAB/bochs.out"
	grep -q 'guest s-.*: powered off' "$LAB/bochs.out"
}

# Called where its own failures would not end a test.
by_bochs()
{
	run timeout 300 strata --host "$1" run --rm -m 16m --kernel "$GUESTS/guest_pio"
	[[ "$status" = 1 && "$output" == *"passed, 0 failed"* ]] || return
	timeout 600 strata --host "$1" run -d --name one -m 128m demo sh -c \
		'echo up; trap "echo stopping; exit 3" TERM; while :; do sleep 0.1; done' >/dev/null || return
	[[ "$(timeout 100 strata --host "$1" ps)" == *"Up "*"one"*"bare-metal"* ]] || return
	run timeout 100 strata --host "$1" exec one sh -c 'echo exec $(nproc); exit 4'
	[[ "$status" = 4 && "$output" = "exec 1" ]] || return
	[[ "$(timeout 100 strata --host "$1" logs one)" == *"up"* ]] || return
	timeout 100 strata --host "$1" stats -f json one | grep -q '"cpu_ns": *[1-9]' || return
	timeout 200 strata --host "$1" stop -t 100 one >/dev/null || return
	[ "$(timeout 100 strata --host "$1" wait one)" = 3 ] || return
	[[ "$(timeout 100 strata --host "$1" logs one)" == *"up"*"stopping"* ]] || return
	timeout 100 strata --host "$1" rm one >/dev/null
}

# by_line CHANNEL: a server that is no lab of ours; a killed hub's guest is gone when the next one looks
by_line()
{
	echo "-- $1"
	run strata --host "$1" run --rm -m 16m --kernel "$GUESTS/guest_pio"
	[ "$status" = 1 ]
	[[ "$output" == *"passed, 0 failed"* ]]
	[[ "$(strata --host "$1" ps -a)" != *guest_pio* ]]
	strata --host "$1" run -d --name t -m 16m --kernel "$GUESTS/guest_pio" >/dev/null
	[ "$(strata --host "$1" wait t)" = 1 ]
	[[ "$(strata --host "$1" ps -a)" == *"bare-metal"* && "$(strata --host "$1" ps -a)" != *"(lab)"* ]]
	strata --host "$1" start t >/dev/null
	strata --host "$1" rm -f t
	kill -9 "$(cat "$LAB/run/hosts/${1//\//+}/pid")"
	[ -z "$(strata --host "$1" ps -aq)" ]
}

@test "two Debian guests and one with two vcpus at once on one server: console, disk, network between them, exec" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: make soak, or STRATA_LAB_LONG=1"
	image
	local name
	strata baremetal lab start --memory 2g --cpus 2 big
	truncate -s 4M "$LAB/disk.img"
	printf 'on the disk' | dd of="$LAB/disk.img" conv=notrunc status=none
	for name in one two smp; do
		strata --host big run -d --name $name --vcpus "$([ $name = smp ] && echo 2 || echo 1)" -m 256m --disk "$LAB/disk.img,ro" demo sh -c \
			'echo "up: $(nproc)"; mount -t devtmpfs dev /mnt 2>/dev/null; trap "echo stopping; exit 3" TERM; while :; do sleep 0.1; done' >/dev/null
	done
	[ "$(strata --host big ps -q | wc -l)" = 3 ]
	for name in one two smp; do
		[ "$(strata --host big exec $name cat /etc/hostname)" != "" ]
		[ "$(strata --host big exec $name sh -c 'grep -c vdb /proc/partitions')" = 1 ]
		[ "$(strata --host big exec $name nproc)" = "$([ $name = smp ] && echo 2 || echo 1)" ]
	done
	strata --host big exec -d one sh -c 'while :; do echo "from one" | nc -l -p 9; done'
	until [ "$(strata --host big exec two sh -c 'nc -w 20 one 9 </dev/null' 2>/dev/null)" = "from one" ]; do sleep 0.2; done
	strata --host big exec smp ping -c 1 two >/dev/null
	strata --host big cp "$LAB/disk.img" smp:/copy
	[ "$(strata --host big exec smp head -c 11 /copy)" = "on the disk" ]
	strata --host big stop -t 300 one two smp
	for name in one two smp; do
		[[ "$(strata --host big logs $name)" == *"up: "*"stopping"* ]]
		[ "$(strata --host big wait $name)" = 3 ]
	done
	# What a container says, it says.
	run --separate-stderr strata --host big run --rm demo sh -c 'echo out; echo err >&2; exit 7'
	[ "$status" = 7 ]
	[ "$output" = out ]
	[ "$stderr" = err ]
	run -127 strata --host big run --rm demo nosuch
	strata --host big rm one two smp
	strata baremetal lab stop big
	wait_until none_of_ours
}
