/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of other people: what each member does, what a broken one says, and the store of compiled filters. */
#include "scratch.h"
#include "filtered.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "engines/caps.h"
#include "engines/seccomp/seccomp.h"
#include "engines/seccomp/seccomp_parts.h"

#define ARCHES "\"architectures\":[\"SCMP_ARCH_X86_64\"],"
/* Allow all but what the rule says; priority(2) is harmless and seldom used. */
#define DENY(rule) "{\"defaultAction\":\"SCMP_ACT_ALLOW\"," ARCHES "\"syscalls\":[{" rule "}]}"
#define ARGS(args)                                                                                 \
	DENY("\"names\":[\"getpriority\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":77,"          \
	     "\"args\":[" args "]")

static long call(long which, long who)
{
	return syscall(SYS_getpriority, which, who);
}

static long call_0_0(void)
{
	return call(0, 0);
}

static long call_1_0(void)
{
	return call(1, 0);
}

static long call_2_0(void)
{
	return call(2, 0);
}

static long call_2_high(void)
{
	return call(2, 0x100000000L);
}

static long call_mseal(void)
{
	return syscall(462, 1L, 0, 0);
}

static void each_comparison(void **state)
{
	static const struct {
		const char *profile;
		int codes[3]; /* getpriority(0..2, 0) */
	} list[] = {
		{ ARGS("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}"), { 0, 77, 0 } },
		{ ARGS("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_NE\"}"), { 77, 0, 77 } },
		{ ARGS("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_LT\"}"), { 77, 0, 0 } },
		{ ARGS("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_LE\"}"), { 77, 77, 0 } },
		{ ARGS("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_GT\"}"), { 0, 0, 77 } },
		{ ARGS("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_GE\"}"), { 0, 77, 77 } },
		{ ARGS("{\"index\":0,\"value\":2,\"valueTwo\":2,\"op\":\"SCMP_CMP_MASKED_EQ\"}"),
		  { 0, 0, 77 } },
		/* two arguments: both; one argument twice: either */
		{ ARGS("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
		       "{\"index\":1,\"value\":5,\"op\":\"SCMP_CMP_EQ\"}"),
		  { 0, 0, 0 } },
		{ ARGS("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
		       "{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}"),
		  { 0, 77, 77 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		assert_int_equal(filtered(list[i].profile, 0, call_0_0), list[i].codes[0]);
		assert_int_equal(filtered(list[i].profile, 0, call_1_0), list[i].codes[1]);
		assert_int_equal(filtered(list[i].profile, 0, call_2_0), list[i].codes[2]);
	}
	const char *wide = ARGS("{\"index\":1,\"value\":4294967296,\"op\":\"SCMP_CMP_EQ\"}");
	assert_int_equal(filtered(wide, 0, call_2_0), 0);
	assert_int_equal(filtered(wide, 0, call_2_high), 77);
}

static void each_action(void **state)
{
	(void)state;
	assert_int_equal(filtered(DENY("\"name\":\"getpriority\",\"action\":\"SCMP_ACT_ERRNO\""), 0,
				  call_0_0),
			 EPERM);
	assert_int_equal(
		filtered(DENY("\"name\":\"getpriority\",\"action\":\"SCMP_ACT_LOG\""), 0, call_0_0),
		0);
	static const char *const killers[] = {
		DENY("\"name\":\"getpriority\",\"action\":\"SCMP_ACT_KILL\""),
		DENY("\"name\":\"getpriority\",\"action\":\"SCMP_ACT_KILL_THREAD\""),
		DENY("\"name\":\"getpriority\",\"action\":\"SCMP_ACT_KILL_PROCESS\""),
		DENY("\"name\":\"getpriority\",\"action\":\"SCMP_ACT_TRAP\""),
	};
	for (size_t i = 0; i < ARRAY_SIZE(killers); i++)
		assert_int_equal(filtered(killers[i], 0, call_0_0), FILTERED_KILLED);
	/* Nobody traces: the kernel says so. */
	assert_int_equal(filtered(DENY("\"name\":\"getpriority\",\"action\":\"SCMP_ACT_TRACE\""), 0,
				  call_0_0),
			 ENOSYS);
}

static void names_that_nobody_knows_are_skipped(void **state)
{
	(void)state;
	assert_int_equal(filtered(DENY("\"names\":[\"no_such_call\",\"getpriority\"],"
				       "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":5"),
				  0, call_0_0),
			 5);
	/* Newer than libseccomp, known to us. */
	assert_int_equal(filtered(DENY("\"names\":[\"mseal\"],\"action\":\"SCMP_ACT_ERRNO\","
				       "\"errnoRet\":5"),
				  0, call_mseal),
			 5);
}

/* Conditions: 77 where the entry counts. */
static void includes_and_excludes(void **state)
{
#define WHEN(condition)                                                                            \
	DENY("\"names\":[\"getpriority\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":77," condition)
	static const struct {
		const char *profile;
		uint64_t caps;
		int code;
	} list[] = {
		{ WHEN("\"includes\":{\"caps\":[\"CAP_CHOWN\"]}"), 1 << CAP_CHOWN, 77 },
		{ WHEN("\"includes\":{\"caps\":[\"CAP_CHOWN\"]}"), 1 << CAP_KILL, 0 },
		{ WHEN("\"includes\":{\"caps\":[\"CAP_CHOWN\",\"CAP_KILL\"]}"), 1 << CAP_KILL, 0 },
		{ WHEN("\"includes\":{\"caps\":[\"CAP_CHOWN\",\"CAP_KILL\"]}"), UINT64_MAX, 77 },
		{ WHEN("\"includes\":{\"caps\":[\"CAP_NEVER_HEARD_OF\"]}"), UINT64_MAX, 0 },
		{ WHEN("\"includes\":{\"caps\":[]}"), 0, 77 },
		{ WHEN("\"includes\":null,\"excludes\":{}"), 0, 77 },
		{ WHEN("\"excludes\":{\"caps\":[\"CAP_CHOWN\",\"CAP_KILL\"]}"), 1 << CAP_KILL, 0 },
		{ WHEN("\"excludes\":{\"caps\":[\"CAP_CHOWN\"]}"), 1 << CAP_KILL, 77 },
		{ WHEN("\"includes\":{\"arches\":[\"amd64\",\"s390\"]}"), 0, 77 },
		{ WHEN("\"includes\":{\"arches\":[\"s390\"]}"), 0, 0 },
		{ WHEN("\"excludes\":{\"arches\":[\"amd64\"]}"), 0, 0 },
		{ WHEN("\"includes\":{\"minKernel\":\"4.8\"}"), 0, 77 },
		{ WHEN("\"includes\":{\"minKernel\":\"999.0\"}"), 0, 0 },
		{ WHEN("\"excludes\":{\"minKernel\":\"4.8\"}"), 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		int code = filtered(list[i].profile, list[i].caps, call_0_0);
		if (code != list[i].code)
			fail_msg("%s: %d", list[i].profile, code);
	}
}

static void broken_ones_say_why(void **state)
{
	static const struct {
		const char *profile, *words;
		int code;
	} list[] = {
		{ "{", "line 1", EBADMSG },
		{ "[]", "not a JSON object", EBADMSG },
		{ "{}", "defaultAction is missing", EINVAL },
		{ "{\"defaultAction\":7}", "defaultAction is missing", EINVAL },
		{ "{\"defaultAction\":\"SCMP_ACT_MAYBE\"}", "'SCMP_ACT_MAYBE' is not known",
		  EINVAL },
		{ "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "not supported", ENOTSUP },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}", "has no errno",
		  EINVAL },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":-1}", "0 to 4095",
		  EINVAL },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":4096}", "0 to 4095",
		  EINVAL },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":\"1\"}", "0 to 4095",
		  EINVAL },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"VAX\"]}",
		  "'VAX' is not known", EINVAL },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":\"x\"}",
		  "architectures is not a list", EINVAL },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\"],"
		  "\"archMap\":[{}]}",
		  "both architectures and archMap", EINVAL },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/run/x\"}",
		  "listenerPath is not supported", ENOTSUP },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"]}",
		  "SECCOMP_FILTER_FLAG_LOG is not supported", ENOTSUP },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}",
		  "syscalls is not a list", EINVAL },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[1]}",
		  "syscalls[0] is not an object", EINVAL },
		{ DENY("\"action\":\"SCMP_ACT_ERRNO\""), "no names", EINVAL },
		{ DENY("\"name\":\"read\",\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\""),
		  "both name and names", EINVAL },
		{ DENY("\"names\":[7],\"action\":\"SCMP_ACT_ERRNO\""), "names[0] is not a word",
		  EINVAL },
		{ DENY("\"names\":[\"read\"]"), "syscalls[0]: action '' is not known", EINVAL },
		{ DENY("\"names\":[\"read\"],\"action\":\"SCMP_ACT_NOTIFY\""), "not supported",
		  ENOTSUP },
		{ DENY("\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\",\"errnoRet\":1"),
		  "has no errno", EINVAL },
		{ ARGS("{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}"), "args[0]", EINVAL },
		{ ARGS("{\"index\":-1,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}"), "args[0]", EINVAL },
		{ ARGS("{\"index\":0,\"value\":-1,\"op\":\"SCMP_CMP_EQ\"}"), "args[0]", EINVAL },
		{ ARGS("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_XX\"}"), "args[0]", EINVAL },
		{ ARGS("{\"index\":0,\"value\":\"1\",\"op\":\"SCMP_CMP_EQ\"}"), "args[0]", EINVAL },
		{ ARGS("7"), "args[0]", EINVAL },
		{ DENY("\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":{}"),
		  "args is not a list", EINVAL },
		{ WHEN("\"includes\":[]"), "includes is not an object", EINVAL },
		{ WHEN("\"includes\":{\"caps\":[1]}"), "caps[0] is not a word", EINVAL },
		{ WHEN("\"includes\":{\"minKernel\":\"new\"}"), "minKernel is not a version",
		  EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		AUTO(buf_fini) struct buf program = { 0 };
		struct err err = { 0 };
		int r = seccomp_compile(list[i].profile, strlen(list[i].profile), 0, &program,
					&err);
		if (r != -list[i].code || !strstr(err.text, list[i].words) || program.len)
			fail_msg("%s: %d %s", list[i].profile, r, err.text);
	}
}

static void oci_form_means_the_same(void **state)
{
	char *text = NULL;
	struct err err = { 0 };
	AUTO(buf_fini) struct buf one = { 0 };
	AUTO(buf_fini) struct buf two = { 0 };

	(void)state;
	assert_int_equal(seccomp_to_oci(seccomp_default_profile, strlen(seccomp_default_profile),
					caps_default, &text, &err),
			 0);
	assert_null(strstr(text, "includes"));
	assert_null(strstr(text, "CAP_"));
	assert_null(strstr(text, "archMap"));
	assert_non_null(strstr(text, "SCMP_ARCH_X86_64"));
	assert_int_equal(seccomp_compile(seccomp_default_profile, strlen(seccomp_default_profile),
					 caps_default, &one, &err),
			 0);
	assert_int_equal(seccomp_compile(text, strlen(text), 0, &two, &err), 0);
	free(text);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

static void filters_are_kept_and_mended(void **state)
{
	struct scratch *scratch = *state;
	struct store store = { .root = scratch->path, .root_fd = scratch->fd };
	struct err err = { 0 };
	char *path = NULL, *again = NULL, *other = NULL;
	struct stat before, after;

	assert_int_equal(seccomp_filter(&store, NULL, caps_default, &path, &err), 0);
	assert_int_equal(path[0], '/');
	off_t size = size_of(path);
	assert_true(size > 1000 && size % 8 == 0);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(before.st_mode & 07777, 0600);
	assert_int_equal(seccomp_filter(&store, "default", caps_default, &again, &err), 0);
	assert_string_equal(path, again);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino); /* not written again */
	assert_int_equal(seccomp_filter(&store, NULL, 0, &other, &err), 0);
	assert_string_not_equal(path, other);

	/* A writer that was killed leaves its file; one that is at work keeps it. */
	char dead[600], busy[600];
	const struct timespec long_ago[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	(void)snprintf(dead, sizeof(dead), "%s.tmp.1.0", path);
	(void)snprintf(busy, sizeof(busy), "%s.tmp.1.1", path);
	fd_close(open(dead, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	fd_close(open(busy, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(utimensat(AT_FDCWD, dead, long_ago, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, other, long_ago, 0), 0);

	static const off_t cuts[] = { 0, 4, 8, 4096 };
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		char *mended = NULL;
		assert_int_equal(truncate(path, cuts[i]), 0);
		AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(seccomp_install(fd, &err), -EBADMSG);
		assert_int_equal(seccomp_filter(&store, NULL, caps_default, &mended, &err), 0);
		assert_int_equal(size_of(mended), size);
		free(mended);
	}
	assert_int_equal(size_of(dead), -1);
	assert_int_equal(size_of(busy), 0);
	assert_true(size_of(other) > 0);
	free(path);
	free(again);
	free(other);
}

static void profiles_come_from_files(void **state)
{
	struct scratch *scratch = *state;
	struct store store = { .root = scratch->path, .root_fd = scratch->fd };
	struct err err = { 0 };
	char file[128], *path = NULL;

	(void)snprintf(file, sizeof(file), "%s/profile.json", scratch->path);
	assert_int_equal(seccomp_filter(&store, file, 0, &path, &err), -ENOENT);
	assert_non_null(strstr(err.text, file));
	static const char bad[] = "{\"defaultAction\":\"X\"}";
	assert_int_equal(file_replace(scratch->fd, "profile.json", 0600, bad, strlen(bad), false),
			 0);
	assert_int_equal(seccomp_filter(&store, file, 0, &path, &err), -EINVAL);
	assert_non_null(strstr(err.text, file));
	assert_null(path);
	assert_int_equal(file_replace(scratch->fd, "profile.json", 0600, seccomp_default_profile,
				      strlen(seccomp_default_profile), false),
			 0);
	assert_int_equal(seccomp_filter(&store, file, 0, &path, &err), 0);
	free(path);
}

/* A profile that narrows socket() must not leave it open to 32-bit code, but one that allows socketcall may. */
static void multiplexers_are_guarded(void **state)
{
	struct seccomp_head head = { 0 };

	(void)state;
	seccomp_head_guard(&head, "socket");
	seccomp_head_guard(&head, "socket");
	seccomp_head_guard(&head, "shmget");
	seccomp_head_guard(&head, "read");
	assert_int_equal(head.n_guards, 2);
	seccomp_head_unguard(&head, "shmget");
	assert_int_equal(head.n_guards, 1);
	seccomp_head_unguard(&head, "ipc");
	assert_int_equal(head.n_guards, 1);
	seccomp_head_unguard(&head, "socketcall");
	assert_int_equal(head.n_guards, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_comparison),
		cmocka_unit_test(each_action),
		cmocka_unit_test(names_that_nobody_knows_are_skipped),
		cmocka_unit_test(includes_and_excludes),
		cmocka_unit_test(broken_ones_say_why),
		cmocka_unit_test(oci_form_means_the_same),
		SCRATCH_TEST(filters_are_kept_and_mended),
		SCRATCH_TEST(profiles_come_from_files),
		cmocka_unit_test(multiplexers_are_guarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
