/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/fakes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"

/* ---- network ---- */

static int fake_net_send(struct net *net, const struct mem_iov *iov, unsigned n)
{
	struct fake_net *f = container_of(net, struct fake_net, net);
	uint32_t len = 0;

	if (f->full)
		return -EAGAIN;
	if (n < 2 || iov[0].len != 12)
		abort();
	for (unsigned i = 0; i < n; i++) {
		if (iov[i].len > FAKE_FRAME_BYTES - len)
			abort();
		memcpy(f->sent + len, iov[i].hva, iov[i].len);
		len += (uint32_t)iov[i].len;
	}
	f->sent_bytes = len;
	f->n_sent++;
	return 0;
}

static int64_t fake_net_receive(struct net *net, const struct mem_iov *iov, unsigned n)
{
	struct fake_net *f = container_of(net, struct fake_net, net);
	uint32_t at = 0;
	int error = f->receive_error;

	f->receive_error = 0;
	if (error)
		return error;
	if (f->n == 0)
		return -EAGAIN;
	const uint32_t len = f->lens[f->first];
	for (unsigned i = 0; i < n; i++) {
		for (uint64_t k = 0; k < iov[i].len && at < len; k++, at++)
			((uint8_t *)iov[i].hva)[k] = fake_net_byte(at, len);
	}
	f->first = (f->first + 1) % FAKE_FRAMES;
	f->n--;
	return len;
}

static int fake_net_offload_set(struct net *net, uint64_t features)
{
	struct fake_net *f = container_of(net, struct fake_net, net);

	f->offload_set = features;
	f->n_offload_sets++;
	return features & ~net->offloads ? -EINVAL : 0;
}

static void fake_net_close(struct net *net)
{
	(void)net;
}

static const struct net_ops fake_net_ops = {
	.name = "fake",
	.send = fake_net_send,
	.receive = fake_net_receive,
	.offload_set = fake_net_offload_set,
	.close = fake_net_close,
};

void fake_net_init(struct fake_net *n, uint64_t offloads, uint16_t mtu)
{
	memset(n, 0, sizeof(*n));
	n->net = (struct net){ .ops = &fake_net_ops, .offloads = offloads, .mtu = mtu };
}

bool fake_net_put(struct fake_net *n, uint32_t len)
{
	if (n->n == FAKE_FRAMES)
		return false;
	n->lens[(n->first + n->n++) % FAKE_FRAMES] = len;
	return true;
}

/* ---- console ---- */

static int64_t fake_console_write(struct console *console, const void *data, size_t len)
{
	struct fake_console *c = container_of(console, struct fake_console, console);
	size_t n = c->room - c->n_out;

	if (c->broken)
		return -EPIPE;
	if (n > len)
		n = len;
	memcpy(c->out + c->n_out, data, n);
	c->n_out += n;
	return (int64_t)n;
}

static int64_t fake_console_read(struct console *console, void *ret, size_t len)
{
	struct fake_console *c = container_of(console, struct fake_console, console);
	size_t n = c->n_in < len ? c->n_in : len;

	if (n == 0)
		return c->ended ? -EPIPE : 0;
	memcpy(ret, c->in, n);
	memmove(c->in, c->in + n, c->n_in - n);
	c->n_in -= n;
	return (int64_t)n;
}

static void fake_console_open(struct console *console, bool open)
{
	struct fake_console *c = container_of(console, struct fake_console, console);

	c->guest_open = open;
	c->n_opens++;
}

static void fake_console_close(struct console *console)
{
	(void)console;
}

static const struct console_ops fake_console_ops = {
	.write = fake_console_write,
	.read = fake_console_read,
	.guest_open = fake_console_open,
	.close = fake_console_close,
};

void fake_console_init(struct fake_console *c)
{
	memset(c, 0, sizeof(*c));
	c->console.ops = &fake_console_ops;
	c->room = FAKE_CONSOLE_BYTES;
}

void fake_console_put(struct fake_console *c, const void *data, size_t len)
{
	if (len > FAKE_CONSOLE_BYTES - c->n_in)
		len = FAKE_CONSOLE_BYTES - c->n_in;
	memcpy(c->in + c->n_in, data, len);
	c->n_in += len;
}

/* ---- entropy ---- */

static int fake_entropy_get(struct entropy *entropy, void *ret, size_t len)
{
	struct fake_entropy *e = container_of(entropy, struct fake_entropy, entropy);

	if (e->fail)
		return e->fail;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)ret)[i] = ++e->next;
	return 0;
}

static const struct entropy_ops fake_entropy_ops = { .get = fake_entropy_get };

void fake_entropy_init(struct fake_entropy *e)
{
	*e = (struct fake_entropy){ .entropy = { .ops = &fake_entropy_ops } };
}

/* ---- balloon ---- */

static void fake_balloon_release(struct balloon_host *host, gpa_t gpa, uint64_t len)
{
	struct fake_balloon *b = container_of(host, struct fake_balloon, host);

	if (!len || (gpa | len) % GUEST_PAGE_BYTES)
		abort();
	b->released += len;
	b->last_gpa = gpa;
	b->last_len = len;
	b->n_releases++;
}

static bool fake_balloon_reclaim(struct balloon_host *host, gpa_t gpa, uint64_t len)
{
	struct fake_balloon *b = container_of(host, struct fake_balloon, host);

	(void)gpa;
	if (b->is_short)
		return false;
	b->reclaimed += len;
	return true;
}

static void fake_balloon_stats(struct balloon_host *host, const struct balloon_stats *stats)
{
	struct fake_balloon *b = container_of(host, struct fake_balloon, host);

	b->stats = *stats;
	b->n_stats++;
}

static const struct balloon_host_ops fake_balloon_ops = {
	.release = fake_balloon_release,
	.reclaim = fake_balloon_reclaim,
	.stats = fake_balloon_stats,
};

void fake_balloon_init(struct fake_balloon *b)
{
	*b = (struct fake_balloon){ .host = { .ops = &fake_balloon_ops } };
}

/* ---- vsock ---- */

static struct fake_vsock *fake_vsock_of(struct vsock_host *host)
{
	return container_of(host, struct fake_vsock, host);
}

static struct fake_endpoint *fake_endpoint_of(struct fake_vsock *v, struct vsock_stream *stream)
{
	for (unsigned i = 0; i < VSOCK_STREAMS; i++) {
		if (v->endpoints[i].stream == stream)
			return &v->endpoints[i];
	}
	return NULL;
}

/* One that the host asked for has no endpoint of ours before it is connected. */
static struct fake_endpoint *fake_endpoint_new(struct fake_vsock *v, struct vsock_stream *stream)
{
	struct fake_endpoint *e = fake_endpoint_of(v, NULL);

	if (!e || fake_endpoint_of(v, stream))
		abort();
	e->n_in = e->n_out = 0;
	e->room = sizeof(e->out);
	e->ended = e->broken = e->shut = false;
	e->stream = stream;
	return e;
}

static int fake_vsock_connect(struct vsock_host *host, struct vsock_stream *stream)
{
	struct fake_vsock *v = fake_vsock_of(host);

	if (v->answer < 0 && v->answer != -EINPROGRESS)
		return v->answer;
	fake_endpoint_new(v, stream)->connected = v->answer == 0;
	return v->answer;
}

static void fake_vsock_connected(struct vsock_host *host, struct vsock_stream *stream)
{
	fake_endpoint_new(fake_vsock_of(host), stream)->connected = true;
}

static struct fake_endpoint *fake_vsock_open(struct vsock_host *host, struct vsock_stream *stream)
{
	struct fake_endpoint *e = fake_endpoint_of(fake_vsock_of(host), stream);

	if (!e)
		abort();
	return e;
}

static int64_t fake_vsock_write(struct vsock_host *host, struct vsock_stream *stream,
				const void *data, size_t len)
{
	struct fake_endpoint *e = fake_vsock_open(host, stream);
	size_t n = e->room - e->n_out;

	if (e->shut || !len)
		abort();
	if (e->broken)
		return -EPIPE;
	if (n > len)
		n = len;
	memcpy(e->out + e->n_out, data, n);
	e->n_out += n;
	return (int64_t)n;
}

static int64_t fake_vsock_read(struct vsock_host *host, struct vsock_stream *stream, void *ret,
			       size_t len)
{
	struct fake_endpoint *e = fake_vsock_open(host, stream);
	size_t n = e->n_in < len ? e->n_in : len;

	if (e->broken)
		return -ECONNRESET;
	if (n == 0)
		return e->ended ? -EPIPE : 0;
	memcpy(ret, e->in, n);
	memmove(e->in, e->in + n, e->n_in - n);
	e->n_in -= n;
	return (int64_t)n;
}

static void fake_vsock_shutdown(struct vsock_host *host, struct vsock_stream *stream)
{
	fake_vsock_open(host, stream)->shut = true;
}

static void fake_vsock_close(struct vsock_host *host, struct vsock_stream *stream)
{
	struct fake_endpoint *e = fake_endpoint_of(fake_vsock_of(host), stream);

	fake_vsock_of(host)->n_closes++;
	if (e)
		e->stream = NULL;
}

static const struct vsock_host_ops fake_vsock_ops = {
	.connect = fake_vsock_connect,
	.connected = fake_vsock_connected,
	.write = fake_vsock_write,
	.read = fake_vsock_read,
	.shutdown = fake_vsock_shutdown,
	.close = fake_vsock_close,
};

static void *fake_heap_alloc(const struct mem_ops *ops, size_t len)
{
	struct fake_vsock *v = container_of(ops, struct fake_vsock, heap);

	if (v->buffers_left == 0)
		return NULL;
	v->buffers_left--;
	v->n_buffers++;
	return calloc(1, len);
}

static void fake_heap_free(const struct mem_ops *ops, void *ptr)
{
	struct fake_vsock *v = container_of(ops, struct fake_vsock, heap);

	if (ptr) {
		v->n_buffers--;
		v->buffers_left++;
	}
	free(ptr);
}

void fake_vsock_init(struct fake_vsock *v)
{
	/* Large: what endpoints hold is set when one is opened. */
	for (unsigned i = 0; i < VSOCK_STREAMS; i++)
		v->endpoints[i].stream = NULL;
	v->answer = 0;
	v->n_closes = v->n_buffers = 0;
	v->host.ops = &fake_vsock_ops;
	v->heap = (struct mem_ops){ .alloc = fake_heap_alloc, .free = fake_heap_free };
	v->buffers_left = VSOCK_STREAMS;
}

struct fake_endpoint *fake_vsock_find(struct fake_vsock *v, uint32_t guest_port, uint32_t host_port)
{
	for (unsigned i = 0; i < VSOCK_STREAMS; i++) {
		const struct vsock_stream *s = v->endpoints[i].stream;
		if (s && s->guest_port == guest_port && s->host_port == host_port)
			return &v->endpoints[i];
	}
	return NULL;
}
