/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "engines/vmm/vhost_fake.h"
#include "engines/vmm/vhost_fs.h"
#include "engines/vmm/vhost_user.h"

#define ASKS 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct ask {
	struct share_request share;
	struct mem_iov out, in;
	uint8_t bytes[300];
	bool waits;
};

struct fuzz {
	const uint8_t *data;
	size_t size;
	struct loop *loop;
	struct vhost_fs fs;
	int its;
	struct ask asks[ASKS];
};

static uint8_t take(struct fuzz *f)
{
	if (!f->size)
		return 0;
	f->size--;
	return *f->data++;
}

/* Once for each request, with a length that it can have. */
static void done(struct share_request *share, int64_t result)
{
	struct ask *a = container_of(share, struct ask, share);

	if (!a->waits || result > share->in_bytes)
		abort();
	a->waits = false;
}

static void ask(struct fuzz *f)
{
	struct ask *a = &f->asks[take(f) % ASKS];

	if (a->waits)
		return;
	*a = (struct ask){ .share = { .n_out = 1, .n_in = 1, .done = done } };
	a->share.out_bytes = take(f);
	a->share.in_bytes = take(f);
	a->share.urgent = take(f) & 1;
	a->share.head[4] = take(f);
	a->out = (struct mem_iov){ a->bytes, a->share.out_bytes };
	a->in = (struct mem_iov){ a->bytes, a->share.in_bytes };
	a->share.out = &a->out;
	a->share.in = &a->in;
	a->waits = f->fs.share.ops->submit(&f->fs.share, &a->share) == 0;
}

/* Anywhere in the rings, a byte or two. */
static void scribble(struct fuzz *f)
{
	const size_t at = (size_t)take(f) << 8 | take(f);
	uint8_t *ring = f->fs.queues[at >> 15].desc;

	ring[at % 12287] = take(f);
	ring[at % 12287 + 1] = take(f);
}

static void use(struct fuzz *f)
{
	struct vhost_fs_queue *q = &f->fs.queues[take(f) & 1];
	const uint16_t idx = le16_load(q->used + 2);
	uint8_t *entry = q->used + 4 + (size_t)(idx % VHOST_FS_RING) * 8;

	le32_store(entry, take(f));
	le32_store(entry + 4, take(f));
	le16_store(q->used + 2, (uint16_t)(idx + 1));
	fd_poke(q->call);
}

static void step(struct fuzz *f)
{
	switch (take(f) % 6) {
	case 0:
	case 1:
		ask(f);
		return;
	case 2:
		scribble(f);
		return;
	case 3:
		use(f);
		return;
	case 4:
		if (take(f) > 250)
			vhost_fake_say(f->its, take(f), 5, 8, 0);
		return;
	default:
		(void)loop_run_once(f->loop, 0, NULL);
	}
}

/* What a program says while it is agreed with. */
static void agree(struct fuzz *f, int ours)
{
	const struct vhost_user_ring ring = { .kick = ours, .call = ours, .size = 64 };
	const struct vhost_user_setup setup = { ours, 4096, &ring, 1 };

	(void)!send(f->its, f->data, f->size, MSG_NOSIGNAL);
	(void)shutdown(f->its, SHUT_WR);
	(void)vhost_user_begin(ours, &setup, NULL);
	fd_close(ours);
	fd_close(f->its);
}

/* A program that answers garbage: each request is done once, nothing outside is touched, and nothing waits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;
	int pair[2];

	f = (struct fuzz){ .data = data, .size = size };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	f.its = pair[1];
	if (take(&f) & 1) {
		agree(&f, pair[0]);
		return 0;
	}
	vhost_fake_agree(f.its, VHOST_FS_QUEUES, 99, 0);
	if (loop_create(&f.loop, NULL) < 0 || vhost_fs_open(&f.fs, pair[0], f.loop, NULL) < 0)
		abort();
	while (f.size)
		step(&f);
	vhost_fs_fini(&f.fs);
	for (unsigned i = 0; i < ASKS; i++) {
		if (f.asks[i].waits)
			abort();
	}
	loop_free(f.loop);
	fd_close(f.its);
	return 0;
}
