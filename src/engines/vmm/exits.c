/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/exits.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/vmm/exits_file.h"
#include "engines/vmm/private.h"

#define EXITS_OURS                                                                                 \
	(EXIT_BIT(EXIT_VMM) | EXIT_BIT(EXIT_IO) | EXIT_BIT(EXIT_MMIO) |                            \
	 EXIT_BIT(EXIT_IRQ_WINDOW) | EXIT_BIT(EXIT_KICK) | EXIT_BIT(EXIT_OTHER))
/* With the engine's controllers these two do not come out of run(). */
#define EXITS_OURS_CHIP (EXIT_BIT(EXIT_HALT) | EXIT_BIT(EXIT_MSR))

/* Every block is there: a host that runs out of space meanwhile shall not be a signal to a vcpu. */
static int exits_file_open(int run, struct err *err)
{
	if (unlinkat(run, EXITS_FILE, 0) < 0 && errno != ENOENT)
		return err_set(err, errno, "remove an old " EXITS_FILE);
	AUTO(fd_close_p)
	int fd = openat(run, EXITS_FILE, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : -posix_fallocate(fd, 0, sizeof(struct exits_file));

	return r < 0 ? err_set(err, -r, "make " EXITS_FILE " in the run directory") : fd_take(&fd);
}

static int exits_map(struct vmm_exits *exits, int fd, struct err *err)
{
	const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *at = mmap(NULL, sizeof(struct exits_file), PROT_READ | PROT_WRITE, flags, fd, 0);

	if (at == MAP_FAILED)
		return err_set(err, errno, "map what vcpus count in");
	exits->file = at;
	return 0;
}

void vmm_exits_refresh(struct vmm *vmm)
{
	struct exits_file *file = vmm->exits.file;

	for (unsigned i = 0; i < vmm->n_vcpus && vmm->cpu->exits_read; i++) {
		struct exit_counts now = { { 0 } };
		uint64_t has = vmm->cpu->exits_read(vmm->vcpus[i].vcpu, &now);
		for (unsigned reason = 0; reason < EXIT_REASONS; reason++) {
			if (has & EXIT_BIT(reason))
				__atomic_store_n(&file->counts[i].n[reason], now.n[reason],
						 __ATOMIC_RELAXED);
		}
	}
	__atomic_store_n(&file->answers, file->answers + 1, __ATOMIC_RELEASE);
}

static void exits_asked(void *arg, uint32_t events)
{
	struct vmm *vmm = arg;
	char bytes[64];

	(void)events;
	/* However many asked, it is one answer; what does not fit calls again. */
	if (read(vmm->exits.fifo, bytes, sizeof(bytes)) > 0)
		vmm_exits_refresh(vmm);
}

static int exits_listen(struct vmm *vmm, struct err *err)
{
	vmm->exits.fifo = file_fifo(vmm->fds.run, EXITS_FIFO);
	if (vmm->exits.fifo < 0)
		return err_set(err, -vmm->exits.fifo, "make " EXITS_FIFO " in the run directory");
	return loop_add(vmm->loop, vmm->exits.fifo, EPOLLIN, exits_asked, vmm, err);
}

/* Which are known at all: what the engine counts, here or elsewhere, and how its run() returns. */
static void exits_begin(struct vmm *vmm)
{
	struct exits_file *file = vmm->exits.file;
	struct exit_counts now;
	uint64_t elsewhere =
		vmm->cpu->exits_read ? vmm->cpu->exits_read(vmm->vcpus[0].vcpu, &now) : 0;
	uint64_t theirs = vmm->cpu->exits_counted | elsewhere;

	vmm->exits.ours = (EXITS_OURS | (vmm->chip ? EXITS_OURS_CHIP : 0)) & ~theirs;
	file->format = EXITS_FORMAT;
	file->vcpus = vmm->n_vcpus;
	file->counted = vmm->exits.ours | theirs;
	file->asks = elsewhere && vmm->exits.fifo >= 0;
	for (unsigned i = 0; i < vmm->n_vcpus; i++)
		vmm->vcpus[i].counts = vmm->vcpus[i].vcpu->counts = &file->counts[i];
}

int vmm_exits_open(struct vmm *vmm, struct err *err)
{
	AUTO(fd_close_p) int fd = -EBADF;
	int r = 0;

	_Static_assert(VMM_VCPUS == EXITS_VCPUS, "a place for each");
	vmm->exits.fifo = -EBADF;
	if (vmm->fds.run >= 0) {
		fd = exits_file_open(vmm->fds.run, err);
		r = fd < 0 ? fd : 0;
	}
	if (r == 0)
		r = exits_map(&vmm->exits, fd, err);
	if (r == 0 && fd >= 0 && vmm->cpu->exits_read)
		r = exits_listen(vmm, err);
	if (r == 0)
		exits_begin(vmm);
	return r;
}
