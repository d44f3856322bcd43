#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The hypervisor image on emulated servers (QEMU's TCG, Bochs): every way to boot, every CPU started, a panic. UEFI from disks and
# Bochs are slow: STRATA_LAB_LONG=1 (make soak) runs them.

setup_file()
{
	REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	LAB=$(mktemp -d /tmp/strata-baremetal.XXXXXX)
	STRATA=$REPO/build/strata
	HV=$REPO/build/strata-hv
	OVMF=/usr/share/OVMF/OVMF_CODE_4M.fd
	export REPO LAB STRATA HV OVMF
	local tool
	for tool in qemu-system-x86_64 grub-mkrescue xorriso mformat; do
		command -v "$tool" >/dev/null || skip "needs $tool: make setup"
	done
	"$STRATA" baremetal image -o "$LAB/server.iso"
}

teardown_file()
{
	[ -z "${LAB:-}" ] || rm -rf "$LAB"
}

setup()
{
	bats_require_minimum_version 1.5.0
	PID=
}

teardown()
{
	[ -z "$PID" ] || kill "$PID" 2>/dev/null || true
}

# server PATTERN ARG...: a server that boots until the pattern is on its serial line; what came goes to $SAID
server()
{
	local want=$1
	shift
	rm -f "$LAB/line"
	mkfifo "$LAB/line"
	timeout 120 qemu-system-x86_64 -accel tcg -cpu max -m 256 -nodefaults -display none -no-reboot -serial stdio "$@" \
		</dev/null >"$LAB/line" 2>"$LAB/qemu" 3>&- &
	PID=$!
	SAID=$(sed "/$want/q" "$LAB/line")
	kill "$PID" 2>/dev/null || true
	wait "$PID" || true
	PID=
	SAID=$(tr -d '\r\0' <<<"$SAID")
	grep -q "$want" <<<"$SAID" || {
		echo "$SAID"
		cat "$LAB/qemu"
		return 1
	}
}

@test "multiboot 1: every CPU is started" {
	server 'CPUs, ' -M q35 -smp 4 -kernel "$HV"
	[[ $SAID == *"bare metal, by multiboot"* ]]
	[[ $SAID == *"4 CPUs, "* ]]
}

@test "PVH: its entry is its own, whatever is in EAX" {
	# QEMU prefers multiboot where there is a header
	python3 - "$REPO/build/hypervisor/strata-hv64" "$LAB/pvh" <<-'END'
		import sys
		image = bytearray(open(sys.argv[1], "rb").read())
		at = image.index(b"\x02\xb0\xad\x1b")
		image[at:at + 4] = bytes(4)
		open(sys.argv[2], "wb").write(image)
	END
	server 'CPUs, ' -M q35 -smp 2 -kernel "$LAB/pvh"
	[[ $SAID == *"bare metal, by PVH"* ]]
	[[ $SAID == *"2 CPUs, "* ]]
	server 'CPUs, ' -M microvm -kernel "$LAB/pvh"
	[[ $SAID == *"bare metal, by PVH"* ]]
}

@test "memory above 4 GiB is used, with and without pages of 1 GiB" {
	server 'CPUs, ' -M q35 -m 6G -kernel "$HV"
	[[ $SAID =~ (60|61)[0-9][0-9]" MiB of memory free" ]]
	server 'CPUs, ' -M q35 -m 6G -cpu max,-pdpe1gb -kernel "$HV"
	[[ $SAID =~ (60|61)[0-9][0-9]" MiB of memory free" ]]
}

@test "the ISO by BIOS: CD, NVMe, AHCI, virtio-blk" {
	server 'CPUs, ' -M q35 -cdrom "$LAB/server.iso"
	[[ $SAID == *"bare metal, by multiboot"* ]]
	server 'CPUs, ' -M q35 -drive "if=none,id=d,format=raw,readonly=on,file=$LAB/server.iso" -device nvme,drive=d,serial=1
	server 'CPUs, ' -M q35 -drive "if=none,id=d,format=raw,file=$LAB/server.iso" -device ide-hd,drive=d,bus=ide.0
	server 'CPUs, ' -M q35 -drive "if=none,id=d,format=raw,file=$LAB/server.iso" -device virtio-blk-pci,drive=d
}

@test "multiboot 2 by BIOS, with a configuration of one's own and modules" {
	"$STRATA" baremetal image -o "$LAB/own" --words console=com1 "$BATS_TEST_FILENAME" "$REPO/Makefile"
	sed -i '/^if/,/^else/d; /^fi/d; s/multiboot /multiboot2 /; s/module /module2 /' "$LAB/own/boot/grub/grub.cfg"
	grub-mkrescue -o "$LAB/own.iso" "$LAB/own" 2>/dev/null
	server 'CPUs, ' -M q35 -cdrom "$LAB/own.iso"
	[[ $SAID == *"bare metal, by multiboot2"* ]]
	[[ $SAID == *" 2 files"* ]]
}

@test "the ISO by UEFI: CD" {
	[ -e "$OVMF" ] || skip "needs ovmf: make setup"
	server 'CPUs, ' -M q35 -smp 2 -drive "if=pflash,format=raw,readonly=on,file=$OVMF" -cdrom "$LAB/server.iso"
	[[ $SAID == *"bare metal, by multiboot2"* ]]
	[[ $SAID == *"2 CPUs, "* ]]
}

@test "the ISO by UEFI: NVMe, AHCI, virtio-blk; the EFI program" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: STRATA_LAB_LONG=1"
	[ -e "$OVMF" ] || skip "needs ovmf: make setup"
	local flash="if=pflash,format=raw,readonly=on,file=$OVMF"
	server 'CPUs, ' -M q35 -drive "$flash" -drive "if=none,id=d,format=raw,file=$LAB/server.iso" -device nvme,drive=d,serial=1
	server 'CPUs, ' -M q35 -drive "$flash" -drive "if=none,id=d,format=raw,file=$LAB/server.iso" \
		-device ide-hd,drive=d,bus=ide.0
	server 'CPUs, ' -M q35 -drive "$flash" -drive "if=none,id=d,format=raw,file=$LAB/server.iso" -device virtio-blk-pci,drive=d
	"$STRATA" baremetal image -o "$LAB/server.efi"
	mkdir -p "$LAB/esp/EFI/BOOT"
	mv "$LAB/server.efi" "$LAB/esp/EFI/BOOT/BOOTX64.EFI"
	server 'CPUs, ' -M q35 -drive "$flash" -drive "format=raw,file=fat:rw:$LAB/esp"
	[[ $SAID == *"bare metal, by multiboot2"* ]]
}

# gpt FILE: a disk of 64 MiB with two partitions
gpt()
{
	python3 - "$1" <<-'END'
		import struct, sys, zlib
		sectors = 131072
		def entry(first, last, name):
		    return b"\x11" * 32 + struct.pack("<QQQ", first, last, 0) + name.encode("utf-16-le").ljust(72, b"\0")
		table = (entry(2048, 18431, "boot") + entry(18432, 131038, "data")).ljust(128 * 128, b"\0")
		def header(lba, other, entries):
		    def pack(crc):
		        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, lba, other, 34, sectors - 34,
		                           b"\x22" * 16, entries, 128, 128, zlib.crc32(table))
		    return pack(zlib.crc32(pack(0)))
		with open(sys.argv[1], "wb") as disk:
		    disk.truncate(sectors * 512)
		    disk.seek(512)
		    disk.write(header(1, sectors - 1, 2))
		    disk.seek(1024)
		    disk.write(table)
		    disk.seek((sectors - 33) * 512)
		    disk.write(table)
		    disk.seek((sectors - 1) * 512)
		    disk.write(header(sectors - 1, 1, sectors - 33))
	END
}

@test "the server's disks: NVMe, AHCI and virtio-blk are found, partitions read, data written and read" {
	local disk
	for disk in nvme ahci vd; do
		gpt "$LAB/$disk.img"
	done
	for disk in nvme ahci vd; do
		server 'CPUs, ' -M q35 -kernel "$HV" -append "disk-test=${disk}0p2" \
			-drive "if=none,id=n,format=raw,file=$LAB/nvme.img" -device nvme,drive=n,serial=N1 \
			-drive "if=none,id=a,format=raw,file=$LAB/ahci.img" -device ide-hd,drive=a,bus=ide.0,serial=A1 \
			-drive "if=none,id=v,format=raw,file=$LAB/vd.img" -device virtio-blk-pci,drive=v
		[[ $SAID == *"disk ${disk}0: 64 MiB, sectors of 512"* ]]
		[[ $SAID == *"${disk}0p1: 8 MiB, \"boot\""* ]]
		[[ $SAID == *"${disk}0p2: 54 MiB, \"data\""* ]]
		[[ $SAID == *"disk test of ${disk}0p2: what was written is read"* ]]
	done
	# it is on the disks, where the partition is
	for disk in nvme ahci vd; do
		[ -n "$(dd if="$LAB/$disk.img" bs=512 skip=$((18432 + 8)) count=1 status=none | tr -d '\0')" ]
	done
}

@test "sectors of 4096 bytes, a broken table with a good copy, a disk that fails" {
	gpt "$LAB/copy.img"
	printf X | dd of="$LAB/copy.img" bs=1 seek=600 conv=notrunc status=none # in the first header's sum
	printf X | dd of="$LAB/copy.img" bs=1 seek=570 conv=notrunc status=none
	truncate -s 64M "$LAB/four.img"
	server 'CPUs, ' -M q35 -kernel "$HV" -append disk-test=nvme0 \
		-drive "if=none,id=f,format=raw,file=$LAB/four.img" \
		-device nvme,drive=f,serial=4K,logical_block_size=4096,physical_block_size=4096 \
		-drive "if=none,id=c,format=raw,file=$LAB/copy.img" -device virtio-blk-pci,drive=c
	[[ $SAID == *"disk nvme0: 64 MiB, sectors of 4096, \"4K\""* ]]
	[[ $SAID == *"disk test of nvme0: what was written is read"* ]]
	[[ $SAID == *"vd0: its partition table is broken (error 74)"* ]]
	[[ $SAID == *"vd0p2: 54 MiB, \"data\""* ]]
	truncate -s 64M "$LAB/bad.img"
	local bad
	for bad in nvme,drive=b,serial=B ide-hd,drive=b,bus=ide.0 virtio-blk-pci,drive=b; do
		server 'CPUs, ' -M q35 -kernel "$HV" -device "$bad" \
			-drive "if=none,id=b,driver=blkdebug,image.driver=raw,image.file.driver=file,image.file.filename=$LAB/bad.img,inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.errno=5"
		[[ $SAID == *"no partition table can be read: error 5"* ]]
	done
}

@test "a guest from a medium: its disks are a file in memory and a partition of the server" {
	command -v busybox >/dev/null || skip "needs busybox: make setup"
	local found kernel modules
	export PYTHONPATH=$REPO/tests/lab PYTHONDONTWRITEBYTECODE=1
	found=$(python3 -c "import guest_image; print(*guest_image.fetch_kernel('${STRATA_LAB_CACHE:-$REPO/build/lab}'))") ||
		skip "there is no kernel package to be had"
	read -r kernel modules <<<"$found"
	"$REPO/tests/lab/disk_initramfs.py" "$LAB/initrd" "$modules" "$(command -v busybox)"
	head -c 1000448 /dev/urandom >"$LAB/file.img"
	gpt "$LAB/server.img"
	cat >"$LAB/guests.json" <<-END
		{"guests": [{"name": "web1", "kernel": "$kernel", "initrd": "initrd", "memory_bytes": 134217728,
		             "append": "console=ttyS0 quiet panic=-1 mitigations=off",
		             "disks": [{"path": "file.img", "read_only": true}, {"server": "label:data"}]},
		            {"name": "thief", "kernel": "$kernel", "memory_bytes": 134217728, "disks": [{"server": "nvme7"}]}]}
	END
	"$STRATA" baremetal image -o "$LAB/guests" --config "$LAB/guests.json" # an ISO's GRUB takes long to read it
	local file files=()
	for file in "$LAB/guests/boot"/*.* "$LAB/guests/boot/initrd"; do
		files+=("$file ${file##*/}")
	done
	server 'web1: powered off' -M q35 -m 512 -kernel "$LAB/guests/boot/strata-hv" \
		-initrd "$(IFS=,; echo "${files[*]}")" \
		-drive "if=none,id=n,format=raw,file=$LAB/server.img" -device nvme,drive=n,serial=N1
	echo "$SAID"
	[[ $SAID == *"[web1] vda $(md5sum <"$LAB/file.img")"* ]]
	[[ $SAID == *"[web1] vda is read-only"* ]]
	[[ $SAID == *"[web1] same as written"* ]]
	[[ $SAID == *"guest thief: the server has no disk nvme7"* ]]
	[ "$(dd if="$LAB/server.img" bs=512 skip=$((18432 + 5)) count=1 status=none | tr -d '\0')" = "from the guest" ]
	# nothing of it is in the other partition
	[ -z "$(dd if="$LAB/server.img" bs=512 skip=2048 count=16384 status=none | tr -d '\0')" ]
}

@test "a panic prints registers of the server, a backtrace that has names, and stops" {
	server 'names them' -M q35 -smp 2 -kernel "$HV" -append panic
	[[ $SAID == *"PANIC on CPU 0: asked for on the command line"* ]]
	[[ $SAID == *"last exit here: none"* ]]
	local first
	first=$(sed -n 's/^backtrace: \([0-9a-f]*\).*/\1/p' <<<"$SAID")
	[[ $(addr2line -fe "$REPO/build/hypervisor/strata-hv64" "$first") == *hv_start* ]]
}

@test "what the configuration gets wrong is one line, and no medium is left" {
	echo '{"guests": [{"name": "a", "kernel": "vmlinuz", "vcpu": 2}]}' >"$LAB/bad.json"
	run -125 "$STRATA" baremetal image -o "$LAB/bad.iso" --config "$LAB/bad.json"
	[ "$output" = "error: config: guests[0]: unknown member 'vcpu'" ]
	run -125 "$STRATA" baremetal image -o "$LAB/bad.iso" --words 'console="com1"'
	[ "${#lines[@]}" -eq 1 ]
	run -125 "$STRATA" baremetal image
	[ "${#lines[@]}" -eq 1 ]
	mkdir "$LAB/full" && touch "$LAB/full/file"
	run -125 "$STRATA" baremetal image -o "$LAB/full"
	[ "$(ls "$LAB/full")" = file ]
	[ ! -e "$LAB/bad.iso" ] && [ ! -e "$LAB/bad.iso.part" ]
}

@test "the image, stripped, is below 512 KiB and wants nothing of a C library" {
	[ "$(stat -c %s "$HV")" -lt $((512 * 1024)) ]
	run -0 nm --undefined-only "$REPO/build/hypervisor/strata-hv64"
	[ -z "$output" ]
}

# bochs MODEL: the ISO on Bochs, until the banner
bochs_server()
{
	cat >"$LAB/bochsrc" <<-END
		megs: 256
		romimage: file=/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
		cpu: model=$1, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1
		boot: cdrom
		ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
		ata0-master: type=cdrom, path=$LAB/server.iso, status=inserted
		com1: enabled=1, mode=file, dev=$LAB/serial
		port_e9_hack: enabled=1
		display_library: rfb, options="timeout=0"
		config_interface: textconfig
		sound: waveoutdrv=dummy, waveout=none, waveindrv=dummy, wavein=none, midioutdrv=dummy, midiout=none
		plugin_ctrl: speaker=0
		speaker: enabled=0
		clock: sync=none
		mouse: enabled=0
		log: $LAB/bochs.log
		panic: action=fatal
		error: action=report
		info: action=report
		debug: action=ignore
	END
	echo c >"$LAB/go"
	rm -f "$LAB/serial" "$LAB/line"
	mkfifo "$LAB/line"
	# port 0xe9 is its standard output
	timeout 120 bochs -q -f "$LAB/bochsrc" -rc "$LAB/go" </dev/null >"$LAB/line" 2>&1 3>&- &
	PID=$!
	SAID=$(sed '/CPUs, /q' "$LAB/line")
	kill "$PID" 2>/dev/null || true
	wait "$PID" || true
	PID=
	[[ $SAID == *"bare metal, by multiboot"* ]]
}

@test "Bochs, Intel and AMD" {
	[ -n "${STRATA_LAB_LONG:-}" ] || skip "long: STRATA_LAB_LONG=1"
	command -v bochs >/dev/null || skip "needs bochs: make setup"
	bochs_server corei7_skylake_x
	bochs_server zambezi
}
