/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which devices a cgroup v2's processes may make and open, in a container and in a VM alike: by a BPF program. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_ANY UINT32_MAX
#define DEVICE_ALL (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)

struct device_rule {
	char type;	       /* 'b' or 'c' */
	uint32_t major, minor; /* or DEVICE_ANY */
	uint32_t access;       /* BPF_DEVCG_ACC_x */
	bool deny; /* of what rules before it allow; rules after it may allow again. By BPF alone */
};

/* Any node may be made; null, zero, full, random, urandom and terminals may be opened. */
#define DEVICES_DEFAULT 11
extern const struct device_rule devices_default[DEVICES_DEFAULT];

enum devices_bpf_flags {
	/* A rule of fewer rights than all gives just these together: not a part, nor access(2)'s F_OK, which asks for none. */
	DEVICES_BPF_EXACT = 1 << 0,
	/* Groups below get no program of their own (bpf(2): without BPF_F_ALLOW_MULTI). */
	DEVICES_BPF_ALONE = 1 << 1,
};

/* devices_deny() - whether any rule of these denies */
bool devices_deny(const struct device_rule *rules, size_t n);
/*
 * devices_bpf_set() - deny every device that no rule allows
 * @dirfd: the cgroup's directory   @flags: enum devices_bpf_flags
 * Return: 0, or a negative errno. Errors: those of bpf(2): a kernel without CONFIG_CGROUP_BPF cannot; -E2BIG; -ENOMEM.
 */
int devices_bpf_set(int dirfd, const struct device_rule *rules, size_t n, unsigned flags);
