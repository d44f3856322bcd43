/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/signals.h"

#include <ctype.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

/* Digits alone; -1 where there is anything else, or too much. */
static int digits_parse(const char *text)
{
	int n = 0;

	for (const char *c = text; *c; c++) {
		if (!isdigit((unsigned char)*c))
			return -1;
		n = n * 10 + (*c - '0');
		if (n > SIGRTMAX)
			return -1;
	}
	return *text ? n : -1;
}

/* They have no abbreviation of their own. */
static int realtime_parse(const char *name)
{
	const bool from_min = !strncasecmp(name, "RTMIN", 5);

	if (!from_min && strncasecmp(name, "RTMAX", 5) != 0)
		return 0;
	name += 5;
	if (!*name)
		return from_min ? SIGRTMIN : SIGRTMAX;
	int offset = *name == (from_min ? '+' : '-') ? digits_parse(name + 1) : -1;
	if (offset < 0 || offset > SIGRTMAX - SIGRTMIN)
		return 0;
	return from_min ? SIGRTMIN + offset : SIGRTMAX - offset;
}

int signal_parse(const char *text)
{
	if (isdigit((unsigned char)*text)) {
		int n = digits_parse(text);
		return n > 0 ? n : 0;
	}
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	for (int i = 1; i < 32; i++) {
		const char *name = sigabbrev_np(i);
		if (name && !strcasecmp(name, text))
			return i;
	}
	return realtime_parse(text);
}
