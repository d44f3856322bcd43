# SPDX-License-Identifier: Apache-2.0
# For every file of lab tests: `load lab_helper` gives it
#   $REPO, $STRATA_LAB_CACHE   what was fetched or made once (build/lab)
#   wait_until
#   needs, has; of what strata-hv's guests are and said: guests, trespassers, debian_guest, passed
# and, for those that run instances on this host, from their setup_file and teardown_file:
#   lab_strata   $LAB, a directory that goes with the file, and
#   strata ...   the built command, on a root and a run root in there
#   lab_kernel   Debian's kernel
#   lab_demo     the image demo (busybox), and that kernel; its tree is $LAB/rootfs
#   lab_tree     a tar of what debootstrap made
#   lab_remove   all instances and $LAB go
#   refuses, megabytes_of, memory_follows

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export REPO STRATA_LAB_CACHE=${STRATA_LAB_CACHE:-$REPO/build/lab}
WAIT_SECONDS=200
# shellcheck source=tests/wait_until.bash
source "$REPO/tests/wait_until.bash"

# needs PROGRAM...: or the tests are skipped
needs()
{
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "needs $tool: make setup"
	done
}

lab_strata()
{
	LAB=$(mktemp -d /tmp/strata-lab.XXXXXX)
	chmod 755 "$LAB" # containers with mapped users walk through it
	export LAB PATH=$LAB/bin:$PATH
	mkdir "$LAB/bin"
	# A program, not a function: timeout and xargs want one.
	printf '#!/bin/sh\nexec %q --root %q --run-root %q "$@"\n' "$REPO/build/strata" "$LAB/root" "$LAB/run" >"$LAB/bin/strata"
	chmod +x "$LAB/bin/strata"
}

# Debian's; where it is
kernel_fetched()
{
	PYTHONPATH=$REPO/tests/lab python3 -c "import guest_image; print(guest_image.fetch_kernel('$STRATA_LAB_CACHE')[0])"
}

# Its path is in $LAB/kernel.
lab_kernel()
{
	kernel_fetched >"$LAB/kernel" || skip "there is no kernel package to be had"
	strata image kernel fetch --from "$(find "$STRATA_LAB_CACHE/deb/" -name '*.deb' | head -n 1)"
}

lab_demo()
{
	"$REPO/tools/demo-image" "$LAB/rootfs"
	strata image import "$LAB/rootfs" demo
	lab_kernel
}

# kept NAME: the tree in $LAB/tree becomes $STRATA_LAB_CACHE/NAME.tar
kept()
{
	rm -rf "$LAB/tree"/var/cache/apt/archives/*.deb "$LAB/tree"/var/lib/apt/lists/*
	tar -C "$LAB/tree" -cf "$STRATA_LAB_CACHE/$1.tar.new" . || return
	mv "$STRATA_LAB_CACHE/$1.tar.new" "$STRATA_LAB_CACHE/$1.tar"
	rm -rf "$LAB/tree"
}

# lab_tree NAME PACKAGES: Debian 12 with these, made once, is $STRATA_LAB_CACHE/NAME.tar; what debootstrap says is in $LAB/said
lab_tree()
{
	[ ! -f "$STRATA_LAB_CACHE/$1.tar" ] || return 0
	mkdir -p "$STRATA_LAB_CACHE"
	debootstrap --variant=minbase --include="$2" bookworm "$LAB/tree" >"$LAB/said" 2>&1 || return
	kept "$1"
}

lab_remove()
{
	[ -n "${LAB:-}" ] || return 0
	strata ps -aq | xargs -r strata rm -f >/dev/null
	rm -rf "$LAB"
}

# has LINE: what `run` saw has it
has()
{
	# bats sets output
	# shellcheck disable=SC2154
	[[ $'\n'$output$'\n' == *$'\n'"$1"$'\n'* ]] || { echo "not said: $1"; false; }
}

# guests NAME...: lines of a guest.cfg, for programs of tests/guest
guests()
{
	local name
	for name; do
		printf 'guest %s\nmemory 16M\nkernel guest_%s\n' "$name" "$name"
	done
}

# trespassers: the same for guest_trespass, as bad0 to bad4, each of which ends in a way of its own
trespassers()
{
	local how
	for how in 0 1 2 3 4; do
		printf 'guest bad%u\nmemory 16M\nkernel guest_trespass\nappend end=%u\n' $how $how
	done
}

# passed NAME...: what `run` saw has the end of these programs, and none of their tests failed
passed()
{
	local name
	for name; do
		[[ "$output" =~ \[$name\]\ end:\ [1-9][0-9]*\ passed,\ 0\ failed ]] || { echo "not passed: $name"; false; }
	done
}

# debian_guest SCRIPT MODULE...: Debian's kernel as $LAB/vmlinuz, $LAB/disk.img, and an initrd with the modules, whose init says what
# it has, and goes on with the script ($b is busybox)
debian_guest()
{
	local kernel script=$1
	shift
	needs busybox
	kernel=$(kernel_fetched) || skip "there is no kernel package to be had"
	cp "$kernel" "$LAB/vmlinuz"
	printf 'on the disk' >"$LAB/disk.img"
	truncate -s 64K "$LAB/disk.img"
	PYTHONPATH=$REPO/tests/lab python3 - "$LAB/initrd" "$(command -v busybox)" "$STRATA_LAB_CACHE" "$script" "$@" <<-'END'
		import sys, guest_image, server
		path, busybox, cache, script, *names = sys.argv[1:]
		modules = guest_image.load_order(guest_image.fetch_kernel(cache)[1], names)
		server.initramfs(path, """#!/bin/sh
		b=/bin/busybox
		$b mount -t proc proc /proc
		$b mount -t devtmpfs dev /dev
		for m in /modules/*; do $b insmod $m; done
		echo "up: $($b nproc) CPUs, $($b grep -c hypervisor /proc/cpuinfo) told of a hypervisor"
		$b usleep 20000 && echo slept
		[ ! -e /dev/vda ] || echo "disk: $($b dd if=/dev/vda bs=11 count=1 2>/dev/null)"
		""" + script + """
		$b poweroff -f
		""", busybox, modules)
	END
}

# refuses WORDS COMMAND...: in one line
refuses()
{
	local words=$1
	shift
	run -125 "$@"
	echo "$output"
	[ "${#lines[@]}" = 1 ]
	[[ "$output" == "error: "*"$words"* ]]
}

# megabytes_of INSTANCE [FLAG...]: all the memory that its kernel says it has
megabytes_of()
{
	strata "${@:2}" exec "$1" sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo | awk '{ print int($1 / 1024) }'
}

# has_megabytes INSTANCE N
has_megabytes()
{
	[ "$(megabytes_of "$1")" = "$2" ]
}

# memory_follows INSTANCE BOOTED LESS: a running machine gives what a lower limit asks for, and has it again
memory_follows()
{
	local all
	all=$(megabytes_of "$1")
	refuses "$1 booted with $2 MiB, and gets no more" strata update -m $(($2 + 2))m "$1"
	refuses "name one" strata update -m -1 "$1"
	strata update -m "$3m" "$1"
	wait_until has_megabytes "$1" $((all - ($2 - $3)))
	strata stats --no-stream -f json "$1" | python3 -c "import json,sys; row, = json.load(sys.stdin); assert row['memory_limit_bytes'] == $3 << 20, row"
	strata update -m "$2m" "$1"
	wait_until has_megabytes "$1" "$all"
}
