/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest of 30 bytes that writes one byte to its serial port and resets: by port 0xcf9, and where there is none (QEMU's
 * microvm) by a triple fault. Started by PVH.
 */
#include "../tests/guest/lib/pvh.inc"

	mov $0x3f8, %dx
	mov $'x', %al
	out %al, %dx
	mov $0xf9, %dl
	mov $0x0c, %dh
	mov $6, %al
	out %al, %dx
	lidt nothing		/* no handler, */
	lgdt nothing		/* no segment: */
	mov %edx, %ds		/* a fault that nobody can take */
	.section .rodata
nothing:
	.skip 6
	.section .note.GNU-stack, "", @progbits
