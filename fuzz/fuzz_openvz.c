/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration of OpenVZ's: whatever is read becomes a config, and every parameter is in the report; and a script beside one,
 * whose binds are paths.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "manager/openvz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct openvz_host host = { .cpus = 2, .network = "lan", .disk = "/dev/x" };
	AUTO(json_decref_p) json_t *conf = NULL;
	AUTO(json_decref_p) json_t *config = NULL;
	AUTO(json_decref_p) json_t *report = NULL;
	AUTO(json_decref_p) json_t *binds = NULL;
	const json_t *bind;
	struct err err = { 0 };
	size_t i;

	if (openvz_binds((const char *)data, size, &binds, NULL) < 0)
		abort();
	json_array_foreach(binds, i, bind)
	{
		const char *target = strchr(json_string_value(bind), ':');
		if (json_string_value(bind)[0] != '/' || !target || target[1] != '/')
			abort();
	}
	int r = openvz_parse((const char *)data, size, &conf, &err);
	if ((r < 0) != (err.text[0] != '\0'))
		abort();
	if (r < 0)
		return 0;
	if (openvz_config(conf, &host, &config, &report, &err) < 0 ||
	    json_array_size(report) != json_object_size(conf))
		abort();
	return 0;
}
