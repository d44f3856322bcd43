/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/flags.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/args.h"

/* one mount while it is read; texts are borrowed from the copy of the flag's value */
struct mount {
	const char *flag, *text; /* for errors */
	const char *type;	 /* "bind", "volume", "tmpfs" */
	const char *source;	 /* NULL: an anonymous volume, or a tmpfs */
	const char *target;
	const char *propagation;
	const char *options; /* of a tmpfs */
	int64_t tmpfs_bytes; /* 0: not given */
	const char *tmpfs_mode;
	bool read_only, not_recursive, no_copy, create_source, idmap;
};

static bool mount_is(const struct mount *mount, const char *type)
{
	return !strcmp(mount->type, type);
}

static const char *mount_propagation(const char *word)
{
	static const char *const words[] = { "rprivate", "private", "rslave",
					     "slave",	 "rshared", "shared" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(words[i], word))
			return words[i];
	}
	return NULL;
}

/* names of volumes, as Docker has them: [a-zA-Z0-9][a-zA-Z0-9_.-]* */
static bool mount_is_name(const char *source)
{
	if (!isalnum((unsigned char)*source))
		return false;
	for (const char *c = source; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("_.-", *c))
			return false;
	}
	return true;
}

/* "/", "//", "/." and the like; what "/a/.." is, the instance's links decide. */
static bool mount_is_root(const char *target)
{
	size_t len = 1;

	for (; *target && len; target += len) {
		target += strspn(target, "/");
		len = strcspn(target, "/");
		if (len > 2 || strncmp(target, "..", len) != 0)
			return false;
	}
	return true;
}

static int mount_check(const struct mount *m, struct err *err)
{
	if (!m->target || !*m->target)
		return err_say(err, EINVAL, "%s '%s': no path inside the instance", m->flag,
			       m->text);
	if (m->target[0] != '/')
		return err_say(err, EINVAL,
			       "%s '%s': the path inside the instance, '%s', is not absolute",
			       m->flag, m->text, m->target);
	if (mount_is_root(m->target))
		return err_say(err, EINVAL, "%s '%s': / is the image's; mount at a path below it",
			       m->flag, m->text);
	if (m->source && !*m->source)
		return err_say(err, EINVAL, "%s '%s': the source is empty", m->flag, m->text);
	if (mount_is(m, "bind") && !m->source)
		return err_say(err, EINVAL, "%s '%s': a bind needs a source", m->flag, m->text);
	if (mount_is(m, "tmpfs") && m->source)
		return err_say(err, EINVAL, "%s '%s': a tmpfs has no source", m->flag, m->text);
	if (mount_is(m, "volume") && m->source && !mount_is_name(m->source))
		return err_say(
			err, EINVAL,
			"%s '%s': '%s' is not a volume's name (letters, digits, '_.-'); a host "
			"path starts with / or ./",
			m->flag, m->text, m->source);
	if (m->propagation && !mount_is(m, "bind"))
		return err_say(err, EINVAL, "%s '%s': only a bind has a propagation", m->flag,
			       m->text);
	if ((m->tmpfs_bytes || m->tmpfs_mode) && !mount_is(m, "tmpfs"))
		return err_say(err, EINVAL, "%s '%s': tmpfs-size and tmpfs-mode need type=tmpfs",
			       m->flag, m->text);
	if (m->no_copy && !mount_is(m, "volume"))
		return err_say(err, EINVAL, "%s '%s': only a volume has nocopy", m->flag, m->text);
	if (m->idmap && !mount_is(m, "bind"))
		return err_say(err, EINVAL,
			       "%s '%s': only a bind has idmap; a volume is always mapped", m->flag,
			       m->text);
	if (m->not_recursive && !mount_is(m, "bind"))
		return err_say(err, EINVAL, "%s '%s': only a bind has bind-recursive", m->flag,
			       m->text);
	return 0;
}

/* "size=64m,mode=1777" */
static json_t *mount_tmpfs_options(const struct mount *m)
{
	char size[32] = "", mode[32] = "";

	if (m->options)
		return json_string(m->options);
	if (m->tmpfs_bytes)
		(void)snprintf(size, sizeof(size), "size=%lld",
			       (long long)m->tmpfs_bytes); /* 19 digits fit */
	if (m->tmpfs_mode)
		(void)snprintf(mode, sizeof(mode), "%smode=%s", *size ? "," : "",
			       m->tmpfs_mode); /* at most 4 digits, checked */
	return json_sprintf("%s%s", size, mode);
}

static int mount_bind_source(const struct mount *m, json_t *json, struct err *err)
{
	AUTO(flag_text_p) char *path = NULL;

	int r = flag_host_path(m->source, m->flag, &path, err);
	if (r < 0)
		return r;
	if (!m->create_source && access(path, F_OK) < 0)
		return err_set(err, errno, "%s: the source %s", m->flag, path);
	r = flag_set(json, "source", json_string(path), err);
	if (r == 0 && m->create_source)
		r = flag_set(json, "create_source", json_true(), err);
	if (r == 0 && m->idmap)
		r = flag_set(json, "idmap", json_true(), err);
	if (r == 0 && m->propagation)
		r = flag_set(json, "propagation", json_string(m->propagation), err);
	return r < 0 ? r : flag_set(json, "recursive", json_boolean(!m->not_recursive), err);
}

static int mount_add(const struct mount *m, json_t *into, struct err *err)
{
	int r = mount_check(m, err);
	if (r < 0)
		return r;

	AUTO(json_decref_p)
	json_t *json = json_pack("{s:s, s:s}", "type", m->type, "target", m->target);
	if (!json)
		return err_set(err, ENOMEM, "read the flags");
	if (m->read_only)
		r = flag_set(json, "read_only", json_true(), err);
	if (r == 0 && mount_is(m, "bind"))
		r = mount_bind_source(m, json, err);
	if (r == 0 && mount_is(m, "volume") && m->source)
		r = flag_set(json, "source", json_string(m->source), err);
	if (r == 0 && mount_is(m, "volume"))
		r = flag_set(json, "copy_up", json_boolean(!m->no_copy), err);
	if (r == 0 && (m->options || m->tmpfs_bytes || m->tmpfs_mode))
		r = flag_set(json, "options", mount_tmpfs_options(m), err);
	return r < 0 ? r : flag_append(into, TAKE(json), err);
}

static int mount_volume_option(struct mount *m, const char *word, struct err *err)
{
	const char *propagation = mount_propagation(word);

	if (!strcmp(word, "ro") || !strcmp(word, "rw"))
		m->read_only = word[1] == 'o';
	else if (propagation)
		m->propagation = propagation;
	else if (!strcmp(word, "nocopy"))
		m->no_copy = true;
	else if (!strcmp(word, "bind"))
		m->not_recursive = true;
	else if (!strcmp(word, "idmap"))
		m->idmap = true;
	/* z and Z relabel for SELinux, which no policy here needs */
	else if (strcmp(word, "z") != 0 && strcmp(word, "Z") != 0 && strcmp(word, "rbind") != 0)
		return err_say(
			err, EINVAL,
			"%s '%s': option '%s' is not known; write ro, rw, nocopy, idmap, or a "
			"propagation such as rslave",
			m->flag, m->text, word);
	return 0;
}

int flag_volume(const char *text, const char *flag, json_t *into, struct err *err)
{
	struct mount m = { .flag = flag, .text = text, .type = "volume" };
	AUTO(flag_text_p) char *copy = strdup(text);

	if (!copy)
		return err_set(err, ENOMEM, "read the flags");
	char *rest = copy;
	char *source = strsep(&rest, ":");
	if (!rest) { /* "/dst": an anonymous volume */
		m.target = source;
		return mount_add(&m, into, err);
	}
	m.source = source;
	m.target = strsep(&rest, ":");
	if (source[0] == '/' || source[0] == '.') {
		m.type = "bind";
		m.create_source = true;
	}
	while (rest) {
		int r = mount_volume_option(&m, strsep(&rest, ","), err);
		if (r < 0)
			return r;
	}
	return mount_add(&m, into, err);
}

int flag_tmpfs(const char *text, const char *flag, json_t *into, struct err *err)
{
	struct mount m = { .flag = flag, .text = text, .type = "tmpfs" };
	AUTO(flag_text_p) char *copy = strdup(text);
	AUTO(flag_text_p) char *options = calloc(1, strlen(text) + 2);

	if (!copy || !options)
		return err_set(err, ENOMEM, "read the flags");
	char *rest = copy;
	char *end = options;
	m.target = strsep(&rest, ":");
	while (rest) {
		const char *word = strsep(&rest, ",");
		if (!strcmp(word, "ro") || !strcmp(word, "rw")) {
			m.read_only = word[1] == 'o';
			continue;
		}
		if (end != options)
			*end++ = ',';
		end = stpcpy(end, word);
	}
	m.options = *options ? options : NULL;
	return mount_add(&m, into, err);
}

/* "1777" */
static bool mount_is_mode(const char *value)
{
	return *value && strlen(value) <= 4 && strspn(value, "01234567") == strlen(value);
}

static int mount_bad_value(const struct mount *m, const char *key, const char *value,
			   const char *want, struct err *err)
{
	return err_say(err, EINVAL, "%s '%s': %s '%s' is not known; write %s", m->flag, m->text,
		       key, value, want);
}

static int mount_type(struct mount *m, const char *value, struct err *err)
{
	if (strcmp(value, "bind") != 0 && strcmp(value, "volume") != 0 &&
	    strcmp(value, "tmpfs") != 0)
		return mount_bad_value(m, "type", value, "bind, volume or tmpfs", err);
	m->type = value;
	return 0;
}

static int mount_recursive(struct mount *m, const char *value, struct err *err)
{
	m->not_recursive = !strcmp(value, "disabled");
	if (m->not_recursive || !strcmp(value, "enabled"))
		return 0;
	return mount_bad_value(m, "bind-recursive", value, "enabled or disabled", err);
}

/* keys that must have a value */
static int mount_pair(struct mount *m, const char *key, const char *value, struct err *err)
{
	if (!strcmp(key, "type"))
		return mount_type(m, value, err);
	if (!strcmp(key, "source") || !strcmp(key, "src")) {
		m->source = value;
		return 0;
	}
	if (!strcmp(key, "target") || !strcmp(key, "dst") || !strcmp(key, "destination")) {
		m->target = value;
		return 0;
	}
	if (!strcmp(key, "bind-propagation")) {
		m->propagation = mount_propagation(value);
		return m->propagation
			       ? 0
			       : mount_bad_value(m, key, value, "rprivate, rslave or rshared", err);
	}
	if (!strcmp(key, "bind-recursive"))
		return mount_recursive(m, value, err);
	if (!strcmp(key, "tmpfs-size"))
		return args_size(value, m->flag, &m->tmpfs_bytes, err);
	if (!strcmp(key, "tmpfs-mode")) {
		m->tmpfs_mode = value;
		return mount_is_mode(value) ? 0
					    : mount_bad_value(m, key, value, "0755 or 1777", err);
	}
	return err_say(err, EINVAL,
		       "%s '%s': key '%s' is not known; write type, source, target, readonly, "
		       "bind-propagation, bind-recursive, idmap, volume-nocopy, tmpfs-size or "
		       "tmpfs-mode",
		       m->flag, m->text, key);
}

static int mount_field(struct mount *m, char *field, struct err *err)
{
	char *value = field;
	const char *key = strsep(&value, "=");
	bool *on = !strcmp(key, "readonly") || !strcmp(key, "ro") ? &m->read_only
		   : !strcmp(key, "volume-nocopy")		  ? &m->no_copy
		   : !strcmp(key, "bind-nonrecursive")		  ? &m->not_recursive
		   : !strcmp(key, "idmap")			  ? &m->idmap
								  : NULL;

	if (on) {
		*on = true;
		return value ? args_bool(value, m->flag, on, err) : 0;
	}
	if (!value && *key)
		return err_say(err, EINVAL, "%s '%s': '%s' needs a value", m->flag, m->text, key);
	return mount_pair(m, key, value ? value : "", err);
}

/*
 * mount_csv() - the next field of a line of comma-separated values, unquoted in place
 * @rest: moved on; NULL after the last. A field in quotes may hold commas, and "" is one quote (RFC 4180).
 */
static char *mount_csv(char **rest)
{
	char *field = *rest;
	char *in = field + 1, *out = field;

	if (*field != '"')
		return strsep(rest, ",");
	while (*in && (*in != '"' || in[1] == '"')) {
		in += *in == '"';
		*out++ = *in++;
	}
	in += *in == '"';
	if (*in && *in != ',')
		return NULL;
	*rest = *in ? in + 1 : NULL;
	*out = '\0';
	return field;
}

int flag_mount(const char *text, const char *flag, json_t *into, struct err *err)
{
	struct mount m = { .flag = flag, .text = text, .type = "volume" };
	AUTO(flag_text_p) char *copy = strdup(text);

	if (!copy)
		return err_set(err, ENOMEM, "read the flags");
	for (char *rest = copy; rest;) {
		char *field = mount_csv(&rest);
		if (!field)
			return err_say(err, EINVAL, "%s '%s': text after a closing quote", flag,
				       text);
		int r = mount_field(&m, field, err);
		if (r < 0)
			return r;
	}
	return mount_add(&m, into, err);
}
