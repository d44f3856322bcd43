/* SPDX-License-Identifier: Apache-2.0 */
/* The languages inside flags: the first byte chooses one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/flags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const flag_fn readers[] = { flag_mount,	flag_volume, flag_tmpfs, flag_publish,
					   flag_device, flag_ulimit, flag_idmap };
	AUTO(json_decref_p) json_t *into = json_array();
	struct err err = { 0 };

	if (!size || !into)
		return 0;
	AUTO(flag_text_p) char *text = strndup((const char *)data + 1, size - 1);
	if (!text || !flag_is_utf8(text))
		return 0;
	int r = readers[data[0] % ARRAY_SIZE(readers)](text, "--flag", into, &err);
	/* nothing is added by what is refused, and a refusal says why */
	if ((r < 0) != (err.text[0] != '\0') || (r < 0) != !json_array_size(into))
		abort();
	return 0;
}
