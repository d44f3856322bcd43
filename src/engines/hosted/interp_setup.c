/* SPDX-License-Identifier: Apache-2.0 */
/* Stubs' memory, and the handler of what the host's CPU says in them. */
#include "engines/hosted/interp.h"
#include "engines/hosted/jit.h"

#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* log2 of the instructions that are kept: a kernel's busy ones; beside a translator, what it leaves to us. */
#define ENTRIES_BITS_ALONE  12U
#define ENTRIES_BITS_BESIDE 10U

/* Where a stub that faulted goes on: the stack pointer is what interp_enter() had stored, eax the answer. */
extern const char interp_enter_back[] __attribute__((visibility("hidden")));

static size_t setup_stubs_bytes(const struct interp_vcpu *interp)
{
	return (size_t)interp->n_entries * INTERP_STUB_BYTES;
}

static struct interp_vcpu *setup_current(void)
{
	struct interp_vcpu *interp;

	__asm__ volatile("mov %%gs:%c1, %0"
			 : "=r"(interp)
			 : "i"(offsetof(struct hosted_cpu, interp)));
	return interp;
}

/* The window's, or a bug of ours. */
static bool setup_is_window(struct interp_vcpu *interp, uint64_t at)
{
	if (at - (uint64_t)interp->window >= INTERP_WINDOW_BYTES)
		return false;
	interp->native_cr2 = at;
	return true;
}

static bool setup_is_ours(struct interp_vcpu *interp, const ucontext_t *context)
{
	uint64_t at = (uint64_t)context->uc_mcontext.gregs[REG_RIP];

	if (!interp || at - (uint64_t)interp->stubs_rx >= setup_stubs_bytes(interp))
		return false;
	switch (context->uc_mcontext.gregs[REG_TRAPNO]) {
	case SYS_DE:
	case SYS_UD:
	case SYS_GP:
	case SYS_MF:
	case SYS_XM:
		return true;
	case SYS_PF:
		return setup_is_window(interp, (uint64_t)context->uc_mcontext.gregs[REG_CR2]);
	default:
		return false;
	}
}

static size_t setup_hex(char *to, uint64_t value)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i++)
		to[i] = digits[value >> (60 - 4 * i) & 0xf];
	return 16;
}

static size_t setup_text(char *to, const char *text)
{
	size_t n = strlen(text);

	memcpy(to, text, n);
	return n;
}

/* The last words of a process whose own code is wrong: by write(2) alone, for the signal may have come anywhere. */
static void setup_last_words(const struct interp_vcpu *interp, const ucontext_t *context)
{
	const greg_t *regs = context->uc_mcontext.gregs;
	char line[192];
	size_t n = setup_text(line, "strata-vmm: the software CPU failed: host exception ");

	n += setup_hex(line + n, (uint64_t)regs[REG_TRAPNO]);
	n += setup_text(line + n, " at ");
	n += setup_hex(line + n, (uint64_t)regs[REG_RIP]);
	n += setup_text(line + n, ", guest instruction near ");
	n += setup_hex(line + n, interp ? interp->cpu->rip : 0);
	n += setup_text(line + n, "\n");
	ssize_t written = write(STDERR_FILENO, line, n);
	(void)written; /* nobody is left to be told */
}

/*
 * Any of these signals. Not a stub's: the default action comes back, and the instruction raises it again. In a thread that is
 * not in run(), GS base is 0 and looking there ends the process too, which is what a fault of our own is to do. So does signal() where the
 * process is sealed.
 */
static void setup_signal(int number, siginfo_t *info, void *arg)
{
	ucontext_t *context = arg;
	struct interp_vcpu *interp = setup_current();

	(void)info;
	if (!setup_is_ours(interp, context)) {
		if (interp && jit_trap(interp->cpu, context))
			return;
		setup_last_words(interp, context);
		(void)signal(number, SIG_DFL);
		return;
	}
	greg_t *regs = context->uc_mcontext.gregs;
	regs[REG_RAX] = regs[REG_TRAPNO] + 1;
	regs[REG_RSP] = (greg_t)interp->native_sp;
	regs[REG_RIP] = (greg_t)interp_enter_back;
}

static int setup_signals(struct err *err)
{
	static const int numbers[] = { SIGFPE, SIGILL, SIGSEGV, SIGTRAP };
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };

	action.sa_sigaction = setup_signal;
	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (sigaction(numbers[i], &action, NULL) != 0)
			return err_set(err, errno, "software CPU: handle the host CPU's faults");
	}
	return 0;
}

/* One memory, mapped twice: written here, executed there. */
static int setup_map(struct interp_vcpu *interp, struct err *err)
{
	size_t bytes = setup_stubs_bytes(interp);
	int fd = memfd_create("strata-stubs", MFD_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "software CPU: memory for code");
	int code = 0;
	if (ftruncate(fd, (off_t)bytes) != 0) {
		code = err_set(err, errno, "software CPU: memory for code");
	} else {
		void *rw = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		void *rx = mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
		interp->stubs_rw = rw == MAP_FAILED ? NULL : rw;
		interp->stubs_rx = rx == MAP_FAILED ? NULL : rx;
		if (!interp->stubs_rw || !interp->stubs_rx)
			code = err_set(err, errno, "software CPU: map memory for code");
	}
	(void)close(fd);
	return code;
}

static void *setup_zeroed(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Intel SDM 1, Checking for the DAZ Flag in the MXCSR Register: 0 stands for 0xffbf. */
static uint32_t setup_mxcsr_mask(struct interp_vcpu *interp)
{
	uint32_t mask;

	__asm__ volatile("fxsave64 %0" : "=m"(interp->fxsave));
	memcpy(&mask, interp->fxsave + 28, sizeof(mask));
	return mask ? mask : 0xffbf;
}

static void setup_features(struct interp_vcpu *interp)
{
	unsigned a, b = 0, c, d;

	if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		interp->has_avx2 = b & bit_AVX2;
		interp->has_avx512 = b & bit_AVX512F;
	}
	for (unsigned i = 2; i < 8; i++) {
		if (__get_cpuid_count(0xd, i, &a, &b, &c, &d) && a != 0)
			interp->xsave_at[i] = b;
	}
	interp->mxcsr_mask = setup_mxcsr_mask(interp);
}

static bool setup_window(uint8_t *window)
{
	return mprotect(window, CPU_PAGE_BYTES, PROT_NONE) == 0 &&
	       mprotect(window + (size_t)3 * CPU_PAGE_BYTES, (size_t)2 * CPU_PAGE_BYTES,
			PROT_NONE) == 0;
}

int interp_vcpu_create(struct hosted_cpu *cpu, struct err *err)
{
	struct interp_vcpu *interp = setup_zeroed(sizeof(*interp));

	if (!interp)
		return err_set(err, ENOMEM, "software CPU: memory of the interpreter");
	cpu->interp = interp;
	interp->cpu = cpu;
	setup_features(interp);
	unsigned bits = cpu->vm->jit ? ENTRIES_BITS_BESIDE : ENTRIES_BITS_ALONE;
	interp->n_entries = 1U << bits;
	interp->hash_shift = 64 - bits;
	interp->entries = setup_zeroed(interp->n_entries * sizeof(*interp->entries));
	interp->xsave_room = ((size_t)cpu->xsave_bytes + 4095) & ~(size_t)4095;
	if (interp->xsave_room)
		interp->xsave = setup_zeroed(interp->xsave_room);
	interp->window = setup_zeroed(INTERP_WINDOW_BYTES);
	bool whole =
		interp->entries && interp->window && interp->xsave && setup_window(interp->window);
	int code = whole ? setup_map(interp, err)
			 : err_set(err, ENOMEM, "software CPU: memory of the interpreter");
	if (code == 0)
		code = setup_signals(err);
	if (code != 0)
		interp_vcpu_destroy(cpu);
	return code;
}

static void setup_unmap(const void *p, size_t bytes)
{
	if (p)
		(void)munmap((void *)(uintptr_t)p, bytes);
}

void interp_vcpu_destroy(struct hosted_cpu *cpu)
{
	struct interp_vcpu *interp = cpu->interp;

	if (!interp)
		return;
	cpu->interp = NULL;
	setup_unmap(interp->stubs_rw, setup_stubs_bytes(interp));
	setup_unmap(interp->stubs_rx, setup_stubs_bytes(interp));
	setup_unmap(interp->entries, interp->n_entries * sizeof(*interp->entries));
	setup_unmap(interp->xsave, interp->xsave_room);
	setup_unmap(interp->window, INTERP_WINDOW_BYTES);
	setup_unmap(interp, sizeof(*interp));
}
