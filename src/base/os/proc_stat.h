/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What Linux says of a process or a thread. Source: proc_pid_stat(5). */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
	char name[32]; /* a longer one is cut: none of ours */
	char state;    /* 'R', 'S', 'T', 'Z', ... */
	pid_t parent;
	uint64_t ticks; /* of CPU time, user's and system's */
	uint64_t threads;
	uint64_t resident; /* pages */
};

/*
 * proc_stat_read() - one such file
 * @dir: what file is below, or AT_FDCWD
 * Return: 0, or a negative errno: -ESRCH where it is gone.
 */
int proc_stat_read(int dir, const char *file, struct proc_stat *ret);
/* proc_stat_of() - a process's */
int proc_stat_of(pid_t pid, struct proc_stat *ret);
/* proc_stat_is_child() - whether its parent is there, and has that name */
bool proc_stat_is_child(const struct proc_stat *stat, const char *parent);
