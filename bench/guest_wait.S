/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that writes one byte to its serial port and then waits for ever: for what a VMM takes beside it. By PVH. */
#include "../tests/guest/lib/pvh.inc"

	mov $0x3f8, %dx
	mov $'x', %al
	out %al, %dx
	cli
forever:
	hlt
	jmp forever
	.section .note.GNU-stack, "", @progbits
