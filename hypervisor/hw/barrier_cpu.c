/* SPDX-License-Identifier: Apache-2.0 */
#include "core/io.h"
#include "core/percpu.h"
#include "core/trap.h"
#include "hw/barrier.h"
#include "x86/msr.h"

#define MSR_SPEC_CTRL 0x48U
#define MSR_PRED_CMD  0x49U
#define MSR_FLUSH_CMD 0x10bU

#define PRED_IBPB   UINT64_C(1)
#define FLUSH_L1D   UINT64_C(1)
#define EFER_AIBRSE UINT64_C(0x200000)

#define HAS_ARCH_CAPABILITIES (UINT32_C(1) << 29) /* leaf 7, EDX */

static void leaf_read(uint32_t leaf, uint32_t ret[4])
{
	cpuid_read(leaf & UINT32_C(0x80000000), 0, ret);
	if (leaf <= ret[0])
		cpuid_read(leaf, 0, ret);
	else
		memset(ret, 0, 4 * sizeof(ret[0]));
}

static void facts_read(bool is_vmx, struct barrier_facts *ret)
{
	uint32_t leaf7[4], ext8[4], ext21[4];

	leaf_read(7, leaf7);
	leaf_read(UINT32_C(0x80000008), ext8);
	leaf_read(UINT32_C(0x80000021), ext21);
	*ret = (struct barrier_facts){
		.is_vmx = is_vmx,
		.leaf7_ebx = leaf7[1],
		.leaf7_edx = leaf7[3],
		.ext8_ebx = ext8[1],
		.ext21_eax = ext21[0],
		.ext21_ecx = ext21[2],
	};
	if (leaf7[3] & HAS_ARCH_CAPABILITIES)
		(void)msr_read_safe(MSR_ARCH_CAPABILITIES, &ret->arch_capabilities);
}

/* Written once here, where a refusal is found out; later writes are the same. */
static void try(struct barriers *b)
{
	uint64_t spec_ctrl = 0;

	if (b->wanted & BARRIER_BRANCHES && !msr_write_safe(MSR_PRED_CMD, PRED_IBPB))
		b->wanted &= ~(unsigned)BARRIER_BRANCHES;
	if (b->wanted & BARRIER_L1D && !msr_write_safe(MSR_FLUSH_CMD, FLUSH_L1D))
		b->wanted &= ~(unsigned)BARRIER_L1D;
	if (b->spec_ctrl && (!msr_read_safe(MSR_SPEC_CTRL, &spec_ctrl) ||
			     !msr_write_safe(MSR_SPEC_CTRL, spec_ctrl | b->spec_ctrl)))
		b->spec_ctrl = 0;
	b->auto_ibrs = b->auto_ibrs && msr_write_safe(MSR_EFER, msr_read(MSR_EFER) | EFER_AIBRSE);
}

void barrier_init(bool is_vmx, struct barriers *ret)
{
	struct barrier_facts facts;

	facts_read(is_vmx, &facts);
	barriers_choose(&facts, ret);
	try(ret);
	cpu_this()->barriers = ret->wanted;
}

/*
 * The return stack: as many calls as it has places, none of which returns; a prediction from one of them stops at once. IBPB is not
 * said to empty it on every CPU. No function of ours has a red zone.
 */
static void returns_fill(void)
{
	uint32_t n = 32;

	__asm__ volatile("1:	call 2f\n"
			 "	int3\n"
			 "2:	dec %0\n"
			 "	jnz 1b\n"
			 "	add $32 * 8, %%rsp\n"
			 "	lfence\n"
			 : "+r"(n)
			 :
			 : "cc", "memory");
}

/* Its form with an operand in memory alone overwrites the buffers; the segment is one that may be written. */
static void buffers_clear(void)
{
	static const uint16_t selector = CPU_DATA_SELECTOR;

	__asm__ volatile("verw %0" : : "m"(selector) : "cc", "memory");
}

bool barrier_enter(uint64_t next)
{
	struct cpu *cpu = cpu_this();
	struct barrier_past past = { cpu->branches_of, cpu->data_of };
	unsigned due = barrier_due(&past, cpu->barriers, next);

	cpu->branches_of = past.branches_of;
	cpu->data_of = past.data_of;
	if (due & BARRIER_BRANCHES) {
		msr_write(MSR_PRED_CMD, PRED_IBPB);
		returns_fill();
	}
	if (due & BARRIER_L1D)
		msr_write(MSR_FLUSH_CMD, FLUSH_L1D);
	if (due & BARRIER_BUFFERS)
		buffers_clear();
	return due;
}

void barrier_foreign(void)
{
	cpu_this()->data_of = 0;
}
