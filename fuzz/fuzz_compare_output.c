/* SPDX-License-Identifier: Apache-2.0 */
/* What a workload prints while it is compared, and the expression that looks for a number in it. */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "compare/workload.h"
#include "fuzz_copy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct workload_numbers numbers;
	regex_t regex;
	char *text = fuzz_text(data, size);

	if (workload_regex("rate[^0-9]*([-+.0-9eE]+)", &regex, NULL) == 0) {
		double value = 0;
		(void)workload_parse(text, size, NULL, &numbers); /* any text may come */
		assert(workload_match(text, size, &regex, &value) < 0 || isfinite(value));
		assert(numbers.n <= WORKLOAD_NUMBERS);
		for (size_t i = 0; i < numbers.n; i++)
			assert(isfinite(numbers.list[i].value) && numbers.list[i].name[0]);
		regfree(&regex);
	}
	free(text);
	return 0;
}
