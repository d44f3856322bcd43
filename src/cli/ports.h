/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Published ports as lists show them: those that are in force, with the host's ports that were chosen. */
#include <jansson.h>

#include "base/core/buf.h"
#include "manager/manager.h"
#include "network/network.h"

struct ports {
	struct network_published *list; /* in the order of the instances' ids */
	size_t n;
};

/* ports_load() - of one instance, or (NULL) of all */
int ports_load(struct manager *manager, const char *instance, struct ports *ret, struct err *err);
void ports_fini(struct ports *ports);
/* ports_text() - "0.0.0.0:8080->80/tcp, ...", appended; a failure is sticky. */
void ports_text(const struct ports *ports, const char *instance, struct buf *buf);
/* ports_json() - as a spec has them (docs/spec.md); a new, maybe empty array, or NULL. */
json_t *ports_json(const struct ports *ports, const char *instance);
