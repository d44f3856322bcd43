/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an application processor starts (SDM 3A, MP Initialization): copied to a page below 1 MiB, real mode, CS:0. What
 * it needs is at the page's end, as struct smp_mailbox of core/smp.c has it.
 */
	.set MAILBOX_GDT, 0xfe0		/* 6 bytes */
	.set MAILBOX_CODE32, 0xfe8	/* far pointer: ap32, 0x18 */
	.section .rodata, "a"
	.globl smp_trampoline, smp_trampoline_end
	.code16
smp_trampoline:
	cli
	cld
	mov %cs, %ax
	mov %ax, %ds
	lgdtl MAILBOX_GDT
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl *MAILBOX_CODE32
smp_trampoline_end:

	.text
	.code32
	.globl smp_entry32, smp_stack
smp_entry32:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov smp_stack, %esp		/* below 4 GiB */
	call boot_long_mode
	ljmp $0x08, $smp_entry64
	.code64
smp_entry64:
	mov smp_stack, %rsp
	xor %ebp, %ebp
	call smp_main
1:	cli
	hlt
	jmp 1b
	.bss
	.balign 8
smp_stack:
	.skip 8
	.section .note.GNU-stack, "", @progbits
