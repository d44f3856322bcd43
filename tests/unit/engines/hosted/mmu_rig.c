/* SPDX-License-Identifier: Apache-2.0 */
#include "mmu_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/core/macros.h"
#include "engines/hosted/hosted_cpu.h"
#include "engines/hosted/jit.h"

/* The fuzz targets use this too: no cmocka. */
static void must(bool good)
{
	if (!good)
		abort();
}

struct rig *rig_of(const struct hosted_vm *vm)
{
	return container_of(vm->mem, struct rig, mem);
}

/* ---- the other parts ---- */

enum cpu_result fault_raise(struct hosted_cpu *cpu, uint8_t vector)
{
	cpu->fault = (struct cpu_fault){ .vector = vector };
	return CPU_FAULT;
}
enum cpu_result fault_error(struct hosted_cpu *cpu, uint8_t vector, uint32_t error)
{
	cpu->fault = (struct cpu_fault){ .vector = vector, .has_error = true, .error = error };
	return CPU_FAULT;
}
enum cpu_result fault_page(struct hosted_cpu *cpu, uint64_t gva, uint32_t error)
{
	cpu->fault = (struct cpu_fault){ 14, true, error, gva };
	return CPU_FAULT;
}
void cpu_mode_update(struct hosted_cpu *cpu)
{
	cpu->mode = cpu->efer & X86_EFER_LMA ? X86_CODE_64 : X86_CODE_32;
	mmu_class_update(cpu);
}
enum cpu_result except_deliver(struct hosted_cpu *cpu)
{
	rig_of(cpu->vm)->delivered++;
	return CPU_OK;
}
enum cpu_result except_interrupt(struct hosted_cpu *cpu, uint8_t vector)
{
	struct rig *rig = rig_of(cpu->vm);

	rig->interrupts++;
	rig->vector = vector;
	return rig->interrupt ? rig->interrupt(cpu, vector) : CPU_OK;
}
enum cpu_result except_debug(struct hosted_cpu *cpu, uint64_t dr6_bits)
{
	struct rig *rig = rig_of(cpu->vm);

	rig->debugs++;
	rig->dr6 = dr6_bits;
	return rig->debug ? rig->debug(cpu) : CPU_OK;
}
enum cpu_result interp_step(struct hosted_cpu *cpu)
{
	struct rig *rig = rig_of(cpu->vm);

	rig->steps++;
	return rig->step(cpu);
}
int interp_vcpu_create(struct hosted_cpu *cpu, struct err *err)
{
	(void)err;
	cpu->interp = NULL;
	return 0;
}
void interp_vcpu_destroy(struct hosted_cpu *cpu)
{
	(void)cpu;
}
enum cpu_result jit_run(struct hosted_cpu *cpu)
{
	return rig_of(cpu->vm)->jit(cpu);
}
int jit_vm_create(struct hosted_vm *vm, unsigned vcpus, uint64_t cache_bytes, struct err *err)
{
	(void)vcpus;
	(void)cache_bytes;
	(void)err;
	vm->jit = NULL;
	return 0;
}
void jit_vm_destroy(struct hosted_vm *vm)
{
	vm->jit = NULL;
}
int jit_vcpu_create(struct hosted_cpu *cpu, struct err *err)
{
	(void)err;
	cpu->jit = NULL;
	return 0;
}
void jit_vcpu_destroy(struct hosted_cpu *cpu)
{
	cpu->jit = NULL;
}
void jit_wrote(struct hosted_vm *vm, uint64_t gpa, uint64_t len)
{
	struct rig *rig = rig_of(vm);

	rig->wrote++;
	rig->wrote_gpa = gpa;
	rig->wrote_len = len;
	for (uint64_t page = gpa >> 12; page <= (gpa + len - 1) >> 12; page++)
		__atomic_store_n(&rig->code[page], 0, __ATOMIC_SEQ_CST);
}
bool jit_page_has_code(const struct hosted_vm *vm, uint64_t gpa)
{
	struct rig *rig = rig_of(vm);

	return gpa < RIG_RAM_BYTES && __atomic_load_n(&rig->code[gpa >> 12], __ATOMIC_SEQ_CST);
}
void jit_mapping_changed(struct hosted_cpu *cpu)
{
	rig_of(cpu->vm)->changed++;
}

void jit_space_changed(struct hosted_cpu *cpu, unsigned space)
{
	(void)space;
	rig_of(cpu->vm)->changed++;
}

/* ---- the machine ---- */

int rig_create(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct err err = { 0 };

	must(rig != NULL);
	rig->ram = mmap(NULL, RIG_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	rig->rom = aligned_alloc(4096, RIG_ROM_BYTES);
	must(rig->ram != MAP_FAILED && rig->rom);
	memset(rig->rom, 0x5a, RIG_ROM_BYTES);
	must(mem_add(&rig->mem, 0, RIG_RAM_BYTES, rig->ram, false) == 0);
	must(mem_add(&rig->mem, RIG_ROM, RIG_ROM_BYTES, rig->rom, true) == 0);
	rig->vm.mem = &rig->mem;
	rig->vm.jit = (struct jit_vm *)rig; /* there is one: the stubs above */
	rig->vm.n_cpus = 2;
	for (unsigned i = 0; i < 2; i++) {
		struct hosted_cpu *cpu = &rig->cpus[i];
		cpu->vm = &rig->vm;
		cpu->vcpu.index = i;
		rig->vm.cpus[i] = cpu;
		must(mmu_vcpu_create(cpu, &err) == 0);
		cpu->rflags = 2;
		cpu_mode_update(cpu);
	}
	*state = rig;
	return 0;
}

int rig_destroy(void **state)
{
	struct rig *rig = *state;

	if (rig->booted) {
		rig->booted->jit = NULL; /* tests say that there is one */
		hosted_cpu_ops.vcpu_destroy(&rig->booted->vcpu);
		hosted_cpu_ops.vm_destroy(rig->made);
	}
	mmu_vcpu_destroy(&rig->cpus[0]);
	mmu_vcpu_destroy(&rig->cpus[1]);
	(void)munmap(rig->ram, RIG_RAM_BYTES);
	free(rig->rom);
	free(rig);
	return 0;
}

struct hosted_cpu *rig_boot(struct rig *rig)
{
	const struct vm_config config = { .mem = &rig->mem, .vcpus = 1 };
	struct err err = { 0 };
	struct vcpu *vcpu;

	must(hosted_cpu_ops.vm_create(&config, &rig->made, &err) == 0);
	for (unsigned i = 0; i < rig->mem.n; i++)
		must(hosted_cpu_ops.slot_set(rig->made, &rig->mem.slots[i], &err) == 0);
	must(hosted_cpu_ops.vcpu_create(rig->made, 0, &vcpu, &err) == 0);
	rig->booted = hosted_cpu(vcpu);
	return rig->booted;
}

static unsigned entry_bytes(const struct rig *rig)
{
	return rig->paging == RIG_32 ? 4 : 8;
}

void rig_paging(struct rig *rig, enum rig_paging paging)
{
	rig->paging = paging;
	memset(rig->ram + RIG_TABLES, 0, 0x8000);
	for (unsigned i = 0; i < 2; i++) {
		struct hosted_cpu *cpu = &rig->cpus[i];
		cpu->cr0 = X86_CR0_PE | (paging == RIG_FLAT ? 0 : X86_CR0_PG);
		cpu->cr3 = RIG_TABLES;
		cpu->cr4 = paging == RIG_32 ? X86_CR4_PSE : paging == RIG_FLAT ? 0 : X86_CR4_PAE;
		cpu->efer = paging == RIG_LONG ? X86_EFER_LME | X86_EFER_LMA : 0;
		cpu->cpl = 0;
		cpu_mode_update(cpu);
		mmu_flush_all(cpu);
	}
}

uint64_t rig_entry(const struct rig *rig, uint64_t at)
{
	uint64_t entry = 0;

	memcpy(&entry, rig->ram + at, entry_bytes(rig));
	return entry;
}

void rig_entry_set(struct rig *rig, uint64_t at, uint64_t entry)
{
	memcpy(rig->ram + at, &entry, entry_bytes(rig));
}

static unsigned levels(const struct rig *rig)
{
	return rig->paging == RIG_32 ? 2 : rig->paging == RIG_PAE ? 3 : 4;
}

/* One table of each level: those of the root's kind first. */
static uint64_t entry_at(const struct rig *rig, unsigned level, uint64_t gva)
{
	unsigned bits = rig->paging == RIG_32 ? 10 : 9;
	uint64_t index = gva >> (12 + bits * (level - 1)) & ((1U << bits) - 1);

	if (rig->paging == RIG_PAE && level == 3)
		index &= 3;
	return RIG_TABLES + 0x1000 * (levels(rig) - level) + index * entry_bytes(rig);
}

uint64_t rig_map(struct rig *rig, unsigned level, uint64_t gva, uint64_t gpa, uint64_t upper,
		 uint64_t leaf)
{
	for (unsigned l = levels(rig); l > level; l--) {
		uint64_t next = entry_at(rig, l - 1, gva) & ~0xfffULL;
		bool no_rights = rig->paging == RIG_PAE && l == 3;
		rig_entry_set(rig, entry_at(rig, l, gva), next | (no_rights ? PTE_P : upper));
	}
	uint64_t at = entry_at(rig, level, gva);
	rig_entry_set(rig, at, gpa | leaf | (level > 1 ? PTE_PS : 0));
	return at;
}

uint64_t rig_upper(const struct rig *rig, unsigned level, uint64_t gva)
{
	return entry_at(rig, level + 1, gva);
}
