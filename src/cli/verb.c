/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verb.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/json.h"
#include "base/os/log.h"
#include "cli/flags.h"

#define DETACH_KEYS "ctrl-p,ctrl-q"

int verb_find(struct cli *cli, const char *ref, struct manager **ret_manager, struct instance *ret,
	      struct err *err)
{
	struct manager *manager;

	int r = cli_manager(cli, &manager, err);
	if (r < 0)
		return r;
	r = manager_find(manager, ref, ret, err);
	if (r < 0)
		return r;
	*ret_manager = manager;
	return 0;
}

static int verb_one(struct cli *cli, const char *ref, const struct args *args, verb_fn fn,
		    enum host_verb host, struct err *err)
{
	AUTO(instance_fini) struct instance instance = { 0 };
	struct manager *manager;

	int r = verb_find(cli, ref, &manager, &instance, err);
	if (r == -ENOENT) /* what verb_find() said stands where there is no such guest either */
		return host_guest(cli, ref, host, args, err);
	return r < 0 ? r : fn(manager, &instance, args, err);
}

int verb_each(struct cli *cli, const struct args *args, verb_fn fn, struct err *err)
{
	return verb_each_host(cli, args, fn, HOST_NONE, err);
}

int verb_each_host(struct cli *cli, const struct args *args, verb_fn fn, enum host_verb host,
		   struct err *err)
{
	struct manager *manager;
	bool failed = false;

	int r = cli_manager(cli, &manager, err); /* its failure is one, not one for each name */
	if (r < 0)
		return r;
	for (int i = 0; i < args->argc; i++) {
		*err = (struct err){ 0 };
		if (verb_one(cli, args->argv[i], args, fn, host, err) < 0) {
			failed = true;
			log_error(err);
		} else {
			(void)puts(args->argv[i]); /* main() looks at ferror(stdout) */
		}
	}
	return failed ? EXIT_STRATA : 0;
}

int verb_remove(struct cli *cli, const struct args *args,
		int (*remove)(struct store *store, const char *name, struct err *err),
		struct err *err)
{
	struct manager *manager;
	bool failed = false;

	int r = cli_manager(cli, &manager, err);
	if (r < 0)
		return r;
	for (int i = 0; i < args->argc; i++) {
		*err = (struct err){ 0 };
		if (remove(&manager->store, args->argv[i], err) < 0) {
			failed = true;
			log_error(err);
		} else {
			(void)puts(args->argv[i]); /* main() looks at ferror(stdout) */
		}
	}
	return failed ? EXIT_STRATA : 0;
}

static bool verb_is_key(const char *key)
{
	if (!strncmp(key, "ctrl-", 5))
		return key[5] && !key[6] &&
		       (isalpha((unsigned char)key[5]) || strchr("@[\\]^_", key[5]));
	return isprint((unsigned char)*key) && *key != ',' && !key[1];
}

int verb_detach_keys(const char *keys, const char **ret, struct err *err)
{
	char copy[64];

	if (!keys)
		keys = DETACH_KEYS;
	bool fits = (size_t)snprintf(copy, sizeof(copy), "%s", keys) < sizeof(copy);
	for (char *rest = copy; fits && *keys && rest;) {
		if (!verb_is_key(strsep(&rest, ",")))
			fits = false;
	}
	if (!fits)
		return err_say(
			err, EINVAL,
			"--detach-keys: '%s' is not a list of keys; write ctrl-p,ctrl-q, or '' "
			"for none",
			keys);
	*ret = *keys ? keys : NULL;
	return 0;
}

/* the workload's end is what counts: a record that could not be made is only a warning */
static int verb_end(struct manager *manager, struct instance *instance, int attach, int status)
{
	struct err err = { 0 };

	if (manager_end(manager, instance, attach, &err) < 0)
		log_warn("record the end of %s: %s", instance->name, err.text);
	return status;
}

/* What could not be started and is new, or --rm: the reason is said already, so this is only a warning */
static void verb_discard(struct manager *manager, struct instance *instance)
{
	struct err err = { 0 };

	if (manager_remove(manager, instance, true, true, &err) < 0)
		log_warn("remove %s: %s", instance->name, err.text);
}

int verb_start(struct manager *manager, struct instance *instance, const struct verb_start *opts,
	       bool *ret_left)
{
	struct err err = { 0 };
	int attach = -EBADF, status = EXIT_STRATA;

	int r = manager_start(manager, instance, opts->attach ? &attach : NULL, &status, &err);
	if (r < 0) {
		log_error(&err);
		if ((opts->fresh || json_bool(instance->spec, "remove", false)) && r != -EALREADY)
			verb_discard(manager, instance);
		return status ? status : EXIT_STRATA;
	}
	if (!opts->attach)
		return 0;
	struct attach_opts attach_opts = {
		.tty = json_bool(instance->spec, "tty", false),
		.forward_in = opts->forward_in,
		.proxy_signals = opts->sig_proxy,
		.detach_keys = opts->detach_keys,
	};
	r = attach_run(attach, &attach_opts, &status, &err);
	if (r == 0 && status >= 0)
		return verb_end(manager, instance, attach, status);
	fd_close(attach);
	if (r < 0) {
		log_error(&err);
		return EXIT_STRATA;
	}
	if (ret_left)
		*ret_left = true;
	return 0;
}

int verb_row(json_t *rows, json_t *value, struct err *err)
{
	return json_array_append_new(rows, value) ? err_set(err, ENOMEM, "make the list") : 0;
}

json_t *verb_time(int64_t real_ns)
{
	char text[36] = "";

	if (real_ns)
		clock_rfc3339(real_ns, text);
	return json_string(text);
}

json_t *verb_ago(int64_t real_ns)
{
	char text[32] = "";

	if (real_ns)
		clock_ago(real_ns, text);
	return json_string(text);
}

void verb_size(int64_t bytes, char ret[32])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	size_t unit = 0;

	for (; bytes >= 1000000; unit++)
		bytes /= 1000;
	int64_t tenths = bytes * 10;
	if (tenths >= 10000) {
		tenths /= 1000;
		unit++;
	}
	/* at most 22 characters */
	if (unit && tenths < 1000)
		(void)snprintf(ret, 32, "%lld.%lld%s", (long long)(tenths / 10),
			       (long long)(tenths % 10), units[unit]);
	else
		(void)snprintf(ret, 32, "%lld%s", (long long)(tenths / 10), units[unit]);
}

int verb_labels(const struct args *args, json_t **ret, struct err *err)
{
	const struct args_value *value = args_list(args, "label");
	AUTO(json_decref_p) json_t *labels = NULL;

	if (value->count && !(labels = json_object()))
		return err_set(err, ENOMEM, "read the flags");
	for (unsigned i = 0; i < value->count; i++) {
		if (!flag_is_utf8(value->texts[i]))
			return err_say(err, EINVAL, "--label '%s' is not valid UTF-8",
				       value->texts[i]);
		int r = flag_label(value->texts[i], "--label", labels, err);
		if (r < 0)
			return r;
	}
	*ret = TAKE(labels);
	return 0;
}

int verb_confirm(const struct args *args, const char *question, struct err *err)
{
	char answer[16] = "";

	if (args_on(args, "force"))
		return 0;
	if (!isatty(STDIN_FILENO))
		return err_say(err, ECANCELED,
			       "nothing was removed: no terminal to ask, say --force to go ahead");
	(void)fprintf(stderr, "%s [y/N] ", question); /* a lost question is answered no */
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return 0;
	return err_say(err, ECANCELED, "nothing was removed");
}
