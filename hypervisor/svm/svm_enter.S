/* SPDX-License-Identifier: Apache-2.0 */
/*
 * svm_switch(rdi: guest's VMCB, rsi: its general registers in the order of enum x86_reg, rdx: this CPU's VMSAVE area)
 *
 * VMRUN switches RAX, RSP, RIP, RFLAGS, CS to DS, GDT, IDT and the control registers; VMLOAD and VMSAVE the rest that has no
 * other home (FS, GS, TR, LDTR, SYSCALL's and SYSENTER's MSRs). All others are here. Host interrupts wait from the CLGI
 * before us to the STGI, whatever RFLAGS.IF says; IF must be set at the VMRUN for one to end the guest's turn. It is
 * clear again when we return: trap_open() serves it.
 * Source: AMD APM 2, Secure Virtual Machine: VMRUN Instruction; #VMEXIT; Global Interrupt Flag, STGI and CLGI.
 */
	.text
	.globl svm_switch
	.type svm_switch, @function
svm_switch:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rsi
	push %rdx
	mov %rdi, %rax
	mov 1*8(%rsi), %rcx
	mov 2*8(%rsi), %rdx
	mov 3*8(%rsi), %rbx
	mov 5*8(%rsi), %rbp
	mov 7*8(%rsi), %rdi
	mov 8*8(%rsi), %r8
	mov 9*8(%rsi), %r9
	mov 10*8(%rsi), %r10
	mov 11*8(%rsi), %r11
	mov 12*8(%rsi), %r12
	mov 13*8(%rsi), %r13
	mov 14*8(%rsi), %r14
	mov 15*8(%rsi), %r15
	mov 6*8(%rsi), %rsi
	sti
	vmload %rax
	vmrun %rax
	vmsave %rax			/* RAX is what it was at the VMRUN */
	pop %rax
	vmload %rax
	pop %rax
	mov %rcx, 1*8(%rax)
	mov %rdx, 2*8(%rax)
	mov %rbx, 3*8(%rax)
	mov %rbp, 5*8(%rax)
	mov %rsi, 6*8(%rax)
	mov %rdi, 7*8(%rax)
	mov %r8, 8*8(%rax)
	mov %r9, 9*8(%rax)
	mov %r10, 10*8(%rax)
	mov %r11, 11*8(%rax)
	mov %r12, 12*8(%rax)
	mov %r13, 13*8(%rax)
	mov %r14, 14*8(%rax)
	mov %r15, 15*8(%rax)
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	cli
	stgi
	ret
	.size svm_switch, . - svm_switch
	.section .note.GNU-stack, "", @progbits
