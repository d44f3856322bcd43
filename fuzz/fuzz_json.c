/* SPDX-License-Identifier: Apache-2.0 */
/* json_parse() on any text: an error has words, and what parses can be printed and parsed again. */
#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;

	int r = json_parse((const char *)data, size, "input", &json, &err);
	if (r < 0) {
		if (!err.text[0] || strchr(err.text, '\n') || json)
			abort();
		return 0;
	}

	char *text = json_text(json, 0);
	AUTO(json_decref_p) json_t *again = NULL;
	if (!text || json_parse(text, strlen(text), "again", &again, &err) < 0)
		abort();
	if (!json_equal(json, again))
		abort();
	free(text);
	return 0;
}
