/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "storage/disk/private.h"

/*
 * The rings are shared with the kernel: the submission tail is ours and released after its entries are written, the completion
 * tail is the kernel's and acquired before its entries are read. Only the owner thread touches them.
 * Source: io_uring(7), linux/io_uring.h.
 */
struct uring {
	struct aio aio;
	int fd; /* of the ring: readable while completions are there */
	uint8_t *rings;
	size_t rings_bytes, sqes_bytes;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	uint32_t *sq_tail, *cq_head, *cq_tail; /* in rings */
	uint32_t sq_mask, cq_mask;
	uint32_t started; /* submission entries that the kernel has not been told of */
	bool enabled;
};

static struct uring *uring_of(const struct aio *aio)
{
	return container_of(aio, struct uring, aio);
}

static int uring_enter(int fd, unsigned submit, unsigned wait)
{
	long n = syscall(SYS_io_uring_enter, fd, submit, wait, wait ? IORING_ENTER_GETEVENTS : 0,
			 NULL, 0);
	return n < 0 ? -errno : (int)n;
}

static int uring_register(int fd, unsigned op, const void *arg, unsigned n)
{
	return syscall(SYS_io_uring_register, fd, op, arg, n) < 0 ? -errno : 0;
}

/* Where a sealed ring's table has the file; one that is not there gets a number that the kernel refuses. */
static int uring_file(const struct aio *aio, int fd)
{
	for (unsigned i = 0; i < aio->n_files; i++) {
		if (aio->files[i] == fd)
			return (int)i;
	}
	return AIO_FILES;
}

static void uring_prepare(const struct aio *aio, const struct aio_request *req,
			  struct io_uring_sqe *sqe)
{
	*sqe = (struct io_uring_sqe){
		.fd = aio->sealed ? uring_file(aio, req->fd) : req->fd,
		.flags = aio->sealed ? IOSQE_FIXED_FILE : 0,
		.user_data = (uintptr_t)req,
		.off = req->offset_bytes + req->moved_bytes,
	};
	switch (req->op) {
	case AIO_READ:
	case AIO_WRITE:
		sqe->opcode = req->op == AIO_READ ? IORING_OP_READV : IORING_OP_WRITEV;
		sqe->addr = (uintptr_t)req->part;
		sqe->len = req->n_part;
		break;
	case AIO_PUNCH:
	case AIO_ZERO:
		sqe->opcode = IORING_OP_FALLOCATE;
		sqe->addr = req->len_bytes;
		sqe->len = FALLOC_FL_KEEP_SIZE |
			   (req->op == AIO_ZERO ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE);
		break;
	case AIO_SYNC:
	default:
		sqe->opcode = IORING_OP_FSYNC;
		sqe->fsync_flags = IORING_FSYNC_DATASYNC;
		sqe->off = 0;
		break;
	}
}

/* The ring has as many entries as the queue is deep, and the kernel takes each at the next kick: there is room. */
static void uring_start(struct aio *aio, struct aio_request *req)
{
	struct uring *uring = uring_of(aio);
	uint32_t tail = *uring->sq_tail;

	uring_prepare(aio, req, &uring->sqes[tail & uring->sq_mask]);
	__atomic_store_n(uring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	uring->started++;
}

/* The kernel will not have them (a seccomp filter that forgot us, say): they are taken back, and failed. */
static void uring_take_back(struct uring *uring, int error)
{
	uint32_t tail = *uring->sq_tail, n = uring->started;

	__atomic_store_n(uring->sq_tail, tail - n, __ATOMIC_RELEASE);
	uring->started = 0;
	for (uint32_t i = tail - n; i != tail; i++) {
		uint64_t data = uring->sqes[i & uring->sq_mask].user_data;
		aio_step(&uring->aio, (struct aio_request *)(uintptr_t)data, error);
	}
}

/*
 * EAGAIN and ENOMEM are a want of memory, which passes. There is always room for the completions: no more are
 * under way than the ring is deep.
 */
static void uring_kick(struct aio *aio)
{
	struct uring *uring = uring_of(aio);

	if (!uring->enabled) {
		(void)uring_register(uring->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
		uring->enabled = true; /* where that failed, the next call says so */
	}
	while (uring->started > 0) {
		int n = uring_enter(uring->fd, uring->started, 0);
		if (n >= 0)
			uring->started -= (uint32_t)n;
		else if (n == -EAGAIN || n == -EBUSY || n == -ENOMEM)
			(void)sched_yield();
		else if (n != -EINTR)
			uring_take_back(uring, n == -EPERM ? -EIO : n);
	}
}

static void uring_collect(struct aio *aio)
{
	struct uring *uring = uring_of(aio);
	uint32_t head = *uring->cq_head;
	uint32_t tail = __atomic_load_n(uring->cq_tail, __ATOMIC_ACQUIRE);

	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &uring->cqes[head & uring->cq_mask];
		struct aio_request *req = (struct aio_request *)(uintptr_t)cqe->user_data;
		aio_step(aio, req, cqe->res);
	}
	__atomic_store_n(uring->cq_head, head, __ATOMIC_RELEASE);
}

static void uring_wait(struct aio *aio)
{
	(void)uring_enter(uring_of(aio)->fd, 0, 1); /* woken early: the caller looks again */
}

static int uring_fd(const struct aio *aio)
{
	return uring_of(aio)->fd;
}

static int uring_seal(struct aio *aio, struct err *err)
{
	struct uring *uring = uring_of(aio);
	static const uint8_t ops[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
				       IORING_OP_FALLOCATE };
	struct io_uring_restriction rules[ARRAY_SIZE(ops) + 1] = { 0 };

	if (uring->enabled)
		return err_say(err, EBUSY, "seal an I/O queue that is in use");
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		rules[i].opcode = IORING_RESTRICTION_SQE_OP;
		rules[i].sqe_op = ops[i];
	}
	rules[ARRAY_SIZE(ops)].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	rules[ARRAY_SIZE(ops)].sqe_flags = IOSQE_FIXED_FILE;

	int r = aio->n_files == 0 ? 0
				  : uring_register(uring->fd, IORING_REGISTER_FILES, aio->files,
						   aio->n_files);
	if (r == 0)
		r = uring_register(uring->fd, IORING_REGISTER_RESTRICTIONS, rules,
				   ARRAY_SIZE(rules));
	if (r == 0)
		r = uring_register(uring->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (r < 0)
		return err_set(err, -r, "seal an io_uring");
	uring->enabled = true;
	return 0;
}

static int uring_on_threads(struct aio *aio, int (*fn)(void *arg), void *arg)
{
	(void)aio;
	(void)fn;
	(void)arg;
	return 0; /* the kernel's workers run no code of ours */
}

static void uring_destroy(struct aio *aio)
{
	struct uring *uring = uring_of(aio);

	if (uring->sqes)
		(void)munmap(uring->sqes, uring->sqes_bytes);
	if (uring->rings)
		(void)munmap(uring->rings, uring->rings_bytes);
	fd_close(uring->fd);
	free(uring);
}

static const struct aio_ops uring_ops = {
	.destroy = uring_destroy,
	.fd = uring_fd,
	.seal = uring_seal,
	.on_threads = uring_on_threads,
	.start = uring_start,
	.kick = uring_kick,
	.collect = uring_collect,
	.wait = uring_wait,
};

static void *uring_map(int fd, size_t len, uint64_t offset)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		       (off_t)offset);
	return p == MAP_FAILED ? NULL : p;
}

/* Both rings are in one mapping (IORING_FEAT_SINGLE_MMAP, Linux 5.4). */
static int uring_map_rings(struct uring *uring, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);

	if (!(p->features & IORING_FEAT_SINGLE_MMAP) || !(p->features & IORING_FEAT_SUBMIT_STABLE))
		return -ENOSYS;
	uring->rings_bytes = sq > cq ? sq : cq;
	uring->sqes_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
	uring->rings = uring_map(uring->fd, uring->rings_bytes, IORING_OFF_SQ_RING);
	uring->sqes = uring_map(uring->fd, uring->sqes_bytes, IORING_OFF_SQES);
	if (!uring->rings || !uring->sqes)
		return -ENOMEM;

	uring->sq_tail = (uint32_t *)(void *)(uring->rings + p->sq_off.tail);
	uring->cq_head = (uint32_t *)(void *)(uring->rings + p->cq_off.head);
	uring->cq_tail = (uint32_t *)(void *)(uring->rings + p->cq_off.tail);
	uring->cqes = (struct io_uring_cqe *)(void *)(uring->rings + p->cq_off.cqes);
	uring->sq_mask = p->sq_entries - 1;
	uring->cq_mask = p->cq_entries - 1;
	uint32_t *array = (uint32_t *)(void *)(uring->rings + p->sq_off.array);
	for (uint32_t i = 0; i < p->sq_entries; i++)
		array[i] = i;
	return 0;
}

int aio_uring_create(unsigned depth, struct aio **ret, struct err *err)
{
	struct io_uring_params params = { .flags = IORING_SETUP_R_DISABLED };
	struct uring *uring = calloc(1, sizeof(*uring));

	if (!uring)
		return err_set(err, ENOMEM, "make an I/O queue");
	aio_init(&uring->aio, &uring_ops, depth);
	uring->fd = (int)syscall(SYS_io_uring_setup, depth, &params);
	int r = uring->fd < 0 ? -errno : uring_map_rings(uring, &params);
	/* io_uring_setup() makes its fd close-on-exec. */
	if (r < 0) {
		uring_destroy(&uring->aio);
		return err_set(err, -r, "make an io_uring");
	}
	*ret = &uring->aio;
	return 0;
}
