#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Attacks from inside a container, from an image and from a volume. docs/security.md says what answers each.
# STRATA_TEST_USER=ID: all of it once more as an ordinary user of that number (make soak).
bats_require_minimum_version 1.5.0
load helper

setup_file()
{
	strata_setup_file
	export ATTACK=$SCRATCH/attack SECRET=$SCRATCH/secret
	cp -a "$DEMO_ROOTFS" "$ATTACK"
	cp "${STRATA_BIN%/*}"/tests/attack_{exe,probe,swap} "$ATTACK/bin/"
	[ -z "${STRATA_TEST_USER:-}" ] || as_ordinary_user
	strata image import "$ATTACK" attack
	echo "of the host" >"$SECRET"
}

# The command becomes his, with a range of ids; the store too.
as_ordinary_user()
{
	local user=$STRATA_TEST_USER
	mkdir -p "$SCRATCH/etc" "$STRATA_RUN"
	cp /etc/passwd "$SCRATCH/etc"
	echo "strat:x:$user:$user::/:/bin/sh" >>"$SCRATCH/etc/passwd"
	echo strat:700000:65536 | tee "$SCRATCH/etc/subuid" >"$SCRATCH/etc/subgid"
	touch /etc/subuid /etc/subgid
	chown -R "$user:$user" "$STRATA_ROOT" "$STRATA_RUN"
	chmod -R a+rX "$ATTACK"
	cat >"$SCRATCH/bin/strata" <<-END
		#!/bin/sh
		exec unshare -m sh -c '
			for f in passwd subuid subgid; do mount --bind $SCRATCH/etc/\$f /etc/\$f || exit 120; done
			exec setpriv --reuid $user --regid $user --clear-groups \
				$STRATA_BIN --root $STRATA_ROOT --run-root $STRATA_RUN "\$@"' strata "\$@"
	END
}

# What only root's containers have: ids of each one's own, a limit without delegation, nodes of devices.
roots()
{
	[ -z "${STRATA_TEST_USER:-}" ]
}

setup()
{
	NULL_BEFORE=$(stat -c '%a %u:%g %t,%T' /dev/null)
	PROGRAMS_BEFORE=$(programs)
}

teardown()
{
	local ids
	ids=$(strata ps -a -q)
	# shellcheck disable=SC2086 # one word an id
	[ -z "$ids" ] || strata rm -f $ids >/dev/null
	[ "$(stat -c '%a %u:%g %t,%T' /dev/null)" = "$NULL_BEFORE" ]
	[ "$(programs)" = "$PROGRAMS_BEFORE" ]
	[ "$(cat "$SECRET")" = "of the host" ]
}

# Nothing here may hang.
strata()
{
	timeout 200 "$SCRATCH/bin/strata" "$@"
}

programs()
{
	sha256sum "${STRATA_BIN%/*}"/strata{,-monitor,-archive}
	stat -c '%a %u:%g %Y' "${STRATA_BIN%/*}"/strata{,-monitor,-archive}
}

inside() # [FLAGS] COMMAND...: run in the image with the attacks
{
	local flags=()
	while [[ $1 == -* ]]; do
		flags+=("$1")
		shift
	done
	strata run --rm --network none "${flags[@]}" attack "$@"
}

# image NAME: what standard input's shell commands make of the demo image, run in its root
image()
{
	local dir=$SCRATCH/image.$1
	rm -rf "$dir"
	cp -a "$ATTACK" "$dir"
	(cd "$dir" && bash -e)
	strata image import "${@:2}" "$dir" "$1"
	rm -rf "$dir"
}

logged() # INSTANCE PATTERN
{
	strata logs "$1" | grep -q -- "$2"
}

nobody_called() # NAME: no process of that name is left on this host
{
	! grep -lsx "$1" /proc/[0-9]*/comm
}

# --- the engine's own program ---

overwrite_by_exec() # [COMMAND...]: before strata exec
{
	strata run -d --name victim --network none attack attack_exe
	wait_until logged victim ready
	# It is stopped and killed by the attacker: what comes out does not matter here.
	wait_until attack_until_held "$@"
	wait_until logged victim done
	strata logs victim
	run ! logged victim changed
}

attack_until_held()
{
	"$@" timeout 10 "$SCRATCH/bin/strata" exec victim /proc/self/exe || true
	logged victim held
}

@test "CVE-2019-5736: an exec'd /proc/self/exe cannot be overwritten" {
	overwrite_by_exec
	logged victim "$(roots && echo '^file$' || echo '^memfd$')"
}

@test "CVE-2019-5736: nor where there is no mount API, and it is a sealed copy" {
	overwrite_by_exec "${STRATA_BIN%/*}/tests/attack_without" open_tree
	logged victim '^memfd$'
}

@test "CVE-2019-5736: entry points /proc/self/exe and #!/proc/self/exe run nothing of ours on the host" {
	run strata run --rm --network none --entrypoint /proc/self/exe attack
	[ "$status" -eq 125 ]
	image shebang <<-'END'
		printf '#!/proc/self/exe\n' >bin/evil
		chmod 755 bin/evil
	END
	run strata run --rm --network none shebang /bin/evil
	[ "$status" -ne 0 ]
}

@test "the small init shows nothing of the monitor, and has no more rights than the workload" {
	run inside --init --cap-add=SYS_PTRACE sh -c 'grep -hE "^(Cap(Prm|Eff|Bnd)|Seccomp|NoNewPrivs)" /proc/1/status >/a
		grep -hE "^(Cap(Prm|Eff|Bnd)|Seccomp|NoNewPrivs)" /proc/self/status >/b; cmp /a /b && cat /proc/1/cmdline'
	[ "$status" -eq 0 ]
	[[ $output != *"$SCRATCH"* ]]
	run inside --init cat /proc/1/environ
	[ "$status" -ne 0 ]
	run inside --init sh -c 'echo >>/proc/1/exe'
	[ "$status" -ne 0 ]
}

# --- mount targets ---

swap_race() # FLAGS...: a container with the volume is started again and again while another swaps in it
{
	local i bad=0
	strata run -d --name swapper --network none -v shared:/v attack sh -c \
		'mkdir -p /v/a /v/b /v/c/sub; ln -s / /v/a.link; ln -s /proc /v/b.link; ln -s ../../../../../../../../ /v/c.link
		exec attack_swap /v/a /v/a.link /v/b /v/b.link /v/c /v/c.link'
	wait_until logged swapper ready
	strata volume create other >/dev/null 2>&1 || true
	for ((i = 0; i < 100; i++)); do
		strata run --rm --network none -v shared:/v "$@" attack sh -c \
			'cat /proc/self/mountinfo; [ ! -e '"$SECRET"' ] && ls -d /proc/1/ns && echo whole' \
			>"$SCRATCH/race" 2>&1 && grep -q whole "$SCRATCH/race" && continue
		# A mount that lands on the container's own / hides its command; one below /proc is refused.
		grep -Eq '^error: .*(mount at|not found|No such file)' "$SCRATCH/race" || { cat "$SCRATCH/race"; bad=1; }
		grep -q "of the host" "$SCRATCH/race" && bad=1
	done
	strata volume list | grep -q shared
	findmnt -rno TARGET >"$SCRATCH/mounts"
	run ! grep -E "/v/|$SCRATCH" "$SCRATCH/mounts"
	[ "$bad" -eq 0 ]
}

@test "CVE-2021-30465: links swapped under a volume's mount targets lead nowhere" {
	swap_race -v other:/v/a -v other:/v/b -v other:/v/c/sub
}

@test "CVE-2021-30465: nor under a tmpfs and a file" {
	swap_race --tmpfs /v/a --tmpfs /v/c/sub -v "$SCRATCH/before:/v/b/file:ro"
}

@test "CVE-2023-27561: an image whose /proc, /sys or /dev is a link is refused" {
	local dir
	for dir in proc sys dev; do
		image "link-$dir" <<<"mv $dir real; ln -s real $dir"
		run strata run --rm --network none "link-$dir" true
		[ "$status" -eq 125 ]
		one_line_error "mount at /$dir: the image has a symbolic link"
	done
}

@test "CVE-2023-27561, CVE-2019-16884: nothing can be mounted in or over /proc" {
	local target
	for target in /proc /proc/sys /proc/self/attr /proc/../proc/sys /proc/1; do
		run strata run --rm --network none -v "shared:$target" attack true
		one_line_error "mount at .*proc"
		run strata run --rm --network none --tmpfs "$target" attack true
		one_line_error "mount at .*proc"
	done
	image links <<<'ln -s /proc/sys x; ln -s /proc y'
	for target in /x /y/sys /x/kernel /y; do
		run strata run --rm --network none -v "shared:$target" links true
		one_line_error "mount at $target"
	done
	image volume --change 'VOLUME /proc' </dev/null
	run strata run --rm --network none volume true
	one_line_error "mount at /proc"
}

@test "CVE-2025-52881: a false /proc does not lead our sysctl writes to the host's files" {
	strata volume create false-proc >/dev/null
	local proc
	proc=$(strata volume inspect false-proc | jq -r '.. | .mountpoint? // .path? // empty' | head -1)
	[ -d "$proc" ]
	mkdir -p "$proc/sys/net/ipv4"
	ln -s "$SECRET" "$proc/sys/net/ipv4/ip_unprivileged_port_start"
	ln -s "$SECRET" "$proc/sys/net/ipv4/ping_group_range"
	run strata run --rm -v false-proc:/proc attack true
	one_line_error "mount at /proc"
	# teardown looks at the secret
}

@test "CVE-2025-31133, CVE-2025-52565: a /dev of the image's own masks nothing wrong and gets no terminal elsewhere" {
	strata volume create dev >/dev/null
	inside -v=dev:/d sh -c 'ln -s /proc/sys/kernel/core_pattern /d/null; ln -s /proc/sysrq-trigger /d/console
		ln -s /dev/pts/ptmx /d/ptmx; mkdir /d/pts /d/shm /d/mqueue'
	run inside -v=dev:/dev sh -c 'cat /proc/keys; attack_probe write /proc/sys/kernel/core_pattern; stat -c %t,%T /proc/keys'
	[ "${output/EACCES/EROFS}" = $'EROFS\n1,3' ] || { echo "$output"; false; }
	run timeout 100 script -qec "$SCRATCH/bin/strata run --rm -t --network none -v dev:/dev attack cat /proc/self/mountinfo" /dev/null
	[[ $output != *" /proc/sysrq-trigger rw"* ]]
}

@test "a chmod of a masked file or of standard input does not reach the host's /dev/null" {
	run inside sh -c 'for f in interrupts keys timer_list kcore sched_debug; do chmod 0 /proc/$f; done; attack_probe null'
	strata run -d --name quiet --network none attack sleep 1000
	strata exec -d quiet attack_probe null
	inside --init attack_probe null
	# teardown looks at /dev/null
	image bare --change 'VOLUME /dev' </dev/null
	run strata run --rm --network none bare /bin/attack_probe null
	[ "$status" -eq 0 ]
}

# --- what a fresh process holds ---

@test "CVE-2024-21626: a process starts with three fds, however it is started" {
	local three=$'0 device\n1 pipe\n2 pipe'
	[ "$(inside attack_probe fds)" = "$three" ]
	[ "$(inside --init attack_probe fds)" = "$three" ]
	! roots || [ "$(inside --userns=auto attack_probe fds)" = "$three" ]
	# what the caller has open is not passed on either
	exec 42<"$SECRET"
	[ "$(inside -i attack_probe fds </dev/null)" = $'0 pipe\n1 pipe\n2 pipe' ]
	[ "$(inside --privileged attack_probe fds)" = "$three" ]
	strata run -d --name web --network none attack sleep 1000
	[ "$(strata exec web attack_probe fds)" = "$three" ]
	[ "$(strata exec --privileged web attack_probe fds)" = "$three" ]
	run timeout 100 script -qec "$SCRATCH/bin/strata exec -t web attack_probe fds" /dev/null
	[ "$(tr -d '\r' <<<"$output")" = $'0 device\n1 device\n2 device' ]
	exec 42<&-
}

@test "an fd of the starting command's does not stay open in the monitor" {
	exec 42<"$SECRET"
	strata run -d --name web --network none attack sleep 1000
	exec 42<&-
	run find /proc/[0-9]*/fd -lname "$SECRET" -print
	run ! grep -E "^/proc/[0-9]+/fd/" <<<"$output"
}

@test "CVE-2024-21626: no working directory leads to one of the engine's fds" {
	local n
	strata run -d --name web --network none attack sleep 1000
	for n in {3..40}; do
		run strata run --rm --network none -w "/proc/self/fd/$n" attack cat "../../../../../../../..$SECRET"
		[ "$status" -ne 0 ]
		[[ $output != *"of the host"* ]]
	done
	for n in {3..16}; do
		run strata exec -w "/proc/self/fd/$n" web cat "../../../../../../../..$SECRET"
		[ "$status" -ne 0 ]
		[[ $output != *"of the host"* ]]
	done
	image workdir --change 'WORKDIR /wd' <<<'ln -s /proc/self/fd/7 wd'
	run strata run --rm --network none workdir cat "../../../../../../..$SECRET"
	[ "$status" -ne 0 ]
	[[ $output != *"of the host"* ]]
}

@test "the caller's terminal is not inside, and TIOCSTI types nothing into it" {
	strata run -d --name web --network none attack sleep 1000
	local command
	for command in "run --rm --network none attack" "exec web" "exec -it web" "run --rm -it --network none attack"; do
		run timeout 100 script -qec "$SCRATCH/bin/strata $command attack_probe tty; stty -icanon min 0 time 1; echo \"<\$(cat)>\"" /dev/null </dev/null
		[[ $output == *"<"*">"* ]]
		[[ $output != *PWNED* ]] || { echo "$command: $output"; false; }
		[[ $command == *-it* ]] || [[ $output == *"terminal ENXIO"* ]]
	done
}

# --- rights ---

@test "system calls that change the host are denied: run, exec, init, user namespace" {
	local how
	strata run -d --name web --network none attack sleep 1000
	# An ordinary user's container has a user namespace anyway.
	local mapped=(--userns auto)
	roots || mapped=()
	strata run -d --name mapped "${mapped[@]}" --network none attack sleep 1000
	for how in "run --rm --network none attack" "run --rm --init --network none attack" \
		"run --rm ${mapped[*]} --network none attack" "run --rm --user demo --network none attack" \
		"exec web" "exec mapped" "exec -u demo web"; do
		# shellcheck disable=SC2086 # words
		run strata $how attack_probe denied
		[ "$status" -eq 0 ]
		[ "${#lines[@]}" -ge 29 ]
		[[ $output != *ALLOWED* ]] || { echo "$how: $output"; false; }
	done
}

@test "the filter is on whatever is exec'd, and off with --privileged" {
	strata run -d --name web --network none attack sleep 1000
	[ "$(strata exec web sed -n 's/^Seccomp:\t//p' /proc/self/status)" = 2 ]
	[ "$(strata exec web sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)" = 1 ]
	[ "$(strata exec --privileged web sed -n 's/^Seccomp:\t//p' /proc/self/status)" = 0 ]
	[ "$(inside --privileged sed -n 's/^Seccomp:\t//p' /proc/self/status)" = 0 ]
}

@test "masked paths are empty, read-only ones cannot be written" {
	local path got
	for path in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts /proc/sched_debug /proc/latency_stats; do
		got=$(inside attack_probe open "$path")
		[[ $got == empty || $got == ENOENT ]] || { echo "$path: $got"; false; }
	done
	for path in /proc/acpi /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do
		[ -z "$(inside sh -c "ls -A $path 2>/dev/null")" ]
	done
	for path in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/panic_on_oom /proc/sysrq-trigger \
		/proc/sys/net/ipv4/ip_forward /sys/kernel/uevent_helper /sys/power/state; do
		got=$(inside attack_probe write "$path")
		[[ $got == EROFS || $got == ENOENT || $got == EACCES ]] || { echo "$path: $got"; false; }
		! roots || got=$(inside --userns=auto attack_probe write "$path")
		[[ $got == EROFS || $got == ENOENT || $got == EACCES ]] || { echo "$path: $got"; false; }
	done
}

@test "CVE-2022-0492: no cgroup file can be written, no hierarchy mounted, no release agent set" {
	run inside sh -c 'exec 2>&1; for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/x; echo /x >$d/release_agent
		echo 1 >$d/notify_on_release; echo 0 >$d/cgroup.procs; done 2>&1 | grep -v -e "Read-only" -e "Permission" -e "nonexistent"
		mount -t cgroup -o rdma none /mnt || mount -t cgroup2 none /mnt || echo refused'
	[[ $output == *refused ]]
	run inside sh -c 'find /sys/fs/cgroup -writable 2>/dev/null; grep cgroup /proc/self/mountinfo | grep -v " ro,"'
	[ -z "$output" ]
	# and it sees no group but its own
	run inside cat /proc/self/cgroup
	[[ $output != *strata* ]]
}

@test "a disk's node can be made, not used" {
	local numbers
	numbers=$(awk 'NR > 2 { print $1, $2; exit }' /proc/partitions)
	[ -n "$numbers" ] || skip "this host has no disk"
	# shellcheck disable=SC2086 # two words
	run inside sh -c "mknod /disk b $numbers; attack_probe open /disk; mknod /mem c 1 1; attack_probe open /mem
		mknod /kmsg c 1 11; attack_probe write /kmsg"
	roots || output=$(grep -v 'mknod: ' <<<"$output" | sed 's/ENOENT/EPERM/') # nor made, by him
	[ "$output" = $'EPERM\nEPERM\nEPERM' ]
}

@test "the session keyring of whoever ran the command is not the container's" {
	command -v keyctl >/dev/null || skip "there is no keyctl"
	# For who possesses it only: as made, any process of root's may see that there is such a key.
	run timeout 100 keyctl session - sh -c "keyctl setperm \$(keyctl add user strata-secret x @s) 0x3f000000
		grep -c strata-secret /proc/keys
		$SCRATCH/bin/strata run -d --name web --network none --security-opt seccomp=unconfined --privileged attack sleep 1000
		$SCRATCH/bin/strata exec web cat /proc/keys
		$SCRATCH/bin/strata run --rm --network none --security-opt seccomp=unconfined --privileged attack cat /proc/keys"
	[[ $output == *$'\n1\n'* ]]
	[ "$(grep -c _ses <<<"$output")" -ge 2 ]
	[[ $output != *strata-secret* ]]
}

# --- user and time namespaces ---

@test "--userns auto: each instance has ids of its own, in everything it touches" {
	roots || skip "root's"
	strata run -d --name one --userns auto -v ids:/v attack sleep 1000
	strata run -d --name two --userns auto --network none --device /dev/zero:/dev/own attack sleep 1000
	local one two
	one=$(strata inspect one | jq '.. | .uid_map? // empty | .[0].outside' | head -1)
	two=$(strata inspect two | jq '.. | .uid_map? // empty | .[0].outside' | head -1)
	[ "$one" -ge 65536 ]
	[ $((one > two ? one - two : two - one)) -ge 65536 ]
	# on the host it is nobody, inside it is root: in layers, volumes, and what is exec'd
	local pid
	pid=$(strata inspect one | jq '.. | .pid? // empty' | head -1)
	[ "$(stat -c %u "/proc/$pid")" = "$one" ]
	[ "$(strata exec one stat -c %u:%g /bin /v /etc/hosts)" = $'0:0\n0:0\n0:0' ]
	[ "$(strata exec one sh -c 'touch /v/new /new; chown demo /new; stat -c %u /v/new /new')" = $'0\n1000' ]
	[ "$(strata exec -u demo one id -u)" = 1000 ]
	[ "$(strata exec two head -c 1 /dev/own | od -An -tu1 | tr -d ' ')" = 0 ]
	[ "$(strata exec one cat /proc/self/uid_map | tr -s ' ')" = " 0 $one 65536" ]
	strata exec one ip addr show eth0 | grep -q 'inet '
	# copies come and go with the ids of inside, running or not
	echo text >"$SCRATCH/in"
	chown 33:33 "$SCRATCH/in"
	strata cp "$SCRATCH/in" one:/root/running
	strata stop -t 0 one
	strata cp "$SCRATCH/in" one:/root/stopped
	strata start one
	[ "$(strata exec one stat -c %u:%g /root/running /root/stopped)" = $'33:33\n33:33' ]
	strata cp one:/root/stopped "$SCRATCH/out"
	[ "$(stat -c %u:%g "$SCRATCH/out")" = 33:33 ]
	strata rm -f one
	# what is in use is not given: stores.bats
	strata run -d --name three --userns auto --network none attack sleep 1000
	one=$(strata inspect three | jq '.. | .uid_map? // empty | .[0].outside' | head -1)
	[ $((one > two ? one - two : two - one)) -ge 65536 ]
}

@test "a bind under --userns is the host's: root inside is nobody there, unless idmap is asked for" {
	roots || skip "root's"
	mkdir -p "$SCRATCH/bind/closed" "$SCRATCH/bind/open"
	chmod 0755 "$SCRATCH/bind" "$SCRATCH/bind/closed"
	chmod 0777 "$SCRATCH/bind/open"
	local outside
	run strata run --name mine --userns auto --network none -v "$SCRATCH/bind:/b" attack \
		sh -c 'stat -c %u /b/closed; touch /b/closed/x 2>&1; touch /b/open/x && stat -c %u /b/open/x'
	[ "${lines[0]}" = 65534 ]
	[[ ${lines[1]} == *"Permission denied"* ]]
	[ "${lines[2]}" = 0 ]
	outside=$(strata inspect mine | jq '.. | .uid_map? // empty | .[0].outside' | head -1)
	[ "$(stat -c %u "$SCRATCH/bind/open/x")" = "$outside" ]
	strata rm mine
	run strata run --rm --userns auto --network none -v "$SCRATCH/bind:/b:idmap" attack \
		sh -c 'stat -c %u /b/closed; touch /b/closed/y && stat -c %u /b/closed/y'
	[ "$output" = $'0\n0' ]
	[ "$(stat -c %u "$SCRATCH/bind/closed/y")" = 0 ]
	run strata run --rm --userns auto --network none --mount "type=bind,src=$SCRATCH/bind,dst=/b,idmap" attack \
		stat -c %u /b/closed/y
	[ "$output" = 0 ]
	run strata run --rm -v data:/v:idmap attack true
	[ "$status" -eq 125 ]
	one_line_error "only a bind has idmap"
}

@test "--userns: a shared bind shows what the host mounts, and brings no mount to the host" {
	mkdir -p "$SCRATCH/tied"
	mount -t tmpfs tied "$SCRATCH/tied"
	mount --make-shared "$SCRATCH/tied"
	mkdir "$SCRATCH/tied/in" "$SCRATCH/tied/out"
	strata run -d --name tied --userns auto --cap-add SYS_ADMIN --security-opt seccomp=unconfined --network none \
		--mount "type=bind,src=$SCRATCH/tied,dst=/mnt,bind-propagation=rshared" attack sleep 1000
	mount -t tmpfs outer "$SCRATCH/tied/out"
	strata exec tied grep -q ' /mnt/out ' /proc/self/mountinfo
	strata exec tied mount -t tmpfs inner /mnt/in
	run grep "$SCRATCH/tied/in " /proc/self/mountinfo
	umount "$SCRATCH/tied/in" 2>/dev/null || true
	strata rm -f tied
	umount "$SCRATCH/tied/out" "$SCRATCH/tied"
	[ -z "$output" ]
}

@test "--uidmap: what the caller maps is what there is" {
	roots || skip "root's"
	run strata run --rm --network none --uidmap 0:200000:1000 --gidmap 0:300000:1000 attack \
		sh -c 'cat /proc/self/uid_map /proc/self/gid_map | tr -s " "; id -u'
	[ "$output" = $' 0 200000 1000\n 0 300000 1000\n0' ]
	run strata run --rm --network none --uidmap 5:200000:1000 --gidmap 0:300000:1000 attack true
	one_line_error "map these ids too|user namespace"
}

@test "--time-offset: its clocks are shifted, for what is exec'd as well" {
	[ -e /proc/self/ns/time ] || skip "this kernel has no time namespaces"
	local out host
	strata run -d --name later --network none --time-offset monotonic=100000,boottime=7000000 attack sleep 1000
	host=$("${STRATA_BIN%/*}/tests/attack_probe" clocks)
	out=$(strata exec later attack_probe clocks)
	[ $((${out% *} - ${host% *})) -ge 100000 ]
	[ $((${out#* } - ${host#* })) -ge 7000000 ]
	out=$(inside --time-offset=boottime=7000000 attack_probe clocks)
	[ $((${out#* } - ${host#* })) -ge 7000000 ]
	run strata run --rm --network none --time-offset monotonic=-100000000000 attack true
	[ "$status" -eq 125 ]
	run strata run --rm --network none --time-offset realtime=1 attack true
	[ "$status" -eq 125 ]
}

# --- malicious images ---

@test "an /etc/passwd that is huge, a pipe, a device or a way to the host's is refused, and holds nobody" {
	local made
	for made in 'truncate -s 100M etc/passwd' 'rm etc/passwd; mkfifo etc/passwd' 'rm etc/passwd; mkdir etc/passwd' \
		'rm etc/passwd; mknod etc/passwd c 1 5' 'ln -sf /proc/kmsg etc/passwd' 'ln -sf /proc/self/fd/7 etc/passwd' \
		'ln -sf /proc/1/environ etc/passwd' 'ln -sf passwd etc/passwd' 'rm etc/group; mkfifo etc/group'; do
		image users <<<"$made"
		run timeout 100 "$SCRATCH/bin/strata" run --rm --network none --user demo users true
		[[ $status == 12[56] ]] || { echo "$made: $status: $output"; false; }
		one_line_error 'passwd|group'
	done
}

@test "/etc/hosts, hostname and resolv.conf that are links or directories lead nowhere" {
	image etc <<-END
		ln -sf $SECRET etc/hosts
		ln -sf ../../../../../../..$SECRET etc/hostname
		ln -sf /proc/self/fd/5 etc/resolv.conf
	END
	run strata run --rm --network none etc sh -c 'echo x >/etc/hosts; echo x >/etc/hostname'
	run strata run --rm etc true
	image etc <<<'rm -f etc/hosts; mkdir etc/hosts'
	run strata run --rm --network none etc true
	one_line_error "mount at /etc/hosts: a file cannot be mounted on a directory"
	image etc <<<'ln -sf /proc/sys/kernel/core_pattern etc/hosts'
	run strata run --rm --network none etc true
	one_line_error "mount at /etc/hosts: nothing may be mounted inside /proc"
}

# --- containers that misbehave ---

@test "a workload starts with no signal ignored or blocked: SIGPIPE was" {
	strata run -d --name web --network none attack sleep 1000
	local how
	for how in "run --rm --network none attack" "run --rm --init --network none attack" "exec web"; do
		# shellcheck disable=SC2086 # words
		run strata $how grep -hE 'Sig(Ign|Blk)' /proc/self/status
		[ "$output" = $'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000' ]
	done
	[ "$(strata exec web sh -c 'yes | head -c 2')" = y ]
}

@test "a container that fills its log keeps to its size" {
	strata run --name loud --network none --log-opt max-size=64k --log-opt max-file=2 attack \
		sh -c 'yes 0123456789abcdef | head -c 4000000' >/dev/null
	[ "$(du -sk --apparent-size "$STRATA_ROOT"/instances/*/ --exclude upper --exclude work | awk '{ s += $1 } END { print s }')" -lt 400 ]
}

@test "a container that forks without end stops at its limit and can be killed" {
	roots || skip "root's"
	strata run -d --name bomb --network none --pids-limit 30 attack sh -c \
		'(while :; do (while :; do sleep 1000 & done) & done) & exec sleep 1000'
	wait_until sh -c "strata logs bomb 2>&1 | grep -q fork"
	strata kill bomb
	wait_until sh -c "! strata ps -q --no-trunc | grep -q ."
}

@test "streams that are closed, or kept open by a daemon, hold nothing up" {
	run strata run --rm --network none attack sh -c 'exec 0<&- 1>&- 2>&-; exit 5'
	[ "$status" -eq 5 ]
	run strata run --rm --network none attack attack_probe hold
	[ "$status" -eq 7 ]
	wait_until nobody_called survivor
}

@test "a workload that ignores every signal is killed when its time is over" {
	strata run -d --name deaf --network none attack sh -c 'trap "" TERM INT HUP QUIT; echo ready; while :; do sleep 1000; done'
	wait_until logged deaf ready
	strata stop -t 0 deaf
	[ "$(strata inspect deaf | jq '.. | .exit_code? // empty' | head -1)" = 137 ]
}

@test "kill -9 of the monitor: a workload that let go of it dies with its daemons, and is said to be dead" {
	strata run -d --name orphan --network none attack attack_probe survive
	wait_until logged orphan ready
	local monitor
	monitor=$(strata inspect orphan | jq -r '[.. | .monitor_pid? // empty][0]')
	[ -n "$monitor" ]
	kill -9 "$monitor"
	wait_until sh -c "strata ps -a | grep orphan | grep -qi dead"
	wait_until nobody_called survivor
	strata rm orphan
}

# --- the state on disk ---

@test "nobody but root can look into the state" {
	strata run -d --name web --network none -e PASSWORD=secret attack sleep 1000
	# what is below a directory that is root's alone is out of reach
	local open
	open=$(find "$STRATA_ROOT" "$STRATA_RUN" \( -type d ! -perm /077 -prune \) -o \( -perm /077 ! -type l ! -path "$STRATA_ROOT" ! -path "$STRATA_RUN" ! -path "$STRATA_ROOT/volumes*" -print \) || true) # what goes while it looks is not there
	[ -z "$open" ] || { echo "$open"; false; }
	STRATA_ROOT=$SCRATCH/fresh "$STRATA_BIN" --root "$SCRATCH/fresh" --run-root "$SCRATCH/fresh-run" ps >/dev/null
	[ "$(stat -c %a "$SCRATCH/fresh" "$SCRATCH/fresh-run" "$SCRATCH/fresh/strata.db")" = $'700\n700\n600' ]
}
