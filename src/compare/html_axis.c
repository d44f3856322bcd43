/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "compare/html.h"

struct axis axis_empty(bool log)
{
	return (struct axis){ .low = INFINITY, .high = -INFINITY, .log = log };
}

void axis_grow(struct axis *axis, double value)
{
	if (!isfinite(value) || (axis->log && value <= 0))
		return;
	axis->low = fmin(axis->low, value);
	axis->high = fmax(axis->high, value);
}

/* The round number (1, 2 or 5 times a power of ten) next to value > 0, below it or above. */
static double axis_nice(double value, bool up)
{
	static const double steps[] = { 1, 2, 5, 10 };
	double decade = pow(10, floor(log10(value)));

	for (int i = 0; i < 3; i++) {
		if (up ? value <= steps[i] * decade * (1 + 1e-9)
		       : value < steps[i + 1] * decade * (1 - 1e-9))
			return steps[i] * decade;
	}
	return up ? 10 * decade : 5 * decade;
}

static double axis_step(const struct axis *axis)
{
	return axis_nice((axis->high - axis->low) / 5, true);
}

void axis_round(struct axis *axis)
{
	if (axis->low > axis->high)
		*axis = (struct axis){ .low = 1, .high = 10, .log = axis->log };
	if (axis->log) {
		axis->low = axis_nice(axis->low, false);
		axis->high = axis_nice(axis->high, true);
		if (axis->high <= axis->low)
			axis->high = axis->low * 10;
		return;
	}
	if (axis->high <= axis->low)
		axis->high = axis->low + fmax(1, fabs(axis->low));
	double step = axis_step(axis);
	axis->low = floor(axis->low / step) * step;
	axis->high = ceil(axis->high / step) * step;
}

double axis_at(const struct axis *axis, double value)
{
	double at;

	if (axis->log)
		at = value > 0 ? (log10(value) - log10(axis->low)) /
					 (log10(axis->high) - log10(axis->low))
			       : 0;
	else
		at = value / (axis->high - axis->low) - axis->low / (axis->high - axis->low);
	return fmin(fmax(at, 0), 1);
}

/* Each decade, or every so many of them; and 2 and 5 of each where there are few. */
static size_t axis_ticks_log(const struct axis *axis, double ret[AXIS_TICKS])
{
	double decades = log10(axis->high) - log10(axis->low);
	int every = (int)ceil(decades / 6), from = (int)ceil(log10(axis->low) - 1e-9);
	int to = (int)floor(log10(axis->high) + 1e-9);
	size_t n = 0;

	if (decades < 2.5) {
		for (double at = axis->low; at <= axis->high * (1 + 1e-9) && n < AXIS_TICKS;
		     at = axis_nice(at * 1.01, true))
			ret[n++] = at;
		return n;
	}
	for (int e = from; e <= to && n < AXIS_TICKS; e++) {
		if (e % every == 0)
			ret[n++] = pow(10, e);
	}
	return n;
}

size_t axis_ticks(const struct axis *axis, double ret[AXIS_TICKS])
{
	size_t n = 0;

	if (axis->log)
		return axis_ticks_log(axis, ret);
	double step = axis_step(axis);
	for (int i = 0; axis->low + step * i <= axis->high + step / 2 && n < AXIS_TICKS; i++)
		ret[n++] = axis->low + step * i;
	return n;
}

void axis_text(double tick, char ret[FIGURE_TEXT])
{
	size_t n;

	figure_text(tick, ret);
	n = strlen(ret);
	if (!strchr(ret, '.') || ret[n - 1] < '0' || ret[n - 1] > '9' || strchr(ret, 'e'))
		return;
	while (ret[n - 1] == '0')
		ret[--n] = '\0';
	if (ret[n - 1] == '.')
		ret[n - 1] = '\0';
}
