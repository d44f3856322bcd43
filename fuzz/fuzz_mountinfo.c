/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engines/cgroup/cgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the parser promises whatever the text: bounded, terminated names, one v2 tree, a report that fits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cgroup_layout layout;
	char report[256];

	if (cgroup_layout_parse((const char *)data, size, &layout, NULL) < 0)
		return 0;
	if (layout.n > CGROUP_HIERARCHIES || layout.v2 >= (int)layout.n)
		abort();
	for (unsigned i = 0; i < layout.n; i++) {
		const struct cgroup_hierarchy *h = &layout.hierarchies[i];
		if (h->mount[0] != '/' || !memchr(h->mount, '\0', sizeof(h->mount)) ||
		    !memchr(h->options, '\0', sizeof(h->options)) || h->v2 != ((int)i == layout.v2))
			abort();
	}
	if (cgroup_report(&layout, report, sizeof(report)) < 0)
		abort();
	return 0;
}
