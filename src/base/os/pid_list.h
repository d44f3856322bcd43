/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct pid_list {
	pid_t *pids; /* owned */
	size_t n, cap;
};

int pid_list_add(struct pid_list *list, pid_t pid); /* 0 or -ENOMEM */
void pid_list_fini(struct pid_list *list);	    /* for AUTO; a zeroed one is a no-op */
