/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the machine and its devices reach of the world outside: tables that the host fills from memfds, io_uring,
 * taps and clocks, and a hypervisor from its own drivers.
 *
 * Thread rule. A back end belongs to one thread, its owner (the I/O thread of the device that uses it): the owner
 * alone calls its operations, and callbacks run there, with no lock held. Nothing here blocks.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/types.h"

/* ---- disks ---- */

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_WRITE_ZEROES };

#define DISK_SECTOR_BYTES 512U

/* Owned by who submits it, borrowed until done() is called, once. */
struct disk_request {
	enum disk_op op;
	bool may_unmap;			  /* DISK_WRITE_ZEROES: the range may become unallocated */
	uint64_t offset_bytes, len_bytes; /* multiples of 512, inside the disk; 0 for DISK_FLUSH */
	const struct mem_iov *iov;	  /* DISK_READ, DISK_WRITE: sums up to len_bytes */
	unsigned n_iov;
	void (*done)(struct disk_request *req,
		     int result); /* 0 or -errno; may be called before submit() returns */
	void *backend[8];	  /* the disk's, while the request is under way */
	/* Atomic, by the owner while it is under way: nobody waits for the data. What is not begun yet need not be; done() is called all the same. */
	bool is_unwanted;
};

static inline bool disk_request_is_unwanted(const struct disk_request *req)
{
	return __atomic_load_n(&req->is_unwanted, __ATOMIC_RELAXED);
}

struct disk;

struct disk_ops {
	const char *name; /* "raw", "qcow2" */
	/*
	 * Mandatory. Takes the request or calls its done() with an error. A DISK_FLUSH covers every write whose
	 * done() was called before: those survive a power cut once it is done.
	 */
	void (*submit)(struct disk *disk, struct disk_request *req);
	/* Mandatory. No request is under way. Completed writes are kept, but not flushed; may block. */
	void (*close)(struct disk *disk);
};

struct disk { /* embedded by the implementation */
	const struct disk_ops *ops;
	uint64_t size_bytes;	     /* a multiple of 512 */
	uint32_t block_bytes;	     /* preferred I/O size, a power of two >= 512 */
	bool read_only, can_discard; /* can_discard: so does write-zeroes with may_unmap */
	char id[21];		     /* serial number for the guest, NUL-terminated */
};

/* ---- networks ---- */

struct net;

/*
 * Frames with a virtio_net_hdr_mrg_rxbuf of 12 bytes in front (virtio 1.2, 5.1.6 Device Operation), num_buffers
 * left to the device.
 */
struct net_ops {
	const char *name; /* "tap", "passt" */
	/* Mandatory. One frame: 0, -EAGAIN (writable() will be called), other -errno: the frame is lost. */
	int (*send)(struct net *net, const struct mem_iov *iov, unsigned n);
	/*
	 * Mandatory. One frame into iov; its length (header too), -EAGAIN (readable() will be called once
	 * there is more), or -errno. A frame that does not fit is cut and reported whole in length (> what iov holds).
	 */
	int64_t (*receive)(struct net *net, const struct mem_iov *iov, unsigned n);
	/* Optional. The offloads that the guest accepted: bits VIRTIO_NET_F_GUEST_* . 0 or -errno. */
	int (*offload_set)(struct net *net, uint64_t guest_features);
	void (*close)(struct net *net); /* mandatory; NULL is a no-op */
};

struct net { /* embedded by the implementation */
	const struct net_ops *ops;
	uint64_t offloads; /* VIRTIO_NET_F_CSUM, HOST_*, GUEST_CSUM, GUEST_* bits that it can do */
	uint16_t mtu;	   /* 0: not said */
	/* Set by the device before its first receive(). */
	void (*readable)(struct net *net, void *arg);
	void (*writable)(struct net *net, void *arg);
	void *arg;
};

/* ---- consoles: byte streams ---- */

struct console;

struct console_ops {
	/* Mandatory. How many bytes were taken: 0 when full (writable() will be called), or -errno: nobody reads any more. */
	int64_t (*write)(struct console *console, const void *data, size_t len);
	/* Mandatory. How many bytes came: 0 when there are none now (readable() will be called), -EPIPE at the end of the stream. */
	int64_t (*read)(struct console *console, void *ret, size_t len);
	/* Optional: the guest opened its side, or closed it (a virtio port; a serial line is always open). */
	void (*guest_open)(struct console *console, bool open);
	void (*close)(struct console *console); /* mandatory; NULL is a no-op */
};

struct console { /* embedded by the implementation */
	const struct console_ops *ops;
	/* Set by the device. */
	void (*readable)(struct console *console, void *arg);
	void (*writable)(struct console *console, void *arg);
	void *arg;
};

/* ---- time ---- */

struct clock;

/* Embedded in a device, which sets fired. One shot. */
struct timer {
	void (*fired)(struct timer *timer); /* on the clock's owner thread, no lock held */
	uint64_t deadline_ns;		    /* the clock's, while armed */
	void *slot[2];			    /* the clock's */
	bool armed;			    /* the clock's */
};

struct clock_ops {
	/* Mandatory, any thread. Guest monotonic time: starts near 0 with the machine, stands still while it is paused. */
	uint64_t (*now_ns)(struct clock *clock);
	/* Mandatory, any thread. Arms, or moves, a timer; a deadline in the past fires at once (never inside the call). */
	void (*arm)(struct clock *clock, struct timer *timer, uint64_t deadline_ns);
	/* Mandatory, any thread. It may be firing just now all the same: a handler checks its device's state under its lock. */
	void (*cancel)(struct clock *clock, struct timer *timer);
	/* Mandatory, any thread. Seconds since 1970, UTC, for the RTC. */
	int64_t (*wall_s)(struct clock *clock);
};

struct clock {
	const struct clock_ops *ops;
};

/* ---- entropy ---- */

struct entropy;

struct entropy_ops {
	int (*get)(struct entropy *entropy, void *ret,
		   size_t len); /* 0 or -errno; does not block */
};

struct entropy {
	const struct entropy_ops *ops;
};

/* ---- shared folders ---- */

#define SHARE_HEAD_BYTES                                                                           \
	40U /* of a request, and of a reply: FUSE's headers (Linux: include/uapi/linux/fuse.h) */
#define SHARE_REPLY_BYTES 16U
/* The longest of each: 256 pages of 4 KiB and what goes before them (the same header, FUSE_MAX_PAGES). */
#define SHARE_MESSAGE_MAX ((UINT32_C(256) + 1) * 4096)

/*
 * A FUSE request. Owned by who submits it, borrowed until done() is called, once. The two headers travel beside what is in the
 * guest's memory, so that what was checked is what is used.
 */
struct share_request {
	uint8_t head[SHARE_HEAD_BYTES];	  /* copied; its length is that of the whole request */
	uint8_t reply[SHARE_REPLY_BYTES]; /* the share's, before done() */
	const struct mem_iov *out, *in; /* what follows the head; room for the reply, header too */
	unsigned n_out, n_in;
	uint32_t out_bytes, in_bytes; /* sums; at most SHARE_MESSAGE_MAX */
	bool urgent;		      /* from the queue of those that must not wait for others */
	/*
	 * @result: how long the reply is, header too, of which the share has written all but the header into in; 0: there is none;
	 * or -errno. Never from inside submit().
	 */
	void (*done)(struct share_request *req, int64_t result);
	void *backend[2]; /* the share's, while the request is under way */
};

struct share;

struct share_ops {
	const char *name; /* "vhost-user" */
	/* Mandatory. 0: taken, done() follows; or -errno. */
	int (*submit)(struct share *share, struct share_request *req);
};

struct share { /* embedded by the implementation */
	const struct share_ops *ops;
};

/* ---- memory for what is sized at run time ---- */

struct mem_ops {
	void *(*alloc)(const struct mem_ops *ops, size_t len); /* zeroed; NULL: none left */
	void (*free)(const struct mem_ops *ops, void *ptr);    /* NULL is a no-op */
};
