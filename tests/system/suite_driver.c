/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite's commands and parsers by themselves, for tests that run the programs:
 * suite_driver list            id and seconds of each metric that runs inside, a line each
 * suite_driver command ID      its shell command
 * suite_driver parse ID <TEXT  its figure, or exit status 1
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/metric.h"

#define TEXT_MAX 0x100000U

static int list(void)
{
	for (size_t i = 0; metrics[i]; i++) {
		if (metrics[i]->command)
			printf("%s %u\n", metrics[i]->id, metrics[i]->seconds);
	}
	return 0;
}

static int parse(const struct metric *metric)
{
	char *text = malloc(TEXT_MAX + 1);
	double value;

	if (!text)
		return 1;
	size_t n = fread(text, 1, TEXT_MAX, stdin);
	text[n] = '\0';
	int r = metric->parse(text, n, &value);
	free(text);
	if (r < 0)
		return 1;
	printf("%g %s\n", value, metric->unit);
	return 0;
}

int main(int argc, char **argv)
{
	const struct metric *metric = argc == 3 ? metric_find(argv[2]) : NULL;

	if (argc == 2 && !strcmp(argv[1], "list"))
		return list();
	if (!metric || !metric->command)
		return 2;
	if (!strcmp(argv[1], "command"))
		return puts(metric->command) < 0;
	return !strcmp(argv[1], "parse") ? parse(metric) : 2;
}
