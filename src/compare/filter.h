/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What seccomp filters let through: which of the host's system calls a process can still make, whatever arguments it picks.
 */
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/core/err.h"

/* How many system calls Linux 6.18 has on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl, those that are served), and whether nr is one. */
#define FILTER_CALLS 366U
bool filter_is_call(unsigned nr);

/*
 * filter_allows() - whether there are arguments with which this program lets a 64-bit call through (seccomp(2): ALLOW, LOG, and
 * TRACE and USER_NOTIF, which leave it to another process)
 * The arguments are taken for anything at all, so that the answer is never too small; where looking takes too long, it is yes.
 * @program: classic BPF, hostile: n instructions
 */
bool filter_allows(const struct sock_filter *program, size_t n, unsigned nr);

/*
 * filter_calls() - how many calls the least confined thread of these processes can make: FILTER_CALLS without filters
 * Reading filters takes root, and each thread stops for a moment.
 * Errors: -EPERM; -ENOTSUP: this kernel does not show filters; -ESRCH: all have ended.
 */
int filter_calls(const pid_t *pids, size_t n, unsigned *ret, struct err *err);
