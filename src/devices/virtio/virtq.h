/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Split virtqueues: the device's side.
 *
 *   guest:  descriptors <- chains of buffers      avail ring -> heads that the device may take
 *   device: virtq_pop() -> struct chain -> ... -> virtq_put() -> used ring -> virtq_publish()
 *
 * All three parts lie in guest memory, and the guest may rewrite any of it at any moment: each word is loaded once
 * (atomically, so that nothing is torn), copied, and only the copy is checked and used. A chain keeps no pointer into the
 * descriptor table. Chains may be completed in any order.
 *
 * Thread rule: one thread at a time, the device's lock held.
 * Source: virtio 1.2, 2.7 Split Virtqueues.
 */
#include <stdbool.h>
#include <stdint.h>

#include "machine/mem.h"

#define VIRTQ_SIZE_MAX 256U	      /* entries of a queue: also the longest chain (2.7.5.3.1) */
#define CHAIN_MAX      VIRTQ_SIZE_MAX /* pieces of one request */

/* Told of bytes of guest memory that somebody keeps an address of; len > 0. */
typedef void virtio_tell(void *arg, const void *hva, uint64_t len);

/* The buffers of one request, copied and checked. Zero-length ones are left out. */
struct chain {
	uint16_t head;	    /* its name in the used ring */
	uint16_t n_out, n;  /* iov[0..n_out) is device-readable, iov[n_out..n) device-writable */
	uint16_t first_out; /* < n_out: what chain_pull() left */
	uint64_t out_bytes, in_bytes;
	struct mem_iov iov[CHAIN_MAX];
};

struct virtq {
	struct guest_mem *mem;
	/* What the driver asked for; frozen once enabled. */
	uint16_t size, size_max; /* entries */
	gpa_t desc_gpa, avail_gpa, used_gpa;
	bool enabled;
	/* From here on: set by virtq_enable(). */
	bool event_idx, indirect; /* negotiated */
	uint16_t chain_max;	  /* the device's choice: pieces of a chain at most; 0: CHAIN_MAX */
	bool by_gpa; /* the device's choice: buffers are only named, iov.hva is a gpa of RAM; nothing is reached */
	const uint8_t *desc, *avail;
	uint8_t *used;
	uint16_t avail_next; /* the next entry to take */
	uint16_t used_next;  /* the next entry to fill */
	uint16_t
		used_told; /* used_next when the driver was last asked whether it wants an interrupt */
	bool kicks_off;	   /* without event_idx: the driver was told not to notify */
};

/*
 * virtq_enable() - map the three parts
 * Return: 0; -EINVAL (size, alignment), -EFAULT (not in RAM). The queue stays disabled then.
 */
int virtq_enable(struct virtq *vq, struct guest_mem *mem, bool event_idx, bool indirect);
/* virtq_held() - tells of the three parts, if the queue is enabled. */
void virtq_held(const struct virtq *vq, virtio_tell *tell, void *arg);
/* virtq_reset() - as it was before the driver touched it; size_max is kept. */
void virtq_reset(struct virtq *vq);

/*
 * virtq_pop() - the next chain
 * Return: 1; 0: none, and the driver will notify when there is, or none in this turn (guest_mem.ready); -EPROTO, -EFAULT, -ELOOP: the ring is broken, *ret
 * is garbage and the device needs a reset.
 * While chains are found, notifications are off: whoever stops before 0 has to come back by itself.
 */
int virtq_pop(struct virtq *vq, struct chain *ret);
/* virtq_unpop() - the last one popped was not used: virtq_pop() will find it again. */
void virtq_unpop(struct virtq *vq);
/* virtq_put() - a used entry: the device wrote len bytes of the chain. Not seen by the driver until virtq_publish(). */
void virtq_put(struct virtq *vq, uint16_t head, uint32_t len);
/* virtq_publish() - Return: whether the driver wants an interrupt for what was put. */
bool virtq_publish(struct virtq *vq);

/* chain_pull() - copy the next len device-readable bytes out, and pass over them; false: there are fewer. */
bool chain_pull(struct chain *chain, void *ret, uint64_t len);
/* chain_wrote() - say that the first len device-writable bytes were written. */
void chain_wrote(const struct chain *chain, struct guest_mem *mem, uint64_t len);
/* chain_put() - write the device-writable bytes at offset; how many fitted. */
uint64_t chain_put(const struct chain *chain, uint64_t offset, const void *data, uint64_t len);

/* iov_put() - copy data to offset of iov; how many bytes fitted. */
uint64_t iov_put(const struct mem_iov *iov, unsigned n, uint64_t offset, const void *data,
		 uint64_t len);
/* iov_wrote() - say that the first len bytes of iov were written. */
void iov_wrote(struct guest_mem *mem, const struct mem_iov *iov, unsigned n, uint64_t len);
/* mem_gpa() - where a host pointer that came of mem_hva() lies; 0 where it did not. */
gpa_t mem_gpa(const struct guest_mem *mem, const void *hva);
/* mem_wrote_hva() - mem_wrote() by host pointer. */
void mem_wrote_hva(struct guest_mem *mem, const void *hva, uint64_t len);
