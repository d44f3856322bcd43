/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Decimal fractions as typed, without floating point: "1.5" CPUs, "1.5g", "0.5s". */
#include <stdbool.h>
#include <stdint.h>

struct decimal {
	uint64_t whole;
	uint64_t billionths;
};

/*
 * decimal_read() - "12", "1.5", ".5"
 * @text: moved past it on success. At most 18 digits before the point; those after the ninth do not count.
 */
bool decimal_read(const char **text, struct decimal *ret);
/* decimal_times() - in units of so many; false where that passes INT64_MAX. */
bool decimal_times(struct decimal decimal, uint64_t unit, int64_t *ret);
