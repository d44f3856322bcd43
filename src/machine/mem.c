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

static const struct mem_slot *mem_find(const struct guest_mem *mem, gpa_t gpa)
{
	for (unsigned i = 0; i < mem->n; i++) {
		if (gpa - mem->slots[i].gpa < mem->slots[i].size_bytes)
			return &mem->slots[i];
	}
	return NULL;
}

static uint64_t mem_left(const struct mem_slot *slot, gpa_t gpa)
{
	return slot->size_bytes - (gpa - slot->gpa);
}

void *mem_hva(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	const struct mem_slot *slot = mem_find(mem, gpa);

	return slot && len && len <= mem_left(slot, gpa) ? slot->hva + (gpa - slot->gpa) : NULL;
}

void *mem_hva_rw(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	const struct mem_slot *slot = mem_find(mem, gpa);

	return slot && !slot->read_only && len && len <= mem_left(slot, gpa)
		       ? slot->hva + (gpa - slot->gpa)
		       : NULL;
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
		memcpy(to, slot->hva + (gpa - slot->gpa), n);
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
		memcpy(slot->hva + (gpa - slot->gpa), from, n);
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
