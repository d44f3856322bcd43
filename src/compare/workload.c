/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/json.h"

#define WORKLOAD_LINE_MAX    65536 /* bytes of the output's end that are looked at */
#define WORKLOAD_MATCH_S     2	   /* of CPU time */
#define WORKLOAD_MATCH_BYTES (UINT64_C(1) << 30)
#define WORKLOAD_PARSED	     "parsed"

/* Metrics that every workload has: a program's own number of that name is another. */
static const char *const workload_taken[] = { "time", "cpu", "memory", "status", WORKLOAD_PARSED };

int workload_regex(const char *text, regex_t *ret, struct err *err)
{
	char why[160];
	int code = regcomp(ret, text, REG_EXTENDED | REG_NEWLINE);

	if (code) {
		(void)regerror(code, ret, why, sizeof(why)); /* cut: still telling */
		return err_say(err, EINVAL, "--parse '%s': %s", text, why);
	}
	if (ret->re_nsub)
		return 0;
	regfree(ret);
	return err_say(err, EINVAL,
		       "--parse '%s': put the number into a group: '([0-9.]+) requests'", text);
}

static bool workload_is_taken(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(workload_taken); i++) {
		if (!strcmp(workload_taken[i], name))
			return true;
	}
	return false;
}

/* What the program calls so itself. */
static void workload_add(struct workload_numbers *numbers, const char *name, double value)
{
	struct workload_number *number = &numbers->list[numbers->n];

	if (numbers->n == WORKLOAD_NUMBERS || !name[0] || !isfinite(value))
		return;
	(void)snprintf(number->name, sizeof(number->name), "%s%s",
		       workload_is_taken(name) ? "own-" : "", name); /* cut, as said */
	for (char *c = number->name; *c; c++) {
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.",
			    *c))
			*c = '_';
	}
	if (workload_find(numbers, number->name))
		return; /* the first of two that became the same */
	number->value = value;
	numbers->n++;
}

const struct workload_number *workload_find(const struct workload_numbers *numbers,
					    const char *name)
{
	for (size_t i = 0; i < numbers->n; i++) {
		if (!strcmp(numbers->list[i].name, name))
			return &numbers->list[i];
	}
	return NULL;
}

static bool workload_is_number(const char *text, size_t n, double *ret)
{
	char copy[64], *end;

	if (!n || n >= sizeof(copy))
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	double value = strtod(copy, &end);
	if (*end || !isfinite(value))
		return false;
	*ret = value;
	return true;
}

/* The last match of a line counts: programs say their sum at the end. */
static int workload_match_text(const char *text, const regex_t *regex, double *ret)
{
	regmatch_t groups[2];
	int flags = 0;
	bool found = false;

	while (regexec(regex, text, 2, groups, flags) == 0) {
		if (groups[1].rm_so >= 0 &&
		    workload_is_number(text + groups[1].rm_so,
				       (size_t)(groups[1].rm_eo - groups[1].rm_so), ret))
			found = true;
		if (!text[groups[0].rm_eo])
			break;
		text += groups[0].rm_eo > 0 ? groups[0].rm_eo : 1;
		flags = text[-1] == '\n' ? 0 : REG_NOTBOL;
	}
	return found ? 0 : -ENODATA;
}

/* A NUL ends a line like any other: what comes after it counts, too. */
int workload_match(const char *text, size_t n, const regex_t *regex, double *ret)
{
	const char *end = text + n;
	int r = -ENODATA;

	for (; text < end; text += strlen(text) + 1) {
		if (*text && workload_match_text(text, regex, ret) == 0)
			r = 0;
	}
	return r;
}

static void workload_json(const char *text, size_t n, struct workload_numbers *ret)
{
	AUTO(json_decref_p) json_t *json = NULL;
	const char *key;
	json_t *value;

	while (n && strchr(" \t\r\n", text[n - 1]) && text[n - 1])
		n--;
	size_t start = n;
	while (start && text[start - 1] != '\n' && n - start < WORKLOAD_LINE_MAX)
		start--;
	if (start == n || text[start] != '{' ||
	    json_parse(text + start, n - start, "output", &json, NULL) < 0)
		return;
	json_object_foreach(json, key, value)
	{
		if (json_is_number(value))
			workload_add(ret, key, json_number_value(value));
	}
}

/* proc_pid_statm(5): the first number is the size of the whole address space, in pages. */
static int workload_bounds(void)
{
	const struct rlimit cpu = { WORKLOAD_MATCH_S, WORKLOAD_MATCH_S };
	char text[128];
	AUTO(fd_close_p) int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fd_read_text(fd, text, sizeof(text)) <= 0)
		return -ENODATA;
	rlim_t size =
		strtoull(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + WORKLOAD_MATCH_BYTES;
	const struct rlimit memory = { size, size };
	return setrlimit(RLIMIT_CPU, &cpu) < 0 || setrlimit(RLIMIT_AS, &memory) < 0 ? -errno : 0;
}

static _Noreturn void workload_matcher(int out, const char *text, size_t n, const regex_t *regex)
{
	double value = 0;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (workload_bounds() < 0)
		_exit(1);
	if (workload_match(text, n, regex, &value) == 0)
		(void)!write(out, &value, sizeof(value)); /* one that is not there is no number */
	_exit(0);
}

static ssize_t workload_answer(int fd, double *ret)
{
	ssize_t n;

	do {
		n = read(fd, ret, sizeof(*ret));
	} while (n < 0 && errno == EINTR);
	return n;
}

/*
 * In a process of its own: on some texts some expressions take time and memory without bounds (regexec(3), back references), and
 * the text is the guest's.
 */
static int workload_match_apart(const char *text, size_t n, const regex_t *regex, double *ret)
{
	int pair[2], status = 0;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		workload_matcher(pair[1], text, n, regex);
	int code = errno;
	fd_close(pair[1]);
	ssize_t got = pid < 0 ? 0 : workload_answer(pair[0], ret);
	fd_close(pair[0]);
	if (pid < 0)
		return -code;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		return -ETIMEDOUT;
	return got == sizeof(*ret) ? 0 : -ENODATA;
}

int workload_parse(const char *text, size_t n, const regex_t *regex, struct workload_numbers *ret)
{
	size_t skip = n > WORKLOAD_LINE_MAX ? n - WORKLOAD_LINE_MAX : 0;
	double value = 0;
	int r = regex ? workload_match_apart(text + skip, n - skip, regex, &value) : 0;

	*ret = (struct workload_numbers){ 0 };
	if (regex && r == 0)
		ret->list[ret->n++] =
			(struct workload_number){ .name = WORKLOAD_PARSED, .value = value };
	workload_json(text, n, ret);
	return r;
}
