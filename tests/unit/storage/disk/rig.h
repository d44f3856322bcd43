/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the tests of disks share: a scratch directory, a queue of each kind, and requests that are waited for. */
#include "scratch.h"

#include <stdbool.h>
#include <sys/types.h>

#include "storage/disk/disk.h"
#include "storage/disk/qcow2.h"

struct rig {
	struct scratch *scratch;
	enum aio_kind kind;
	struct aio *aio;
	struct err err;
	char path[6][128]; /* of rig_path() */
	unsigned n_paths;
};

/* For cmocka's setup; the state is a struct rig. io_uring that is denied is a skip in the case (rig_skip). */
int rig_uring(void **state);
int rig_threads(void **state);
int rig_teardown(void **state);
/* First in each case: its rig, or the case is left. */
struct rig *rig_of(void **state);

/* A case that runs with both kinds of queue. */
#define RIG_TEST(name)                                                                             \
	{ #name "_uring", name, rig_uring, rig_teardown, NULL },                                   \
	{                                                                                          \
#name "_threads", name, rig_threads, rig_teardown, NULL                            \
	}
/* A case to which the queue does not matter. */
#define RIG_TEST_ONCE(name)                                                                        \
	{                                                                                          \
#name, name, rig_threads, rig_teardown, NULL                                       \
	}

/* A name in the scratch directory; good until six more were asked for. */
const char *rig_path(struct rig *rig, const char *name);
void rig_file(struct rig *rig, const char *name, uint64_t bytes); /* sparse */
void rig_qcow2(struct rig *rig, const char *name, uint64_t bytes, unsigned cluster_bits,
	       const char *backing, enum disk_format format);
/* Changes bytes of a file behind everybody's back. */
void rig_patch(struct rig *rig, const char *name, uint64_t offset, const void *data, size_t len);
struct disk *rig_open(struct rig *rig, const char *name, enum disk_format format, bool read_only);
/* That must fail with the code, its text holding words. */
void rig_refuse(struct rig *rig, const char *name, const struct disk_open_opts *opts, int code,
		const char *words);

/* One request, waited for: 0 or -errno. */
int rig_io(struct rig *rig, struct disk *disk, enum disk_op op, uint64_t offset, void *data,
	   uint64_t len);
int rig_zeroes(struct rig *rig, struct disk *disk, uint64_t offset, uint64_t len, bool may_unmap);
void rig_fill(struct rig *rig, struct disk *disk, uint64_t offset, uint64_t len, uint8_t byte);
/* Every byte of the range reads as byte. */
void rig_expect(struct rig *rig, struct disk *disk, uint64_t offset, uint64_t len, uint8_t byte);
void rig_flush(struct rig *rig, struct disk *disk);
/* No error and no leak: our own checker, and qemu-img's where there is one. */
void rig_check(struct rig *rig, const char *name);
/* qemu-img or qemu-io with arguments, in the scratch directory: its exit status, or -1 where it is not installed. */
int rig_qemu(struct rig *rig, const char *command);

/* Random, the same each time. */
uint64_t rig_random(uint64_t *state);
