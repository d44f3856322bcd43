/* SPDX-License-Identifier: Apache-2.0 */
/* CONFIG and START as strata-init reads them: the first byte says which, the rest is the payload. */
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(config_fini) struct config config = { 0 };
	struct err err = { 0 };
	size_t all = 0;

	if (size == 0)
		return 0;
	int r = config_parse(data[0] & 1 ? AGENT_START : AGENT_CONFIG, data + 1, size - 1, &config,
			     &err);
	if (r < 0) {
		if (!err.text[0] || config.payload)
			abort();
		return 0;
	}
	/* Every string ends inside the payload. */
	for (size_t i = 0; i < config.n_args; i++)
		all += strlen(config.args[i]);
	for (size_t i = 0; i < config.n_mounts; i++)
		all += strlen(config.mounts[i].options) + strlen(config.mounts[i].target);
	if (config.hostname)
		all += strlen(config.hostname);
	if (all > size || !config.n_args || config.args[config.n_args] || config.cwd[0] != '/')
		abort();
	return 0;
}
