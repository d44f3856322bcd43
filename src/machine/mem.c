/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/mem.h"

#include <errno.h>
#include <string.h>

int mem_add(struct guest_mem *mem, gpa_t gpa, uint64_t size_bytes, void *hva, bool read_only)
{
	unsigned at = 0;

	if (!hva || !size_bytes || (gpa | size_bytes) % GUEST_PAGE_BYTES ||
	    gpa + size_bytes - 1 < gpa)
		return -EINVAL;
	if (mem->n == MEM_SLOTS)
		return -ENOSPC;
	while (at < mem->n && mem->slots[at].gpa < gpa)
		at++;
	if (at > 0 && mem->slots[at - 1].gpa + mem->slots[at - 1].size_bytes > gpa)
		return -EEXIST;
	if (at < mem->n && mem->slots[at].gpa < gpa + size_bytes)
		return -EEXIST;
	memmove(&mem->slots[at + 1], &mem->slots[at], (mem->n - at) * sizeof(mem->slots[0]));
	mem->slots[at] = (struct mem_slot){
		.gpa = gpa, .size_bytes = size_bytes, .hva = hva, .read_only = read_only
	};
	mem->n++;
	for (unsigned i = at; i < mem->n; i++)
		mem->slots[i].index = i;
	return 0;
}

static uint64_t mem_left(const struct mem_slot *slot, gpa_t gpa)
{
	return slot->size_bytes - (gpa - slot->gpa);
}

static bool piece_is_there(const struct guest_mem *mem, uint64_t piece)
{
	return __atomic_load_n(&mem->there[piece / 64], __ATOMIC_ACQUIRE) >> piece % 64 & 1;
}

/* One piece, which is there; false: look closer. */
static bool mem_is_there(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	uint64_t piece = gpa >> MEM_PIECE_SHIFT;

	return (gpa + len - 1) >> MEM_PIECE_SHIFT == piece && piece_is_there(mem, piece);
}

/* All of these pieces are there by now, and in a row. Apart: most guests have no such memory, and each walk of a page table comes by. */
static __attribute__((noinline)) uint8_t *pieces_reach(const struct guest_mem *mem, gpa_t gpa,
						       uint64_t len)
{
	uint64_t first = gpa >> MEM_PIECE_SHIFT, last = (gpa + len - 1) >> MEM_PIECE_SHIFT;

	for (uint64_t piece = first; piece <= last; piece++) {
		if (!piece_is_there(mem, piece) ||
		    (piece > first &&
		     mem->pieces[piece] != mem->pieces[piece - 1] + MEM_PIECE_BYTES))
			return NULL;
	}
	return mem->pieces[first] + gpa % MEM_PIECE_BYTES;
}

/* The bytes at gpa, len of them, all in this slot. */
static inline __attribute__((always_inline)) uint8_t *
mem_reach(const struct guest_mem *mem, const struct mem_slot *slot, gpa_t gpa, uint64_t len)
{
	const uint64_t offset = gpa - slot->gpa;

	if (!mem->there)
		return slot->hva + offset;
	bool is_there = mem_is_there(mem, gpa, len);
	if (!is_there)
		mem->need(mem, gpa, len);
	if (!mem->pieces)
		return slot->hva + offset;
	return is_there ? mem->pieces[gpa >> MEM_PIECE_SHIFT] + gpa % MEM_PIECE_BYTES
			: pieces_reach(mem, gpa, len);
}

static inline __attribute__((always_inline)) const struct mem_slot *
mem_whole(const struct guest_mem *mem, gpa_t gpa, uint64_t len, bool writable)
{
	const struct mem_slot *slot = mem_find(mem, gpa);

	return slot && !(writable && slot->read_only) && len && len <= mem_left(slot, gpa) ? slot
											   : NULL;
}

void *mem_hva(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	const struct mem_slot *slot = mem_whole(mem, gpa, len, false);

	return slot ? mem_reach(mem, slot, gpa, len) : NULL;
}

void *mem_hva_rw(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	const struct mem_slot *slot = mem_whole(mem, gpa, len, true);

	return slot ? mem_reach(mem, slot, gpa, len) : NULL;
}

bool mem_is_ram(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	return mem_whole(mem, gpa, len, true);
}

/* What of len at gpa is sure to lie in a row. */
static uint64_t mem_row(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	uint64_t left = MEM_PIECE_BYTES - gpa % MEM_PIECE_BYTES;

	return mem->pieces && left < len ? left : len;
}

void *mem_part(const struct guest_mem *mem, gpa_t gpa, uint64_t len, bool writable,
	       uint64_t *ret_len)
{
	const struct mem_slot *slot = mem_whole(mem, gpa, len, writable);

	if (!slot)
		return NULL;
	*ret_len = mem_row(mem, gpa, len);
	return mem_reach(mem, slot, gpa, *ret_len);
}

void mem_wrote(struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	if (mem->wrote)
		mem->wrote(mem, gpa, len);
}

int mem_read(const struct guest_mem *mem, gpa_t gpa, void *ret, uint64_t len)
{
	uint8_t *to = ret;

	while (len) {
		const struct mem_slot *slot = mem_find(mem, gpa);
		if (!slot)
			return -EFAULT;
		uint64_t n = mem_left(slot, gpa) < len ? mem_left(slot, gpa) : len;
		n = mem_row(mem, gpa, n);
		const uint8_t *from = mem_reach(mem, slot, gpa, n);
		if (!from)
			return -EFAULT;
		memcpy(to, from, n);
		to += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int mem_write(struct guest_mem *mem, gpa_t gpa, const void *data, uint64_t len)
{
	const uint8_t *from = data;

	while (len) {
		const struct mem_slot *slot = mem_find(mem, gpa);
		if (!slot)
			return -EFAULT;
		uint64_t n = mem_left(slot, gpa) < len ? mem_left(slot, gpa) : len;
		n = mem_row(mem, gpa, n);
		uint8_t *to = mem_reach(mem, slot, gpa, n);
		if (!to)
			return -EFAULT;
		memcpy(to, from, n);
		mem_wrote(mem, gpa, n);
		from += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

uint64_t mem_ram_bytes(const struct guest_mem *mem)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < mem->n; i++)
		sum += mem->slots[i].read_only ? 0 : mem->slots[i].size_bytes;
	return sum;
}
