/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/json.h"
#include "cli/flags.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"

static const struct opt events_opts[] = {
	{ 0, OPT_TEXT, "since", "TIME", "old ones first: RFC 3339, or 10m for ten minutes ago" },
	{ 0, OPT_TEXT, "until", "TIME", "end then; those of the past do not wait" },
	{ 0, OPT_SWITCH, "no-follow", NULL, "print what there is and end" },
	{ 'f', OPT_TEXT, "format", "table|json", "a line for people, or a JSON object a line" },
	{ 0 },
};

struct events {
	bool json;
};

/* members that have no column of their own, as (key=value, ...) */
static void events_rest(const json_t *event, struct buf *line)
{
	static const char *const shown[] = { "time", "time_ns", "type", "action", "id", "name" };
	const char *key, *gap = " (";
	json_t *value;

	json_object_foreach((json_t *)event, key, value)
	{
		size_t i = 0;
		while (i < ARRAY_SIZE(shown) && strcmp(shown[i], key) != 0)
			i++;
		AUTO(flag_text_p) char *text = NULL;
		if (i < ARRAY_SIZE(shown) || !(text = json_text(value, 0)))
			continue;
		(void)buf_adds(line, gap); /* a failure is sticky */
		(void)text_add_printable(line, key);
		(void)buf_adds(line, "=");
		if (json_is_string(value))
			(void)text_add_printable(line, json_string_value(value));
		else
			(void)text_add_printable(line, text);
		gap = ", ";
	}
	if (gap[0] == ',')
		(void)buf_adds(line, ")");
}

static void events_line(const json_t *event, struct buf *line)
{
	static const char *const keys[] = { "type", "action", "id", "name" };
	const json_t *time = json_object_get(event, "time");
	char when[36] = "";

	if (json_is_integer(time))
		clock_rfc3339(json_integer_value(time), when);
	(void)text_add_printable(line, json_is_string(time) ? json_string_value(time) : when);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *text = json_str(event, keys[i], "");
		(void)buf_adds(line, *text ? " " : ""); /* a failure is sticky */
		(void)text_add_printable(line, text);
	}
	events_rest(event, line);
	(void)buf_adds(line, "\n");
}

static int events_print(const json_t *event, void *arg)
{
	const struct events *events = arg;
	AUTO(buf_fini) struct buf line = { 0 };

	if (events->json) {
		AUTO(flag_text_p) char *text = json_text(event, 0);
		(void)buf_printf(&line, "%s\n", text ? text : "{}"); /* a failure is sticky */
	} else {
		events_line(event, &line);
	}
	/* whoever reads the pipe wants each as it happens; a reader that went ends it */
	return fputs(buf_str(&line), stdout) < 0 || fflush(stdout) ? 1 : 0;
}

static int events_run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *since = args_text(args, "since", NULL);
	const char *until = args_text(args, "until", NULL);
	int64_t now = clock_real_ns(), since_ns = now, until_ns = 0;
	struct events events = { 0 };
	struct manager *manager;

	int r = table_format(args, &events.json, err);
	if (r == 0 && since)
		r = args_time_ns(since, "--since", now, &since_ns, err);
	if (r == 0 && until)
		r = args_time_ns(until, "--until", now, &until_ns, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	if (r < 0)
		return r;
	bool follow = !args_on(args, "no-follow") && (!until || until_ns > now);
	if (!since && !follow)
		since_ns = 0;
	return manager_events(manager, since_ns, until_ns, follow, events_print, &events, err);
}

const struct cmd cmd_events = {
	.name = "events",
	.summary = "Print what happens",
	.opts = events_opts,
	.run = events_run,
};
