/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct pid_list {
	pid_t *pids; /* owned */
	size_t n, cap;
};

int pid_list_add(struct pid_list *list, pid_t pid); /* 0 or -ENOMEM */
/*
 * pid_list_of_namespace() - every process in the pid namespace of its first, which is another than ours
 * Return: 0, or a negative errno: -ESRCH where the first is gone, or its number is by now that of a process of our own namespace.
 */
int pid_list_of_namespace(pid_t first, struct pid_list *list);
void pid_list_fini(struct pid_list *list); /* for AUTO; a zeroed one is a no-op */
