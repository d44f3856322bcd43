/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/pipe.h"

#include <errno.h>
#include <string.h>

#include "core/page.h"

_Static_assert(2 * PIPE_BYTES == PAGE_BYTES << PIPE_ORDER, "both rings");

static size_t ring_put(struct pipe_ring *r, const uint8_t *data, size_t len)
{
	size_t room = r->bytes ? PIPE_BYTES - r->n : 0;

	if (len > room)
		len = room;
	uint32_t at = (r->first + r->n) % PIPE_BYTES;
	size_t part = len < PIPE_BYTES - at ? len : PIPE_BYTES - at;
	memcpy(r->bytes + at, data, part);
	memcpy(r->bytes, data + part, len - part);
	r->n += (uint32_t)len;
	return len;
}

static size_t ring_get(struct pipe_ring *r, uint8_t *ret, size_t room)
{
	size_t len = room < r->n ? room : r->n;
	size_t part = len < PIPE_BYTES - r->first ? len : PIPE_BYTES - r->first;

	memcpy(ret, r->bytes + r->first, part);
	memcpy(ret + part, r->bytes, len - part);
	r->first = (r->first + (uint32_t)len) % PIPE_BYTES;
	r->n -= (uint32_t)len;
	return len;
}

size_t pipe_guest_write(struct pipe *p, const void *data, size_t len, bool *ret_wake)
{
	spin_lock(&p->lock);
	size_t n = p->is_open ? ring_put(&p->out, data, len) : 0;
	p->out_waits = n < len;
	*ret_wake = n > 0;
	spin_unlock(&p->lock);
	return n;
}

int64_t pipe_guest_read(struct pipe *p, void *ret, size_t len, bool *ret_wake)
{
	spin_lock(&p->lock);
	int64_t n = p->is_open ? (int64_t)ring_get(&p->in, ret, len) : 0;
	p->in_waits = (size_t)n < len;
	p->took += (uint32_t)n;
	*ret_wake = n > 0;
	if (n == 0 && len && p->is_open && p->in_over)
		n = -EPIPE;
	spin_unlock(&p->lock);
	return n;
}

void pipe_guest_end(struct pipe *p)
{
	spin_lock(&p->lock);
	p->out_over = true;
	spin_unlock(&p->lock);
}

int pipe_open(struct pipe *p)
{
	uint8_t *bytes = page_alloc(PIPE_ORDER);
	int r = bytes ? 0 : -ENOMEM;

	spin_lock(&p->lock);
	if (p->is_open)
		r = -EBUSY;
	if (r == 0) {
		p->is_open = true;
		p->in = (struct pipe_ring){ .bytes = bytes };
		p->out = (struct pipe_ring){ .bytes = bytes + PIPE_BYTES };
		p->in_over = false;
		p->took = 0;
		p->news_in = p->news_out = true;
		bytes = NULL;
	}
	spin_unlock(&p->lock);
	page_free(bytes, PIPE_ORDER);
	return r;
}

void pipe_close(struct pipe *p)
{
	spin_lock(&p->lock);
	uint8_t *bytes = p->is_open ? p->in.bytes : NULL;
	p->is_open = false;
	p->in = p->out = (struct pipe_ring){ NULL, 0, 0 };
	spin_unlock(&p->lock);
	page_free(bytes, PIPE_ORDER);
}

bool pipe_host_put(struct pipe *p, const void *data, size_t len)
{
	spin_lock(&p->lock);
	(void)ring_put(&p->in, data, len);
	bool tell = p->in_waits;
	p->news_in |= tell;
	spin_unlock(&p->lock);
	return tell;
}

void pipe_host_end(struct pipe *p)
{
	spin_lock(&p->lock);
	p->in_over = p->news_in = true;
	spin_unlock(&p->lock);
}

bool pipe_host_get(struct pipe *p, void *ret, size_t room, size_t *ret_n)
{
	spin_lock(&p->lock);
	*ret_n = p->is_open ? ring_get(&p->out, ret, room) : 0;
	/* Not for each byte: once half of it is free. */
	bool tell = *ret_n && p->out_waits && p->out.n <= PIPE_BYTES / 2;
	if (tell)
		p->out_waits = false;
	p->news_out |= tell;
	spin_unlock(&p->lock);
	return tell;
}

uint32_t pipe_host_took(struct pipe *p)
{
	spin_lock(&p->lock);
	uint32_t n = p->took;
	p->took = 0;
	spin_unlock(&p->lock);
	return n;
}

bool pipe_host_waits(struct pipe *p)
{
	spin_lock(&p->lock);
	bool waits = p->out.n;
	spin_unlock(&p->lock);
	return waits;
}

bool pipe_is_over(struct pipe *p)
{
	spin_lock(&p->lock);
	bool over = p->out_over && !p->out.n;
	spin_unlock(&p->lock);
	return over;
}
