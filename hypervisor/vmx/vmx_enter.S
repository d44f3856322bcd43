/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmx_switch(rdi: the guest's general registers in the order of enum x86_reg, rsi: struct vmx_launch)
 *
 * The VMCS switches RSP, RIP, RFLAGS, segments, tables, control registers, EFER and PAT. The other registers are here.
 * Interrupts are off before and after: one for the host ends the guest's turn whatever the guest's RFLAGS.IF says, and waits.
 * Source: Intel SDM 3C, VM Entries; VM Exits; Loading Host State.
 */
#include "hw/guest_regs.inc"

	.text
	.globl vmx_switch, vmx_exit_point
	.type vmx_switch, @function
vmx_switch:
	callers_push
	push %rdi
	cmp %rsp, (%rsi)
	je 1f
	mov %rsp, (%rsi)
	mov $0x6c14, %eax		/* VMCS_HOST_RSP */
	vmwrite %rsp, %rax
1:	cmpb $0, 8(%rsi)		/* the flags last until the jump */
	mov 0*8(%rdi), %rax
	guest_regs_load %rdi
	jne 2f
	vmlaunch
	jmp 3f
2:	vmresume
3:	pop %rdi			/* it was refused: the registers are as they went */
	mov $1, %eax
	jc 4f
	mov $2, %eax
	jmp 4f
vmx_exit_point:
	push %rax
	mov 8(%rsp), %rax
	guest_regs_save
	pop %rcx
	mov %rcx, 0*8(%rax)
	pop %rcx
	xor %eax, %eax
4:	callers_pop
	ret
	.size vmx_switch, . - vmx_switch
	.section .note.GNU-stack, "", @progbits
