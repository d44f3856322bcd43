/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One instruction on the host's CPU. An INT3 of ours enters the handler, which puts the case's registers into the signal frame;
 * the kernel loads them. The instruction's fault, or the INT3 behind it, enters the handler again, which keeps the frame's registers and
 * puts the first frame's back.
 */
#include "diff.h"

#include <cpuid.h>
#include <asm/ldt.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define INT3	   0xcc
#define TRAP_INT3  3
#define FX_FCW	   0
#define FX_FSW	   2
#define FX_FTW	   4
#define FX_MXCSR   24
#define FX_ST	   32
#define FX_XMM	   160
#define FX_END	   416 /* behind it, what the kernel keeps for itself */
#define XS_HEADER  512
#define XS_YMM	   576
#define FLAGS_USER UINT64_C(0xcd5) /* arithmetic ones and DF */

/* Linux's selectors (arch/x86/include/asm/segment.h); the local table's first, at privilege 3. */
#define SELECTOR_CODE32 0x23
#define SELECTOR_DATA	0x2b
#define SELECTOR_LDT	0x7
#define SELECTOR_MASK	UINT64_C(0xffff) /* CS, in REG_CSGSFS */

enum native_phase { NATIVE_IDLE, NATIVE_LOAD, NATIVE_RUN };

struct native {
	volatile enum native_phase phase;
	const struct diff_case *test;
	struct diff_state *ret;
	gregset_t host_regs;
	uint8_t host_fp[DIFF_XSAVE];
	uint8_t image[DIFF_XSAVE]; /* of the case, then of the result */
	struct sigaction before[NSIG];
	uint8_t *code;
	uint8_t *readonly; /* what is at DIFF_READONLY, to be written */
	uint32_t xsave_bytes;
	uint32_t offsets[8];
	bool has_code16;
	uint64_t xcr0;
};
static struct native native;

static void offsets_read(void)
{
	unsigned a, b, c, d;

	__cpuid_count(0xd, 0, a, b, c, d);
	native.xsave_bytes = b < DIFF_XSAVE ? b : DIFF_XSAVE;
	native.xcr0 = a & 0xe7;
	for (unsigned i = 2; i < 8; i++) {
		__cpuid_count(0xd, i, a, b, c, d);
		native.offsets[i] = a ? b : 0;
	}
}

bool diff_native_has(unsigned component)
{
	return native.xcr0 >> component & 1;
}

static void put(uint8_t *image, unsigned component, size_t at, const void *from, size_t n)
{
	if (native.offsets[component])
		memcpy(image + native.offsets[component] + at, from, n);
}

static void get(const uint8_t *image, unsigned component, size_t at, void *to, size_t n)
{
	uint64_t present;

	memcpy(&present, image + XS_HEADER, sizeof(present));
	if (native.offsets[component] && (present >> component & 1))
		memcpy(to, image + native.offsets[component] + at, n);
}

void diff_pack(const struct diff_vectors *v, uint8_t image[DIFF_XSAVE])
{
	memset(image, 0, DIFF_XSAVE);
	memcpy(image + FX_FCW, &v->fcw, 2);
	memcpy(image + FX_FSW, &v->fsw, 2);
	image[FX_FTW] = v->ftw;
	memcpy(image + FX_MXCSR, &v->mxcsr, 4);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(image + FX_ST + 16 * i, v->st[i], 10);
		put(image, 5, 8 * i, &v->k[i], 8);
	}
	for (unsigned i = 0; i < 16; i++) {
		memcpy(image + FX_XMM + 16 * i, v->zmm[i], 16);
		put(image, 2, 16 * i, v->zmm[i] + 16, 16);
		put(image, 6, 32 * i, v->zmm[i] + 32, 32);
		put(image, 7, 64 * i, v->zmm[16 + i], 64);
	}
	memcpy(image + XS_HEADER, &native.xcr0, sizeof(native.xcr0));
}

void diff_unpack(const uint8_t image[DIFF_XSAVE], struct diff_vectors *ret)
{
	uint64_t present;

	memset(ret, 0, sizeof(*ret));
	memcpy(&present, image + XS_HEADER, sizeof(present));
	memcpy(&ret->mxcsr, image + FX_MXCSR, 4);
	ret->fcw = 0x37f;
	if (present & 1) {
		memcpy(&ret->fcw, image + FX_FCW, 2);
		memcpy(&ret->fsw, image + FX_FSW, 2);
		ret->ftw = image[FX_FTW];
		for (unsigned i = 0; i < 8; i++)
			memcpy(ret->st[i], image + FX_ST + 16 * i, 10);
	}
	for (unsigned i = 0; i < 8; i++)
		get(image, 5, 8 * i, &ret->k[i], 8);
	for (unsigned i = 0; i < 16; i++) {
		if (present & 2)
			memcpy(ret->zmm[i], image + FX_XMM + 16 * i, 16);
		get(image, 2, 16 * i, ret->zmm[i] + 16, 16);
		get(image, 6, 32 * i, ret->zmm[i] + 32, 32);
		get(image, 7, 64 * i, ret->zmm[16 + i], 64);
	}
}

/* In the order of enum x86_reg. */
static const int greg_of[X86_REGS] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				       REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
				       REG_R12, REG_R13, REG_R14, REG_R15 };

static void fp_copy(void *to, const void *from)
{
	memcpy(to, from, FX_END);
	memcpy((uint8_t *)to + XS_HEADER, (const uint8_t *)from + XS_HEADER,
	       native.xsave_bytes - XS_HEADER);
}

static void native_load(ucontext_t *context)
{
	greg_t *regs = context->uc_mcontext.gregs;
	const struct diff_state *before = &native.test->before;

	memcpy(native.host_regs, regs, sizeof(native.host_regs));
	fp_copy(native.host_fp, context->uc_mcontext.fpregs);
	for (unsigned i = 0; i < X86_REGS; i++)
		regs[greg_of[i]] = (greg_t)before->regs[i];
	regs[REG_EFL] =
		(greg_t)(((uint64_t)regs[REG_EFL] & ~FLAGS_USER) | (before->rflags & FLAGS_USER));
	regs[REG_RIP] = (greg_t)DIFF_CODE;
	if (native.test->insn.code != X86_CODE_64)
		regs[REG_CSGSFS] = (greg_t)(((uint64_t)regs[REG_CSGSFS] & ~SELECTOR_MASK) |
					    (native.test->insn.code == X86_CODE_32 ? SELECTOR_CODE32
										   : SELECTOR_LDT));
	fp_copy(context->uc_mcontext.fpregs, native.image);
}

static void native_keep(ucontext_t *context)
{
	greg_t *regs = context->uc_mcontext.gregs;
	struct diff_state *ret = native.ret;

	for (unsigned i = 0; i < X86_REGS; i++)
		ret->regs[i] = (uint64_t)regs[greg_of[i]];
	ret->rflags = ((uint64_t)regs[REG_EFL] & FLAGS_USER) | X86_RFLAGS_FIXED;
	ret->is_fault = regs[REG_TRAPNO] != TRAP_INT3;
	ret->vector = (uint8_t)regs[REG_TRAPNO];
	ret->error = (uint32_t)regs[REG_ERR];
	ret->cr2 = (uint64_t)regs[REG_CR2];
	fp_copy(native.image, context->uc_mcontext.fpregs);
	memcpy(regs, native.host_regs, sizeof(native.host_regs));
	fp_copy(context->uc_mcontext.fpregs, native.host_fp);
}

static void native_signal(int number, siginfo_t *info, void *context)
{
	if (native.phase == NATIVE_LOAD) {
		native.phase = NATIVE_RUN;
		native_load(context);
	} else if (native.phase == NATIVE_RUN) {
		native.phase = NATIVE_IDLE;
		native_keep(context);
	} else if (native.before[number].sa_flags & SA_SIGINFO) {
		native.before[number].sa_sigaction(number, info, context);
	} else {
		(void)signal(number, SIG_DFL);
	}
}

/* A 16-bit code segment of 4 GiB; data segments for what is not 64-bit code, which does without. */
static void native_segments(void)
{
	struct user_desc code = {
		.limit = 0xfffff,
		.contents = MODIFY_LDT_CONTENTS_CODE,
		.limit_in_pages = 1,
	};

	native.has_code16 = syscall(SYS_modify_ldt, 1, &code, sizeof(code)) == 0;
	__asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(SELECTOR_DATA));
}

bool diff_native_can(enum x86_code code)
{
	return code != X86_CODE_16 || native.has_code16;
}

static void *native_map(uint64_t at, size_t bytes, int prot)
{
	void *p = mmap((void *)(uintptr_t)at, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		       -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* A page that can only be read, and is written at another address: no system call for each case. */
static uint8_t *native_readonly(void)
{
	int fd = memfd_create("diff", MFD_CLOEXEC);
	uint8_t *rw = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, DIFF_PAGE) == 0 &&
	    mmap((void *)(uintptr_t)DIFF_READONLY, DIFF_PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
		 0) != MAP_FAILED)
		rw = mmap(NULL, DIFF_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		(void)close(fd);
	return rw == MAP_FAILED ? NULL : rw;
}

static int native_memory(void)
{
	if (native.code)
		return 0;
	void *region = mmap((void *)(uintptr_t)DIFF_REGION, DIFF_BYTES, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (region != (void *)(uintptr_t)DIFF_REGION)
		return -ENOMEM;
	native.code = native_map(DIFF_CODE, DIFF_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	native.readonly = native_readonly();
	if (!native.code || !native.readonly ||
	    !native_map(DIFF_DATA, 2 * DIFF_PAGE, PROT_READ | PROT_WRITE))
		return -ENOMEM;
	return 0;
}

int diff_native_init(void)
{
	static const int numbers[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	static uint8_t stack[65536] __attribute__((aligned(64)));
	const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	offsets_read();
	native_segments();
	action.sa_sigaction = native_signal;
	if (sigaltstack(&alternate, NULL) != 0)
		return -errno;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (sigaction(numbers[i], &action, &native.before[numbers[i]]) != 0)
			return -errno;
	}
	return native_memory();
}

void diff_native_run(const struct diff_case *test, struct diff_state *ret)
{
	uint8_t *data = (uint8_t *)(uintptr_t)DIFF_DATA;

	memcpy(data, test->before.memory, 2 * (size_t)DIFF_PAGE);
	memcpy(native.readonly, test->before.memory[2], DIFF_PAGE);
	(void)*(const volatile uint8_t *)(uintptr_t)
		DIFF_READONLY; /* a write's error code says that it is there */
	memcpy(native.code, test->insn.bytes, test->insn.len);
	native.code[test->insn.len] = INT3;
	diff_pack(&test->before.vectors, native.image);
	native.test = test;
	native.ret = ret;
	native.phase = NATIVE_LOAD;
	__asm__ volatile("int3" : : : "memory");
	diff_unpack(native.image, &ret->vectors);
	memcpy(ret->memory, data, 2 * (size_t)DIFF_PAGE);
	memcpy(ret->memory[2], native.readonly, DIFF_PAGE);
}
