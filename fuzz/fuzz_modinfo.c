/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as kernel modules, cut in two: names that are names, an order in which nothing comes twice. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"
#include "storage/archive/modules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const wanted[] = { "a", "b", NULL };
	AUTO(modules_fini) struct modules modules = { 0 };
	AUTO(json_decref_p) json_t *names = NULL;
	struct err err = { 0 };
	size_t cut = size ? data[size - 1] * size / 256 : 0;

	if (modules_add(&modules, "a", data, cut) == -EEXIST ||
	    modules_builtin(&modules, (const char *)data, size) < 0)
		abort();
	(void)modules_add(&modules, "b", data + cut, size - cut); /* mostly it is none */
	if (modules_order(&modules, wanted, &names, &err) < 0) {
		if (!err.text[0] || strchr(err.text, '\n'))
			abort();
		return 0;
	}
	if (json_array_size(names) > modules.n)
		abort();
	return 0;
}
