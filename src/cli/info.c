/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "cli/verbs.h"
#include "engines/engine.h"

#define INFO_WIDTH  80
#define INFO_INDENT 22

static const struct opt info_opts[] = {
	OPT_FORMAT,
	{ 0, OPT_SWITCH, "compare", NULL, "what each architecture is, in words" },
	{ 0 },
};

static void info_value(struct buf *out, const char *key, const json_t *value)
{
	AUTO(buf_fini) struct buf text = { 0 };

	if (json_is_string(value)) {
		(void)buf_adds(&text, json_string_value(value)); /* a failure is sticky */
	} else if (json_is_integer(value)) {
		char size[32];
		bool bytes = strlen(key) > 6 && !strcmp(key + strlen(key) - 6, "_bytes");
		verb_size(json_integer_value(value), size);
		if (bytes)
			(void)buf_adds(&text, size);
		else
			(void)buf_printf(&text, "%lld", (long long)json_integer_value(value));
	} else if (json_is_boolean(value)) {
		(void)buf_adds(&text, json_is_true(value) ? "yes" : "no");
	} else {
		const json_t *item;
		size_t i;
		json_array_foreach(value, i, item)
		{
			(void)buf_printf(&text, "%s%s", i ? ", " : "",
					 json_is_string(item) ? json_string_value(item) : "?");
		}
	}
	int len = (int)strlen(key);
	if (len > 6 && !strcmp(key + len - 6, "_bytes"))
		len -= 6;
	char name[INFO_INDENT - 3]; /* two blanks before, at least one after */
	(void)snprintf(name, sizeof(name), "%.*s", len, key); /* a cut name is still one */
	for (char *c = name; *c; c++)
		*c = *c == '_' ? ' ' : *c;
	(void)buf_printf(out, "  %-*s", INFO_INDENT - 2, name);
	text_fold(out, buf_str(&text), INFO_INDENT, INFO_WIDTH);
	(void)buf_adds(out, "\n");
}

static void info_section(struct buf *out, const char *title, const json_t *object)
{
	const char *key;
	json_t *value;

	if (!json_object_size(object))
		return;
	(void)buf_printf(out, "\n%s\n", title); /* a failure is sticky */
	json_object_foreach((json_t *)object, key, value) info_value(out, key, value);
}

static void info_engines(struct buf *out, const json_t *list)
{
	const json_t *engine;
	size_t i;

	(void)buf_adds(out, "Architectures this host can run (--virt)\n"); /* a failure is sticky */
	json_array_foreach(list, i, engine)
	{
		const char *how = json_str(engine, "how", "");
		const char *why = json_str(engine, "why", "");
		AUTO(buf_fini) struct buf text = { 0 };
		(void)buf_printf(&text, "%s%s%s%s%s",
				 json_bool(engine, "available", false) ? "yes" : "no",
				 *how ? ": " : "", how, *why ? "; " : "", why);
		(void)buf_printf(out, "  %-*s", INFO_INDENT - 2, json_str(engine, "name", "?"));
		text_fold(out, buf_str(&text), INFO_INDENT, INFO_WIDTH);
		(void)buf_adds(out, "\n");
	}
}

/* The questions that are asked of every architecture, and where its answer is. */
static const struct {
	const char *key, *title;
	size_t at;
} info_traits[] = {
	{ "privileged_instructions", "privileged code",
	  offsetof(struct engine_traits, privileged) },
	{ "kernel", "kernel", offsetof(struct engine_traits, kernel) },
	{ "shared", "shared", offsetof(struct engine_traits, shared) },
	{ "breach", "a breach reaches", offsetof(struct engine_traits, breach) },
	{ "gives", "what you get", offsetof(struct engine_traits, gives) },
};

static const char *info_trait(const struct engine_ops *engine, size_t i)
{
	const char *answer;

	memcpy(&answer, (const char *)&engine->traits + info_traits[i].at, sizeof(answer));
	return answer;
}

static int info_compare_json(struct err *err)
{
	AUTO(json_decref_p) json_t *list = json_array();

	for (size_t e = 0; engines[e]; e++) {
		json_t *row = json_pack("{s:s}", "name", engines[e]->name);
		for (size_t i = 0; i < ARRAY_SIZE(info_traits); i++)
			(void)json_object_set_new(
				row, info_traits[i].key,
				json_string(info_trait(engines[e], i))); /* told below */
		if (json_object_size(row) != 1 + ARRAY_SIZE(info_traits) ||
		    json_array_append(list, row) < 0) {
			json_decref(row);
			return err_set(err, ENOMEM, "info");
		}
		json_decref(row);
	}
	return print_json(list, err);
}

static int info_compare(bool json, struct err *err)
{
	AUTO(buf_fini) struct buf out = { 0 };

	if (json)
		return info_compare_json(err);
	for (size_t e = 0; engines[e]; e++) {
		(void)buf_printf(&out, "%s%s\n", e ? "\n" : "",
				 engines[e]->name); /* looked at below */
		for (size_t i = 0; i < ARRAY_SIZE(info_traits); i++) {
			(void)buf_printf(&out, "  %-*s", INFO_INDENT - 2, info_traits[i].title);
			text_fold(&out, info_trait(engines[e], i), INFO_INDENT, INFO_WIDTH);
			(void)buf_adds(&out, "\n"); /* likewise */
		}
	}
	if (out.failed)
		return err_set(err, ENOMEM, "info");
	(void)fputs(buf_str(&out), stdout); /* main() looks at ferror(stdout) */
	return 0;
}

static int info_run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_decref_p) json_t *info = NULL;
	AUTO(buf_fini) struct buf out = { 0 };
	struct manager *manager;
	bool json;

	int r = table_format(args, &json, err);
	if (r == 0 && args_on(args, "compare"))
		return info_compare(json, err);
	r = r < 0 ? r : cli_manager(cli, &manager, err);
	r = r < 0 ? r : manager_info(manager, &info, err);
	if (r < 0 || json)
		return r < 0 ? r : print_json(info, err);
	info_engines(&out, json_object_get(info, "engines"));
	info_section(&out, "Host", json_object_get(info, "host"));
	info_section(&out, "Store", json_object_get(info, "store"));
	(void)fputs(buf_str(&out), stdout); /* main() looks at ferror(stdout) */
	return 0;
}

const struct cmd cmd_info = {
	.name = "info",
	.summary = "Say what this host can run",
	.notes = "Of each architecture whether it can run here, how well, and if not why not.\n"
		 "With --compare: who handles privileged instructions, whose kernel serves what\n"
		 "runs inside, what is shared, and what a breach of the guest reaches.",
	.opts = info_opts,
	.run = info_run,
};
