/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder against this machine's own CPU, which executes every DATA instruction that it has: its length (it ends where an
 * unmapped page begins), how far its memory operand reaches (likewise), and whether the operand must be aligned. An
 * instruction that the CPU lacks proves nothing, and passes.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "x86/insn.h"
#include "scratch.h"

#define PAGE	 4096U
#define CODE_END (UINT64_C(0x10000000) + PAGE) /* a page that may be executed, then nothing */
#define DATA_END (UINT64_C(0x20000000) + PAGE) /* a page that may be written, then nothing */
#define DATA_MID (DATA_END - PAGE / 2)
#define SHOWN	 20U

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

/* How an instruction ended. */
struct outcome {
	int sig;
	int code;
	uint64_t address, rip;
};

static sigjmp_buf back;
static struct outcome last;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;

	last = (struct outcome){
		.sig = sig,
		.code = info->si_code,
		.address = (uint64_t)(uintptr_t)info->si_addr,
		.rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP],
	};
	siglongjmp(back, 1);
}

static void page_map(uint64_t end, int prot)
{
	void *at = (void *)(uintptr_t)(end - PAGE);
	void *page = mmap(at, (size_t)2 * PAGE, prot,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	assert_ptr_equal(page, at);
	assert_int_equal(munmap((void *)(uintptr_t)end, PAGE), 0);
}

/* In the test itself: cmocka puts its own handlers around each. */
static void signals_take(void)
{
	static const int signals[] = { SIGILL, SIGSEGV, SIGBUS, SIGTRAP, SIGFPE };
	const struct sigaction action = { .sa_sigaction = on_signal,
					  .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		assert_int_equal(sigaction(signals[i], &action, NULL), 0);
}

static int rig_up(void **state)
{
	stack_t stack = { .ss_size = 65536 };

	stack.ss_sp = malloc(stack.ss_size);
	assert_non_null(stack.ss_sp);
	*state = stack.ss_sp;
	assert_int_equal(sigaltstack(&stack, NULL), 0);
	page_map(CODE_END, PROT_READ | PROT_WRITE | PROT_EXEC);
	page_map(DATA_END, PROT_READ | PROT_WRITE);
	return 0;
}

static int rig_down(void **state)
{
	const stack_t none = { .ss_flags = SS_DISABLE };

	(void)sigaltstack(&none, NULL);
	free(*state);
	return 0;
}

/* Executes the first @n of @bytes, which end where the code's page ends, with @rbx, and the other registers small. */
static struct outcome execute(const uint8_t *bytes, unsigned n, uint64_t rbx)
{
	static const uint32_t mxcsr = 0x1f80;
	uint8_t *code = (uint8_t *)(uintptr_t)(CODE_END - n);

	memcpy(code, bytes, n);
	memset((void *)(uintptr_t)(DATA_END - PAGE), 0, PAGE);
	if (!sigsetjmp(back, 0)) {
		__asm__ volatile("fninit\n\t"
				 "ldmxcsr %[mxcsr]\n\t"
				 "mov %[rbx], %%rbx\n\t"
				 "mov %[code], %%r15\n\t"
				 "mov %[data], %%edi\n\t"
				 "mov %%edi, %%esi\n\t"
				 "mov $1, %%eax\n\t"
				 "xor %%ecx, %%ecx\n\t"
				 "xor %%edx, %%edx\n\t"
				 "xor %%ebp, %%ebp\n\t"
				 "jmp *%%r15"
				 :
				 : [mxcsr] "m"(mxcsr), [rbx] "r"(rbx), [code] "r"(code),
				   [data] "i"((int)DATA_MID)
				 : "memory");
	}
	return last;
}

struct walk {
	unsigned long executed, failures;
};

static void fail_at(struct walk *walk, const char *what, const struct x86_insn *insn)
{
	if (walk->failures++ >= SHOWN)
		return;
	print_error("%s:", what);
	for (unsigned i = 0; i < insn->len; i++)
		print_error(" %02x", insn->bytes[i]);
	print_error("\n");
}

/* [rbx] and no more, of a size that the CPU really accesses whole. */
static bool has_plain_memory(const struct x86_insn *insn)
{
	const struct x86_mem *mem = &insn->mem;

	return insn->has_mem && insn->rm_field == X86_FIELD_MEM && mem->base == X86_RBX &&
	       mem->index == X86_REG_NONE && !mem->disp && !mem->bit_offset &&
	       (mem->is_read || mem->is_written);
}

/* AVX's masked moves: the operand's masked part is not accessed. AVX-512's masks are k1, which is zero. */
static bool is_masked(const struct x86_insn *insn)
{
	bool avx = insn->encoding == X86_ENC_VEX && insn->map == X86_MAP_0F38;

	return insn->evex_aaa || (avx && ((insn->opcode >= 0x2c && insn->opcode <= 0x2f) ||
					  insn->opcode == 0x8c || insn->opcode == 0x8e));
}

static bool faults_at(const struct outcome *outcome, const struct x86_insn *insn, uint64_t address)
{
	return outcome->sig == SIGSEGV && outcome->rip == CODE_END - insn->len &&
	       outcome->address == address;
}

static bool is_gp(const struct outcome *outcome, const struct x86_insn *insn)
{
	return outcome->code == SI_KERNEL && faults_at(outcome, insn, 0);
}

/* The operand ends with the page, then a byte later, then a byte earlier. */
static void check_memory(struct walk *walk, const struct x86_insn *insn)
{
	uint64_t rbx = DATA_END - insn->mem.bytes;
	bool aligned = insn->mem.align > 1;
	struct outcome fits = execute(insn->bytes, insn->len, rbx);
	struct outcome over = execute(insn->bytes, insn->len, rbx + 1);
	struct outcome odd = execute(insn->bytes, insn->len, rbx - 1);

	if (faults_at(&fits, insn, DATA_END) || is_gp(&fits, insn))
		fail_at(walk, "accesses more", insn);
	if (aligned ? !is_gp(&over, insn) : !faults_at(&over, insn, DATA_END))
		fail_at(walk, "accesses less", insn);
	if (is_gp(&odd, insn) != aligned)
		fail_at(walk, "alignment", insn);
}

static void check_one(struct walk *walk, const uint8_t *bytes)
{
	struct x86_insn insn;
	int len = x86_decode(bytes, X86_INSN_MAX, X86_CODE_64, &insn);
	struct outcome whole, cut;

	if (len <= 0 || insn.class != X86_CLASS_DATA || insn.mem.is_rip)
		return;
	whole = execute(bytes, insn.len, DATA_MID);
	if (whole.sig == SIGILL)
		return;
	walk->executed++;
	if (faults_at(&whole, &insn, CODE_END))
		fail_at(walk, "is longer", &insn);
	cut = execute(bytes, insn.len - 1U, DATA_MID);
	if (insn.len > 1 &&
	    !(cut.sig == SIGSEGV && cut.address == CODE_END && cut.rip == CODE_END - insn.len + 1))
		fail_at(walk, "is shorter", &insn);
	/* SHA: Intel's SDM asks for alignment, Zen 4 does not */
	if (has_plain_memory(&insn) && !is_masked(&insn) &&
	    !(insn.map == X86_MAP_0F38 && insn.opcode >> 3 == 0xc8 >> 3))
		check_memory(walk, &insn);
}

/* ModRMs: [rbx] and registers under each opcode extension, and [rsp + 0x..] with SIB. */
static void check_modrms(struct walk *walk, uint8_t *bytes, unsigned at)
{
	for (unsigned reg = 0; reg < 8; reg++) {
		memset(bytes + at, 0, X86_INSN_MAX - at);
		bytes[at] = (uint8_t)(reg << 3 | 3);
		check_one(walk, bytes);
		bytes[at] = (uint8_t)(0xc0 | reg << 3 | (reg ^ 1));
		check_one(walk, bytes);
	}
	bytes[at] = 0x44;
	bytes[at + 1] = 0x23; /* [rbx + 0x10] */
	bytes[at + 2] = 0x10;
	check_one(walk, bytes);
}

/* Bytes that are no opcode of @map. */
static bool is_prefix(unsigned map, unsigned opcode)
{
	static const uint8_t prefixes[] = { 0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x62, 0x64, 0x65,
					    0x66, 0x67, 0xc4, 0xc5, 0xf0, 0xf2, 0xf3 };

	if (map == X86_MAP_0F)
		return opcode == 0x38 || opcode == 0x3a;
	return map == X86_MAP_ONE &&
	       ((opcode & 0xf0) == 0x40 || memchr(prefixes, (int)opcode, sizeof(prefixes)));
}

static void walk_end(void **state, const struct walk *walk)
{
	(void)state;
	print_message("# %lu executed\n", walk->executed);
	assert_int_equal(walk->failures, 0);
	assert_true(walk->executed > 0);
}

static void legacy_instructions_are_as_the_cpu_has_them(void **state)
{
	static const uint8_t prefixes[][2] = {
		{ 0 },	  { 0x66 },	  { 0xf3 },	  { 0xf2 },
		{ 0x48 }, { 0x66, 0x48 }, { 0xf3, 0x48 }, { 0xf2, 0x48 },
	};
	static const uint8_t escapes[4][2] = {
		{ 0, 0 }, { 0x0f, 0 }, { 0x0f, 0x38 }, { 0x0f, 0x3a }
	};
	struct walk walk = { 0 };

	if (SANITIZED)
		SKIP("the sanitizers take the signals");
	signals_take();
	for (unsigned i = 0; i < 4 * ARRAY_SIZE(prefixes) * 256; i++) {
		unsigned opcode = i & 255, map = i >> 8 & 3, n = 0;
		const uint8_t *prefix = prefixes[i >> 10];
		uint8_t bytes[X86_INSN_MAX] = { 0 };

		if (is_prefix(map, opcode))
			continue;
		while (n < 2 && prefix[n]) {
			bytes[n] = prefix[n];
			n++;
		}
		for (unsigned e = 0; e < 2 && escapes[map][e]; e++)
			bytes[n++] = escapes[map][e];
		bytes[n++] = (uint8_t)opcode;
		check_modrms(&walk, bytes, n);
	}
	walk_end(state, &walk);
}

static void vex_instructions_are_as_the_cpu_has_them(void **state)
{
	struct walk walk = { 0 };

	if (SANITIZED || !__builtin_cpu_supports("avx2"))
		SKIP("no AVX2, or the sanitizers take the signals");
	signals_take();
	/* i: opcode, pp, L, W, map, vvvv */
	for (unsigned i = 0; i < 256 * 16 * 3 * 2; i++) {
		uint8_t bytes[X86_INSN_MAX] = { 0xc4 };

		bytes[1] = (uint8_t)(0xe1 + (i >> 12) % 3);
		bytes[2] = (uint8_t)((i >> 8 & 7) | (i >> 11 & 1) << 7 |
				     ((i >> 12) < 3 ? 0x78 : 0x50));
		bytes[3] = (uint8_t)i;
		check_modrms(&walk, bytes, 4);
	}
	walk_end(state, &walk);
}

static void evex_instructions_are_as_the_cpu_has_them(void **state)
{
	struct walk walk = { 0 };

	if (SANITIZED || !__builtin_cpu_supports("avx512bw"))
		SKIP("no AVX-512, or the sanitizers take the signals");
	signals_take();
	/* i: opcode, pp, W, L, b, map, vvvv */
	for (unsigned i = 0; i < 256 * 64 * 3 * 2; i++) {
		uint8_t bytes[X86_INSN_MAX] = { 0x62 };

		bytes[1] = (uint8_t)(0xf1 + (i >> 14) % 3);
		bytes[2] = (uint8_t)((i >> 8 & 3) | 4 | (i >> 10 & 1) << 7 |
				     ((i >> 14) < 3 ? 0x78 : 0x50));
		bytes[3] = (uint8_t)((i >> 11 & 3) << 5 | (i >> 13 & 1) << 4 | 8);
		bytes[4] = (uint8_t)i;
		check_modrms(&walk, bytes, 5);
	}
	walk_end(state, &walk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(legacy_instructions_are_as_the_cpu_has_them),
		cmocka_unit_test(vex_instructions_are_as_the_cpu_has_them),
		cmocka_unit_test(evex_instructions_are_as_the_cpu_has_them),
	};

	return cmocka_run_group_tests(tests, rig_up, rig_down);
}
