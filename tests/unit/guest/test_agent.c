/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "scratch.h"

#include "base/core/bytes.h"
#include "base/os/fd.h"
#include "vm.h"

#define NEEDS_VM()                                                                                 \
	do {                                                                                       \
		if (vm_possible())                                                                 \
			SKIP(vm_possible());                                                       \
	} while (0)

static void a_command_s_output_and_status_come_out(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_run(&vm, "[\"sh\",\"-c\",\"echo hello; echo oops >&2; echo $$; exit 7\"]", "", NULL);
	assert_true(vm.started);
	assert_int_equal(vm.status, 7);
	assert_string_equal(buf_str(&vm.out_text), "hello\n1\n");
	assert_string_equal(buf_str(&vm.err_text), "oops\n");
	assert_int_equal(vm.end.stdout_bytes, 8);
	assert_int_equal(vm.end.stderr_bytes, 5);
	vm_fini(&vm);
}

static void standard_input_goes_in_and_ends(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_run(&vm, "[\"cat\"]", "\"stdin_open\":true", "in and out\n");
	assert_int_equal(vm.status, 0);
	assert_string_equal(buf_str(&vm.out_text), "in and out\n");
	vm_fini(&vm);
}

static void an_input_that_ended_before_the_boot_is_empty(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_run(&vm, "[\"cat\"]", "\"stdin_open\":true", "");
	assert_int_equal(vm.status, 0);
	assert_int_equal(vm.out_text.len, 0);
	vm_fini(&vm);
}

static void without_it_standard_input_is_empty(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_run(&vm, "[\"sh\",\"-c\",\"cat; readlink /proc/self/fd/0\"]", "", NULL);
	assert_string_equal(buf_str(&vm.out_text), "/dev/null\n");
	vm_fini(&vm);
}

static void much_output_is_whole(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_run(&vm, "[\"sh\",\"-c\",\"yes 0123456789abcde | head -c 3000000\"]", "", NULL);
	assert_int_equal(vm.out_text.len, 3000000);
	assert_int_equal(vm.end.stdout_bytes, 3000000);
	vm_fini(&vm);
}

static void the_user_is_looked_up_inside(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_run(&vm,
	       "[\"sh\",\"-c\",\"id; echo $HOME; pwd; hostname; cat /etc/hostname; echo x >/dev/stdout\"]",
	       "\"user\":\"user\",\"cwd\":\"/made/here\",\"hostname\":\"box\"", NULL);
	assert_string_equal(
		buf_str(&vm.out_text),
		"uid=1000(user) gid=1000(user) groups=77(extra),1000(user)\n/home/user\n/made/here\nbox\nbox\nx\n");
	vm_fini(&vm);
}

static void what_cannot_run_is_said(void **state)
{
	static const struct {
		const char *args, *members;
		int status;
		const char *word;
	} table[] = {
		{ "[\"nothing\"]", "", 127, "not found" },
		{ "[\"/bin/nothing\"]", "", 127, "No such file" },
		{ "[\"/etc/passwd\"]", "", 126, "/etc/passwd" },
		{ "[\"/\"]", "", 126, "Permission denied" },
		{ "[\"true\"]", "\"user\":\"nobody-here\"", 125, "nobody-here" },
		{ "[\"true\"]", "\"cwd\":\"/etc/passwd\"", 126, "working directory" },
	};

	(void)state;
	NEEDS_VM();
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct vm vm;
		vm_run(&vm, table[i].args, table[i].members, NULL);
		assert_true(vm.failed);
		assert_false(vm.started);
		assert_int_equal(vm.status, table[i].status);
		if (!strstr(vm.why.text, table[i].word))
			fail_msg("%s: %s", table[i].args, vm.why.text);
		vm_fini(&vm);
	}
}

static bool said_up(const struct vm *vm)
{
	return strstr(buf_str(&vm->out_text), "up") || vm->failed || vm->exited;
}

static bool has_begun(const struct vm *vm)
{
	return vm->agent.phase != AGENT_PHASE_BOOT;
}

static void a_signal_arrives(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_start(
		&vm,
		"[\"sh\",\"-c\",\"trap 'echo got; exit 9' USR1; echo up; while :; do sleep 0.05; done\"]",
		"");
	vm_until(&vm, said_up);
	assert_int_equal(agent_signal(&vm.agent, SIGUSR1), 0);
	vm_until(&vm, vm_has_ended);
	assert_int_equal(vm.status, 9);
	assert_string_equal(buf_str(&vm.out_text), "up\ngot\n");
	assert_int_equal(vm_off(&vm), 0);
	vm_fini(&vm);
}

/* Process 1 of a pid namespace ignores what it has no handler for; the small init makes the workload an ordinary one. */
static void with_init_the_workload_is_not_process_1(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_start(&vm, "[\"sh\",\"-c\",\"echo $$; echo up; exec sleep 1000\"]", "\"init\":true");
	vm_until(&vm, said_up);
	assert_int_equal(agent_signal(&vm.agent, SIGTERM), 0);
	vm_until(&vm, vm_has_ended);
	assert_int_equal(vm.status, 128 + SIGTERM);
	assert_string_equal(buf_str(&vm.out_text), "2\nup\n");
	assert_int_equal(vm_off(&vm), 0);
	vm_fini(&vm);
}

static void stop_kills_and_still_says_exit(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_start(&vm, "[\"sh\",\"-c\",\"echo up; sleep 1000\"]", "");
	vm_until(&vm, said_up);
	assert_int_equal(agent_stop(&vm.agent), 0);
	vm_until(&vm, vm_has_ended);
	assert_int_equal(vm.status, 128 + SIGKILL);
	int status = 0;
	assert_int_equal(waitpid(vm.pid, &status, 0), vm.pid);
	vm.pid = 0;
	assert_int_equal(status, 0);
	vm_fini(&vm);
}

/* Regression: the agent waited for a second STOP after a command that could not run. */
static void stop_that_comes_before_a_failure_is_enough(void **state)
{
	struct vm vm;
	int status = 0;

	(void)state;
	NEEDS_VM();
	vm_start(&vm, "[\"nothing\"]", "");
	while (agent_stop(&vm.agent) == -ENOTCONN) /* right behind CONFIG */
		vm_until(&vm, has_begun);
	vm_until(&vm, vm_has_ended);
	assert_int_equal(waitpid(vm.pid, &status, 0), vm.pid);
	vm.pid = 0;
	assert_int_equal(status, 0);
	vm_fini(&vm);
}

static void a_terminal_is_one(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_start(
		&vm,
		"[\"sh\",\"-c\",\"stty size; test -t 0 && test -t 2 && echo $TERM; echo up; read x; stty size; echo $x\"]",
		"\"tty\":true,\"stdin_open\":true");
	vm_until(&vm, said_up);
	vm_until(&vm, vm_has_started);
	assert_int_equal(agent_resize(&vm.agent, 11, 22), 0);
	vm_until(&vm, vm_has_started); /* carries it */
	assert_int_equal(fd_write_all(vm.in, "typed\n", 6), 0);
	vm_until(&vm, vm_has_ended);
	assert_non_null(strstr(vm.out_text.data, "30 70\r\nxterm\r\nup\r\n"));
	assert_non_null(strstr(vm.out_text.data, "typed\r\n")); /* its echo */
	assert_non_null(strstr(vm.out_text.data, "11 22\r\ntyped\r\n"));
	assert_int_equal(vm.err_text.len, 0);
	assert_int_equal(vm_off(&vm), 0);
	vm_fini(&vm);
}

static bool said_newcomer(const struct vm *vm)
{
	return strstr(buf_str(&vm->out_text), "newcomer") || vm->failed || vm->exited;
}

static bool said_first(const struct vm *vm)
{
	return strstr(buf_str(&vm->out_text), "first") || vm->failed || vm->exited;
}

/* Regression: neighbours that came later were not known by name. */
static void hosts_change_while_it_runs(void **state)
{
	static const char later[] = "127.0.0.1 localhost\n10.0.0.9 newcomer\n";
	char *many = test_malloc(40000);
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_start(
		&vm,
		"[\"sh\",\"-c\",\"heard() { read x; until [ $(wc -c </etc/hosts) = $1 ] && [ $(head -n 1 /etc/hosts | cut -c1-5) = $2 ]; do :; done; }; "
		"echo up; heard 38 127.0; head -c 38 /etc/hosts; heard 40000 first; head -n 1 /etc/hosts; heard 5 last; "
		"cat /etc/hosts\"]",
		"\"stdin_open\":true");
	vm_until(&vm, said_up);
	vm_until(&vm, vm_has_started);
	assert_int_equal(agent_hosts(&vm.agent, later, sizeof(later) - 1), 0);
	assert_int_equal(fd_write_all(vm.in, "go\n", 3), 0);
	vm_until(&vm, said_newcomer);
	/* As many as a large network has; then fewer: nothing of the old text is left. */
	memset(many, 'x', 40000);
	memcpy(many, "first\n", 6);
	assert_int_equal(agent_hosts(&vm.agent, many, 40000), 0);
	assert_int_equal(fd_write_all(vm.in, "go\n", 3), 0);
	vm_until(&vm, said_first);
	assert_int_equal(agent_hosts(&vm.agent, "last\n", 5), 0);
	assert_int_equal(fd_write_all(vm.in, "go\n", 3), 0);
	vm_until(&vm, vm_has_ended);
	assert_string_equal(buf_str(&vm.out_text),
			    "up\n127.0.0.1 localhost\n10.0.0.9 newcomer\nfirst\nlast\n");
	assert_int_equal(vm_off(&vm), 0);
	vm_fini(&vm);
	test_free(many);
}

/* Without what was on its way when its reader left. */
static bool has_exited(const struct vm *vm)
{
	return vm->exited || vm->failed;
}

static void a_reader_that_left_is_a_broken_pipe(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_start(&vm, "[\"yes\"]", "\"init\":true");
	vm_until(&vm, vm_has_started);
	assert_int_equal(shutdown(vm.out, SHUT_RDWR), 0);
	fd_close(vm.out);
	vm.out = -EBADF;
	vm_until(&vm, has_exited);
	assert_int_equal(vm.status, 128 + SIGPIPE);
	assert_int_equal(vm_off(&vm), 0);
	vm_fini(&vm);
}

static void the_root_is_the_image_s_and_nothing_else(void **state)
{
	struct vm vm;

	(void)state;
	NEEDS_VM();
	vm_run(&vm,
	       "[\"sh\",\"-c\",\"ls /; touch /new && echo writable; touch /sys/x 2>&1; "
	       "echo 1 >/proc/sys/kernel/panic; cat /proc/kcore; ls /proc/1/root/strata 2>&1; cat /etc/hosts\"]",
	       "", NULL);
	assert_non_null(strstr(buf_str(&vm.out_text), "writable\n"));
	assert_non_null(strstr(buf_str(&vm.out_text), "bin\ndev\netc\nhome\nproc\nsys\n"));
	assert_non_null(strstr(buf_str(&vm.out_text), "127.0.0.1 localhost\n"));
	assert_non_null(strstr(buf_str(&vm.out_text), "/sys/x: Read-only file system"));
	assert_non_null(strstr(buf_str(&vm.err_text), "panic: Read-only file system"));
	assert_non_null(strstr(buf_str(&vm.out_text), "/proc/1/root/strata: No such file"));
	vm_fini(&vm);
	vm_run(&vm, "[\"sh\",\"-c\",\"touch /new\"]", "\"read_only\":true", NULL);
	assert_int_equal(vm.status, 1);
	assert_non_null(strstr(buf_str(&vm.err_text), "Read-only file system"));
	vm_fini(&vm);
}

/* ---- sessions ---- */

static void running(struct vm *vm)
{
	vm_start(vm, "[\"sh\",\"-c\",\"echo up; exec sleep 1000\"]", "");
	vm_until(vm, said_up);
	vm_until(vm, vm_has_started);
}

static void a_session_runs_beside_the_workload(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	AUTO(buf_fini) struct buf error = { 0 };
	struct err err = { 0 };
	struct vm vm;
	int status = 0;

	(void)state;
	NEEDS_VM();
	running(&vm);
	assert_int_equal(
		vm_exec(&vm,
			"[\"sh\",\"-c\",\"cat; echo e >&2; readlink /proc/1/exe; id -u; exit 5\"]",
			"\"stdin_open\":true,\"user\":\"user\"", "text\n", &out, &error, &status,
			&err),
		0);
	assert_int_equal(status, 5);
	assert_string_equal(buf_str(&out),
			    "text\n1000\n"); /* another's /proc/1/exe is hidden from it */
	assert_string_equal(buf_str(&error), "e\n");
	vm_fini(&vm);
}

static void stats_are_answered(void **state)
{
	struct guest_stats stats = { .cpu_ns = 5, .net_rx_bytes = 1 };
	struct err err = { 0 };
	struct vm vm;
	pid_t proxy;

	(void)state;
	NEEDS_VM();
	running(&vm);
	int socket = vm_connect(&vm, &proxy);
	if (agent_stats(socket, &stats, &err) < 0)
		fail_msg("%s", err.text);
	fd_close(socket);
	assert_int_equal(waitpid(proxy, NULL, 0), proxy);
	assert_int_equal(stats.cpu_ns, 5);	 /* not the guest's to say */
	assert_int_equal(stats.net_rx_bytes, 0); /* there is no network in there */
	vm_fini(&vm);
}

static void a_session_that_cannot_run_says_why(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	AUTO(buf_fini) struct buf error = { 0 };
	struct err err = { 0 };
	struct vm vm;
	int status = 0;

	(void)state;
	NEEDS_VM();
	running(&vm);
	assert_int_equal(vm_exec(&vm, "[\"nothing\"]", "", NULL, &out, &error, &status, &err),
			 -ENOENT);
	assert_int_equal(status, 127);
	assert_non_null(strstr(err.text, "nothing"));
	vm_fini(&vm);
}

static void a_session_with_much_both_ways(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	AUTO(buf_fini) struct buf error = { 0 };
	struct err err = { 0 };
	struct vm vm;
	int status = 0;

	(void)state;
	NEEDS_VM();
	running(&vm);
	assert_int_equal(vm_exec(&vm, "[\"sh\",\"-c\",\"yes abcdefg | head -c 400000 | cat\"]", "",
				 NULL, &out, &error, &status, &err),
			 0);
	assert_int_equal(out.len, 400000);
	vm_fini(&vm);
}

static void a_session_s_terminal_has_the_host_s_size(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	AUTO(buf_fini) struct buf error = { 0 };
	struct err err = { 0 };
	struct vm vm;
	int status = 0;

	(void)state;
	NEEDS_VM();
	running(&vm);
	assert_int_equal(vm_exec(&vm,
				 "[\"sh\",\"-c\",\"test -t 0 && test -t 1 && echo yes; exit 3\"]",
				 "\"tty\":true", NULL, &out, &error, &status, &err),
			 0);
	assert_int_equal(status, 3);
	assert_string_equal(buf_str(&out), "yes\r\n");
	vm_fini(&vm);
}

static void a_session_ends_with_its_host(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	AUTO(buf_fini) struct buf error = { 0 };
	AUTO(buf_fini) struct buf frame = { 0 };
	struct err err = { 0 };
	struct vm vm;
	pid_t proxy;
	int status = 0;
	char line[64];

	(void)state;
	NEEDS_VM();
	running(&vm);
	int fd = vm_connect(&vm, &proxy);
	assert_int_equal(fd_write_all(fd, "CONNECT 1\n", 10), 0);
	assert_int_equal(read(fd, line, 8), 8);
	size_t at = frame_begin(&frame, AGENT_START);
	frame_field_add_text(&frame, AGENT_TAG_ARG, "/bin/sleep");
	frame_field_add_text(&frame, AGENT_TAG_ARG, "4711");
	frame_end(&frame, at);
	assert_int_equal(fd_write_all(fd, frame.data, frame.len), 0);
	assert_int_equal(read(fd, line, 8), 8);
	assert_int_equal(le32_load(line), AGENT_STARTED);
	fd_close(fd);
	assert_int_equal(waitpid(proxy, NULL, 0), proxy);
	for (int i = 0; i < 200; i++) {
		out.len = 0;
		assert_int_equal(vm_exec(&vm, "[\"ps\"]", "", NULL, &out, &error, &status, &err),
				 0);
		if (!strstr(buf_str(&out), "4711"))
			break;
	}
	assert_null(strstr(buf_str(&out), "4711"));
	vm_fini(&vm);
}

static void files_go_in_and_out(void **state)
{
	struct scratch *scratch = *state;
	AUTO(buf_fini) struct buf out = { 0 };
	AUTO(buf_fini) struct buf error = { 0 };
	struct err err = { 0 };
	struct agent_stat stat;
	char command[256];
	struct vm vm;
	pid_t proxy;
	int status = 0;

	NEEDS_VM();
	running(&vm);
	(void)snprintf(command, sizeof(command),
		       "cd %s && mkdir d && echo text >d/f && ln -s f d/l && tar cf in.tar d",
		       scratch->path);
	assert_int_equal(system(command), 0);
	AUTO(fd_close_p) int in = openat(scratch->fd, "in.tar", O_RDONLY | O_CLOEXEC);
	AUTO(fd_close_p) int put = vm_connect(&vm, &proxy);
	if (agent_put(put, "/srv/new", in, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(
		vm_exec(&vm, "[\"cat\",\"/srv/new/d/l\"]", "", NULL, &out, &error, &status, &err),
		0);
	assert_string_equal(buf_str(&out), "text\n");
	AUTO(fd_close_p)
	int tar = openat(scratch->fd, "out.tar", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	AUTO(fd_close_p) int get = vm_connect(&vm, &proxy);
	if (agent_get(get, "/srv/new/d", false, "e", tar, &err) < 0)
		fail_msg("%s", err.text);
	(void)snprintf(command, sizeof(command), "cd %s && tar xf out.tar && diff -r d e",
		       scratch->path);
	assert_int_equal(system(command), 0);
	AUTO(fd_close_p) int ask = vm_connect(&vm, &proxy);
	assert_int_equal(agent_stat(ask, "/srv/new/d/l", true, &stat, &err), 0);
	assert_true(S_ISREG(stat.mode));
	assert_int_equal(stat.size, 5);
	AUTO(fd_close_p) int none = vm_connect(&vm, &proxy);
	assert_int_equal(agent_stat(none, "/nowhere", true, &stat, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere"));
	AUTO(fd_close_p) int lost = vm_connect(&vm, &proxy);
	assert_int_equal(agent_get(lost, "/nowhere", false, NULL, tar, &err), -ENOENT);
	vm_fini(&vm);
}

/* Both pipes of the process are full, and the socket is, both ways: nobody may wait for the other. */
static void much_input_comes_back(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	AUTO(buf_fini) struct buf error = { 0 };
	struct err err = { 0 };
	struct vm vm;
	int status = 0;
	const size_t size = 3000000;
	char *text = malloc(size + 1);

	(void)state;
	if (vm_possible()) {
		free(text);
		NEEDS_VM();
	}
	assert_non_null(text);
	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + i % 23);
	text[size] = '\0';
	running(&vm);
	assert_int_equal(
		vm_exec(&vm, "[\"cat\"]", "\"stdin_open\":true", text, &out, &error, &status, &err),
		0);
	assert_int_equal(out.len, size);
	assert_memory_equal(out.data, text, size);
	free(text);
	vm_fini(&vm);
}

static void a_session_s_signal_arrives(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };
	struct err err = { 0 };
	struct vm vm;
	struct spec spec = { 0 };
	pid_t proxy;
	sigset_t mask;
	int pipes[2], started[2], status = 0;

	(void)state;
	NEEDS_VM();
	running(&vm);
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(pipe2(started, O_CLOEXEC), 0);
	vm_spec("[\"sh\",\"-c\",\"trap 'echo got; exit 4' USR1; echo up; while :; do sleep 0.05; done\"]",
		"", &spec);
	pid_t pid = fork();
	if (pid == 0) { /* sends the signal once "up" was read */
		char up[3];
		_exit(read(pipes[0], up, 3) == 3 && kill(getppid(), SIGUSR1) == 0 ? 0 : 1);
	}
	const struct agent_exec exec = { .socket = vm_connect(&vm, &proxy),
					 .spec = &spec,
					 .in = -EBADF,
					 .out = pipes[1],
					 .err = -EBADF,
					 .tty = -EBADF,
					 .signals = signalfd(-1, &mask, SFD_CLOEXEC),
					 .started = started[1] };
	assert_int_equal(agent_exec(&exec, &status, &err), 0);
	assert_int_equal(status, 4);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fd_close(started[1]);
	assert_int_equal(fd_read_all(started[0], 16, &out), 0);
	assert_int_equal(out.len, 1);
	assert_int_equal(sigprocmask(SIG_UNBLOCK, &mask, NULL), 0);
	fd_close(exec.socket);
	fd_close(exec.signals);
	fd_close(pipes[0]);
	fd_close(pipes[1]);
	fd_close(started[0]);
	spec_fini(&spec);
	vm_fini(&vm);
}

/* ---- a host that talks nonsense ---- */

static void nonsense_is_a_failure_and_the_agent_stays(void **state)
{
	static const struct {
		uint32_t type, len;
	} table[] = {
		{ 4711, 0 }, { AGENT_CONFIG, UINT32_MAX }, { AGENT_CONFIG, 0 }, { AGENT_READY, 4 }
	};

	(void)state;
	NEEDS_VM();
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		uint8_t head[12] = { 0 }, got[512];
		struct vm vm;
		vm_raw(&vm);
		le32_store(head, table[i].type);
		le32_store(head + 4, table[i].len);
		assert_int_equal(fcntl(vm.control, F_SETFL, 0), 0);
		assert_int_equal(fd_write_all(vm.control, head, 8 + (table[i].len == 4 ? 4 : 0)),
				 0);
		assert_int_equal(recv(vm.control, got, 12, MSG_WAITALL), 12);
		assert_int_equal(le32_load(got), AGENT_READY);
		assert_int_equal(recv(vm.control, got, 8, MSG_WAITALL), 8);
		assert_int_equal(le32_load(got), AGENT_FAILED);
		assert_int_equal(recv(vm.control, got + 8, le32_load(got + 4), MSG_WAITALL),
				 le32_load(got + 4));
		assert_int_equal(le32_load(got + 8), 125);
		assert_int_equal(waitpid(vm.pid, NULL, WNOHANG), 0);
		assert_int_equal(shutdown(vm.control, SHUT_RDWR), 0);
		assert_int_equal(vm_off(&vm), 0);
		vm_fini(&vm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_s_output_and_status_come_out),
		cmocka_unit_test(standard_input_goes_in_and_ends),
		cmocka_unit_test(an_input_that_ended_before_the_boot_is_empty),
		cmocka_unit_test(without_it_standard_input_is_empty),
		cmocka_unit_test(much_output_is_whole),
		cmocka_unit_test(the_user_is_looked_up_inside),
		cmocka_unit_test(what_cannot_run_is_said),
		cmocka_unit_test(a_signal_arrives),
		cmocka_unit_test(with_init_the_workload_is_not_process_1),
		cmocka_unit_test(stop_kills_and_still_says_exit),
		cmocka_unit_test(stop_that_comes_before_a_failure_is_enough),
		cmocka_unit_test(a_terminal_is_one),
		cmocka_unit_test(hosts_change_while_it_runs),
		cmocka_unit_test(a_reader_that_left_is_a_broken_pipe),
		cmocka_unit_test(the_root_is_the_image_s_and_nothing_else),
		cmocka_unit_test(stats_are_answered),
		cmocka_unit_test(a_session_runs_beside_the_workload),
		cmocka_unit_test(a_session_that_cannot_run_says_why),
		cmocka_unit_test(a_session_with_much_both_ways),
		cmocka_unit_test(a_session_s_terminal_has_the_host_s_size),
		cmocka_unit_test(a_session_ends_with_its_host),
		cmocka_unit_test(much_input_comes_back),
		cmocka_unit_test(a_session_s_signal_arrives),
		SCRATCH_TEST(files_go_in_and_out),
		cmocka_unit_test(nonsense_is_a_failure_and_the_agent_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
