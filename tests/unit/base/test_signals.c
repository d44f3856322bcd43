/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <signal.h>

#include "base/core/macros.h"
#include "base/os/signals.h"

static void signals_have_names_and_numbers(void **state)
{
	const struct {
		const char *text;
		int want; /* 0: none */
	} values[] = {
		{ "TERM", SIGTERM },
		{ "SIGTERM", SIGTERM },
		{ "sigkill", SIGKILL },
		{ "ALRM", SIGALRM },
		{ "SIGSYS", SIGSYS },
		{ "15", 15 },
		{ "64", 64 },
		{ "RTMIN", SIGRTMIN },
		{ "SIGRTMIN+3", SIGRTMIN + 3 },
		{ "rtmax", SIGRTMAX },
		{ "RTMAX-1", SIGRTMAX - 1 },
		{ "RTMIN+30", SIGRTMAX },
		{ "RTMAX-30", SIGRTMIN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		int got = signal_parse(values[i].text);
		if (got != values[i].want)
			fail_msg("'%s': %d", values[i].text, got);
	}
}

/* An image's StopSignal of RTMIN+4294967298 was signal 36. */
static void what_is_none_is_refused(void **state)
{
	static const char *const texts[] = {
		"0",
		"65",
		"-9",
		"+9",
		"15x",
		" 15",
		"15 ",
		"NOSUCH",
		"",
		"SIG",
		"RTMAX+1",
		"RTMIN-1",
		"RTMIN+31",
		"RTMIN+",
		"RTMIN+-1",
		"RTMAX-x",
		"SIGSIGTERM",
		"RTMIN 3",
		"RTMIN+4294967298",
		"99999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int got = signal_parse(texts[i]);
		if (got)
			fail_msg("'%s': %d", texts[i], got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals_have_names_and_numbers),
		cmocka_unit_test(what_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
