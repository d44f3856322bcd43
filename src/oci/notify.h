/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * SCMP_ACT_NOTIFY: the system calls that a profile sends to somebody outside. The process loads its filter, its listener comes to
 * whoever makes or starts it, and goes from there to the socket that linux.seccomp.listenerPath names, with who it is of.
 * Source: OCI runtime specification 1.2, config-linux.md, "The Container Process State".
 */
#include "oci/container.h"

struct notify {
	const struct container *container;
	const struct config *config;
};
/*
 * notify_send() - the listener, to whom the profile names; bundle_host.notify
 * @arg: a struct notify   @pid: the process that loaded the filter   @fd: its listener; stays the caller's
 */
int notify_send(void *arg, pid_t pid, int fd, struct err *err);
/* notify_text() - what goes with it; free() it.  @status: of the container */
char *notify_text(const struct notify *notify, enum container_status status, pid_t pid);
/* unix_connect() - to a socket of any path, however long; an fd or a negative errno */
int unix_connect(const char *path);
