#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# strata run: every flag by what it changes inside, the streams, the exit statuses.
bats_require_minimum_version 1.5.0
load helper

in_demo() {
	timeout 100 strata run --rm --network none "$@"
}

# refused PATTERN FLAG...: 125, one line, and no instance, volume or file is left
refused() {
	local want=$1
	shift
	run in_demo "$@"
	[ "$status" -eq 125 ] || { echo "status $status: $output"; false; }
	one_line_error "$want"
	[ -z "$(strata ps -aq)" ]
	[ "$(strata volume ls -q | wc -l)" -eq 0 ]
}

@test "exit statuses are the workload's, or 128 and its signal" {
	local code
	for code in 0 7 125 255; do
		run in_demo demo sh -c "exit $code"
		[ "$status" -eq "$code" ]
	done
	run in_demo --init demo sh -c 'kill -TERM $$'
	[ "$status" -eq 143 ]
	run in_demo --init demo sh -c 'kill -KILL $$'
	[ "$status" -eq 137 ]
}

@test "a directory is no command: 126" {
	run -126 in_demo demo /etc
	one_line_error "/etc"
}

@test "standard error and standard output stay apart" {
	in_demo demo sh -c 'echo out; echo err >&2' >"$SCRATCH/o" 2>"$SCRATCH/e"
	[ "$(cat "$SCRATCH/o")" = out ]
	[ "$(cat "$SCRATCH/e")" = err ]
}

@test "standard input ends where ours does" {
	[ "$(printf 'a\nb' | in_demo -i demo cat)" = "$(printf 'a\nb')" ]
	run in_demo -i demo cat </dev/null
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	run in_demo demo cat <<<"not passed on without -i"
	[ -z "$output" ]
}

@test "50 MB pass through unchanged, both ways" {
	head -c 50000000 /dev/urandom >"$SCRATCH/big"
	in_demo -i demo cat <"$SCRATCH/big" | cmp - "$SCRATCH/big"
	rm "$SCRATCH/big"
}

@test "run into head ends when head does" {
	[ "$(in_demo demo cat /dev/zero | head -c 1000 | wc -c)" -eq 1000 ]
	[ "$(in_demo demo yes | head -n 1)" = y ]
}

@test "a terminal: tty, size and its bytes" {
	run timeout 100 python3 "$BATS_TEST_DIRNAME/terminal.py" 33 101 '' \
		strata run --rm -it --network none demo sh -c 'tty; stty size; echo done'
	[ "$status" -eq 0 ]
	[[ $output == */dev/pts/* ]]
	[[ $output == *"33 101"* ]]
}

@test "a terminal had no size when the workload asked first" {
	for _ in 1 2 3 4 5 6 7 8; do
		run timeout 100 python3 "$BATS_TEST_DIRNAME/terminal.py" 33 101 '' \
			strata run --rm -it --network none demo stty size
		[[ $output == *"33 101"* ]]
	done
	strata run -d --name sized --network none demo sleep 1000
	for _ in 1 2 3 4 5 6 7 8; do
		run timeout 100 python3 "$BATS_TEST_DIRNAME/terminal.py" 33 101 '' \
			strata exec -it sized stty size
		[[ $output == *"33 101"* ]]
	done
	strata rm -f sized
}

@test "the detach keys leave it running" {
	run timeout 100 python3 "$BATS_TEST_DIRNAME/terminal.py" 24 80 '\x10\x11' \
		strata run -it --name left --network none demo sh -c 'echo ready; exec sleep 1000'
	[ "$status" -eq 0 ]
	[ "$(strata inspect left | jq -r '.[0].state.status')" = running ]
	strata rm -f left
}

@test "a signal to the command reaches the workload" {
	# No timeout(1) in between: the signal is for the command itself.
	strata run --rm --network none demo \
		sh -c 'trap "exit 9" TERM; echo up; while :; do sleep 0.05; done' >"$SCRATCH/up" &
	local pid=$!
	wait_until grep -q up "$SCRATCH/up"
	kill -TERM "$pid"
	local code=0
	wait "$pid" || code=$?
	[ "$code" -eq 9 ]
	[ -z "$(strata ps -aq)" ]
}

@test "--ulimit is what ulimit says" {
	run in_demo --ulimit nofile=123:456 --ulimit core=0 demo sh -c 'ulimit -n; ulimit -Hn; ulimit -c'
	[ "$output" = $'123\n456\n0' ]
}

@test "--hostname, --workdir and variables are seen inside" {
	printf 'A=1\nB=two words\n# no\nFROM_US\n' >"$SCRATCH/env"
	FROM_US=ours run in_demo --hostname box -w /made/up --env-file "$SCRATCH/env" -e A=2 -e C=x=y demo \
		sh -c 'hostname; cat /proc/sys/kernel/hostname; pwd; echo "$A $B $C $FROM_US"; grep -c box /etc/hostname'
	[ "$output" = $'box\nbox\n/made/up\n2 two words x=y ours\n1' ]
}

@test "--user takes names and numbers" {
	[ "$(in_demo -u 12:34 demo id)" = "uid=12 gid=34 groups=34" ]
	[ "$(in_demo -u 12 demo id -u)" = 12 ]
	[ "$(in_demo -u nobody demo id -un)" = nobody ]
	[ "$(in_demo -u nobody:root demo id -gn)" = root ]
	[[ "$(in_demo -u 12 --group-add 77 demo id -G)" == *77* ]]
	refused "no matching entries|unable to find" -u nosuch demo id
}

@test "entrypoint of the command line is not ignored" {
	[ "$(in_demo --entrypoint /bin/echo demo a b)" = "a b" ]
	[ "$(in_demo --entrypoint '' demo echo x)" = x ]
}

@test "an image's entry point, command, variables, user and directory hold" {
	strata image import -q -c 'ENTRYPOINT ["/bin/echo","E"]' -c 'CMD ["C"]' -c 'ENV V=image' \
		-c 'USER 5' -c 'WORKDIR /tmp' "$DEMO_ROOTFS" configured >/dev/null
	[ "$(in_demo configured)" = "E C" ]
	[ "$(in_demo configured x)" = "E x" ]
	run in_demo --entrypoint sh configured -c 'echo $V; id -u; pwd'
	[ "$output" = $'image\n5\n/tmp' ]
	[ "$(in_demo -u 6 -e V=mine --entrypoint sh configured -c 'echo $V; id -u')" = $'mine\n6' ]
	strata image rm configured
}

@test "a command that is slow to go on after its start misses no output" {
	command -v strace >/dev/null || skip "needs strace"
	# 0.3 s after its first word to the monitor: by then the workload has ended.
	run timeout 100 strace -o /dev/null -e trace=sendmsg -e inject=sendmsg:delay_exit=300000:when=1 \
		strata run --rm --network none demo echo all of it
	[ "$status" -eq 0 ]
	[ "$output" = "all of it" ]
}

@test "--read-only leaves volumes and tmpfs writable" {
	run in_demo --read-only --tmpfs /t -v /v demo sh -c '{ touch /x || echo no; touch /t/x /v/x && echo yes; } 2>&1'
	[[ $output == *"Read-only file system"*no*yes ]]
}

@test "--tmpfs has the size and the mode asked" {
	run in_demo --tmpfs /t:size=1m,mode=700 demo sh -c \
		'stat -c %a /t; df -k /t | tail -n 1; dd if=/dev/zero of=/t/x bs=1M count=2 2>&1'
	[[ $output == 700* ]]
	[[ $output == *1024* ]]
	[[ $output == *"No space left"* ]]
}

@test "binds are writable, or not, as asked" {
	mkdir -p "$SCRATCH/bind"
	in_demo -v "$SCRATCH/bind:/b" demo sh -c 'echo in >/b/f'
	[ "$(cat "$SCRATCH/bind/f")" = in ]
	run in_demo -v "$SCRATCH/bind:/b:ro" demo sh -c 'cat /b/f; echo x >/b/g'
	[ "$status" -ne 0 ]
	[[ $output == in*"Read-only"* ]]
	run in_demo --mount "type=bind,src=$SCRATCH/bind/f,dst=/file,ro" demo sh -c 'cat /file; echo x >/file'
	[ "$status" -ne 0 ]
	[[ $output == in* ]]
	run in_demo --mount type=tmpfs,dst=/m demo grep ' /m ' /proc/mounts
	[[ $output == *tmpfs* ]]
}

@test "-v makes a missing source, --mount refuses it" {
	in_demo -v "$SCRATCH/new/dir:/b" demo true
	[ -d "$SCRATCH/new/dir" ]
	refused "no-source" --mount "type=bind,src=$SCRATCH/no-source,dst=/b" demo true
	[ ! -e "$SCRATCH/no-source" ]
}

@test "capabilities are Docker's, more with --cap-add, less with --cap-drop" {
	cap_eff() { in_demo "$@" grep CapEff /proc/self/status | cut -f 2; }
	[ "$(cap_eff demo)" = 00000000a80425fb ]
	[ "$(cap_eff --cap-drop ALL demo)" = 0000000000000000 ]
	[ "$(cap_eff --cap-drop ALL --cap-add chown demo)" = 0000000000000001 ]
	[ "$(cap_eff --cap-drop CAP_CHOWN demo)" = 00000000a80425fa ]
	run in_demo --cap-drop CHOWN demo chown 1 /etc/passwd
	[ "$status" -ne 0 ]
	refused "NONSENSE" --cap-add NONSENSE demo true
}

@test "--security-opt: seccomp off, a file of one's own, none of the kind" {
	[ "$(in_demo demo sh -c 'grep -w Seccomp: /proc/self/status | cut -f 2')" = 2 ]
	[ "$(in_demo --security-opt seccomp=unconfined demo sh -c 'grep -w Seccomp: /proc/self/status | cut -f 2')" = 0 ]
	echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}' \
		>"$SCRATCH/profile.json"
	run in_demo --security-opt "seccomp=$SCRATCH/profile.json" demo mkdir /d
	[ "$status" -ne 0 ]
	[[ $output == *"not permitted"* ]]
	in_demo --security-opt no-new-privileges demo grep -q 'NoNewPrivs:.1' /proc/self/status
	refused "nonsense" --security-opt nonsense demo true
	refused "/no/such" --security-opt seccomp=/no/such demo true
}

@test "--device appears with its rights" {
	[ "$(in_demo --device /dev/full:/dev/other:r demo stat -c '%t %T' /dev/other)" = "1 7" ]
	refused "/dev/nosuch" --device /dev/nosuch demo true
	refused "publish is not for --virt bare-metal" --virt bare-metal -p 80:80 demo true
	# Where /dev is the user's own, nothing is made in it: said, not dropped.
	refused "--device /dev/full: a mount at /dev hides it" --device /dev/full -v "$SCRATCH:/dev/" demo true
	in_demo -v "$SCRATCH:/dev" demo true
}

@test "--init reaps what is orphaned and passes signals on" {
	run in_demo --init demo sh -c '(sh -c "sleep 0.01 & exit" ) ; i=0
		while [ $i -lt 2000 ]; do i=$((i + 1)); sleep 0.01
			ps -o stat,comm | grep -q "^Z" || [ $i -lt 5 ] || exit 0; done; exit 1'
	[ "$status" -eq 0 ]
	strata run -d --name init --init --network none demo sh -c 'trap "exit 5" TERM; echo up; while :; do sleep 0.05; done'
	wait_until sh -c 'strata logs init | grep -q up'
	strata stop -t 100 init
	[ "$(strata inspect init | jq '.[0].state.exit_code')" -eq 5 ]
	strata rm init
}

@test "the init does not show the host's paths, and has nothing open" {
	run -0 in_demo --init demo sh -c 'tr -d "\0" </proc/1/cmdline; echo; ls /proc/1/fd | wc -l'
	[ "$output" = $'strata-init\n0' ]
}

# Regression: the init kept what the monitor had opened for it, the host's directories among them.
@test "an init whose filter is older than close_range has nothing open" {
	printf '%s' '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["close_range"],"action":"SCMP_ACT_ERRNO"}]}' \
		>"$SCRATCH/old.json"
	[ "$(in_demo --init --security-opt "seccomp=$SCRATCH/old.json" demo sh -c 'ls /proc/1/fd | wc -l')" = 0 ]
}

@test "--cidfile holds the id, and an old one is not overwritten" {
	strata run -d --cidfile "$SCRATCH/cid" --name c --network none demo sleep 1000
	[ "$(cat "$SCRATCH/cid")" = "$(strata inspect c | jq -r '.[0].id')" ]
	strata rm -f c
	refused "cid" --cidfile "$SCRATCH/cid" demo true
}

@test "--shm-size and the standard places" {
	run in_demo --shm-size 3m demo sh -c 'df -k /dev/shm | tail -n 1; ls /dev; mount | grep -c "^proc"'
	[[ $output == *3072* ]]
	for name in null zero full random urandom tty ptmx pts shm fd stdin; do
		grep -qw "$name" <<<"$output"
	done
}

@test "a name taken is refused and says how to go on" {
	strata create --name once --network none demo true
	run strata run --name once --network none demo true
	[ "$status" -eq 125 ]
	one_line_error "strata rm once"
	[ "$(strata ps -aq | wc -l)" -eq 1 ]
	strata rm once
}

@test "wrong input of each kind is one line and leaves nothing" {
	refused "name" --name 'a b' demo true
	refused "not absolute" -w rel demo true
	refused "ulimit" --ulimit nofile=x demo true
	refused "size" -m 1q demo true
	refused "cpus" --cpus none demo true
	refused "tmpfs" --tmpfs rel demo true
	refused "64 characters" --hostname "$(printf 'h%.0s' {1..70})" demo true
	refused "restart" --restart sometimes demo true
	refused "label" --label '' demo true
	refused "nosuch" nosuch true
	refused "nosuch" --network nosuch demo true
	refused "host name|hostname" --hostname 'a b/c' demo true
}
