/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/os/file.h"
#include "engines/cgroup/private.h"

/*
 * Theory of operation. A hierarchy can be mounted many times: bind mounts of a part of it, the host's
 * mount inside a container, one mount over another. Of the mounts of one hierarchy we take a writable
 * one that shows most of it (the shortest root field). What its mount point shows is what we may use,
 * wherever that lies in the whole tree: with a cgroup namespace, without one ("root is /docker/x") and on
 * the host alike, so /proc/self/cgroup is not needed. Format: proc_pid_mountinfo(5).
 */
#define MOUNTINFO_MAX (16u << 20)

const char *const cgroup_v1_names[CGROUP_CONTROLLER_MAX] = {
	[CGROUP_CPU] = "cpu",	      [CGROUP_CPUACCT] = "cpuacct",   [CGROUP_CPUSET] = "cpuset",
	[CGROUP_MEMORY] = "memory",   [CGROUP_PIDS] = "pids",	      [CGROUP_BLKIO] = "blkio",
	[CGROUP_DEVICES] = "devices", [CGROUP_FREEZER] = "freezer",   [CGROUP_HUGETLB] = "hugetlb",
	[CGROUP_NET_CLS] = "net_cls", [CGROUP_NET_PRIO] = "net_prio", [CGROUP_RDMA] = "rdma",
	[CGROUP_MISC] = "misc",
};

struct words { /* a run of text that is not NUL-terminated */
	const char *at;
	size_t len;
};

struct mount_line {
	struct words device, root, point, options, type, super;
};

static struct words next_word(struct words *rest, char separator)
{
	const char *end = memchr(rest->at, separator, rest->len);
	size_t len = end ? (size_t)(end - rest->at) : rest->len;
	struct words word = { rest->at, len };
	size_t used = end ? len + 1 : len;

	rest->at += used;
	rest->len -= used;
	return word;
}

static bool word_is(struct words word, const char *s)
{
	return word.len == strlen(s) && !memcmp(word.at, s, word.len);
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"; false: not such a line. */
static bool mount_line_parse(struct words line, struct mount_line *ret)
{
	(void)next_word(&line, ' '); /* the mount's id and its parent's */
	(void)next_word(&line, ' ');
	ret->device = next_word(&line, ' ');
	ret->root = next_word(&line, ' ');
	ret->point = next_word(&line, ' ');
	ret->options = next_word(&line, ' ');
	while (line.len) {
		if (!word_is(next_word(&line, ' '), "-"))
			continue;
		ret->type = next_word(&line, ' ');
		(void)next_word(&line, ' '); /* the mount's source says nothing here */
		ret->super = next_word(&line, ' ');
		return ret->root.len && ret->point.len && ret->type.len;
	}
	return false;
}

static int octal(const char *s)
{
	int value = 0;

	for (int i = 0; i < 3; i++) {
		if (s[i] < '0' || s[i] > '7')
			return -1;
		value = value * 8 + (s[i] - '0');
	}
	return value > 0 && value < 256 ? value : -1;
}

/* The kernel writes space, tab, newline and backslash as \ooo. */
static bool unescape(struct words word, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < word.len; i++) {
		char c = word.at[i];
		if (c == '\\' && word.len - i >= 4) {
			int value = octal(word.at + i + 1);
			if (value < 0)
				return false;
			c = (char)value;
			i += 3;
		}
		if (!c || n + 1 >= size)
			return false;
		ret[n++] = c;
	}
	ret[n] = '\0';
	return ret[0] == '/';
}

static int controller_of(struct words word)
{
	for (int c = 0; c < CGROUP_CONTROLLER_MAX; c++) {
		if (word_is(word, cgroup_v1_names[c]))
			return c;
	}
	return word_is(word, "io") ? CGROUP_BLKIO : -1;
}

uint32_t cgroup_controllers_parse(const char *text)
{
	struct words rest = { text, strcspn(text, "\n") };
	uint32_t bits = 0;

	while (rest.len) {
		int c = controller_of(next_word(&rest, ' '));
		if (c >= 0)
			bits |= CGROUP_BIT(c);
	}
	return bits;
}

/* Options of the superblock that say how it was mounted, not which hierarchy it is. */
static bool option_is_flag(struct words word)
{
	static const char *const flags[] = {
		"rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "favordynmods"
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (word_is(word, flags[i]))
			return true;
	}
	return word.len >= 14 && !memcmp(word.at, "release_agent=", 14);
}

/* A v1 hierarchy's controllers and the options that name it; false where there is none. */
static bool v1_options(struct words super, struct cgroup_hierarchy *ret)
{
	size_t n = 0;

	while (super.len) {
		struct words word = next_word(&super, ',');
		if (option_is_flag(word))
			continue;
		int c = controller_of(word);
		if (c >= 0)
			ret->controllers |= CGROUP_BIT(c);
		if (n + word.len + 2 > sizeof(ret->options))
			return false;
		if (n)
			ret->options[n++] = ',';
		memcpy(ret->options + n, word.at, word.len);
		n += word.len;
	}
	ret->options[n] = '\0';
	return n > 0;
}

/* Something may be mounted over it, or over a directory above it: then the path leads elsewhere. */
static bool is_visible(const struct mount_line *line, const char *point)
{
	struct stat st;
	char device[32];

	if (stat(point, &st) < 0)
		return false;
	(void)snprintf(device, sizeof(device), "%u:%u", major(st.st_dev), minor(st.st_dev));
	return word_is(line->device, device); /* a cut text is no match */
}

static struct cgroup_hierarchy *same_hierarchy(struct cgroup_layout *layout,
					       const struct cgroup_hierarchy *h)
{
	for (unsigned i = 0; i < layout->n; i++) {
		struct cgroup_hierarchy *old = &layout->hierarchies[i];
		if (old->v2 == h->v2 && (h->v2 || old->controllers & h->controllers))
			return old;
	}
	return NULL;
}

static bool is_read_only(const struct mount_line *line)
{
	struct words options = line->options, super = line->super;

	return word_is(next_word(&options, ','), "ro") || word_is(next_word(&super, ','), "ro");
}

/* Of the mounts of such a one the first will do. */
static void layout_add_other(struct cgroup_layout *layout, const struct cgroup_hierarchy *h)
{
	for (unsigned i = 0; i < layout->n_others; i++) {
		if (!strcmp(layout->others[i].options, h->options))
			return;
	}
	if (layout->n_others < CGROUP_OTHERS)
		layout->others[layout->n_others++] = *h;
}

/* @root_lens: how long the root field of each taken mount is. */
static void layout_add(struct cgroup_layout *layout, const struct mount_line *line, bool check,
		       size_t root_lens[CGROUP_HIERARCHIES])
{
	struct cgroup_hierarchy h = { .v2 = word_is(line->type, "cgroup2") };

	if (!h.v2 && !word_is(line->type, "cgroup"))
		return;
	if (!unescape(line->point, h.mount, sizeof(h.mount)))
		return;
	if (!h.v2 && !v1_options(line->super, &h))
		return;
	if (check && !is_visible(line, h.mount))
		return;
	if (is_read_only(line)) {
		layout->read_only |= h.controllers;
		return;
	}
	if (!h.v2 && !h.controllers) {
		layout_add_other(layout, &h);
		return;
	}

	struct cgroup_hierarchy *old = same_hierarchy(layout, &h);
	if (!old && layout->n == CGROUP_HIERARCHIES)
		return;
	unsigned at = old ? (unsigned)(old - layout->hierarchies) : layout->n++;
	if (old && root_lens[at] <= line->root.len)
		return;
	layout->hierarchies[at] = h;
	root_lens[at] = line->root.len;
}

void cgroup_layout_finish(struct cgroup_layout *layout)
{
	uint32_t always = CGROUP_BIT(CGROUP_MEMORY);

	layout->v2 = -1;
	for (unsigned i = 0; i < layout->n; i++) {
		if (layout->hierarchies[i].v2)
			layout->v2 = (int)i;
		layout->read_only &= ~layout->hierarchies[i].controllers;
	}
	if (layout->v2 < 0)
		always |= CGROUP_BIT(CGROUP_CPUACCT) | CGROUP_BIT(CGROUP_FREEZER) |
			  CGROUP_BIT(CGROUP_DEVICES);
	for (unsigned i = 0; i < layout->n; i++) {
		struct cgroup_hierarchy *h = &layout->hierarchies[i];
		h->used = h->v2 || h->controllers & always;
	}
}

static void layout_scan(const char *mountinfo, size_t len, bool check, struct cgroup_layout *layout)
{
	struct words rest = { mountinfo, len };
	size_t root_lens[CGROUP_HIERARCHIES] = { 0 };

	while (rest.len) {
		struct mount_line line;
		if (mount_line_parse(next_word(&rest, '\n'), &line))
			layout_add(layout, &line, check, root_lens);
	}
	cgroup_layout_finish(layout);
}

int cgroup_layout_parse(const char *mountinfo, size_t len, struct cgroup_layout *ret,
			struct err *err)
{
	struct cgroup_layout layout = { 0 };

	if (len > MOUNTINFO_MAX)
		return err_say(err, EFBIG, "mountinfo: more than %u bytes", MOUNTINFO_MAX);
	layout_scan(mountinfo, len, false, &layout);
	*ret = layout;
	return 0;
}

int cgroup_layout_read(const char *mountinfo, struct cgroup_layout *ret, struct err *err)
{
	const char *path = mountinfo ? mountinfo : "/proc/self/mountinfo";
	struct cgroup_layout layout = { 0 };
	AUTO(buf_fini) struct buf text = { 0 };

	int r = file_read(AT_FDCWD, path, MOUNTINFO_MAX, &text);
	if (r < 0)
		return err_set(err, -r, "read %s", path);
	layout_scan(buf_str(&text), text.len, true, &layout);

	if (layout.v2 >= 0) {
		struct cgroup_hierarchy *v2 = &layout.hierarchies[layout.v2];
		char file[sizeof(v2->mount) + 32], words[512];
		(void)snprintf(file, sizeof(file), "%s/cgroup.controllers", v2->mount);
		r = cgroup_read(AT_FDCWD, file, words, sizeof(words));
		if (r < 0)
			return err_set(err, -r, "read %s", file);
		v2->controllers = cgroup_controllers_parse(words);
		layout.read_only &= ~v2->controllers;
	}
	*ret = layout;
	return 0;
}

void cgroup_layout_use_all(struct cgroup_layout *layout)
{
	for (unsigned i = 0; i < layout->n_others && layout->n < CGROUP_HIERARCHIES; i++)
		layout->hierarchies[layout->n++] = layout->others[i];
	layout->n_others = 0; /* never twice */
	for (unsigned i = 0; i < layout->n; i++)
		layout->hierarchies[i].used = true;
}

int cgroup_layout_find(const struct cgroup_layout *layout, const char *options)
{
	for (unsigned i = 0; i < layout->n; i++) {
		if (!layout->hierarchies[i].v2 && !strcmp(layout->hierarchies[i].options, options))
			return (int)i;
	}
	return -1;
}

int cgroup_find(const struct cgroup_layout *layout, enum cgroup_controller controller)
{
	for (unsigned i = 0; i < layout->n; i++) {
		if (layout->hierarchies[i].controllers & CGROUP_BIT(controller))
			return (int)i;
	}
	return -1;
}

int cgroup_full_path(const struct cgroup_hierarchy *h, const char *path, char *ret, size_t size)
{
	int n = snprintf(ret, size, "%s/%s", h->mount, path);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* What one controller is good for, in the words of the flags that need it. */
static const struct {
	enum cgroup_controller controller;
	const char *limit;
} report_rows[] = {
	{ CGROUP_MEMORY, "memory" },
	{ CGROUP_CPU, "cpu" },
	{ CGROUP_CPUSET, "cpuset" },
	{ CGROUP_PIDS, "pids" },
};

int cgroup_report(const struct cgroup_layout *layout, char *ret, size_t size)
{
	AUTO(buf_fini) struct buf can = { 0 };
	AUTO(buf_fini) struct buf cannot = { 0 };
	bool v1 = layout->n > (layout->v2 >= 0 ? 1u : 0u);
	const char *version = layout->v2 < 0 ? "v1" : v1 ? "v1 and v2" : "v2";

	if (!layout->n)
		version = layout->read_only ? "read-only" : "none mounted";
	for (size_t i = 0; i < ARRAY_SIZE(report_rows); i++) {
		bool has = cgroup_find(layout, report_rows[i].controller) >= 0;
		struct buf *list = has ? &can : &cannot;
		(void)buf_printf(list, "%s%s", list->len ? ", " : "", report_rows[i].limit);
	}
	if (can.failed || cannot.failed)
		return -ENOMEM;
	int n = snprintf(ret, size, "%s%s%s%s%s", version, can.len ? "; limits: " : "",
			 buf_str(&can), cannot.len ? "; no limits on: " : "", buf_str(&cannot));
	return n < 0 || (size_t)n >= size ? -ENOSPC : 0;
}
