/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/core/buf.h"

#define STATS_CGROUP "/sys/fs/cgroup/workload" /* in the agent's own mount namespace */

/* stats_add() - a STATS_REPLY frame. What the kernel does not say is 0. */
void stats_add(struct buf *out);
/* stats_oom() - whether the kernel killed something of the workload for want of memory. */
bool stats_oom(void);
