/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/exits_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "engines/vmm/exits_file.h"

/* A busy host may not let it run for long, and older figures would be shown: seconds of our own time, however late we are. */
#define EXITS_NAPS   20000U
#define EXITS_NAP_NS 200000

static int exits_open(int dir)
{
	struct stat st;
	AUTO(fd_close_p)
	int fd = openat(dir, EXITS_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ? -EBADMSG : fd_take(&fd);
}

static uint32_t exits_answers(int fd)
{
	uint32_t answers = 0;

	/* A file that is cut short says nothing, and the reading behind this sees it. */
	(void)!pread(fd, &answers, sizeof(answers), offsetof(struct exits_file, answers));
	return answers;
}

static void exits_ask(int dir, int fd)
{
	const struct timespec nap = { .tv_nsec = EXITS_NAP_NS };
	const uint32_t before = exits_answers(fd);
	AUTO(fd_close_p)
	int fifo = openat(dir, EXITS_FIFO, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

	/* Nobody reads it any more, or it is full of questions: then what is there has to do. */
	if (fifo < 0 || write(fifo, "?", 1) != 1)
		return;
	for (unsigned naps = 0; exits_answers(fd) == before && naps < EXITS_NAPS; naps++)
		(void)nanosleep(&nap, NULL);
}

static int exits_check(const struct exits_file *file, ssize_t n)
{
	if (n < 0)
		return (int)n;
	return (size_t)n == sizeof(*file) && file->format == EXITS_FORMAT &&
			       file->vcpus <= EXITS_VCPUS
		       ? 0
		       : -EBADMSG;
}

static void exits_sum(const struct exits_file *file, struct exit_counts *ret, uint64_t *ret_counted)
{
	*ret = (struct exit_counts){ { 0 } };
	*ret_counted = file->counted & (EXIT_BIT(EXIT_REASONS) - 1);
	for (unsigned i = 0; i < file->vcpus; i++) {
		for (unsigned reason = 0; reason < EXIT_REASONS; reason++) {
			uint64_t *sum = &ret->n[reason];
			if (__builtin_add_overflow(*sum, file->counts[i].n[reason], sum))
				*sum = UINT64_MAX;
		}
	}
}

static ssize_t exits_load(int fd, struct exits_file *ret)
{
	ssize_t n;

	do {
		n = pread(fd, ret, sizeof(*ret), 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int vmm_exits_read(const char *run, bool ask, struct exit_counts *ret, uint64_t *ret_counted,
		   struct err *err)
{
	AUTO(fd_close_p) int dir = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd_close_p) int fd = dir < 0 ? -errno : exits_open(dir);
	struct exits_file *file = aligned_alloc(64, sizeof(*file));
	int r = !file ? -ENOMEM : fd < 0 ? fd : exits_check(file, exits_load(fd, file));

	/* What it says of itself before is only whether asking is any use. */
	if (r == 0 && ask && file->asks) {
		exits_ask(dir, fd);
		r = exits_check(file, exits_load(fd, file));
	}
	if (r == 0)
		exits_sum(file, ret, ret_counted);
	free(file);
	return r < 0 ? err_set(err, -r, "read %s/" EXITS_FILE, run) : 0;
}
