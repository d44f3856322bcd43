/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three ways in, all in 32-bit protected mode with flat segments, and one way on: 64-bit mode, the first 4 GiB where they
 * are, hv_start(protocol, information).
 *   multiboot 1   EAX 0x2badb002, EBX information   (Multiboot Specification 0.6.96, Machine state)
 *   multiboot 2   EAX 0x36d76289, EBX information   (Multiboot2 Specification 2.0, I386 machine state)
 *   PVH           EBX start info                    (Xen docs/misc/pvh.pandoc); EAX is anything, so its entry is its own
 */
	.section .head, "a"
	.balign 8
multiboot1:
	.set MB1_FLAGS, 0x00000003	/* modules on pages; memory information */
	.long 0x1badb002, MB1_FLAGS, -(0x1badb002 + MB1_FLAGS)
	.balign 8
multiboot2:
	.long 0xe85250d6, 0, multiboot2_end - multiboot2
	.long -(0xe85250d6 + multiboot2_end - multiboot2)
	.short 1, 0			/* information request */
	.long 20
	.long 1, 3, 6			/* command line, modules, memory map */
	.balign 8
multiboot2_module:
	.short 6, 0			/* modules on pages */
	.long 8
	.short 5, 1			/* a framebuffer, if there is one; optional */
	.long 20
	.long 0, 0, 32			/* any size, 32 bits a pixel; some GRUBs choose 24 */
	.balign 8
	.short 0, 0
	.long 8
multiboot2_end:

	.section .note.Xen, "a", @note
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long boot_pvh_entry

	.text
	.code32
	.globl boot_multiboot_entry, boot_pvh_entry
boot_pvh_entry:
	xor %eax, %eax
boot_multiboot_entry:
	cli
	cld
	mov $boot_stack_top, %esp
	mov %eax, %edi
	mov %ebx, %esi

	/* .bss need not be zero by the specifications, and these tables are in it: each entry is written. */
	mov $boot_pml4, %edx
	mov $boot_pml4_end - boot_pml4, %ecx
	call zero
	mov $boot_pdpt, %edx
	mov $4096, %ecx
	call zero
	movl $boot_pdpt + 3, boot_pml4
	mov $boot_pd + 3, %eax
	mov $boot_pdpt, %edx
1:	mov %eax, (%edx)
	add $4096, %eax
	add $8, %edx
	cmp $boot_pdpt + 32, %edx
	jb 1b
	mov $0x83, %eax			/* 2 MiB, writable, present */
	mov $boot_pd, %edx
2:	mov %eax, (%edx)
	movl $0, 4(%edx)
	add $0x200000, %eax
	add $8, %edx
	cmp $boot_pd + 16384, %edx
	jb 2b

	call boot_long_mode
	ljmp $0x08, $boot64

zero:	movb $0, (%edx)
	inc %edx
	dec %ecx
	jnz zero
	ret

	/* Keeps ESI, EDI; returns in 32-bit compatibility mode. Application processors come here too. */
	.globl boot_long_mode
boot_long_mode:
	lgdt boot_gdt_pointer
	mov $boot_pml4, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x60, %eax			/* PAE; MCE: a machine check is an exception, not a reset without a word */
	mov %eax, %cr4
	mov $0xc0000080, %ecx		/* EFER */
	rdmsr
	or $0x100, %eax			/* LME */
	wrmsr
	mov %cr0, %eax
	or $0x80010021, %eax		/* PG, WP, NE, PE */
	and $0x9ffffff3, %eax		/* caches on; no EM, no TS */
	mov %eax, %cr0
	ret

	.code64
boot64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov $boot_stack_top, %esp
	xor %ebp, %ebp
	mov %edi, %edi
	mov %esi, %esi
	call hv_start
1:	cli
	hlt
	jmp 1b

	.section .rodata, "a"
	.balign 8
	.globl boot_gdt_pointer
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
	.quad 0x00cf9b000000ffff	/* 0x18: 32-bit code, for application processors on their way */
boot_gdt_end:
boot_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt

	.bss
	.balign 4096
	.globl boot_pml4
boot_pml4:
	.skip 4096
boot_pml4_end:
boot_pdpt:
	.skip 4096
boot_pd:
	.skip 16384
	.skip 32768
boot_stack_top:
	.section .note.GNU-stack, "", @progbits
