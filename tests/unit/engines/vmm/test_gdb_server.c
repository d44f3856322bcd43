/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/loop.h"
#include "engines/vmm/gdb_fake.h"
#include "engines/vmm/gdb_server.h"

struct scene {
	struct fake_target fake;
	struct gdb_server server;
	struct loop *loop;
	char where[96];
};

/* A client that is a debugger of another kind would hang a test for ever: this is how long one waits for anything. */
#define PATIENCE_MS 100000

static void scene_init(struct scene *s, const struct scratch *scratch)
{
	struct err err = { 0 };

	memset(s, 0, sizeof(*s));
	fake_target_init(&s->fake);
	(void)snprintf(s->where, sizeof(s->where), "unix:%s/gdb", scratch->path);
	assert_int_equal(loop_create(&s->loop, &err), 0);
	int fd = gdb_listen(s->where, &err);
	assert_true(fd >= 0);
	assert_int_equal(gdb_server_start(&s->server, s->loop, fd, &s->fake.target, &err), 0);
}

static void scene_fini(struct scene *s)
{
	gdb_server_fini(&s->server);
	gdb_server_fini(&s->server); /* twice is once */
	loop_free(s->loop);
}

static int client_open(const struct scene *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", s->where + 5);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* Serves until the client has these bytes. */
static void client_expect(struct scene *s, int fd, const char *want)
{
	char got[256];
	size_t n = 0;

	while (n < strlen(want)) {
		ssize_t r = read(fd, got + n, strlen(want) - n);
		if (r > 0) {
			n += (size_t)r;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		assert_true(loop_run_once(s->loop, PATIENCE_MS, NULL) > 0);
	}
	assert_memory_equal(got, want, n);
}

static void client_say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void serve_until_held(struct scene *s, bool held)
{
	while (s->fake.held != held)
		assert_true(loop_run_once(s->loop, PATIENCE_MS, NULL) > 0);
}

static void a_client_holds_the_machine_and_lets_it_go(void **state)
{
	struct scene s;

	scene_init(&s, *state);
	int fd = client_open(&s);
	serve_until_held(&s, true);
	client_say(fd, "$Z0,10020,1#06");
	client_expect(&s, fd, "+$OK#9a");
	assert_int_equal(s.fake.ram[0x20], 0xcc);
	fd_close(fd); /* without a word */
	serve_until_held(&s, false);
	assert_int_equal(s.fake.ram[0x20], 0x90);
	scene_fini(&s);
}

static void one_at_a_time(void **state)
{
	struct scene s;
	char byte;

	scene_init(&s, *state);
	int first = client_open(&s);
	serve_until_held(&s, true);
	int second = client_open(&s);
	while (read(second, &byte, 1) != 0)
		assert_true(loop_run_once(s.loop, PATIENCE_MS, NULL) > 0);
	client_say(first, "$qC#b4");
	client_expect(&s, first, "+$QC1#c5");
	fd_close(second);
	fd_close(first);
	serve_until_held(&s, false);
	/* The next may come. */
	first = client_open(&s);
	serve_until_held(&s, true);
	fd_close(first);
	scene_fini(&s);
	assert_false(s.fake.held); /* let go at the end, too */
}

static void stops_reach_who_waits(void **state)
{
	struct scene s;

	scene_init(&s, *state);
	gdb_server_stopped(&s.server, GDB_STOP_STEP, 0, 0); /* nobody is there */
	int fd = client_open(&s);
	serve_until_held(&s, true);
	client_say(fd, "$vCont;c#a8");
	serve_until_held(&s, false);
	client_expect(&s, fd, "+");
	s.fake.held = true;
	gdb_server_stopped(&s.server, GDB_STOP_STEP, 1, 0);
	client_expect(&s, fd, "$T05thread:2;#d8");
	client_say(fd, "$k#6b");
	while (gdb_server_has_client(&s.server))
		assert_true(loop_run_once(s.loop, PATIENCE_MS, NULL) > 0);
	assert_int_equal(s.fake.kills, 1);
	assert_true(s.fake.held);
	fd_close(fd);
	scene_fini(&s);
}

/* It asks and asks and does not read: kept up to a limit, then it is shut out; never does the machine wait for it. */
static void a_client_that_does_not_read_is_no_harm(void **state)
{
	static const char request[] = "$m10000,800#22";
	struct scene s;

	scene_init(&s, *state);
	int fd = client_open(&s);
	serve_until_held(&s, true);
	client_say(fd, "$QStartNoAckMode#b0");
	for (unsigned i = 0; i < 1000;) {
		ssize_t r = write(fd, request, sizeof(request) - 1);
		if (r == (ssize_t)sizeof(request) - 1)
			i++;
		else
			assert_int_equal(errno, EAGAIN);
		(void)loop_run_once(s.loop, 0, NULL);
	}
	assert_in_range(s.server.out.len, 1, (1 << 20) + GDB_FRAME_BYTES);
	/* Now it does. */
	char data[4096];
	size_t total = 0;
	do {
		ssize_t r = read(fd, data, sizeof(data));
		total += r > 0 ? (size_t)r : 0;
		(void)loop_run_once(s.loop, 0, NULL);
	} while (s.server.out.len);
	assert_in_range(total, 1 << 19, 8 << 20);
	fd_close(fd);
	scene_fini(&s);
}

static void a_socket_that_nobody_serves_is_replaced(void **state)
{
	struct scene s;
	struct stat st;
	struct err err = { 0 };

	scene_init(&s, *state);
	assert_int_equal(gdb_listen(s.where, &err), -EADDRINUSE); /* it is served */
	assert_int_equal(stat(s.where + 5, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	scene_fini(&s); /* leaves the file */
	int fd = gdb_listen(s.where, &err);
	assert_true(fd >= 0);
	fd_close(fd);
}

static void a_file_is_not_replaced(void **state)
{
	const struct scratch *scratch = *state;
	char where[96];
	struct err err = { 0 };

	(void)snprintf(where, sizeof(where), "unix:%s/file", scratch->path);
	fd_close(open(where + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(gdb_listen(where, &err), -EADDRINUSE);
	assert_int_equal(access(where + 5, F_OK), 0);
}

static void places_that_cannot_be_are_refused(void **state)
{
	static const char *const bad[] = { "", "0", "65536", "12x", "-1", " 80", "tcp:1", "unix" };
	struct err err = { 0 };
	char longest[200] = "unix:";

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(gdb_listen(bad[i], &err), -EINVAL);
	assert_string_equal(err.text, "--gdb unix: neither a port (1 to 65535) nor unix:PATH");
	assert_int_equal(gdb_listen("unix:", &err), -ENAMETOOLONG);
	memset(longest + 5, 'x', sizeof(longest) - 6);
	assert_int_equal(gdb_listen(longest, &err), -ENAMETOOLONG);
}

static void a_port_is_the_loopbacks(void **state)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct err err = { 0 };
	char where[8];
	int fd = -EADDRINUSE;

	(void)state;
	for (unsigned port = 20000; fd == -EADDRINUSE && port < 20100; port++) {
		(void)snprintf(where, sizeof(where), "%u", port);
		fd = gdb_listen(where, &err);
	}
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(addr.ss_family, AF_INET);
	assert_memory_equal((const char *)&addr + 4, "\x7f\0\0\1", 4);
	assert_true(gdb_listen(where, &err) < 0);
	fd_close(fd);
}

/* ---- the real one ---- */

static pid_t gdb_start(const struct scratch *scratch, const char *const *commands)
{
	const char *args[128] = { "gdb", "-q", "-nx", "-batch" };
	char target[128];
	unsigned n = 4;

	(void)snprintf(target, sizeof(target), "target remote %s/gdb", scratch->path);
	args[n++] = "-ex";
	args[n++] = target;
	for (; *commands && n < ARRAY_SIZE(args) - 2; commands++) {
		args[n++] = "-ex";
		args[n++] = *commands;
	}
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	int log = openat(scratch->fd, "log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 || setenv("HOME", scratch->path, 1) < 0)
		_exit(126);
	execvp("gdb", (char *const *)(void *)args);
	_exit(127);
}

/* Writes to what is watched for writes, else only reads it. */
static void gdb_touch(struct scene *s)
{
	const struct debug_point *point = &s->fake.points[0];

	if (point->access == DEBUG_WRITE)
		s->fake.ram[point->gva - FAKE_GVA]++;
}

/* What a vcpu does that runs: it hits the first breakpoint there is, or has stepped. */
static void gdb_run(struct scene *s)
{
	unsigned vcpu = s->fake.run[1] == GDB_RUN_STEP;

	if (s->fake.held || !gdb_server_has_client(&s->server))
		return;
	s->fake.held = true;
	if (s->fake.run[vcpu] == GDB_RUN_STEP) {
		s->fake.states[vcpu].rip++;
		gdb_server_stopped(&s->server, GDB_STOP_STEP, vcpu, 0);
	} else if (s->fake.points[0].len && s->fake.points[0].access == DEBUG_EXECUTE) {
		s->fake.states[vcpu].rip = s->fake.points[0].gva;
		gdb_server_stopped(&s->server, GDB_STOP_POINT, vcpu, 0);
	} else if (s->fake.points[0].len) {
		gdb_touch(s);
		gdb_server_stopped(&s->server, GDB_STOP_POINT, vcpu, 0);
	} else {
		const uint8_t *int3 = memchr(s->fake.ram, 0xcc, FAKE_RAM_BYTES);
		assert_non_null(int3);
		s->fake.states[vcpu].rip = FAKE_GVA + (uint64_t)(int3 - s->fake.ram);
		gdb_server_stopped(&s->server, GDB_STOP_SOFTWARE, vcpu, 0);
	}
}

static int gdb_serve(struct scene *s, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		(void)loop_run_once(s->loop, 50, NULL);
		gdb_run(s);
	}
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void gdb_itself_debugs(void **state)
{
	static const char *const commands[] = {
		"info threads",
		"print/x $rax",
		"print/x $cr0",
		"x/2xb 0x10000",
		"set {int}0x10040 = 0x11223344",
		"x/xw 0x10040",
		"set $rbx = 0x1234",
		"break *0x10060",
		"continue",
		"stepi",
		"print/x $rip",
		"delete",
		"hbreak *0x10080",
		"continue",
		"thread 2",
		"print/x $rcx",
		"delete",
		"watch *(unsigned long *)0x10100",
		"continue",
		"delete",
		"awatch *(unsigned short *)0x10110",
		"continue",
		"delete",
		"rwatch *(unsigned int *)0x10120",
		"continue",
		"delete",
		"detach",
		NULL,
	};
	static const char *const says[] = {
		"(vcpu 1)",
		"= 0x1000",
		"= 0x80000011",
		"0x10000:\t0x90\t0x90",
		"0x10040:\t0x11223344",
		"Breakpoint 1, 0x0000000000010060",
		"= 0x10061",
		"Breakpoint 2, 0x0000000000010080",
		"= 0x2001",
		"Hardware watchpoint 3: *(unsigned long *)0x10100",
		"Old value = 10416984888683040912", /* eight times 0x90 */
		"New value = 10416984888683040913",
		"Hardware access (read/write) watchpoint 4: *(unsigned short *)0x10110",
		"Value = 37008",
		"Hardware read watchpoint 5: *(unsigned int *)0x10120",
		"Value = 2425393296",
		"detached",
	};
	const struct scratch *scratch = *state;
	AUTO(buf_fini) struct buf log = { 0 };
	struct scene s;

	scene_init(&s, scratch);
	int status = gdb_serve(&s, gdb_start(scratch, commands));
	scene_fini(&s);
	if (status == 127)
		SKIP("gdb is not installed");
	assert_int_equal(file_read(scratch->fd, "log", 1 << 20, &log), 0);
	const char *at = buf_str(&log);
	for (unsigned i = 0; i < ARRAY_SIZE(says); i++) {
		const char *found = strstr(at, says[i]);
		if (!found)
			fail_msg("not said, or not here: %s\n%s", says[i], buf_str(&log));
		at = found;
	}
	assert_int_equal(status, 0);
	assert_int_equal(s.fake.states[0].regs[X86_RBX], 0x1234);
	assert_int_equal(s.fake.ram[0x60], 0x90);
	assert_int_equal(s.fake.points[0].len, 0);
	assert_false(s.fake.held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(a_client_holds_the_machine_and_lets_it_go),
		SCRATCH_TEST(one_at_a_time),
		SCRATCH_TEST(stops_reach_who_waits),
		SCRATCH_TEST(a_client_that_does_not_read_is_no_harm),
		SCRATCH_TEST(a_socket_that_nobody_serves_is_replaced),
		SCRATCH_TEST(a_file_is_not_replaced),
		cmocka_unit_test(places_that_cannot_be_are_refused),
		cmocka_unit_test(a_port_is_the_loopbacks),
		SCRATCH_TEST(gdb_itself_debugs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
