/* SPDX-License-Identifier: Apache-2.0 */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../guest/agent.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"

#define VM_ID	   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define VM_WAIT_S  100
#define VM_BUSYBOX "/bin/busybox"
#define VM_OUT_MAX (64U << 20)

const char *vm_possible(void)
{
	if (geteuid() != 0)
		return "needs root";
	if (access(VM_BUSYBOX, X_OK) < 0)
		return "needs busybox-static";
	return NULL;
}

/* ---- the guest's side ---- */

static void vm_must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "vm: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static void vm_make_tree(const char *dir)
{
	static const char *const applets[] = { "sh",	   "cat",   "echo", "id",      "sleep",
					       "true",	   "stty",  "kill", "env",     "pwd",
					       "head",	   "mount", "ls",   "ps",      "touch",
					       "hostname", "test",  "yes",  "readlink" };
	char command[512], path[128];

	(void)snprintf(
		command, sizeof(command),
		"mkdir -p %s/tree/bin %s/tree/etc %s/tree/home/user && cp " VM_BUSYBOX
		" %s/tree/bin/busybox && printf "
		"'root:x:0:0::/root:/bin/sh\\nuser:x:1000:1000::/home/user:/bin/sh\\n' "
		">%s/tree/etc/passwd && printf 'root:x:0:\\nuser:x:1000:\\nextra:x:77:user\\n' "
		">%s/tree/etc/group",
		dir, dir, dir, dir, dir, dir);
	vm_must(system(command) == 0, "make the root");
	for (size_t i = 0; i < ARRAY_SIZE(applets); i++) {
		(void)snprintf(path, sizeof(path), "%s/tree/bin/%s", dir, applets[i]);
		vm_must(symlink("busybox", path) == 0, path);
	}
}

/* A root file system as boot_mounts() leaves it, with the image's tree beside it. */
static void vm_world(const char *dir)
{
	static const char *const dirs[] = { "proc", "sys", "dev", "run", "tmp", "strata", "tree" };
	char path[160], tree[96];

	vm_must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
	(void)snprintf(path, sizeof(path), "%s/world", dir);
	vm_must(mkdir(path, 0755) == 0 && mount("world", path, "tmpfs", 0, NULL) == 0, "tmpfs");
	(void)snprintf(tree, sizeof(tree), "%s/tree", dir);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/world/%s", dir, dirs[i]);
		vm_must(mkdir(path, 0755) == 0, path);
	}
	vm_must(mount(tree, path, NULL, MS_BIND, NULL) == 0, "bind the root");
	(void)snprintf(path, sizeof(path), "%s/world", dir);
	vm_must(chdir(path) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
			umount2(".", MNT_DETACH) == 0 && chdir("/") == 0,
		"pivot");
	vm_must(mount("proc", "/proc", "proc", 0, NULL) == 0, "proc");
	vm_must(mount("sysfs", "/sys", "sysfs", 0, NULL) == 0, "sysfs");
	vm_must(mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) == 0, "null");
}

static int vm_assemble(const struct config *config, struct root *root, struct err *err)
{
	(void)config;
	if (mkdir(ROOT_DIR "/lower", 0755) < 0 || mkdir(ROOT_DIR "/upper", 0755) < 0 ||
	    mount("/tree", ROOT_DIR "/lower", NULL, MS_BIND, NULL) < 0 ||
	    mount("upper", ROOT_DIR "/upper", "tmpfs", 0, "mode=755") < 0)
		return err_set(err, errno, "layers of the test");
	root->fd = root_overlay(err);
	return root->fd < 0 ? root->fd : 0;
}

static int vm_cgroup(const struct config *config, struct err *err)
{
	(void)config;
	(void)err;
	return -EBADF;
}

static _Noreturn void vm_guest(const char *dir, const struct agent_ports *ports)
{
	static const struct agent_ops ops = { .assemble = vm_assemble, .cgroup = vm_cgroup };

	vm_must(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) ==
			0,
		"namespaces");
	pid_t pid = fork();
	if (pid == 0) {
		vm_world(dir);
		_exit(agent_run(&ops, ports) == 0 ? 0 : 1);
	}
	int status = 0;
	for (int i = 0; i < 5; i++)
		fd_close(((const int *)&ports->control)[i]);
	vm_must(pid > 0 && waitpid(pid, &status, 0) == pid, "process 1");
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
}

/* ---- the host's side ---- */

static struct vm *vm_of(struct agent *agent)
{
	return container_of(agent, struct vm, agent);
}
static void vm_wake(struct agent *agent)
{
	(void)agent; /* vm_carry() asks it each time */
}
static void vm_started(struct agent *agent)
{
	vm_of(agent)->started = true;
}
static void vm_failed(struct agent *agent, int status, const struct err *why)
{
	vm_of(agent)->failed = true;
	vm_of(agent)->status = status;
	vm_of(agent)->why = *why;
}
static void vm_exited(struct agent *agent, const struct agent_end *end)
{
	vm_of(agent)->exited = true;
	vm_of(agent)->end = *end;
	vm_of(agent)->status = end->status;
}

static const struct agent_events vm_events = {
	.wake = vm_wake,
	.started = vm_started,
	.failed = vm_failed,
	.exited = vm_exited,
};

static void vm_pair(int *ret_ours, int *ret_guests)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	*ret_ours = pair[0];
	*ret_guests = pair[1];
}

static int vm_listener(const struct vm *vm)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, vm->sock, strlen(vm->sock) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

void vm_raw(struct vm *vm)
{
	struct agent_ports ports = { .host_only = false };

	*vm = (struct vm){ .dir = "/tmp/strata-guest-XXXXXX" };
	(void)signal(SIGPIPE, SIG_IGN);
	assert_non_null(mkdtemp(vm->dir));
	(void)snprintf(vm->sock, sizeof(vm->sock), "%s/exec", vm->dir);
	vm_make_tree(vm->dir);
	vm_pair(&vm->control, &ports.control);
	vm_pair(&vm->in, &ports.in);
	vm_pair(&vm->out, &ports.out);
	vm_pair(&vm->err, &ports.err);
	ports.listener = vm_listener(vm);
	vm->pid = fork();
	if (vm->pid == 0) {
		fd_close(vm->control);
		fd_close(vm->in);
		fd_close(vm->out);
		fd_close(vm->err);
		vm_guest(vm->dir, &ports);
	}
	assert_true(vm->pid > 0);
	fd_close(ports.control);
	fd_close(ports.in);
	fd_close(ports.out);
	fd_close(ports.err);
	fd_close(ports.listener);
}

void vm_spec(const char *args, const char *members, struct spec *ret)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;
	struct err err = { 0 };

	assert_int_equal(buf_printf(&text,
				    "{\"id\":\"" VM_ID "\",\"name\":\"vm\",\"args\":%s,\"env\":"
				    "[\"PATH=/bin\"],\"caps\":[\"CAP_CHOWN\",\"CAP_KILL\"]%s%s}",
				    args, members[0] ? "," : "", members),
			 0);
	assert_int_equal(json_parse(text.data, text.len, "test", &json, &err), 0);
	if (spec_load(json, ret, &err) < 0)
		fail_msg("%s", err.text);
}

void vm_start(struct vm *vm, const char *args, const char *members)
{
	static const struct agent_disk disk = { .kind = AGENT_MOUNT_ROOT,
						.source = "vda",
						.type = "erofs" };
	const struct agent_setup setup = { .disks = &disk,
					   .n_disks = 1,
					   .hosts = "127.0.0.1 localhost\n",
					   .rows = 30,
					   .columns = 70 };
	struct err err = { 0 };

	vm_raw(vm);
	vm_spec(args, members, &vm->spec);
	if (agent_init(&vm->agent, &vm_events, &vm->spec, &setup, &err) < 0)
		fail_msg("%s", err.text);
}

static void vm_read(int fd, struct buf *buf)
{
	char data[16384];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0) {
		assert_true(buf->len < VM_OUT_MAX);
		assert_int_equal(buf_add(buf, data, (size_t)n), 0);
	}
}

static void vm_carry(struct vm *vm)
{
	struct console *console = &vm->agent.console;
	AUTO(buf_fini) struct buf said = { 0 };
	char data[1024];
	int64_t n;

	vm_read(vm->control, &said);
	if (said.len)
		assert_int_equal(console->ops->write(console, said.data, said.len), said.len);
	while ((n = console->ops->read(console, data, sizeof(data))) > 0)
		assert_int_equal(fd_write_all(vm->control, data, (size_t)n), 0);
	vm_read(vm->out, &vm->out_text);
	vm_read(vm->err, &vm->err_text);
}

void vm_until(struct vm *vm, bool (*done)(const struct vm *vm))
{
	time_t start = time(NULL);

	for (;;) {
		vm_carry(vm);
		if (done(vm))
			return;
		struct pollfd polls[] = { { vm->control, POLLIN, 0 },
					  { vm->out, POLLIN, 0 },
					  { vm->err, POLLIN, 0 } };
		assert_true(poll(polls, 3, 1000) >= 0);
		if (time(NULL) - start > VM_WAIT_S || polls[0].revents & POLLHUP) {
			vm_carry(vm);
			if (done(vm))
				return;
			fail_msg(
				"the guest is silent: started %d failed %d (%s) exited %d, out '%s' err '%s'",
				vm->started, vm->failed, vm->why.text, vm->exited,
				buf_str(&vm->out_text), buf_str(&vm->err_text));
		}
	}
}

bool vm_has_started(const struct vm *vm)
{
	return vm->started || vm->failed;
}

bool vm_has_ended(const struct vm *vm)
{
	return vm->failed || (vm->exited && vm->out_text.len >= vm->end.stdout_bytes &&
			      vm->err_text.len >= vm->end.stderr_bytes);
}

int vm_off(struct vm *vm)
{
	int status = 0;

	if (vm->agent.events && (vm->exited || vm->failed)) {
		assert_int_equal(agent_stop(&vm->agent), 0);
		vm_carry(vm);
	}
	assert_int_equal(waitpid(vm->pid, &status, 0), vm->pid);
	vm->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

void vm_run(struct vm *vm, const char *args, const char *members, const char *input)
{
	vm_start(vm, args, members);
	if (input && *input)
		assert_int_equal(fd_write_all(vm->in, input, strlen(input)), 0);
	if (input) {
		fd_close(vm->in);
		vm->in = -EBADF;
		assert_int_equal(agent_stdin_eof(&vm->agent), 0);
	}
	vm_until(vm, vm_has_ended);
	assert_int_equal(vm_off(vm), 0);
}

void vm_fini(struct vm *vm)
{
	int status;

	fd_close(vm->control);
	fd_close(vm->in);
	fd_close(vm->out);
	fd_close(vm->err);
	if (vm->pid > 0) {
		(void)kill(vm->pid, SIGKILL);
		(void)waitpid(vm->pid, &status, 0);
	}
	agent_fini(&vm->agent);
	buf_fini(&vm->out_text);
	buf_fini(&vm->err_text);
	spec_fini(&vm->spec);
	(void)dir_remove(AT_FDCWD, vm->dir);
}

/* ---- sessions ---- */

static bool vm_relay_one(int from, int to)
{
	char data[16384];
	ssize_t n = read(from, data, sizeof(data));

	return n > 0 && fd_write_all(to, data, (size_t)n) == 0;
}

/* The vsock device: "CONNECT 1\n" opens the guest's port. */
static _Noreturn void vm_proxy(const struct vm *vm, int host)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int guest = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[16] = { 0 };

	for (size_t n = 0; n < sizeof(line) - 1 && !strchr(line, '\n'); n++) {
		if (read(host, line + n, 1) != 1)
			_exit(1);
	}
	memcpy(address.sun_path, vm->sock, strlen(vm->sock) + 1);
	if (strcmp(line, "CONNECT 1\n") != 0 ||
	    connect(guest, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fd_write_all(host, "OK 1024\n", 8) < 0)
		_exit(1);
	for (;;) {
		struct pollfd polls[] = { { host, POLLIN, 0 }, { guest, POLLIN, 0 } };
		if (poll(polls, 2, -1) < 0)
			_exit(1);
		if (polls[1].revents && !vm_relay_one(guest, host))
			_exit(0);
		if (polls[0].revents && !vm_relay_one(host, guest))
			_exit(0);
	}
}

int vm_connect(struct vm *vm, pid_t *ret_proxy)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*ret_proxy = fork();
	if (*ret_proxy == 0) {
		fd_close(pair[0]);
		vm_proxy(vm, pair[1]);
	}
	fd_close(pair[1]);
	return pair[0];
}

static int vm_file(void)
{
	char path[] = "/tmp/strata-guest-out-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	(void)unlink(path);
	return fd;
}

static int vm_filled(const char *text)
{
	int fd = vm_file();

	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void vm_slurp(int fd, struct buf *ret)
{
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(fd_read_all(fd, VM_OUT_MAX, ret), 0);
	fd_close(fd);
}

int vm_exec(struct vm *vm, const char *args, const char *members, const char *input,
	    struct buf *out, struct buf *error, int *ret_status, struct err *err)
{
	struct spec spec;
	pid_t proxy;
	struct agent_exec exec = { .socket = vm_connect(vm, &proxy),
				   .spec = &spec,
				   .in = -EBADF,
				   .out = vm_file(),
				   .err = vm_file(),
				   .tty = -EBADF,
				   .signals = -EBADF,
				   .started = -EBADF };

	vm_spec(args, members, &spec);
	if (input)
		exec.in = vm_filled(input);
	int r = agent_exec(&exec, ret_status, err);
	fd_close(exec.socket);
	fd_close(exec.in);
	vm_slurp(exec.out, out);
	vm_slurp(exec.err, error);
	spec_fini(&spec);
	assert_int_equal(waitpid(proxy, NULL, 0), proxy);
	return r;
}
