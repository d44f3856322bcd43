/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/devices_bpf.h"
#include "engines/cgroup/private.h"

/*
 * Theory of operation. A group denies every device but those listed. v2 runs a small BPF program at each mknod and open
 * (BPF_PROG_TYPE_CGROUP_DEVICE); v1 has a file for that, in a hierarchy of its own, and joining that costs more than
 * loading the program (docs/cgroups.md). So v1 serves where there is no v2, or where BPF is not allowed; a group that is there
 * in any case gets the same rules (cgroup_rules_early()).
 */

static uint32_t access_parse(const char *permissions)
{
	uint32_t access = 0;

	for (const char *p = permissions; *p; p++)
		access |= *p == 'r'   ? BPF_DEVCG_ACC_READ
			  : *p == 'w' ? BPF_DEVCG_ACC_WRITE
			  : *p == 'm' ? BPF_DEVCG_ACC_MKNOD
				      : 0;
	return access;
}

static int rule_of(const struct spec_device *device, struct device_rule *ret, struct err *err)
{
	struct stat st;

	if (stat(device->source, &st) < 0)
		return err_set(err, errno, "device %s", device->source);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_say(err, EINVAL, "device %s: it is not a device file", device->source);
	*ret = (struct device_rule){ .type = S_ISBLK(st.st_mode) ? 'b' : 'c',
				     .major = major(st.st_rdev),
				     .minor = minor(st.st_rdev),
				     .access = access_parse(device->permissions) };
	return 0;
}

static void free_p(struct device_rule **rules)
{
	free(*rules);
}

static int rules_make(const struct spec_device *devices, size_t n, struct device_rule **ret,
		      size_t *ret_n, struct err *err)
{
	size_t base = DEVICES_DEFAULT;
	AUTO(free_p) struct device_rule *rules = calloc(base + n, sizeof(*rules));

	if (!rules)
		return err_set(err, ENOMEM, "device rules");
	memcpy(rules, devices_default, sizeof(devices_default));
	for (size_t i = 0; i < n; i++) {
		int r = rule_of(&devices[i], &rules[base + i], err);
		if (r < 0)
			return r;
	}
	*ret = TAKE(rules);
	*ret_n = base + n;
	return 0;
}

/* "c 136:* rwm" */
static int v1_rule_text(const struct device_rule *rule, char *ret, size_t size)
{
	char device_major[12] = "*", device_minor[12] = "*";

	if (rule->major != DEVICE_ANY)
		(void)snprintf(device_major, sizeof(device_major), "%u", rule->major); /* fits */
	if (rule->minor != DEVICE_ANY)
		(void)snprintf(device_minor, sizeof(device_minor), "%u", rule->minor); /* fits */
	return snprintf(ret, size, "%c %s:%s %s%s%s", rule->type, device_major, device_minor,
			rule->access & BPF_DEVCG_ACC_READ ? "r" : "",
			rule->access & BPF_DEVCG_ACC_WRITE ? "w" : "",
			rule->access & BPF_DEVCG_ACC_MKNOD ? "m" : "");
}

/* What the group above does not have is not to be had: the rest is set all the same, and the first error told. */
static int v1_rules_set(int dirfd, const struct device_rule *rules, size_t n)
{
	int r = file_write(dirfd, "devices.deny", "a");
	if (r < 0)
		return r;
	AUTO(fd_close_p) int fd = openat(dirfd, "devices.allow", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		char text[48];
		int len = v1_rule_text(&rules[i], text, sizeof(text));
		if (rules[i].access && !rules[i].deny && write(fd, text, (size_t)len) < 0 && r == 0)
			r = -errno;
	}
	return r;
}

void cgroup_rules_early(struct cgroup *cgroup, const struct device_rule *rules, size_t n)
{
	int h = cgroup_find(cgroup->layout, CGROUP_DEVICES);

	if (h >= 0 && !cgroup->layout->hierarchies[h].v2 && cgroup->fds[h] >= 0)
		cgroup->v1_rules = v1_rules_set(cgroup->fds[h], rules, n) == 0;
}

/* The v1 hierarchy, made now where the layout has one that the group had no need of so far; else -ENOTSUP. */
static int v1_devices_fd(struct cgroup *cgroup, struct err *err)
{
	int h = cgroup_find(cgroup->layout, CGROUP_DEVICES);

	if (h < 0 || cgroup->layout->hierarchies[h].v2)
		return -ENOTSUP;
	if (cgroup->fds[h] < 0) {
		int fd = cgroup_make(&cgroup->layout->hierarchies[h], cgroup->path, err);
		if (fd < 0)
			return fd;
		cgroup->fds[h] = fd;
	}
	return cgroup->fds[h];
}

static int no_device_rules(struct err *err, bool v2, int why)
{
	if (v2)
		return err_set(
			err, -why,
			"device rules: load a BPF program for cgroup v2 (it needs CAP_BPF or "
			"CAP_SYS_ADMIN, and CONFIG_CGROUP_BPF), and the v1 devices "
			"controller is not mounted either");
	return err_say(err, ENOTSUP,
		       "device rules: neither cgroup v2 nor the v1 devices controller is mounted "
		       "for writing, so devices cannot be kept from the instance (--privileged "
		       "does without)");
}

int cgroup_rules_set(struct cgroup *cgroup, const struct device_rule *rules, size_t n,
		     struct err *err)
{
	int v2 = cgroup_v2_fd(cgroup);
	int why = v2 < 0 ? -ENOTSUP : devices_bpf_set(v2, rules, n, 0);
	if (why == 0)
		return 0;
	/* Version 1 has one list, of what is allowed. */
	if (devices_deny(rules, n))
		return err_set(
			err, -why,
			"device rules: one denies a part of what another allows, which takes a "
			"BPF program for cgroup v2");
	if (cgroup->v1_rules)
		return 0;
	int v1 = v1_devices_fd(cgroup, err);
	if (v1 == -ENOTSUP)
		return no_device_rules(err, v2 >= 0, why);
	if (v1 < 0)
		return v1;
	int r = v1_rules_set(v1, rules, n);
	return r < 0 ? err_set(err, -r, "set device rules of cgroup %s", cgroup->path) : 0;
}

int cgroup_devices_set(struct cgroup *cgroup, const struct spec_device *devices, size_t n,
		       struct err *err)
{
	AUTO(free_p) struct device_rule *rules = NULL;
	size_t n_rules = 0;
	int r = rules_make(devices, n, &rules, &n_rules, err);

	return r < 0 ? r : cgroup_rules_set(cgroup, rules, n_rules, err);
}
