/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disks.bats: kills a process that writes to a disk, again and again, and looks at what is left.
 *
 *	disk_killer IMAGE raw|qcow2 uring|threads ROUNDS
 *
 * Every sector that is written says which it is and how new (its generation). What a completed flush covered is in shared
 * memory; after each kill every sector must hold that or something newer, and a qcow2 image must have no errors. The image is
 * there already; it is used from round to round.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "storage/disk/disk.h"
#include "storage/disk/qcow2.h"

#define SECTORS	  16384U /* 8 MiB: the image's size */
#define SLOTS	  16U	 /* requests at once */
#define SLOT_MAX  700U	 /* sectors of one */
#define STEPS_MAX 300U

/* Of one sector, as generations. */
struct mark {
	uint32_t issued;  /* newest that was asked for */
	uint32_t zeroed;  /* newest that asked for zeroes, or might make them */
	uint32_t flushed; /* newest that a completed flush covers */
};

struct shared {
	struct mark marks[SECTORS];
	uint32_t generation;
	uint32_t steps; /* atomic: the writer counts, the killer watches */
	uint32_t flushes;
};

struct slot {
	struct disk_request req;
	struct mem_iov iov;
	uint32_t sector, n, generation;
	struct killer *killer;
	uint64_t data[SLOT_MAX * 64];
};

struct killer {
	const char *path;
	struct disk_open_opts opts;
	enum aio_kind kind;
	struct shared *shared;
	struct aio *aio;
	struct disk *disk;
	uint64_t random;
	unsigned under_way;
	uint32_t written[SECTORS]; /* newest that is done */
	uint32_t covered[SECTORS]; /* that, when the flush under way was submitted */
	struct slot slots[SLOTS];
};

static _Noreturn void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "disk_killer: %s: %s\n", what, why);
	exit(1);
}

static uint64_t dice(struct killer *k)
{
	k->random ^= k->random << 13;
	k->random ^= k->random >> 7;
	k->random ^= k->random << 17;
	return k->random;
}

static void step(struct killer *k)
{
	(void)__atomic_add_fetch(&k->shared->steps, 1, __ATOMIC_RELAXED);
}

/* 77 where this kind of queue is denied: a skip, as everywhere. */
static void probe(struct killer *k)
{
	struct err err = { 0 };
	int r = aio_create(SLOTS, k->kind, &k->aio, &err);

	if (r == -ENOSYS || r == -EPERM)
		exit(77);
	if (r < 0)
		die("queue", err.text);
	aio_destroy(k->aio);
}

static void open_disk(struct killer *k, bool read_only)
{
	struct err err = { 0 };

	k->opts.read_only = read_only;
	if (aio_create(SLOTS, k->kind, &k->aio, &err) < 0 ||
	    disk_open(k->path, &k->opts, k->aio, &k->disk, &err) < 0)
		die("open", err.text);
}

/* ---- the writer ---- */

static void write_done(struct disk_request *req, int result)
{
	struct slot *slot = container_of(req, struct slot, req);
	struct killer *k = slot->killer;

	if (result < 0)
		die("write", strerror(-result));
	for (uint32_t i = 0; i < slot->n && req->op != DISK_DISCARD; i++)
		k->written[slot->sector + i] = slot->generation;
	k->under_way--;
	step(k);
}

static void flush_done(struct disk_request *req, int result)
{
	struct killer *k = container_of(req, struct slot, req)->killer;

	if (result < 0)
		die("flush", strerror(-result));
	for (uint32_t i = 0; i < SECTORS; i++)
		k->shared->marks[i].flushed = k->covered[i];
	k->shared->flushes++;
	k->under_way--;
	step(k);
}

static void submit(struct killer *k, struct slot *slot)
{
	k->under_way++;
	step(k);
	k->disk->ops->submit(k->disk, &slot->req);
}

static void submit_flush(struct killer *k, struct slot *slot)
{
	memcpy(k->covered, k->written, sizeof(k->covered));
	slot->req = (struct disk_request){ .op = DISK_FLUSH, .done = flush_done };
	submit(k, slot);
}

static void submit_write(struct killer *k, struct slot *slot, uint32_t sector, uint32_t n)
{
	static const enum disk_op ops[8] = { [6] = DISK_WRITE_ZEROES, [7] = DISK_DISCARD };
	enum disk_op op = ops[dice(k) % 8];
	uint32_t generation = ++k->shared->generation;

	op = op == DISK_READ ? DISK_WRITE : op;
	slot->sector = sector;
	slot->n = n;
	slot->generation = generation;
	for (uint32_t i = 0; i < n; i++) {
		struct mark *mark = &k->shared->marks[sector + i];
		mark->issued = generation;
		if (op != DISK_WRITE)
			mark->zeroed = generation;
		for (uint32_t w = 0; w < 64; w++)
			slot->data[i * 64 + w] = (uint64_t)generation << 32 | (sector + i);
	}
	slot->iov = (struct mem_iov){ slot->data, (uint64_t)n * 512 };
	slot->req = (struct disk_request){ .op = op,
					   .may_unmap = dice(k) % 2,
					   .offset_bytes = (uint64_t)sector * 512,
					   .len_bytes = (uint64_t)n * 512,
					   .iov = &slot->iov,
					   .n_iov = 1,
					   .done = write_done };
	submit(k, slot);
}

/* Requests of one batch do not overlap: each has its own chunk. Small chunks lie in the same cluster. */
static void write_batch(struct killer *k)
{
	uint32_t chunk = dice(k) % 2 ? 37 : SLOT_MAX;
	uint32_t base = (uint32_t)(dice(k) % (SECTORS - SLOTS * chunk));

	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t n = (uint32_t)(dice(k) % chunk) + 1;
		uint32_t skip = (uint32_t)(dice(k) % (chunk - n + 1));
		/* A flush that is under way has its picture taken: no two at once. */
		if (i == SLOTS / 2 && dice(k) % 2)
			submit_flush(k, &k->slots[i]);
		else
			submit_write(k, &k->slots[i], base + i * chunk + skip, n);
	}
	while (k->under_way)
		(void)aio_wait(k->aio);
}

static _Noreturn void writer(struct killer *k)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	open_disk(k, false);
	for (uint32_t i = 0; i < SECTORS; i++)
		k->written[i] = k->shared->marks[i].flushed;
	for (uint32_t i = 0; i < SLOTS; i++)
		k->slots[i].killer = k;
	for (;;)
		write_batch(k);
}

/* ---- the killer ---- */

/* What is there now is what the next round starts from. */
static bool verify_sector(struct killer *k, uint32_t sector, const uint64_t *data)
{
	struct mark *mark = &k->shared->marks[sector];
	uint32_t generation = (uint32_t)(data[0] >> 32);
	bool ok;

	for (unsigned w = 1; w < 64; w++) {
		if (data[w] != data[0])
			return false;
	}
	if (data[0] == 0) {
		ok = mark->zeroed >= mark->flushed;
		mark->zeroed = mark->flushed = mark->issued;
	} else {
		ok = (uint32_t)data[0] == sector && generation >= mark->flushed &&
		     generation <= mark->issued;
		mark->flushed = generation;
	}
	return ok;
}

struct verify {
	struct disk_request req;
	bool done;
	int result;
};

static void verify_done(struct disk_request *req, int result)
{
	struct verify *v = container_of(req, struct verify, req);

	v->done = true;
	v->result = result;
}

static void verify(struct killer *k, unsigned round)
{
	uint64_t *data = malloc(SECTORS * 512ULL);
	struct mem_iov iov = { data, SECTORS * 512ULL };
	struct verify v = { .req = { .op = DISK_READ,
				     .len_bytes = iov.len,
				     .iov = &iov,
				     .n_iov = 1,
				     .done = verify_done } };

	open_disk(k, true);
	k->disk->ops->submit(k->disk, &v.req);
	while (!v.done)
		(void)aio_wait(k->aio);
	if (!data || v.result < 0)
		die("read", strerror(-v.result));
	for (uint32_t i = 0; i < SECTORS; i++) {
		const struct mark before = k->shared->marks[i];
		if (verify_sector(k, i, data + i * 64ULL))
			continue;
		(void)fprintf(
			stderr,
			"disk_killer: round %u: sector %u holds %#llx: flushed %u, issued %u, "
			"zeroed %u\n",
			round, i, (unsigned long long)data[i * 64ULL], before.flushed,
			before.issued, before.zeroed);
		exit(1);
	}
	free(data);
	disk_close(k->disk);
	aio_destroy(k->aio);
}

static void check(struct killer *k, unsigned round, uint64_t *leaks)
{
	struct qcow2_check found;
	struct err err = { 0 };

	if (k->opts.format != DISK_FORMAT_QCOW2)
		return;
	if (qcow2_check(k->path, false, &found, &err) < 0)
		die("check", err.text);
	if (found.errors) {
		(void)fprintf(stderr, "disk_killer: round %u: %llu errors: %s\n", round,
			      (unsigned long long)found.errors, found.first);
		exit(1);
	}
	*leaks = found.leaks;
}

static void one_round(struct killer *k, unsigned round, uint64_t *leaks)
{
	uint32_t target = 1 + (uint32_t)(dice(k) % STEPS_MAX);
	unsigned spins = (unsigned)(dice(k) % 2000);
	int status;

	(void)dice(k);
	__atomic_store_n(&k->shared->steps, 0, __ATOMIC_RELAXED);
	pid_t pid = fork();
	if (pid < 0)
		die("fork", strerror(errno));
	if (pid == 0)
		writer(k);
	while (__atomic_load_n(&k->shared->steps, __ATOMIC_RELAXED) < target &&
	       waitpid(pid, &status, WNOHANG) == 0)
		(void)sched_yield();
	while (spins--)
		__asm__ volatile("pause");
	(void)kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) == pid && !WIFSIGNALED(status))
		die("writer", "it ended by itself");
	check(k, round, leaks);
	verify(k, round);
}

int main(int argc, char **argv)
{
	struct killer *k = calloc(1, sizeof(*k));
	uint64_t leaks = 0;

	if (argc != 5 || !k)
		die("usage", "disk_killer IMAGE raw|qcow2 uring|threads ROUNDS");
	k->path = argv[1];
	k->opts.format = strcmp(argv[2], "raw") == 0 ? DISK_FORMAT_RAW : DISK_FORMAT_QCOW2;
	k->kind = strcmp(argv[3], "uring") == 0 ? AIO_URING : AIO_THREADS;
	k->random = (uint64_t)getpid() * 2654435761U + 88172645463325252ULL;
	k->shared = mmap(NULL, sizeof(*k->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (k->shared == MAP_FAILED)
		die("mmap", strerror(errno));
	probe(k);
	unsigned rounds = (unsigned)strtoul(argv[4], NULL, 10);
	for (unsigned round = 1; round <= rounds; round++)
		one_round(k, round, &leaks);
	(void)printf("%u kills, %u flushes, %u writes, %llu leaked clusters\n", rounds,
		     k->shared->flushes, k->shared->generation, (unsigned long long)leaks);
	free(k);
	return 0;
}
