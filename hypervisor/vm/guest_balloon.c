/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/guest_balloon.h"

#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "core/page.h"
#include "core/print.h"
#include "vm/guest.h"

static struct guest_balloon *balloon_of(struct balloon_host *host)
{
	return container_of(host, struct guest_balloon, host);
}

static void balloon_release(struct balloon_host *host, gpa_t gpa, uint64_t len)
{
	struct guest_balloon *b = balloon_of(host);

	balloon_map_inflate(&b->map, gpa, len);
	if (b->most_pages < b->map.n_pages)
		b->most_pages = b->map.n_pages;
}

/* Whether the balloon may lose these pages: it holds what the target asks, or what it came to on its way there, without them. */
static bool may_take(const struct guest_balloon *b, gpa_t gpa, uint64_t len)
{
	uint64_t least = b->goal_seen < b->most_pages ? b->goal_seen : b->most_pages;

	return b->map.n_pages + BALLOON_SLACK_PAGES >= least + balloon_map_count(&b->map, gpa, len);
}

static bool pieces_take(struct guest_balloon *b, gpa_t gpa, uint64_t len)
{
	struct first_touch *touch = &hv_vm_of(b->v.guest->vm)->touch;
	gpa_t end = gpa + len;

	for (gpa &= ~(MEM_PIECE_BYTES - 1); gpa < end; gpa += MEM_PIECE_BYTES) {
		if (!first_touch_take(touch, gpa))
			return false;
	}
	return true;
}

/* Once for each time that it has to. */
static void waiting_tell(struct guest_balloon *b, bool is_short)
{
	if (b->is_waiting_told)
		return;
	b->is_waiting_told = true;
	print("guest %s: wants memory back that it gave, and waits: %s\n", b->v.guest->name,
	      is_short ? "the server has none left" : "its target leaves it no more");
}

static bool balloon_reclaim(struct balloon_host *host, gpa_t gpa, uint64_t len)
{
	struct guest_balloon *b = balloon_of(host);

	if (b->is_promised) {
		bool may = may_take(b, gpa, len);
		b->is_waiting = !may || !pieces_take(b, gpa, len);
		if (b->is_waiting) {
			waiting_tell(b, may);
			return false;
		}
		b->is_waiting_told = false;
	}
	balloon_map_deflate(&b->map, gpa, len);
	return true;
}

static void balloon_report(struct balloon_host *host, gpa_t gpa, uint64_t len)
{
	balloon_map_report(&balloon_of(host)->map, gpa, len);
}

static void balloon_reset(struct balloon_host *host)
{
	balloon_map_reset(&balloon_of(host)->map);
	balloon_of(host)->most_pages = 0;
}

static const struct balloon_host_ops balloon_host_ops = {
	.release = balloon_release,
	.report = balloon_report,
	.reset = balloon_reset,
	.reclaim = balloon_reclaim,
};

/* ---- what stays ---- */

/* Where it is in the table, or would be: half of the places are free. */
static uintptr_t *place_of(struct guest_balloon *b, uintptr_t piece)
{
	unsigned at = (unsigned)(piece >> MEM_PIECE_SHIFT) % GUEST_BALLOON_PLACES;

	while (b->held[at] && b->held[at] != piece)
		at = (at + 1) % GUEST_BALLOON_PLACES;
	return &b->held[at];
}

static void hold(void *arg, const void *hva, uint64_t len)
{
	struct guest_balloon *b = arg;
	uintptr_t end = (uintptr_t)hva + len;

	for (uintptr_t at = (uintptr_t)hva & ~(MEM_PIECE_BYTES - 1); at < end && !b->is_full;
	     at += MEM_PIECE_BYTES) {
		uintptr_t *place = place_of(b, at);
		if (*place)
			continue;
		b->is_full = ++b->n_held > GUEST_BALLOON_HELD;
		*place = at;
	}
}

static void held_find(struct guest_balloon *b, struct guest *guest)
{
	memset(b->held, 0, sizeof(b->held));
	b->n_held = 0;
	b->is_full = false;
	for (unsigned i = 0; i < guest->n_devices && !b->is_full; i++)
		virtio_held(guest->devices[i]->dev, hold, b);
}

/* ---- a turn ---- */

static void pieces_give(struct guest_balloon *b, struct guest *guest)
{
	struct hv_vm *vm = hv_vm_of(guest->vm);
	gpa_t gpa;

	if (!b->map.n_wanted)
		return;
	held_find(b, guest);
	for (unsigned i = 0; i < guest->n_vcpus; i++)
		hv_vcpu_forget(guest->vcpus[i].vcpu);
	while (balloon_map_take(&b->map, &gpa)) {
		uintptr_t at = (uintptr_t)vm->touch.at[gpa >> MEM_PIECE_SHIFT];
		if (at && !b->is_full && !*place_of(b, at))
			(void)first_touch_give(&vm->touch, gpa);
	}
}

static void goal_look(struct guest_balloon *b)
{
	uint64_t goal = __atomic_load_n(&b->goal, __ATOMIC_ACQUIRE);

	if (goal == b->goal_seen)
		return;
	b->goal_seen = goal;
	b->most_pages = b->map.n_pages;
}

/* Between this turn and the next. */
static uint64_t rest_of(const struct guest_balloon *b, uint64_t took_ns)
{
	uint64_t rest_ns = took_ns * GUEST_BALLOON_REST_TIMES;
	uint64_t least_ns = b->is_waiting ? GUEST_BALLOON_WAIT_NS : GUEST_BALLOON_REST_NS;

	return rest_ns > least_ns ? rest_ns : least_ns;
}

/* The guest stands still. */
static void balloon_turn(struct guest_balloon *b, struct guest *guest)
{
	uint64_t begin_ns = clock_ns();

	goal_look(b);
	b->is_waiting = false;
	__atomic_store_n(&b->is_turn, true, __ATOMIC_SEQ_CST);
	guest_virtio_run(&b->v);
	pieces_give(b, guest);
	b->next_ns = clock_ns() + rest_of(b, clock_ns() - begin_ns);
	/* Who kicks now sees that the turn is over, or we see the kick. */
	__atomic_store_n(&b->is_turn, false, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&b->v.pending, __ATOMIC_SEQ_CST))
		timer_arm(&b->rest, b->next_ns);
}

void guest_balloon_turn(struct guest *guest)
{
	struct guest_balloon *b = guest->balloon;

	if (!b || guest_ended(guest) != GUEST_RUNS ||
	    !__atomic_load_n(&b->v.pending, __ATOMIC_ACQUIRE))
		return;
	if (clock_ns() < b->next_ns) {
		timer_arm(&b->rest, b->next_ns);
		return;
	}
	guest_still_begin(guest);
	balloon_turn(b, guest);
	guest_still_end(guest);
}

void guest_balloon_kick(struct guest_balloon *b)
{
	if (!__atomic_load_n(&b->is_turn, __ATOMIC_SEQ_CST)) /* else the turn looks itself */
		b->v.guest->config.balloon_ask(b->v.guest, b->v.guest->config.arg);
}

static void rest_is_over(struct hv_timer *timer)
{
	guest_balloon_kick(container_of(timer, struct guest_balloon, rest));
}

/* ---- life ---- */

static void balloon_fini(struct guest_virtio *v)
{
	struct guest_balloon *b = container_of(v, struct guest_balloon, v);

	timer_finish(&b->rest);
	v->guest->balloon = NULL;
	page_free(b->map.pieces, b->map_order);
}

int guest_balloon_add(struct guest *guest, struct err *err)
{
	const struct mem_slot *last = &guest->mem.slots[guest->mem.n - 1];
	const gpa_t end = last->gpa + last->size_bytes;
	struct guest_balloon *b = guest_virtio_new(guest, sizeof(*b), err);

	if (!b)
		return -err->code;
	const struct virtio_place place = { .mem = &guest->mem, .host = &b->v.host };
	b->map_order = page_order(balloon_map_bytes(end));
	struct balloon_piece *pieces = page_alloc(b->map_order);
	if (!pieces)
		return err_say(err, ENOMEM, "guest %s: no memory for a device", guest->name);
	balloon_map_init(&b->map, pieces, end);
	b->rest.fired = rest_is_over;
	b->host.ops = &balloon_host_ops;
	b->is_promised = !guest->config.overcommits;
	if (b->is_promised)
		b->host.without =
			VIRTIO_BIT(BALLOON_F_DEFLATE_ON_OOM) | VIRTIO_BIT(BALLOON_F_PAGE_REPORTING);
	b->v.fini = balloon_fini;
	guest->balloon = b;
	virtio_balloon_init(&b->dev, &place, &b->host);
	return guest_virtio_attach(&b->v, &b->dev.virtio, err);
}

/* In whole pieces; nothing beyond what it has. */
static int target_promise(struct guest *guest, uint64_t bytes, struct err *err)
{
	struct first_touch *touch = &hv_vm_of(guest->vm)->touch;
	const uint64_t held = first_touch_held_bytes(touch), is_free = page_free_bytes();

	if (first_touch_promise(touch, (bytes + MEM_PIECE_BYTES - 1) >> MEM_PIECE_SHIFT))
		return 0;
	return err_say(
		err, ENOMEM,
		"guest %s: it has %llu MiB, and the server has %llu MiB free to make that %llu",
		guest->name, (unsigned long long)held >> 20, (unsigned long long)is_free >> 20,
		(unsigned long long)bytes >> 20);
}

int guest_balloon_target(struct guest *guest, uint64_t bytes, struct err *err)
{
	struct guest_balloon *b = guest->balloon;
	const uint64_t all = guest->config.memory_bytes;

	if (bytes > all)
		return err_say(err, EINVAL,
			       "guest %s: it was started with %llu MiB of memory, and gets no more",
			       guest->name, (unsigned long long)all >> 20);
	int r = b->is_promised ? target_promise(guest, bytes, err) : 0;
	if (r < 0)
		return r;
	__atomic_store_n(&b->goal, (all - bytes) / GUEST_PAGE_BYTES, __ATOMIC_RELEASE);
	virtio_balloon_target(&b->dev, all - bytes);
	return 0;
}
