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
#include "hw/guest_regs.inc"

	.text
	.globl svm_switch
	.type svm_switch, @function
svm_switch:
	callers_push
	push %rsi
	push %rdx
	mov %rdi, %rax
	guest_regs_load %rsi
	sti
	vmload %rax
	vmrun %rax
	vmsave %rax			/* RAX is what it was at the VMRUN */
	pop %rax
	vmload %rax
	pop %rax
	guest_regs_save
	callers_pop
	cli
	stgi
	ret
	.size svm_switch, . - svm_switch
	.section .note.GNU-stack, "", @progbits
