/* SPDX-License-Identifier: Apache-2.0 */
/* config.md, "Mounts" and its table of options. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "oci/config.h"

#define MOUNT_OPTIONS_MAX 128

/* What an option changes of a mount. */
struct mount_word {
	const char *name;
	uint64_t mask, value; /* MOUNT_ATTR_x; the bits it is about, and what they become */
};

static const struct mount_word mount_words[] = {
	{ "ro", MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY },
	{ "rw", MOUNT_ATTR_RDONLY, 0 },
	{ "nosuid", MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSUID },
	{ "suid", MOUNT_ATTR_NOSUID, 0 },
	{ "nodev", MOUNT_ATTR_NODEV, MOUNT_ATTR_NODEV },
	{ "dev", MOUNT_ATTR_NODEV, 0 },
	{ "noexec", MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOEXEC },
	{ "exec", MOUNT_ATTR_NOEXEC, 0 },
	{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
	{ "symfollow", MOUNT_ATTR_NOSYMFOLLOW, 0 },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NODIRATIME },
	{ "diratime", MOUNT_ATTR_NODIRATIME, 0 },
	{ "noatime", MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME },
	{ "atime", MOUNT_ATTR__ATIME, MOUNT_ATTR_RELATIME },
	{ "relatime", MOUNT_ATTR__ATIME, MOUNT_ATTR_RELATIME },
	{ "norelatime", MOUNT_ATTR__ATIME, MOUNT_ATTR_STRICTATIME },
	{ "strictatime", MOUNT_ATTR__ATIME, MOUNT_ATTR_STRICTATIME },
	{ "nostrictatime", MOUNT_ATTR__ATIME, MOUNT_ATTR_RELATIME },
};

/* Options that say nothing, or what is so in any case. */
static const char *const mount_idle[] = { "defaults",	"async",      "loud",	 "silent", "nomand",
					  "noiversion", "nolazytime", "remount", NULL };
/* Of the file system, not of the mount: they mean nothing to a bind. */
static const char *const mount_super[] = {
	"sync", "dirsync", "mand", "lazytime", "iversion", NULL
};

static bool mount_listed(const char *const *list, const char *word)
{
	for (; *list; list++) {
		if (!strcmp(*list, word))
			return true;
	}
	return false;
}

bool config_propagation(const char *word, uint64_t *ret, bool *ret_all)
{
	static const struct {
		const char *name;
		uint64_t flag;
	} kinds[] = { { "private", MS_PRIVATE },
		      { "slave", MS_SLAVE },
		      { "shared", MS_SHARED },
		      { "unbindable", MS_UNBINDABLE } };
	bool all = word[0] == 'r';

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(word + all, kinds[i].name) != 0)
			continue;
		*ret = kinds[i].flag;
		*ret_all = all;
		return true;
	}
	return false;
}

void config_mount_options(void (*fn)(void *arg, const char *name), void *arg)
{
	static const char *const others[] = { "bind",	  "rbind",  "idmap",   "ridmap",
					      "private",  "slave",  "shared",  "unbindable",
					      "rprivate", "rslave", "rshared", "runbindable",
					      "tmpcopyup" };
	char all[32];

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		fn(arg, others[i]);
	for (size_t i = 0; mount_idle[i]; i++)
		fn(arg, mount_idle[i]);
	for (size_t i = 0; mount_super[i]; i++)
		fn(arg, mount_super[i]);
	for (size_t i = 0; i < ARRAY_SIZE(mount_words); i++) {
		fn(arg, mount_words[i].name);
		(void)snprintf(all, sizeof(all), "r%s", mount_words[i].name); /* fits */
		fn(arg, all);
	}
}

static void mount_change(const struct mount_word *word, uint64_t *set, uint64_t *clear)
{
	*set = (*set & ~word->mask) | word->value;
	/* The kernel wants the bits of access times cleared, all, whatever they are to be: mount_setattr(2). */
	*clear = (*clear & ~word->mask) |
		 (word->mask == MOUNT_ATTR__ATIME ? word->mask : word->mask & ~word->value);
}

/* "nosuid", or "rnosuid": for the mounts below it too. */
static bool mount_attr_word(const char *text, struct bundle_mount *mount)
{
	for (size_t i = 0; i < ARRAY_SIZE(mount_words); i++) {
		const struct mount_word *word = &mount_words[i];
		if (!strcmp(text, word->name)) {
			mount_change(word, &mount->set, &mount->clear);
			return true;
		}
		if (text[0] == 'r' && !strcmp(text + 1, word->name)) {
			mount_change(word, &mount->all_set, &mount->all_clear);
			return true;
		}
	}
	return false;
}

struct mount_reading {
	struct bundle_mount *mount;
	bool bind, idmap;
	size_t n_options;
};

static void mount_option(const struct reader *rd, const char *text, struct mount_reading *in)
{
	struct bundle_mount *mount = in->mount;

	if (!*text)
		return; /* it asks for nothing */
	if (!strcmp(text, "bind") || !strcmp(text, "rbind")) {
		in->bind = true;
		mount->recursive |= text[0] == 'r';
	} else if (!strcmp(text, "idmap") || !strcmp(text, "ridmap")) {
		in->idmap = true;
		mount->all_ids = text[0] == 'r';
	} else if (!strcmp(text, "tmpcopyup")) {
		mount->copy_up = true;
	} else if (mount_attr_word(text, mount) || mount_listed(mount_idle, text) ||
		   config_propagation(text, &mount->propagation, &mount->all_propagation)) {
		return;
	} else {
		const char *equals = strchr(text, '=');
		const char *key =
			!equals ? text
				: pool_text(rd->all->pool, "%.*s", (int)(equals - text), text);
		if (!key || !*key) {
			reader_fail(rd, "options", EINVAL, "'%.40s' is no option", text);
			return;
		}
		mount->options[in->n_options++] =
			(struct mount_option){ key, equals ? equals + 1 : NULL };
	}
}

static void mount_bind_check(const struct reader *rd, const struct mount_reading *in,
			     const char *source)
{
	const struct bundle_mount *mount = in->mount;

	if (!source || !*source)
		reader_fail(rd, "source", EINVAL, "is missing");
	if (mount->copy_up)
		reader_fail(rd, "options", EINVAL, "tmpcopyup is for tmpfs only");
	/* Of the file system's own ("mode=755") a bind takes nothing, and every runtime lets them pass. */
	for (size_t i = 0; i < in->n_options; i++) {
		if (!mount->options[i].value && !mount_listed(mount_super, mount->options[i].key))
			reader_fail(rd, "options", EINVAL, "'%.40s' means nothing to a bind mount",
				    mount->options[i].key);
	}
}

static void mount_new_check(const struct reader *rd, struct mount_reading *in, const char *type,
			    const char *source)
{
	struct bundle_mount *mount = in->mount;
	const bool cgroup = type && !strncmp(type, "cgroup", 6);

	if (!type || !*type) {
		reader_fail(rd, "type", EINVAL, "is missing, and it is no bind mount");
		return;
	}
	if (mount->copy_up && strcmp(type, "tmpfs") != 0)
		reader_fail(rd, "options", EINVAL, "tmpcopyup is for tmpfs only");
	if (cgroup && (in->idmap || mount->ids.n_uids))
		reader_fail(rd, "options", ENOTSUP, "mapped ids are not supported for cgroups");
	if (cgroup && in->n_options)
		reader_fail(rd, "options", ENOTSUP, "'%.40s' is not supported for cgroups",
			    mount->options[0].key);
	mount->type = type;
	if (!cgroup && source && *source)
		mount->options[in->n_options++] = (struct mount_option){ "source", source };
}

static void config_read_mount(const struct reader *rd, const char *dir, struct bundle_mount *mount)
{
	struct mount_reading in = { .mount = mount };
	const char *target = reader_str(rd, "destination", NULL);
	const char *type = reader_str(rd, "type", NULL);
	const char *source = reader_str(rd, "source", NULL);
	size_t n;
	const char **options = reader_strings(rd, "options", &n);

	if (!target || !*target)
		reader_fail(rd, "destination", EINVAL, "is missing");
	if (n > MOUNT_OPTIONS_MAX)
		reader_fail(rd, "options", EINVAL, "must have %d members at most",
			    MOUNT_OPTIONS_MAX);
	mount->options = reader_get(rd, n + 3, sizeof(*mount->options));
	mount->target = config_clean(rd, target ? target : "/");
	if (!strcmp(mount->target, "/"))
		reader_fail(rd, "destination", EINVAL, "must not be the root");
	for (size_t i = 0; mount->options && i < n && !rd->all->failed; i++)
		mount_option(rd, options[i], &in);
	config_read_ids(rd, "uidMappings", "gidMappings", &mount->ids);
	if (rd->all->failed)
		return;
	mount->container_ids = in.idmap && !mount->ids.n_uids;
	if (!in.bind && !(type && !strcmp(type, "bind"))) {
		mount_new_check(rd, &in, type, source);
		return;
	}
	mount_bind_check(rd, &in, source);
	if (!source)
		return;
	mount->source = source[0] == '/' ? source : pool_text(rd->all->pool, "%s/%s", dir, source);
	if (!mount->source)
		reader_fail(rd, "source", ENOMEM, "takes more memory than there is");
}

static bool mount_has_label(const char *type)
{
	/* Their inodes' labels are the policy's: as runc, which gives them no context. */
	static const char *const without[] = {
		"proc", "sysfs", "mqueue", "cgroup", "cgroup2", NULL
	};

	return type && !mount_listed(without, type);
}

/* What needs more than the mount itself: read once linux is. */
void config_finish_mounts(const struct reader *rd, struct bundle *bundle)
{
	const bool users_by_path = bundle_namespace_of(bundle, CLONE_NEWUSER) &&
				   !bundle_namespace_is_new(bundle, CLONE_NEWUSER);

	for (size_t i = 0; i < bundle->n_mounts && !rd->all->failed; i++) {
		struct bundle_mount *mount = &bundle->mounts[i];
		size_t n = 0;
		if (mount->container_ids && !bundle->ids.n_uids && !users_by_path)
			reader_fail(
				rd, "mounts", EINVAL,
				"have one at %.60s with idmap, and neither it nor linux has uidMappings",
				mount->target);
		if (mount->container_ids)
			mount->ids = bundle->ids;
		if (!bundle->mount_label || !mount_has_label(mount->type))
			continue;
		while (mount->options[n].key)
			n++;
		mount->options[n] = (struct mount_option){ "context", bundle->mount_label };
	}
}

void config_unlabel(struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->n_mounts && bundle->mount_label; i++) {
		struct mount_option *option = bundle->mounts[i].options;
		while (option && option->key && option->value != bundle->mount_label)
			option++;
		if (option)
			*option = (struct mount_option){ 0 }; /* it is the last one */
	}
	bundle->mount_label = NULL;
}

void config_read_mounts(const struct reader *rd, const char *dir, struct bundle *bundle)
{
	size_t n;
	const json_t *list = reader_list(rd, "mounts", &n);

	bundle->mounts = reader_get(rd, n + 1, sizeof(*bundle->mounts));
	for (size_t i = 0; bundle->mounts && i < n; i++) {
		const struct reader in = reader_item(rd, "mounts", list, i);
		config_read_mount(&in, dir, &bundle->mounts[i]);
	}
	bundle->n_mounts = rd->all->failed ? 0 : n;
}
