/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that writes one byte to its serial port and then waits for ever: for what a VMM takes beside it. By PVH. */
	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long guest_entry

	.text
	.code32
	.globl guest_entry
guest_entry:
	mov $0x3f8, %dx
	mov $'x', %al
	out %al, %dx
	cli
forever:
	hlt
	jmp forever
	.section .note.GNU-stack, "", @progbits
