/* SPDX-License-Identifier: Apache-2.0 */
/* The way in, and where to go on. */
#include "engines/hosted/io.h"
#include "engines/hosted/jit_parts.h"

/* AH and AL after LAHF and SETO, as jit_gs.flags has them. */
#define FLAGS_AH 8U
#define FLAGS_OF 1U

/* ---- flags ---- */

static void flags_in(struct hosted_cpu *cpu)
{
	uint64_t low = cpu->rflags & (X86_FLAGS_ARITH & ~X86_OF);

	cpu->jit_gs.flags = low << FLAGS_AH | (cpu->rflags & X86_OF ? FLAGS_OF : 0);
}

static void flags_out(struct hosted_cpu *cpu)
{
	uint64_t low = cpu->jit_gs.flags >> FLAGS_AH & (X86_FLAGS_ARITH & ~X86_OF);

	cpu->rflags = (cpu->rflags & ~(uint64_t)X86_FLAGS_ARITH) | low |
		      (cpu->jit_gs.flags & FLAGS_OF ? X86_OF : 0);
}

/* ---- jump tables ---- */

static void jumps_clear(struct jit_jump *jumps)
{
	for (unsigned i = 0; i < JIT_JUMPS; i++)
		jumps[i].rip = JIT_NO_RIP;
}

static uint32_t new_stamp(struct jit_vcpu *jit)
{
	if (++jit->last_stamp >= JIT_STAMP_NONE) { /* links with old ones are still about */
		jit_flush(jit);
		jit->last_stamp = 1;
	}
	return jit->last_stamp;
}

static struct jit_domain *domain_oldest(struct jit_vcpu *jit)
{
	struct jit_domain *oldest = &jit->domains[0];

	for (unsigned i = 0; i < JIT_DOMAINS; i++) {
		struct jit_domain *d = &jit->domains[i];
		if (!d->used)
			return d;
		if (d->at < oldest->at)
			oldest = d;
	}
	return oldest;
}

static struct jit_domain *domain_find(struct jit_vcpu *jit, uint32_t mode, unsigned space)
{
	for (unsigned i = 0; i < JIT_DOMAINS; i++) {
		struct jit_domain *d = &jit->domains[i];
		if (d->used && d->mode == mode && d->space == space)
			return d;
	}
	uint32_t stamp = new_stamp(jit);
	struct jit_domain *d = domain_oldest(jit);
	d->mode = mode;
	d->space = space;
	d->stamp = stamp;
	d->used = true;
	jumps_clear(d->jumps);
	return d;
}

/* The domain of the mode and address space in force. */
static void domain_update(struct jit_vcpu *jit)
{
	const struct hosted_cpu *cpu = jit->cpu;
	unsigned space = cpu->cpl == 3 ? cpu->space : CPU_TLB_SPACES;
	struct jit_domain *d = jit->domain;

	if (d && d->mode == cpu->mode && d->space == space)
		return;
	d = domain_find(jit, cpu->mode, space);
	d->at = ++jit->clock;
	jit->domain = d;
	jit->cpu->jit_gs.jumps = (uintptr_t)d->jumps;
	jit->cpu->jit_gs.stamp = d->stamp;
}

void jit_mapping_changed(struct hosted_cpu *cpu)
{
	if (cpu->jit)
		jit_jumps_clear(cpu->jit);
}

void jit_space_changed(struct hosted_cpu *cpu, unsigned space)
{
	struct jit_vcpu *jit = cpu->jit;

	for (unsigned i = 0; jit && i < JIT_DOMAINS; i++) {
		if (jit->domains[i].space != space)
			continue;
		jit->domains[i].used = false;
		if (jit->domain == &jit->domains[i])
			jit_domain_leave(jit);
	}
}

/* ---- blocks ---- */

static bool is_translated(const struct hosted_cpu *cpu)
{
	const uint32_t never = CPU_MODE_TRAP | CPU_MODE_ALIGN | CPU_MODE_VM86 | CPU_MODE_REAL;

	return (cpu->mode & CPU_MODE_CODE) == X86_CODE_64 && !(cpu->mode & never);
}

/* Where the bytes at cpu->rip are. CPU_AGAIN: not in memory. */
static enum cpu_result place_here(struct hosted_cpu *cpu, struct jit_place *ret)
{
	uint64_t offset = cpu->rip % CPU_PAGE_BYTES, gpa;
	enum cpu_result r = cpu_fetch_page(cpu, cpu->rip, &gpa, &ret->page);

	if (r != CPU_OK)
		return r == CPU_EXIT ? CPU_AGAIN : r;
	ret->rip = cpu->rip;
	ret->gpa = gpa + offset;
	ret->gpa2 = 0;
	ret->page2 = NULL;
	if (offset + X86_INSN_MAX > CPU_PAGE_BYTES &&
	    cpu_fetch_page(cpu, cpu->rip - offset + CPU_PAGE_BYTES, &ret->gpa2, &ret->page2) !=
		    CPU_OK) {
		ret->gpa2 = JIT_NO_PAGE; /* a fault is for who needs the bytes */
		ret->page2 = NULL;
	}
	return CPU_OK;
}

/* The block at cpu->rip, made if need be. CPU_AGAIN: none can be. */
static enum cpu_result block_here(struct jit_vcpu *jit, uint32_t mode, struct jit_block **ret)
{
	struct hosted_cpu *cpu = jit->cpu;
	struct jit_block *block = NULL;
	struct jit_place place;

	if (!is_translated(cpu) || !sys_is_canonical(cpu->rip))
		return CPU_AGAIN;
	while (!block) {
		enum cpu_result r = place_here(cpu, &place);
		if (r != CPU_OK)
			return r;
		block = jit_find(jit, place.rip, place.gpa, place.gpa2, mode);
		if (!block) {
			jit_page_set(jit, place.gpa);
			if (place.page2)
				jit_page_set(jit, place.gpa2);
			block = jit_translate(jit, &place, mode);
		}
	}
	domain_update(jit); /* fetching, translating may have changed it */
	*ret = block;
	return CPU_OK;
}

static void jump_remember(struct jit_vcpu *jit, struct jit_block *block)
{
	struct jit_jump *jump = jit_jump_slot(jit->domain->jumps, block->rip);
	jit_ref entry = jit_flags_entry(jit, block);

	lock_acquire(&jit->lock);
	if (!block->dead && entry) {
		jump->host = (uintptr_t)(jit->rx + entry);
		jump->rip = block->rip;
	}
	lock_release(&jit->lock);
}

/* Where to go on, at cpu->rip; NULL: nowhere, with jit->result. */
static const uint8_t *go_on(struct jit_vcpu *jit, struct jit_block **ret)
{
	struct jit_block *block;

	jit->result = CPU_OK;
	if (__atomic_load_n(&jit->cpu->poll, __ATOMIC_RELAXED))
		return NULL;
	jit->result = block_here(jit, jit->cpu->mode, &block);
	if (jit->result == CPU_OK && block->interpret &&
	    block->gpa2) /* it may be another one soon */
		jit->result = CPU_AGAIN;
	if (jit->result != CPU_OK)
		return NULL;
	*ret = block;
	return jit->rx + block->code;
}

/* Into the block with flags in jit_gs.flags. */
static const uint8_t *with_flags(struct jit_vcpu *jit, struct jit_block *block)
{
	jit_ref entry = jit_flags_entry(jit, block);

	if (entry)
		return jit->rx + entry;
	jit->cpu->jit_gs.entry = (uintptr_t)(jit->rx + block->code);
	return jit->rx + jit->thunks[JIT_THUNK_TAKE];
}

const uint8_t *jit_go_on_plain(struct jit_vcpu *jit)
{
	struct jit_block *block;

	jit->result = block_here(jit, jit->cpu->mode | JIT_MODE_PLAIN, &block);
	if (jit->result != CPU_OK)
		return NULL;
	const uint8_t *host = with_flags(jit, block);
	jit_serialize(jit);
	return host;
}

/* ---- called by thunks ---- */

const uint8_t *jit_slow_link(struct hosted_cpu *cpu, uint64_t arg)
{
	struct jit_vcpu *jit = cpu->jit;
	struct jit_link *link = jit_link_at(jit, (jit_ref)arg);
	uint64_t evictions = jit->stats.evictions;
	struct jit_block *block;

	cpu_left(cpu, EXIT_CODE);
	cpu->rip = link->target;
	const uint8_t *host = go_on(jit, &block);
	if (!host)
		return NULL;
	bool torn = block->gpa2 && !link->stamp; /* it would have to be checked */
	if (jit->stats.evictions == evictions && !block->dead &&
	    !torn) { /* else the link itself may be gone */
		if (link->to != jit_ref_of(jit, block))
			jit_unlink(jit, link);
		jit_link(jit, link, block);
	}
	jit_serialize(jit);
	return host;
}

/*
 * An indirect branch is to be done: where it leads is in jit_gs.address. To an address that is none (#GP at the branch itself: SDM 1,
 * Canonical Addressing) it has not been begun.
 */
static bool jump_take(struct hosted_cpu *cpu, uint64_t arg)
{
	const struct jit_site *site = jit_site_at(cpu->jit, (jit_ref)arg);
	bool is_address = sys_is_canonical(cpu->jit_gs.address);

	cpu->rip = cpu->jit_gs.address;
	if (is_address)
		return true;
	cpu->rip = jit_block(cpu->jit, site->block)->rip + site->insn;
	cpu->regs[X86_RSP] -= (uint64_t)(int64_t)site->moved;
	return false;
}

const uint8_t *jit_slow_jump(struct hosted_cpu *cpu, uint64_t arg)
{
	struct jit_vcpu *jit = cpu->jit;
	struct jit_block *block;

	jit->stats.jump_misses++;
	cpu_left(cpu, EXIT_CODE);
	if (!jump_take(cpu, arg)) {
		jit->result = CPU_AGAIN;
		return NULL;
	}
	const uint8_t *host = go_on(jit, &block);
	if (host) {
		jump_remember(jit, block);
		host = with_flags(jit, block); /* the thunk leaves them where they are */
	}
	jit_serialize(jit);
	return host;
}

const uint8_t *jit_slow_dead(struct hosted_cpu *cpu, uint64_t arg)
{
	struct jit_vcpu *jit = cpu->jit;
	struct jit_block *dead = jit_block(jit, (jit_ref)arg);
	struct jit_block *block;

	cpu_left(cpu, EXIT_CODE);
	cpu->rip = dead->rip;
	jit_unlink_incoming(jit, dead);
	const uint8_t *host = go_on(jit, &block);
	jit_serialize(jit);
	return host;
}

/* Between two instructions: nothing for run() to look at. */
static bool may_go_on(const struct hosted_cpu *cpu)
{
	return !cpu->shadow && !cpu->halted && !cpu->irq_injected && !cpu->irq_window &&
	       !cpu->nmi_pending && !cpu->kicked && !cpu->debug_step;
}

/* Something that could make an event due has happened, and none is. */
static void forget_events(struct hosted_cpu *cpu)
{
	if (__atomic_load_n(&cpu->poll, __ATOMIC_RELAXED) == CPU_POLL_EVENT &&
	    cpu->cr8 >= cpu->cr8_told)
		(void)__atomic_fetch_and(&cpu->poll, ~CPU_POLL_EVENT, __ATOMIC_SEQ_CST);
}

/* The instruction is interpreted here, and where nothing else is due translated code goes on behind it. */
const uint8_t *jit_slow_again(struct hosted_cpu *cpu, uint64_t arg)
{
	struct jit_vcpu *jit = cpu->jit;
	const struct jit_site *site = jit_site_at(jit, (jit_ref)arg);
	struct jit_block *block;

	cpu_left(cpu, EXIT_INSTRUCTION);
	cpu->rip = jit_block(jit, site->block)->rip + site->insn;
	flags_out(cpu);
	jit->result = interp_step(cpu);
	flags_in(cpu);
	if (jit->result != CPU_OK)
		return NULL;
	io_retire(cpu);
	if (!may_go_on(cpu) || !is_translated(cpu))
		return NULL;
	forget_events(cpu);
	if (__atomic_load_n(&cpu->poll, __ATOMIC_RELAXED))
		return NULL;
	domain_update(jit);
	const struct jit_jump *jump = jit_jump_slot(jit->domain->jumps, cpu->rip);
	const uint8_t *host = (const uint8_t *)(uintptr_t)jump->host;
	if (jump->rip != cpu->rip) {
		host = go_on(jit, &block);
		if (host)
			jump_remember(jit, block);
	}
	jit_serialize(jit);
	return host;
}

/* ---- the way in ---- */

enum cpu_result jit_run(struct hosted_cpu *cpu)
{
	struct jit_vcpu *jit = cpu->jit;
	struct jit_block *block = NULL;

	if (!is_translated(cpu))
		return CPU_AGAIN;
	domain_update(jit);
	const struct jit_jump *jump = jit_jump_slot(jit->domain->jumps, cpu->rip);
	const uint8_t *host = NULL;
	if (jump->rip == cpu->rip && !__atomic_load_n(&cpu->poll, __ATOMIC_RELAXED)) {
		host = (const uint8_t *)(uintptr_t)jump->host;
	} else {
		host = go_on(jit, &block);
		if (!host)
			return jit->result;
		jump_remember(jit, block);
	}
	flags_in(cpu);
	cpu->jit_gs.target = (uintptr_t)host;
	jit_serialize(jit);
	jit->enter();
	flags_out(cpu);
	return jit->result;
}
