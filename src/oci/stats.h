/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What `events --stats` says of a container: the object that runc prints, member by member. */
#include <jansson.h>

#include "engines/cgroup/cgroup.h"

/* stats_json() - of now; what a host's cgroups do not count is 0. A new reference, NULL on ENOMEM. */
json_t *stats_json(const struct cgroup *cgroup);

/* The parts, from the kernel's texts. */
/* stats_raw() - "key number" on each line, into an object */
json_t *stats_raw(const char *text);
/* stats_numbers() - "1 2 3" */
json_t *stats_numbers(const char *text);
/* stats_cpus() - "0-2,5": [0, 1, 2, 5] */
json_t *stats_cpus(const char *text);
/* stats_block_v1() - "8:0 Read 4096": [{major, minor, op, value}]; a line without a device is none */
json_t *stats_block_v1(const char *text);
/* stats_block_v2() - io.stat; @ops: whether operations are meant, not bytes */
json_t *stats_block_v2(const char *text, bool ops);
