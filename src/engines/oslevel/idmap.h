/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "engines/spec.h"

/* Who is who across a user namespace; borrowed. */
struct idmap {
	const struct ids_map *uids, *gids;
	size_t n_uids, n_gids;
};
