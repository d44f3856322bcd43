/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that print JSON. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "compare/suite_parse.h"

/* From the first brace on: programs write remarks before their JSON. */
static json_t *json_of(const char *text, size_t n)
{
	const char *p = memchr(text, '{', n);

	return p ? json_loadb(p, n - (size_t)(p - text), JSON_DISABLE_EOF_CHECK, NULL) : NULL;
}

static int number_of(const json_t *json, double factor, double *ret)
{
	double value = json_number_value(json) * factor;

	if (!json_is_number(json) || !isfinite(value) || !(value > 0))
		return -ENODATA;
	*ret = value;
	return 0;
}

/* @path: keys, NULL-ended; "#0" is an array's first */
static const json_t *member_of(const json_t *json, const char *const *path)
{
	for (; json && *path; path++)
		json = !strcmp(*path, "#0") ? json_array_get(json, 0)
					    : json_object_get(json, *path);
	return json;
}

static int number_at(const char *text, size_t n, const char *const *path, double factor,
		     double *ret)
{
	AUTO(json_decref_p) json_t *json = json_of(text, n);

	return number_of(member_of(json, path), factor, ret);
}

int parse_fio_read(const char *text, size_t n, double *ret)
{
	static const char *const path[] = { "jobs", "#0", "read", "bw_bytes", NULL };

	return number_at(text, n, path, 1e-6, ret);
}

int parse_fio_write(const char *text, size_t n, double *ret)
{
	static const char *const path[] = { "jobs", "#0", "write", "bw_bytes", NULL };

	return number_at(text, n, path, 1e-6, ret);
}

int parse_fio_iops(const char *text, size_t n, double *ret)
{
	static const char *const path[] = { "jobs", "#0", "read", "iops", NULL };

	return number_at(text, n, path, 1, ret);
}

int parse_fio_p99(const char *text, size_t n, double *ret)
{
	static const char *const path[] = { "jobs",	  "#0",	       "read", "clat_ns",
					    "percentile", "99.000000", NULL };

	return number_at(text, n, path, 1e-3, ret);
}

int parse_fio_fsync(const char *text, size_t n, double *ret)
{
	static const char *const path[] = { "jobs",	  "#0",	       "sync", "lat_ns",
					    "percentile", "50.000000", NULL };

	return number_at(text, n, path, 1e-3, ret);
}

int parse_iperf3(const char *text, size_t n, double *ret)
{
	static const char *const path[] = { "end", "sum_received", "bits_per_second", NULL };

	return number_at(text, n, path, 1e-9, ret);
}

int parse_cyclictest_max(const char *text, size_t n, double *ret)
{
	static const char *const path[] = { "thread", "0", "max", NULL };

	return number_at(text, n, path, 1, ret);
}

struct bucket {
	double us, count;
};

static int bucket_compare(const void *a, const void *b)
{
	double x = ((const struct bucket *)a)->us, y = ((const struct bucket *)b)->us;

	return x < y ? -1 : x > y;
}

/* @ret: as many as the histogram has members; what is no bucket is left out   Return: how many are left. */
static size_t buckets_of(json_t *histogram, struct bucket *ret)
{
	const char *key;
	json_t *count;
	size_t n = 0;

	json_object_foreach(histogram, key, count)
	{
		char *end;
		unsigned long us = strtoul(key, &end, 10);
		if (*key < '0' || *key > '9' || *end || !json_is_integer(count) ||
		    json_integer_value(count) < 0)
			continue;
		ret[n++] = (struct bucket){ (double)us, (double)json_integer_value(count) };
	}
	qsort(ret, n, sizeof(*ret), bucket_compare);
	return n;
}

/* The value that 99 % of the cycles do not exceed. */
static int histogram_p99(json_t *histogram, double cycles, double max, double *ret)
{
	struct bucket *buckets = calloc(json_object_size(histogram) + 1, sizeof(*buckets));
	double sum = 0, value = max;

	if (!buckets)
		return -ENODATA;
	size_t n = buckets_of(histogram, buckets);
	for (size_t i = 0; i < n; i++) {
		sum += buckets[i].count;
		if (sum >= cycles * 0.99) {
			value = buckets[i].us;
			break;
		}
	}
	free(buckets);
	if (!(value > 0))
		return -ENODATA;
	*ret = value;
	return 0;
}

int parse_cyclictest_p99(const char *text, size_t n, double *ret)
{
	static const char *const path[] = { "thread", "0", NULL };
	AUTO(json_decref_p) json_t *json = json_of(text, n);
	const json_t *thread = member_of(json, path);
	json_t *histogram = json_object_get(thread, "histogram");
	double cycles, max;

	if (!json_is_object(histogram) ||
	    number_of(json_object_get(thread, "cycles"), 1, &cycles) < 0 ||
	    number_of(json_object_get(thread, "max"), 1, &max) < 0)
		return -ENODATA;
	return histogram_p99(histogram, cycles, max, ret);
}
