#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bundles that ask for a virtual machine, as far as that goes without a kernel: tests/lab/oci_vm.bats boots one.
# shellcheck disable=SC2016 # what is quoted is for the shell inside, or for jq
load helper
load oci_helper

setup()
{
	oci_setup
	OCI+=(--strata-root "$STRATA_ROOT")
	mkdir -p "$SCRATCH/by-name"
	ln -sf "$OCI_BIN" "$SCRATCH/by-name/strata-oci-hosted"
	ln -sf "$OCI_BIN" "$SCRATCH/by-name/strata-oci-magic"
}

# refused PATTERN FILTER: a bundle for a virtual machine is refused with one line, and nothing is left
refused()
{
	config ".annotations[\"io.strata.virt\"] = \"hosted\" | $2" true
	run oci run -b "$B" box
	one_line_error "$1"
	[ -z "$(oci list -q)" ]
}

@test "the annotation: os-level and auto are a container, others are known or refused" {
	config '.annotations["io.strata.virt"] = "os-level"' echo here
	[ "$(oci run -b "$B" box)" = here ]
	config '.annotations["io.strata.virt"] = "auto"' echo here
	[ "$(oci run -b "$B" box)" = here ]
	refused "'magic' is not known: os-level, hosted, hybrid or auto" '.annotations["io.strata.virt"] = "magic"'
	refused "bare-metal: .*use .*hosted" '.annotations["io.strata.virt"] = "bare-metal"'
}

@test "hybrid without /dev/kvm says what this host can run" {
	config '.annotations["io.strata.virt"] = "hybrid"' true
	run unshare -m sh -c 'mount --make-rprivate / && { [ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm; } && exec "$@"' sh \
		"$OCI_BIN" --root "$OCI_ROOT" --strata-root "$STRATA_ROOT" run -b "$B" box
	one_line_error 'hybrid: .*; use os-level or hosted'
}

@test "a name of the runtime chooses as the annotation does, and is not left by one" {
	config . true
	run "$SCRATCH/by-name/strata-oci-magic" --root "$OCI_ROOT" run -b "$B" box
	one_line_error "'magic' is not known"
	config '.annotations["io.strata.virt"] = "os-level"' true
	run "$SCRATCH/by-name/strata-oci-hosted" --root "$OCI_ROOT" --strata-root "$STRATA_ROOT" run -b "$B" box
	one_line_error 'this runtime is strata-oci-hosted'
	config . true
	run "$SCRATCH/by-name/strata-oci-hosted" --root "$OCI_ROOT" --strata-root "$STRATA_ROOT" run -b "$B" box
	one_line_error 'kernel'
}

@test "without a kernel it says how to get one, and nothing is left" {
	refused 'strata image kernel fetch' .
	[ -z "$(find "$STRATA_ROOT/oci" -type f 2>/dev/null)" ]
}

# A package whose kernel is none, with every driver built in: all is made, and the machine's own process refuses it.
no_kernel()
{
	local tree=$SCRATCH/tree
	mkdir -p "$tree/DEBIAN" "$tree/boot" "$tree/lib/modules/6.1.0-1-test"
	printf 'Package: linux-image-test\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody\nDescription: a test\n' >"$tree/DEBIAN/control"
	{
		head -c 514 /dev/zero
		printf 'HdrS'
		head -c 4096 /dev/zero
	} >"$tree/boot/vmlinuz-6.1.0-1-test"
	printf 'kernel/%s.ko\n' virtio_pci virtio_blk virtio_net virtio_console virtio-rng virtio_balloon vmw_vsock_virtio_transport \
		erofs overlay ext4 virtiofs >"$tree/lib/modules/6.1.0-1-test/modules.builtin"
	dpkg-deb --root-owner-group -b "$tree" "$SCRATCH/none.deb" >/dev/null
	strata image kernel fetch --from "$SCRATCH/none.deb" >/dev/null
}

@test "all is made but for the boot: programs are found, the disks are made, and all of it goes" {
	command -v mke2fs >/dev/null || skip "needs mke2fs: make setup"
	no_kernel
	config '.annotations["io.strata.virt"] = "hosted"' true
	run timeout 100 "$OCI_BIN" --root "$OCI_ROOT" --strata-root "$STRATA_ROOT" run -b "$B" box-vm
	one_line_error 'boot .*vmlinuz'
	oci create -b "$B" box-vm >/dev/null 2>&1 </dev/null
	[ "$(oci state box-vm | jq -r .status)" = created ]
	run oci start box-vm
	one_line_error 'boot .*vmlinuz'
	oci delete --force box-vm
	config '.annotations["io.strata.virt"] = "hosted"' nosuch
	run oci run -b "$B" box-vm
	one_line_error 'executable file not found in \$PATH'
	[ -z "$(oci list -q)" ]
	[ -z "$(find "$STRATA_ROOT/oci" -type f)" ]
	strata image kernel rm 6.1.0-1-test >/dev/null
}

@test "what a virtual machine cannot have is refused by its name" {
	refused "the host's network" 'del(.linux.namespaces[] | select(.type == "network"))'
	refused 'a user namespace' '.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 0, "size": 1}] | .linux.gidMappings = .linux.uidMappings'
	refused 'mounts\[[0-9]+\]: a bind at /proc/stat' '.mounts += [{"destination": "/proc/stat", "source": "/tmp", "options": ["rbind", "ro"]}]'
	refused "io.strata.root: 'none' is not known: shared or copy" '.annotations["io.strata.root"] = "none"'
	refused 'linux.devices' '.linux.devices = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]'
	refused 'hooks.startContainer' '.hooks.startContainer = [{"path": "/bin/true"}]'
	refused 'umask' '.process.user.umask = 63'
}

# without_server COMMAND...: as on a host where virtiofsd is not installed
without_server()
{
	[ ! -d /usr/share/qemu/vhost-user ] || set -- unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs none /usr/share/qemu/vhost-user && exec "$@"' sh "$@"
	"$@"
}

@test "without virtiofsd the root is copied, what is read-only too, and what is not is refused by the package's name" {
	command -v mke2fs >/dev/null || skip "needs mke2fs: make setup"
	no_kernel
	local vm=("$OCI_BIN" --root "$OCI_ROOT" --strata-root "$STRATA_ROOT")
	config '.annotations["io.strata.virt"] = "hosted" | .mounts += [{"destination": "/data", "source": "/tmp", "options": ["rbind", "rw"]}]' true
	run without_server "${vm[@]}" run -b "$B" box-vm
	one_line_error 'mounts\[[0-9]+\]: /tmp, for /data, is shared by the program virtiofsd, which is not installed: apt-get install qemu-system-common'
	config '.annotations["io.strata.virt"] = "hosted" | .annotations["io.strata.root"] = "shared"' true
	run without_server "${vm[@]}" run -b "$B" box-vm
	one_line_error 'apt-get install qemu-system-common'
	config '.annotations["io.strata.virt"] = "hosted"' true
	run without_server timeout 100 "${vm[@]}" run -b "$B" box-vm
	one_line_error 'boot .*vmlinuz'
	[ -z "$(oci list -q)" ]
	[ -z "$(find "$STRATA_ROOT/oci" -type f)" ]
	strata image kernel rm 6.1.0-1-test >/dev/null
}
