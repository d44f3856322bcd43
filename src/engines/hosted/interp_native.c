/* SPDX-License-Identifier: Apache-2.0 */
/* The way into stubs and out of them. */
#include "engines/hosted/interp.h"

/* interp_enter(state: rdi, mem: rsi, stub: rdx, native_sp: rcx). System V ABI: six registers are the caller's. */
__asm__(".text\n"
	".globl interp_enter\n"
	".hidden interp_enter\n"
	".hidden interp_enter_back\n"
	".type interp_enter, @function\n"
	"interp_enter:\n"
	"	push %rbx\n"
	"	push %rbp\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	mov %rsp, (%rcx)\n"
	"	call *%rdx\n"
	".globl interp_enter_back\n"
	"interp_enter_back:\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbp\n"
	"	pop %rbx\n"
	"	ret\n"
	".size interp_enter, . - interp_enter\n");

void interp_stub_write(struct interp_vcpu *interp, unsigned slot, const uint8_t *code, unsigned n)
{
	cpu_copy(interp->stubs_rw + (size_t)slot * INTERP_STUB_BYTES, code, n);
	cpu_serialize();
}
