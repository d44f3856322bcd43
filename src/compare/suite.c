/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/suite.h"

#include <string.h>

#include "compare/life.h"

const struct metric *const metrics[] = { LIFE_METRICS,
					 SUITE_CPU_METRICS,
					 SUITE_IO_METRICS,
					 SUITE_ISOLATION_METRICS,
					 SUITE_EXITS_METRICS,
					 SUITE_NOISE_METRICS,
					 NULL };

const struct metric *metric_find(const char *id)
{
	for (size_t i = 0; metrics[i]; i++) {
		if (!strcmp(metrics[i]->id, id))
			return metrics[i];
	}
	return NULL;
}
