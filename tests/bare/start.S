/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the PVH entry (32-bit protected mode, flat segments; Xen docs/misc/pvh.pandoc) to 64-bit C. The first GiB of
 * memory is where it is. No interrupt is ever taken: those that the models raise are looked at in their registers.
 */
#include "../guest/lib/long_mode.inc"
#include "../guest/lib/pvh.inc"

	cli
	cld
	long_mode_on
	ljmp $0x08, $entry64

	.code64
entry64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $stack_top, %esp
	call bare_main
1:	hlt
	jmp 1b

	.data
	.balign 8
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.balign 4096
pml4:	.quad pdpt + 3
	.fill 511, 8, 0
pdpt:	.quad pd + 3
	.fill 511, 8, 0
	.set at, 0
pd:	.rept 512
	.quad at + 0x83			/* 2 MiB, writable, present */
	.set at, at + 0x200000
	.endr

	.bss
	.balign 16
	.skip 65536
stack_top:
	.section .note.GNU-stack, "", @progbits
