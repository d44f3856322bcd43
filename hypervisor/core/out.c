/* SPDX-License-Identifier: Apache-2.0 */
#include "core/out.h"

void out_init(struct out *out, unsigned (*room)(struct out *out),
	      void (*put)(struct out *out, char c))
{
	out->room = room;
	out->put = put;
	out->first = out->n = 0;
	out->left = 0;
	out->waiting = NULL;
	out->end = &out->waiting;
}

static void row_put(struct out *out, struct out_waiter *w)
{
	w->waits = true;
	w->next = NULL;
	*out->end = w;
	out->end = &w->next;
}

bool out_may_put(struct out *out, struct out_waiter *w, size_t len)
{
	bool is_turn = w->may_put || (!out->waiting && out->n < OUT_GUESTS_BYTES);

	if (is_turn && len <= out_room(out)) {
		w->may_put = false;
		return true;
	}
	w->may_put = false;
	if (!w->waits)
		row_put(out, w);
	return false;
}

void out_put(struct out *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && out->n < OUT_BYTES; i++)
		out->bytes[(out->first + out->n++) % OUT_BYTES] = bytes[i];
}

unsigned out_move(struct out *out, unsigned most)
{
	unsigned moved = 0;

	while (out->n && moved < most) {
		if (!out->left)
			out->left = out->room(out);
		if (!out->left)
			break;
		out->put(out, out->bytes[out->first]);
		out->first = (out->first + 1) % OUT_BYTES;
		out->n--;
		out->left--;
		moved++;
	}
	return moved;
}

struct out_waiter *out_next(struct out *out)
{
	struct out_waiter *w = out->n < OUT_GUESTS_BYTES ? out->waiting : NULL;

	if (w) {
		out_forget(out, w);
		w->may_put = true;
	}
	return w;
}

void out_forget(struct out *out, struct out_waiter *w)
{
	struct out_waiter **at = &out->waiting;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at) {
		*at = w->next;
		if (!*at)
			out->end = at;
	}
	w->waits = w->may_put = false;
}

void out_drop(struct out *out)
{
	out->n = 0;
	out->left = 0;
}
