/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/disk/aio.h"

#include <errno.h>
#include <limits.h>
#include <sys/uio.h>

#include "base/core/macros.h"
#include "storage/disk/private.h"

#define AIO_DEPTH_MAX	1024U
#define AIO_RETRIES_MAX 100U		     /* of a step that the kernel says to try again */
#define AIO_STEP_MAX	UINT64_C(0x7ffff000) /* read(2): the most that one call moves */
#define AIO_ROUNDS	8U		     /* of aio_reap(): the owner has other work */
#define AIO_ZEROES	16384U

_Static_assert(sizeof(struct mem_iov) == sizeof(struct iovec) &&
		       offsetof(struct mem_iov, len) == offsetof(struct iovec, iov_len),
	       "the kernel reads a list of mem_iov as one of iovec");

/* Never written: all its pages are in the program's read-only data, and shared. */
static const uint8_t aio_zeroes[AIO_ZEROES];

void aio_list_init(struct aio_list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

void aio_list_add(struct aio_list *list, struct aio_request *req)
{
	req->next = NULL;
	*list->tail = req;
	list->tail = &req->next;
}

struct aio_request *aio_list_pop(struct aio_list *list)
{
	struct aio_request *req = list->head;

	if (req) {
		list->head = req->next;
		if (!list->head)
			list->tail = &list->head;
		req->next = NULL;
	}
	return req;
}

void aio_init(struct aio *aio, const struct aio_ops *ops, unsigned depth)
{
	aio->ops = ops;
	aio->depth = depth;
	aio_list_init(&aio->pending);
	aio_list_init(&aio->finished);
}

int aio_create(unsigned depth, enum aio_kind kind, struct aio **ret, struct err *err)
{
	if (depth < 1 || depth > AIO_DEPTH_MAX)
		return err_say(err, EINVAL, "an I/O queue of %u requests: 1 to %u", depth,
			       AIO_DEPTH_MAX);
	if (kind != AIO_THREADS) {
		int r = aio_uring_create(depth, ret, err);
		if (r == 0 || kind == AIO_URING)
			return r;
	}
	return aio_threads_create(depth, ret, err);
}

void aio_destroy(struct aio *aio)
{
	if (aio)
		aio->ops->destroy(aio);
}

int aio_fd(const struct aio *aio)
{
	return aio->ops->fd(aio);
}

int aio_attach(struct aio *aio, int fd)
{
	if (aio->sealed)
		return -EBUSY;
	if (aio->n_files == AIO_FILES)
		return -ENOSPC;
	aio->files[aio->n_files++] = fd;
	return 0;
}

/* The place stays, empty, when sealed: the kernel's table is numbered as ours is. */
void aio_detach(struct aio *aio, int fd)
{
	for (unsigned i = 0; i < aio->n_files; i++) {
		if (aio->files[i] != fd)
			continue;
		aio->files[i] = -EBADF;
		if (!aio->sealed)
			aio->files[i] = aio->files[--aio->n_files];
		return;
	}
}

int aio_seal(struct aio *aio, struct err *err)
{
	int r = aio->ops->seal(aio, err);

	aio->sealed = r == 0;
	return r;
}

int aio_on_threads(struct aio *aio, int (*fn)(void *arg), void *arg)
{
	return aio->ops->on_threads(aio, fn, arg);
}

/* The zeroes of a request without memory: vec, as often as they fit. */
static void aio_part_zeroes(struct aio_request *req, uint64_t left)
{
	unsigned n = 0;

	for (; n < AIO_VEC && left > 0; n++) {
		uint64_t len = left < AIO_ZEROES ? left : AIO_ZEROES;
		req->vec[n] = (struct mem_iov){ (void *)(uintptr_t)aio_zeroes, len };
		left -= len;
	}
	req->part = req->vec;
	req->n_part = n;
}

/* Whether the caller's list can be handed on as it is. */
static bool aio_whole(const struct aio_request *req)
{
	uint64_t sum = 0;

	if (req->moved_bytes + req->skip_bytes > 0 || req->n_iov > IOV_MAX ||
	    req->len_bytes > AIO_STEP_MAX)
		return false;
	for (unsigned i = 0; i < req->n_iov; i++)
		sum += req->iov[i].len;
	return sum == req->len_bytes;
}

/* The next pieces of memory: vec is where a part of the list has to be cut out. */
static void aio_part(struct aio_request *req)
{
	uint64_t left = req->len_bytes - req->moved_bytes;
	uint64_t skip = req->skip_bytes + req->moved_bytes;
	unsigned n = 0;

	if (left > AIO_STEP_MAX)
		left = AIO_STEP_MAX;
	if (!req->iov) {
		aio_part_zeroes(req, left);
		return;
	}
	if (aio_whole(req)) {
		req->part = req->iov;
		req->n_part = req->n_iov;
		return;
	}
	for (unsigned i = 0; i < req->n_iov && n < AIO_VEC && left > 0; i++) {
		if (skip >= req->iov[i].len) {
			skip -= req->iov[i].len;
			continue;
		}
		uint64_t len = req->iov[i].len - skip;
		if (len > left)
			len = left;
		req->vec[n++] = (struct mem_iov){ (char *)req->iov[i].hva + skip, len };
		left -= len;
		skip = 0;
	}
	req->part = req->vec;
	req->n_part = n;
}

static void aio_push(struct aio *aio)
{
	bool any = false;

	while (aio->under_way < aio->depth) {
		struct aio_request *req = aio_list_pop(&aio->pending);
		if (!req)
			break;
		if (req->op == AIO_READ || req->op == AIO_WRITE)
			aio_part(req);
		aio->under_way++;
		aio->ops->start(aio, req);
		any = true;
	}
	if (any)
		aio->ops->kick(aio);
}

static void aio_finish(struct aio *aio, struct aio_request *req, int64_t result)
{
	req->result = result;
	aio_list_add(&aio->finished, req);
}

void aio_step(struct aio *aio, struct aio_request *req, int64_t result)
{
	bool moves = req->op == AIO_READ || req->op == AIO_WRITE;

	aio->under_way--;
	if ((result == -EINTR || result == -EAGAIN) && req->retries++ < AIO_RETRIES_MAX) {
		aio_list_add(&aio->pending, req);
		return;
	}
	if (result < 0 || !moves) {
		aio_finish(aio, req, result < 0 ? result : 0);
		return;
	}
	req->moved_bytes += (uint64_t)result;
	if (req->moved_bytes >= req->len_bytes || (result == 0 && req->op == AIO_READ))
		aio_finish(aio, req, (int64_t)req->moved_bytes);
	else if (result == 0)
		aio_finish(aio, req, -ENOSPC); /* a device that takes no more */
	else
		aio_list_add(&aio->pending, req);
}

void aio_submit(struct aio *aio, struct aio_request *req)
{
	req->moved_bytes = 0;
	req->retries = 0;
	aio_list_add(&aio->pending, req);
	if (!aio->plugged && !aio->reaping)
		aio_push(aio);
}

void aio_plug(struct aio *aio)
{
	aio->plugged++;
}

void aio_unplug(struct aio *aio)
{
	if (--aio->plugged == 0 && !aio->reaping)
		aio_push(aio);
}

unsigned aio_reap(struct aio *aio)
{
	unsigned n = 0, before, rounds = 0;

	if (aio->reaping)
		return 0;
	aio->reaping = true;
	do {
		struct aio_request *req;
		before = n;
		aio->ops->collect(aio);
		while ((req = aio_list_pop(&aio->finished))) {
			req->done(req, req->result);
			n++;
		}
		aio_push(aio);
	} while (n > before && ++rounds < AIO_ROUNDS);
	aio->reaping = false;
	return n;
}

unsigned aio_wait(struct aio *aio)
{
	unsigned n;

	while ((n = aio_reap(aio)) == 0 && aio->under_way > 0)
		aio->ops->wait(aio);
	return n;
}
