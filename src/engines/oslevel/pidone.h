/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "base/core/err.h"

/*
 * pidone_fork() - process 1 of a pid namespace gets its workload, a child
 * The child waits in here until its parent is in pidone_run(): it sees nothing that process 1 was before, and loses no signal.
 * @ret_child: the workload; 0 in the workload itself
 */
int pidone_fork(pid_t *ret_child, struct err *err);
/*
 * pidone_run() - the rest of the life of process 1, whose workload is @child: reaps, passes signals on, and ends with the workload's status, which
 * ends everything in the namespace. Closes every fd: what stays open here would never end for its reader.
 */
_Noreturn void pidone_run(pid_t child);
