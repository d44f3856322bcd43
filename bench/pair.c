/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times commands against each other: start to exit, interleaved (ABAB...), so that whatever else the machine does
 * meets all of them alike.
 *
 *	pair [-n RUNS] [-w WARMUP] [-o FILE.json] NAME COMMAND [ARG...] [:: NAME COMMAND [ARG...]]...
 *
 * One line each: NAME, then median, first quartile, third quartile and minimum in milliseconds, and the largest resident set of a
 * process in KiB (getrusage(2): of the command and of those it waited for), by tabs. A command
 * that does not end with 0 ends the measurement: what fails fast is not fast.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 8
#define RUNS_MAX     100000

extern char **environ;

struct command {
	const char *name;
	char **argv;	/* borrowed, NULL-ended */
	int64_t *times; /* nanoseconds, one a run; owned */
	long rss_kib;
};

struct plan {
	struct command commands[COMMANDS_MAX];
	unsigned n;
	unsigned runs, warmup;
	const char *json_path; /* or NULL */
};

static int64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int number(const char *text, unsigned max, unsigned *ret)
{
	char *end;

	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno || *end || end == text || value > max)
		return -EINVAL;
	*ret = (unsigned)value;
	return 0;
}

/* One run. Standard error stays: a command that fails says why. Return: nanoseconds, or -1 with a line printed. */
static int64_t run_once(struct command *command, const posix_spawn_file_actions_t *actions)
{
	pid_t pid;
	int status;
	struct rusage usage;

	int64_t start = now_ns();
	int r = posix_spawnp(&pid, command->argv[0], actions, NULL, command->argv, environ);
	if (r != 0) {
		(void)fprintf(stderr, "pair: %s: %s\n", command->argv[0], strerror(r));
		return -1;
	}
	while (wait4(pid, &status, 0, &usage) < 0) {
		if (errno != EINTR)
			return -1;
	}
	int64_t took = now_ns() - start;
	if (usage.ru_maxrss > command->rss_kib)
		command->rss_kib = usage.ru_maxrss;

	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		(void)fprintf(stderr, "pair: %s: %s %d\n", command->name,
			      WIFEXITED(status) ? "exit status" : "killed by signal",
			      WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		return -1;
	}
	return took;
}

static int run_all(struct plan *plan)
{
	posix_spawn_file_actions_t actions;

	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) ||
	    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0))
		return -1;

	for (unsigned i = 0; i < plan->warmup + plan->runs; i++) {
		for (unsigned c = 0; c < plan->n; c++) {
			int64_t took = run_once(&plan->commands[c], &actions);
			if (took < 0)
				return -1;
			if (i >= plan->warmup)
				plan->commands[c].times[i - plan->warmup] = took;
		}
	}
	posix_spawn_file_actions_destroy(&actions);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Of sorted times, in milliseconds; between two runs the mean of both. */
static double quantile(const int64_t *times, unsigned n, unsigned quarter)
{
	double at = (double)(n - 1) * quarter / 4;
	unsigned low = (unsigned)at;
	unsigned high = low + 1 < n ? low + 1 : low;
	double part = at - low;

	return ((double)times[low] * (1 - part) + (double)times[high] * part) / 1e6;
}

static int report(struct plan *plan)
{
	FILE *json = plan->json_path ? fopen(plan->json_path, "we") : NULL;

	if (plan->json_path && !json) {
		(void)fprintf(stderr, "pair: %s: %s\n", plan->json_path, strerror(errno));
		return -1;
	}
	for (unsigned c = 0; c < plan->n; c++) {
		struct command *cmd = &plan->commands[c];
		qsort(cmd->times, plan->runs, sizeof(*cmd->times), by_value);
		double q1 = quantile(cmd->times, plan->runs, 1);
		double median = quantile(cmd->times, plan->runs, 2);
		double q3 = quantile(cmd->times, plan->runs, 3);
		double least = quantile(cmd->times, plan->runs, 0);
		printf("%s\t%.3f\t%.3f\t%.3f\t%.3f\t%ld\n", cmd->name, median, q1, q3, least,
		       cmd->rss_kib);
		if (json)
			(void)fprintf(json,
				      "%s{\"name\":\"%s\",\"runs\":%u,\"median_ms\":%.3f,"
				      "\"q1_ms\":%.3f,\"q3_ms\":%.3f,\"min_ms\":%.3f}%s\n",
				      c ? " " : "[", cmd->name, plan->runs, median, q1, q3, least,
				      c + 1 < plan->n ? "," : "]"); /* fclose() tells */
	}
	return json && fclose(json) != 0 ? -1 : 0;
}

static int parse_commands(struct plan *plan, char **argv)
{
	while (*argv) {
		if (plan->n == COMMANDS_MAX || !argv[1] || !strcmp(argv[1], "::"))
			return -EINVAL;
		struct command *command = &plan->commands[plan->n++];
		command->name = argv[0];
		command->argv = ++argv;
		while (*argv && strcmp(*argv, "::") != 0)
			argv++;
		if (*argv)
			*argv++ = NULL;
		command->times = calloc(plan->runs, sizeof(*command->times));
		if (!command->times)
			return -ENOMEM;
	}
	return plan->n ? 0 : -EINVAL;
}

static int parse(struct plan *plan, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "+n:w:o:")) != -1) {
		if (opt == 'n' && number(optarg, RUNS_MAX, &plan->runs) == 0 && plan->runs)
			continue;
		if (opt == 'w' && number(optarg, RUNS_MAX, &plan->warmup) == 0)
			continue;
		if (opt != 'o')
			return -EINVAL;
		plan->json_path = optarg;
	}
	return parse_commands(plan, argv + optind);
}

int main(int argc, char **argv)
{
	struct plan plan = { .runs = 50, .warmup = 5 };

	if (parse(&plan, argc, argv) < 0) {
		(void)fprintf(stderr, "usage: pair [-n RUNS] [-w WARMUP] [-o FILE.json] "
				      "NAME COMMAND [ARG...] [:: NAME COMMAND [ARG...]]...\n");
		return 2;
	}
	int r = run_all(&plan);
	if (r == 0)
		r = report(&plan);
	for (unsigned c = 0; c < plan.n; c++)
		free(plan.commands[c].times);
	return r == 0 ? 0 : 1;
}
