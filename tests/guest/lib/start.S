/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the PVH entry (32-bit protected mode, start info in EBX; Xen docs/misc/pvh.pandoc) to 64-bit C, and the same for
 * the other CPUs from real mode. The page tables are data: memory 0 to 4 GiB and the first GiB of the 64-bit PCI window
 * are where they are, so that a CPU which is interpreted spends nothing on building them.
 */
#include "long_mode.inc"
#include "pvh.inc"

	cli
	cld
	mov $stack_top, %esp
	mov %ebx, %esi
	call to_long_mode
	ljmp $0x08, $entry64

to_long_mode:				/* keeps ESI; returns in 32-bit compatibility mode */
	long_mode_on
	ret

	.code64
entry64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %esi, %edi
	call guest_start
1:	hlt
	jmp 1b

/*
 * An application processor starts here, copied below 1 MiB (smp.c): real mode, CS:0. It counts itself in by an atomic
 * add, which gives it its stack.
 */
	.code16
	.globl trampoline, trampoline_end
trampoline:
	cli
	cld
	xor %ax, %ax
	mov %ax, %ds
	lgdtl TRAMPOLINE_GDT
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $0x18, $ap32
	.balign 8
trampoline_gdt:
	.word gdt_end - gdt - 1
	.long gdt
	.set TRAMPOLINE_GDT, 0x8000 + trampoline_gdt - trampoline
trampoline_end:

	.code32
ap32:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $1, %esi
	lock xadd %esi, ap_count
	inc %esi			/* 1, 2, ...: the CPU's number */
	mov %esi, %eax
	shl $14, %eax			/* 16 KiB each */
	lea ap_stacks(%eax), %esp
	call to_long_mode
	ljmp $0x08, $ap64
	.code64
ap64:
	mov %esi, %edi
	call smp_entered
1:	hlt
	jmp 1b

	.data
	.balign 8
	.globl ap_count
ap_count: .long 0
	.balign 8
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
	.quad 0x00cf9b000000ffff	/* 0x18: 32-bit code */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.balign 4096
pml4:	.quad pdpt + 3
	.fill 511, 8, 0
pdpt:	.quad pd + 3, pd + 0x1003, pd + 0x2003, pd + 0x3003
	.fill 252, 8, 0
	.quad pd_high + 3		/* 256 GiB: LAYOUT_PCI64 */
	.fill 255, 8, 0
	.set at, 0
pd:	.rept 2048
	.quad at + 0x83			/* 2 MiB, writable, present */
	.set at, at + 0x200000
	.endr
	.set at, 0x4000000000
pd_high: .rept 512
	.quad at + 0x83
	.set at, at + 0x200000
	.endr

	.bss
	.balign 4096
	.skip 16384
stack_top:
ap_stacks:
	.skip 16384 * 8
	.section .note.GNU-stack, "", @progbits
