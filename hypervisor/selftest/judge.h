/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the self-test makes of what it saw: feature bits in words, a guest program's console, two counters side by side. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct judge_feature {
	uint8_t bit;
	const char *name; /* static */
};

/*
 * judge_features() - the names of those bits of value that are set (or, is_set false, that are not), with commas between them
 * @ret: cut to room bytes   Return: how many.
 */
unsigned judge_features(uint64_t value, const struct judge_feature *features, size_t n, bool is_set,
			char *ret, size_t room);

/* A line of a guest program's console that belongs into a report. */
enum judge_line { JUDGE_FAIL, JUDGE_SKIP, JUDGE_COST };

/* What a guest program (tests/guest/lib/guest.h) said. */
struct judge_output {
	unsigned passed, failed, skipped;
	bool has_end; /* with the line "end: N passed, N failed", whose numbers these are; else the lines were counted */
};

/*
 * judge_output() - read a console
 * @text: hostile; no byte behind len is looked at   @say: each line "FAIL ...", "skip ...", "NAME: N ticks", without what is before
 * its name; at most 100 bytes, printable   NULL: nobody wants them
 */
void judge_output(const char *text, size_t len, struct judge_output *ret,
		  void (*say)(void *arg, enum judge_line kind, const char *line, size_t len),
		  void *arg);

/* How far another CPU's TSC is ahead of this one's. Zeroed: nothing is known. */
struct judge_offset {
	int64_t ticks;	/* of the best look */
	uint64_t error; /* it is right within this */
	unsigned n;	/* looks */
};

/*
 * judge_offset_add() - one look: this CPU read before, then the other one there, then this one after
 * A look that was short says most: whatever came between the two makes it only less precise.
 */
void judge_offset_add(struct judge_offset *offset, uint64_t before, uint64_t there, uint64_t after);
/* judge_offset_is_good() - not more than a microsecond that could be seen: what a move of a vcpu takes anyway */
bool judge_offset_is_good(const struct judge_offset *offset, uint64_t tsc_hz);

/* judge_rates_agree() - within half a per cent; 0 agrees with nothing */
bool judge_rates_agree(uint64_t a, uint64_t b);
