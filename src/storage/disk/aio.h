/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Asynchronous file I/O for one owner thread.
 *
 * Theory of operation. A struct aio is one queue. Its owner thread submits requests, waits until aio_fd() is readable
 * (in its epoll loop), and calls aio_reap(), which calls each finished request's done(); after a batch of submits it
 * does so too, for much is done by then. Two implementations do the
 * same: io_uring by raw system calls, and a small pool of threads for where io_uring is denied (a container's
 * profile, kernel.io_uring_disabled). Short transfers are continued here, so a request is either whole or failed; only
 * a read that meets the end of its file is short.
 *
 * Thread rule: every function is called by the owner; done() runs in aio_reap() and aio_wait(), never in
 * aio_submit(); it may submit, but neither reap nor wait. Creating, attaching and sealing may happen on another thread before the owner starts.
 *
 * System calls after aio_seal(), for a seccomp filter: src/engines/vmm/threads.c lists them.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "machine/types.h"

enum aio_kind {
	AIO_ANY,
	AIO_URING,
	AIO_THREADS
}; /* any: io_uring, or threads where it is denied */

enum aio_op {
	AIO_READ,
	AIO_WRITE,
	AIO_SYNC,  /* fdatasync(2) */
	AIO_PUNCH, /* fallocate(2): FALLOC_FL_PUNCH_HOLE, size kept */
	AIO_ZERO,  /* fallocate(2): FALLOC_FL_ZERO_RANGE, size kept */
};

#define AIO_VEC	  8  /* pieces of memory that one step moves where the whole list cannot be used */
#define AIO_FILES 32 /* attached ones */

/* Zeroed but for what its owner sets; the owner keeps it, and iov, until done(). */
struct aio_request {
	enum aio_op op;
	int fd;
	uint64_t offset_bytes, len_bytes; /* len > 0, but for AIO_SYNC */
	const struct mem_iov *iov;	  /* AIO_WRITE: NULL writes zeroes */
	unsigned n_iov;			  /* at most IOV_MAX */
	uint64_t skip_bytes;		  /* the transfer starts so far into iov */
	/* Bytes moved (0 for the others), or -errno. */
	void (*done)(struct aio_request *req, int64_t result);

	/* The queue's, while it is under way. */
	struct aio_request *next;
	uint64_t moved_bytes;
	int64_t result;
	unsigned retries;
	const struct mem_iov *part;
	unsigned n_part;
	struct mem_iov vec[AIO_VEC];
};

struct aio;

/*
 * aio_create() - a queue
 * @depth: requests under way at once, 1 to 1024; more wait in the queue
 * Errors: AIO_URING where the kernel denies it: -ENOSYS, -EPERM. -ENOMEM, -EAGAIN (threads).
 * Source: io_uring_setup(2), io_uring(7).
 */
int aio_create(unsigned depth, enum aio_kind kind, struct aio **ret, struct err *err);
/* aio_destroy() - nothing is under way. NULL is a no-op. */
void aio_destroy(struct aio *aio);

/* aio_fd() - readable when aio_reap() has something to do; borrowed. */
int aio_fd(const struct aio *aio);

/*
 * aio_attach() - a file that requests will name; aio_detach() forgets it. Disks do this for their own.
 * Return: 0, or -ENOSPC past AIO_FILES, -EBUSY when sealed.
 */
int aio_attach(struct aio *aio, int fd);
void aio_detach(struct aio *aio, int fd);
/*
 * aio_seal() - the queue's own threads, where it has any, are made; and from here on only the attached files, and only the operations above
 * Before the first request; no more system calls are needed than src/engines/vmm/threads.c lists. An io_uring gets its
 * restrictions registered, which the kernel then enforces. Return: 0 or -errno.
 * Source: io_uring_register(2), IORING_REGISTER_RESTRICTIONS.
 */
int aio_seal(struct aio *aio, struct err *err);

/*
 * aio_on_threads() - run fn once on each of the queue's own threads, one after the other, as a filter of system calls
 * wants to be installed; with io_uring there are none. Nothing is under way.
 * Return: 0, or what the first that failed returned.
 */
int aio_on_threads(struct aio *aio, int (*fn)(void *arg), void *arg);

/* aio_submit() - cannot fail: an error is the request's result. */
void aio_submit(struct aio *aio, struct aio_request *req);
/* aio_plug() - what is submitted until aio_unplug() goes out at once, with one system call. They nest. */
void aio_plug(struct aio *aio);
void aio_unplug(struct aio *aio);
/* aio_reap() - run the completions that are there; does not block. Return: how many. */
unsigned aio_reap(struct aio *aio);
/* aio_wait() - block until at least one request is finished, and reap; 0 at once when none is under way. */
unsigned aio_wait(struct aio *aio);
