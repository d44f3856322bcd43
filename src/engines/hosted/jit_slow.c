/* SPDX-License-Identifier: Apache-2.0 */
/* What translated code cannot do itself: TLB misses, and what the host's CPU says. */
#include "engines/hosted/jit_parts.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

void jit_serialize(struct jit_vcpu *jit)
{
	if (__atomic_load_n(&jit->killed, __ATOMIC_RELAXED))
		jit_reap(jit);
	if (!jit->unserialized)
		return;
	jit->unserialized = false;
	cpu_serialize();
}

/* Whether the rest of a group is in the same page, and may be accessed; it is remembered. */
static bool group_fill(struct hosted_cpu *cpu, const struct jit_site *site, uint64_t gva,
		       uint8_t *hva)
{
	uint64_t start = gva - site->shift, gpa;

	if (start % CPU_PAGE_BYTES + site->range > CPU_PAGE_BYTES ||
	    (start ^ gva) >= CPU_PAGE_BYTES)
		return false;
	if (site->group_access != site->access &&
	    mmu_fill(cpu, gva, (enum cpu_access)site->group_access, &hva, &gpa) != CPU_OK)
		return false; /* no fault yet: that access is not due */
	cpu->jit_gs.address =
		(uintptr_t)hva - (site->is_constant ? gva % CPU_PAGE_BYTES : site->shift);
	if (site->slot != JIT_NO_SLOT)
		cpu->jit_gs.group[site->slot] = cpu->jit_gs.address;
	return true;
}

/* What was looked up: a look-up leaves it without the tag that it met. */
static uint64_t address_of(const struct hosted_cpu *cpu, const struct jit_site *site)
{
	const struct cpu_tlb_entry *entry =
		(const struct cpu_tlb_entry *)(uintptr_t)cpu->jit_gs.looked;
	bool is_write =
		(site->slot != JIT_NO_SLOT ? site->group_access : site->access) == CPU_WRITE;

	if (site->is_constant)
		return (uint64_t)(int64_t)site->gva;
	return (cpu->jit_gs.address ^ (is_write ? entry->write : entry->read)) + site->shift;
}

const uint8_t *jit_slow_mem(struct hosted_cpu *cpu, uint64_t arg)
{
	struct jit_vcpu *jit = cpu->jit;
	const struct jit_site *site = jit_site_at(jit, (jit_ref)arg);
	uint64_t gva = address_of(cpu, site), gpa;
	uint8_t *hva;

	jit->stats.misses++;
	cpu_left(cpu, EXIT_MEMORY);
	cpu->rip = jit_block(jit, site->block)->rip + site->insn;
	jit->result = CPU_AGAIN;
	if (gva % CPU_PAGE_BYTES + site->bytes > CPU_PAGE_BYTES || !sys_is_canonical(gva))
		return NULL;
	enum cpu_result r = mmu_fill(cpu, gva, (enum cpu_access)site->access, &hva, &gpa);
	if (r == CPU_OK && (site->slot != JIT_NO_SLOT || site->is_constant)) {
		if (!group_fill(cpu, site, gva, hva))
			return jit_go_on_plain(jit);
		return jit->rx + site->back;
	}
	if (r == CPU_OK) {
		cpu->jit_gs.address = (uintptr_t)hva;
		return jit->rx + site->back;
	}
	if (r == CPU_FAULT && !site->retry)
		jit->result = CPU_FAULT;
	return NULL;
}

/* ---- a vcpu that waits for another one ---- */

#define PAUSE_YIELDS	   8U		       /* before it sleeps */
#define PAUSE_STREAK	   (UINT64_C(1) << 20) /* ticks of the TSC: a longer while ago is another wait */
#define PAUSE_NS	   50000
#define FUTEX_WAIT_PRIVATE 128 /* Linux include/uapi/linux/futex.h */

static void yield(void)
{
	long result = SYS_sched_yield;

	__asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
}

/* The CPU that the other vcpu waits for may be one of another machine's underneath: only an idle one is given away. */
static void sleep_shortly(struct hosted_cpu *cpu)
{
	const int64_t timeout[2] = { 0, PAUSE_NS };
	long result = SYS_futex;
	register long value __asm__("rdx") = 0;
	register const int64_t *at __asm__("r10") = timeout;

	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"(&cpu->poll), "S"(FUTEX_WAIT_PRIVATE), "r"(value), "r"(at)
			 : "rcx", "r11", "memory");
}

const uint8_t *jit_slow_pause(struct hosted_cpu *cpu, uint64_t arg)
{
	struct jit_vcpu *jit = cpu->jit;
	uint64_t now = __builtin_ia32_rdtsc();

	exit_count(cpu->vcpu.counts, EXIT_ALL);
	cpu->jit_gs.pauses = JIT_PAUSES;
	if (now - jit->pause_last > PAUSE_STREAK)
		jit->pause_streak = 0;
	if (jit->pause_streak < PAUSE_YIELDS) {
		jit->pause_streak++;
		yield();
	} else {
		sleep_shortly(cpu);
	}
	jit->pause_last = __builtin_ia32_rdtsc();
	return jit->rx + jit_site_at(jit, (jit_ref)arg)->back;
}

/* ---- traps ---- */

/* enum x86_reg to what <ucontext.h> calls it. */
static const uint8_t greg[X86_REGS] = {
	[X86_RAX] = REG_RAX, [X86_RCX] = REG_RCX, [X86_RDX] = REG_RDX, [X86_RBX] = REG_RBX,
	[X86_RSP] = REG_RSP, [X86_RBP] = REG_RBP, [X86_RSI] = REG_RSI, [X86_RDI] = REG_RDI,
	[X86_R8] = REG_R8,   [X86_R9] = REG_R9,	  [X86_R10] = REG_R10, [X86_R11] = REG_R11,
	[X86_R12] = REG_R12, [X86_R13] = REG_R13, [X86_R14] = REG_R14, [X86_R15] = REG_R15,
};

static struct jit_block *block_of(struct jit_vcpu *jit, jit_ref at)
{
	for (unsigned i = 0; i < JIT_REGIONS; i++) {
		const struct jit_region *region = &jit->regions[i];
		if (at < region->start || at >= region->code)
			continue;
		for (jit_ref ref = region->blocks; ref; ref = jit_block(jit, ref)->next_region) {
			struct jit_block *block = jit_block(jit, ref);
			if (at - block->code < block->code_bytes)
				return block;
		}
	}
	return NULL;
}

/* The last one that begins at or before that byte. */
static const struct jit_trap *trap_of(struct jit_block *block, jit_ref at)
{
	const struct jit_trap *found = NULL;

	for (unsigned i = 0; i < block->n_traps; i++) {
		const struct jit_trap *trap = &jit_traps(block)[i];
		if (block->code + trap->host <= at)
			found = trap;
	}
	return found;
}

/* As LAHF and SETO would leave them. */
static uint64_t flags_of(uint64_t eflags)
{
	return (eflags & 0xff) << 8 | (eflags & X86_OF ? 1 : 0);
}

bool jit_trap(struct hosted_cpu *cpu, void *context)
{
	struct jit_vcpu *jit = cpu->jit;
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (!jit || (uint64_t)regs[REG_RIP] - (uintptr_t)jit->rx >= jit->bytes)
		return false;
	jit_ref at = (jit_ref)((uint64_t)regs[REG_RIP] - (uintptr_t)jit->rx);
	bool is_int3 = regs[REG_TRAPNO] == SYS_BP;
	struct jit_block *block = block_of(jit, is_int3 ? at - 1 : at);
	if (is_int3) { /* its flags are in the host's, as everywhere at a block's start */
		if (!block || !block->dead || block->code != at - 1)
			return false;
		regs[greg[JIT_C]] = (greg_t)jit_ref_of(jit, block);
		regs[REG_RIP] = (greg_t)(jit->rx + jit->thunks[JIT_THUNK_DEAD]);
		return true;
	}
	const struct jit_trap *trap = block ? trap_of(block, at) : NULL;
	if (!trap)
		return false;
	for (unsigned i = 0; i < X86_REGS; i++) {
		if (!(JIT_SCRATCH >> i & 1))
			cpu->regs[i] = (uint64_t)regs[greg[i]];
	}
	if (!trap->saved)
		cpu->jit_gs.flags = flags_of((uint64_t)regs[REG_EFL]);
	cpu->rip = block->rip + trap->insn;
	jit->result = CPU_AGAIN;
	regs[REG_RIP] = (greg_t)(jit->rx + jit->thunks[JIT_THUNK_EXIT]);
	return true;
}
