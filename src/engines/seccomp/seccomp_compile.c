/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "engines/seccomp/seccomp.h"
#include "engines/seccomp/seccomp_parts.h"

#define COMPILE_ARGS	  6    /* of a system call */
#define COMPILE_RULES_MAX 4096 /* a filter has no more instructions than that */
#define COMPILE_ERRNO_MAX 4095 /* what the kernel can return, linux/err.h MAX_ERRNO */

struct compile {
	scmp_filter_ctx ctx;
	uint32_t default_action;
	struct seccomp_head head;
	unsigned rules;
	bool notify; /* SCMP_ACT_NOTIFY is one of the actions */
};

/* One entry of syscalls, checked. */
struct compile_call {
	uint32_t action;
	struct scmp_arg_cmp *args;
	unsigned n_args;
	bool any_of; /* an argument is named twice: each comparison is a rule of its own, as in runc */
};

static void compile_release(struct compile *compile)
{
	if (compile->ctx)
		seccomp_release(compile->ctx);
}

static int compile_action(const char *name, const json_t *errno_ret, const char *where, bool notify,
			  uint32_t *ret, struct err *err)
{
	static const struct {
		const char *name;
		uint32_t action;
		bool takes_errno;
	} actions[] = {
		{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, false },
		{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false },
		{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false },
		{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP, false },
		{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true },
		{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true },
		{ "SCMP_ACT_LOG", SCMP_ACT_LOG, false },
		{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false },
		{ "SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY, false },
	};
	json_int_t code = errno_ret ? json_integer_value(errno_ret) : EPERM;

	if (!strcmp(name, "SCMP_ACT_NOTIFY") && !notify)
		return err_say(err, ENOTSUP, "seccomp profile: %s SCMP_ACT_NOTIFY is not supported",
			       where);
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		if (errno_ret && !actions[i].takes_errno)
			return err_say(err, EINVAL, "seccomp profile: %s %s has no errno", where,
				       name);
		if ((errno_ret && !json_is_integer(errno_ret)) || code < 0 ||
		    code > COMPILE_ERRNO_MAX)
			return err_say(err, EINVAL,
				       "seccomp profile: %s the errno is not a number from 0 to %d",
				       where, COMPILE_ERRNO_MAX);
		*ret = actions[i].action | (actions[i].takes_errno ? (uint32_t)code : 0);
		return 0;
	}
	return err_say(err, EINVAL, "seccomp profile: %s action '%s' is not known", where, name);
}

static int compile_op(const char *name, enum scmp_compare *ret)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} ops[] = {
		{ "SCMP_CMP_NE", SCMP_CMP_NE },
		{ "SCMP_CMP_LT", SCMP_CMP_LT },
		{ "SCMP_CMP_LE", SCMP_CMP_LE },
		{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
		{ "SCMP_CMP_GE", SCMP_CMP_GE },
		{ "SCMP_CMP_GT", SCMP_CMP_GT },
		{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (!strcmp(ops[i].name, name)) {
			*ret = ops[i].op;
			return 0;
		}
	}
	return -EINVAL;
}

/* A number of a comparison; absent is 0. */
static bool compile_number(const json_t *arg, const char *key, uint64_t *ret)
{
	const json_t *value = json_object_get(arg, key);

	*ret = (uint64_t)json_integer_value(value);
	return !value || (json_is_integer(value) && json_integer_value(value) >= 0);
}

static int compile_args(const json_t *list, const char *where, struct compile_call *call,
			struct err *err)
{
	unsigned seen[COMPILE_ARGS] = { 0 };
	size_t i;
	json_t *arg;

	if (list && !json_is_array(list))
		return err_say(err, EINVAL, "seccomp profile: %s args is not a list", where);
	if (json_array_size(list) > COMPILE_RULES_MAX)
		return err_say(err, E2BIG, "seccomp profile: %s too many args", where);
	call->args = calloc(json_array_size(list) + 1, sizeof(*call->args));
	if (!call->args)
		return err_set(err, ENOMEM, "seccomp profile");
	json_array_foreach(list, i, arg)
	{
		struct scmp_arg_cmp *cmp = &call->args[call->n_args++];
		uint64_t index;
		if (!json_is_object(arg) || !compile_number(arg, "index", &index) ||
		    index >= COMPILE_ARGS || !compile_number(arg, "value", &cmp->datum_a) ||
		    !compile_number(arg, "valueTwo", &cmp->datum_b) ||
		    compile_op(json_str(arg, "op", ""), &cmp->op) < 0)
			return err_say(err, EINVAL,
				       "seccomp profile: %s args[%zu] is not a comparison: index "
				       "is 0 to 5, value a number, op SCMP_CMP_x",
				       where, i);
		cmp->arg = (unsigned)index;
		call->any_of |= seen[index]++ > 0;
	}
	return 0;
}

static int compile_add(struct compile *compile, const struct compile_call *call, const char *name,
		       int nr, struct err *err)
{
	unsigned rules = call->any_of ? call->n_args : 1;
	unsigned n_args = call->any_of ? 1 : call->n_args;

	for (unsigned i = 0; i < rules; i++) {
		if (compile->rules++ == COMPILE_RULES_MAX)
			return err_say(err, E2BIG, "seccomp profile: more than %d rules",
				       COMPILE_RULES_MAX);
		int r = seccomp_rule_add_array(compile->ctx, call->action, nr, n_args,
					       &call->args[i]);
		if (r < 0)
			return err_say(err, EINVAL,
				       "seccomp profile: a rule for %s contradicts another, or "
				       "cannot be held to: %s",
				       name, strerror(-r));
	}
	return 0;
}

static int compile_name(struct compile *compile, const struct compile_call *call, const char *name,
			struct err *err)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (call->action == SCMP_ACT_NOTIFY && !strcmp(name, "sendmsg"))
		return err_say(
			err, ENOTSUP,
			"seccomp profile: SCMP_ACT_NOTIFY of sendmsg is not supported: it is how "
			"the listener gets out");
	if (call->action == compile->default_action)
		return 0; /* libseccomp refuses what changes nothing */
	if (nr == __NR_SCMP_ERROR) {
		if (call->n_args == 0)
			(void)seccomp_head_new_call(&compile->head, name,
						    call->action); /* unknown: skipped */
		return 0;
	}
	bool permits = call->action == SCMP_ACT_ALLOW || call->action == SCMP_ACT_LOG;
	if (permits && call->n_args)
		seccomp_head_guard(&compile->head, name);
	return compile_add(compile, call, name, nr, err);
}

static void compile_call_fini(struct compile_call *call)
{
	free(call->args);
}

static int compile_call(struct compile *compile, const json_t *json, size_t i, struct err *err)
{
	AUTO(compile_call_fini) struct compile_call call = { 0 };
	char where[40];
	size_t at;
	json_t *name;

	(void)snprintf(where, sizeof(where), "syscalls[%zu]:", i); /* fits */
	int r = compile_action(json_str(json, "action", ""), json_object_get(json, "errnoRet"),
			       where, compile->notify, &call.action, err);
	if (r == 0)
		r = compile_args(json_object_get(json, "args"), where, &call, err);
	if (r < 0)
		return r;
	json_array_foreach(json_object_get(json, "names"), at, name)
	{
		r = compile_name(compile, &call, json_string_value(name), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool compile_allows_all(const json_t *call)
{
	return !strcmp(json_str(call, "action", ""), "SCMP_ACT_ALLOW") &&
	       json_array_size(json_object_get(call, "args")) == 0;
}

static int compile_calls(struct compile *compile, const json_t *calls, struct err *err)
{
	size_t i, at;
	json_t *call, *name;

	json_array_foreach(calls, i, call)
	{
		int r = compile_call(compile, call, i, err);
		if (r < 0)
			return r;
	}
	/* An allowance for every argument stands above a guard, wherever it is in the profile. */
	json_array_foreach(calls, i, call)
	{
		if (!compile_allows_all(call))
			continue;
		json_array_foreach(json_object_get(call, "names"), at, name)
			seccomp_head_unguard(&compile->head, json_string_value(name));
	}
	return 0;
}

/* "SCMP_ARCH_X86_64" to libseccomp's token; 0 for an unknown one. */
static uint32_t compile_arch(const char *name)
{
	static const char prefix[] = "SCMP_ARCH_";
	char lower[24];
	size_t n = strlen(name);

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return 0;
	name += sizeof(prefix) - 1;
	n -= sizeof(prefix) - 1;
	if (n >= sizeof(lower))
		return 0;
	for (size_t i = 0; i <= n; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	return seccomp_arch_resolve_name(lower);
}

static void compile_head_arch(struct seccomp_head *head, uint32_t token)
{
	/* Those whose numbers the head knows; libseccomp's token is the kernel's AUDIT_ARCH_x but for x32. */
	static const uint32_t known[] = { SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_AARCH64,
					  SCMP_ARCH_ARM };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i] != token || head->n_arches == SECCOMP_HEAD_ARCHES)
			continue;
		head->arches[head->n_arches++] = token;
		head->x86 |= token == SCMP_ARCH_X86;
	}
}

static int compile_arches(struct compile *compile, const json_t *list, struct err *err)
{
	size_t i;
	json_t *name;

	compile_head_arch(&compile->head, seccomp_arch_native());
	json_array_foreach(list, i, name)
	{
		uint32_t token = compile_arch(json_string_value(name));
		if (!token)
			return err_say(err, EINVAL,
				       "seccomp profile: architecture '%s' is not known",
				       json_string_value(name));
		int r = seccomp_arch_add(compile->ctx, token);
		if (r == -EEXIST)
			continue;
		if (r < 0)
			return err_set(err, -r, "seccomp profile: architecture %s",
				       json_string_value(name));
		compile_head_arch(&compile->head, token);
	}
	return 0;
}

static bool compile_knows(int nr)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

	free(name);
	return name != NULL;
}

static int compile_begin(struct compile *compile, const json_t *flat, struct err *err)
{
	const char *action = json_str(flat, "defaultAction", NULL);

	if (!action)
		return err_say(err, EINVAL, "seccomp profile: defaultAction is missing");
	int r = compile_action(action, json_object_get(flat, "defaultErrnoRet"),
			       "defaultAction:", false, &compile->default_action, err);
	if (r < 0)
		return r;
	compile->ctx = seccomp_init(compile->default_action);
	if (!compile->ctx)
		return err_say(err, EINVAL, "seccomp profile: %s cannot be the default here",
			       action);
	/* A binary tree: the kernel runs this at every call that it has not seen to be always allowed. */
	if (seccomp_attr_set(compile->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0)
		return err_say(err, EIO, "libseccomp is too old: 2.5.0 or later is needed");

	uint32_t last = 1023;
	while (last > 423 && !compile_knows((int)last))
		last--;
	compile->head.first_new = last + 1;
	compile->head.guard_action = compile->default_action;
	compile->head.deny_new = !strcmp(action, "SCMP_ACT_ERRNO");
	return compile_arches(compile, json_object_get(flat, "architectures"), err);
}

/* libseccomp's own output is a file. */
static int compile_export(const struct compile *compile, struct buf *ret, struct err *err)
{
	AUTO(buf_fini) struct buf program = { 0 };
	AUTO(fd_close_p) int fd = memfd_create("seccomp", MFD_CLOEXEC);

	if (fd < 0)
		return err_set(err, errno, "seccomp filter");
	int r = seccomp_head_emit(&compile->head, &program);
	if (r == 0)
		r = seccomp_export_bpf(compile->ctx, fd);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r == 0)
		r = fd_read_all(fd, BPF_MAXINSNS * sizeof(struct sock_filter), &program);
	if (r == 0)
		seccomp_shrink(&program);
	if (r == -EFBIG || (r == 0 && program.len > BPF_MAXINSNS * sizeof(struct sock_filter)))
		return err_say(err, E2BIG,
			       "seccomp profile: its filter is longer than the kernel takes (%d "
			       "instructions)",
			       BPF_MAXINSNS);
	if (r == 0)
		r = buf_add(ret, program.data, program.len);
	return r < 0 ? err_set(err, -r, "seccomp filter") : 0;
}

static int compile_profile(const char *json, size_t len, uint64_t caps, bool notify,
			   struct buf *ret, struct err *err)
{
	AUTO(json_decref_p) json_t *flat = NULL;
	AUTO(compile_release) struct compile compile = { .notify = notify };
	int r = seccomp_flatten(json, len, caps, &flat, err);

	if (r == 0)
		r = compile_begin(&compile, flat, err);
	if (r == 0)
		r = compile_calls(&compile, json_object_get(flat, "syscalls"), err);
	return r < 0 ? r : compile_export(&compile, ret, err);
}

int seccomp_compile(const char *json, size_t len, uint64_t caps, struct buf *ret, struct err *err)
{
	return compile_profile(json, len, caps, false, ret, err);
}

int seccomp_compile_notify(const char *json, size_t len, struct buf *ret, struct err *err)
{
	return compile_profile(json, len, 0, true, ret, err);
}
