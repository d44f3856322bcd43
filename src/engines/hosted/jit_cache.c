/* SPDX-License-Identifier: Apache-2.0 */
/* Regions, blocks, links between them. */
#include "engines/hosted/jit_parts.h"

/* One linear address leads to many pages in turn, as processes come and go. */
static uint32_t hash_rip(const struct jit_vcpu *jit, uint64_t rip, uint64_t gpa)
{
	uint64_t page = gpa >> 12;

	return (uint32_t)(rip ^ rip >> 15 ^ page * 0x9e5U) & jit->index_mask;
}

static uint32_t hash_page(const struct jit_vcpu *jit, uint64_t gpa)
{
	return (uint32_t)(gpa >> 12) & jit->index_mask;
}

void jit_cache_init(struct jit_vcpu *jit)
{
	uint32_t each = (jit->bytes - JIT_THUNK_BYTES) / JIT_REGIONS & ~UINT32_C(63);

	for (unsigned i = 0; i < JIT_REGIONS; i++) {
		jit_ref start = JIT_THUNK_BYTES + i * each;
		jit->regions[i] = (struct jit_region){
			.start = start, .end = start + each, .code = start, .table = start + each
		};
	}
	jit->region = 0;
}

struct jit_block *jit_find(struct jit_vcpu *jit, uint64_t rip, uint64_t gpa, uint64_t gpa2,
			   uint32_t mode)
{
	jit_ref ref = jit->by_rip[hash_rip(jit, rip, gpa)];

	while (ref) {
		struct jit_block *block = jit_block(jit, ref);
		if (block->rip == rip && block->gpa == gpa && block->mode == mode &&
		    (!block->gpa2 || block->gpa2 == gpa2))
			return block;
		ref = block->next_hash;
	}
	return NULL;
}

void jit_insert(struct jit_vcpu *jit, struct jit_block *block)
{
	jit_ref ref = jit_ref_of(jit, block);
	jit_ref *by_rip = &jit->by_rip[hash_rip(jit, block->rip, block->gpa)];
	jit_ref *by_page = &jit->by_page[hash_page(jit, block->gpa)];
	struct jit_region *region = &jit->regions[jit->region];

	block->next_hash = *by_rip;
	*by_rip = ref;
	block->next_page = *by_page;
	block->prev_page = 0;
	if (*by_page)
		jit_block(jit, *by_page)->prev_page = ref;
	*by_page = ref;
	if (block->gpa2 && block->gpa2 != JIT_NO_PAGE) {
		jit_ref *by_page2 = &jit->by_page2[hash_page(jit, block->gpa2)];
		block->next_page2 = *by_page2;
		*by_page2 = ref;
	}
	block->next_region = region->blocks;
	region->blocks = ref;
}

/*
 * A page that many processes run at addresses of their own (the dynamic linker's) has blocks for each of them, and those to be removed
 * are the oldest, at the chain's far end: it is not searched.
 */
static void page_remove(struct jit_vcpu *jit, const struct jit_block *block)
{
	if (block->next_page)
		jit_block(jit, block->next_page)->prev_page = block->prev_page;
	if (block->prev_page)
		jit_block(jit, block->prev_page)->next_page = block->next_page;
	else
		jit->by_page[hash_page(jit, block->gpa)] = block->next_page;
}

void jit_remove(struct jit_vcpu *jit, struct jit_block *block)
{
	jit_ref ref = jit_ref_of(jit, block);
	jit_ref *at = &jit->by_rip[hash_rip(jit, block->rip, block->gpa)];

	while (*at != ref)
		at = &jit_block(jit, *at)->next_hash;
	*at = block->next_hash;
	page_remove(jit, block);
	if (!block->gpa2 || block->gpa2 == JIT_NO_PAGE)
		return;
	at = &jit->by_page2[hash_page(jit, block->gpa2)];
	while (*at != ref)
		at = &jit_block(jit, *at)->next_page2;
	*at = block->next_page2;
}

/* ---- links ---- */

static void point_jump(struct jit_vcpu *jit, const struct jit_link *link, jit_ref to)
{
	uint8_t *jump = jit->rw + link->jump;
	struct emit e = { .at = jit->rw + link->stub, .end = jump + sizeof(uint32_t) + 1 };

	if (link->jump != link->stub + 1) {
		le32_store(jump, to - (link->jump + 4));
	} else if (to == link->stub) {
		emit_mov_imm(&e, JIT_C, jit_ref_of(jit, link));
	} else {
		(void)emit_jmp(&e, jit->rw + to);
	}
	jit->unserialized = true;
}

jit_ref jit_flags_entry(struct jit_vcpu *jit, struct jit_block *block)
{
	struct jit_region *region = &jit->regions[jit->region];
	struct emit e = { .at = jit->rw + region->code,
			  .end = jit->rw + region->table,
			  .state = jit->state };

	if (!block->wants_flags)
		return block->code;
	if (!block->flags_entry) { /* in the newest region: the block goes before it does */
		jit_flags_load(&e, JIT_A);
		(void)emit_jmp(&e, jit->rw + block->code);
		if (e.full)
			return 0;
		block->flags_entry = region->code;
		jit->stats.host_bytes += jit_ref_of(jit, e.at) - region->code;
		region->code = jit_ref_of(jit, e.at);
		jit->unserialized = true;
	}
	return block->flags_entry;
}

void jit_link(struct jit_vcpu *jit, struct jit_link *link, struct jit_block *block)
{
	jit_ref to = link->saved ? jit_flags_entry(jit, block) : block->code;

	if (!to)
		return;
	if (link->stamp)
		le32_store(jit->rw + link->stamp, jit->domain->stamp);

	if (link->to != jit_ref_of(jit, block)) {
		link->to = jit_ref_of(jit, block);
		link->next = block->incoming;
		block->incoming = jit_ref_of(jit, link);
	}
	point_jump(jit, link, to);
	jit->stats.links++;
}

static void unlink(struct jit_vcpu *jit, struct jit_link *link)
{
	jit_ref ref = jit_ref_of(jit, link);
	jit_ref *at = &jit_block(jit, link->to)->incoming;

	while (*at != ref)
		at = &jit_link_at(jit, *at)->next;
	*at = link->next;
	link->to = 0;
	point_jump(jit, link, link->stub);
}

void jit_unlink(struct jit_vcpu *jit, struct jit_link *link)
{
	if (link->to)
		unlink(jit, link);
}

void jit_unlink_incoming(struct jit_vcpu *jit, struct jit_block *block)
{
	while (block->incoming)
		unlink(jit, jit_link_at(jit, block->incoming));
}

void jit_reap(struct jit_vcpu *jit)
{
	lock_acquire(&jit->lock);
	jit_ref ref = jit->killed;
	jit->killed = 0;
	lock_release(&jit->lock);
	while (ref) {
		struct jit_block *block = jit_block(jit, ref);
		ref = block->next_killed;
		jit_unlink_incoming(jit, block);
	}
}

/* ---- regions ---- */

void jit_domain_leave(struct jit_vcpu *jit)
{
	jit->domain = NULL;
	jit->cpu->jit_gs.jumps = (uintptr_t)jit->no_jumps;
	jit->cpu->jit_gs.stamp = 0;
}

void jit_jumps_clear(struct jit_vcpu *jit)
{
	for (unsigned i = 0; i < JIT_DOMAINS; i++)
		jit->domains[i].used = false;
	jit_domain_leave(jit);
}

static void evict(struct jit_vcpu *jit, struct jit_region *region)
{
	lock_acquire(&jit->lock);
	for (jit_ref ref = region->blocks; ref; ref = jit_block(jit, ref)->next_region) {
		struct jit_block *block = jit_block(jit, ref);
		if (!block->dead)
			jit_remove(jit, block);
		block->dead = true;
	}
	lock_release(&jit->lock);
	jit_reap(jit);
	for (jit_ref ref = region->blocks; ref; ref = jit_block(jit, ref)->next_region) {
		struct jit_block *block = jit_block(jit, ref);
		jit_unlink_incoming(jit, block);
		for (unsigned i = 0; i < block->n_links; i++)
			jit_unlink(jit, &jit_links(block)[i]);
	}
	if (region->blocks)
		jit->stats.evictions++;
	region->blocks = 0;
	region->code = region->start;
	region->table = region->end;
	jit_jumps_clear(jit);
}

void jit_flush(struct jit_vcpu *jit)
{
	for (unsigned i = 0; i < JIT_REGIONS; i++)
		evict(jit, &jit->regions[i]);
}

void jit_room(struct jit_vcpu *jit, struct emit *e)
{
	struct jit_region *region = &jit->regions[jit->region];

	if (region->table - region->code < JIT_BLOCK_ROOM) {
		jit->region = (jit->region + 1) % JIT_REGIONS;
		region = &jit->regions[jit->region];
		evict(jit, region);
	}
	*e = (struct emit){ .at = jit->rw + region->code,
			    .end = jit->rw + region->table - JIT_TABLE_ROOM,
			    .state = jit->state };
}
