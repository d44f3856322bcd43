#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Shared folders of virtual machines, over Debian's virtiofsd, on the software CPU: it takes no /dev/kvm.
# shellcheck disable=SC2016 # what is quoted is for the shell inside
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	needs busybox
	grep -qs '"fs"' /usr/share/qemu/vhost-user/*.json || skip "needs virtiofsd: make setup"
	lab_strata
	lab_demo
}

teardown_file()
{
	[ -n "${LAB:-}" ] || return 0
	strata ps -aq | xargs -r strata rm -f >/dev/null
	! mountpoint -q "$LAB/host/sub" || umount "$LAB/host/sub"
	rm -rf "$LAB"
}

vm()
{
	timeout 300 strata run --rm --virt hosted --network none "$@"
}

# servers: the numbers of the programs that serve a machine of ours
servers()
{
	ps -e -o pid=,args= | awk '$2 ~ /virtiofsd$/ && /source=\/tmp,/ { print $1 }'
}

no_server() { [ -z "$(servers)" ]; }

@test "directories, files and volumes of the host: content, modes, owners, links, what is below them" {
	local h=$LAB/host
	mkdir -p "$h/sub" "$h/dir" "$LAB/ro"
	mount -t tmpfs -o mode=755 below "$h/sub"
	echo from the host >"$h/f"
	echo below >"$h/sub/deep"
	echo one >"$LAB/one"
	echo fixed >"$LAB/ro/f"
	echo outside >"$LAB/outside"
	install -m 4750 -o 1000 -g 33 /dev/null "$h/owned"
	ln -s /etc/hostname "$h/absolute"
	ln -s ../outside "$h/relative"
	ln -s / "$h/top"
	seq -f "$h/dir/a-name-that-takes-some-room-%05g" 3000 | xargs touch
	cp "$LAB/rootfs/bin/busybox" "$h/busybox"
	cat >"$LAB/map.c" <<-'END'
		#include <fcntl.h>
		#include <sys/mman.h>
		int main(void)
		{
		    int fd = open("/h/map", O_RDWR);
		    char *at = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		    if (at == MAP_FAILED || at[4096] != 'x')
			return 1;
		    at[4096] = 'y';
		    return munmap(at, 8192);
		}
	END
	gcc -static -o "$h/map-it" "$LAB/map.c"
	head -c 8192 /dev/zero | tr '\0' x >"$h/map"
	run vm --hostname inside -v "$h:/h" -v "$LAB/ro:/ro:ro" -v "$LAB/one:/etc/one" -v "$LAB/ro/f:/data/sub/f" -v data:/data -v /anonymous demo sh -c '
		cat /h/f /h/sub/deep /etc/one /ro/f
		echo "below $(cat /data/sub/f)"
		stat -c "%a %u %g" /h/owned
		cat /h/absolute; cat /h/relative; ls -d /h/top/h; cat /h/../../../../etc/one
		ls /h/dir | wc -l
		[ "$(stat -c %d /h)" != "$(stat -c %d /h/sub)" ] && echo two file systems
		echo written >/h/new; echo two >>/etc/one; echo kept >/data/k; echo gone >/anonymous/x
		chown 7:8 /h/new; chmod 604 /h/new; ln /h/new /h/hard; ln -s nowhere /h/soft; mkfifo /h/fifo; mkdir -m 2770 /h/made
		(exec 3>/h/open; mv /h/open /h/moved; echo behind >&3; rm /h/f; echo more >&3)
		/h/busybox echo run from there
		/h/map-it && echo mapped
		rm -r /h/dir && echo emptied
		touch /ro/x; rm /ro/f; mount -o remount,rw /ro'
	echo "$output"
	umount "$h/sub"
	has "from the host"
	has below
	has one
	has fixed
	has "below fixed" # however they were ordered
	has "4750 1000 33"
	has inside
	[[ $output == *"/h/relative': No such file"* ]]
	has /h/top/h
	has 3000
	has "two file systems"
	has "run from there"
	has emptied
	has mapped
	[ "$(tr -d x <"$h/map")" = y ]
	[[ $output == *"/ro/x: Read-only file system"* ]]
	[ "$(cat "$h/new")" = written ]
	[ "$(stat -c '%a %u %g %h' "$h/new")" = "604 7 8 2" ]
	[ "$(readlink "$h/soft")" = nowhere ]
	[ -p "$h/fifo" ]
	[ "$(stat -c %a "$h/made")" = 2770 ]
	[ "$(cat "$h/moved")" = $'behind\nmore' ]
	[ ! -e "$h/f" ] && [ ! -e "$h/dir" ] && [ ! -e "$h/open" ]
	[ "$(cat "$LAB/one")" = $'one\ntwo' ]
	[ "$(cat "$LAB/root/volumes/data/data/k")" = kept ]
	[ "$(strata volume ls -q)" = data ]
	[ "$(cat "$LAB/ro/f")" = fixed ]
	[ -z "$(servers)" ]
}

@test "a server that is killed: errors of the guest's, and the machine goes on; the machine killed: its server goes" {
	mkdir -p "$LAB/k"
	echo x >"$LAB/k/f"
	strata run -d --name k --virt hosted --network none -v "$LAB/k:/k" demo sleep 1000 >/dev/null
	[ "$(strata exec k cat /k/f)" = x ]
	local pids
	pids=$(servers)
	[ "$(wc -l <<<"$pids")" = 2 ] # one that waits, one that serves
	# Its sandbox, from outside: no capability to mount, a filter, and a root with what is shared and nothing else.
	local last
	last=$(tail -n 1 <<<"$pids")
	grep -q '^Seccomp:.*2$' "/proc/$last/status"
	(("0x$(awk '/^CapEff/ { print $2 }' "/proc/$last/status")" & (1 << 21))) && false
	[ "$(ls "/proc/$last/root/")" = 0 ]
	[ "$(readlink "/proc/$last/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	grep -q "$(strata inspect k | jq -r '.[0].id')" "/proc/$last/cgroup"
	kill -9 "$last"
	run strata exec k sh -c 'cat /k/f; ls /k; echo y >/k/g; cat /proc/sys/kernel/ostype'
	echo "$output"
	[[ $output == *"Input/output error"* ]]
	has Linux
	wait_until no_server
	strata kill k >/dev/null
	[ "$(strata wait k)" = 137 ]
	strata start k >/dev/null
	[ "$(strata exec k cat /k/f)" = x ]
	pids=$(servers)
	kill -9 "$(strata inspect k | jq '.[0].state.pid')"
	strata wait k >/dev/null
	wait_until no_server
	strata rm k >/dev/null
}

# as_user ARGUMENT...: strata as an ordinary user who is in two groups and has ids of his own in subuid, with a store of his own
as_user()
{
	unshare -m sh -c '
		mount --make-rprivate / || exit 120
		for f in passwd group subuid subgid; do mount --bind "$LAB/etc/$f" "/etc/$f" || exit 120; done
		exec setpriv --reuid 31000 --regid 31000 --groups 31000,31001 \
			env -i PATH=/usr/bin:/bin HOME="$LAB/home" XDG_RUNTIME_DIR="$LAB/home/run" "$0" "$@"
	' "$REPO/build/strata" "$@"
}

@test "an ordinary user: his files are root's inside, other ids are those of subuid, and without them it is one line" {
	command -v newuidmap >/dev/null || skip "needs uidmap: make setup"
	touch /etc/subuid /etc/subgid
	mkdir "$LAB/etc"
	cp /etc/passwd /etc/group "$LAB/etc"
	echo 'strat:x:31000:31000::/nonexistent:/bin/sh' >>"$LAB/etc/passwd"
	printf 'strat:x:31000:\nmore:x:31001:strat\n' >>"$LAB/etc/group"
	echo strat:700000:65536 | tee "$LAB/etc/subuid" >"$LAB/etc/subgid"
	install -d -o 31000 -g 31000 "$LAB/home" "$LAB/home/run" "$LAB/home/d"
	tar c -C "$LAB/rootfs" . >"$LAB/demo.tar"
	as_user image import "$LAB/demo.tar" demo
	as_user image kernel fetch --from "$(find "$STRATA_LAB_CACHE/deb/" -name '*.deb' | head -n 1)"
	run as_user run --rm --virt hosted --network none -v "$LAB/home/d:/d" -v "$LAB/root:/root:ro" -v vol:/v demo sh -c '
		stat -c "%u %g" /d; echo x >/d/f; chown 5:6 /d/f; stat -c "%u %g" /d/f; mknod /d/node c 1 3; ls /root; touch /v/made'
	echo "$output"
	has "0 0"
	has "5 6"
	[[ $output == *"/d/node: Operation not permitted"* ]]
	[ "$(stat -c '%u %g' "$LAB/home/d/f")" = "700004 700005" ]
	[ "$(stat -c %u "$LAB/home/.local/share/strata/volumes/vol/data/made")" = 31000 ]
	: >"$LAB/etc/subuid"
	: >"$LAB/etc/subgid"
	run as_user run --rm --virt hosted --network none -v "$LAB/home/d:/d" demo true
	[ "$status" = 125 ]
	[[ $output == *"in several groups take newuidmap, newgidmap and his lines in /etc/subuid and /etc/subgid: apt-get install uidmap" ]]
	[ "$(wc -l <<<"$output")" = 1 ]
	[ -z "$(servers)" ]
}
