/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "scratch.h"

#include "abi/agent.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "network/network.h"

/* As network/names.c does it: in place, then a byte. */
static void rewrite(const struct scratch *s, const char *text, size_t len)
{
	AUTO(fd_close_p) int fd = openat(s->fd, "hosts", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	AUTO(fd_close_p)
	int told = openat(s->fd, NETWORK_HOSTS_TOLD, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	assert_int_equal(fd_write_all(fd, text, len), 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	if (told >= 0)
		assert_int_equal(write(told, "", 1), 1);
}

static bool is_told(const struct vmm_hosts *hosts)
{
	struct pollfd told = { hosts->told, POLLIN, 0 };

	return poll(&told, 1, 0) == 1;
}

static void each_change_is_told_and_read(void **state)
{
	const struct scratch *s = *state;
	struct vmm_hosts hosts;
	struct err err = { 0 };

	rewrite(s, "one\n", 4);
	assert_int_equal(vmm_hosts_open(s->fd, &hosts, &err), 0);
	assert_false(is_told(&hosts));
	rewrite(s, "one\ntwo\n", 8);
	rewrite(s, "2\n", 2);
	assert_true(is_told(&hosts)); /* and the writer's end is no end of ours */
	AUTO(buf_fini) struct buf text = { 0 };
	assert_int_equal(vmm_hosts_read(&hosts, &text), 0);
	assert_string_equal(buf_str(&text), "2\n");
	assert_false(is_told(&hosts));
	fd_close(hosts.file);
	fd_close(hosts.told);
	/* A machine that starts again finds the FIFO there. */
	assert_int_equal(vmm_hosts_open(s->fd, &hosts, &err), 0);
	fd_close(hosts.file);
	fd_close(hosts.told);
}

static void without_a_file_there_is_nothing_to_hear(void **state)
{
	const struct scratch *s = *state;
	struct vmm_hosts hosts;
	struct err err = { 0 };

	assert_int_equal(vmm_hosts_open(-EBADF, &hosts, &err), 0);
	assert_true(hosts.file < 0 && hosts.told < 0);
	assert_int_equal(vmm_hosts_open(s->fd, &hosts, &err), 0);
	assert_true(hosts.file < 0 && hosts.told < 0);
	assert_int_equal(faccessat(s->fd, NETWORK_HOSTS_TOLD, F_OK, 0), -1);
}

static void a_text_past_what_the_guest_takes_is_refused(void **state)
{
	const struct scratch *s = *state;
	struct vmm_hosts hosts;
	struct err err = { 0 };
	AUTO(buf_fini) struct buf text = { 0 };
	char *many = test_malloc(AGENT_HOSTS_MAX + 4096);

	memset(many, 'x', AGENT_HOSTS_MAX + 4096);
	rewrite(s, many, AGENT_HOSTS_MAX + 4096);
	test_free(many);
	assert_int_equal(vmm_hosts_open(s->fd, &hosts, &err), 0);
	assert_int_equal(vmm_hosts_read(&hosts, &text), -E2BIG);
	fd_close(hosts.file);
	fd_close(hosts.told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(each_change_is_told_and_read),
		SCRATCH_TEST(without_a_file_there_is_nothing_to_hear),
		SCRATCH_TEST(a_text_past_what_the_guest_takes_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
