/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/loop.h"
#include "network/passt.h"

#define LENGTH_BYTES 4U
#define HEADER_BYTES 12U /* struct virtio_net_hdr_mrg_rxbuf: machine/ops.h */
#define IN_BYTES     (2 * (LENGTH_BYTES + PASST_FRAME_MAX))

struct net_passt {
	struct net net;
	struct loop *loop;
	int fd;
	uint32_t events; /* what the loop waits for */
	bool hung; /* the other end is closed: the loop would say so for ever, and forgot it */
	bool broken;
	size_t in_at, in_end, out_at, out_end;
	uint8_t in[IN_BYTES];			     /* what came and was not taken */
	uint8_t out[LENGTH_BYTES + PASST_FRAME_MAX]; /* a frame under way */
};

static struct net_passt *passt_of(struct net *net)
{
	return container_of(net, struct net_passt, net);
}

static void passt_watch(struct net_passt *p, uint32_t events)
{
	if (!p->hung && p->events != events && loop_mod(p->loop, p->fd, events, NULL) == 0)
		p->events = events;
}

static void passt_forget(struct net_passt *p)
{
	if (!p->hung)
		loop_del(p->loop, p->fd);
	p->hung = true;
}

static int passt_break(struct net_passt *p)
{
	passt_forget(p);
	(void)shutdown(p->fd, SHUT_RDWR); /* so that it ends */
	p->broken = true;
	return -EPIPE;
}

/* ---- to passt ---- */

/* 0: all is out; -EAGAIN: the rest waits. */
static int passt_flush(struct net_passt *p)
{
	while (p->out_at < p->out_end) {
		ssize_t n = send(p->fd, p->out + p->out_at, p->out_end - p->out_at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			passt_watch(p, p->events | EPOLLOUT);
			return -EAGAIN;
		}
		if (n < 0)
			return passt_break(p);
		p->out_at += (size_t)n;
	}
	return 0;
}

static size_t passt_length(const struct mem_iov *iov, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += iov[i].len;
	return len;
}

/* The frame without its header: without offloads that says nothing. */
static void passt_gather(const struct mem_iov *iov, unsigned n, uint8_t *to)
{
	size_t skip = HEADER_BYTES;

	for (unsigned i = 0; i < n; i++) {
		const size_t part = iov[i].len < skip ? iov[i].len : skip;
		memcpy(to, (const uint8_t *)iov[i].hva + part, iov[i].len - part);
		to += iov[i].len - part;
		skip -= part;
	}
}

static int passt_send(struct net *net, const struct mem_iov *iov, unsigned n)
{
	struct net_passt *p = passt_of(net);
	const size_t len = passt_length(iov, n);

	if (p->broken)
		return -EPIPE;
	if (len < HEADER_BYTES + PASST_FRAME_MIN || len > HEADER_BYTES + PASST_FRAME_MAX)
		return -EMSGSIZE;
	int r = passt_flush(p);
	if (r < 0)
		return r;
	const uint32_t frame = (uint32_t)(len - HEADER_BYTES);
	be32_store(p->out, frame);
	passt_gather(iov, n, p->out + LENGTH_BYTES);
	p->out_at = 0;
	p->out_end = LENGTH_BYTES + frame;
	r = passt_flush(p);
	if (r != -EAGAIN || p->out_at > 0)
		return r == -EAGAIN ? 0 : r; /* the rest goes when it can */
	p->out_end = 0;
	return -EAGAIN;
}

/* ---- from passt ---- */

/* Whether a whole frame lies there; -EPIPE for what cannot be one. */
static int passt_look(struct net_passt *p, size_t *ret_len)
{
	const size_t have = p->in_end - p->in_at;

	if (have < LENGTH_BYTES)
		return 0;
	const uint32_t len = be32_load(p->in + p->in_at);
	if (len < PASST_FRAME_MIN || len > PASST_FRAME_MAX)
		return passt_break(p);
	*ret_len = len;
	return have - LENGTH_BYTES >= len;
}

static int passt_fill(struct net_passt *p)
{
	ssize_t n;

	memmove(p->in, p->in + p->in_at, p->in_end - p->in_at);
	p->in_end -= p->in_at;
	p->in_at = 0;
	do {
		n = recv(p->fd, p->in + p->in_end, IN_BYTES - p->in_end, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		passt_watch(p, p->events | EPOLLIN);
		return -EAGAIN;
	}
	if (n <= 0)
		return passt_break(p);
	p->in_end += (size_t)n;
	return 0;
}

static void passt_scatter(const struct mem_iov *iov, unsigned n, const uint8_t *frame, size_t len)
{
	size_t skip = HEADER_BYTES;

	for (unsigned i = 0; i < n; i++) {
		const size_t zero = iov[i].len < skip ? iov[i].len : skip;
		const size_t room = iov[i].len - zero;
		const size_t part = len < room ? len : room;
		memset(iov[i].hva, 0, zero);
		memcpy((uint8_t *)iov[i].hva + zero, frame, part);
		skip -= zero;
		frame += part;
		len -= part;
	}
}

static int64_t passt_receive(struct net *net, const struct mem_iov *iov, unsigned n)
{
	struct net_passt *p = passt_of(net);
	size_t len = 0;
	int r = p->broken ? -EPIPE : passt_look(p, &len);

	while (r == 0) {
		r = passt_fill(p);
		if (r == 0)
			r = passt_look(p, &len);
	}
	if (r < 0)
		return r;
	passt_scatter(iov, n, p->in + p->in_at + LENGTH_BYTES, len);
	p->in_at += LENGTH_BYTES + len;
	return (int64_t)(HEADER_BYTES + len);
}

static void passt_close(struct net *net)
{
	if (!net)
		return;
	struct net_passt *p = passt_of(net);

	passt_forget(p);
	fd_close(p->fd);
	free(p);
}

static const struct net_ops net_passt_ops = {
	.name = "passt",
	.send = passt_send,
	.receive = passt_receive,
	.close = passt_close,
};

/* Each event is told once; the device asks until it hears EAGAIN, which waits again. */
static void passt_ready(void *arg, uint32_t events)
{
	struct net_passt *p = arg;

	if (events & (EPOLLERR | EPOLLHUP))
		passt_forget(p);
	passt_watch(p, p->events & ~(events & (EPOLLIN | EPOLLOUT)));
	if (!p->broken)
		(void)passt_flush(p); /* the device may have nothing more to send */
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP) && p->net.readable)
		p->net.readable(&p->net, p->net.arg);
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && p->net.writable)
		p->net.writable(&p->net, p->net.arg);
}

int net_passt_open(int fd, struct loop *loop, struct net **ret, struct err *err)
{
	struct net_passt *p = calloc(1, sizeof(*p));
	int r = p ? loop_add(loop, fd, 0, passt_ready, p, err)
		  : err_set(err, ENOMEM, "a network's back end");

	if (r < 0) {
		fd_close(fd);
		free(p);
		return r;
	}
	p->net = (struct net){ .ops = &net_passt_ops, .mtu = PASST_MTU };
	p->loop = loop;
	p->fd = fd;
	*ret = &p->net;
	return 0;
}
