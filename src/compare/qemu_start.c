/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of QEMU's: what it is made of. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "compare/child.h"
#include "compare/qemu_vm.h"
#include "engines/caps.h"
#include "engines/seccomp/seccomp.h"
#include "manager/manager.h"
#include "storage/ext4.h"
#include "storage/initramfs.h"
#include "storage/kernel.h"
#include "storage/rootdisk.h"

#define QEMU_WORDS	   64
#define QEMU_UPPER_BYTES   (INT64_C(16) << 30) /* as a machine of ours has it: sparse */
#define QEMU_UPPER_JOURNAL 16
#define QEMU_SHM_BYTES	   (64 << 20)
/* no_timer_check: TCG on a busy host is too late for the kernel to believe in its timer. The rest as ours. */
#define QEMU_APPEND "console=ttyS0 quiet panic=-1 reboot=t no_timer_check"

enum { QEMU_CONTROL, QEMU_IN, QEMU_OUT, QEMU_ERR, QEMU_QMP, QEMU_SOCKETS };

/* A command line whose words it owns. */
struct qemu_line {
	char *words[QEMU_WORDS + 1];
	size_t n;
	bool failed;
};

static void qemu_line_fini(struct qemu_line *line)
{
	for (size_t i = 0; i < line->n; i++)
		free(line->words[i]);
}

static void qemu_word(struct qemu_line *line, const char *format, ...) PRINTF_LIKE(2, 3);
static void qemu_word(struct qemu_line *line, const char *format, ...)
{
	va_list args;
	char *word;

	va_start(args, format);
	int n = line->n < QEMU_WORDS ? vasprintf(&word, format, args) : -1;
	va_end(args);
	if (n < 0)
		line->failed = true;
	else
		line->words[line->n++] = word;
}

/* QEMU's own options are cut at commas, which a path may have: there they are doubled. */
static char *qemu_escape(const char *path)
{
	AUTO(buf_fini) struct buf text = { 0 };

	for (; *path; path++)
		(void)buf_add(&text, *path == ',' ? ",," : path, *path == ',' ? 2 : 1); /* sticky */
	return buf_steal(&text);
}

/* A disk for reading is the image of all instances, which our own VMM locks in its way. */
static void qemu_disk(struct qemu_line *line, unsigned n, const char *path, bool read_only)
{
	char *escaped = qemu_escape(path);

	if (!escaped)
		line->failed = true;
	qemu_word(line, "-drive");
	qemu_word(line, "file=%s,if=none,id=disk%u,format=raw%s", escaped ? escaped : "", n,
		  read_only ? ",readonly=on,file.locking=off" : ",cache=writeback");
	qemu_word(line, "-device");
	qemu_word(line, "virtio-blk-pci,drive=disk%u,serial=strata-%u", n, n);
	free(escaped);
}

static void qemu_port(struct qemu_line *line, int fd, const char *name)
{
	qemu_word(line, "-chardev");
	qemu_word(line, "socket,id=%s,fd=%d", name, fd);
	qemu_word(line, "-device");
	qemu_word(line, "virtserialport,chardev=%s,name=%s", name, name);
}

static void qemu_machine(struct qemu_line *line, const struct column_setup *setup,
			 const struct qemu_files *files, const char *accel)
{
	static const char *const fixed[] = { "-cpu",	 "max",	 "-nodefaults", "-no-user-config",
					     "-display", "none", "-no-reboot" };

	qemu_word(line, "qemu-system-x86_64");
	qemu_word(line, "-M");
	qemu_word(line, "q35,accel=%s", accel);
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		qemu_word(line, "%s", fixed[i]);
	qemu_word(line, "-m");
	qemu_word(line, "%llu", (unsigned long long)setup->memory >> 20);
	qemu_word(line, "-smp");
	qemu_word(line, "%u", setup->cpus);
	qemu_word(line, "-kernel");
	qemu_word(line, "%s", files->kernel);
	qemu_word(line, "-initrd");
	qemu_word(line, "%s", files->initrd);
	qemu_word(line, "-append");
	qemu_word(line, QEMU_APPEND);
}

static void qemu_devices(struct qemu_line *line, const struct qemu_vm *vm,
			 const struct qemu_files *files, const int fds[QEMU_SOCKETS])
{
	char upper[3200];

	(void)snprintf(upper, sizeof(upper), "%s/upper", vm->dir); /* fits */
	qemu_disk(line, 0, files->root, true);
	qemu_disk(line, 1, upper, false);
	qemu_word(line, "-device");
	qemu_word(line, "virtio-rng-pci");
	qemu_word(line, "-serial");
	qemu_word(line, "null");
	qemu_word(line, "-device");
	qemu_word(line, "virtio-serial-pci");
	qemu_port(line, fds[QEMU_CONTROL], AGENT_PORT_CONTROL);
	qemu_port(line, fds[QEMU_IN], AGENT_PORT_STDIN);
	qemu_port(line, fds[QEMU_OUT], AGENT_PORT_STDOUT);
	qemu_port(line, fds[QEMU_ERR], AGENT_PORT_STDERR);
	qemu_word(line, "-chardev");
	qemu_word(line, "socket,id=qmp,fd=%d", fds[QEMU_QMP]);
	qemu_word(line, "-mon");
	qemu_word(line, "chardev=qmp,mode=control");
}

/* What strata-init is told: as the VMM's own vmm_agent.c has it. */
static int qemu_config(const struct column_setup *setup, const struct qemu_files *files,
		       const char *const *argv, struct buf *ret, struct err *err)
{
	static const struct agent_disk disks[] = {
		{ .kind = AGENT_MOUNT_ROOT,
		  .read_only = true,
		  .source = "id=strata-0",
		  .type = "erofs" },
		{ .kind = AGENT_MOUNT_UPPER, .source = "id=strata-1", .type = "ext4" },
	};
	const char *const *words = argv ? argv : qemu_shell;
	struct spec spec = { .args = (const char **)(uintptr_t)words,
			     .env = (const char **)(uintptr_t)setup->env,
			     .cwd = setup->cwd,
			     .user = setup->user,
			     .hostname = "compare",
			     .stdin_open = !argv,
			     .caps = caps_default,
			     .no_new_privileges = true,
			     .seccomp = files->seccomp,
			     .shm_bytes = QEMU_SHM_BYTES };
	const struct agent_setup agent = { .disks = disks,
					   .n_disks = ARRAY_SIZE(disks),
					   .clock_ns = (uint64_t)clock_real_ns() };

	while (words[spec.n_args])
		spec.n_args++;
	while (setup->env[spec.n_env])
		spec.n_env++;
	return agent_wire_config(ret, &spec, &agent, err);
}

struct qemu_sockets {
	int ours[QEMU_SOCKETS], theirs[QEMU_SOCKETS];
};

/* In the child: its ends are QEMU's. */
static int qemu_enter(void *arg, struct err *err)
{
	const struct qemu_sockets *sockets = arg;

	for (size_t i = 0; i < QEMU_SOCKETS; i++) {
		if (fcntl(sockets->theirs[i], F_SETFD, 0) < 0)
			return err_set(err, errno, "sockets of QEMU");
	}
	return 0;
}

static int qemu_sockets(struct qemu_sockets *ret, struct err *err)
{
	for (size_t i = 0; i < QEMU_SOCKETS; i++)
		ret->ours[i] = ret->theirs[i] = -EBADF;
	for (size_t i = 0; i < QEMU_SOCKETS; i++) {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return err_set(err, errno, "sockets of QEMU");
		ret->ours[i] = pair[0];
		ret->theirs[i] = pair[1];
		(void)fcntl(pair[0], F_SETFL, O_NONBLOCK); /* our own: cannot fail */
	}
	return 0;
}

static int qemu_launch(const struct column_setup *setup, const struct qemu_files *files,
		       const char *accel, struct qemu_vm *vm, struct qemu_sockets *sockets,
		       struct err *err)
{
	AUTO(qemu_line_fini) struct qemu_line line = { 0 };
	char path[3200];

	qemu_machine(&line, setup, files, accel);
	qemu_devices(&line, vm, files, sockets->theirs);
	if (line.failed)
		return err_set(err, ENOMEM, "QEMU's command line");
	(void)snprintf(path, sizeof(path), "%s/log", vm->dir); /* fits */
	AUTO(fd_close_p) int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const struct child child = { .argv = (const char *const *)(uintptr_t)line.words,
				     .group = &vm->group,
				     .enter = qemu_enter,
				     .arg = sockets };
	int r = child_start(&child, log, &vm->pid, &vm->begin_ns, err);
	if (r == 0) {
		vm->pidfd = pidfd_of(vm->pid);
		r = vm->pidfd < 0 ? err_set(err, -vm->pidfd, "watch QEMU") : 0;
	}
	return r;
}

static int qemu_place(const struct column_setup *setup, const char *name, struct qemu_vm *vm,
		      struct err *err)
{
	char path[3200];
	int n = snprintf(vm->dir, sizeof(vm->dir), "%s/%s", setup->scratch, name);

	if (n < 0 || (size_t)n >= sizeof(vm->dir) || (mkdir(vm->dir, 0700) < 0 && errno != EEXIST))
		return err_set(err, errno, "make %s", vm->dir);
	(void)snprintf(path, sizeof(path), "%s/upper", vm->dir); /* fits */
	return ext4_make(path, QEMU_UPPER_BYTES, QEMU_UPPER_JOURNAL, err);
}

int qemu_vm_start(const struct column_setup *setup, const struct qemu_files *files,
		  const char *accel, const char *name, const char *const *argv, struct qemu_vm *vm,
		  struct err *err)
{
	struct qemu_sockets sockets;

	/* In its place: its group is not to be moved. */
	*vm = (struct qemu_vm){ .made = true, .pidfd = -EBADF };
	frame_reader_init(&vm->reader, AGENT_CONTROL_MAX);
	group_make(setup->tag, name, NULL, &vm->group);
	int r = qemu_place(setup, name, vm, err);
	if (r == 0)
		r = qemu_config(setup, files, argv, &vm->config, err);
	int s = qemu_sockets(&sockets, r == 0 ? err : NULL);
	r = r < 0 ? r : s;
	vm->control = sockets.ours[QEMU_CONTROL];
	vm->in = sockets.ours[QEMU_IN];
	vm->out = sockets.ours[QEMU_OUT];
	vm->err = sockets.ours[QEMU_ERR];
	vm->qmp = sockets.ours[QEMU_QMP];
	if (r == 0)
		r = qemu_launch(setup, files, accel, vm, &sockets, err);
	for (size_t i = 0; i < QEMU_SOCKETS; i++)
		fd_close(sockets.theirs[i]);
	if (r < 0)
		qemu_vm_end(vm, NULL, NULL);
	return r;
}

int qemu_files_find(const struct column_setup *setup, struct qemu_files *ret, struct err *err)
{
	struct store *store = &setup->manager->store;
	AUTO(image_fini) struct image image = { 0 };
	AUTO(kernel_fini) struct kernel kernel = { 0 };
	int r = image_find(store, setup->image, &image, err);

	if (r == 0)
		r = kernel_find(store, NULL, &kernel, err);
	if (r == 0)
		r = rootdisk_path(store, &image, &ret->root, err);
	if (r == 0)
		r = initramfs_path(store, &kernel, &ret->initrd, err);
	if (r == 0)
		r = seccomp_filter(store, "default", caps_default, &ret->seccomp, err);
	if (r == 0) {
		ret->kernel = strdup(kernel.path);
		r = ret->kernel ? 0 : err_set(err, ENOMEM, "kernel");
	}
	return r;
}

void qemu_files_fini(struct qemu_files *files)
{
	free(files->kernel);
	free(files->initrd);
	free(files->root);
	free(files->seccomp);
	*files = (struct qemu_files){ 0 };
}
