/* SPDX-License-Identifier: Apache-2.0 */
/* Control registers, and what makes translations go. Sources: SDM 3A, Control Registers; SDM 2B, MOV to and from Control Registers; SDM 3A, IA-32e Mode Operation. */
#include "engines/hosted/interp.h"
#include "engines/hosted/system.h"

#define CR0_KEPT                                                                                   \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_NE | X86_CR0_WP |             \
	 X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
#define CR0_MSW	     UINT64_C(0xf)
#define CR3_NO_FLUSH (UINT64_C(1) << 63)

/* CR4's bits and the CPUID bit without which one is reserved; PCE can always be set. */
static const struct {
	uint32_t cr4, function;
	uint8_t reg, bit;
} cr4_bits[] = {
	{ X86_CR4_VME | X86_CR4_PVI, CPUID_FEATURES, CPUID_EDX, 1 },
	{ X86_CR4_DE, CPUID_FEATURES, CPUID_EDX, 2 },
	{ X86_CR4_PSE, CPUID_FEATURES, CPUID_EDX, 3 },
	{ X86_CR4_TSD, CPUID_FEATURES, CPUID_EDX, 4 },
	{ X86_CR4_PAE, CPUID_FEATURES, CPUID_EDX, 6 },
	{ X86_CR4_MCE, CPUID_FEATURES, CPUID_EDX, 7 },
	{ X86_CR4_PGE, CPUID_FEATURES, CPUID_EDX, 13 },
	{ X86_CR4_OSFXSR, CPUID_FEATURES, CPUID_EDX, 24 },
	{ X86_CR4_OSXMMEXCPT, CPUID_FEATURES, CPUID_EDX, 25 },
	{ X86_CR4_PCIDE, CPUID_FEATURES, CPUID_ECX, 17 },
	{ X86_CR4_OSXSAVE, CPUID_FEATURES, CPUID_ECX, 26 },
	{ X86_CR4_FSGSBASE, CPUID_EXTENDED_FEATURES, CPUID_EBX, 0 },
	{ X86_CR4_SMEP, CPUID_EXTENDED_FEATURES, CPUID_EBX, 7 },
	{ X86_CR4_SMAP, CPUID_EXTENDED_FEATURES, CPUID_EBX, 20 },
	{ X86_CR4_UMIP, CPUID_EXTENDED_FEATURES, CPUID_ECX, 2 },
};

/* Those that have PDPTEs loaded and checked, where PAE paging is what they lead to. SDM 3A, PDPTE Registers. */
#define CR0_LOADS_PDPTES (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define CR4_LOADS_PDPTES (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)

static bool is_pae(const struct hosted_cpu *cpu, uint64_t cr0, uint64_t cr4)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(cpu->efer & X86_EFER_LME);
}

/* Paging goes on and off: long mode with it, where EFER.LME asks for it. */
static enum cpu_result cr0_paging(struct hosted_cpu *cpu, bool on)
{
	if (!on) {
		if (sys_is_64(cpu) || (cpu->cr4 & X86_CR4_PCIDE))
			return sys_gp(cpu, 0);
		cpu->efer &= ~X86_EFER_LMA;
		return CPU_OK;
	}
	if (!(cpu->efer & X86_EFER_LME))
		return CPU_OK;
	bool tss16 = (cpu->tr.type | SYS_TYPE_BUSY) == SYS_TYPE_TSS16_BUSY;
	if (!(cpu->cr4 & X86_CR4_PAE) || cpu->segs[X86_CS].l || tss16)
		return sys_gp(cpu, 0);
	cpu->efer |= X86_EFER_LMA;
	return CPU_OK;
}

static enum cpu_result cr0_write(struct hosted_cpu *cpu, uint64_t value)
{
	uint64_t wanted = (value & CR0_KEPT) | X86_CR0_ET;
	uint64_t changed = wanted ^ cpu->cr0;

	if (value >> 32 || ((wanted & X86_CR0_PG) && !(wanted & X86_CR0_PE)) ||
	    ((wanted & X86_CR0_NW) && !(wanted & X86_CR0_CD)))
		return sys_gp(cpu, 0);
	if ((changed & CR0_LOADS_PDPTES) && is_pae(cpu, wanted, cpu->cr4) &&
	    !mmu_pdptes_good(cpu, cpu->cr3))
		return sys_gp(cpu, 0);
	if (changed & X86_CR0_PG) {
		enum cpu_result r = cr0_paging(cpu, wanted & X86_CR0_PG);
		if (r != CPU_OK)
			return r;
	}
	cpu->cr0 = wanted;
	if (changed & (X86_CR0_PG | X86_CR0_WP))
		mmu_flush_all(cpu);
	cpu_mode_update(cpu);
	return CPU_OK;
}

static unsigned phys_bits(const struct hosted_cpu *cpu)
{
	uint32_t regs[4];

	system_cpuid(cpu, (uint32_t)CPUID_EXT_ADDRESS, 0, regs);
	unsigned bits = regs[CPUID_EAX] & 0xff;
	return bits < 32 || bits > 52 ? 52 : bits;
}

static enum cpu_result cr3_write(struct hosted_cpu *cpu, uint64_t value)
{
	uint64_t reserved = UINT64_MAX << phys_bits(cpu);

	if (cpu->cr4 & X86_CR4_PCIDE)
		reserved &= ~CR3_NO_FLUSH;
	/* Outside of long mode what is above is not reserved, but there is no way to write it either. */
	if (sys_is_long(cpu) && (value & reserved))
		return sys_gp(cpu, 0);
	if (is_pae(cpu, cpu->cr0, cpu->cr4) && !mmu_pdptes_good(cpu, value))
		return sys_gp(cpu, 0);
	mmu_cr3_write(cpu, value);
	return CPU_OK;
}

static uint64_t cr4_allowed(const struct hosted_cpu *cpu)
{
	uint64_t allowed = X86_CR4_PCE;

	for (size_t i = 0; i < sizeof(cr4_bits) / sizeof(cr4_bits[0]); i++) {
		if (system_has(cpu, cr4_bits[i].function, 0, cr4_bits[i].reg, cr4_bits[i].bit))
			allowed |= cr4_bits[i].cr4;
	}
	return allowed;
}

static enum cpu_result cr4_write(struct hosted_cpu *cpu, uint64_t value)
{
	const uint64_t paging = X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE |
				X86_CR4_SMEP | X86_CR4_SMAP;
	uint64_t changed = value ^ cpu->cr4;

	if (value & ~cr4_allowed(cpu))
		return sys_gp(cpu, 0);
	if (sys_is_long(cpu) && !(value & X86_CR4_PAE))
		return sys_gp(cpu, 0);
	if ((changed & value & X86_CR4_PCIDE) && (!sys_is_long(cpu) || (cpu->cr3 & 0xfff)))
		return sys_gp(cpu, 0);
	if ((changed & CR4_LOADS_PDPTES) && is_pae(cpu, cpu->cr0, value) &&
	    !mmu_pdptes_good(cpu, cpu->cr3))
		return sys_gp(cpu, 0);
	cpu->cr4 = value;
	if (changed & paging)
		mmu_flush_all(cpu);
	cpu_mode_update(cpu);
	return CPU_OK;
}

static enum cpu_result cr8_write(struct hosted_cpu *cpu, uint64_t value)
{
	if (value & ~UINT64_C(0xf))
		return sys_gp(cpu, 0);
	cpu->cr8 = value;
	sys_events(cpu);
	return CPU_OK;
}

static bool cr_there(const struct x86_insn *insn)
{
	return insn->reg == 0 || (insn->reg >= 2 && insn->reg <= 4) || insn->reg == 8;
}

enum cpu_result system_mov_to_cr(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = interp_reg(cpu, insn->rm, insn->code == X86_CODE_64 ? 8 : 4);
	enum cpu_result r = CPU_OK;

	if (!cr_there(insn))
		return sys_raise(cpu, SYS_UD);
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	/* The address of the next instruction is the old mode's. */
	uint64_t next = sys_next(cpu, insn);
	switch (insn->reg) {
	case 0:
		r = cr0_write(cpu, value);
		break;
	case 2:
		cpu->cr2 = value;
		break;
	case 3:
		r = cr3_write(cpu, value);
		break;
	case 4:
		r = cr4_write(cpu, value);
		break;
	default:
		r = cr8_write(cpu, value);
		break;
	}
	if (r == CPU_OK)
		cpu->rip = next;
	return r;
}

enum cpu_result system_mov_from_cr(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const uint64_t *const crs[] = {
		[0] = &cpu->cr0, [2] = &cpu->cr2, [3] = &cpu->cr3, [4] = &cpu->cr4, [8] = &cpu->cr8
	};

	if (!cr_there(insn))
		return sys_raise(cpu, SYS_UD);
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	interp_set_reg(cpu, insn->rm, insn->code == X86_CODE_64 ? 8 : 4, *crs[insn->reg]);
	return sys_done(cpu, insn);
}

enum cpu_result system_lmsw(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	enum cpu_result r = operand_rm(cpu, insn, 2, &value);
	if (r != CPU_OK)
		return r;
	/* It sets PE, and never clears it. */
	value = (cpu->cr0 & ~CR0_MSW) | (value & CR0_MSW) | (cpu->cr0 & X86_CR0_PE);
	r = cr0_write(cpu, value);
	return r == CPU_OK ? sys_done(cpu, insn) : r;
}

/* SMSW and the stores of tables and selectors are hidden from user code. */
static bool umip_hides(const struct hosted_cpu *cpu)
{
	return cpu->cpl != 0 && (cpu->cr4 & X86_CR4_UMIP);
}

enum cpu_result system_smsw(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	if (umip_hides(cpu))
		return sys_gp(cpu, 0);
	enum cpu_result r = operand_set_rm(cpu, insn, insn->has_mem ? 2 : insn->op_bytes, cpu->cr0);
	return r == CPU_OK ? sys_done(cpu, insn) : r;
}

enum cpu_result system_store_selector(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t selector = insn->op == X86_OP_STR ? cpu->tr.selector : cpu->ldt.selector;

	if (sys_is_8086(cpu))
		return sys_raise(cpu, SYS_UD);
	if (umip_hides(cpu))
		return sys_gp(cpu, 0);
	enum cpu_result r = operand_set_rm(cpu, insn, insn->has_mem ? 2 : insn->op_bytes, selector);
	return r == CPU_OK ? sys_done(cpu, insn) : r;
}

enum cpu_result system_table_store(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const struct x86_table *table = insn->op == X86_OP_SGDT ? &cpu->gdt : &cpu->idt;
	unsigned base_bytes = insn->code == X86_CODE_64 ? 8 : 4;
	uint8_t image[10];
	uint64_t gva;

	if (!insn->has_mem)
		return sys_raise(cpu, SYS_UD);
	if (umip_hides(cpu))
		return sys_gp(cpu, 0);
	cpu_copy(image, &table->limit, 2);
	cpu_copy(image + 2, &table->base, base_bytes);
	enum cpu_result r = operand_memory(cpu, insn, 0, 2 + base_bytes, true, &gva);
	if (r == CPU_OK)
		r = cpu_store(cpu, gva, image, 2 + base_bytes);
	return r == CPU_OK ? sys_done(cpu, insn) : r;
}

enum cpu_result system_table_load(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_table *table = insn->op == X86_OP_LGDT ? &cpu->gdt : &cpu->idt;
	uint64_t limit, base;

	if (!insn->has_mem)
		return sys_raise(cpu, SYS_UD);
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	enum cpu_result r = operand_load(cpu, insn, 0, 2, &limit);
	if (r == CPU_OK)
		r = operand_load(cpu, insn, 2, insn->code == X86_CODE_64 ? 8 : 4, &base);
	if (r != CPU_OK)
		return r;
	if (insn->code == X86_CODE_64 && !sys_is_canonical(base))
		return sys_gp(cpu, 0);
	if (insn->code != X86_CODE_64 && insn->op_bytes == 2)
		base &= 0xffffff;
	*table = (struct x86_table){ .base = base, .limit = (uint16_t)limit };
	return sys_done(cpu, insn);
}

enum cpu_result system_invlpg(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t ea = interp_ea(cpu, insn);
	bool based =
		insn->code != X86_CODE_64 || insn->mem.seg == X86_FS || insn->mem.seg == X86_GS;

	if (!insn->has_mem)
		return sys_raise(cpu, SYS_UD);
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	if (based)
		ea += cpu->segs[insn->mem.seg].base;
	if (insn->code != X86_CODE_64)
		ea &= UINT32_MAX;
	if (sys_is_canonical(ea))
		mmu_flush_page(cpu, ea);
	return sys_done(cpu, insn);
}

enum cpu_result system_invpcid(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	unsigned bytes = insn->code == X86_CODE_64 ? 8 : 4;
	uint64_t gva, desc[2];

	if (!insn->has_mem || !system_has(cpu, CPUID_EXTENDED_FEATURES, 0, CPUID_EBX, 10))
		return sys_raise(cpu, SYS_UD);
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	enum cpu_result r = operand_memory(cpu, insn, 0, sizeof(desc), false, &gva);
	if (r == CPU_OK)
		r = cpu_load(cpu, gva, desc, sizeof(desc));
	if (r == CPU_OK)
		r = mmu_invpcid(cpu, interp_reg(cpu, insn->reg, bytes), desc[0], desc[1]);
	return r == CPU_OK ? sys_done(cpu, insn) : r;
}
