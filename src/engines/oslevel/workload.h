/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Steps of a process on its way to be a workload's, in a container and in a VM alike: inside the workload's root. */
#include <stdbool.h>
#include <sys/types.h>

#include "base/core/err.h"

/* workload_getenv() - a variable's value in a NULL-ended environment, or NULL. */
const char *workload_getenv(const char *const *env, const char *name);
/* workload_signals() - none blocked, none ignored: what its parent does about them is not the workload's. */
void workload_signals(void);
/*
 * workload_cwd() - enter WORKDIR, which is made where the image lacks it, as Docker does; it belongs to root
 * @root_name: what it must not lead out of, for the error's text   @ret_status: 126 where it cannot be entered, else left alone
 * Return: 0, or a negative errno; -EPERM: it is not below this root (CVE-2024-21626).
 */
int workload_cwd(const char *cwd, const char *root_name, int *ret_status, struct err *err);
/*
 * workload_null() - the root's own /dev/null; a stream at its end where the image has none, or something else there
 * @read_side: it is to be read from   Return: the fd, or a negative errno.
 */
int workload_null(bool read_side);
/* workload_own_stdio() - /dev/stdout and /proc/self/fd/1 can be opened again by the workload's own user. */
void workload_own_stdio(uid_t uid, bool tty);
