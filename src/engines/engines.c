/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engines/engine.h"
#include "engines/hybrid/hybrid.h"
#include "engines/oslevel/oslevel.h"

const struct engine_ops *const engines[] = { &oslevel_engine, &hybrid_engine, NULL };

const struct engine_ops *engine_find(const char *name, bool machine)
{
	if (!strcmp(name, "auto"))
		return machine ? &hybrid_engine : &oslevel_engine;
	for (size_t i = 0; engines[i]; i++) {
		if (!strcmp(engines[i]->name, name))
			return engines[i];
	}
	return NULL;
}
