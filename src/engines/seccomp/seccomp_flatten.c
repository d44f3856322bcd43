/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's profile format is OCI's LinuxSeccomp with conditions: on the machine (archMap, arches), on
 * capabilities and on the kernel's version. Here they are decided, once, for the compiler and for other runtimes.
 * Source: docs.docker.com, "Seccomp security profiles for Docker"; OCI runtime-spec, config-linux.md, "Seccomp".
 */
#include <errno.h>
#include <limits.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/os/json.h"
#include "engines/caps.h"
#include "engines/seccomp/seccomp.h"
#include "engines/seccomp/seccomp_parts.h"

static const struct {
	uint32_t token;
	const char *oci, *docker;
} flatten_arches[] = {
	{ SCMP_ARCH_X86_64, "SCMP_ARCH_X86_64", "amd64" },
	{ SCMP_ARCH_X86, "SCMP_ARCH_X86", "x86" },
	{ SCMP_ARCH_AARCH64, "SCMP_ARCH_AARCH64", "arm64" },
	{ SCMP_ARCH_ARM, "SCMP_ARCH_ARM", "arm" },
	{ SCMP_ARCH_PPC64LE, "SCMP_ARCH_PPC64LE", "ppc64le" },
	{ SCMP_ARCH_S390X, "SCMP_ARCH_S390X", "s390x" },
	{ SCMP_ARCH_RISCV64, "SCMP_ARCH_RISCV64", "riscv64" },
};

/* "4.8", "6.18.44-vendor": the two first numbers; false where there are none. */
static bool flatten_version(const char *text, unsigned *ret_major, unsigned *ret_minor)
{
	unsigned numbers[2] = { 0, 0 };

	for (unsigned i = 0; i < 2; i++) {
		if (*text < '0' || *text > '9')
			return false;
		for (; *text >= '0' && *text <= '9'; text++) {
			if (numbers[i] < 100000)
				numbers[i] = numbers[i] * 10 + (unsigned)(*text - '0');
		}
		if (i == 0 && *text++ != '.')
			return false;
	}
	*ret_major = numbers[0];
	*ret_minor = numbers[1];
	return true;
}

int seccomp_host_read(uint64_t caps, struct seccomp_host *ret, struct err *err)
{
	struct seccomp_host host = { .caps = caps };
	struct utsname uts;
	uint32_t native = seccomp_arch_native();

	for (size_t i = 0; i < ARRAY_SIZE(flatten_arches); i++) {
		if (flatten_arches[i].token == native) {
			host.arch = flatten_arches[i].oci;
			host.docker_arch = flatten_arches[i].docker;
		}
	}
	if (!host.arch)
		return err_say(err, ENOTSUP, "seccomp profiles: this machine is not known");
	if (uname(&uts) < 0 ||
	    !flatten_version(uts.release, &host.kernel_major, &host.kernel_minor))
		return err_say(err, EIO, "seccomp profiles: the kernel's version cannot be read");
	*ret = host;
	return 0;
}

/* A member that must be an array of words; absent and null are an empty one. */
static int flatten_words(const json_t *obj, const char *key, const char *where, const json_t **ret,
			 struct err *err)
{
	const json_t *list = json_object_get(obj, key);
	size_t i;
	json_t *word;

	*ret = NULL;
	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return err_say(err, EINVAL, "seccomp profile: %s%s is not a list", where, key);
	json_array_foreach(list, i, word)
	{
		if (!json_is_string(word))
			return err_say(err, EINVAL, "seccomp profile: %s%s[%zu] is not a word",
				       where, key, i);
	}
	*ret = list;
	return 0;
}

static bool flatten_has(const json_t *list, const char *word)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		if (!strcmp(json_string_value(item), word))
			return true;
	}
	return false;
}

/* A name that this build does not know is a capability that nobody holds. */
static bool flatten_holds(const struct seccomp_host *host, const char *name)
{
	uint64_t bits;

	return caps_from_name(name, &bits, NULL) == 0 && (bits & ~host->caps) == 0;
}

/* What one "includes" or "excludes" says of this host. */
struct flatten_condition {
	bool arches, caps, kernel; /* is there a condition on it */
	bool arch_in, kernel_ok;
	bool any_cap, all_caps;
};

static int flatten_condition(const json_t *call, const char *key, const struct seccomp_host *host,
			     const char *where, struct flatten_condition *ret, struct err *err)
{
	const json_t *obj = json_object_get(call, key), *arches, *caps, *kernel;
	struct flatten_condition c = { .all_caps = true };
	unsigned major, minor;
	size_t i;
	json_t *cap;

	*ret = c;
	if (!obj || json_is_null(obj))
		return 0;
	if (!json_is_object(obj))
		return err_say(err, EINVAL, "seccomp profile: %s%s is not an object", where, key);
	int r = flatten_words(obj, "arches", where, &arches, err);
	if (r == 0)
		r = flatten_words(obj, "caps", where, &caps, err);
	if (r < 0)
		return r;

	c.arches = json_array_size(arches) > 0;
	c.arch_in = flatten_has(arches, host->docker_arch);
	c.caps = json_array_size(caps) > 0;
	json_array_foreach(caps, i, cap)
	{
		bool held = flatten_holds(host, json_string_value(cap));
		c.any_cap |= held;
		c.all_caps &= held;
	}
	kernel = json_object_get(obj, "minKernel");
	if (kernel && !json_is_null(kernel)) {
		if (!json_is_string(kernel) ||
		    !flatten_version(json_string_value(kernel), &major, &minor))
			return err_say(err, EINVAL,
				       "seccomp profile: %s%s.minKernel is not a version like 4.8",
				       where, key);
		c.kernel = true;
		c.kernel_ok = host->kernel_major > major ||
			      (host->kernel_major == major && host->kernel_minor >= minor);
	}
	*ret = c;
	return 0;
}

/* 1: the entry counts on this host; 0: it does not. */
static int flatten_applies(const json_t *call, const struct seccomp_host *host, const char *where,
			   struct err *err)
{
	struct flatten_condition in, ex;

	int r = flatten_condition(call, "excludes", host, where, &ex, err);
	if (r == 0)
		r = flatten_condition(call, "includes", host, where, &in, err);
	if (r < 0)
		return r;
	if ((ex.arches && ex.arch_in) || (ex.caps && ex.any_cap) || (ex.kernel && ex.kernel_ok))
		return 0;
	if ((in.arches && !in.arch_in) || (in.caps && !in.all_caps) || (in.kernel && !in.kernel_ok))
		return 0;
	return 1;
}

static int flatten_copy(json_t *to, const json_t *from, const char *key)
{
	json_t *value = json_object_get(from, key);

	return !value || json_is_null(value) ? 0 : json_object_set(to, key, value);
}

static int flatten_names(const json_t *call, const char *where, json_t *to, struct err *err)
{
	const json_t *name = json_object_get(call, "name"), *names;

	int r = flatten_words(call, "names", where, &names, err);
	if (r < 0)
		return r;
	if (name && !json_is_string(name))
		return err_say(err, EINVAL, "seccomp profile: %sname is not a word", where);
	if (name && names)
		return err_say(err, EINVAL, "seccomp profile: %sboth name and names are given",
			       where);
	if (!name && !json_array_size(names))
		return err_say(err, EINVAL, "seccomp profile: %sno names of system calls", where);
	r = name ? json_object_set_new(to, "names", json_pack("[s]", json_string_value(name)))
		 : flatten_copy(to, call, "names");
	return r ? err_set(err, ENOMEM, "seccomp profile") : 0;
}

static int flatten_call(const json_t *call, size_t i, const struct seccomp_host *host, json_t *into,
			struct err *err)
{
	char where[40];

	(void)snprintf(where, sizeof(where), "syscalls[%zu].", i); /* fits */
	if (!json_is_object(call))
		return err_say(err, EINVAL, "seccomp profile: syscalls[%zu] is not an object", i);
	int r = flatten_applies(call, host, where, err);
	if (r <= 0)
		return r;
	AUTO(json_decref_p) json_t *flat = json_object();
	r = flatten_names(call, where, flat, err);
	if (r < 0)
		return r;
	if (flatten_copy(flat, call, "action") || flatten_copy(flat, call, "errnoRet") ||
	    flatten_copy(flat, call, "args") || json_array_append(into, flat))
		return err_set(err, ENOMEM, "seccomp profile");
	return 0;
}

static int flatten_calls(const json_t *profile, const struct seccomp_host *host, json_t *to,
			 struct err *err)
{
	const json_t *calls = json_object_get(profile, "syscalls");
	json_t *into = json_array(), *call;
	size_t i;

	if (!into || json_object_set_new(to, "syscalls", into))
		return err_set(err, ENOMEM, "seccomp profile");
	if (calls && !json_is_null(calls) && !json_is_array(calls))
		return err_say(err, EINVAL, "seccomp profile: syscalls is not a list");
	json_array_foreach(calls, i, call)
	{
		int r = flatten_call(call, i, host, into, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* architectures as they are; or this machine's entry of archMap; or this machine alone. */
static int flatten_arch(const json_t *profile, const struct seccomp_host *host, json_t *to,
			struct err *err)
{
	const json_t *given, *map = json_object_get(profile, "archMap"), *subs;
	AUTO(json_decref_p) json_t *list = json_array();
	size_t i;
	json_t *entry;

	int r = flatten_words(profile, "architectures", "", &given, err);
	if (r < 0)
		return r;
	if (map && !json_is_null(map) && !json_is_array(map))
		return err_say(err, EINVAL, "seccomp profile: archMap is not a list");
	if (json_array_size(given) && json_array_size(map))
		return err_say(err, EINVAL,
			       "seccomp profile: both architectures and archMap are given");
	r = json_array_size(given) ? json_array_extend(list, (json_t *)(uintptr_t)given)
				   : json_array_append_new(list, json_string(host->arch));
	json_array_foreach(map, i, entry)
	{
		const char *arch = json_str(entry, "architecture", "");
		if (r || strcmp(arch, host->arch) != 0)
			continue;
		r = flatten_words(entry, "subArchitectures", "archMap.", &subs, err);
		if (r < 0)
			return r;
		r = subs ? json_array_extend(list, (json_t *)(uintptr_t)subs) : 0;
		break;
	}
	if (r || json_object_set(to, "architectures", list))
		return err_set(err, ENOMEM, "seccomp profile");
	return 0;
}

/* Members that need a running helper, or that a stored program cannot carry. */
static int flatten_refuse(const json_t *profile, struct err *err)
{
	static const char *const keys[] = { "listenerPath", "listenerMetadata" };
	const json_t *flags;
	size_t i;
	json_t *flag;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		const json_t *value = json_object_get(profile, keys[i]);
		if (value && !json_is_null(value) && *json_str(profile, keys[i], "x"))
			return err_say(err, ENOTSUP,
				       "seccomp profile: %s is not supported: take it and "
				       "SCMP_ACT_NOTIFY out",
				       keys[i]);
	}
	int r = flatten_words(profile, "flags", "", &flags, err);
	if (r < 0)
		return r;
	json_array_foreach(flags, i, flag)
	{
		/* One thread has the filter before the program starts: nothing is left to synchronize. */
		if (strcmp(json_string_value(flag), "SECCOMP_FILTER_FLAG_TSYNC") != 0)
			return err_say(err, ENOTSUP, "seccomp profile: flag %s is not supported",
				       json_string_value(flag));
	}
	return 0;
}

static int flatten_profile(const json_t *profile, const struct seccomp_host *host, json_t **ret,
			   struct err *err)
{
	AUTO(json_decref_p) json_t *flat = json_object();

	if (!flat)
		return err_set(err, ENOMEM, "seccomp profile");
	int r = flatten_refuse(profile, err);
	if (r < 0)
		return r;
	if (flatten_copy(flat, profile, "defaultAction") ||
	    flatten_copy(flat, profile, "defaultErrnoRet"))
		return err_set(err, ENOMEM, "seccomp profile");
	r = flatten_arch(profile, host, flat, err);
	if (r == 0)
		r = flatten_calls(profile, host, flat, err);
	if (r < 0)
		return r;
	*ret = TAKE(flat);
	return 0;
}

int seccomp_flatten(const char *json, size_t len, uint64_t caps, json_t **ret, struct err *err)
{
	AUTO(json_decref_p) json_t *profile = NULL;
	struct seccomp_host host;

	int r = json_parse(json, len, "seccomp profile", &profile, err);
	if (r == 0)
		r = seccomp_host_read(caps, &host, err);
	return r < 0 ? r : flatten_profile(profile, &host, ret, err);
}

int seccomp_to_oci(const char *json, size_t len, uint64_t caps, char **ret, struct err *err)
{
	AUTO(json_decref_p) json_t *flat = NULL;
	int r = seccomp_flatten(json, len, caps, &flat, err);

	if (r < 0)
		return r;
	char *text = json_text(flat, 1);
	if (!text)
		return err_set(err, ENOMEM, "seccomp profile");
	*ret = text;
	return 0;
}
