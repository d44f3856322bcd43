/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/suggest.h"

#include <string.h>

#define SUGGEST_LEN 32 /* longer words are not compared */

static unsigned suggest_min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* edit distance in which a swap of neighbours ("puase") counts once */
static unsigned suggest_distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned d[SUGGEST_LEN + 1][SUGGEST_LEN + 1];

	for (unsigned i = 0; i <= n; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			unsigned change = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			d[i][j] = suggest_min(change, suggest_min(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = suggest_min(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[n][m];
}

void suggest_offer(struct suggest *suggest, const char *typed, const char *name)
{
	size_t n = strlen(typed), m = strlen(name);

	if (n < 2 || m < 2 || n > SUGGEST_LEN || m > SUGGEST_LEN)
		return;
	unsigned distance = suggest_distance(typed, n, name, m);
	unsigned near = n < 5 ? 1 : 2;
	if (distance <= near && (!suggest->best || distance < suggest->distance))
		*suggest = (struct suggest){ .best = name, .distance = distance };
}
