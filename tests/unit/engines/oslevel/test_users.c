/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/file.h"
#include "engines/oslevel/users.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "\n"
			     "# a comment\n"
			     "+::::::\n"
			     "broken:x:zero:0::/:/bin/sh\n"
			     "short:x:5\n"
			     "web:x:33:34:web server:/var/www:/bin/false\n"
			     "77:x:78:79::/seventy:/bin/sh\n"
			     "nohome:x:40:40:::\n"
			     "huge:x:4294967296:0::/:/bin/sh\n"
			     "twice:x:50:50::/first:\n"
			     "twice:x:51:51::/second:\n"
			     "last:x:60:61::/last:/bin/sh"; /* no newline */
static const char group[] = "root:x:0:\n"
			    "adm:x:4:web,daemon\n"
			    "wwwdata:x:34:\n"
			    "bad:x:many:web\n"
			    "webish:x:90:webber,we,eb\n"
			    "extra:x:91:daemon,web\n"
			    "own:x:34:web\n"
			    "100:x:101:";

struct expected {
	const char *name;
	const char *add; /* one --group-add, or NULL */
	uint32_t uid, gid;
	const char *home;
	unsigned n;
	uint32_t groups[5];
};

static void lookups(void **state)
{
	static const struct expected list[] = {
		{ "", NULL, 0, 0, "/root", 1, { 0 } },
		{ "root", NULL, 0, 0, "/root", 1, { 0 } },
		{ "web", NULL, 33, 34, "/var/www", 3, { 34, 4, 91 } },
		{ "33", NULL, 33, 34, "/var/www", 3, { 34, 4, 91 } },
		{ "web:adm", NULL, 33, 4, "/var/www", 1, { 4 } },
		{ "web:4", NULL, 33, 4, "/var/www", 1, { 4 } },
		{ "web:", NULL, 33, 34, "/var/www", 3, { 34, 4, 91 } },
		{ ":adm", NULL, 0, 4, "/root", 1, { 4 } },
		{ "web", "555", 33, 34, "/var/www", 4, { 34, 4, 91, 555 } },
		{ "web", "wwwdata", 33, 34, "/var/www", 3, { 34, 4, 91 } },
		{ "1000", NULL, 1000, 0, "/", 1, { 0 } },
		{ "1000:1000", NULL, 1000, 1000, "/", 1, { 1000 } },
		{ "77", NULL, 78, 79, "/seventy", 1, { 79 } },
		{ "5:100", NULL, 5, 101, "/", 1, { 101 } },
		{ "nohome", NULL, 40, 40, "/", 1, { 40 } },
		{ "twice", NULL, 50, 50, "/first", 1, { 50 } },
		{ "last", NULL, 60, 61, "/last", 1, { 61 } },
		{ "2147483647", NULL, 2147483647, 0, "/", 1, { 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		const struct expected *want = &list[i];
		const char *const add[] = { want->add, NULL };
		AUTO(user_fini) struct user user = { 0 };
		struct err err = { 0 };
		if (users_lookup(passwd, strlen(passwd), group, strlen(group), want->name, add,
				 &user, &err) < 0)
			fail_msg("%s: %s", want->name, err.text);
		if (user.uid != want->uid || user.gid != want->gid ||
		    strcmp(user.home, want->home) != 0 || user.n_groups != want->n)
			fail_msg("%s: %u:%u %s, %u groups", want->name, user.uid, user.gid,
				 user.home, user.n_groups);
		assert_memory_equal(user.groups, want->groups, want->n * sizeof(uint32_t));
	}
}

static void failures_say_why(void **state)
{
	static const struct {
		const char *name, *add, *words;
		int code;
	} list[] = {
		{ "nobody", NULL, "unable to find user nobody: no matching entries in passwd file",
		  ENOENT },
		{ "broken", NULL, "unable to find user broken", ENOENT },
		{ "huge", NULL, "unable to find user huge", ENOENT },
		{ "short", NULL, "unable to find user short", ENOENT },
		{ "-1", NULL, "unable to find user -1", ENOENT },
		{ "0x0", NULL, "unable to find user 0x0", ENOENT },
		{ " 0", NULL, "unable to find user", ENOENT },
		{ "web:nogroup", NULL,
		  "unable to find group nogroup: no matching entries in group file", ENOENT },
		{ "web:adm:x", NULL, "unable to find group adm:x", ENOENT },
		{ "web", "bad", "unable to find group bad", ENOENT },
		{ "2147483648", NULL, "out of range", ERANGE },
		{ "4294967296", NULL, "out of range", ERANGE },
		{ "99999999999999999999999999", NULL, "out of range", ERANGE },
		{ "0:4294967295", NULL, "out of range", ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		const char *const add[] = { list[i].add, NULL };
		struct user user = { 0 };
		struct err err = { 0 };
		int r = users_lookup(passwd, strlen(passwd), group, strlen(group), list[i].name,
				     add, &user, &err);
		if (r != -list[i].code || !strstr(err.text, list[i].words) || user.home)
			fail_msg("%s: %d %s", list[i].name, r, err.text);
	}
}

static void empty_files_leave_numbers(void **state)
{
	AUTO(user_fini) struct user user = { 0 };

	(void)state;
	assert_int_equal(users_lookup("", 0, "", 0, "", NULL, &user, NULL), 0);
	assert_int_equal(user.uid, 0);
	assert_string_equal(user.home, "/");
	assert_int_equal(user.n_groups, 1);
	assert_int_equal(users_lookup("", 0, "", 0, "root", NULL, &user, NULL), -ENOENT);
}

static void too_many_groups_are_refused(void **state)
{
	AUTO(buf_fini) struct buf many = { 0 };
	AUTO(user_fini) struct user user = { 0 };
	struct err err = { 0 };

	(void)state;
	for (int i = 0; i < 66000; i++)
		assert_int_equal(buf_printf(&many, "g%d:x:%d:web\n", i, i + 1000), 0);
	assert_int_equal(
		users_lookup(passwd, strlen(passwd), many.data, many.len, "web", NULL, &user, &err),
		-E2BIG);
	assert_null(user.groups);
}

/* What the child of a container does, in a root of its own. */
static int resolve_in(const char *root, const char *name, struct err *err)
{
	struct user user = { 0 };

	if (chroot(root) < 0 || chdir("/") < 0)
		return 99;
	int r = users_resolve(name, NULL, &user, err);
	return r < 0 ? r : (int)user.uid;
}

static void in_root(const char *root, const char *name, int want, const char *words)
{
	int pipes[2], status;
	struct {
		int r;
		struct err err;
	} answer = { 0 };

	assert_int_equal(pipe(pipes), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		answer.r = resolve_in(root, name, &answer.err);
		_exit(write(pipes[1], &answer, sizeof(answer)) != sizeof(answer));
	}
	(void)close(pipes[1]);
	assert_int_equal(read(pipes[0], &answer, sizeof(answer)), sizeof(answer));
	(void)close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (answer.r != want || (words && !strstr(answer.err.text, words)))
		fail_msg("%s: %d %s", name, answer.r, answer.err.text);
}

static void files_of_the_root(void **state)
{
	struct scratch *scratch = *state;

	if (getuid() != 0)
		SKIP("another root takes root");
	in_root(scratch->path, "1000", 1000, NULL); /* no /etc at all */
	assert_int_equal(mkdirat(scratch->fd, "etc", 0755), 0);
	assert_int_equal(
		file_replace(scratch->fd, "etc/passwd", 0644, passwd, strlen(passwd), false), 0);
	in_root(scratch->path, "web", 33, NULL);

	/* A pipe would hold us for ever, a directory and a device are nothing to read. */
	assert_int_equal(mkfifoat(scratch->fd, "etc/group", 0644), 0);
	in_root(scratch->path, "web", -EINVAL, "/etc/group is not a regular file");
	assert_int_equal(unlinkat(scratch->fd, "etc/group", 0), 0);
	assert_int_equal(symlinkat("group", scratch->fd, "etc/group"), 0);
	in_root(scratch->path, "web", -ELOOP, "/etc/group");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookups),
		cmocka_unit_test(failures_say_why),
		cmocka_unit_test(empty_files_leave_numbers),
		cmocka_unit_test(too_many_groups_are_refused),
		SCRATCH_TEST(files_of_the_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
