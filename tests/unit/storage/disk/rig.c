/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"

static int rig_setup(void **state, enum aio_kind kind)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	void *scratch;

	if (!rig || scratch_setup(&scratch) != 0)
		return -1;
	rig->scratch = scratch;
	rig->kind = kind;
	int r = aio_create(8, kind, &rig->aio, &rig->err);
	*state = rig;
	return r == 0 || (kind == AIO_URING && (r == -ENOSYS || r == -EPERM)) ? 0 : -1;
}

int rig_uring(void **state)
{
	return rig_setup(state, AIO_URING);
}

int rig_threads(void **state)
{
	return rig_setup(state, AIO_THREADS);
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;
	void *scratch = rig->scratch;

	aio_destroy(rig->aio);
	free(rig);
	return scratch_teardown(&scratch);
}

struct rig *rig_of(void **state)
{
	struct rig *rig = *state;

	if (!rig->aio)
		SKIP("io_uring is denied here");
	return rig;
}

const char *rig_path(struct rig *rig, const char *name)
{
	char *path = rig->path[rig->n_paths++ % 6];

	(void)snprintf(path, sizeof(rig->path[0]), "%s/%s", rig->scratch->path, name);
	return path;
}

void rig_file(struct rig *rig, const char *name, uint64_t bytes)
{
	AUTO(fd_close_p)
	int fd = openat(rig->scratch->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
}

void rig_qcow2(struct rig *rig, const char *name, uint64_t bytes, unsigned cluster_bits,
	       const char *backing, enum disk_format format)
{
	const struct qcow2_create_opts opts = { .size_bytes = bytes,
						.cluster_bits = cluster_bits,
						.backing = backing,
						.format = format };

	if (qcow2_create(rig_path(rig, name), &opts, &rig->err) < 0)
		fail_msg("%s", rig->err.text);
}

void rig_patch(struct rig *rig, const char *name, uint64_t offset, const void *data, size_t len)
{
	AUTO(fd_close_p) int fd = openat(rig->scratch->fd, name, O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, data, len, (off_t)offset), (ssize_t)len);
}

struct disk *rig_open(struct rig *rig, const char *name, enum disk_format format, bool read_only)
{
	const struct disk_open_opts opts = { .format = format, .read_only = read_only };
	struct disk *disk;

	if (disk_open(rig_path(rig, name), &opts, rig->aio, &disk, &rig->err) < 0)
		fail_msg("%s", rig->err.text);
	return disk;
}

void rig_refuse(struct rig *rig, const char *name, const struct disk_open_opts *opts, int code,
		const char *words)
{
	struct disk_open_opts o = *opts;
	struct disk *disk = NULL;

	o.wait_ms = 1;
	rig->err = (struct err){ 0 };
	assert_int_equal(disk_open(rig_path(rig, name), &o, rig->aio, &disk, &rig->err), code);
	assert_null(disk);
	if (!strstr(rig->err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", rig->err.text, words);
}

struct rig_wait {
	struct disk_request req;
	int result;
	bool done;
};

static void rig_done(struct disk_request *req, int result)
{
	struct rig_wait *wait = container_of(req, struct rig_wait, req);

	assert_false(wait->done);
	wait->done = true;
	wait->result = result;
}

static int rig_submit(struct rig *rig, struct disk *disk, struct rig_wait *wait)
{
	wait->req.done = rig_done;
	disk->ops->submit(disk, &wait->req);
	while (!wait->done)
		assert_true(aio_wait(rig->aio) > 0 || wait->done);
	return wait->result;
}

int rig_io(struct rig *rig, struct disk *disk, enum disk_op op, uint64_t offset, void *data,
	   uint64_t len)
{
	struct mem_iov iov = { data, len };
	struct rig_wait wait = { .req = { .op = op,
					  .offset_bytes = offset,
					  .len_bytes = len,
					  .iov = data ? &iov : NULL,
					  .n_iov = data ? 1 : 0 } };

	return rig_submit(rig, disk, &wait);
}

int rig_zeroes(struct rig *rig, struct disk *disk, uint64_t offset, uint64_t len, bool may_unmap)
{
	struct rig_wait wait = { .req = { .op = DISK_WRITE_ZEROES,
					  .may_unmap = may_unmap,
					  .offset_bytes = offset,
					  .len_bytes = len } };

	return rig_submit(rig, disk, &wait);
}

void rig_fill(struct rig *rig, struct disk *disk, uint64_t offset, uint64_t len, uint8_t byte)
{
	uint8_t *data = malloc(len);

	assert_non_null(data);
	memset(data, byte, len);
	assert_int_equal(rig_io(rig, disk, DISK_WRITE, offset, data, len), 0);
	free(data);
}

void rig_expect(struct rig *rig, struct disk *disk, uint64_t offset, uint64_t len, uint8_t byte)
{
	uint8_t *data = malloc(len);

	assert_non_null(data);
	memset(data, ~byte, len);
	assert_int_equal(rig_io(rig, disk, DISK_READ, offset, data, len), 0);
	for (uint64_t i = 0; i < len; i++) {
		if (data[i] != byte)
			fail_msg("byte %llu is %#x, not %#x", (unsigned long long)(offset + i),
				 data[i], byte);
	}
	free(data);
}

void rig_flush(struct rig *rig, struct disk *disk)
{
	assert_int_equal(rig_io(rig, disk, DISK_FLUSH, 0, NULL, 0), 0);
}

void rig_check(struct rig *rig, const char *name)
{
	struct qcow2_check found;
	char command[256];

	if (qcow2_check(rig_path(rig, name), false, &found, &rig->err) < 0)
		fail_msg("%s", rig->err.text);
	if (found.errors || found.leaks)
		fail_msg("%s: %llu errors (%s), %llu leaks", name, (unsigned long long)found.errors,
			 found.first, (unsigned long long)found.leaks);
	(void)snprintf(command, sizeof(command), "qemu-img check -q %s", name);
	assert_true(rig_qemu(rig, command) <= 0);
}

int rig_qemu(struct rig *rig, const char *command)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), "cd %s && %s >qemu.log 2>&1", rig->scratch->path,
		       command);
	int status = system(line);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 127) {
		(void)snprintf(line, sizeof(line), "cat %s/qemu.log >&2", rig->scratch->path);
		(void)!system(line); /* only words for whoever reads the failure */
	}
	return WEXITSTATUS(status) == 127 ? -1 : WEXITSTATUS(status);
}

uint64_t rig_random(uint64_t *state)
{
	/* xorshift64: Marsaglia, Xorshift RNGs */
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}
