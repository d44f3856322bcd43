/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's benchmark printed, through each parser of the suite; and the same bytes as a seccomp filter. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "compare/filter.h"
#include "compare/metric.h"
#include "compare/suite_parse.h"
#include "fuzz_copy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int (*parse)(const char *, size_t, double *), const char *text, size_t n)
{
	double value = -7;
	int r = parse(text, n, &value);

	if (r == 0 ? !isfinite(value) || value < 0 : value != -7)
		abort();
}

static void filter(const char *text, size_t n)
{
	size_t count = n / sizeof(struct sock_filter);
	struct sock_filter *program = fuzz_copy(text, count * sizeof(*program));

	(void)filter_allows(program, count, 0);
	free(program);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	for (size_t i = 0; metrics[i]; i++) {
		if (metrics[i]->parse)
			check(metrics[i]->parse, text, size);
	}
	check(parse_capabilities, text, size);
	check(parse_filters, text, size);
	check(parse_redis_get_p99, text, size);
	filter(text, size);
	free(text);
	return 0;
}
