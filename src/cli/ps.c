/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/json.h"
#include "cli/ports.h"
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
	{ 0, OPT_LIST, "filter", "K=V", "name= id= status= health= exited= label= ancestor=" },
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
	struct ports ports;
	const struct manager *manager;
};

static void ps_list_fini(struct ps_list *list)
{
	instances_free(list->instances, list->n);
	ports_fini(&list->ports);
}

static const char *ps_status(const struct instance *instance, char ret[80])
{
	static const char *const health[] = { [HEALTH_NONE] = "",
					      [HEALTH_STARTING] = " (health: starting)",
					      [HEALTHY] = " (healthy)",
					      [UNHEALTHY] = " (unhealthy)" };
	char when[32];

	switch (instance->state) {
	case INSTANCE_CREATED:
		return "Created";
	case INSTANCE_RUNNING:
	case INSTANCE_PAUSED:
		if (!instance->started_ns) /* its monitor is still at it */
			return "Starting";
		clock_ago(instance->started_ns, when);
		(void)snprintf(ret, 80, "Up %.*s%s", (int)(strlen(when) - strlen(" ago")), when,
			       instance->state == INSTANCE_PAUSED
				       ? " (Paused)"
				       : health[instance->health]); /* fits */
		return ret;
	case INSTANCE_RESTARTING:
	case INSTANCE_EXITED:
		clock_ago(instance->finished_ns, when);
		(void)snprintf(ret, 80, "%s (%d) %s",
			       instance->state == INSTANCE_EXITED ? "Exited" : "Restarting",
			       instance->exit_code, when); /* fits */
		return ret;
	case INSTANCE_DEAD:
		break;
	}
	return "Dead";
}

/* the command's words in quotes; cut between characters */
static void ps_command(const char *command, bool whole, struct buf *buf)
{
	size_t len = strlen(command);
	bool cut = !whole && len > PS_COMMAND;

	if (cut)
		len = PS_COMMAND - 3;
	while (cut && len && ((unsigned char)command[len] & 0xc0) == 0x80)
		len--;
	buf->len = 0;
	(void)buf_adds(buf, "\"");		   /* a failure is sticky */
	(void)buf_add(buf, command, len);	   /* likewise */
	(void)buf_adds(buf, cut ? "...\"" : "\""); /* likewise */
}

static void ps_row_table(struct table *table, const struct ps_list *list,
			 const struct instance *instance, bool whole, struct buf *scratch)
{
	char text[80];

	(void)snprintf(text, sizeof(text), "%.*s", whole ? DIGEST_HEX : ID_SHORT,
		       instance->id); /* fits */
	table_add(table, text);
	table_add(table, instance->image);
	ps_command(instance->command, whole, scratch);
	table_add(table, buf_str(scratch));
	clock_ago(instance->created_ns, text);
	table_add(table, text);
	table_add(table, ps_status(instance, text));
	scratch->len = 0;
	(void)buf_adds(scratch, ""); /* a failure is sticky */
	ports_text(&list->ports, instance->id, scratch);
	table_add(table, buf_str(scratch));
	table_add(table, instance->name);
	scratch->len = 0;
	(void)buf_adds(scratch, instance->virt); /* a failure is sticky */
	(void)buf_adds(scratch, host_is_lab(list->manager, instance->virt) ? " (lab)" : "");
	table_add(table, buf_str(scratch));
}

static json_t *ps_row_json(const struct ps_list *list, const struct instance *instance)
{
	const json_t *spec = instance->spec;
	AUTO(json_decref_p) json_t *published = ports_json(&list->ports, instance->id);
	json_t *ports = json_array_size(published) ? published : json_object_get(spec, "ports");
	const bool lab = host_is_lab(list->manager, json_str(spec, "virt", ""));
	char status[80];

	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:O?, s:O?, s:O?, s:s, s:o, s:o, s:o, s:i, s:i, s:s, s:o*}",
		"id", instance->id, "name", instance->name, "image", json_str(spec, "image", ""),
		"virt", json_str(spec, "virt", ""), "state", instance_state_name(instance->state),
		"args", json_object_get(spec, "args"), "ports", ports, "labels",
		json_object_get(spec, "labels"), "status", ps_status(instance, status), "created",
		verb_time(instance->created_ns), "started", verb_time(instance->started_ns),
		"finished", verb_time(instance->finished_ns), "exit_code", instance->exit_code,
		"pid", (int)instance->pid, "health", status_health_name(instance->health), "lab",
		lab ? json_true() : NULL);
}

/* the next one that is asked for; NULL: that was all */
static const struct instance *ps_next(const struct ps *ps, const struct ps_list *list, size_t *at,
				      int64_t *shown)
{
	while (*at < list->n && (ps->last < 0 || *shown < ps->last)) {
		const struct instance *instance = &list->instances[(*at)++];
		if (!ps_filter_match(ps->filters, instance))
			continue;
		++*shown;
		return instance;
	}
	return NULL;
}

static void ps_print_ids(const struct ps *ps, const struct ps_list *list)
{
	const struct instance *instance;
	int64_t shown = 0;

	for (size_t at = 0; (instance = ps_next(ps, list, &at, &shown));)
		(void)printf("%.*s\n", ps->whole ? DIGEST_HEX : ID_SHORT,
			     instance->id); /* main() looks at ferror(stdout) */
}

static int ps_json_server(struct cli *cli, json_t *rows, struct err *err)
{
	AUTO(json_decref_p) json_t *guests = NULL;
	json_t *guest;
	size_t i;
	int r = host_guests(cli, &guests, err);

	json_array_foreach(guests, i, guest)
	{
		if (r == 0 && (json_object_set_new(guest, "virt", json_string("bare-metal")) ||
			       json_object_set_new(guest, "server", json_true()) ||
			       (host_is_lab(&cli->manager, "bare-metal") &&
				json_object_set_new(guest, "lab", json_true()))))
			r = err_set(err, ENOMEM, "make the list");
		r = r < 0 ? r : verb_row(rows, json_incref(guest), err);
	}
	return r;
}

static int ps_print_json(struct cli *cli, const struct ps *ps, const struct ps_list *list,
			 struct err *err)
{
	AUTO(json_decref_p) json_t *rows = json_array();
	const struct instance *instance;
	int64_t shown = 0;
	int r = 0;

	for (size_t at = 0; r == 0 && (instance = ps_next(ps, list, &at, &shown));)
		r = verb_row(rows, ps_row_json(list, instance), err);
	r = r < 0 ? r : ps_json_server(cli, rows, err);
	return r < 0 ? r : print_json(rows, err);
}

static int ps_print_table(const struct ps *ps, const struct ps_list *list, struct err *err)
{
	static const struct column columns[] = {
		{ "INSTANCE", "id" },	  { "IMAGE", "image" },	  { "COMMAND", "command" },
		{ "CREATED", "created" }, { "STATUS", "status" }, { "PORTS", "ports" },
		{ "NAMES", "name" },	  { "VIRT", "virt" },
	};
	AUTO(buf_fini) struct buf scratch = { 0 };
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(table_fini) struct table table;
	const struct instance *instance;
	int64_t shown = 0;

	int r = table_begin(&table, columns, ARRAY_SIZE(columns), err);
	for (size_t at = 0; r == 0 && (instance = ps_next(ps, list, &at, &shown));)
		ps_row_table(&table, list, instance, ps->whole, &scratch);
	if (r == 0 && scratch.failed)
		r = err_set(err, ENOMEM, "print the list");
	r = r < 0 ? r : table_end(&table, &text, err);
	if (r == 0)
		(void)fwrite(text.data, 1, text.len, stdout); /* main() looks at ferror(stdout) */
	return r;
}

static int ps_print(struct cli *cli, const struct ps *ps, const struct ps_list *list,
		    struct err *err)
{
	if (!ps->quiet)
		return ps->json ? ps_print_json(cli, ps, list, err) : ps_print_table(ps, list, err);
	ps_print_ids(ps, list);
	return 0;
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

/* Those that the server of --host began by itself: not instances, but guests that share it with them. */
static int ps_print_server(struct cli *cli, const struct ps *ps, struct err *err)
{
	AUTO(json_decref_p) json_t *guests = NULL;
	const json_t *guest;
	size_t i;

	if (!cli->host || ps->quiet || ps->json)
		return 0;
	int r = host_guests(cli, &guests, err);
	if (r < 0)
		return r;
	if (json_array_size(guests))
		(void)puts(
			"\nGuests that the server started:"); /* main() looks at ferror(stdout) */
	json_array_foreach(guests, i, guest)
	{
		char size[32];
		verb_size(json_int(guest, "memory_bytes", 0), size);
		(void)printf("  %-31s %-8s %lld vcpus, %s\n", json_str(guest, "name", ""),
			     json_str(guest, "state", ""), (long long)json_int(guest, "vcpus", 0),
			     size);
	}
	return 0;
}

static int ps_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(ps_list_fini) struct ps_list list = { 0 };
	struct manager *manager;
	struct ps ps;

	int r = ps_read(args, &ps, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	if (r < 0)
		return r;
	list.manager = manager;
	/* Filters look at labels, too. */
	bool spec = ps.filters->count || (ps.json && !ps.quiet);
	r = manager_list(manager, ps.all, spec ? LIST_SUMMARY : LIST_SHOWN, &list.instances,
			 &list.n, err);
	r = r < 0 || ps.quiet ? r : ports_load(manager, NULL, &list.ports, err);
	r = r < 0 ? r : ps_print(cli, &ps, &list, err);
	return r < 0 ? r : ps_print_server(cli, &ps, err);
}

const struct cmd cmd_ps = {
	.name = "ps",
	.alias = "list",
	.summary = "List instances",
	.opts = ps_opts,
	.run = ps_run,
};
