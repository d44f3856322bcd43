#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Kernels for virtual machines: from a package file, and what is no kernel. Debian's mirror: tests/lab/hybrid.bats.
bats_require_minimum_version 1.5.0
load helper

setup_file() {
	strata_setup_file
	make_deb "$SCRATCH/a.deb" 6.1.0-1-test a
	make_deb "$SCRATCH/b.deb" 6.10.0-1-test b
}

teardown() {
	strata image kernel list -q | while read -r version; do strata image kernel rm "$version"; done >/dev/null
}

# make_deb FILE VERSION TEXT: a package whose vmlinuz is TEXT and a magic, and that has every driver built in
make_deb() {
	local tree=$SCRATCH/tree
	rm -rf "$tree"
	mkdir -p "$tree/DEBIAN" "$tree/boot" "$tree/lib/modules/$2"
	printf 'Package: linux-image-test\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody\nDescription: a test\n' \
		>"$tree/DEBIAN/control"
	{
		printf '%s' "$3"
		head -c 513 /dev/zero
		printf 'HdrS'
		head -c 4096 /dev/zero
	} >"$tree/boot/vmlinuz-$2"
	printf 'kernel/%s.ko\n' virtio_pci virtio_blk virtio_net virtio_console virtio-rng virtio_balloon \
		vmw_vsock_virtio_transport erofs overlay ext4 virtiofs >"$tree/lib/modules/$2/modules.builtin"
	dpkg-deb --root-owner-group -b "$tree" "$1" >/dev/null
}

@test "a package file becomes a kernel, the last one the default" {
	run -0 strata image kernel fetch --from "$SCRATCH/a.deb"
	[[ $output =~ ^6\.1\.0-1-test\ [0-9a-f]{12}$ ]]
	strata image kernel fetch --from "$SCRATCH/b.deb"
	[ "$(strata image kernel list -q)" = $'6.1.0-1-test\n6.10.0-1-test' ]
	[ "$(strata image kernel ls -f json | jq -r '.[] | select(.default).version')" = 6.10.0-1-test ]
	[ "$(strata image kernel ls -f json | jq -r '.[0].size_bytes')" = 4614 ]
	run -0 strata image kernel list
	[[ ${lines[0]} == VERSION*DEFAULT*DIGEST*SIZE* ]]
	strata image kernel rm 6.10.0-1-test
	[ "$(strata image kernel ls -f json | jq -r '.[] | select(.default).version')" = 6.1.0-1-test ]
}

@test "completion offers kernels" {
	strata image kernel fetch --from "$SCRATCH/a.deb" >/dev/null
	strata completion words -- --root "$STRATA_ROOT" image kernel | grep -qx fetch
	strata completion words -- --root "$STRATA_ROOT" image kernel rm | grep -qx 6.1.0-1-test
}

# refused WORDS COMMAND...
refused() {
	local words=$1
	shift
	run -125 strata "$@"
	[ "${#lines[@]}" = 1 ] || { echo "$output"; false; }
	[[ $output == "error: "*"$words"* ]] || { echo "$output"; false; }
	[ -z "$(ls -A "$STRATA_ROOT/tmp" 2>/dev/null)" ]
	[ -z "$(strata image kernel list -q)" ]
}

@test "what is no kernel is refused in one line, and leaves nothing" {
	refused "/etc/passwd: not a Debian package" image kernel fetch --from /etc/passwd
	refused "No such file" image kernel fetch --from "$SCRATCH/none.deb"
	head -c $(($(stat -c %s "$SCRATCH/a.deb") - 200)) "$SCRATCH/a.deb" >"$SCRATCH/cut.deb"
	refused "cut.deb: not a Debian package, or a broken one" image kernel fetch --from "$SCRATCH/cut.deb"
	mkdir -p "$SCRATCH/doc/DEBIAN"
	printf 'Package: doc\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: a test\n' \
		>"$SCRATCH/doc/DEBIAN/control"
	dpkg-deb -b "$SCRATCH/doc" "$SCRATCH/doc.deb" >/dev/null
	refused "doc.deb: not a Debian kernel package" image kernel fetch --from "$SCRATCH/doc.deb"
	refused "is not the name of a Debian package" image kernel fetch ../etc
	refused "one of them" image kernel fetch --from "$SCRATCH/a.deb" linux-image-cloud-amd64
	refused "kernel 9.9: there is none" image kernel rm 9.9
	refused "needs a verb" image kernel
}

@test "without a network apt-get's own words are told" {
	command -v apt-get >/dev/null || skip "apt-get is not here"
	apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || skip "apt has no lists"
	http_proxy=http://127.0.0.1:9 refused "fetch linux-image-" image kernel fetch
	[[ $output == *"apt-get: E: "* ]]
	refused "apt knows no such package" image kernel fetch no-such-package-at-all
}

@test "killed at any step it leaves a whole kernel or none" {
	local step=0 killed
	while :; do
		step=$((step + 1))
		killed=$("${STRATA_BIN%/*}/tests/kill_step" $step -- "$STRATA_BIN" --root "$STRATA_ROOT" \
			--run-root "$STRATA_RUN" image kernel fetch --from "$SCRATCH/a.deb" 2>&1) || true
		[[ $killed == *killed* || $killed == *survived* ]] || { echo "$killed"; false; }
		case $(strata image kernel list -q) in
		'') ;;
		6.1.0-1-test) [ "$(stat -c %s "$STRATA_ROOT/kernels/6.1.0-1-test/vmlinuz")" = 4614 ] ;;
		*) false ;;
		esac
		[[ $killed != *survived* ]] || break
		strata image kernel list -q | xargs -r strata image kernel rm >/dev/null
	done
	[ $step -gt 10 ]
	strata image prune >/dev/null
	[ -z "$(ls -A "$STRATA_ROOT/tmp")" ]
	[ "$(ls "$STRATA_ROOT/kernels")" = $'6.1.0-1-test\ndefault' ]
}
