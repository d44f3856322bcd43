/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory by linear address, for the interpreter and the system instructions. */
#include "engines/hosted/jit.h"
#include "engines/hosted/mmu.h"

#define LEN_MAX	   64U
#define IO_LEN_MAX 8U

/* An access, or its part in one page. */
struct piece {
	struct mmu_page page;
	unsigned len;
};
struct span {
	struct piece pieces[2];
	unsigned n;
};

static bool hits(uint64_t tag, uint64_t gva, unsigned len)
{
	return ((gva + len - 1) & ~MMU_PAGE_MASK) == tag;
}

static const struct cpu_tlb_entry *entry_of(const struct cpu_tlb *tlb, uint64_t gva)
{
	return &tlb->entries[cpu_tlb_index(gva)];
}

/* What no other vcpu sees half done. Longer ones come in eights: no more is promised of them (SDM 3A, Guaranteed Atomic Operations). */
static void copy_from(void *ret, const uint8_t *hva, unsigned len)
{
	switch (len) {
	case 1:
		*(uint8_t *)ret = *(const volatile uint8_t *)hva;
		break;
	case 2:
		__asm__ volatile("movw (%1), %%ax; movw %%ax, (%0)"
				 :
				 : "r"(ret), "r"(hva)
				 : "rax", "memory");
		break;
	case 4:
		__asm__ volatile("movl (%1), %%eax; movl %%eax, (%0)"
				 :
				 : "r"(ret), "r"(hva)
				 : "rax", "memory");
		break;
	case 8:
		__asm__ volatile("movq (%1), %%rax; movq %%rax, (%0)"
				 :
				 : "r"(ret), "r"(hva)
				 : "rax", "memory");
		break;
	default:
		cpu_copy(ret, hva, len);
		break;
	}
}

static void copy_to(uint8_t *hva, const void *data, unsigned len)
{
	copy_from(hva, data, len);
}

/* Linear addresses have 32 bits outside 64-bit code; the CPU's own tables are at 64-bit ones in all of long mode. */
static uint64_t next_page(const struct hosted_cpu *cpu, uint64_t gva, bool is_system)
{
	uint64_t next = (gva | MMU_PAGE_MASK) + 1;
	bool wide = is_system ? (cpu->efer & X86_EFER_LMA) != 0
			      : (cpu->mode & CPU_MODE_CODE) == X86_CODE_64;

	return wide ? next : next & UINT32_MAX;
}

static enum cpu_result span_resolve(struct hosted_cpu *cpu, bool is_system, uint64_t gva,
				    unsigned len, enum cpu_access access, struct span *ret)
{
	struct mmu_class class = is_system ? mmu_class_system(cpu) : mmu_class_now(cpu);
	unsigned first = CPU_PAGE_BYTES - (unsigned)(gva & MMU_PAGE_MASK);

	ret->n = first < len ? 2 : 1;
	ret->pieces[0].len = first < len ? first : len;
	ret->pieces[1].len = len - ret->pieces[0].len;
	enum cpu_result r = mmu_resolve(cpu, &class, gva, access, &ret->pieces[0].page);
	if (r == CPU_OK && ret->n == 2)
		r = mmu_resolve(cpu, &class, next_page(cpu, gva, is_system), access,
				&ret->pieces[1].page);
	return r;
}

/* A device's part of an access, in pieces that a device knows. */
static enum cpu_result device(struct hosted_cpu *cpu, bool is_write, uint64_t gpa, uint8_t *data,
			      unsigned len)
{
	while (len) {
		unsigned n = IO_LEN_MAX;
		while (n > len)
			n /= 2;
		uint64_t value = 0;
		if (is_write)
			cpu_copy(&value, data, n);
		enum cpu_result r = io_access(cpu, false, is_write, gpa, n, &value);
		if (r != CPU_OK)
			return r;
		if (!is_write)
			cpu_copy(data, &value, n);
		gpa += n;
		data += n;
		len -= n;
	}
	return CPU_OK;
}

static enum cpu_result span_load(struct hosted_cpu *cpu, const struct span *span, uint8_t *ret)
{
	for (unsigned i = 0; i < span->n; i++) {
		const struct piece *p = &span->pieces[i];
		if (p->page.hva) {
			copy_from(ret, p->page.hva, p->len);
		} else {
			enum cpu_result r = device(cpu, false, p->page.gpa, ret, p->len);
			if (r != CPU_OK)
				return r;
		}
		ret += p->len;
	}
	return CPU_OK;
}

static bool is_device(const struct piece *p)
{
	return !p->page.hva || p->page.read_only;
}

static void memory_store(struct hosted_cpu *cpu, const struct piece *p, const uint8_t *data)
{
	copy_to(p->page.hva, data, p->len);
	if (p->page.has_code)
		jit_wrote(cpu->vm, p->page.gpa, p->len);
}

/* The device's part goes first: if it takes another run() the instruction starts anew, and memory is as it was. */
static enum cpu_result span_store(struct hosted_cpu *cpu, const struct span *span,
				  const uint8_t *data)
{
	const uint8_t *at = data;

	for (unsigned i = 0; i < span->n; at += span->pieces[i].len, i++) {
		const struct piece *p = &span->pieces[i];
		uint8_t bytes[LEN_MAX];
		if (!is_device(p))
			continue;
		cpu_copy(bytes, at, p->len);
		enum cpu_result r = device(cpu, true, p->page.gpa, bytes, p->len);
		if (r != CPU_OK)
			return r;
	}
	at = data;
	for (unsigned i = 0; i < span->n; at += span->pieces[i].len, i++) {
		if (!is_device(&span->pieces[i]))
			memory_store(cpu, &span->pieces[i], at);
	}
	return CPU_OK;
}

static enum cpu_result load(struct hosted_cpu *cpu, bool is_system, uint64_t gva, void *ret,
			    unsigned len)
{
	struct span span;
	enum cpu_result r = span_resolve(cpu, is_system, gva, len, CPU_READ, &span);

	return r == CPU_OK ? span_load(cpu, &span, ret) : r;
}

static enum cpu_result store(struct hosted_cpu *cpu, bool is_system, uint64_t gva, const void *data,
			     unsigned len)
{
	struct span span;
	enum cpu_result r = span_resolve(cpu, is_system, gva, len, CPU_WRITE, &span);

	return r == CPU_OK ? span_store(cpu, &span, data) : r;
}

enum cpu_result cpu_load(struct hosted_cpu *cpu, uint64_t gva, void *ret, unsigned len)
{
	const struct cpu_tlb_entry *e = entry_of(cpu->tlb, gva);

	if (!hits(e->read, gva, len))
		return load(cpu, false, gva, ret, len);
	copy_from(ret, cpu_hva(e, gva), len);
	return CPU_OK;
}

enum cpu_result cpu_store(struct hosted_cpu *cpu, uint64_t gva, const void *data, unsigned len)
{
	const struct cpu_tlb_entry *e = entry_of(cpu->tlb, gva);

	if (!hits(e->write, gva, len))
		return store(cpu, false, gva, data, len);
	copy_to(cpu_hva(e, gva), data, len);
	return CPU_OK;
}

enum cpu_result cpu_load_system(struct hosted_cpu *cpu, uint64_t gva, void *ret, unsigned len)
{
	const struct cpu_tlb_entry *e = entry_of(mmu_class_system(cpu).tlb->tlb, gva);

	if (!hits(e->read, gva, len))
		return load(cpu, true, gva, ret, len);
	copy_from(ret, cpu_hva(e, gva), len);
	return CPU_OK;
}

enum cpu_result cpu_store_system(struct hosted_cpu *cpu, uint64_t gva, const void *data,
				 unsigned len)
{
	const struct cpu_tlb_entry *e = entry_of(mmu_class_system(cpu).tlb->tlb, gva);

	if (!hits(e->write, gva, len))
		return store(cpu, true, gva, data, len);
	copy_to(cpu_hva(e, gva), data, len);
	return CPU_OK;
}

/*
 * Code in the page goes first, all of it, and the page gets a write tag, so that whoever translates it again waits until this vcpu
 * looks at its poll word: after the instruction.
 */
static enum cpu_result piece_pin(struct hosted_cpu *cpu, const struct mmu_class *class,
				 uint64_t gva, bool write, struct mmu_page *ret)
{
	enum cpu_access access = write ? CPU_WRITE : CPU_READ;
	enum cpu_result r = mmu_resolve(cpu, class, gva, access, ret);

	if (r != CPU_OK || !ret->has_code)
		return r;
	jit_wrote(cpu->vm, ret->gpa & ~MMU_PAGE_MASK, CPU_PAGE_BYTES);
	r = mmu_resolve(cpu, class, gva, access, ret);
	if (r == CPU_OK && ret->has_code)
		ret->hva = NULL; /* another vcpu was faster: a load and a store will do */
	return r;
}

enum cpu_result cpu_pin(struct hosted_cpu *cpu, uint64_t gva, unsigned len, bool write,
			uint8_t **ret)
{
	const struct cpu_tlb_entry *e = entry_of(cpu->tlb, gva);
	struct mmu_class class = mmu_class_now(cpu);
	struct mmu_page first, second;

	*ret = NULL;
	if (hits(write ? e->write : e->read, gva, len)) {
		*ret = cpu_hva(e, gva);
		return CPU_OK;
	}
	unsigned left = CPU_PAGE_BYTES - (unsigned)(gva & MMU_PAGE_MASK);
	enum cpu_result r = piece_pin(cpu, &class, gva, write, &first);
	if (r == CPU_OK && left < len)
		r = piece_pin(cpu, &class, next_page(cpu, gva, false), write, &second);
	if (r != CPU_OK || !first.hva || (write && first.read_only))
		return r;
	if (left < len && (second.hva != first.hva + left || (write && second.read_only)))
		return CPU_OK;
	*ret = first.hva;
	return CPU_OK;
}

enum cpu_result cpu_probe(struct hosted_cpu *cpu, uint64_t gva, unsigned len,
			  enum cpu_access access)
{
	const struct cpu_tlb_entry *e = entry_of(cpu->tlb, gva);
	uint64_t tag = access == CPU_READ ? e->read : access == CPU_WRITE ? e->write : e->exec;
	struct span span;

	return hits(tag, gva, len) ? CPU_OK : span_resolve(cpu, false, gva, len, access, &span);
}

/* Where code is; no memory: hva NULL. */
static enum cpu_result code_page(struct hosted_cpu *cpu, uint64_t gva, struct mmu_page *ret)
{
	struct mmu_class class = mmu_class_now(cpu);

	return mmu_resolve(cpu, &class, gva, CPU_EXEC, ret);
}

static enum cpu_result fetch_part(struct hosted_cpu *cpu, uint64_t gva, uint8_t *ret, unsigned len)
{
	const struct cpu_tlb_entry *e = entry_of(cpu->tlb, gva);
	struct mmu_page page;

	if (hits(e->exec, gva, len)) {
		cpu_copy(ret, cpu_hva(e, gva), len);
		return CPU_OK;
	}
	enum cpu_result r = code_page(cpu, gva, &page);
	if (r != CPU_OK)
		return r;
	if (page.hva) {
		cpu_copy(ret, page.hva, len);
	} else {
		for (unsigned i = 0; i < len; i++)
			ret[i] = 0xff; /* nobody drives the bus; code in a device is none */
	}
	return CPU_OK;
}

enum cpu_result cpu_fetch(struct hosted_cpu *cpu, uint64_t gva, uint8_t ret[X86_INSN_MAX],
			  unsigned *ret_len)
{
	unsigned left = CPU_PAGE_BYTES - (unsigned)(gva & MMU_PAGE_MASK);
	unsigned first = left < X86_INSN_MAX ? left : X86_INSN_MAX;
	enum cpu_result r = fetch_part(cpu, gva, ret, first);

	if (r != CPU_OK)
		return r;
	*ret_len = first;
	if (first == X86_INSN_MAX)
		return CPU_OK;
	const struct cpu_fault before = cpu->fault;
	if (fetch_part(cpu, next_page(cpu, gva, false), ret + first, X86_INSN_MAX - first) ==
	    CPU_OK)
		*ret_len = X86_INSN_MAX;
	else
		cpu->fault = before; /* the instruction may well end here */
	return CPU_OK;
}

/* What an exec tag says without a walk: memory, and where. */
static bool known_page(struct hosted_cpu *cpu, uint64_t gva, struct mmu_page *ret)
{
	const struct cpu_tlb_entry *e = entry_of(cpu->tlb, gva);
	const struct guest_mem *mem = cpu->vm->mem;

	if (!hits(e->exec, gva, 1))
		return false;
	ret->hva = cpu_hva(e, gva);
	for (unsigned i = 0; i < mem->n; i++) {
		uint64_t at = (uintptr_t)ret->hva - (uintptr_t)mem->slots[i].hva;
		if (at >= mem->slots[i].size_bytes)
			continue;
		ret->gpa = mem->slots[i].gpa + at;
		return true;
	}
	return false;
}

enum cpu_result cpu_fetch_page(struct hosted_cpu *cpu, uint64_t gva, uint64_t *ret_gpa,
			       const uint8_t **ret_hva)
{
	struct mmu_page page;
	enum cpu_result r = known_page(cpu, gva, &page) ? CPU_OK : code_page(cpu, gva, &page);

	if (r != CPU_OK)
		return r;
	if (!page.hva)
		return CPU_EXIT;
	*ret_gpa = page.gpa & ~MMU_PAGE_MASK;
	*ret_hva = page.hva - (page.gpa & MMU_PAGE_MASK);
	return CPU_OK;
}

bool mmu_write_gpa(struct hosted_cpu *cpu, uint64_t gpa, const void *data, unsigned len)
{
	const struct mem_slot *slot = mmu_slot(cpu->vm, gpa);

	if (!slot || slot->read_only || slot->size_bytes - (gpa - slot->gpa) < len)
		return false;
	copy_to(slot->hva + (gpa - slot->gpa), data, len);
	if (mmu_has_code(cpu->vm, gpa) || mmu_has_code(cpu->vm, gpa + len - 1))
		jit_wrote(cpu->vm, gpa, len);
	return true;
}
