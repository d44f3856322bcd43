/* SPDX-License-Identifier: Apache-2.0 */
/* Guest bytes changed: which pages have code, and what becomes of it. Any thread. */
#include "engines/hosted/jit_parts.h"

#define INT3 0xccU

/* ---- a bit for each page ---- */

static uint64_t page_index(uint64_t gpa)
{
	return (gpa >> 12) % JIT_PAGES;
}

bool jit_page_has_code(const struct hosted_vm *vm, uint64_t gpa)
{
	uint64_t at = page_index(gpa);

	return vm->jit &&
	       (__atomic_load_n(&vm->jit->pages[at / 64], __ATOMIC_SEQ_CST) >> at % 64 & 1);
}

void jit_page_set(struct jit_vcpu *jit, uint64_t gpa)
{
	uint64_t at = page_index(gpa);

	if (jit_page_has_code(jit->vm->vm, gpa))
		return;
	(void)__atomic_fetch_or(&jit->vm->pages[at / 64], UINT64_C(1) << at % 64, __ATOMIC_SEQ_CST);
	mmu_protect(jit->vm->vm, jit->cpu, gpa);
}

/* ---- blocks ---- */

/* One byte, which another CPU executes whole or not at all. */
static void kill(struct jit_vcpu *jit, struct jit_block *block)
{
	jit_remove(jit, block);
	block->dead = true;
	__atomic_store_n(jit->rw + block->code, INT3, __ATOMIC_RELEASE);
	block->next_killed = jit->killed;
	__atomic_store_n(&jit->killed, jit_ref_of(jit, block), __ATOMIC_RELEASE);
	for (unsigned i = 0; i < JIT_DOMAINS; i++) {
		struct jit_jump *jump = jit_jump_slot(jit->domains[i].jumps, block->rip);
		if (jump->rip == block->rip)
			__atomic_store_n(&jump->rip, JIT_NO_RIP, __ATOMIC_RELEASE);
	}
	jit->stats.killed++;
}

static bool overlaps(unsigned from, unsigned to, unsigned a, unsigned b)
{
	return from < b && a < to;
}

/* Whether the block depends on bytes [from, to) of its page. */
static bool is_hit(const struct jit_block *block, unsigned from, unsigned to)
{
	unsigned start = block->gpa % CPU_PAGE_BYTES;

	return overlaps(from, to, start, start + block->bytes) ||
	       overlaps(from, to, block->ahead[0][0], block->ahead[0][1]) ||
	       overlaps(from, to, block->ahead[1][0], block->ahead[1][1]);
}

/* The same of blocks whose one instruction ends in that page. */
static unsigned kill_torn(struct jit_vcpu *jit, uint64_t gpa, unsigned from, unsigned to)
{
	unsigned left = 0;
	jit_ref ref = jit->by_page2[(uint32_t)(gpa >> 12) & jit->index_mask];

	while (ref) {
		struct jit_block *block = jit_block(jit, ref);
		ref = block->next_page2;
		if (block->gpa2 >> 12 == gpa >> 12 && overlaps(from, to, 0, X86_INSN_MAX))
			kill(jit, block);
		else if (page_index(block->gpa2) == page_index(gpa))
			left++;
	}
	return left;
}

/* Return: blocks of that bit that are left. */
static unsigned kill_in(struct jit_vcpu *jit, uint64_t gpa, unsigned from, unsigned to)
{
	unsigned left = 0;
	jit_ref ref = jit->by_page[(uint32_t)(gpa >> 12) & jit->index_mask];

	while (ref) {
		struct jit_block *block = jit_block(jit, ref);
		ref = block->next_page;
		if (block->gpa >> 12 == gpa >> 12 && is_hit(block, from, to))
			kill(jit, block);
		else if (page_index(block->gpa) == page_index(gpa))
			left++;
	}
	return left + kill_torn(jit, gpa, from, to);
}

static unsigned kill_everywhere(struct hosted_vm *vm, uint64_t gpa, unsigned from, unsigned to)
{
	unsigned left = 0;

	for (unsigned i = 0; i < vm->n_cpus; i++) {
		struct jit_vcpu *jit = vm->cpus[i] ? vm->cpus[i]->jit : NULL;
		if (!jit)
			continue;
		lock_acquire(&jit->lock);
		left += kill_in(jit, gpa, from, to);
		lock_release(&jit->lock);
	}
	return left;
}

/* The bit goes if no block of it is left: with every lock, so that none comes meanwhile. */
static void page_clear(struct hosted_vm *vm, uint64_t gpa)
{
	uint64_t at = page_index(gpa);
	unsigned left = 0;

	for (unsigned i = 0; i < vm->n_cpus; i++) {
		struct jit_vcpu *jit = vm->cpus[i] ? vm->cpus[i]->jit : NULL;
		if (!jit)
			continue;
		lock_acquire(&jit->lock);
		left += kill_in(jit, gpa, 0, 0);
	}
	if (!left)
		(void)__atomic_fetch_and(&vm->jit->pages[at / 64], ~(UINT64_C(1) << at % 64),
					 __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < vm->n_cpus; i++) {
		if (vm->cpus[i] && vm->cpus[i]->jit)
			lock_release(&vm->cpus[i]->jit->lock);
	}
}

/* Data beside code: after some writes the code goes, and if it is executed again it is translated again. */
static bool is_restless(struct jit_vm *jit, uint64_t gpa)
{
	uint8_t *quiet = &jit->quiet[(gpa >> 12) % JIT_QUIETS];
	uint8_t n = __atomic_add_fetch(quiet, 1, __ATOMIC_RELAXED);

	if (n < JIT_QUIET_MAX)
		return false;
	__atomic_store_n(quiet, 0, __ATOMIC_RELAXED);
	return true;
}

static void page_wrote(struct hosted_vm *vm, uint64_t gpa, unsigned len)
{
	unsigned from = gpa % CPU_PAGE_BYTES;
	unsigned left = kill_everywhere(vm, gpa, from, from + len);

	if (left && is_restless(vm->jit, gpa))
		left = kill_everywhere(vm, gpa, 0, CPU_PAGE_BYTES);
	if (!left)
		page_clear(vm, gpa);
}

void jit_wrote(struct hosted_vm *vm, uint64_t gpa, uint64_t len)
{
	if (!vm->jit)
		return;
	while (len) {
		uint64_t left = CPU_PAGE_BYTES - gpa % CPU_PAGE_BYTES;
		uint64_t n = left < len ? left : len;
		if (jit_page_has_code(vm, gpa))
			page_wrote(vm, gpa, (unsigned)n);
		gpa += n;
		len -= n;
	}
}
