/* SPDX-License-Identifier: Apache-2.0 */
/* logline_parse() and status_parse(): files that a full disk or a power cut may have torn. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_copy.h"
#include "manager/logfile.h"
#include "manager/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct status status;
	struct logline line;

	if (logline_parse(text, size, &line) == 0 && line.text + line.len != text + size)
		abort();
	if (status_parse(text, size, &status) == 0 && strlen(status.error) >= sizeof(status.error))
		abort();
	free(text);
	return 0;
}
