/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The ids of an ordinary user: his own, and those that subuid(5) and subgid(5) give him. In a user namespace that has them all he is
 * root, over files of these ids and nobody else's. It is made by newuidmap(1) and newgidmap(1); where they are missing, or give
 * nothing, the namespace has his own id alone.
 * Source: user_namespaces(7), "User and group ID mappings".
 */
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"

/* One line of /proc/PID/uid_map. */
struct ids_map {
	uint32_t inside, outside, size;
};
#define IDS_MAPS 340 /* user_namespaces(7): lines at most */

enum ids_here {
	IDS_HOST, /* root of the host */
	IDS_INSIDE, /* root of a user namespace only: most devices, file systems and cgroups are not ours */
	IDS_USER, /* nobody's root */
};
enum ids_here ids_here(void);
/* ids_own() - our namespace's own table; how many of at most IDS_MAPS.  @groups: of gids, not uids */
size_t ids_own(bool groups, struct ids_map ret[IDS_MAPS]);
/* ids_parse() - the same of its text; how many of at most max */
size_t ids_parse(const char *text, struct ids_map *ret, size_t max);
/*
 * ids_ranges() - a user's lines of subuid(5)
 * @name: as passwd(5) has it, or ""
 * Return: how many of at most max; inside is where they go one after the other, from 1 on.
 */
size_t ids_ranges(const char *text, const char *name, uint32_t uid, struct ids_map *ret,
		  size_t max);
/* ids_count() - how many users a namespace of ours would have, by /etc/subuid: 1 without a range of his. Nothing is made. */
uint64_t ids_count(void);
/* ids_no_groups() - whether a process's user namespace forbids setgroups(2): user_namespaces(7).  @pid: 0: ours */
bool ids_no_groups(pid_t pid);

/*
 * ids_enter() - this process, which has one thread, is root of a new user namespace with all our ids, in a mount namespace of that
 * Errors: what the host refuses, and what to do about it, in one line. *This process is then to end.*
 */
int ids_enter(struct err *err);
/* ids_join() - likewise, of one that an earlier ids_enter() of ours made.  @pid: any process in it, or in one below it */
int ids_join(pid_t pid, struct err *err);
/*
 * ids_call() - call fn in a child of ours that has entered such a namespace; files are all that can come of it
 * @pid: 0: a new one; IDS_ALONE: one with our own id alone, which is quicker; else ids_join()'s   Return: the function's, its words in err.
 */
#define IDS_ALONE (-1)
int ids_call(pid_t pid, int (*fn)(void *arg, struct err *err), void *arg, struct err *err);
/* ids_remove() - dir_remove(), for an ordinary user of what belongs to his other ids too */
int ids_remove(int dirfd, const char *path);
