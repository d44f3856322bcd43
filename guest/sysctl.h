/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel's parameters that the workload was given, by their names of sysctl(8). */
#include "config.h"

/* sysctl_path() - "net.ipv4.ip_forward" as a file; -EINVAL where it would lead anywhere else */
int sysctl_path(const char *name, size_t len, char *ret, size_t size);
/* sysctl_apply() - the config's, each "NAME=VALUE". Errors: what the kernel says, naming the one. */
int sysctl_apply(const struct config *config, struct err *err);
