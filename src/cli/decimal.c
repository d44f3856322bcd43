/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/decimal.h"

#include <ctype.h>

#define BILLION 1000000000ULL

__extension__ typedef unsigned __int128 decimal_wide;

bool decimal_read(const char **text, struct decimal *ret)
{
	const char *c = *text;
	struct decimal d = { 0 };
	unsigned digits = 0;

	for (; isdigit((unsigned char)*c); c++, digits++) {
		if (digits == 18)
			return false;
		d.whole = d.whole * 10 + (uint64_t)(*c - '0');
	}
	if (*c == '.') {
		c++;
		for (uint64_t unit = BILLION / 10; isdigit((unsigned char)*c); c++, digits++) {
			d.billionths += unit * (uint64_t)(*c - '0');
			unit /= 10;
		}
	}
	if (!digits)
		return false;
	*text = c;
	*ret = d;
	return true;
}

bool decimal_times(struct decimal decimal, uint64_t unit, int64_t *ret)
{
	decimal_wide sum = (decimal_wide)decimal.whole * unit +
			   (decimal_wide)decimal.billionths * unit / BILLION;

	if (sum > INT64_MAX)
		return false;
	*ret = (int64_t)sum;
	return true;
}
