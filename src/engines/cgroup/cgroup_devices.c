/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/private.h"

/*
 * Theory of operation. A group denies every device but those listed. v2 runs a small BPF program at each mknod and open
 * (BPF_PROG_TYPE_CGROUP_DEVICE); v1 has a file for that, in a hierarchy of its own, and joining that costs more than
 * loading the program (docs/cgroups.md). So v1 serves where there is no v2, or where BPF is not allowed.
 */
#define DEVICE_ANY UINT32_MAX

struct rule {
	char type;	       /* 'b' or 'c' */
	uint32_t major, minor; /* or DEVICE_ANY */
	uint32_t access;       /* BPF_DEVCG_ACC_x */
};

#define ACCESS_ALL (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)

/*
 * Linux Documentation/admin-guide/devices.txt. Making any node is harmless where opening it is refused, and archives
 * that hold nodes unpack.
 */
static const struct rule default_rules[] = {
	{ 'c', DEVICE_ANY, DEVICE_ANY, BPF_DEVCG_ACC_MKNOD },
	{ 'b', DEVICE_ANY, DEVICE_ANY, BPF_DEVCG_ACC_MKNOD },
	{ 'c', 1, 3, ACCESS_ALL },	      /* null */
	{ 'c', 1, 5, ACCESS_ALL },	      /* zero */
	{ 'c', 1, 7, ACCESS_ALL },	      /* full */
	{ 'c', 1, 8, ACCESS_ALL },	      /* random */
	{ 'c', 1, 9, ACCESS_ALL },	      /* urandom */
	{ 'c', 5, 0, ACCESS_ALL },	      /* tty */
	{ 'c', 5, 1, ACCESS_ALL },	      /* console */
	{ 'c', 5, 2, ACCESS_ALL },	      /* ptmx */
	{ 'c', 136, DEVICE_ANY, ACCESS_ALL }, /* pts/n */
};

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

static int rule_of(const struct spec_device *device, struct rule *ret, struct err *err)
{
	struct stat st;

	if (stat(device->source, &st) < 0)
		return err_set(err, errno, "device %s", device->source);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_say(err, EINVAL, "device %s: it is not a device file", device->source);
	*ret = (struct rule){ .type = S_ISBLK(st.st_mode) ? 'b' : 'c',
			      .major = major(st.st_rdev),
			      .minor = minor(st.st_rdev),
			      .access = access_parse(device->permissions) };
	return 0;
}

static void free_p(struct rule **rules)
{
	free(*rules);
}

static int rules_make(const struct spec_device *devices, size_t n, struct rule **ret, size_t *ret_n,
		      struct err *err)
{
	size_t base = ARRAY_SIZE(default_rules);
	AUTO(free_p) struct rule *rules = calloc(base + n, sizeof(*rules));

	if (!rules)
		return err_set(err, ENOMEM, "device rules");
	memcpy(rules, default_rules, sizeof(default_rules));
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
static int v1_rule_text(const struct rule *rule, char *ret, size_t size)
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

static int v1_rules_set(int dirfd, const struct rule *rules, size_t n)
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
		if (rules[i].access && write(fd, text, (size_t)len) < 0)
			return -errno;
	}
	return 0;
}

/*
 * The shape decides what loading costs: the kernel's verifier follows every branch, so a rule is one branch where it can
 * be, all to the same two ends, where it sees that it has been (docs/cgroups.md). A device is compared whole, as the
 * kernel's dev_t: 12 bits major, 20 bits minor.
 */
struct program {
	struct bpf_insn *insns;
	size_t n, cap;
};

enum { R0, R1, R_TYPE, R_ACCESS, R_DEVICE, R_MAJOR, R_REST }; /* R1: struct bpf_cgroup_dev_ctx */

#define INSNS_PER_RULE 4
#define INSNS_AROUND   20
#define TO_ALLOW       INT16_MAX /* jump offset that program_link() fills in */

static void emit(struct program *p, uint8_t code, unsigned dst, unsigned src, int16_t off,
		 uint32_t imm)
{
	if (p->n < p->cap)
		p->insns[p->n] = (struct bpf_insn){ .code = code,
						    .dst_reg = dst & 15,
						    .src_reg = src & 15,
						    .off = off,
						    .imm = (int32_t)imm };
	p->n++;
}

static void emit_rule(struct program *p, const struct rule *rule)
{
	bool any_major = rule->major == DEVICE_ANY, any_minor = rule->minor == DEVICE_ANY;

	if (rule->access != ACCESS_ALL) { /* more is asked than it gives: on to the next rule */
		emit(p, BPF_ALU | BPF_MOV | BPF_X, R_REST, R_ACCESS, 0, 0);
		emit(p, BPF_ALU | BPF_AND | BPF_K, R_REST, 0, 0, ACCESS_ALL & ~rule->access);
		emit(p, BPF_JMP32 | BPF_JNE | BPF_K, R_REST, 0, 1, 0);
	}
	if (any_major)
		emit(p, BPF_JMP | BPF_JA, 0, 0, TO_ALLOW, 0);
	else if (any_minor)
		emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_MAJOR, 0, TO_ALLOW, rule->major);
	else
		emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_DEVICE, 0, TO_ALLOW,
		     rule->major << 20 | rule->minor);
}

static void emit_rules(struct program *p, char type, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (rules[i].type == type)
			emit_rule(p, &rules[i]);
	}
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, 0);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Jumps to "allow" know their distance only once its place is known. */
static int program_link(struct program *p, size_t block, size_t allow, size_t type_jump)
{
	if (p->n > p->cap || p->n >= INT16_MAX)
		return -E2BIG;
	for (size_t i = 0; i < p->n; i++) {
		if (p->insns[i].off == TO_ALLOW)
			p->insns[i].off = (int16_t)(allow - i - 1);
	}
	p->insns[type_jump].off = (int16_t)(block - type_jump - 1);
	return 0;
}

static int program_make(struct program *p, const struct rule *rules, size_t n)
{
	emit(p, BPF_LDX | BPF_W | BPF_MEM, R_TYPE, R1, 0, 0);
	emit(p, BPF_ALU | BPF_MOV | BPF_X, R_ACCESS, R_TYPE, 0, 0);
	emit(p, BPF_ALU | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
	emit(p, BPF_ALU | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
	emit(p, BPF_LDX | BPF_W | BPF_MEM, R_MAJOR, R1, 4, 0);
	emit(p, BPF_LDX | BPF_W | BPF_MEM, R_REST, R1, 8, 0);
	emit(p, BPF_ALU | BPF_MOV | BPF_X, R_DEVICE, R_MAJOR, 0, 0);
	emit(p, BPF_ALU | BPF_LSH | BPF_K, R_DEVICE, 0, 0, 20);
	emit(p, BPF_ALU | BPF_OR | BPF_X, R_DEVICE, R_REST, 0, 0);
	size_t type_jump = p->n;
	emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_TYPE, 0, 0, BPF_DEVCG_DEV_BLOCK);
	emit_rules(p, 'c', rules, n);
	size_t block = p->n;
	emit_rules(p, 'b', rules, n);
	size_t allow = p->n;
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, 1);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return program_link(p, block, allow, type_jump);
}

static int bpf_attach(int dirfd, const struct program *p)
{
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
				.insns = (uintptr_t)p->insns,
				.insn_cnt = (uint32_t)p->n,
				.license = (uintptr_t) "Apache-2.0" };

	AUTO(fd_close_p) int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	if (fd < 0)
		return -errno;
	union bpf_attr attach = { .target_fd = (uint32_t)dirfd,
				  .attach_bpf_fd = (uint32_t)fd,
				  .attach_type = BPF_CGROUP_DEVICE,
				  .attach_flags = BPF_F_ALLOW_MULTI };
	return syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0 ? -errno : 0;
}

static int v2_rules_set(int dirfd, const struct rule *rules, size_t n)
{
	struct program p = { .cap = n * INSNS_PER_RULE + INSNS_AROUND };

	p.insns = calloc(p.cap, sizeof(*p.insns));
	if (!p.insns)
		return -ENOMEM;
	int r = program_make(&p, rules, n);
	if (r == 0)
		r = bpf_attach(dirfd, &p);
	free(p.insns);
	return r;
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

int cgroup_devices_set(struct cgroup *cgroup, const struct spec_device *devices, size_t n,
		       struct err *err)
{
	AUTO(free_p) struct rule *rules = NULL;
	size_t n_rules = 0;
	int r = rules_make(devices, n, &rules, &n_rules, err);
	if (r < 0)
		return r;

	int v2 = cgroup_v2_fd(cgroup);
	int why = v2 < 0 ? -ENOTSUP : v2_rules_set(v2, rules, n_rules);
	if (why == 0)
		return 0;
	int v1 = v1_devices_fd(cgroup, err);
	if (v1 == -ENOTSUP)
		return no_device_rules(err, v2 >= 0, why);
	if (v1 < 0)
		return v1;
	r = v1_rules_set(v1, rules, n_rules);
	return r < 0 ? err_set(err, -r, "set device rules of cgroup %s", cgroup->path) : 0;
}
