/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"
#include "engines/caps.h"
#include "engines/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stands in only where caps.c is not linked. */
__attribute__((weak)) int caps_from_name(const char *name, uint64_t *ret, struct err *err)
{
	if (strncmp(name, "CAP_", 4))
		return err_say(err, EINVAL, "capability '%s' is unknown", name);
	*ret = 1;
	return 0;
}

/* The longest way from text to a view: what was accepted must keep the promises of spec.h. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(json_decref_p) json_t *json = NULL;
	struct spec spec;
	struct err err = { 0 };

	if (json_parse((const char *)data, size, "spec", &json, NULL) < 0)
		return 0;
	int r = spec_load(json, &spec, &err);
	if (r < 0) {
		if (!err.text[0] || strchr(err.text, '\n'))
			abort();
		return 0;
	}
	if (!spec.n_args || !spec.args[0] || spec.args[spec.n_args] || strlen(spec.id) != 64 ||
	    spec.cwd[0] != '/')
		abort();
	for (size_t i = 0; i < spec.n_env; i++) {
		if (!strchr(spec.env[i], '='))
			abort();
	}
	spec_fini(&spec);
	return 0;
}
