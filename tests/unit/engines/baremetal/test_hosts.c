/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hosts.h"

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/baremetal/hub_start.h"
#include "storage/disk/disk.h"

/* A server's directory with a socket that somebody listens on, or did. The listener, or -EBADF. */
static int hub_socket(const struct scratch *scratch, const char *name, bool lives)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char dir[128];

	(void)snprintf(dir, sizeof(dir), "%s/hosts/%s", scratch->path, name);
	assert_int_equal(dir_make(AT_FDCWD, dir, 0700), 0);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%.90s/channel", dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 4), 0);
	if (lives)
		return fd;
	fd_close(fd);
	return -EBADF;
}

static bool there(const struct scratch *scratch, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/hosts/%s", scratch->path, name);
	return access(path, F_OK) == 0;
}

static void a_lab_that_runs_is_found_by_its_name(void **state)
{
	const struct scratch *scratch = *state;
	AUTO(fd_close_p) int fd = hub_socket(scratch, "lab1", true);
	char socket_path[128];
	struct hv_host host;

	assert_true(fd >= 0);
	assert_int_equal(hosts_find(scratch->path, "lab1", &host, NULL), 0);
	assert_string_equal(host.name, "lab1");
	(void)snprintf(socket_path, sizeof(socket_path), "%s/hosts/lab1/channel", scratch->path);
	assert_string_equal(host.socket, socket_path);
}

static void a_dead_one_is_none_and_its_directory_goes(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };
	struct hv_host host;

	(void)hub_socket(scratch, "dead", false);
	assert_int_equal(hosts_find(scratch->path, "dead", &host, &err), -ENOENT);
	assert_non_null(strstr(err.text, "strata baremetal lab start dead"));
	assert_false(there(scratch, "dead"));
}

static void the_list_has_those_that_run_and_no_lines(void **state)
{
	const struct scratch *scratch = *state;
	AUTO(fd_close_p) int lab = hub_socket(scratch, "lab1", true);
	AUTO(fd_close_p) int line = hub_socket(scratch, "+dev+ttyS1", true);
	struct hv_lab *labs = NULL;
	size_t n = 0;

	assert_true(lab >= 0 && line >= 0);
	(void)hub_socket(scratch, "dead", false);
	(void)hub_socket(scratch, "+dev+ttyS9", false);
	assert_int_equal(hosts_lab_list(scratch->path, &labs, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_string_equal(labs[0].name, "lab1");
	assert_int_equal(labs[0].hub, 0); /* it has left no number that is a hub's */
	free(labs);
	assert_true(there(scratch, "+dev+ttyS1"));
	assert_false(there(scratch, "dead"));
	assert_false(there(scratch, "+dev+ttyS9"));
}

static void nothing_was_ever_there(void **state)
{
	const struct scratch *scratch = *state;
	struct hv_lab *labs = NULL;
	size_t n = 7;

	assert_int_equal(hosts_lab_list(scratch->path, &labs, &n, NULL), 0);
	assert_int_equal(n, 0);
	free(labs);
}

static void a_channel_that_is_none_is_said_so(void **state)
{
	static const struct {
		const char *channel;
		int code;
	} cases[] = {
		{ "/nothing/there", ENOENT },
		{ "/etc/passwd", EINVAL },
		{ "/tmp", EINVAL },
		{ "..", EINVAL },
		{ "", EINVAL },
		{ "a b", EINVAL },
		{ "+dev+ttyS1", EINVAL },
		{ "0123456789012345678901234567890123456789012345678901234567890123", EINVAL },
	};
	const struct scratch *scratch = *state;
	struct hv_host host;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(hosts_find(scratch->path, cases[i].channel, &host, NULL),
				 -cases[i].code);
}

static void a_lab_s_name_is_no_path(void **state)
{
	const struct scratch *scratch = *state;
	struct hosts_lab lab = { .words = "", .cpus = 1 };
	static const char *const names[] = { "../x", ".x", "-x", "a/b", "" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		lab.name = names[i];
		assert_int_equal(hosts_lab_start(scratch->path, &lab, NULL), -EINVAL);
		assert_int_equal(hosts_lab_stop(scratch->path, names[i], NULL), -EINVAL);
	}
	assert_int_equal(hosts_lab_stop(scratch->path, "none", NULL), -ENOENT);
	assert_false(there(scratch, ""));
}

/* "/x/a+b" was the server of "/x/a/b". */
static void two_sockets_are_never_one_server(void **state)
{
	const struct scratch *scratch = *state;
	static const char *const names[] = { "a+b", "a/b", "a%2bb" };
	struct hv_host hosts[ARRAY_SIZE(names)];
	int listeners[ARRAY_SIZE(names)];
	char path[128], name[256];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct sockaddr_un at = { .sun_family = AF_UNIX };
		(void)snprintf(path, sizeof(path), "%.90s/%s", scratch->path, names[i]);
		char *slash = strrchr(path, '/');
		*slash = '\0';
		assert_int_equal(dir_make(AT_FDCWD, path, 0700), 0);
		*slash = '/';
		(void)snprintf(at.sun_path, sizeof(at.sun_path), "%.100s", path);
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
		fd_close(fd);
		/* A hub that lives, under the name that it should have: none is started. */
		size_t n = 0;
		for (const char *c = path; *c; c++)
			n += (size_t)snprintf(name + n, sizeof(name) - n,
					      *c == '/'		       ? "+"
					      : *c == '+' || *c == '%' ? "%%%02x"
								       : "%c",
					      *c);
		listeners[i] = hub_socket(scratch, name, true);
		assert_int_equal(hosts_find(scratch->path, path, &hosts[i], NULL), 0);
		assert_string_equal(hosts[i].name, name);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(hosts[k].name, name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		fd_close(listeners[i]);
}

/* A disk that a machine has open was a lab's too: its QEMU locks nothing, and nobody else did. */
static void a_lab_s_disk_is_looked_at_before_its_server_starts(void **state)
{
	const struct scratch *scratch = *state;
	char path[128];
	struct lab_disk disk = { .path = path, .format = "raw" };
	struct hosts_lab lab = {
		.name = "lab1", .words = "", .cpus = 1, .disks = &disk, .n_disks = 1
	};
	struct err err = { 0 };

	(void)snprintf(path, sizeof(path), "%.90s/disk.img", scratch->path);
	assert_int_equal(hosts_lab_start(scratch->path, &lab, &err), -ENOENT);
	assert_int_equal(file_replace(scratch->fd, "disk.img", 0600, "x", 1, false), 0);
	AUTO(fd_close_p) int held = disk_hold(path, false, NULL);
	assert_true(held >= 0);
	assert_int_equal(hosts_lab_start(scratch->path, &lab, &err), -EBUSY);
	assert_non_null(strstr(err.text, "disk.img"));
	assert_false(there(scratch, "lab1"));
}

static void the_last_line_of_a_log_is_printable(void **state)
{
	static const struct {
		const char *text, *last;
	} cases[] = {
		{ "", "" },
		{ "\n\n", "" },
		{ "one", "one" },
		{ "one\ntwo\r\n", "two" },
		{ "x\nerror: why\n", "why" },
		{ "a\x1b[31mred", "a?[31mred" },
	};
	const struct scratch *scratch = *state;
	char last[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(file_replace(scratch->fd, "log", 0600, cases[i].text,
					      strlen(cases[i].text), false),
				 0);
		hub_log_last(scratch->fd, "log", last);
		assert_string_equal(last, cases[i].last);
	}
	hub_log_last(scratch->fd, "none", last);
	assert_string_equal(last, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(a_lab_that_runs_is_found_by_its_name),
		SCRATCH_TEST(a_dead_one_is_none_and_its_directory_goes),
		SCRATCH_TEST(the_list_has_those_that_run_and_no_lines),
		SCRATCH_TEST(nothing_was_ever_there),
		SCRATCH_TEST(a_channel_that_is_none_is_said_so),
		SCRATCH_TEST(a_lab_s_name_is_no_path),
		SCRATCH_TEST(two_sockets_are_never_one_server),
		SCRATCH_TEST(a_lab_s_disk_is_looked_at_before_its_server_starts),
		SCRATCH_TEST(the_last_line_of_a_log_is_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
