/* SPDX-License-Identifier: Apache-2.0 */
/* flag_ulimit() on any text: what it takes, a spec takes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "base/os/rlimit.h"
#include "cli/flags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(json_decref_p) json_t *list = json_array();
	struct err err = { 0 };
	char text[256];

	if (size >= sizeof(text) || !list)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	int r = flag_ulimit(text, "--ulimit", list, &err);
	if (r < 0 && (!err.text[0] || strchr(err.text, '\n') || json_array_size(list)))
		abort();
	const json_t *limit = json_array_get(list, 0);
	uint64_t soft = (uint64_t)json_int(limit, "soft", 0); /* -1: no limit */
	uint64_t hard = (uint64_t)json_int(limit, "hard", 0);
	if (r == 0 && (soft > hard || rlimit_find(json_str(limit, "name", "")) < 0))
		abort();
	return 0;
}
