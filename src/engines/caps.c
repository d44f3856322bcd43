/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP_BIT(cap) (1ULL << (cap))

#define CAPS_DEFAULT                                                                               \
	(CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_FOWNER) |                    \
	 CAP_BIT(CAP_FSETID) | CAP_BIT(CAP_KILL) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_SETUID) |     \
	 CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_NET_BIND_SERVICE) | CAP_BIT(CAP_NET_RAW) |             \
	 CAP_BIT(CAP_SYS_CHROOT) | CAP_BIT(CAP_MKNOD) | CAP_BIT(CAP_AUDIT_WRITE) |                 \
	 CAP_BIT(CAP_SETFCAP))

const uint64_t caps_default = CAPS_DEFAULT;

const uint64_t caps_system =
	CAPS_DEFAULT | CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_LINUX_IMMUTABLE) |
	CAP_BIT(CAP_NET_BROADCAST) | CAP_BIT(CAP_NET_ADMIN) | CAP_BIT(CAP_IPC_LOCK) |
	CAP_BIT(CAP_IPC_OWNER) | CAP_BIT(CAP_SYS_PTRACE) | CAP_BIT(CAP_SYS_ADMIN) |
	CAP_BIT(CAP_SYS_BOOT) | CAP_BIT(CAP_SYS_NICE) | CAP_BIT(CAP_SYS_RESOURCE) |
	CAP_BIT(CAP_SYS_TTY_CONFIG) | CAP_BIT(CAP_LEASE) | CAP_BIT(CAP_AUDIT_CONTROL);

static const char *const caps_names[] = {
	[CAP_CHOWN] = "CAP_CHOWN",
	[CAP_DAC_OVERRIDE] = "CAP_DAC_OVERRIDE",
	[CAP_DAC_READ_SEARCH] = "CAP_DAC_READ_SEARCH",
	[CAP_FOWNER] = "CAP_FOWNER",
	[CAP_FSETID] = "CAP_FSETID",
	[CAP_KILL] = "CAP_KILL",
	[CAP_SETGID] = "CAP_SETGID",
	[CAP_SETUID] = "CAP_SETUID",
	[CAP_SETPCAP] = "CAP_SETPCAP",
	[CAP_LINUX_IMMUTABLE] = "CAP_LINUX_IMMUTABLE",
	[CAP_NET_BIND_SERVICE] = "CAP_NET_BIND_SERVICE",
	[CAP_NET_BROADCAST] = "CAP_NET_BROADCAST",
	[CAP_NET_ADMIN] = "CAP_NET_ADMIN",
	[CAP_NET_RAW] = "CAP_NET_RAW",
	[CAP_IPC_LOCK] = "CAP_IPC_LOCK",
	[CAP_IPC_OWNER] = "CAP_IPC_OWNER",
	[CAP_SYS_MODULE] = "CAP_SYS_MODULE",
	[CAP_SYS_RAWIO] = "CAP_SYS_RAWIO",
	[CAP_SYS_CHROOT] = "CAP_SYS_CHROOT",
	[CAP_SYS_PTRACE] = "CAP_SYS_PTRACE",
	[CAP_SYS_PACCT] = "CAP_SYS_PACCT",
	[CAP_SYS_ADMIN] = "CAP_SYS_ADMIN",
	[CAP_SYS_BOOT] = "CAP_SYS_BOOT",
	[CAP_SYS_NICE] = "CAP_SYS_NICE",
	[CAP_SYS_RESOURCE] = "CAP_SYS_RESOURCE",
	[CAP_SYS_TIME] = "CAP_SYS_TIME",
	[CAP_SYS_TTY_CONFIG] = "CAP_SYS_TTY_CONFIG",
	[CAP_MKNOD] = "CAP_MKNOD",
	[CAP_LEASE] = "CAP_LEASE",
	[CAP_AUDIT_WRITE] = "CAP_AUDIT_WRITE",
	[CAP_AUDIT_CONTROL] = "CAP_AUDIT_CONTROL",
	[CAP_SETFCAP] = "CAP_SETFCAP",
	[CAP_MAC_OVERRIDE] = "CAP_MAC_OVERRIDE",
	[CAP_MAC_ADMIN] = "CAP_MAC_ADMIN",
	[CAP_SYSLOG] = "CAP_SYSLOG",
	[CAP_WAKE_ALARM] = "CAP_WAKE_ALARM",
	[CAP_BLOCK_SUSPEND] = "CAP_BLOCK_SUSPEND",
	[CAP_AUDIT_READ] = "CAP_AUDIT_READ",
	[CAP_PERFMON] = "CAP_PERFMON",
	[CAP_BPF] = "CAP_BPF",
	[CAP_CHECKPOINT_RESTORE] = "CAP_CHECKPOINT_RESTORE",
};

/* The kernel may know fewer than our headers, or more. */
static unsigned caps_last(void)
{
	unsigned last = CAP_LAST_CAP;

	while (last < 63 && prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0)
		last++;
	while (last > 0 && prctl(PR_CAPBSET_READ, last, 0, 0, 0) < 0)
		last--;
	return last;
}

static uint64_t caps_all(void)
{
	return UINT64_MAX >> (63 - caps_last());
}

int caps_from_name(const char *name, uint64_t *ret, struct err *err)
{
	const char *bare = name && !strncasecmp(name, "CAP_", 4) ? name + 4 : name;

	if (!name)
		return err_say(err, EINVAL, "a capability is not a word");
	if (!strcasecmp(name, "ALL")) {
		*ret = caps_all();
		return 0;
	}
	for (unsigned cap = 0; cap < ARRAY_SIZE(caps_names); cap++) {
		if (!strcasecmp(bare, caps_names[cap] + 4)) {
			*ret = CAP_BIT(cap);
			return 0;
		}
	}
	return err_say(err, EINVAL,
		       "capability '%s' is not known; write a name of capabilities(7), such as "
		       "NET_ADMIN, or ALL",
		       name);
}

const char *caps_name(unsigned cap)
{
	return cap < ARRAY_SIZE(caps_names) ? caps_names[cap] : NULL;
}

uint64_t caps_held(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	uint64_t held;

	if (syscall(SYS_capget, &head, data) < 0)
		return 0;
	held = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	for (unsigned cap = 0; cap < 64; cap++) {
		if (held & CAP_BIT(cap) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 1)
			held &= ~CAP_BIT(cap);
	}
	return held;
}

uint64_t caps_grantable(bool machine)
{
	return machine ? UINT64_MAX : caps_held();
}

struct caps_list {
	uint64_t named; /* without ALL */
	bool all;
};

static int caps_parse(const char *const *names, struct caps_list *ret, struct err *err)
{
	struct caps_list list = { 0 };

	for (; names && *names; names++) {
		uint64_t one;
		int r = caps_from_name(*names, &one, err);
		if (r < 0)
			return r;
		if (!strcasecmp(*names, "ALL"))
			list.all = true;
		else
			list.named |= one;
	}
	*ret = list;
	return 0;
}

int caps_parse_lists(uint64_t base, const char *const *add, const char *const *drop, uint64_t held,
		     uint64_t *ret, struct err *err)
{
	struct caps_list adds, drops;
	uint64_t caps;

	int r = caps_parse(add, &adds, err);
	if (r == 0)
		r = caps_parse(drop, &drops, err);
	if (r < 0)
		return r;
	for (unsigned cap = 0; cap < ARRAY_SIZE(caps_names); cap++) {
		if (adds.named & ~held & CAP_BIT(cap))
			return err_say(err, EPERM,
				       "capability %s: this host does not hold it itself, so it "
				       "cannot be added",
				       caps_names[cap]);
	}

	if (adds.all)
		caps = drops.all ? caps_all() : (caps_all() & ~drops.named) | adds.named;
	else if (drops.all)
		caps = adds.named;
	else
		caps = (base & ~drops.named) | adds.named;
	*ret = caps & held;
	return 0;
}
