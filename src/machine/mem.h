/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Guest memory: slots of RAM (and ROM) at guest physical addresses, over host memory that somebody else owns.
 *
 * Thread rule: slots are added while the machine is built; from the first vcpu on the map is frozen and every
 * function here may be called from any thread. The bytes themselves are shared with the guest, which may
 * change them at any moment: copy once, then check.
 */
#include <stdbool.h>
#include <stddef.h>

#include "machine/types.h"

#define MEM_SLOTS	8
#define MEM_PIECE_SHIFT 21U
#define MEM_PIECE_BYTES (UINT64_C(1) << MEM_PIECE_SHIFT)

struct mem_slot {
	gpa_t gpa;	     /* page aligned */
	uint64_t size_bytes; /* > 0, page aligned; gpa + size_bytes does not wrap */
	uint8_t *hva;
	unsigned index; /* in guest_mem.slots; the engine's slot number */
	bool read_only; /* ROM: devices and loaders may write it, the guest may not */
};

struct guest_mem {
	struct mem_slot slots[MEM_SLOTS]; /* ascending, not overlapping */
	unsigned n;
	/*
	 * Optional, any thread: a device wrote [gpa, gpa + len), which lies in one slot. For dirty logs, and for an
	 * engine that keeps translated code.
	 */
	void (*wrote)(struct guest_mem *mem, gpa_t gpa, uint64_t len);
	void *wrote_owner; /* whoever set wrote may keep its own here */
	/*
	 * Optional: for an engine that fills memory when it is touched first. A bit for each MEM_PIECE_BYTES from 0 up to the
	 * last slot's end, atomic: it is filled. Of what is not, need() is told before it is reached through hva: [gpa, gpa + len) lies
	 * in one slot; any thread, and it cannot fail.
	 */
	const uint64_t *there;
	void (*need)(const struct guest_mem *mem, gpa_t gpa, uint64_t len);
	void *need_owner; /* as wrote_owner */
	/*
	 * Optional, with there: a device is about to reach [gpa, gpa + len), of a guest's wish and any length. false: what of it is to be
	 * filled is more than one turn's work; whoever has the device's queues run has them run again. The devices' I/O thread.
	 */
	bool (*ready)(const struct guest_mem *mem, gpa_t gpa, uint64_t len);
	/*
	 * Optional, with there: where each piece is now, by its number; for memory that comes and goes (a balloon). Then what lies in
	 * one slot need not lie in a row: a range over pieces that do not is NULL to mem_hva(), and so is one that need() found no
	 * memory for. A piece that is there stays where it is while anything of the machine runs (hypervisor/vm/guest_balloon.h).
	 */
	uint8_t *const *pieces;
};

/* mem_add() - Return: 0, -EINVAL (alignment, wrap), -EEXIST (overlap), -ENOSPC. */
int mem_add(struct guest_mem *mem, gpa_t gpa, uint64_t size_bytes, void *hva, bool read_only);
/* mem_find() - the slot that has an address; NULL: none */
static inline const struct mem_slot *mem_find(const struct guest_mem *mem, gpa_t gpa)
{
	for (unsigned i = 0; i < mem->n; i++) {
		if (gpa - mem->slots[i].gpa < mem->slots[i].size_bytes)
			return &mem->slots[i];
	}
	return NULL;
}

/*
 * mem_hva() - host pointer for a whole guest range
 * @len: bytes, > 0
 * Return: pointer valid while the machine lives, or NULL if any byte is outside one slot.
 */
void *mem_hva(const struct guest_mem *mem, gpa_t gpa, uint64_t len);
/* mem_hva_rw() - the same for a range that the guest asked to have written: NULL in a read-only slot too. */
void *mem_hva_rw(const struct guest_mem *mem, gpa_t gpa, uint64_t len);
/*
 * mem_part() - as mem_hva() or, if writable, mem_hva_rw(), for as many of these bytes as lie in a row
 * @ret_len: how many, > 0. All of [gpa, gpa + len) has to lie in one slot.
 */
void *mem_part(const struct guest_mem *mem, gpa_t gpa, uint64_t len, bool writable,
	       uint64_t *ret_len);
/* mem_is_ram() - whether it is a range that mem_hva_rw() answers for; asking touches nothing, so need() is not told. */
bool mem_is_ram(const struct guest_mem *mem, gpa_t gpa, uint64_t len);
/* mem_wrote() - say so after writing through mem_hva_rw(). */
void mem_wrote(struct guest_mem *mem, gpa_t gpa, uint64_t len);
/* mem_read(), mem_write() - copies, across slot borders; 0, or -EFAULT and the part that fits may be done. */
int mem_read(const struct guest_mem *mem, gpa_t gpa, void *ret, uint64_t len);
int mem_write(struct guest_mem *mem, gpa_t gpa, const void *data, uint64_t len);
/* mem_ram_bytes() - all slots that are not read-only. */
uint64_t mem_ram_bytes(const struct guest_mem *mem);
