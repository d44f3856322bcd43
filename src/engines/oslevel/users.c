/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/users.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/os/fd.h"

#define USERS_FILE_MAX ((size_t)16 << 20)
#define USERS_ID_MAX   2147483647U /* Docker's, moby/sys user.go: ids are ints there */
#define USERS_GROUPS   65536	   /* NGROUPS_MAX */

/* A piece of the text; never NUL-terminated. */
struct users_word {
	const char *at;
	size_t len;
};

struct users_text {
	const char *at, *end;
};

/* The parts of one entry: passwd has seven, group four. */
struct users_entry {
	struct users_word parts[7];
};

struct users_groups {
	uint32_t *ids;
	unsigned n, cap;
};

void user_fini(struct user *user)
{
	free(user->groups);
	free(user->home);
	*user = (struct user){ 0 };
}

static bool users_is(struct users_word word, const char *name)
{
	return strlen(name) == word.len && !memcmp(word.at, name, word.len);
}

/* 1: a number in range; 0: not a number; -ERANGE. */
static int users_number(struct users_word word, uint32_t *ret)
{
	uint64_t value = 0;

	if (!word.len)
		return 0;
	for (size_t i = 0; i < word.len; i++) {
		if (word.at[i] < '0' || word.at[i] > '9')
			return 0;
		if (value <= USERS_ID_MAX)
			value = value * 10 + (unsigned)(word.at[i] - '0');
	}
	if (value > USERS_ID_MAX)
		return -ERANGE;
	*ret = (uint32_t)value;
	return 1;
}

/* The next line that has so many parts at least; lines of another shape, as NIS's "+", do not count. */
static bool users_next(struct users_text *text, unsigned parts, struct users_entry *ret)
{
	while (text->at < text->end) {
		const char *line = text->at;
		const char *end = memchr(line, '\n', (size_t)(text->end - line));
		unsigned n = 0;

		if (!end)
			end = text->end;
		text->at = end < text->end ? end + 1 : end;
		if (line == end || memchr(line, '\0', (size_t)(end - line)))
			continue;
		while (n < parts) {
			const char *colon = memchr(line, ':', (size_t)(end - line));
			const char *stop = colon ? colon : end;
			ret->parts[n++] = (struct users_word){ line, (size_t)(stop - line) };
			if (!colon)
				break;
			line = colon + 1;
		}
		if (n == parts && ret->parts[0].len)
			return true;
	}
	return false;
}

static int users_add(struct users_groups *groups, uint32_t gid)
{
	if (groups->n && groups->ids[0] == gid) /* most users are members of their own group */
		return 0;
	if (groups->n == USERS_GROUPS)
		return -E2BIG;
	if (groups->n == groups->cap) {
		unsigned cap = groups->cap ? groups->cap * 2 : 8;
		uint32_t *ids = realloc(groups->ids, cap * sizeof(*ids));
		if (!ids)
			return -ENOMEM;
		groups->ids = ids;
		groups->cap = cap;
	}
	groups->ids[groups->n++] = gid;
	return 0;
}

static void users_groups_fini(struct users_groups *groups)
{
	free(groups->ids);
}

static int users_range(const char *what, const char *name, struct err *err)
{
	return err_say(err, ERANGE, "%s %s is out of range: ids go from 0 to 2147483647", what,
		       name);
}

/* The first entry with that name or number, as Docker: a name of digits is a name first only if it comes first. */
static int users_find(struct users_text passwd, const char *name, struct user *user,
		      struct users_word *ret_name, struct err *err)
{
	struct users_word asked = { name, strlen(name) };
	struct users_entry entry;
	uint32_t number = 0, uid, gid;
	int numeric = asked.len ? users_number(asked, &number) : 1;

	while (users_next(&passwd, 6, &entry)) {
		if (users_number(entry.parts[2], &uid) != 1 ||
		    users_number(entry.parts[3], &gid) != 1)
			continue;
		if (!users_is(entry.parts[0], name) && (numeric != 1 || uid != number))
			continue;
		struct users_word home = entry.parts[5];
		user->home = home.len ? strndup(home.at, home.len) : strdup("/");
		user->uid = uid;
		user->gid = gid;
		*ret_name = entry.parts[0];
		return user->home ? 0 : err_set(err, ENOMEM, "look up user %s", name);
	}

	if (numeric == -ERANGE)
		return users_range("user", name, err);
	if (!numeric)
		return err_say(err, ENOENT,
			       "unable to find user %s: no matching entries in passwd file", name);
	user->uid = number;
	user->gid = 0;
	user->home = strdup("/");
	return user->home ? 0 : err_set(err, ENOMEM, "look up user %s", name);
}

static int users_find_group(struct users_text group, const char *name, uint32_t *ret,
			    struct err *err)
{
	struct users_word asked = { name, strlen(name) };
	struct users_entry entry;
	uint32_t number = 0, gid;
	int numeric = users_number(asked, &number);

	while (users_next(&group, 3, &entry)) {
		if (users_number(entry.parts[2], &gid) != 1)
			continue;
		if (users_is(entry.parts[0], name) || (numeric == 1 && gid == number)) {
			*ret = gid;
			return 0;
		}
	}
	if (numeric == -ERANGE)
		return users_range("group", name, err);
	if (!numeric)
		return err_say(err, ENOENT,
			       "unable to find group %s: no matching entries in group file", name);
	*ret = number;
	return 0;
}

static bool users_is_member(struct users_word list, struct users_word name)
{
	const char *end = list.at + list.len;

	for (const char *at = list.at; at < end;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma ? comma : end;
		if ((size_t)(stop - at) == name.len && !memcmp(at, name.at, name.len))
			return true;
		at = stop + 1;
	}
	return false;
}

static int users_memberships(struct users_text group, struct users_word name,
			     struct users_groups *groups)
{
	struct users_entry entry;
	uint32_t gid;
	int r = 0;

	while (r == 0 && users_next(&group, 4, &entry)) {
		if (users_number(entry.parts[2], &gid) == 1 &&
		    users_is_member(entry.parts[3], name))
			r = users_add(groups, gid);
	}
	return r;
}

/* The primary group is a supplementary one too: else a process could leave it (CVE-2022-36109). */
static int users_collect(struct users_text group, struct users_word name, const char *group_name,
			 const char *const *more, struct user *user, struct users_groups *groups,
			 struct err *err)
{
	int r = group_name ? users_find_group(group, group_name, &user->gid, err) : 0;
	if (r < 0)
		return r;
	r = users_add(groups, user->gid);
	if (r == 0 && !group_name && name.len)
		r = users_memberships(group, name, groups);
	for (; r == 0 && more && *more; more++) {
		uint32_t gid;
		r = users_find_group(group, *more, &gid, err);
		if (r < 0)
			return r;
		r = users_add(groups, gid);
	}
	return r < 0 ? err_set(err, -r, "groups of the container's user") : 0;
}

int users_lookup(const char *passwd, size_t passwd_len, const char *group, size_t group_len,
		 const char *name, const char *const *groups, struct user *ret, struct err *err)
{
	struct users_text passwd_text = { passwd, passwd + passwd_len };
	struct users_text group_text = { group, group + group_len };
	struct users_word found = { "", 0 };
	AUTO(user_fini) struct user user = { 0 };
	AUTO(users_groups_fini) struct users_groups list = { 0 };
	AUTO(buf_fini) struct buf user_name = { 0 };

	size_t n = strcspn(name, ":");
	const char *group_name = name[n] && name[n + 1] ? name + n + 1 : NULL;
	if (buf_add(&user_name, name, n) < 0)
		return err_set(err, ENOMEM, "look up user %s", name);

	int r = users_find(passwd_text, user_name.data, &user, &found, err);
	if (r == 0)
		r = users_collect(group_text, found, group_name, groups, &user, &list, err);
	if (r < 0)
		return r;
	user.groups = TAKE(list.ids);
	user.n_groups = list.n;
	*ret = user;
	user = (struct user){ 0 };
	return 0;
}

/* The image chose what lies there: a pipe must not hold us, nor a device be read. */
static int users_read(const char *path, struct buf *buf, struct err *err)
{
	AUTO(fd_close_p) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_set(err, errno, "open the container's root");
	/* No link into /proc/self/fd: what we hold open there is the host's. */
	AUTO(fd_close_p) int fd = fd_open_in(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;
	struct statfs fs;

	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR
			       ? 0
			       : err_set(err, -fd, "open the container's %s", path);
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return err_set(err, errno, "read the container's %s", path);
	if (!S_ISREG(st.st_mode) || fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC)
		return err_say(err, EINVAL, "the container's %s is not a regular file", path);
	int r = fd_read_all(fd, USERS_FILE_MAX, buf);
	return r < 0 ? err_set(err, -r, "read the container's %s", path) : 0;
}

int users_resolve(const char *name, const char *const *groups, struct user *ret, struct err *err)
{
	AUTO(buf_fini) struct buf passwd = { 0 };
	AUTO(buf_fini) struct buf group = { 0 };

	int r = users_read("/etc/passwd", &passwd, err);
	if (r == 0)
		r = users_read("/etc/group", &group, err);
	if (r < 0)
		return r;
	return users_lookup(buf_str(&passwd), passwd.len, buf_str(&group), group.len, name, groups,
			    ret, err);
}
