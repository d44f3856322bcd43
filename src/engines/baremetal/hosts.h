/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Servers that run strata-hv, as this host knows them: --host CHANNEL. Each has a directory below <run_root>/hosts:
 *
 *	channel		the socket of its hub (hub.h)
 *	pid		the hub's
 *	hub.log		what the hub, and QEMU, had to say
 *	server.log	a lab's console
 *
 * A lab's lives from `strata baremetal lab start` until it is stopped; that of a line or a socket is started by whoever needs it, and
 * ends when nobody has for a while. One whose hub is dead is removed by whoever looks.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "engines/baremetal/lab.h"

#define HOST_NAME_MAX_BYTES 64U /* of a lab's */
#define HOSTS_LINE                                                                                 \
	'+' /* begins the name of one that is no lab: its path has '/' there, and %2b for '+' */

struct hv_host {
	char name[256];	   /* "lab1", or the path of a line or a socket, written with HOSTS_LINE */
	char socket[4096]; /* of its hub */
};

struct hv_lab {
	char name[256];
	pid_t hub;
};

/*
 * hosts_find() - the server that CHANNEL names: a tty or a unix socket by its path, else a lab by its name
 * Its hub runs when this returns. Errors: -ENOENT: no such lab runs; -EINVAL: the path is neither.
 */
int hosts_find(const char *run_root, const char *channel, struct hv_host *ret, struct err *err);

/* What a lab server has. */
struct hosts_lab {
	const char *name;
	const char *config; /* JSON, the guests to start at power-on; or NULL */
	const char *words;  /* of the hypervisor's command line, "" */
	uint64_t memory_bytes;
	unsigned cpus;
	const struct lab_disk *disks;
	size_t n_disks;
};

/* hosts_lab_start() - and wait until it answers. Errors: -EEXIST; -EINVAL with what is wrong; what hub and QEMU said. */
int hosts_lab_start(const char *run_root, const struct hosts_lab *lab, struct err *err);
int hosts_lab_stop(const char *run_root, const char *name, struct err *err); /* -ENOENT */
/* hosts_lab_list() - those that run. *ret: free() */
int hosts_lab_list(const char *run_root, struct hv_lab **ret, size_t *ret_n, struct err *err);
