/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving up capabilities, with nothing but system calls: this runs in the monitor's child. The order is the
 * kernel's: the bounding set and the groups need capabilities that the change of user or the last capset take away.
 * Source: capabilities(7), "Effect of user ID changes on capabilities" and "Capability bounding set".
 */
#include "engines/oslevel/caps_apply.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/caps.h"

static int caps_apply_permitted(uint64_t *ret, struct err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &head, data) < 0)
		return err_set(err, errno, "read our capabilities");
	*ret = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

static int caps_apply_check(uint64_t caps, struct err *err)
{
	uint64_t permitted = 0;
	int r = caps_apply_permitted(&permitted, err);
	if (r < 0)
		return r;
	uint64_t lacking = caps & ~permitted;
	if (!lacking)
		return 0;

	unsigned cap = (unsigned)__builtin_ctzll(lacking);
	const char *name = caps_name(cap);
	if (!name)
		return err_say(err, EPERM, "capability %u: this host does not hold it itself", cap);
	return err_say(err, EPERM, "capability %s: this host does not hold it itself", name);
}

int caps_keep(struct caps_sets *sets, struct err *err)
{
	uint64_t permitted = 0;
	int r = caps_apply_permitted(&permitted, err);

	if (r < 0)
		return r;
	sets->bounding &= permitted;
	sets->permitted &= permitted;
	sets->effective &= sets->permitted; /* capset(2) takes no more */
	sets->inheritable &= permitted;
	sets->ambient &= sets->permitted & sets->inheritable; /* nor does prctl(2) */
	return 0;
}

static int caps_apply_bounding(uint64_t caps, struct err *err)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		if (caps & 1ULL << cap)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL) /* past the kernel's last one */
			return 0;
		return err_set(err, errno, "drop capability %u from the bounding set", cap);
	}
	return 0;
}

/* In the user namespace of somebody without newgidmap(1) nobody may: user_namespaces(7), "setgroups file". */
static bool caps_apply_no_groups(void)
{
	const int code = errno;
	AUTO(fd_close_p) int fd = open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC);
	char word[8];

	const bool none = fd < 0 || (fd_read_text(fd, word, sizeof(word)) > 0 && word[0] == 'd');
	errno = code;
	return code == EPERM && none;
}

int caps_apply_root(struct err *err)
{
	if ((setgroups(0, NULL) < 0 && !caps_apply_no_groups()) || setresgid(0, 0, 0) < 0 ||
	    setresuid(0, 0, 0) < 0)
		return err_set(err, errno, "become root of the user namespace");
	return 0;
}

static int caps_apply_user(uint32_t uid, uint32_t gid, const uint32_t *groups, unsigned n_groups,
			   struct err *err)
{
	_Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are passed as they are");

	if (setgroups(n_groups, groups) < 0 && (n_groups || !caps_apply_no_groups()))
		return err_set(err, errno, "set %u supplementary groups", n_groups);
	if (setresgid(gid, gid, gid) < 0)
		return err_set(err, errno, "become group %u", gid);
	if (setresuid(uid, uid, uid) < 0)
		return err_set(err, errno, "become user %u", uid);
	return 0;
}

/* Of the permitted set nothing else is left to a user who is not root: capabilities(7), "Ambient". */
static int caps_apply_ambient(uint64_t ambient, struct err *err)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		if (ambient & 1ULL << cap &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_set(err, errno, "raise ambient capability %u", cap);
	}
	return 0;
}

int caps_apply_sets(const struct caps_sets *sets, uint32_t uid, uint32_t gid,
		    const uint32_t *groups, unsigned n_groups, struct err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[2] = {
		{ (uint32_t)sets->effective, (uint32_t)sets->permitted,
		  (uint32_t)sets->inheritable },
		{ (uint32_t)(sets->effective >> 32), (uint32_t)(sets->permitted >> 32),
		  (uint32_t)(sets->inheritable >> 32) },
	};

	int r = caps_apply_check(sets->bounding | sets->permitted, err);
	if (r == 0)
		r = caps_apply_bounding(sets->bounding, err);
	/* The inheritable set takes only what is permitted at the time. */
	if (r == 0 && (sets->permitted | sets->inheritable) && uid != 0 &&
	    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		r = err_set(err, errno, "keep capabilities");
	if (r == 0)
		r = caps_apply_user(uid, gid, groups, n_groups, err);
	if (r < 0)
		return r;
	/* A smaller permitted and an empty inheritable set empty the ambient one. */
	if (syscall(SYS_capset, &head, data) < 0)
		return err_set(err, errno, "set capabilities");
	return caps_apply_ambient(sets->ambient, err);
}

struct caps_sets caps_of(uint64_t caps, uint32_t uid)
{
	const uint64_t own = uid == 0 ? caps : 0;

	return (struct caps_sets){ .bounding = caps, .effective = own, .permitted = own };
}

int caps_apply(uint64_t caps, uint32_t uid, uint32_t gid, const uint32_t *groups, unsigned n_groups,
	       struct err *err)
{
	const struct caps_sets sets = caps_of(caps, uid);

	return caps_apply_sets(&sets, uid, gid, groups, n_groups, err);
}
