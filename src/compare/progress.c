/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/progress.h"

#include <string.h>

void progress_init(struct progress *progress, FILE *out, bool terminal)
{
	*progress = (struct progress){ .out = out, .terminal = terminal };
}

void progress_expect(struct progress *progress, size_t column, unsigned long n, double seconds)
{
	progress->total += n;
	progress->expected[column] += (double)n * seconds;
}

static void progress_less(struct progress *progress, size_t column, double seconds)
{
	double *left = &progress->expected[column];

	*left = *left > seconds ? *left - seconds : 0;
}

void progress_did(struct progress *progress, size_t column, double thought, double took)
{
	progress->done++;
	progress_less(progress, column, thought);
	progress->thought[column] += thought;
	progress->took[column] += took;
}

void progress_drop(struct progress *progress, size_t column, unsigned long n, double thought)
{
	progress->total -= n < progress->total ? n : progress->total;
	progress_less(progress, column, (double)n * thought);
}

double progress_left(const struct progress *progress)
{
	double left = 0;

	for (size_t i = 0; i < PROGRESS_COLUMNS; i++) {
		double factor =
			progress->thought[i] > 0 ? progress->took[i] / progress->thought[i] : 1;
		left += progress->expected[i] * factor;
	}
	return left;
}

void progress_text(double seconds, char ret[32])
{
	unsigned long s = seconds < 1	  ? 1
			  : seconds > 1e6 ? 1000000
					  : (unsigned long)(seconds + 0.5);

	if (s < 60)
		(void)snprintf(ret, 32, "%lu s", s); /* fits, and so do these */
	else if (s < 3600)
		(void)snprintf(ret, 32, "%lu min %lu s", s / 60, s % 60);
	else
		(void)snprintf(ret, 32, "%lu h %lu min", s / 3600, s % 3600 / 60);
}

/* Output that fails is nobody's loss: the result is elsewhere. */
void progress_show(struct progress *progress, const char *metric, const char *column)
{
	char left[32];
	bool next = strcmp(progress->metric, metric) != 0;

	if (!progress->out || (!progress->terminal && !next))
		return;
	(void)snprintf(progress->metric, sizeof(progress->metric), "%s",
		       metric); /* cut: is shown again */
	progress_text(progress_left(progress), left);
	if (progress->terminal)
		(void)fprintf(progress->out, "\r\033[K%lu of %lu: %s, %s; about %s left",
			      progress->done + 1, progress->total, metric, column, left);
	else
		(void)fprintf(progress->out, "measuring %s; about %s left\n", metric, left);
	(void)fflush(progress->out);
}

void progress_end(struct progress *progress)
{
	if (progress->out && progress->terminal)
		(void)fputs("\r\033[K", progress->out);
}
