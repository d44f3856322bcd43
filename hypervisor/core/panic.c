/* SPDX-License-Identifier: Apache-2.0 */
#include "core/panic.h"

#include <stdarg.h>

#include "core/apic.h"
#include "core/io.h"
#include "core/page.h"
#include "core/percpu.h"
#include "core/print.h"
#include "core/trap.h"

#define FRAMES_MOST 24U

extern const uint8_t image_text[], image_text_end[];

/* Whose panic it is: 0 nobody's, else the CPU's index + 1; atomic. The others stop silently. */
static uint32_t panic_owner;

static _Noreturn void panic_stop(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void panic_begin(void)
{
	uint32_t nobody = 0, mine = cpu_count() ? cpu_this()->index + 1 : 1;

	if (!__atomic_compare_exchange_n(&panic_owner, &nobody, mine, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		panic_stop(); /* somebody else's, or a second one while printing the first */
	if (cpu_count())
		apic_nmi_others();
	print_unlock();
}

/* Frame pointers up this CPU's stack, no further. */
static void panic_backtrace(uint64_t rbp, uint64_t rip)
{
	print("backtrace:");
	for (unsigned i = 0; i < FRAMES_MOST; i++) {
		if (rip < (uintptr_t)image_text || rip >= (uintptr_t)image_text_end)
			break;
		print(" %lx", rip);
		if (rbp % 8 || rbp < PAGE_BYTES || rbp >> 32)
			break;
		const uint64_t *frame = (const uint64_t *)(uintptr_t)rbp;
		if (frame[0] <= rbp)
			break;
		rbp = frame[0];
		rip = frame[1] - 1; /* inside of the call, which may be the last of its function */
	}
	print("\n(addr2line -fe strata-hv64 names them)\n");
}

static void panic_last_exit(void)
{
	if (!cpu_count())
		return;
	const struct cpu_last_exit *last = &cpu_this()->last_exit;
	if (last->guest)
		print("last exit here: guest %s, reason 0x%lx, info 0x%lx 0x%lx, rip 0x%lx\n",
		      last->guest, last->reason, last->info1, last->info2, last->rip);
	else
		print("last exit here: none\n");
}

void panic(const char *fmt, ...)
{
	va_list args;

	panic_begin();
	print("PANIC on CPU %u: ", cpu_count() ? cpu_this()->index : 0);
	va_start(args, fmt);
	print_va(fmt, args);
	va_end(args);
	print("\n");
	panic_last_exit();
	const uint64_t *frame = __builtin_frame_address(0);
	panic_backtrace(frame[0], frame[1] - 1);
	panic_stop();
}

void panic_trap(const struct trap_frame *f)
{
	uint64_t cr2;

	if (f->vector == TRAP_NMI && __atomic_load_n(&panic_owner, __ATOMIC_ACQUIRE))
		panic_stop();
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	panic_begin();
	print("PANIC on CPU %u: exception %lu, error 0x%lx, at 0x%lx, CR2 0x%lx\n",
	      cpu_count() ? cpu_this()->index : 0, f->vector, f->error, f->rip, cr2);
	print("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
	print("rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n", f->rsi, f->rdi, f->rbp, f->rsp);
	print("r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", f->r8, f->r9, f->r10, f->r11);
	print("r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", f->r12, f->r13, f->r14, f->r15);
	print("cs %lx ss %lx rflags %lx cr3 %p\n", f->cs, f->ss, f->rflags, cr3_read());
	panic_last_exit();
	panic_backtrace(f->rbp, f->rip);
	panic_stop();
}
