#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The hypervisor image on emulated servers (QEMU's TCG, Bochs): every way to boot, every CPU started, a panic. UEFI from disks and
# Bochs are slow: STRATA_LAB_LONG=1 (make soak) runs them.

load lab_helper

setup_file()
{
	LAB=$(mktemp -d /tmp/strata-baremetal.XXXXXX)
	STRATA=$REPO/build/strata
	HV=$REPO/build/strata-hv
	OVMF=/usr/share/OVMF/OVMF_CODE_4M.fd
	export LAB STRATA HV OVMF
	needs qemu-system-x86_64 grub-mkrescue xorriso mformat
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
	SCREEN=
}

teardown()
{
	[ -z "$PID" ] || kill "$PID" 2>/dev/null || true
}

# server PATTERN ARG...: a server that boots until the pattern is on its serial line; what came goes to $SAID
# SCREEN=1: it has a screen, and $SHOWN is how many lines of text are on it then
server()
{
	local want=$1
	shift
	[ -z "$SCREEN" ] || set -- "$@" -vga std -qmp "unix:$LAB/qmp,server=on,wait=off"
	rm -f "$LAB/line"
	mkfifo "$LAB/line"
	timeout 400 qemu-system-x86_64 -accel tcg -cpu max -m 256 -nodefaults -display none -no-reboot -serial stdio "$@" \
		</dev/null >"$LAB/line" 2>"$LAB/qemu" 3>&- &
	PID=$!
	SAID=$(sed "/$want/q" "$LAB/line")
	[ -z "$SCREEN" ] || SHOWN=$(python3 "$REPO/tests/lab/screen.py" "$LAB/qmp" "$LAB/screen")
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
	SCREEN=1
	server 'hypervisor.s own' -M q35 -cdrom "$LAB/server.iso"
	SCREEN=
	[[ $SAID == *"bare metal, by multiboot"* ]]
	[ "$SHOWN" -ge 4 ]
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
	SCREEN=1
	server 'hypervisor.s own' -M q35 -smp 2 -drive "if=pflash,format=raw,readonly=on,file=$OVMF" -cdrom "$LAB/server.iso"
	[[ $SAID == *"bare metal, by multiboot2"* ]]
	[ "$SHOWN" -ge 4 ]
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
	python3 "$REPO/tests/lab/gpt.py" "$1"
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

@test "an IOMMU: disks work behind it, and reach nothing but their buffers" {
	local disk with=(-M q35,kernel-irqchip=split -device intel-iommu)
	for disk in nvme ahci vd; do
		truncate -s 64M "$LAB/kept-$disk.img"
	done
	with+=(-drive "if=none,id=n,format=raw,file=$LAB/kept-nvme.img" -device nvme,drive=n,serial=N1
		-device pcie-pci-bridge,id=b -device ich9-ahci,id=h,bus=b,addr=1
		-drive "if=none,id=a,format=raw,file=$LAB/kept-ahci.img" -device ide-hd,drive=a,bus=h.0)
	server 'CPUs, ' "${with[@]}" -kernel "$HV" -append "dma-test=nvme0 disk-test=nvme0" \
		-drive "if=none,id=v,format=raw,file=$LAB/kept-vd.img" \
		-device virtio-blk-pci,drive=v,iommu_platform=on,disable-legacy=on
	[[ $SAID == *"IOMMU: VT-d, 1 of 1 units on"* ]]
	[[ $SAID == *"(nvme) reaches its driver's buffers"* ]]
	[[ $SAID =~ "IOMMU: "[0-9a-f]+":"[0-9a-f]+".0 (nvme) may not write 0x"[0-9a-f]+": blocked" ]]
	[[ $SAID == *"DMA test of nvme0: a page that is not its own is as it was, error "*", 1 blocked"* ]]
	[[ $SAID == *"disk test of nvme0: what was written is read"* ]] # it goes on
	[[ $SAID == *"disk vd0: 64 MiB"* ]]
	[[ $SAID != *"goes round it"* ]]
	# behind a bridge that speaks for it; and a virtio-blk that says that it is not kept
	server 'CPUs, ' "${with[@]}" -kernel "$HV" -append "dma-test=vd0 disk-test=ahci0" \
		-drive "if=none,id=v,format=raw,file=$LAB/kept-vd.img" -device virtio-blk-pci,drive=v
	[[ $SAID == *"(virtio-blk) goes round it"* ]]
	[[ $SAID == *"DMA test of vd0: a page that is not its own was written to"* ]]
	[[ $SAID == *"disk test of ahci0: what was written is read"* ]]
	server 'CPUs, ' "${with[@]}" -kernel "$HV" -append "iommu=off dma-test=nvme0"
	[[ $SAID == *"IOMMU: off"* ]]
	[[ $SAID == *"DMA test of nvme0: a page that is not its own was written to"* ]]
}

# dmar LENGTH: the unit of QEMU's with two ranges for the first NVMe: one is the firmware's, one is free memory
dmar()
{
	python3 - "$1" <<-'END'
		import struct, sys
		def structure(kind, body):
		    return struct.pack("<HH", kind, len(body) + int(sys.argv[1])) + body
		def reserved(start, scope=bytes([1, 8, 0, 0, 0, 0, 1, 0])):
		    return structure(1, struct.pack("<HHQQ", 0, 0, start, start + 0xfff) + scope)
		body = struct.pack("<BB10x", 38, 0) + structure(0, struct.pack("<BBHQ", 1, 0, 0, 0xfed90000))
		body += reserved(0xb0000000) + reserved(0x1000000)
		table = struct.pack("<4sIBB6s8sI4sI", b"DMAR", 36 + len(body), 1, 0, b"STRATA", b"STRATA  ", 1, b"TEST", 1) + body
		sys.stdout.buffer.write(table[:9] + bytes([-sum(table) & 0xff]) + table[10:])
	END
}

@test "an IOMMU: memory that the firmware reserves, and a table that is wrong" {
	local with=(-M q35,kernel-irqchip=split -device intel-iommu -kernel "$HV" -device nvme,drive=n,serial=N1)
	truncate -s 64M "$LAB/reserved.img"
	with+=(-drive "if=none,id=n,format=raw,file=$LAB/reserved.img")
	dmar 4 >"$LAB/dmar"
	server 'CPUs, ' "${with[@]}" -acpitable "file=$LAB/dmar" -append dma-test=nvme0
	[[ $SAID == *"IOMMU: 0:1.0 reaches 0xb0000000 to 0xb0000fff, the firmware's"* ]]
	[[ $SAID == *"IOMMU: 0:1.0 does not reach 0x1000000 to 0x1000fff, the firmware's: the memory map says that it is free"* ]]
	[[ $SAID == *"DMA test of nvme0: a page that is not its own is as it was"* ]]
	dmar 5 >"$LAB/dmar" # a byte longer than it is
	server 'CPUs, ' "${with[@]}" -acpitable "file=$LAB/dmar" -append disk-test=nvme0
	[[ $SAID == *"IOMMU: the firmware's table cannot be used, error "* ]]
	[[ $SAID == *"disk test of nvme0: what was written is read"* ]]
}

# amdvi: arguments for a server with AMD's IOMMU. Later QEMUs translate only if they are told to, and write the log of what was blocked.
amdvi()
{
	LOGS=
	if qemu-system-x86_64 -device amd-iommu,help | grep -q dma-remap; then
		LOGS=yes
	fi
	AMDVI=(-M q35 -device "amd-iommu${LOGS:+,dma-remap=on}" -kernel "$HV")
}

@test "AMD's IOMMU: disks work behind it, and reach nothing but their buffers" {
	local disk with
	amdvi
	for disk in nvme ahci vd; do
		truncate -s 64M "$LAB/kept-$disk.img"
	done
	with=("${AMDVI[@]}" -drive "if=none,id=n,format=raw,file=$LAB/kept-nvme.img" -device nvme,drive=n,serial=N1
		-drive "if=none,id=a,format=raw,file=$LAB/kept-ahci.img" -device ide-hd,drive=a,bus=ide.0
		-drive "if=none,id=v,format=raw,file=$LAB/kept-vd.img")
	for disk in nvme ahci vd; do
		server 'CPUs, ' "${with[@]}" -append "dma-test=${disk}0 disk-test=${disk}0" \
			-device virtio-blk-pci,drive=v,iommu_platform=on,disable-legacy=on
		[[ $SAID == *"IOMMU: AMD-Vi, 1 of 1 units on"* ]]
		[[ $SAID == *"(nvme) reaches its driver's buffers"* ]]
		[[ $SAID == *"DMA test of ${disk}0: a page that is not its own is as it was"* ]]
		[[ $SAID == *"disk test of ${disk}0: what was written is read"* ]] # it goes on
		[[ $SAID != *"goes round it"* ]]
		[ -z "$LOGS" ] || [[ $SAID == *") may not reach 0x"*": blocked, reason 2"* ]]
	done
	server 'CPUs, ' "${with[@]}" -append "dma-test=vd0" -device virtio-blk-pci,drive=v
	[[ $SAID == *"(virtio-blk) goes round it"* ]]
	[[ $SAID == *"DMA test of vd0: a page that is not its own was written to"* ]]
	server 'CPUs, ' "${with[@]}" -append "iommu=off dma-test=nvme0"
	[[ $SAID == *"IOMMU: off"* ]]
	[[ $SAID == *"DMA test of nvme0: a page that is not its own was written to"* ]]
}

# ivrs LENGTH: the unit of QEMU's with two ranges for the first NVMe: one is the firmware's, one is free memory
ivrs()
{
	python3 - "$1" <<-'END'
		import struct, sys
		def reserved(start):
		    return struct.pack("<BBHHHQQQ", 0x21, 7, 32, 0x10, 0, 0, start, 0x1000)
		body = struct.pack("<IQ", 0x203040, 0)
		body += struct.pack("<BBHHHQHHI", 0x10, 0, 24 + int(sys.argv[1]), 8, 0, 0xfed80000, 0, 0, 0) + struct.pack("<BHB", 1, 0, 0)
		body += reserved(0xb0000000) + reserved(0x1000000)
		table = struct.pack("<4sIBB6s8sI4sI", b"IVRS", 36 + len(body), 2, 0, b"STRATA", b"STRATA  ", 1, b"TEST", 1) + body
		sys.stdout.buffer.write(table[:9] + bytes([-sum(table) & 0xff]) + table[10:])
	END
}

@test "AMD's IOMMU: memory that the firmware reserves, and a table that is wrong" {
	local with
	amdvi
	truncate -s 64M "$LAB/reserved.img"
	with=("${AMDVI[@]}" -drive "if=none,id=n,format=raw,file=$LAB/reserved.img" -device nvme,drive=n,serial=N1)
	ivrs 4 >"$LAB/ivrs"
	server 'CPUs, ' "${with[@]}" -acpitable "file=$LAB/ivrs" -append "dma-test=nvme0 disk-test=nvme0"
	[[ $SAID == *"IOMMU: 0:2.0 reaches 0xb0000000 to 0xb0000fff, the firmware's"* ]]
	[[ $SAID == *"IOMMU: 0:2.0 does not reach 0x1000000 to 0x1000fff, the firmware's: the memory map says that it is free"* ]]
	[[ $SAID == *"DMA test of nvme0: a page that is not its own is as it was"* ]]
	[[ $SAID == *"disk test of nvme0: what was written is read"* ]]
	ivrs 5 >"$LAB/ivrs" # a byte longer than it is
	server 'CPUs, ' "${with[@]}" -acpitable "file=$LAB/ivrs" -append disk-test=nvme0
	[[ $SAID == *"IOMMU: the firmware's table cannot be used, error "* ]]
	[[ $SAID == *"disk test of nvme0: what was written is read"* ]]
}

@test "an IOMMU: a device's interrupts are its driver's only" {
	local with
	amdvi
	truncate -s 64M "$LAB/interrupts.img"
	with=(-drive "if=none,id=v,format=raw,file=$LAB/interrupts.img"
		-device virtio-blk-pci,drive=v,iommu_platform=on,disable-legacy=on -D "$LAB/trace")
	server 'CPUs, ' -M q35 -kernel "$HV" -append interrupt-test=vd0 "${with[@]}" # without one
	[[ $SAID == *"interrupt test of vd0: one that is not its own came, error 0"* ]]
	AMDVI[3]+=,intremap=on
	rm -f "$LAB/trace"
	server 'CPUs, ' "${AMDVI[@]}" -append "interrupt-test=vd0 disk-test=vd0" "${with[@]}" -trace 'amdvi_ir_*'
	[[ $SAID == *"reach no memory; interrupts are their drivers' only"* ]]
	[[ $SAID == *"interrupt test of vd0: none that is not its own came, error 0"* ]]
	[[ $SAID == *"disk test of vd0: what was written is read"* ]]
	grep -q 'int_ctl abort' "$LAB/trace"
	grep -q 'amdvi_ir_irte_val' "$LAB/trace" # the disk's own come by its table
	# QEMU's VT-d lets those of the old format pass, whatever it is told: its own come by the table, that much can be seen
	rm -f "$LAB/trace"
	server 'CPUs, ' -M q35,kernel-irqchip=split -device intel-iommu,intremap=on -kernel "$HV" -append disk-test=vd0 "${with[@]}" \
		-trace 'vtd_ir_*'
	[[ $SAID == *"reach no memory; interrupts are their drivers' only"* ]]
	[[ $SAID == *"disk test of vd0: what was written is read"* ]]
	grep -q 'vtd_ir_remap index 0 ' "$LAB/trace"
	server 'CPUs, ' -M q35,kernel-irqchip=split -device intel-iommu,intremap=off -kernel "$HV" -append interrupt-test=vd0 "${with[@]}"
	[[ $SAID == *"reach no memory; interrupts are not remapped"* ]]
	[[ $SAID == *"interrupt test of vd0: one that is not its own came, error 0"* ]]
}

@test "every interrupt that an NVMe raises comes" {
	truncate -s 64M "$LAB/raised.img"
	rm -f "$LAB/trace"
	server 'CPUs, ' -M q35 -kernel "$HV" -append disk-test=nvme0 -drive "if=none,id=n,format=raw,file=$LAB/raised.img" \
		-device nvme,drive=n,serial=N1 -D "$LAB/trace" -trace pci_nvme_irq_msix -trace apic_deliver_irq
	[[ $SAID == *"disk test of nvme0: what was written is read"* ]]
	local raised came
	raised=$(grep -c pci_nvme_irq_msix "$LAB/trace")
	came=$(grep -cE 'apic_deliver_irq .* vector (6[4-9]|7[0-9]) ' "$LAB/trace") # devices' are from 64 on
	((raised > 0 && came == raised))
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

# The second request is there 25 s later, which is 5 s too late. QEMU's controller waits for it in the reset.
@test "a SATA disk that loses a command: its port is reset, and the disk answers again" {
	truncate -s 64M "$LAB/slow.img"
	server 'CPUs, ' -M q35 -kernel "$HV" -device ide-hd,drive=a,bus=ide.0,serial=A1 \
		-drive "if=none,id=a,format=raw,file=$LAB/slow.img,throttling.bps-total=20"
	[[ $SAID == *"disk ahci0: 64 MiB, sectors of 512, \"A1\""* ]]
	[[ $SAID == *"disk ahci0: its port was reset, and it answers again"* ]]
	[[ $SAID != *"its requests fail"* ]]
}

@test "an NVMe disk that loses a command: it is reset, and answers again" {
	truncate -s 64M "$LAB/slow.img"
	server 'it was reset' -M q35 -kernel "$HV" -append disk-test=nvme0 -device nvme,drive=n,serial=N1 \
		-drive "if=none,id=n,format=raw,file=$LAB/slow.img,throttling.bps-total=20"
	[[ $SAID == *"disk nvme0: 64 MiB, sectors of 512, \"N1\""* ]]
	[[ $SAID == *"disk test of nvme0: failed, error 110"* ]]
	[[ $SAID == *"disk nvme0: it was reset, and it answers again"* ]]
}

@test "a guest from a medium: its disks are a file in memory and a partition of the server" {
	needs busybox
	local found kernel modules
	export PYTHONPATH=$REPO/tests/lab PYTHONDONTWRITEBYTECODE=1
	found=$(python3 -c "import guest_image; print(*guest_image.fetch_kernel('$STRATA_LAB_CACHE'))") ||
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

# boot_guests JSON PATTERN ARG...: a medium from the JSON, booted until the pattern
boot_guests()
{
	local json=$1 want=$2 file files=()
	shift 2
	rm -rf "$LAB/guests"
	"$STRATA" baremetal image -o "$LAB/guests" --config "$json"
	for file in "$LAB/guests/boot"/*; do
		[ ! -f "$file" ] || [ "${file##*/}" = strata-hv ] || files+=("$file ${file##*/}")
	done
	server "$want" -M q35 -m 512 -kernel "$LAB/guests/boot/strata-hv" -initrd "$(IFS=,; echo "${files[*]}")" "$@"
}

@test "extents of Strata's own partition: written, still there after a reboot, neighbours untouched, the older table when the newer is broken" {
	local disk=$LAB/own.img drive found kernel modules before
	truncate -s 32M "$disk"
	head -c 3000000 /dev/urandom >"$LAB/neighbour"
	"$STRATA" baremetal disk format "$disk"
	"$STRATA" baremetal disk add "$disk" data 4m
	"$STRATA" baremetal disk add "$disk" web.2 --from "$LAB/neighbour" --read-only
	"$STRATA" baremetal disk add "$disk" other 6m
	"$STRATA" baremetal disk add "$disk" late 1m
	before=$(dd if="$disk" bs=1M skip=6 status=none | md5sum) # behind data, which begins at 2 MiB of the disk
	drive=(-drive "if=none,id=n,format=raw,file=$disk" -device nvme,drive=n,serial=N1)
	cat >"$LAB/own.json" <<-END
		{"guests": [{"name": "blk", "kernel": "$REPO/build/tests/guest/guest_blk", "memory_bytes": 16777216,
		             "disks": [{"server": "strata:data"}, {"server": "strata:web.2"}]},
		            {"name": "thief", "kernel": "$REPO/build/tests/guest/guest_blk", "memory_bytes": 16777216,
		             "disks": [{"server": "strata:none"}]}]}
	END
	boot_guests "$LAB/own.json" 'guest blk: ended' "${drive[@]}"
	echo "$SAID"
	[[ $SAID == *"strata:data: 4 MiB on nvme0p1"* ]]
	[[ $SAID == *"strata:web.2: 3 MiB on nvme0p1, read-only"* ]]
	[[ $SAID == *"strata:late: 1 MiB on nvme0p1"* ]]
	[[ $SAID =~ \[blk\]\ end:\ [1-9][0-9]*\ passed,\ 0\ failed ]]
	[[ $SAID == *"guest thief: the server has no disk strata:none"* ]]
	[ -n "$(dd if="$disk" bs=512 skip=$((2 * 2048 + 16)) count=8 status=none | tr -d '\0')" ]
	[ "$(dd if="$disk" bs=1M skip=6 status=none | md5sum)" = "$before" ]
	[ "$("$STRATA" baremetal disk ls -f json "$disk" | jq -r 'map(.name) | join(" ")')" = "data web.2 other late" ]

	needs busybox
	export PYTHONPATH=$REPO/tests/lab PYTHONDONTWRITEBYTECODE=1
	found=$(python3 -c "import guest_image; print(*guest_image.fetch_kernel('$STRATA_LAB_CACHE'))") ||
		skip "there is no kernel package to be had"
	read -r kernel modules <<<"$found"
	"$REPO/tests/lab/disk_initramfs.py" "$LAB/initrd" "$modules" "$(command -v busybox)"
	cat >"$LAB/own.json" <<-END
		{"guests": [{"name": "web1", "kernel": "$kernel", "initrd": "initrd", "memory_bytes": 134217728,
		             "append": "console=ttyS0 quiet panic=-1 mitigations=off",
		             "disks": [{"server": "strata:data", "read_only": true}, {"server": "strata:other"}]},
		            {"name": "thief", "kernel": "$kernel", "memory_bytes": 134217728, "disks": [{"server": "strata:late"}]}]}
	END
	printf X | dd of="$disk" bs=1 seek=$((1048576 + 100)) conv=notrunc status=none # the newer copy, which has late
	boot_guests "$LAB/own.json" 'web1: powered off' "${drive[@]}"
	echo "$SAID"
	[[ $SAID == *"nvme0p1: extents: copy 0 of the table is refused (its checksum is wrong), copy 1 is used"* ]]
	[[ $SAID == *"[web1] vda $(dd if="$disk" bs=1M skip=2 count=4 status=none | md5sum)"* ]]
	[[ $SAID == *"[web1] vda is read-only"* && $SAID == *"[web1] same as written"* ]]
	[[ $SAID == *"guest thief: the server has no disk strata:late"* ]]
	cmp -n 3000000 -i $((6 * 1048576)):0 "$disk" "$LAB/neighbour"
}

@test "a panic prints registers of the server, a backtrace that has names, and stops" {
	server 'names them' -M q35 -smp 2 -kernel "$HV" -append panic
	[[ $SAID == *"PANIC on CPU 0: asked for on the command line"* ]]
	[[ $SAID == *"last exit here: none"* ]]
	local first
	first=$(sed -n 's/^backtrace: \([0-9a-f]*\).*/\1/p' <<<"$SAID")
	[[ $(addr2line -fe "$REPO/build/hypervisor/strata-hv64" "$first") == *hv_start* ]]
}

# said LINE: until it has come
said()
{
	wait_until grep -q "$1" "$LAB/said"
}

@test "a machine check is a panic with its number, not a reset without a word" {
	: >"$LAB/said"
	{
		said 'no guests'
		echo 'mce 0 0 0xbe00000000000000 0x5 0 0'
		said 'names them'
		echo quit
	} | timeout 500 qemu-system-x86_64 -accel tcg -cpu max -M q35 -m 256 -nodefaults -display none -no-reboot -no-shutdown -kernel "$HV" \
		-serial "file:$LAB/said" -monitor stdio >/dev/null
	cat "$LAB/said"
	grep -q 'PANIC on CPU 0: exception 18,' "$LAB/said"
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
	run -125 "$STRATA" baremetal image -o "$LAB/x.img"
	[ "$output" = "error: -o $LAB/x.img: a medium is NAME.iso, NAME.efi, or a directory: NAME without a dot, or NAME/" ]
	[ ! -e "$LAB/x.img" ]
	[ "$("$STRATA" baremetal image -o "$LAB/x.1/")" = "$LAB/x.1/" ]
	[ -s "$LAB/x.1/boot/grub/grub.cfg" ]
	run -125 "$STRATA" baremetal image -o "$LAB/nosuch/bad.iso"
	[ "$output" = "error: write $LAB/nosuch/bad.iso: No such file or directory" ]
	mkdir "$LAB/small"
	mount -t tmpfs -o size=2m small "$LAB/small"
	run -125 "$STRATA" baremetal image -o "$LAB/small/bad.iso" # it was "error: grub-mkrescue: ."
	[[ $output == "error: grub-mkrescue: xorriso : FAILURE : "*"free space"* ]]
	[ -z "$(ls "$LAB/small")" ]
	umount "$LAB/small"
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
	needs bochs
	bochs_server corei7_skylake_x
	bochs_server zambezi
}
