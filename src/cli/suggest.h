/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* "did you mean": the nearest of the names offered, when it is near enough to be a typing error. */

struct suggest {
	const char *best;  /* borrowed; NULL: nothing is near */
	unsigned distance; /* of best */
};

void suggest_offer(struct suggest *suggest, const char *typed, const char *name);
