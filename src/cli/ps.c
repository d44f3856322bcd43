/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/json.h"
#include "cli/ps_filter.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"

#define PS_COMMAND 20 /* characters of the command that are shown */

static const struct opt ps_opts[] = {
	{ 'a', OPT_SWITCH, "all", NULL, "those that ended, too" },
	{ 'q', OPT_SWITCH, "quiet", NULL, "only the ids" },
	{ 'n', OPT_TEXT, "last", "N", "the N made last, ended or not" },
	{ 'l', OPT_SWITCH, "latest", NULL, "the one made last" },
	{ 0, OPT_LIST, "filter", "K=V", "name=, id=, status=, exited=, label=, ancestor=" },
	{ 0, OPT_SWITCH, "no-trunc", NULL, "whole ids and commands" },
	OPT_FORMAT,
	{ 0 },
};

struct ps {
	bool json, quiet, whole, all;
	int64_t last; /* < 0: no bound */
	const struct args_value *filters;
};

struct ps_list {
	struct instance *instances;
	size_t n;
};

static void ps_list_fini(struct ps_list *list)
{
	instances_free(list->instances, list->n);
}

/* "3 minutes" */
static void ps_for(int64_t since_ns, char ret[32])
{
	clock_ago(since_ns, ret);
	char *ago = strstr(ret, " ago");
	if (ago)
		*ago = '\0';
}

static json_t *ps_status(const struct instance *instance)
{
	char when[32];

	switch (instance->state) {
	case INSTANCE_CREATED:
		return json_string("Created");
	case INSTANCE_RUNNING:
	case INSTANCE_PAUSED:
		ps_for(instance->started_ns, when);
		return json_sprintf("Up %s%s", when,
				    instance->state == INSTANCE_PAUSED ? " (Paused)" : "");
	case INSTANCE_RESTARTING:
	case INSTANCE_EXITED:
		clock_ago(instance->finished_ns, when);
		return json_sprintf("%s (%d) %s",
				    instance->state == INSTANCE_EXITED ? "Exited" : "Restarting",
				    instance->exit_code, when);
	case INSTANCE_DEAD:
		break;
	}
	return json_string("Dead");
}

/* "0.0.0.0:8080->80/tcp, ..." */
static json_t *ps_ports(const json_t *spec)
{
	AUTO(buf_fini) struct buf text = { 0 };
	const json_t *ports = json_object_get(spec, "ports");
	const json_t *port;
	size_t i;

	json_array_foreach(ports, i, port)
	{
		const char *ip = json_str(port, "host_ip", "");
		(void)buf_printf(&text, "%s%s:%lld->%lld/%s", i ? ", " : "", *ip ? ip : "0.0.0.0",
				 (long long)json_int(port, "host", 0),
				 (long long)json_int(port, "guest", 0),
				 json_str(port, "protocol", "tcp")); /* a failure is sticky */
	}
	return json_string(buf_str(&text));
}

/* the command's words in quotes; cut between characters */
static json_t *ps_command(const json_t *spec, bool whole)
{
	AUTO(buf_fini) struct buf text = { 0 };
	const json_t *word;
	size_t i;

	json_array_foreach(json_object_get(spec, "args"), i, word)
	{
		if (json_is_string(word))
			(void)buf_printf(&text, "%s%s", i ? " " : "",
					 json_string_value(word)); /* a failure is sticky */
	}
	const char *s = buf_str(&text);
	size_t len = strlen(s);
	if (whole || len <= PS_COMMAND)
		return json_sprintf("\"%s\"", s);
	len = PS_COMMAND - 3;
	while (len && ((unsigned char)s[len] & 0xc0) == 0x80)
		len--;
	return json_sprintf("\"%.*s...\"", (int)len, s);
}

static json_t *ps_row_table(const struct instance *instance, bool whole)
{
	return json_pack("{s:s%, s:s, s:o, s:o, s:o, s:o, s:s, s:s}", "id", instance->id,
			 (size_t)(whole ? DIGEST_HEX : ID_SHORT), "image",
			 json_str(instance->spec, "image", ""), "command",
			 ps_command(instance->spec, whole), "created",
			 verb_ago(instance->created_ns), "status", ps_status(instance), "ports",
			 ps_ports(instance->spec), "name", instance->name, "virt",
			 json_str(instance->spec, "virt", ""));
}

static json_t *ps_row_json(const struct instance *instance)
{
	const json_t *spec = instance->spec;

	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:O?, s:O?, s:O?, s:o, s:o, s:o, s:o, s:i, s:i}", "id",
		instance->id, "name", instance->name, "image", json_str(spec, "image", ""), "virt",
		json_str(spec, "virt", ""), "state", instance_state_name(instance->state), "args",
		json_object_get(spec, "args"), "ports", json_object_get(spec, "ports"), "labels",
		json_object_get(spec, "labels"), "status", ps_status(instance), "created",
		verb_time(instance->created_ns), "started", verb_time(instance->started_ns),
		"finished", verb_time(instance->finished_ns), "exit_code", instance->exit_code,
		"pid", (int)instance->pid);
}

static int ps_print(const struct ps *ps, const struct ps_list *list, struct err *err)
{
	static const struct column columns[] = {
		{ "INSTANCE", "id" },	  { "IMAGE", "image" },	  { "COMMAND", "command" },
		{ "CREATED", "created" }, { "STATUS", "status" }, { "PORTS", "ports" },
		{ "NAMES", "name" },	  { "VIRT", "virt" },
	};
	AUTO(json_decref_p) json_t *rows = json_array();
	int64_t shown = 0;

	for (size_t i = 0; i < list->n && (ps->last < 0 || shown < ps->last); i++) {
		const struct instance *instance = &list->instances[i];
		if (!ps_filter_match(ps->filters, instance))
			continue;
		shown++;
		if (ps->quiet) { /* main() looks at ferror(stdout) */
			(void)printf("%.*s\n", ps->whole ? DIGEST_HEX : ID_SHORT, instance->id);
			continue;
		}
		int r = verb_row(
			rows, ps->json ? ps_row_json(instance) : ps_row_table(instance, ps->whole),
			err);
		if (r < 0)
			return r;
	}
	return ps->quiet ? 0 : table_print(columns, ARRAY_SIZE(columns), rows, ps->json, err);
}

static int ps_read(const struct args *args, struct ps *ret, struct err *err)
{
	const char *last = args_text(args, "last", NULL);
	bool filtered;

	*ret = (struct ps){
		.quiet = args_on(args, "quiet"),
		.whole = args_on(args, "no-trunc"),
		.last = args_on(args, "latest") ? 1 : -1,
		.filters = args_list(args, "filter"),
	};
	int r = table_format(args, &ret->json, err);
	r = r < 0 || !last ? r : args_int(last, "--last", -1, INT64_MAX, &ret->last, err);
	r = r < 0 ? r : ps_filter_check(ret->filters, &filtered, err);
	if (r < 0)
		return r;
	ret->all = args_on(args, "all") || ret->last >= 0 || filtered;
	return 0;
}

static int ps_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(ps_list_fini) struct ps_list list = { 0 };
	struct manager *manager;
	struct ps ps;

	int r = ps_read(args, &ps, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : manager_list(manager, ps.all, &list.instances, &list.n, err);
	return r < 0 ? r : ps_print(&ps, &list, err);
}

const struct cmd cmd_ps = {
	.name = "ps",
	.alias = "list",
	.summary = "List instances",
	.opts = ps_opts,
	.run = ps_run,
};
