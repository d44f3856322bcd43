/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/suite_parse.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A figure as people write it: no hexadecimal, no "inf", no sign. Blanks before it are skipped. @ret_end: may be NULL */
static int figure_at(const char *p, double *ret, const char **ret_end)
{
	char *end;

	p += strspn(p, " \t");
	if (*p < '0' || *p > '9' || (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')))
		return -ENODATA;
	double value = strtod(p, &end);
	*ret = value;
	if (ret_end)
		*ret_end = end;
	return 0;
}

static int figure_more_than_0(int r, double value, double *ret)
{
	if (r < 0 || !isfinite(value) || !(value > 0))
		return -ENODATA;
	*ret = value;
	return 0;
}

/* A figure at @p, which is more than 0. */
static int figure_here(const char *p, double *ret)
{
	double value = 0;
	int r = figure_at(p, &value, NULL);

	return figure_more_than_0(r, value, ret);
}

static int figure_after(const char *text, const char *mark, double *ret)
{
	const char *p = strstr(text, mark);

	return p ? figure_here(p + strlen(mark), ret) : -ENODATA;
}

/* The line that begins so (blanks aside), behind that beginning; NULL. */
static const char *line_of(const char *text, const char *start)
{
	size_t n = strlen(start);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += strspn(p, " \t\r\n");
		if (!strncmp(p, start, n))
			return p + n;
	}
	return NULL;
}

/* The figure that stands before a word: back over blanks and the figure's characters. */
static int figure_before(const char *text, const char *mark, double *ret)
{
	const char *p = strstr(text, mark);

	if (!p)
		return -ENODATA;
	while (p > text && (p[-1] == ' ' || p[-1] == '\t'))
		p--;
	while (p > text && strchr("0123456789.", p[-1]))
		p--;
	return figure_here(p, ret);
}

int parse_sysbench_cpu(const char *text, size_t n, double *ret)
{
	(void)n;
	return figure_after(text, "events per second:", ret);
}

int parse_sysbench_memory(const char *text, size_t n, double *ret)
{
	(void)n;
	return figure_after(text, "MiB transferred (", ret);
}

/* "Tot:             32   4796   1550": usage in %, MIPS by CPU time, MIPS */
int parse_7zip(const char *text, size_t n, double *ret)
{
	const char *p = line_of(text, "Tot:");
	double value = 0;
	int r = p ? 0 : -ENODATA;

	(void)n;
	for (int i = 0; r == 0 && i < 3; i++)
		r = figure_at(p, &value, &p);
	return figure_more_than_0(r, value, ret);
}

/* "+F:25:AES-256-GCM:4195278183.78" */
int parse_openssl(const char *text, size_t n, double *ret)
{
	const char *p = line_of(text, "+F:");
	double value = 0;

	(void)n;
	for (int i = 0; p && i < 2; i++) {
		p += strcspn(p, ":\n");
		p = *p == ':' ? p + 1 : NULL;
	}
	int r = p ? figure_at(p, &value, NULL) : -ENODATA;
	return figure_more_than_0(r, value / 1e6, ret);
}

int parse_stress_ng(const char *text, size_t n, double *ret)
{
	(void)n;
	return figure_after(text, "bogo-ops-per-second-real-time:", ret);
}

int parse_perf(const char *text, size_t n, double *ret)
{
	(void)n;
	return figure_before(text, "usecs/op", ret);
}

int parse_sockperf_median(const char *text, size_t n, double *ret)
{
	(void)n;
	return figure_after(text, "percentile 50.000 =", ret);
}

int parse_sockperf_p99(const char *text, size_t n, double *ret)
{
	(void)n;
	return figure_after(text, "percentile 99.000 =", ret);
}

int parse_wrk(const char *text, size_t n, double *ret)
{
	(void)n;
	return figure_after(text, "Requests/sec:", ret);
}

/* "99%    4.87ms": us, ms, s or m */
int parse_wrk_p99(const char *text, size_t n, double *ret)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = { { "us", 1e-3 }, { "ms", 1 }, { "s", 1e3 }, { "m", 60e3 } };
	const char *p = line_of(text, "99%");
	double value = 0;

	(void)n;
	int r = p ? figure_at(p, &value, &p) : -ENODATA;
	for (size_t i = 0; r == 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strncmp(p, units[i].unit, strlen(units[i].unit)))
			return figure_more_than_0(0, value * units[i].ms, ret);
	}
	return -ENODATA;
}

int parse_redis_set(const char *text, size_t n, double *ret)
{
	(void)n;
	return figure_after(text, "\"SET\",\"", ret);
}

int parse_redis_get(const char *text, size_t n, double *ret)
{
	(void)n;
	return figure_after(text, "\"GET\",\"", ret);
}

/* "GET","40650.41","0.169","0.040","0.135","0.199","2.079","4.927": rate, then average, least, p50, p95, p99, worst */
int parse_redis_get_p99(const char *text, size_t n, double *ret)
{
	const char *p = line_of(text, "\"GET\"");

	(void)n;
	for (int i = 0; p && i < 6; i++) {
		p += strcspn(p, ",\n");
		p = p[0] == ',' && p[1] == '"' ? p + 2 : NULL;
	}
	return p ? figure_here(p, ret) : -ENODATA;
}

/* "Max latency so far: 19994 microseconds.", a line for each new one */
int parse_redis_stall(const char *text, size_t n, double *ret)
{
	static const char mark[] = "Max latency so far:";
	int r = -ENODATA;

	(void)n;
	for (const char *p = strstr(text, mark); p; p = strstr(p, mark)) {
		p += sizeof(mark) - 1;
		r = figure_here(p, ret) == 0 ? 0 : r;
	}
	return r;
}

int parse_time(const char *text, size_t n, double *ret)
{
	const char *p = line_of(text, "real");
	double value = 0;

	(void)n;
	int r = p ? figure_at(p, &value, &p) : -ENODATA;
	/* busybox says "0m 0.80s" */
	if (r == 0 && *p == 'm') {
		double seconds = 0;
		r = figure_at(p + 1, &seconds, NULL);
		value = value * 60 + seconds;
	}
	return figure_more_than_0(r, value, ret);
}

int parse_capabilities(const char *text, size_t n, double *ret)
{
	const char *p = line_of(text, "CapEff:");
	char *end;

	(void)n;
	if (!p)
		return -ENODATA;
	p += strspn(p, " \t");
	if (!strchr("0123456789abcdef", *p) || !*p)
		return -ENODATA;
	errno = 0;
	unsigned long long set = strtoull(p, &end, 16);
	if (errno)
		return -ENODATA;
	*ret = __builtin_popcountll(set);
	return 0;
}

int parse_filters(const char *text, size_t n, double *ret)
{
	const char *p = line_of(text, "Seccomp_filters:");

	(void)n;
	return p ? figure_at(p, ret, NULL) : -ENODATA;
}
