/* SPDX-License-Identifier: Apache-2.0 */
/* The VMM's end of engines/vmm/target.h. */
#include "engines/vmm/target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/file.h"
#include "engines/vmm/devices.h"

static void target_asked(void *arg, uint32_t events)
{
	struct vmm_extras *x = arg;
	const uint64_t all = x->vmm->memory.size_bytes;
	uint64_t asked[8];
	ssize_t n = read(x->target_fifo, asked, sizeof(asked));

	(void)events;
	/* Each came whole; the last one counts, and what does not fit calls again. */
	const size_t count = n < 0 ? 0 : (size_t)n / sizeof(asked[0]);
	if (count && asked[count - 1] <= all)
		virtio_balloon_target(&x->balloon, all - asked[count - 1]);
}

static int target_file(const struct vmm *vmm, struct err *err)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", vmm->memory.size_bytes); /* fits */
	int r = file_replace(vmm->fds.run, TARGET_FILE, 0600, text, (size_t)n, false);

	return r < 0 ? err_set(err, -r, "make " TARGET_FILE " in the run directory") : 0;
}

int vmm_target_open(struct vmm *vmm, struct vmm_extras *x, struct err *err)
{
	if (vmm->fds.run < 0)
		return 0; /* by hand: nobody would look for it */
	x->target_fifo = file_fifo(vmm->fds.run, TARGET_FIFO);
	if (x->target_fifo < 0)
		return err_set(err, -x->target_fifo, "make " TARGET_FIFO " in the run directory");
	int r = loop_add(vmm->loop, x->target_fifo, EPOLLIN, target_asked, x, err);
	return r == 0 ? target_file(vmm, err) : r;
}
