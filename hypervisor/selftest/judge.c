/* SPDX-License-Identifier: Apache-2.0 */
#include "selftest/judge.h"

#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"

#define LINE_MOST   100U
#define NUMBER_MOST 1000000U
#define US_PER_S    UINT64_C(1000000)
#define AGREE	    200U /* within one part of so many */

unsigned judge_features(uint64_t value, const struct judge_feature *features, size_t n, bool is_set,
			char *ret, size_t room)
{
	unsigned found = 0;
	size_t used = 0;

	if (room)
		*ret = 0;
	for (size_t i = 0; i < n; i++) {
		if ((value >> features[i].bit & 1) != is_set)
			continue;
		if (used < room)
			used += (size_t)snprintf(ret + used, room - used, "%s%s", found ? ", " : "",
						 features[i].name);
		found++;
	}
	return found;
}

/* ---- a program's console ---- */

struct text {
	const char *at;
	size_t len;
};

static bool begins(struct text t, const char *with)
{
	size_t n = strlen(with);

	return t.len >= n && !memcmp(t.at, with, n);
}

static bool ends(struct text t, const char *with)
{
	size_t n = strlen(with);

	return t.len >= n && !memcmp(t.at + t.len - n, with, n);
}

/* Takes words away from the front. Return: false: they are not there. */
static bool take(struct text *t, const char *words)
{
	size_t n = strlen(words);

	if (!begins(*t, words))
		return false;
	t->at += n;
	t->len -= n;
	return true;
}

static bool take_number(struct text *t, unsigned *ret)
{
	size_t n = 0;

	*ret = 0;
	while (n < t->len && t->at[n] >= '0' && t->at[n] <= '9' && *ret < NUMBER_MOST)
		*ret = *ret * 10 + (unsigned)(t->at[n++] - '0');
	t->at += n;
	t->len -= n;
	return n;
}

/* "end: 12 passed, 0 failed" */
static bool read_end(struct text t, struct judge_output *ret)
{
	unsigned passed, failed;

	if (!take(&t, "end: ") || !take_number(&t, &passed) || !take(&t, " passed, ") ||
	    !take_number(&t, &failed) || !take(&t, " failed") || t.len)
		return false;
	ret->passed = passed;
	ret->failed = failed;
	ret->has_end = true;
	return true;
}

struct reader {
	struct judge_output *output;
	void (*say)(void *arg, enum judge_line kind, const char *line, size_t len);
	void *arg;
};

static void tell(const struct reader *r, enum judge_line kind, struct text t)
{
	char line[LINE_MOST];
	size_t n = t.len < sizeof(line) ? t.len : sizeof(line);

	for (size_t i = 0; i < n; i++)
		line[i] = t.at[i] >= ' ' && t.at[i] < 0x7f ? t.at[i] : '?';
	if (r->say)
		r->say(r->arg, kind, line, n);
}

static void read_line(const struct reader *r, struct text t)
{
	struct judge_output *output = r->output;

	if (read_end(t, output))
		return;
	if (take(&t, "FAIL ")) {
		output->failed++;
		tell(r, JUDGE_FAIL, t);
	} else if (take(&t, "skip ")) {
		output->skipped++;
		tell(r, JUDGE_SKIP, t);
	} else if (take(&t, "ok ")) {
		output->passed++;
	} else if (ends(t, " ticks")) {
		tell(r, JUDGE_COST, t);
	}
}

void judge_output(const char *text, size_t len, struct judge_output *ret,
		  void (*say)(void *arg, enum judge_line kind, const char *line, size_t len),
		  void *arg)
{
	const struct reader r = { ret, say, arg };

	*ret = (struct judge_output){ 0 };
	for (size_t from = 0, at = 0; at <= len; at++) {
		if (at < len && text[at] != '\n')
			continue;
		struct text line = { text + from, at - from };
		while (line.len && line.at[line.len - 1] == '\r')
			line.len--;
		if (!ret->has_end)
			read_line(&r, line);
		from = at + 1;
	}
}

/* ---- counters ---- */

void judge_offset_add(struct judge_offset *offset, uint64_t before, uint64_t there, uint64_t after)
{
	uint64_t error = (after - before + 1) / 2;

	if (after < before || (offset->n && error >= offset->error)) {
		offset->n += after >= before;
		return;
	}
	offset->ticks = (int64_t)(there - (before + error));
	offset->error = error;
	offset->n++;
}

bool judge_offset_is_good(const struct judge_offset *offset, uint64_t tsc_hz)
{
	uint64_t far = offset->ticks < 0 ? 0 - (uint64_t)offset->ticks : (uint64_t)offset->ticks;

	return offset->n && (far <= offset->error || far - offset->error <= tsc_hz / US_PER_S);
}

bool judge_rates_agree(uint64_t a, uint64_t b)
{
	return a && b && (a > b ? a - b : b - a) <= a / AGREE;
}
