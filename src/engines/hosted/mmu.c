/* SPDX-License-Identifier: Apache-2.0 */
/* From a linear address to host memory: which TLB, and what goes into it. */
#include "engines/hosted/mmu.h"

#include "engines/hosted/jit.h"

static bool user_pages_reachable(const struct hosted_cpu *cpu)
{
	return !(cpu->cr4 & MMU_CR4_SMAP) || (cpu->rflags & MMU_RFLAGS_AC);
}

struct mmu_class mmu_class_now(struct hosted_cpu *cpu)
{
	struct mmu_vcpu *mmu = cpu->mmu;

	if (cpu->cpl == 3)
		return (struct mmu_class){ .tlb = &mmu->user[cpu->space], .is_user = true };
	bool reachable = user_pages_reachable(cpu);
	return (struct mmu_class){ .tlb = &mmu->kernel[reachable], .user_pages = reachable };
}

/* The CPU's own accesses are a supervisor's, and AC excuses none of them (SDM 3A, Access Rights: implicit accesses). */
struct mmu_class mmu_class_system(struct hosted_cpu *cpu)
{
	bool reachable = !(cpu->cr4 & MMU_CR4_SMAP);

	return (struct mmu_class){ .tlb = &cpu->mmu->kernel[reachable], .user_pages = reachable };
}

void mmu_class_update(struct hosted_cpu *cpu)
{
	cpu->tlb = mmu_class_now(cpu).tlb->tlb;
}

bool mmu_has_code(const struct hosted_vm *vm, uint64_t gpa)
{
	return vm->jit && jit_page_has_code(vm, gpa);
}

/* An exec tag makes room for another page's: jit_mapping_changed() is for the flush that may come for it. */
static void displace(struct mmu_vcpu *mmu, const struct mmu_class *class, uint64_t page,
		     bool is_global)
{
	uint64_t bit = mmu_displaced(page);

	mmu->displaced[class->is_user][bit / 64] |= UINT64_C(1) << bit % 64;
	mmu->displaced_local |= !class->is_user && !is_global;
}

/* Whether the class may read (or write) the page without asking again. */
static bool may_access(const struct mmu_class *class, const struct mmu_walk *walk)
{
	return class->is_user ? walk->user_page : !walk->user_page || class->user_pages;
}

static bool may_write(const struct hosted_cpu *cpu, const struct mmu_class *class,
		      const struct mmu_walk *walk)
{
	return walk->dirty && (walk->writable || (!class->is_user && !(cpu->cr0 & X86_CR0_WP)));
}

/*
 * A page at the index of the page before it, as one in some millions is: an access that crosses into it would find its tag, and
 * take all of its bytes from there. It gets no tags: every access to it is looked up by C.
 */
static bool is_twin(uint64_t page)
{
	return cpu_tlb_index(page) == cpu_tlb_index(page - CPU_PAGE_BYTES);
}

static void fill(struct hosted_cpu *cpu, const struct mmu_class *class, const struct mmu_walk *walk,
		 struct mmu_page *at)
{
	unsigned index = cpu_tlb_index(walk->gva);
	struct cpu_tlb_entry *e = &class->tlb->tlb->entries[index];
	uint64_t page = walk->gva & ~MMU_PAGE_MASK;
	uint64_t host = (uintptr_t)at->hva - (walk->gva & MMU_PAGE_MASK);
	const uint64_t none = cpu_tlb_none(index);
	struct cpu_tlb_entry new = { none, none, none, host };

	if (may_access(class, walk)) {
		new.read = page;
		if (!at->read_only && may_write(cpu, class, walk)) {
			mmu_writable_note(cpu, walk->gpa);
			at->has_code = mmu_has_code(cpu->vm, walk->gpa);
			new.write = at->has_code ? none : page;
		}
	}
	if (walk->access == CPU_EXEC || (e->exec == page && e->host == host))
		new.exec = page;
	if (is_twin(page)) {
		if (walk->access == CPU_EXEC)
			displace(cpu->mmu, class, page, walk->global);
		new.read = new.write = new.exec = none;
	}
	bool same_page = e->exec == page && new.exec == page;
	uint64_t gone = same_page ? none : e->exec;
	bool moved = same_page && e->host != host;
	bool was_global = class->tlb->flags[index] & MMU_GLOBAL;
	*e = new;
	mmu_tlb_log(class->tlb, index, walk->global, walk->shift, walk->gva);
	if (!cpu_tlb_is_none(gone) && gone != page)
		displace(cpu->mmu, class, gone, was_global);
	else if (!cpu_tlb_is_none(gone) || moved)
		jit_mapping_changed(cpu); /* the guest changed it and has not flushed yet */
}

enum cpu_result mmu_resolve(struct hosted_cpu *cpu, const struct mmu_class *class, uint64_t gva,
			    enum cpu_access access, struct mmu_page *ret)
{
	struct mmu_walk walk = {
		.gva = gva,
		.access = access,
		.is_user = class->is_user,
		.user_pages = class->user_pages,
	};

	if (mmu_walk(cpu, &walk) != CPU_OK)
		return fault_page(cpu, gva, walk.error);
	const struct mem_slot *slot = mmu_slot(cpu->vm, walk.gpa);
	*ret = (struct mmu_page){ .gpa = walk.gpa };
	if (slot) {
		ret->hva = slot->hva + (walk.gpa - slot->gpa);
		ret->read_only = slot->read_only;
		fill(cpu, class, &walk, ret);
	}
	return CPU_OK;
}

enum cpu_result mmu_fill(struct hosted_cpu *cpu, uint64_t gva, enum cpu_access access,
			 uint8_t **ret_hva, uint64_t *ret_gpa)
{
	struct mmu_class class = mmu_class_now(cpu);
	struct mmu_page page;
	enum cpu_result r = mmu_resolve(cpu, &class, gva, access, &page);

	if (r != CPU_OK)
		return r;
	*ret_gpa = page.gpa;
	if (!page.hva || (access == CPU_WRITE && (page.read_only || page.has_code)))
		return CPU_EXIT;
	*ret_hva = page.hva;
	return CPU_OK;
}
