/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The program that serves a virtual machine's shared folders: Debian's virtiofsd, started by whoever starts the machine.
 *
 * Theory of operation. A new process in mount, pid, network, IPC and UTS namespaces of its own (and a user namespace, where the starter is not root)
 * gets a directory in which each thing that is shared has a name, as a mount: what is read-only is that here, on the
 * host's side. It becomes virtiofsd, which has that directory as its root, and enters its own sandbox (a further pid and
 * mount namespace, few capabilities, a system call filter). It shares the network namespace with nobody, and sees of
 * the machine one memory file (vhost_fs.h).
 *
 * Life. It ends when the socket is closed, which the VMM holds. And a watcher, which is ours and does nothing else, kills it when
 * its parent ends (the monitor, or for the OCI runtime the VMM itself): as the first of a pid namespace, with all that it started.
 */
#include <stddef.h>
#include <sys/types.h>

#include "base/core/err.h"

#define VIRTIOFSD_NAME 24 /* bytes of a name, NUL included */

struct virtiofsd_plan {
	size_t n; /* things to share */
	/*
	 * In the new process, in its namespaces, before anything else is there: the i-th as a detached mount
	 * Return: the mount's fd, with its name; or < 0.
	 */
	int (*tree)(void *arg, size_t i, char ret_name[VIRTIOFSD_NAME], struct err *err);
	/* Optional. In the new process, first of all. */
	int (*enter)(void *arg, struct err *err);
	/* Optional. In the caller, while the new process waits. */
	int (*born)(void *arg, pid_t pid, struct err *err);
	void *arg;
};

struct virtiofsd {
	int pidfd; /* -EBADF: none */
	int words; /* what it says on standard error */
};
#define VIRTIOFSD_NONE                                                                             \
	{                                                                                          \
		-EBADF, -EBADF                                                                     \
	}

/*
 * virtiofsd_find() - the program
 * @dir: where its description is, as JSON: NULL: /usr/share/qemu/vhost-user (QEMU docs/interop/vhost-user.json)
 * Return: 0 with its absolute path, which the caller frees; -ENOENT, saying which package has it.
 */
int virtiofsd_find(const char *dir, char **ret, struct err *err);
/*
 * virtiofsd_start() - start it
 * @ret_socket: vhost_fs_open()'s
 * Errors: of virtiofsd_find(), of the plan, of namespaces. *ret needs virtiofsd_stop() after any.
 */
int virtiofsd_start(const struct virtiofsd_plan *plan, struct virtiofsd *ret, int *ret_socket,
		    struct err *err);
/*
 * virtiofsd_explain() - why it has ended, if it has
 * @wait_ms: for as long it may still be about to
 * Return: 0, with *err as it was: it has not; else -EIO with what it said.
 */
int virtiofsd_explain(struct virtiofsd *server, int wait_ms, struct err *err);
/* virtiofsd_quiet() - it is up: what it says from here on is lost. */
void virtiofsd_quiet(struct virtiofsd *server);
/* virtiofsd_stop() - ended, killed if it does not end soon, and waited for; VIRTIOFSD_NONE is a no-op */
void virtiofsd_stop(struct virtiofsd *server);
