/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/first_touch.h"

#include <errno.h>
#include <string.h>

#include "core/page.h"

#define BITS 64U

uint64_t first_touch_bytes(gpa_t end)
{
	uint64_t pieces = (end + MEM_PIECE_BYTES - 1) >> MEM_PIECE_SHIFT;

	return ((pieces + 7) / 8 + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

static bool is_there(const struct first_touch *touch, uint64_t piece)
{
	return piece >= touch->pieces ||
	       __atomic_load_n(&touch->there[piece / BITS], __ATOMIC_ACQUIRE) >> piece % BITS & 1;
}

static void mark(struct first_touch *touch, uint64_t piece)
{
	(void)__atomic_fetch_or(&touch->there[piece / BITS], UINT64_C(1) << piece % BITS,
				__ATOMIC_RELEASE);
}

/* ---- the stock: locked ---- */

static void stock_push(struct first_touch *touch, void *piece)
{
	*(void **)piece = touch->stock;
	touch->stock = piece;
	touch->n_stock++;
}

static void *stock_pop(struct first_touch *touch)
{
	void *piece = touch->stock;

	if (piece) {
		touch->stock = *(void **)piece;
		touch->n_stock--;
	}
	return piece;
}

/* So many pieces more. false: there are not; those that there were are in it. */
static bool stock_fill(struct first_touch *touch, uint64_t n)
{
	for (; n; n--) {
		void *piece = touch->source->take();
		if (!piece)
			return false;
		stock_push(touch, piece);
		touch->held++;
	}
	return true;
}

static void stock_shrink(struct first_touch *touch, uint64_t least, uint64_t held)
{
	while (touch->n_stock > least && touch->held > held) {
		touch->source->give(stock_pop(touch));
		touch->held--;
	}
}

/* ---- pieces ---- */

/* Where it is, or is to be from now on; NULL: there is none. Locked. */
static uint8_t *place(struct first_touch *touch, const struct mem_slot *slot, uint64_t piece)
{
	if (!touch->at)
		return slot->hva + ((piece << MEM_PIECE_SHIFT) - slot->gpa);
	if (!touch->at[piece] && !touch->is_asked) {
		touch->at[piece] = touch->source->take();
		touch->held += touch->at[piece] != NULL;
	}
	return touch->at[piece];
}

/* Zeroed, then mapped, then said to be there: in this order nobody sees what was in it. */
static enum first_touch_result fill_locked(struct first_touch *touch, const struct mem_slot *slot,
					   uint64_t piece)
{
	if (is_there(touch, piece))
		return FIRST_TOUCH_NOT_OURS;
	uint8_t *hva = place(touch, slot, piece);
	if (!hva)
		return FIRST_TOUCH_NONE_LEFT;
	memset(hva, 0, MEM_PIECE_BYTES);
	/* Its table is there since first_touch_add(), and nobody else maps here. */
	(void)npt_map(touch->npt, piece << MEM_PIECE_SHIFT, MEM_PIECE_BYTES, ptr_to_phys(hva),
		      slot->read_only);
	mark(touch, piece);
	return FIRST_TOUCH_DONE;
}

static enum first_touch_result fill(struct first_touch *touch, uint64_t piece)
{
	const struct mem_slot *slot = mem_find(touch->mem, piece << MEM_PIECE_SHIFT);

	if (!slot)
		return FIRST_TOUCH_NOT_OURS;
	spin_lock(&touch->lock);
	enum first_touch_result r = fill_locked(touch, slot, piece);
	spin_unlock(&touch->lock);
	return r;
}

static void need(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	struct first_touch *touch = mem->need_owner;
	uint64_t first = gpa >> MEM_PIECE_SHIFT, last = (gpa + len - 1) >> MEM_PIECE_SHIFT;

	for (uint64_t piece = first; piece <= last; piece++) {
		if (!is_there(touch, piece))
			(void)fill(touch, piece);
	}
}

static bool ready(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	const struct mem_slot *slot = mem_find(mem, gpa);
	struct first_touch *touch = mem->need_owner;

	if (!slot || len > slot->size_bytes - (gpa - slot->gpa))
		return true;
	uint64_t last = (gpa + len - 1) >> MEM_PIECE_SHIFT;
	for (uint64_t piece = gpa >> MEM_PIECE_SHIFT; piece <= last; piece++) {
		if (is_there(touch, piece))
			continue;
		if (!touch->left) {
			touch->is_short = true;
			return false;
		}
		touch->left--;
		(void)fill(touch, piece);
	}
	return true;
}

bool first_touch_turn(struct first_touch *touch)
{
	bool was_short = touch->is_short;

	touch->is_short = false;
	touch->left = FIRST_TOUCH_TURN;
	return was_short;
}

void first_touch_init(struct first_touch *touch, struct guest_mem *mem, struct npt *npt,
		      uint64_t *bits, gpa_t end)
{
	*touch = (struct first_touch){
		.mem = mem,
		.npt = npt,
		.there = bits,
		.pieces = (end + MEM_PIECE_BYTES - 1) >> MEM_PIECE_SHIFT,
		.left = FIRST_TOUCH_TURN,
	};
	mem->there = bits;
	mem->need = need;
	mem->ready = ready;
	mem->need_owner = touch;
}

int first_touch_add(struct first_touch *touch, const struct mem_slot *slot)
{
	if ((slot->gpa | slot->size_bytes | ptr_to_phys(slot->hva)) % MEM_PIECE_BYTES)
		return -EINVAL;
	return npt_reserve(touch->npt, slot->gpa, slot->size_bytes);
}

int first_touch_now(struct first_touch *touch, const struct mem_slot *slot)
{
	memset(slot->hva, 0, slot->size_bytes);
	int r = npt_map(touch->npt, slot->gpa, slot->size_bytes, ptr_to_phys(slot->hva),
			slot->read_only);

	for (uint64_t done = 0; r == 0 && done < slot->size_bytes; done += MEM_PIECE_BYTES)
		mark(touch, (slot->gpa + done) >> MEM_PIECE_SHIFT);
	return r;
}

enum first_touch_result first_touch_fault(struct first_touch *touch, gpa_t gpa)
{
	uint64_t piece = gpa >> MEM_PIECE_SHIFT;

	return is_there(touch, piece) ? FIRST_TOUCH_NOT_OURS : fill(touch, piece);
}

uint64_t first_touch_movable_bytes(gpa_t end)
{
	uint64_t bytes = ((end + MEM_PIECE_BYTES - 1) >> MEM_PIECE_SHIFT) * sizeof(uint8_t *);

	return (bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

void first_touch_movable(struct first_touch *touch, uint8_t **at,
			 const struct first_touch_source *source)
{
	for (unsigned i = 0; i < touch->mem->n; i++) {
		const struct mem_slot *slot = &touch->mem->slots[i];
		for (uint64_t done = 0; done < slot->size_bytes; done += MEM_PIECE_BYTES) {
			uint8_t **piece = &at[(slot->gpa + done) >> MEM_PIECE_SHIFT];
			if (!*piece)
				*piece = slot->hva + done;
			touch->held++;
		}
	}
	touch->at = at;
	touch->source = source;
	touch->mem->pieces = at;
}

static bool give_locked(struct first_touch *touch, uint64_t piece)
{
	uint8_t *hva = touch->at[piece];

	if (!hva || (touch->is_asked && touch->held <= touch->floor))
		return false;
	if (is_there(touch, piece)) {
		if (npt_unmap(touch->npt, piece << MEM_PIECE_SHIFT, MEM_PIECE_BYTES) < 0)
			return false;
		(void)__atomic_fetch_and(&touch->there[piece / BITS],
					 ~(UINT64_C(1) << piece % BITS), __ATOMIC_ACQ_REL);
	}
	touch->at[piece] = NULL;
	if (touch->is_asked && touch->n_stock < FIRST_TOUCH_SPARE) {
		stock_push(touch, hva);
		return true;
	}
	touch->held--;
	touch->source->give(hva);
	return true;
}

bool first_touch_give(struct first_touch *touch, gpa_t gpa)
{
	uint64_t piece = gpa >> MEM_PIECE_SHIFT;

	if (!touch->at || piece >= touch->pieces)
		return false;
	spin_lock(&touch->lock);
	bool is_given = give_locked(touch, piece);
	spin_unlock(&touch->lock);
	return is_given;
}

bool first_touch_take(struct first_touch *touch, gpa_t gpa)
{
	uint64_t piece = gpa >> MEM_PIECE_SHIFT;

	if (piece >= touch->pieces || !mem_find(touch->mem, piece << MEM_PIECE_SHIFT))
		return true;
	spin_lock(&touch->lock);
	if (!touch->at[piece] && (touch->n_stock || stock_fill(touch, 1)))
		touch->at[piece] = stock_pop(touch);
	bool is_there_now = touch->at[piece] != NULL;
	spin_unlock(&touch->lock);
	return is_there_now;
}

bool first_touch_promise(struct first_touch *touch, uint64_t pieces)
{
	spin_lock(&touch->lock);
	uint64_t had = touch->n_stock, held = touch->held;
	bool is_promised = held >= pieces || stock_fill(touch, pieces - held);
	if (is_promised) {
		touch->floor = pieces;
		stock_shrink(touch, FIRST_TOUCH_SPARE, pieces);
	} else {
		stock_shrink(touch, had, held);
	}
	spin_unlock(&touch->lock);
	return is_promised;
}

uint64_t first_touch_held_bytes(const struct first_touch *touch)
{
	return __atomic_load_n(&touch->held, __ATOMIC_RELAXED) << MEM_PIECE_SHIFT;
}

void first_touch_fini(struct first_touch *touch)
{
	for (uint64_t piece = 0; touch->at && piece < touch->pieces; piece++) {
		if (touch->at[piece])
			touch->source->give(touch->at[piece]);
	}
	if (touch->at)
		stock_shrink(touch, 0, 0);
	touch->at = NULL;
	touch->held = 0;
}
