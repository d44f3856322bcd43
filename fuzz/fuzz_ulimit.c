/* SPDX-License-Identifier: Apache-2.0 */
/* rlimits_parse() on any text. */
#include <stdlib.h>
#include <string.h>

#include "engines/oslevel/rlimits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec_ulimit limit = { 0 };
	struct err err = { 0 };
	char text[256];

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	int r = rlimits_parse(text, &limit, &err);
	if (r < 0 && (!err.text[0] || strchr(err.text, '\n') || limit.name))
		abort();
	if (r == 0 && (limit.soft > limit.hard || rlimits_find(limit.name) != limit.resource))
		abort();
	return 0;
}
