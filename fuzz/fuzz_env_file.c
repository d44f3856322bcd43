/* SPDX-License-Identifier: Apache-2.0 */
/* What --env-file and --label-file hold. */
#include <stdint.h>
#include <stdlib.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/flags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(json_decref_p) json_t *env = json_array();
	AUTO(json_decref_p) json_t *labels = json_object();
	struct err err = { 0 };

	int r = flag_lines((const char *)data, size, "file", flag_env, "--env-file", env, &err);
	if ((r < 0) != (err.text[0] != '\0'))
		abort();
	(void)flag_lines((const char *)data, size, "file", flag_label, "--label-file", labels,
			 NULL); /* only that it survives */
	return 0;
}
