/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An open qcow2 disk.
 *
 * Theory of operation. Everything runs on the owner's thread. Whatever waits is a task: its run() is called
 * from one queue (qcow2_run()), never from inside another task, so no chain of completions grows the stack. A step of a
 * request is one function; a wait names the function that goes on.
 *
 * What serialises:
 *   - Requests to the same guest clusters, when one of them may change the mapping (an allocating write, a discard):
 *     qcow2_request.c. Reads, and writes to clusters that are there, share.
 *   - `meta`: one holder at a time changes tables in memory. It may wait for I/O while it holds it.
 *   - `fill` and `unpack`: the two buffers of a cluster each. fill's holder may wait for unpack, never the reverse.
 *
 * Tables are cached in slices of up to 4 KiB; a changed one is dirty, stays in memory, and is written by the commit, which
 * holds meta, in this order:
 *   1. refcounts (new refcount blocks and L2 tables were written, as zeroes, when they were allocated)
 *   2. fdatasync: data, refcounts, empty tables
 *   3. entries of the refcount table, fdatasync, if there are any
 *   4. L2 slices and L1 entries
 *   5. fdatasync
 *   6. what the image no longer refers to: holes, refcounts less one (dirty again, for the next commit)
 * So whatever an L1 or L2 entry in the file names has its refcount and its content there before. Killed anywhere, an
 * image holds at most leaked clusters. DISK_FLUSH is a commit; so is the want of clean slices.
 *
 * An error of fdatasync leaves nobody knowing what is in the file: the disk refuses to be written from then on.
 */
#include "base/core/bytes.h"
#include "machine/disk_row.h"
#include "machine/ops.h"
#include "storage/disk/private.h"
#include "storage/disk/qcow2_header.h"

#define QCOW2_REQUESTS	  64U
#define QCOW2_SLICES	  96U
#define QCOW2_SLICE_BYTES 4096U
#define QCOW2_DIRTY_MAX	  48U  /* slices; more, and the next change waits for a commit */
#define QCOW2_FREES	  128U /* extents waiting for the commit that lets them go */
#define QCOW2_FREES_STEP  32U  /* how many one change may add */

struct qcow2;

struct qtask {
	void (*run)(struct qtask *task);
	struct qtask *next;
	struct qcow2 *q;
	void (*then)(struct qtask *task); /* qcow2_meta_take()'s */
	int64_t result;			  /* of what was waited for: < 0 is -errno */
};
struct qtasks {
	struct qtask *head, **tail;
};

/* One operation on a file, for a task. */
struct qio {
	struct aio_request io;
	struct qcow2 *q;
	struct qtask *task;
};

/* One image of the chain. */
struct qlayer {
	struct disk_file file;
	bool is_qcow2; /* else raw: what follows is unused but for size_bytes */
	uint64_t size_bytes;
	unsigned version, cluster_bits;
	struct be64 *l1;	      /* owned */
	uint32_t l1_n;		      /* entries that the disk needs */
	uint64_t l1_offset, l1_bytes; /* the whole table in the file */
};

enum slice_state { SLICE_FREE, SLICE_LOADING, SLICE_READY };
struct slice {
	enum slice_state state;
	bool dirty, is_refcount;
	const struct qlayer *layer;
	uint64_t offset; /* in the layer's file */
	uint64_t used;	 /* when, on q->tick */
	uint8_t *data;	 /* q->slice_bytes of it */
	struct mem_iov iov;
	struct qio io;
	struct qtask load; /* runs when io is done */
	struct qtasks waiters;
};

enum qmap { QMAP_NONE, QMAP_ZERO, QMAP_DATA, QMAP_PACKED };
/* A stretch of the guest's disk that one image maps in one way. */
struct qrun {
	enum qmap kind;
	bool owned;	/* QMAP_DATA: may be written in place */
	bool has_old;	/* the entry names a host cluster, which a new one would replace */
	uint64_t host;	/* QMAP_DATA: of the first byte */
	uint64_t len;	/* bytes */
	uint64_t entry; /* QMAP_PACKED */
};

/* A read of the disk through its chain, piece by piece. */
struct qread {
	struct qtask task;
	struct qtask *caller;
	struct qcow2 *q;
	uint64_t base, pos, end; /* bytes of the disk; iov starts at base */
	const struct mem_iov *iov;
	unsigned n_iov;
	unsigned level; /* the image that is asked for pos */
	uint64_t limit; /* how far its answer goes */
	struct qrun run;
	struct qio io;
};

struct qrequest {
	struct qtask task;
	struct qcow2 *q;
	struct disk_request *req;
	struct qrequest *next;	/* in arrival order, or free */
	bool active, exclusive; /* the range is held */
	uint64_t first, last;	/* the range: guest clusters */
	uint64_t pos, end;	/* what is left */
	uint64_t stop;		/* where the writing of data ends, and after() goes on */
	void (*after)(struct qrequest *r);

	/* The piece of an allocating write. */
	uint64_t len, host, clusters, start; /* start: of its first cluster, guest bytes */
	bool fresh;	/* nothing was ever written there: it reads as zeroes */
	enum qmap kind; /* what the mapping was */
	unsigned fill_step;
	int error; /* while it is undone */
	struct mem_iov fill_iov;
	struct qread read;
	struct qio io;
};

struct qfree {
	uint64_t offset, len; /* in the file; of whole clusters, or of a compressed one */
	bool is_packed;
};

/* A span of table entries that are to be written. */
struct qspan {
	uint32_t from, to;
};

struct qlock {
	struct qtask *owner;
	struct qtasks waiters;
};

struct qcow2 {
	struct disk disk;
	struct aio *aio;
	unsigned wait_ms; /* for locks */
	bool unsafe;	  /* no fdatasync */
	bool failed;	  /* nothing is written any more */

	struct qlayer *layers; /* the top one first */
	unsigned n_layers;
	struct qlayer *top;
	unsigned cluster_bits; /* the top one's */
	uint64_t cluster_bytes;

	struct qtasks ready;
	bool running;

	struct qrequest *requests; /* in use, in arrival order */
	struct qrequest *free_requests;
	struct disk_row waiting;
	unsigned n_blocked;

	struct qlock meta, fill, unpack;

	struct slice slices[QCOW2_SLICES];
	unsigned slice_bytes, n_dirty;
	uint64_t tick;
	struct qtasks slot_waiters;

	/* Refcounts; meta. */
	struct be64 *rt;
	uint32_t rt_n;
	uint64_t rt_offset, rt_bytes; /* the whole table in the file */
	struct qspan rt_dirty, l1_dirty;
	uint64_t hint;	     /* no cluster below is free */
	uint64_t high_water; /* bytes: from here on the file was never written */
	struct {
		struct qtask task, *caller;
		unsigned want;
		uint64_t index; /* cluster looked at */
		uint64_t host;	/* result, bytes */
		bool fresh;	/* result */
		struct qio io;
	} alloc;
	struct {
		struct qtask task, *caller;
		uint64_t l1_index, host;
		struct qio io;
	} l2; /* qcow2_l2_make() */

	struct qfree frees[QCOW2_FREES];
	unsigned n_frees;

	struct {
		struct qtask task;
		struct qtasks current, next;
		bool active;
		unsigned left; /* slices being written */
		int error;
		unsigned free_i;     /* step 6 */
		uint64_t free_index; /* cluster */
		bool free_all;	     /* every cluster of the extent is free now */
		struct mem_iov iov;
		struct qio io;
	} commit;

	uint8_t *arena; /* slices, then the buffers: one mapping, touched as it is used */
	size_t arena_bytes;
	uint8_t *fill_data; /* a cluster */
	uint8_t *plain_data,
		*packed_data; /* a cluster of any layer, unpacked; and what it was made of */
	uint8_t *zlib_data;
	const struct qlayer *plain_layer; /* what plain_data holds: NULL: nothing */
	uint64_t plain_entry;
	struct mem_iov packed_iov;

	struct qrequest pool[QCOW2_REQUESTS];
};

/* ---- qcow2_task.c ---- */
void qtasks_init(struct qtasks *tasks);
void qtasks_add(struct qtasks *tasks, struct qtask *task);
struct qtask *qtasks_pop(struct qtasks *tasks);
void qtask_ready(struct qcow2 *q, struct qtask *task, int64_t result);
void qtasks_ready_all(struct qcow2 *q, struct qtasks *tasks, int64_t result);
/* qcow2_run() - until no task is ready; a no-op inside itself. */
void qcow2_run(struct qcow2 *q);
/* qlock_take() - fn runs with the lock held, later. */
void qlock_take(struct qcow2 *q, struct qlock *lock, struct qtask *task,
		void (*fn)(struct qtask *task));
void qlock_release(struct qcow2 *q, struct qlock *lock);
/* qcow2_meta_take() - the same for meta, with room for a change; fn must look at result: < 0, not held. */
void qcow2_meta_take(struct qcow2 *q, struct qtask *task, void (*fn)(struct qtask *task));
void qcow2_meta_release(struct qcow2 *q);
/* What is given here stands in for aio_request: op, offset, len; iov may be NULL. fn runs with the result. */
void qio_submit(struct qcow2 *q, struct qio *io, const struct aio_request *what, struct qtask *task,
		void (*fn)(struct qtask *task));

/* ---- qcow2_cache.c ---- */
/*
 * qcow2_slice() - the slice that holds a byte of a table
 * Return: the slice, good until the caller returns to the queue; or NULL: fn will run, with result < 0 if it cannot be
 * read, and ask again. task NULL: only what is there.
 */
struct slice *qcow2_slice(struct qcow2 *q, const struct qlayer *layer, uint64_t offset,
			  bool is_refcount, struct qtask *task, void (*fn)(struct qtask *task));
/* qcow2_slice_new() - the same without reading: all zeroes. */
struct slice *qcow2_slice_new(struct qcow2 *q, const struct qlayer *layer, uint64_t offset,
			      bool is_refcount, struct qtask *task, void (*fn)(struct qtask *task));
void qcow2_slice_dirty(struct qcow2 *q, struct slice *slice); /* meta is held */
void qcow2_slice_clean(struct qcow2 *q, struct slice *slice);

/* ---- qcow2_map.c ---- */
/* qcow2_map() - 1: *ret; 0: fn will run, and ask again (task NULL: not in the cache); -EIO: damaged. */
int qcow2_map(struct qcow2 *q, const struct qlayer *layer, uint64_t pos, uint64_t len,
	      struct qtask *task, void (*fn)(struct qtask *task), struct qrun *ret);
/* qcow2_entry() - what one L2 entry says; false: it is damaged. */
bool qcow2_entry(const struct qlayer *layer, uint64_t entry, struct qrun *ret);
uint64_t qcow2_l1_index(const struct qlayer *layer, uint64_t pos);
/* qcow2_l2_at() - where the L2 entry of pos is in the file; 0: there is no table. */
uint64_t qcow2_l2_at(const struct qlayer *layer, uint64_t pos);
/* qcow2_host_ok() - whether guest data may be written there: not onto the header or a table that is in memory. */
bool qcow2_host_ok(const struct qcow2 *q, uint64_t host, uint64_t len);

/* ---- qcow2_read.c ---- */
/* qcow2_read() - [base, end) into iov; fn runs with 0 or -errno. */
void qcow2_read(struct qcow2 *q, struct qread *read, uint64_t base, uint64_t end,
		const struct mem_iov *iov, unsigned n_iov, struct qtask *caller,
		void (*fn)(struct qtask *task));
/* ---- qcow2_unpack.c ---- */
/* qcow2_unpack() - packed_data into plain_data; 0 or -EIO. */
int qcow2_unpack(struct qcow2 *q, size_t packed_bytes, size_t plain_bytes);
#define QCOW2_ZLIB_BYTES 65536U /* of memory for inflate() */

/* ---- qcow2_request.c ---- */
void qcow2_submit(struct disk *disk, struct disk_request *req);
void qcow2_request_done(struct qrequest *r, int result);
/* ---- qcow2_write.c ---- */
/* qcow2_write() - [pos, stop) from the request's memory (zeroes without), then after(), or qcow2_request_done() on error. */
void qcow2_write(struct qrequest *r);
/* ---- qcow2_zap.c ---- */
void qcow2_zap(struct qrequest *r); /* discards and zeroes */

/* ---- qcow2_alloc.c: meta is held throughout ---- */
/* qcow2_alloc() - fn runs with how many clusters (1 to want), contiguous from q->alloc.host, or -errno. */
void qcow2_alloc(struct qcow2 *q, unsigned want, struct qtask *caller,
		 void (*fn)(struct qtask *task));
/* qcow2_l2_make() - an empty L2 table for an L1 entry that has none; fn runs with 0 or -errno. */
void qcow2_l2_make(struct qcow2 *q, uint64_t l1_index, struct qtask *caller,
		   void (*fn)(struct qtask *task));
/*
 * qcow2_unref() - one reference less
 * Return: 1: it is free now; 2: others are left; 0: fn will run, and ask again; -EIO: it had none.
 */
int qcow2_unref(struct qcow2 *q, uint64_t cluster, struct qtask *task,
		void (*fn)(struct qtask *task));
/* qcow2_free_later() - after the next commit; there is room. */
void qcow2_free_later(struct qcow2 *q, uint64_t l2_entry);

/* ---- qcow2_commit.c ---- */
/* qcow2_commit() - fn runs when all that is changed now is in the file, or with -errno. */
void qcow2_commit(struct qcow2 *q, struct qtask *task, void (*fn)(struct qtask *task));
bool qcow2_is_clean(const struct qcow2 *q);
void qspan_add(struct qspan *span, uint32_t index);
