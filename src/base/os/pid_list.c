/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/pid_list.h"

#include <errno.h>
#include <stdlib.h>

int pid_list_add(struct pid_list *list, pid_t pid)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 16;
		pid_t *pids = reallocarray(list->pids, cap, sizeof(*pids));
		if (!pids)
			return -ENOMEM;
		list->pids = pids;
		list->cap = cap;
	}
	list->pids[list->n++] = pid;
	return 0;
}

void pid_list_fini(struct pid_list *list)
{
	free(list->pids);
}
