/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of 4 KiB a second that a disk image serves, at random places, a fixed number under way.
 *
 *	disk_iops IMAGE raw|qcow2 uring|threads DEPTH read|write COUNT
 *
 * The peer: qemu-img bench -c COUNT -d DEPTH -s 4096 -S STEP [-i io_uring] [-w] IMAGE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "storage/disk/disk.h"

#define PIECE	  4096U
#define DEPTH_MAX 64U

struct bench {
	struct disk *disk;
	enum disk_op op;
	uint64_t random;
	unsigned long left, done;
};

struct job {
	struct disk_request req;
	struct mem_iov iov;
	struct bench *bench;
	_Alignas(PIECE) uint8_t data[PIECE];
};

static void job_next(struct job *job);

static void job_done(struct disk_request *req, int result)
{
	struct job *job = container_of(req, struct job, req);

	if (result < 0) {
		(void)fprintf(stderr, "disk_iops: %s\n", strerror(-result));
		exit(1);
	}
	job->bench->done++;
	job_next(job);
}

static void job_next(struct job *job)
{
	struct bench *b = job->bench;

	if (b->left == 0)
		return;
	b->left--;
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	job->iov = (struct mem_iov){ job->data, PIECE };
	job->req = (struct disk_request){
		.op = b->op,
		.offset_bytes = b->random % (b->disk->size_bytes / PIECE) * PIECE,
		.len_bytes = PIECE,
		.iov = &job->iov,
		.n_iov = 1,
		.done = job_done,
	};
	b->disk->ops->submit(b->disk, &job->req);
}

int main(int argc, char **argv)
{
	struct bench b = { .random = 88172645463325252ULL };
	struct disk_open_opts opts = { 0 };
	struct job *jobs = aligned_alloc(PIECE, DEPTH_MAX * sizeof(*jobs));
	struct err err = { 0 };
	struct rusage usage;
	struct aio *aio;

	if (argc != 7 || !jobs) {
		(void)fprintf(stderr,
			      "disk_iops IMAGE raw|qcow2 uring|threads DEPTH read|write COUNT\n");
		return 2;
	}
	memset(jobs, 1, DEPTH_MAX * sizeof(*jobs));
	unsigned depth = (unsigned)strtoul(argv[4], NULL, 10);
	if (depth < 1 || depth > DEPTH_MAX)
		depth = DEPTH_MAX;
	opts.format = strcmp(argv[2], "raw") == 0 ? DISK_FORMAT_RAW : DISK_FORMAT_QCOW2;
	b.op = strcmp(argv[5], "read") == 0 ? DISK_READ : DISK_WRITE;
	b.left = strtoul(argv[6], NULL, 10);
	unsigned long count = b.left;
	if (aio_create(DEPTH_MAX, strcmp(argv[3], "uring") == 0 ? AIO_URING : AIO_THREADS, &aio,
		       &err) < 0 ||
	    disk_open(argv[1], &opts, aio, &b.disk, &err) < 0 || aio_seal(aio, &err) < 0) {
		(void)fprintf(stderr, "disk_iops: %s\n", err.text);
		return 1;
	}
	int64_t start = clock_mono_ns();
	aio_plug(aio);
	for (unsigned i = 0; i < depth; i++) {
		jobs[i].bench = &b;
		job_next(&jobs[i]);
	}
	aio_unplug(aio);
	while (b.done < count)
		(void)aio_wait(aio);
	double seconds = (double)(clock_mono_ns() - start) / (double)NS_PER_S;
	disk_close(b.disk);
	aio_destroy(aio);
	(void)getrusage(RUSAGE_SELF, &usage);
	(void)printf("%.0f IOPS, peak %ld KiB\n", (double)count / seconds, usage.ru_maxrss);
	free(jobs);
	return 0;
}
