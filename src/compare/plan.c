/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/plan.h"

size_t plan_column(unsigned round, size_t at, size_t n)
{
	return round % 2 ? n - 1 - at : at;
}

unsigned plan_runs(enum compare_level level)
{
	static const unsigned runs[] = {
		[COMPARE_QUICK] = 5, [COMPARE_STANDARD] = 10, [COMPARE_FULL] = 20
	};

	return runs[level];
}
