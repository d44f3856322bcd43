/* SPDX-License-Identifier: Apache-2.0 */
/* A stub for each of the 256 vectors: struct irq_frame on the stack, then irq_dispatch(frame) of irq.c. */
	.text
	.code64
	.balign 16
	.globl irq_stubs
irq_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	/* SDM 3A, Exception Reference: these push an error code themselves. */
	.if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
	.else
	push $0
	.endif
	push $vector
	jmp irq_common
	.set vector, vector + 1
	.endr

irq_common:
	push %rax
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	mov %rsp, %rdi
	cld
	call irq_dispatch
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq
	.section .note.GNU-stack, "", @progbits
