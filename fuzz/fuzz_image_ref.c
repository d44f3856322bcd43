/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "storage/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	char tag[REF_MAX], again[REF_MAX];

	if (text && ref_tag(text, tag, NULL) == 0) {
		/* What was accepted once is accepted again, and stays what it is. */
		if (ref_tag(tag, again, NULL) < 0 || strcmp(tag, again))
			abort();
	}
	free(text);
	return 0;
}
