#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images, Debian's kernels and a whole Debian on the software CPU, on this host itself: it takes no /dev/kvm and no emulated server.
bats_require_minimum_version 1.5.0
load lab_helper

setup_file()
{
	needs mke2fs nft busybox
	lab_strata
	lab_demo
	python3 - "$REPO/build/bench/guest_bench" "$LAB/initrd" <<-'END'
		import os, stat, sys
		sys.path.insert(0, os.path.join(os.environ["REPO"], "tests/lab"))
		import guest_image
		cpio = guest_image.Cpio()
		cpio.add("dev", stat.S_IFDIR | 0o755)
		cpio.add("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
		with open(sys.argv[1], "rb") as file:
		    cpio.add("init", stat.S_IFREG | 0o755, file.read())
		with open(sys.argv[2], "wb") as file:
		    file.write(cpio.end())
	END
}

teardown_file()
{
	[ -n "${LAB:-}" ] || return 0
	strata ps -aq | xargs -r strata rm -f >/dev/null
	strata network rm lab bridge >/dev/null 2>&1 || true
	rm -rf "$LAB"
}

# What a container says, a VM says.
@test "an image's command: output, status, streams, exec, signals, stop, as in a container" {
	local virt
	for virt in os-level hosted hybrid; do
		if [ $virt = hybrid ] && ! [ -w /dev/kvm ]; then continue; fi
		echo "-- $virt"
		run --separate-stderr strata run --rm --virt $virt --network none demo sh -c 'echo out; echo err >&2; exit 7'
		[ "$status" = 7 ]
		[ "$output" = out ]
		[ "$stderr" = err ]
		[ "$(echo "from a pipe" | strata run --rm -i --virt $virt --network none demo cat)" = "from a pipe" ]
		run -127 strata run --rm --virt $virt --network none demo nosuch
		run -137 strata run --rm --virt $virt --network none demo sh -c 'sh -c "kill -9 \$\$"; exit $?'
		strata run -d --name x --virt $virt --network none --hostname box -e A=b -m 256m demo sh -c \
			'trap "echo stopping; exit 5" TERM; trap "echo usr1" USR1; [ -e /kept ] || echo kept >/kept; while :; do sleep 0.1; done' >/dev/null
		run strata exec x sh -c 'echo exec $(hostname) $A; exit 4'
		[ "$status" = 4 ]
		[ "$output" = "exec box b" ]
		wait_until strata exec x grep -q kept /kept
		[ $virt = os-level ] || memory_follows x 256 200
		strata kill -s USR1 x
		strata stop -t 100 x >/dev/null
		[ "$(strata inspect x | jq '.[0].state.exit_code')" = 5 ]
		run strata logs x
		has usr1
		has stopping
		strata start x >/dev/null
		[ "$(strata exec x cat /kept)" = kept ]
		strata rm -f x >/dev/null
		[ -z "$(strata ps -aq)" ]
	done
}

@test "who executes the CPUs is shown" {
	strata run -d --name who --virt hosted --network none demo sleep 100 >/dev/null
	[ "$(strata inspect who | jq -r '.[0].vm.cpu')" = software ]
	strata rm -f who >/dev/null
	[[ $(strata info) == *"software CPU"* ]]
}

@test "a VM and a container on one network reach each other by name" {
	strata run -d --name c1 demo sleep 1000 >/dev/null
	strata run -d --name v1 --virt hosted demo sleep 1000 >/dev/null
	strata exec v1 ping -c 1 -W 50 -q c1
	strata exec c1 ping -c 1 -W 50 -q v1
	strata rm -f v1 c1 >/dev/null
}

# as_user ARGUMENT...: strata as an ordinary user, without capabilities, without /dev/kvm, with a store of his own
as_user()
{
	# shellcheck disable=SC2016 # the inner shell's
	unshare -m sh -c '
		mount --make-rprivate / || exit 120
		[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm || exit 120
		exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \
			env -i PATH=/usr/bin:/bin HOME="$LAB/home" XDG_RUNTIME_DIR="$LAB/home/run" "$0" "$@"
	' "$REPO/build/strata" "$@"
}

@test "an ordinary user, without /dev/kvm: an image's command, exec, a signal, its limits, its end" {
	install -d -o 65534 -g 65534 "$LAB/home" "$LAB/home/run"
	tar c -C "$LAB/rootfs" . >"$LAB/demo.tar"
	as_user image import "$LAB/demo.tar" demo
	as_user image kernel fetch --from "$(find "$STRATA_LAB_CACHE/deb/" -name '*.deb' | head -n 1)"
	run --separate-stderr as_user run --rm --network none demo sh -c 'echo out; echo err >&2; id -u; exit 7'
	[ "$status" = 7 ]
	[ "$output" = "$(printf 'out\n0')" ]
	[ "$stderr" = err ]
	as_user run -d --name x --network none -m 256m --cpus 2 --virt hosted demo sh -c 'trap "exit 5" TERM; while :; do sleep 0.1; done' >/dev/null
	[ "$(as_user exec x nproc)" = 2 ]
	[ "$(as_user exec x sh -c 'grep MemTotal /proc/meminfo | tr -dc 0-9')" -lt 262144 ]
	[ "$(as_user inspect x | jq -r '.[0].virt')" = hosted ]
	as_user stop -t 100 x >/dev/null
	[ "$(as_user inspect x | jq '.[0].state.exit_code')" = 5 ]
	as_user rm x
	[ -z "$(as_user ps -aq)" ]
}

# boots KERNEL VCPUS: to its first process and off again
boots()
{
	run timeout 400 strata run --rm --virt hosted --network none -m 512m --vcpus "$2" --kernel "$1" --initrd "$LAB/initrd" \
		--append "console=ttyS0 quiet panic=-1 bench=getppid,pipe"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"init "* ]]
	[[ $output == *"getppid system "*"00000000000493e0"* ]]
	[[ $output == *"pipe system "*"00000000000f78a0"* ]]
	[[ $output == *"done"* ]]
}

@test "Debian's cloud kernel starts with 1, 2 and 4 vcpus, three times each" {
	local vcpus times
	for times in 1 2 3; do
		for vcpus in 1 2 4; do
			boots "$(cat "$LAB/kernel")" $vcpus
		done
	done
}

@test "Debian's usual kernel starts with 1, 2 and 4 vcpus, three times each" {
	local real vcpus times
	if [ ! -f "$STRATA_LAB_CACHE/amd64/vmlinuz" ]; then
		real=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
		[ -n "$real" ] || skip "apt knows no linux-image-amd64"
		(cd "$LAB" && apt-get -q download "$real" >"$LAB/apt" 2>&1) || skip "apt-get download fails: $(tail -n 1 "$LAB/apt")"
		mkdir -p "$STRATA_LAB_CACHE/amd64"
		dpkg --fsys-tarfile "$LAB"/linux-image-*.deb | tar x -C "$LAB" --wildcards './boot/vmlinuz-*'
		rm "$LAB"/linux-image-*.deb
		mv "$LAB"/boot/vmlinuz-* "$STRATA_LAB_CACHE/amd64/vmlinuz"
	fi
	for times in 1 2 3; do
		for vcpus in 1 2 4; do
			boots "$STRATA_LAB_CACHE/amd64/vmlinuz" $vcpus
		done
	done
}

@test "what the guest computes is what this CPU computes" {
	run timeout 900 strata run --rm --virt hosted --network none -m 512m --vcpus 2 --kernel "$(cat "$LAB/kernel")" --initrd "$LAB/initrd" \
		--append "console=ttyS0 quiet panic=-1"
	[ "$status" = 0 ]
	diff <("$REPO/build/bench/guest_bench" | cut -d' ' -f1,2,4) <(grep -E '^[a-z]+ [a-z]+ [0-9]+ [0-9a-f]{16}' <<<"$output" | tr -d '\r' | cut -d' ' -f1,2,4)
}

@test "a whole Debian, from a qcow2 disk: systemd, a login, its network, a clean end" {
	needs debootstrap qemu-img
	"$REPO/tests/lab/debian_image" "$STRATA_LAB_CACHE/debian" >"$LAB/debian.log" 2>&1 || skip "debootstrap fails: $(tail -n 1 "$LAB/debian.log")"
	qemu-img create -q -f qcow2 -F qcow2 -b "$STRATA_LAB_CACHE/debian/disk.qcow2" "$LAB/disk.qcow2"
	strata network create --subnet 10.77.0.0/24 lab >/dev/null
	run "$REPO/tests/lab/debian_boot.py" 600 strata run -it --rm --virt hosted --network lab -m 512m --vcpus 2 \
		--kernel "$STRATA_LAB_CACHE/debian/vmlinuz" --initrd "$STRATA_LAB_CACHE/debian/initrd" \
		--append "console=ttyS0 root=/dev/vda quiet" --disk "$LAB/disk.qcow2"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"state=running"* ]]
	[[ $output == *"ping=0"* ]]
	[[ $output == *"cpus=2"* ]]
	[[ $output == *"reboot: Power down"* ]]
	qemu-img check -q "$LAB/disk.qcow2"
}
