/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Namespaces by the paths of their files: namespaces(7), "The /proc/pid/ns/ directory". */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"

/*
 * namespace_open() - one that somebody else made
 * @path: anything that somebody wrote into a file: nothing that is no namespace is opened, so nothing waits or wakes a device
 * @flag: the kind that it must be, CLONE_NEWx
 * Return: an fd for setns(2), or a negative errno: -EINVAL where it is no namespace, or one of another kind.
 */
int namespace_open(const char *path, uint64_t flag, struct err *err);
/* namespace_enter() - the same, and this process, or for pid and time its next child, is in it */
int namespace_enter(const char *path, uint64_t flag, struct err *err);
/* namespace_own() - an fd of the one that this process is in: to come back */
int namespace_own(uint64_t flag, struct err *err);
/* namespace_is_own() - whether this process is in it already */
bool namespace_is_own(int fd, uint64_t flag);
/* namespace_is_shared() - whether a process is in the same one as we are; false where it cannot be told */
bool namespace_is_shared(pid_t pid, uint64_t flag);
