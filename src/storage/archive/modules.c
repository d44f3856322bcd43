/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/modules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "base/os/json.h"
#include "storage/archive/modinfo.h"

#define MODULES_MAX 20000
#define DEPTH_MAX   64

void modules_fini(struct modules *modules)
{
	for (size_t i = 0; i < modules->n; i++) {
		free(modules->list[i].needs);
		free(modules->list[i].likes);
	}
	free(modules->list);
	free(modules->builtin);
	*modules = (struct modules){ 0 };
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* Up to len characters; '-' is written as '_', which the kernel takes for the same. */
static int name_copy(const char *text, size_t len, char ret[MODULE_NAME_MAX])
{
	if (len == 0 || len >= MODULE_NAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		ret[i] = text[i];
		if (ret[i] == '-')
			ret[i] = '_';
		if (!name_char(ret[i]))
			return -EINVAL;
	}
	ret[len] = '\0';
	return 0;
}

int module_name(const char *path, char ret[MODULE_NAME_MAX])
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	const char *end = strstr(base, ".ko");

	return end && (!end[3] || end[3] == '.') ? name_copy(base, (size_t)(end - base), ret)
						 : -EINVAL;
}

static struct module *modules_find(struct modules *modules, const char *name)
{
	for (size_t i = 0; i < modules->n; i++) {
		if (!strcmp(modules->list[i].name, name))
			return &modules->list[i];
	}
	return NULL;
}

/* Names between separators, as "NAME " each. */
static void names_add(struct buf *to, const char *text)
{
	while (*text) {
		char name[MODULE_NAME_MAX];
		size_t len = strcspn(text, ", \t");
		if (len && name_copy(text, len, name) == 0)
			(void)buf_printf(to, "%s ", name); /* to->failed is looked at in the end */
		text += len + (text[len] ? 1 : 0);
	}
}

/* "softdep=pre: a b post: c": only what comes before matters at load time. */
static void soft_add(struct buf *to, const char *text)
{
	const char *pre = strstr(text, "pre:");
	char list[512];

	if (!pre)
		return;
	size_t len = strcspn(pre + 4, ":");
	if (len >= sizeof(list))
		return;
	memcpy(list, pre + 4, len);
	list[len] = '\0';
	char *post = strstr(list, "post");
	if (post)
		*post = '\0';
	names_add(to, list);
}

static int modules_grow(struct modules *modules)
{
	if (modules->n < modules->cap)
		return 0;
	if (modules->n >= MODULES_MAX)
		return -E2BIG;
	size_t cap = modules->cap ? modules->cap * 2 : 256;
	struct module *list = realloc(modules->list, cap * sizeof(*list));
	if (!list)
		return -ENOMEM;
	modules->list = list;
	modules->cap = cap;
	return 0;
}

int modules_add(struct modules *modules, const char *name, const uint8_t *data, size_t len)
{
	AUTO(buf_fini) struct buf needs = { 0 };
	AUTO(buf_fini) struct buf likes = { 0 };
	struct module module = { 0 };
	struct modinfo info;
	const char *text;
	size_t at = 0;

	if (name_copy(name, strlen(name), module.name) < 0)
		return -EINVAL;
	if (modules_find(modules, module.name))
		return -EEXIST;
	int r = modinfo_open(data, len, &info);
	if (r == 0)
		r = modules_grow(modules);
	if (r < 0)
		return r;
	while ((text = modinfo_next(&info, "depends", &at)))
		names_add(&needs, text);
	at = 0;
	while ((text = modinfo_next(&info, "softdep", &at)))
		soft_add(&likes, text);
	(void)buf_adds(&needs, "");
	(void)buf_adds(&likes, "");
	module.needs = buf_steal(&needs);
	module.likes = buf_steal(&likes);
	if (!module.needs || !module.likes) {
		free(module.needs);
		free(module.likes);
		return -ENOMEM;
	}
	modules->list[modules->n++] = module;
	return 0;
}

int modules_builtin(struct modules *modules, const char *text, size_t len)
{
	char *copy = strndup(text, len);

	if (!copy)
		return -ENOMEM;
	free(modules->builtin);
	modules->builtin = copy;
	return 0;
}

static bool is_builtin(const struct modules *modules, const char *wanted)
{
	const char *line = modules->builtin ? modules->builtin : "";
	char path[512], name[MODULE_NAME_MAX];

	while (*line) {
		size_t len = strcspn(line, "\n");
		if (len < sizeof(path)) {
			memcpy(path, line, len);
			path[len] = '\0';
			if (module_name(path, name) == 0 && !strcmp(name, wanted))
				return true;
		}
		line += len + (line[len] ? 1 : 0);
	}
	return false;
}

struct order {
	struct modules *modules;
	json_t *names;
	struct err *err;
};

static int order_add(const struct order *order, const char *name, bool needed, unsigned depth);

static int order_list(const struct order *order, const char *list, bool needed, unsigned depth)
{
	int r = 0;

	for (const char *end; r == 0 && (end = strchr(list, ' ')); list = end + 1) {
		char name[MODULE_NAME_MAX];
		if (name_copy(list, (size_t)(end - list), name) == 0)
			r = order_add(order, name, needed, depth);
	}
	return r;
}

static int order_add(const struct order *order, const char *name, bool needed, unsigned depth)
{
	struct module *module = modules_find(order->modules, name);

	if (!module && (!needed || is_builtin(order->modules, name)))
		return 0;
	if (!module)
		return err_say(order->err, ENOENT, "the kernel has no module %s", name);
	if (module->done)
		return 0;
	if (depth > DEPTH_MAX)
		return err_say(order->err, ELOOP, "module %s depends on too long a chain of others",
			       name);
	module->done = true;
	int r = order_list(order, module->likes, false, depth + 1);
	if (r == 0)
		r = order_list(order, module->needs, true, depth + 1);
	if (r == 0 && json_array_append_new(order->names, json_string(name)) < 0)
		r = err_set(order->err, ENOMEM, "module %s", name);
	return r;
}

int modules_order(struct modules *modules, const char *const *wanted, json_t **ret, struct err *err)
{
	AUTO(json_decref_p) json_t *names = json_array();
	const struct order order = { modules, names, err };
	int r = names ? 0 : err_set(err, ENOMEM, "order modules");

	for (size_t i = 0; i < modules->n; i++)
		modules->list[i].done = false;
	for (; r == 0 && *wanted; wanted++)
		r = order_add(&order, *wanted, true, 0);
	if (r == 0)
		*ret = TAKE(names);
	return r;
}
