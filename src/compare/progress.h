/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is done and how long the rest will take: samples are expected to take their metric's time, and columns turn out to be
 * faster or slower than that, each by a factor of its own.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PROGRESS_COLUMNS 32

struct progress {
	FILE *out; /* NULL: nothing is shown */
	bool terminal;
	unsigned long done, total;	   /* samples, warm-ups too */
	double expected[PROGRESS_COLUMNS]; /* seconds still to come */
	double took[PROGRESS_COLUMNS],
		thought[PROGRESS_COLUMNS]; /* what is behind took, and was expected to */
	char metric[64];		   /* the last that was shown */
};

/* progress_init() - @out: a line that changes on a terminal, else one a metric */
void progress_init(struct progress *progress, FILE *out, bool terminal);
/* progress_expect() - so many samples of so many seconds each. */
void progress_expect(struct progress *progress, size_t column, unsigned long n, double seconds);
/* progress_did() - one of them took so long; progress_drop() - so many will not be taken. */
void progress_did(struct progress *progress, size_t column, double thought, double took);
void progress_drop(struct progress *progress, size_t column, unsigned long n, double thought);
/* progress_left() - seconds. */
double progress_left(const struct progress *progress);
/* progress_text() - "3 min 20 s"; ret of 32 bytes. */
void progress_text(double seconds, char ret[32]);
/* progress_show() - what is next. */
void progress_show(struct progress *progress, const char *metric, const char *column);
/* progress_end() - the line goes away. */
void progress_end(struct progress *progress);
