/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"

#define CONFIG_WHAT "config.json"

const char *const hook_names[HOOK_KINDS + 1] = {
	"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
	NULL,
};

const char *config_clean(const struct reader *rd, const char *path)
{
	char *clean = reader_get(rd, strlen(path) + 2, 1);
	size_t n = 0;

	if (!clean)
		return "/";
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");
		if (len == 2 && p[0] == '.' && p[1] == '.') {
			while (n > 0 && clean[--n] != '/')
				;
		} else if (len && !(len == 1 && p[0] == '.')) {
			clean[n++] = '/';
			memcpy(clean + n, p, len);
			n += len;
		}
		p += len;
		p += *p == '/';
	}
	if (!n)
		clean[n++] = '/';
	clean[n] = '\0';
	return clean;
}

static void config_read_hook(const struct reader *rd, struct hook *ret)
{
	size_t n;

	ret->path = reader_path(rd, "path");
	ret->args = reader_strings(rd, "args", &n);
	if (!n)
		ret->args = NULL;
	const char **env = reader_strings(rd, "env", &n);
	ret->env = reader_member(rd, "env") ? env : NULL;
	ret->timeout_s = (unsigned)reader_int(rd, "timeout", 1, 86400, 0);
}

static void config_read_hooks(const struct reader *rd, struct config *config)
{
	const struct reader in = reader_enter(rd, "hooks");

	for (int kind = 0; kind < HOOK_KINDS; kind++) {
		struct hook_list *list = &config->hooks[kind];
		size_t n;
		const json_t *items = reader_list(&in, hook_names[kind], &n);
		if (!n)
			continue;
		list->hooks = reader_get(&in, n, sizeof(*list->hooks));
		for (size_t i = 0; list->hooks && i < n; i++) {
			const struct reader item = reader_item(&in, hook_names[kind], items, i);
			config_read_hook(&item, &list->hooks[i]);
		}
		list->n = list->hooks ? n : 0;
	}
}

static void config_read_root(const struct reader *rd, const char *dir, struct bundle *bundle)
{
	const struct reader in = reader_enter(rd, "root");
	const char *path = reader_str(&in, "path", NULL);

	if (!in.obj)
		reader_fail(rd, "root", EINVAL, "is missing");
	if (!path || !*path) {
		reader_fail(&in, "path", EINVAL, "is missing");
		return;
	}
	bundle->root = path[0] == '/' ? path : pool_text(rd->all->pool, "%s/%s", dir, path);
	if (!bundle->root)
		reader_fail(&in, "path", ENOMEM, "takes more memory than there is");
	bundle->root_read_only = reader_bool(&in, "readonly", false);
}

static void config_read_annotations(const struct reader *rd, struct config *config)
{
	const struct reader in = reader_enter(rd, "annotations");
	const char *key;
	json_t *value;

	config->annotations = in.obj;
	json_object_foreach((json_t *)(uintptr_t)in.obj, key, value)
	{
		if (!*key)
			reader_fail(rd, "annotations", EINVAL, "must not have an empty key");
		(void)reader_str(&in, key, "");
	}
}

/* Of another major version nothing is known; a minor one only adds. */
static void config_read_version(const struct reader *rd, struct config *config)
{
	unsigned major, minor, patch;

	config->version = reader_str(rd, "ociVersion", NULL);
	if (!config->version)
		reader_fail(rd, "ociVersion", EINVAL, "is missing");
	else if (sscanf(config->version, "%4u.%4u.%4u", &major, &minor, &patch) != 3)
		reader_fail(rd, "ociVersion", EINVAL, "'%.40s' is not a version", config->version);
	else if (major != 1)
		reader_fail(rd, "ociVersion", ENOTSUP, "%.40s is not supported: 1.x.x is",
			    config->version);
}

static void config_read(const struct reader *rd, const char *dir, const char *id,
			struct config *config)
{
	struct bundle *bundle = &config->bundle;

	config_read_version(rd, config);
	config_read_root(rd, dir, bundle);
	bundle->hostname = reader_str(rd, "hostname", NULL);
	bundle->domainname = reader_str(rd, "domainname", NULL);
	if (bundle->hostname && !*bundle->hostname)
		bundle->hostname = NULL;
	if (bundle->domainname && !*bundle->domainname)
		bundle->domainname = NULL;
	config_read_mounts(rd, dir, bundle);
	config_read_hooks(rd, config);
	config_read_annotations(rd, config);
	const struct reader process = reader_enter(rd, "process");
	/* Whoever starts it needs one; it can be made without, and others executed in it. */
	config->has_process = process.obj != NULL;
	if (process.obj)
		config_read_process(&process, config);
	else
		config_no_process(rd, &bundle->process);
	const struct reader linux_part = reader_enter(rd, "linux");
	config_read_linux(&linux_part, id, config);
	config_finish_mounts(rd, bundle);
	reader_refuse(rd, "vm", NULL);
	reader_refuse(rd, "zos", NULL);
	reader_refuse(rd, "windows", NULL);
	reader_refuse(rd, "solaris", NULL);
}

/*
 * A limit of "none" is written as 18446744073709551615, which the parser has no whole numbers for: as a real one it is read.
 * Only outside of texts, and only where the number ends as a whole one does.
 */
static int config_widen(const char *text, size_t len, struct buf *ret)
{
	bool quoted = false;
	size_t digits = 0;

	for (size_t i = 0; i < len; i++) {
		const char c = text[i];
		const bool digit = !quoted && c >= '0' && c <= '9';
		if (digits >= 19 && !digit && c != '.' && c != 'e' && c != 'E')
			(void)buf_adds(ret, ".0"); /* a failure is sticky */
		digits = digit ? digits + 1 : 0;
		if (c == '"')
			quoted = !quoted;
		(void)buf_add(ret, &c, 1);
		if (quoted && c == '\\' && i + 1 < len)
			(void)buf_add(ret, &text[++i], 1);
	}
	return ret->failed ? -ENOMEM : 0;
}

static int config_json(const char *text, size_t len, json_t **ret, struct err *err)
{
	AUTO(buf_fini) struct buf wide = { 0 };
	int r = json_parse(text, len, CONFIG_WHAT, ret, NULL);

	if (r != -EBADMSG)
		return r < 0 ? err_set(err, -r, CONFIG_WHAT) : 0;
	if (config_widen(text, len, &wide) < 0)
		return err_set(err, ENOMEM, CONFIG_WHAT);
	return json_parse(buf_str(&wide), wide.len, CONFIG_WHAT, ret, err);
}

int config_parse(const char *text, size_t len, const char *dir, const char *id, struct config *ret,
		 struct err *err)
{
	*ret = (struct config){ .json = NULL };
	if (len > CONFIG_BYTES_MAX)
		return err_say(err, EFBIG, CONFIG_WHAT ": more than %zu MB",
			       CONFIG_BYTES_MAX >> 20);
	int r = config_json(text, len, &ret->json, err);
	if (r < 0)
		return r;
	struct reading all = { .what = CONFIG_WHAT, .pool = &ret->pool, .err = err };
	const struct reader rd = reader_start(&all, ret->json);
	config_read(&rd, dir, id, ret);
	return all.failed;
}

void config_fini(struct config *config)
{
	pool_fini(&config->pool);
	json_decref_p(&config->json);
}

/* A second document beside the first: both live as long as the configuration. */
static int config_adopt(struct config *config, const char *key, json_t *json, struct err *err)
{
	return json_object_set(config->json, key, json) < 0 ? err_set(err, ENOMEM, "keep %s", key)
							    : 0;
}

int config_process(struct config *config, json_t *json, struct err *err)
{
	struct reading all = { .what = "process", .pool = &config->pool, .err = err };
	const struct reader rd = reader_start(&all, json);
	int r = config_adopt(config, " process", json, err);

	if (r < 0)
		return r;
	config->bundle.process = (struct bundle_process){ .args = NULL };
	config_read_process(&rd, config);
	return all.failed;
}

int config_update(struct config *config, json_t *json, struct err *err)
{
	struct reading all = { .what = "resources", .pool = &config->pool, .err = err };
	const struct reader rd = reader_start(&all, json);
	int r = config_adopt(config, " resources", json, err);

	if (r < 0)
		return r;
	config_read_resources(&rd, &config->bundle);
	return all.failed;
}
