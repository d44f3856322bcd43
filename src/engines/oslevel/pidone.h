/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

/*
 * pidone_run() - the rest of the life of process 1 of a pid namespace whose workload is @child: reaps, passes signals on,
 * and ends with the workload's status, which ends everything in the namespace.
 */
_Noreturn void pidone_run(pid_t child);
