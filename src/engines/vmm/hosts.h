/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The names of a machine's neighbours, as they come and go: whoever rewrites its hosts file (network/names.c) writes a byte
 * into a FIFO beside that, and the agent inside gets the text. Both are opened before the process is sealed; the file is
 * rewritten in place, so that one opening serves for ever.
 */
#include <stddef.h>

#include "base/core/buf.h"
#include "base/core/err.h"

struct vmm_hosts {
	int file, told; /* -EBADF both: nobody writes any */
};

/* vmm_hosts_open() - @run: the instance's run directory, or negative */
int vmm_hosts_open(int run, struct vmm_hosts *ret, struct err *err);
/* vmm_hosts_read() - the text as it is now; what came into the FIFO before is done with. 0 or -errno. */
int vmm_hosts_read(const struct vmm_hosts *hosts, struct buf *ret);
