/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "compare/emit.h"
#include "compare/report.h"

int report_html(const struct result *result, const struct result *baseline, FILE *out)
{
	(void)baseline;
	return report_json(result, out);
}
