#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata --host by a serial line that loses, damages and doubles bytes, and whose cable is pulled out: line.py is the cable.
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	needs qemu-system-x86_64
	lab_strata
	export GUESTS=$REPO/build/tests/guest
}

teardown()
{
	[ -z "${cable:-}" ] || kill "$cable" || true
	[ -z "${qemu:-}" ] || kill "$qemu" || true
	wait
	if [ -f "$LAB/console" ]; then cat "$LAB/console" "$LAB/cable.out"; fi
	rm -f "$LAB"/line.sock "$LAB"/tty "$LAB"/console
}

teardown_file()
{
	lab_remove
}

# serve [FILE...]: a server with these on its medium, and its second serial line by a bad cable: $LAB/tty. One byte of 8,000 each way.
serve()
{
	qemu-system-x86_64 -accel tcg -cpu max -M q35 -m 512 -smp 2 -nodefaults -display none -no-reboot -kernel "$REPO/build/strata-hv" -append channel=com2 \
		-serial "file:$LAB/console" -chardev "socket,id=c,path=$LAB/line.sock,server=on,wait=off" -serial chardev:c \
		${1:+-initrd "$(IFS=,; echo "$*")"} 3>&- &
	qemu=$!
	until [ -S "$LAB/line.sock" ]; do kill -0 $qemu && sleep 0.1; done
	"$REPO/tests/lab/line.py" --drop 20000 --flip 20000 --double 40000 --seed 7 "$LAB/line.sock" "$LAB/tty" >"$LAB/cable.out" 2>&1 3>&- &
	cable=$!
	until [ -L "$LAB/tty" ]; do kill -0 $cable && sleep 0.1; done
}

on()
{
	timeout 300 strata --host "$LAB/tty" "$@" 3>&-
}

@test "what a serial line loses is sent again: a guest is brought over it, made once, and runs" {
	serve
	on ps >"$LAB/said"
	run on run --rm -m 16m --kernel "$GUESTS/guest_pio"
	[ "$status" = 1 ] # what the program leaves its test with
	[[ "$output" == *"passed, 0 failed"* ]]
	on logs >"$LAB/said"
	[ "$(grep -c 'the management channel is a serial line' "$LAB/said")" = 1 ]
	[ "$(grep -c '^guest s-.*: exits ' "$LAB/said")" = 1 ]
	[ -z "$(on ps -aq)" ]
	# Or nothing was shown.
	kill $cable
	wait $cable || true
	cable=
	awk '/to the server/ { there = $(NF - 3) } /from it/ { back = $(NF - 3) } END { exit !(there >= 5 && back >= 1) }' "$LAB/cable.out"
}

# told WORD...: the command ends with an error, in one line
told()
{
	local words
	words=$(on "$@" </dev/null 2>&1) && { echo "$*: no error: $words"; return 1; }
	[ "$(grep -c '^error: ' <<<"$words")" = 1 ] || { echo "$*: $words"; return 1; }
}

@test "a cable that is out is an error for each who waits, soon enough; one that is in again goes on; silence of a command's is none" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: make soak, or STRATA_LAB_LONG=1"
	needs mke2fs busybox
	local file pid n=0
	local -a waits=()
	lab_demo
	strata run --rm --virt bare-metal -m 128m demo true # makes its disk
	mkdir "$LAB/medium"
	for file in "$LAB"/root/kernels/*/vmlinuz "$LAB"/root/initramfs/* "$LAB"/root/disks/*; do
		cp "$file" "$LAB/medium/f-$(sha256sum <"$file" | cut -c1-40)"
	done
	serve "$LAB"/medium/f-*
	on run -d --name one -m 128m demo sh -c 'echo up; while :; do sleep 0.1; done' >/dev/null
	run on exec one sh -c 'echo exec $(nproc); exit 4'
	[ "$status" = 4 ]
	[ "$output" = "exec 1" ]
	head -c 50000 /dev/urandom >"$LAB/file"
	on cp "$LAB/file" one:/file
	on cp one:/file "$LAB/back"
	cmp "$LAB/file" "$LAB/back"
	on exec one sleep 75 # longer than the hub waits for a word
	# Out for a while: what was asked meanwhile is answered then.
	kill -USR1 $cable
	on exec one echo patience >"$LAB/patience" &
	pid=$!
	sleep 15
	kill -USR2 $cable
	wait $pid
	[ "$(cat "$LAB/patience")" = patience ]
	# Out for good; one has begun before.
	told exec one sh -c "echo began; exec sleep 1000" >"$LAB/told.0" &
	waits+=($!)
	until [[ "$(on logs)" == *"management channel"* && "$(on exec one ps)" == *"sleep 1000"* ]]; do sleep 0.5; done
	kill -USR1 $cable
	for file in ps "exec one echo x" "exec -i one cat" "cp one:/file $LAB/gone" logs "stats nobody" "run --rm -m 16m --kernel $GUESTS/guest_pio"; do
		# shellcheck disable=SC2086
		told $file >"$LAB/told.$((++n))" &
		waits+=($!)
	done
	for pid in "${waits[@]}"; do wait "$pid" || { cat "$LAB"/told.*; false; }; done
	[ "$(on wait one)" = 125 ]
	kill -USR2 $cable
	[ -z "$(on ps -q)" ]
	on rm one
	run on run --rm -m 16m --kernel "$GUESTS/guest_pio"
	[[ "$output" == *"passed, 0 failed"* ]]
}
