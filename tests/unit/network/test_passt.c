/* SPDX-License-Identifier: Apache-2.0 */
/* Starting passt: shell scripts of ours in its place, and itself where it is installed. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "network/passt.h"

struct scene {
	char dir[64];
	char *path; /* as it was */
	struct passt passt;
	int fd;
	struct err err;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/strata-passt-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	s->path = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
	s->passt = (struct passt)PASST_NONE;
	s->fd = -EBADF;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	char file[96];

	passt_stop(&s->passt);
	fd_close(s->fd);
	(void)setenv("PATH", s->path, 1);
	(void)snprintf(file, sizeof(file), "%s/passt", s->dir);
	(void)unlink(file);
	(void)snprintf(file, sizeof(file), "%s/args", s->dir);
	(void)unlink(file);
	(void)snprintf(file, sizeof(file), "%s/pasta", s->dir);
	(void)unlink(file);
	(void)rmdir(s->dir);
	free(s->path);
	free(s);
	return 0;
}

static void fake_program(struct scene *s, const char *name, const char *script)
{
	char file[96], path[256];

	(void)snprintf(file, sizeof(file), "%s/%s", s->dir, name);
	FILE *out = fopen(file, "we");
	assert_non_null(out);
	(void)fprintf(out, "#!/bin/bash\nD=%s\n%s\n", s->dir, script);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(file, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s:/usr/bin:/bin", s->dir);
	assert_int_equal(setenv("PATH", path, 1), 0);
}

static void fake(struct scene *s, const char *script)
{
	fake_program(s, "passt", script);
}

static int start(struct scene *s, const struct passt_port *ports, size_t n)
{
	return passt_start(ports, n, &s->passt, &s->fd, &s->err);
}

static void says(struct scene *s, int r, int code, const char *words)
{
	if (r != code || !strstr(s->err.text, words))
		fail_msg("%d, not %d: \"%s\" should say \"%s\"", r, code, s->err.text, words);
}

/* A frame of 20 bytes that is no answer, the answer, and the first byte of what is the guest's. */
#define ANSWER                                                                                     \
	"head -c 46 <&3 >/dev/null\n"                                                              \
	"printf '\\0\\0\\0\\24%020d' 0 >&3\n"                                                      \
	"printf '\\0\\0\\0\\52AAAAAABBBBBB\\10\\6\\0\\1\\10\\0\\6\\4\\0\\2%020d' 0 >&3\n"          \
	"printf G >&3\n"

static void it_waits_for_an_answer_and_takes_nothing_of_the_guests(void **state)
{
	struct scene *s = *state;
	char byte = 0;

	fake(s, ANSWER "cat <&3 >/dev/null");
	assert_int_equal(start(s, NULL, 0), 0);
	if (passt_wait(&s->passt, &s->err) < 0)
		fail_msg("%s", s->err.text);
	assert_int_equal(fd_write_all(s->fd, "x", 1), 0);
	while (read(s->fd, &byte, 1) < 0)
		assert_int_equal(errno, EAGAIN);
	assert_int_equal(byte, 'G');
}

static void ports_are_said_and_what_is_not_asked_is_none(void **state)
{
	static const struct passt_port ports[] = {
		{ NULL, 8080, 80, false },
		{ "127.0.0.1", 53, 5353, true },
		{ "192.0.2.1", 22, 22, false },
	};
	struct scene *s = *state;
	char text[1024], file[96];

	fake(s, "echo \"$*\" >$D/args; exit 0");
	assert_int_equal(start(s, ports, ARRAY_SIZE(ports)), 0);
	says(s, passt_wait(&s->passt, &s->err), -EIO, "ended without a word");
	(void)snprintf(file, sizeof(file), "%s/args", s->dir);
	FILE *in = fopen(file, "re");
	assert_non_null(in);
	assert_non_null(fgets(text, sizeof(text), in));
	(void)fclose(in);
	assert_non_null(strstr(text, " -t 8080:80 -t 192.0.2.1/22:22 -u 127.0.0.1/53:5353"));
	assert_non_null(strstr(text, "--address " PASST_ADDRESS " "));
	assert_non_null(strstr(text, "--no-map-gw"));
	passt_stop(&s->passt);
	fd_close(s->fd);
	assert_int_equal(start(s, NULL, 0), 0);
	(void)passt_wait(&s->passt, NULL);
	in = fopen(file, "re");
	assert_non_null(in);
	assert_non_null(fgets(text, sizeof(text), in));
	(void)fclose(in);
	assert_non_null(strstr(text, " -t none -u none"));
}

static void a_port_that_leads_two_ways_is_refused(void **state)
{
	static const struct passt_port ports[] = { { "127.0.0.1", 80, 1, false },
						   { "127.0.0.2", 80, 2, false } };
	struct scene *s = *state;

	says(s, start(s, ports, 2), -EINVAL, "port 80 leads to one port");
}

static void too_many_ports_are_refused(void **state)
{
	struct passt_port ports[400] = { 0 };
	struct scene *s = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		ports[i] = (struct passt_port){ NULL, (uint16_t)(i + 1), (uint16_t)(i + 1), i & 1 };
	says(s, start(s, ports, ARRAY_SIZE(ports)), -E2BIG, "too many");
}

static void where_it_is_missing_its_package_is_named(void **state)
{
	struct scene *s = *state;

	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	says(s, start(s, NULL, 0), -ENOENT, "apt-get install passt");
}

static void its_last_words_are_told(void **state)
{
	struct scene *s = *state;

	fake(s,
	     "echo first >&2; echo 'the reason' >&2; echo 'Failed to send 5 bytes to syslog' >&2; exit 1");
	assert_int_equal(start(s, NULL, 0), 0);
	says(s, passt_wait(&s->passt, &s->err), -EIO, "passt: the reason");
}

static void nonsense_on_the_wire_is_no_answer(void **state)
{
	static const char *const scripts[] = {
		"printf '\\377\\377\\377\\377' >&3; cat <&3 >/dev/null",
		"printf '\\0\\0\\0\\1x' >&3; cat <&3 >/dev/null",
		"printf '\\0\\0\\0\\0' >&3; cat <&3 >/dev/null",
	};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		fake(s, scripts[i]);
		assert_int_equal(start(s, NULL, 0), 0);
		says(s, passt_wait(&s->passt, &s->err), -EPROTO, "does not answer");
		passt_stop(&s->passt);
		fd_close(s->fd);
		s->fd = -EBADF;
	}
}

static void a_cut_frame_is_an_end(void **state)
{
	struct scene *s = *state;

	fake(s, "printf '\\0\\0\\0\\52abc' >&3; echo gone >&2");
	assert_int_equal(start(s, NULL, 0), 0);
	says(s, passt_wait(&s->passt, &s->err), -EIO, "gone");
}

static void stopping_kills_and_waits(void **state)
{
	struct scene *s = *state;

	fake(s, "trap '' TERM HUP; while :; do read -t 1000 x <&3; done");
	assert_int_equal(start(s, NULL, 0), 0);
	passt_stop(&s->passt);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	passt_stop(&s->passt); /* a no-op */
}

static void the_real_one_answers_and_ends_with_the_socket(void **state)
{
	struct scene *s = *state;

	if (access("/usr/bin/passt", X_OK) < 0) {
		(void)printf("skip: passt is not installed\n");
		skip();
	}
	assert_int_equal(start(s, NULL, 0), 0);
	int r = passt_wait(&s->passt, &s->err);
	if (r < 0 && strstr(s->err.text, "interface")) {
		(void)printf("skip: %s\n", s->err.text);
		skip();
	}
	assert_int_equal(r, 0);
	fd_close(s->fd);
	s->fd = -EBADF;
	siginfo_t info = { 0 };
	assert_int_equal(waitid(P_PIDFD, (id_t)s->passt.pidfd, &info, WEXITED), 0);
	fd_close(s->passt.pidfd);
	s->passt = (struct passt)PASST_NONE;
}

/* ---- pasta ---- */

static int join(struct scene *s, const struct passt_port *ports, size_t n)
{
	if (access("/dev/net/tun", R_OK | W_OK) < 0) {
		(void)printf("skip: no /dev/net/tun\n");
		skip();
	}
	return passt_join(ports, n, getpid(), s->dir, &s->passt, &s->err);
}

/* "--pid FILE" says where. */
#define READY "while [ \"$1\" != --pid ]; do shift; done; echo $$ >\"$2\"\n"

static void it_is_there_once_it_has_written_its_number(void **state)
{
	static const struct passt_port ports[] = { { "127.0.0.1", 8080, 80, false } };
	struct scene *s = *state;
	char text[1024], file[96];

	fake_program(s, "pasta", "echo \"$*\" >$D/args\n" READY "exec sleep 1000");
	if (join(s, ports, 1) < 0)
		fail_msg("%s", s->err.text);
	(void)snprintf(file, sizeof(file), "%s/args", s->dir);
	FILE *in = fopen(file, "re");
	assert_non_null(in);
	assert_non_null(fgets(text, sizeof(text), in));
	(void)fclose(in);
	assert_non_null(strstr(text, " -t 127.0.0.1/8080:80 -u none"));
	assert_non_null(strstr(text, "-T none -U none"));
	assert_non_null(strstr(text, "--address " PASST_ADDRESS " "));
	(void)snprintf(file, sizeof(file), "/proc/%d/ns/net", (int)getpid());
	assert_non_null(strstr(text, file));
	passt_stop(&s->passt);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void one_that_ends_first_says_why(void **state)
{
	struct scene *s = *state;

	fake_program(s, "pasta", "echo 'no way out' >&2; exit 1");
	says(s, join(s, NULL, 0), -EIO, "pasta: no way out");
	passt_stop(&s->passt);
	fake_program(s, "pasta",
		     "while [ \"$1\" != --pid ]; do shift; done; : >\"$2\"; echo late >&2; exit 1");
	says(s, join(s, NULL, 0), -EIO, "pasta: late");
	passt_stop(&s->passt);
	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	says(s, join(s, NULL, 0), -ENOENT, "apt-get install passt");
}

/* It counts on none of the signals that whoever starts it ignores. */
static void a_closed_pipe_is_its_own_affair(void **state)
{
	struct scene *s = *state;

	fake_program(s, "pasta",
		     READY
		     "grep -q '^SigIgn:.*0000$' /proc/self/status || exit 3; exec sleep 1000");
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);
	int r = join(s, NULL, 0);
	(void)signal(SIGPIPE, before);
	assert_int_equal(r, 0);
	siginfo_t info = { 0 };
	assert_int_equal(waitid(P_PIDFD, (id_t)s->passt.pidfd, &info, WEXITED | WNOHANG | WNOWAIT),
			 0);
	assert_int_equal(info.si_pid, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(it_waits_for_an_answer_and_takes_nothing_of_the_guests),
		T(ports_are_said_and_what_is_not_asked_is_none),
		T(a_port_that_leads_two_ways_is_refused),
		T(too_many_ports_are_refused),
		T(where_it_is_missing_its_package_is_named),
		T(its_last_words_are_told),
		T(nonsense_on_the_wire_is_no_answer),
		T(a_cut_frame_is_an_end),
		T(stopping_kills_and_waits),
		T(the_real_one_answers_and_ends_with_the_socket),
		T(it_is_there_once_it_has_written_its_number),
		T(one_that_ends_first_says_why),
		T(a_closed_pipe_is_its_own_affair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
