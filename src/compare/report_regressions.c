/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "compare/report.h"
#include "compare/view.h"

int report_regressions(const struct result *result, const struct result *baseline, double percent)
{
	struct view view;
	int n = 0;

	if (view_init(&view, result, baseline) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < result->n_metrics * result->n_columns; i++)
		n += view.figures[i].since == DIFFER_WORSE && view.figures[i].change > percent;
	view_fini(&view);
	return n;
}
