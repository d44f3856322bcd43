/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "compare/column.h"

void outcome_fini(struct outcome *outcome)
{
	free(outcome->out);
	free(outcome->err_line);
	*outcome = (struct outcome){ 0 };
}

int column_inside(struct column *column, const char *const *argv, unsigned timeout,
		  struct outcome *ret, struct err *err)
{
	if (column->ops->exec)
		return column->ops->exec(column, argv, timeout, ret, err);
	return column->ops->run(column, argv, timeout, ret, err);
}
