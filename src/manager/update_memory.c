/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/os/json.h"
#include "manager/update.h"

#define MEMORY_PAGE 4096

int update_memory(json_t *spec, int64_t bytes, struct err *err)
{
	const json_t *vm = json_object_get(spec, "vm");
	AUTO(json_decref_p) json_t *copy = vm ? json_copy((json_t *)(uintptr_t)vm) : NULL;

	if (!vm || bytes <= 0)
		return 0;
	if (!copy ||
	    json_object_set_new(copy, "memory_bytes",
				json_integer(bytes / MEMORY_PAGE * MEMORY_PAGE)) ||
	    json_object_set(spec, "vm", copy))
		return err_set(err, ENOMEM, "update");
	return 0;
}
