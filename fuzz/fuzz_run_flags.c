/* SPDX-License-Identifier: Apache-2.0 */
/* The flags of `run`: the input is cut at NULs into words, as a shell would hand them over. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/flags.h"
#include "cli/run_config.h"
#include "fuzz_copy.h"

#define WORDS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(flag_text_p) char *copy = fuzz_text(data, size);
	AUTO(args_fini) struct args args = { 0 };
	AUTO(json_decref_p) json_t *config = NULL;
	char *argv[WORDS + 1] = { 0 };
	struct err err = { 0 };
	int argc = 0;

	for (size_t at = 0; at < size && argc < WORDS; at += strlen(copy + at) + 1)
		argv[argc++] = copy + at;

	int r = args_parse(run_opts, true, argc, argv, &args, &err);
	if (r == 0 && args.argc && !args.help)
		r = run_config(&args, &config, &err);
	/* a refusal says why */
	if ((r < 0) != (err.text[0] != '\0') || (r < 0 && config))
		abort();
	return 0;
}
