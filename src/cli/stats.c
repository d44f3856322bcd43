/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/json.h"
#include "cli/host.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"

#define STATS_SAMPLE_MS 500 /* CPU use is what two samples differ by */
#define STATS_STREAM_MS 1000

static const struct opt stats_opts[] = {
	{ 'a', OPT_SWITCH, "all", NULL, "those that do not run, too" },
	{ 0, OPT_SWITCH, "no-stream", NULL, "once, as when the output is no terminal" },
	OPT_FORMAT,
	{ 0 },
};

static const struct column stats_columns[] = {
	{ "INSTANCE", "id" },	  { "NAME", "name" },	 { "CPU", "cpu" },
	{ "MEMORY", "memory" },	  { "LIMIT", "limit" },	 { "NET IN", "net_in" },
	{ "NET OUT", "net_out" }, { "READ", "io_read" }, { "WRITTEN", "io_write" },
	{ "PIDS", "pids" },
};

struct stats_sample {
	struct guest_stats stats;
	int64_t at_ns;
	bool valid; /* it ran */
};

struct stats {
	struct cli *cli;
	struct manager *manager;
	struct instance *instances;
	size_t n;
	struct stats_sample *before, *after; /* n each */
	struct stats_session session;
};

static void stats_fini(struct stats *stats)
{
	stats_session_close(&stats->session);
	instances_free(stats->instances, stats->n);
	free(stats->before);
	free(stats->after);
}

/* A guest of the server's own (--host) has a name, and is nobody's instance. */
static bool stats_is_server(const struct instance *instance)
{
	return !instance->id[0];
}

/* No instance of that name: the server's, or what was said stands. */
static int stats_server(struct stats *stats, const char *name, struct instance *ret,
			struct err *err)
{
	struct guest_stats unused;
	int r = host_guest_stats(stats->cli, &stats->session, name, &unused, err);

	if (r < 0)
		return r;
	ret->name = strdup(name);
	return ret->name ? 0 : err_set(err, ENOMEM, "list the instances");
}

static int stats_named(struct cli *cli, const struct args *args, struct stats *stats,
		       struct err *err)
{
	stats->instances = calloc((size_t)args->argc, sizeof(*stats->instances));
	if (!stats->instances)
		return err_set(err, ENOMEM, "list the instances");
	for (int i = 0; i < args->argc; i++, stats->n++) {
		int r = verb_find(cli, args->argv[i], &stats->manager, &stats->instances[i], err);
		if (r == -ENOENT)
			r = stats_server(stats, args->argv[i], &stats->instances[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int stats_list(struct cli *cli, const struct args *args, struct stats *stats,
		      struct err *err)
{
	stats->cli = cli;
	int r = cli_manager(cli, &stats->manager, err);
	if (r < 0)
		return r;
	r = args->argc ? stats_named(cli, args, stats, err)
		       : manager_list(stats->manager, args_on(args, "all"), LIST_SUMMARY,
				      &stats->instances, &stats->n, err);
	if (r < 0)
		return r;
	stats->before = calloc(stats->n + 1, sizeof(*stats->before));
	stats->after = calloc(stats->n + 1, sizeof(*stats->after));
	return stats->before && stats->after ? 0 : err_set(err, ENOMEM, "list the instances");
}

static void stats_sample(struct stats *stats, struct stats_sample *samples)
{
	for (size_t i = 0; i < stats->n; i++) {
		struct stats_sample *sample = &samples[i];
		struct instance *instance = &stats->instances[i];
		sample->at_ns = clock_mono_ns();
		/* one that ended meanwhile shows dashes: the list goes on */
		int r = stats_is_server(instance)
				? host_guest_stats(stats->cli, &stats->session, instance->name,
						   &sample->stats, NULL)
				: manager_stats(stats->manager, instance, &stats->session,
						&sample->stats, NULL);
		sample->valid = r == 0;
	}
}

static double stats_cpu(const struct stats_sample *before, const struct stats_sample *after)
{
	int64_t elapsed = after->at_ns - before->at_ns;

	if (!before->valid || !after->valid || elapsed <= 0 ||
	    after->stats.cpu_ns < before->stats.cpu_ns)
		return 0;
	return 100.0 * (double)(after->stats.cpu_ns - before->stats.cpu_ns) / (double)elapsed;
}

static json_t *stats_bytes(uint64_t bytes)
{
	char text[32];

	verb_size((int64_t)(bytes > INT64_MAX ? INT64_MAX : bytes), text);
	return json_string(text);
}

/* What went over its network, and how much may in a second. */
static json_t *stats_network(uint64_t bytes, uint64_t bits)
{
	static const char *const units[] = { "bit", "kbit", "Mbit", "Gbit" };
	double rate = (double)bits;
	char text[32];
	size_t unit = 0;

	if (!bits)
		return stats_bytes(bytes);
	for (; rate >= 1000 && unit + 1 < ARRAY_SIZE(units); unit++)
		rate /= 1000;
	verb_size((int64_t)(bytes > INT64_MAX ? INT64_MAX : bytes), text);
	return json_sprintf("%s (%.4g%s/s)", text, rate, units[unit]);
}

static json_t *stats_row_table(const struct instance *instance, const struct stats_sample *before,
			       const struct stats_sample *after)
{
	const struct guest_stats *s = &after->stats;
	char id[ID_SHORT + 1];

	(void)snprintf(id, sizeof(id), "%.*s", ID_SHORT,
		       stats_is_server(instance) ? "-" : instance->id); /* fits */
	if (!after->valid)
		return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", id,
				 "name", instance->name, "cpu", "-", "memory", "-", "limit", "-",
				 "net_in", "-", "net_out", "-", "io_read", "-", "io_write", "-",
				 "pids", "-");
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "id", id, "name",
			 instance->name, "cpu", json_sprintf("%.2f%%", stats_cpu(before, after)),
			 "memory", stats_bytes(s->memory_bytes), "limit",
			 s->memory_limit_bytes ? stats_bytes(s->memory_limit_bytes)
					       : json_string("none"),
			 "net_in", stats_network(s->net_rx_bytes, s->net_rx_limit_bits), "net_out",
			 stats_network(s->net_tx_bytes, s->net_tx_limit_bits), "io_read",
			 stats_bytes(s->io_read_bytes), "io_write", stats_bytes(s->io_write_bytes),
			 "pids", (json_int_t)s->pids);
}

/* By reason; null for what has no vcpus, or where one cannot tell. */
static json_t *stats_exits(const struct guest_stats *stats)
{
	json_t *exits = stats->exits_counted ? json_object() : json_null();

	for (unsigned i = 0; stats->exits_counted && i < EXIT_REASONS; i++) {
		const uint64_t n = stats->exits.n[i];
		const bool known = stats->exits_counted & EXIT_BIT(i);
		/* a member that is missing for want of memory is the printer's to notice */
		(void)json_object_set_new(
			exits, exit_reason_name((enum exit_reason)i),
			known ? json_integer((json_int_t)(n > INT64_MAX ? INT64_MAX : n))
			      : json_null());
	}
	return exits;
}

static bool stats_is_lab(const struct stats *stats, const struct instance *instance)
{
	return host_is_lab(stats->manager, stats_is_server(instance)
						   ? "bare-metal"
						   : json_str(instance->spec, "virt", ""));
}

static json_t *stats_row_json(const struct instance *instance, const struct stats_sample *before,
			      const struct stats_sample *after)
{
	const struct guest_stats *s = &after->stats;

	return json_pack(
		"{s:s, s:s, s:b, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
		"id", instance->id, "name", instance->name, "running", (int)after->valid,
		"cpu_percent", stats_cpu(before, after), "cpu_ns", (json_int_t)s->cpu_ns,
		"memory_bytes", (json_int_t)s->memory_bytes, "memory_limit_bytes",
		(json_int_t)s->memory_limit_bytes, "net_rx_bytes", (json_int_t)s->net_rx_bytes,
		"net_tx_bytes", (json_int_t)s->net_tx_bytes, "net_rx_limit_bits",
		(json_int_t)s->net_rx_limit_bits, "net_tx_limit_bits",
		(json_int_t)s->net_tx_limit_bits, "io_read_bytes", (json_int_t)s->io_read_bytes,
		"io_write_bytes", (json_int_t)s->io_write_bytes, "pids", (json_int_t)s->pids,
		"pids_limit", (json_int_t)s->pids_limit, "exits", stats_exits(s));
}

static int stats_print(const struct stats *stats, bool json, bool clear, struct err *err)
{
	AUTO(json_decref_p) json_t *rows = json_array();
	bool any = false;

	for (size_t i = 0; i < stats->n; i++) {
		json_t *(*row)(const struct instance *, const struct stats_sample *,
			       const struct stats_sample *) =
			json ? stats_row_json : stats_row_table;
		json_t *made = row(&stats->instances[i], &stats->before[i], &stats->after[i]);
		bool lab = stats_is_lab(stats, &stats->instances[i]);
		if (json && lab && made)
			(void)json_object_set_new(
				made, "lab", json_true()); /* verb_row() has no memory either */
		if (json && made && stats_is_server(&stats->instances[i])) {
			(void)json_object_del(made, "id");			/* it is there */
			(void)json_object_set_new(made, "server", json_true()); /* as above */
		}
		any |= lab;
		int r = verb_row(rows, made, err);
		if (r < 0)
			return r;
	}
	if (clear)
		(void)fputs("\033[H\033[J", stdout); /* main() looks at ferror(stdout) */
	int r = table_print(stats_columns, ARRAY_SIZE(stats_columns), rows, json, err);
	if (r == 0 && any && !json)
		(void)puts("(lab: figures of bare-metal are an emulated server's)"); /* likewise */
	return r;
}

static void stats_sleep(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS };

	(void)nanosleep(&ts, NULL); /* a shorter sample is still one */
}

static int stats_once(struct cli *cli, const struct args *args, bool json, bool stream,
		      struct err *err)
{
	AUTO(stats_fini) struct stats stats = { 0 };

	int r = stats_list(cli, args, &stats, err);
	if (r < 0)
		return r;
	stats_sample(&stats, stats.before);
	if (stats.n || stream)
		stats_sleep(stream ? STATS_STREAM_MS : STATS_SAMPLE_MS);
	stats_sample(&stats, stats.after);
	return stats_print(&stats, json, stream, err);
}

static int stats_run(struct cli *cli, const struct args *args, struct err *err)
{
	bool json;
	int r = table_format(args, &json, err);
	if (r < 0)
		return r;

	/* a stream has no end of its own: the user's Ctrl-C is it */
	bool stream = !json && isatty(STDOUT_FILENO) && !args_on(args, "no-stream");
	do {
		r = stats_once(cli, args, json, stream, err);
	} while (r == 0 && stream && !fflush(stdout));
	return r;
}

const struct cmd cmd_stats = {
	.name = "stats",
	.operands = "[INSTANCE...]",
	.summary = "Show what instances use",
	.notes = "100% is one CPU. On a terminal it goes on until Ctrl-C.",
	.opts = stats_opts,
	.max_operands = -1,
	.run = stats_run,
};
