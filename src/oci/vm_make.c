/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual machine's maker, and its first process up to the point where that becomes strata-vmm: see vm.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "base/os/self.h"
#include "base/os/store.h"
#include "base/os/wait.h"
#include "engines/oslevel/namespace.h"
#include "engines/oslevel/start_wait.h"
#include "engines/cgroup/instance.h"
#include "engines/vmm/guest.h"
#include "engines/vmm/sync.h"
#include "engines/vmm/virtiofsd.h"
#include "network/link.h"
#include "network/takeover.h"
#include "oci/scope.h"
#include "oci/vm.h"
#include "storage/initramfs.h"
#include "storage/kernel.h"

#define VM_ALL_FDS  (VMM_FDS + VM_FDS)
#define VM_FILE_MAX ((size_t)1 << 20) /* of /etc/hosts and its like */

struct vm_work {
	const struct container *container;
	const struct config *config;
	const struct bundle_host *host;
	struct cgroup_layout layout;
	struct cgroup cgroup;
	int joins[CGROUP_HIERARCHIES];
	unsigned n_joins;
	int fds[VM_FDS];
	int run;	/* O_PATH of the container's directory */
	int ours, sync; /* the maker's end, the child's */
	struct vm_sharing sharing;
	struct virtiofsd server; /* the child's */
	int share;		 /* its socket */
	char *program, *initramfs;
	struct kernel kernel;
	pid_t pid;
};

static int word_say(int fd, enum vm_word word)
{
	return vmm_say(fd, (enum vmm_word)word);
}

static int word_expect(int fd, enum vm_word word, struct err *err)
{
	return vmm_expect(fd, (enum vmm_word)word, NULL, err);
}

static void work_fini(struct vm_work *work)
{
	for (int i = 0; i < VM_FDS; i++)
		fd_close(work->fds[i]);
	for (unsigned i = 0; i < work->n_joins; i++)
		fd_close(work->joins[i]);
	fd_close(work->run);
	fd_close(work->ours);
	fd_close(work->sync);
	free(work->program);
	free(work->initramfs);
	kernel_fini(&work->kernel);
	cgroup_close(&work->cgroup);
}

/* ---- the maker prepares ---- */

/* Kernels and what is made of them are files: the state database is not opened. */
static int work_kernel(struct vm_work *work, const char *root, struct err *err)
{
	struct store store = { .root = (char *)(uintptr_t)root, .root_fd = -EBADF };
	int r = dir_make(AT_FDCWD, root, 0711);

	if (r < 0)
		return err_set(err, -r, "make %s", root);
	AUTO(fd_close_p) int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "open %s", root);
	store.root_fd = fd;
	r = kernel_find(&store, NULL, &work->kernel, err);
	if (r == 0)
		r = initramfs_path(&store, &work->kernel, &work->initramfs, err);
	return r < 0 ? r : self_helper_path("strata-vmm", &work->program, err);
}

/* The guest gets them as they are now: strata-vmm finds them in the container's directory. */
static int work_files(struct vm_work *work, struct err *err)
{
	static const char *const files[][2] = { { "/etc/hosts", "hosts" },
						{ "/etc/resolv.conf", "resolv.conf" } };
	const struct bundle *bundle = &work->config->bundle;

	for (size_t i = 0; i < bundle->n_mounts; i++) {
		const struct bundle_mount *mount = &bundle->mounts[i];
		for (size_t k = 0; k < ARRAY_SIZE(files); k++) {
			AUTO(buf_fini) struct buf text = { 0 };
			if (mount->type || strcmp(mount->target, files[k][0]) != 0)
				continue;
			int r = file_read(AT_FDCWD, mount->source, VM_FILE_MAX, &text);
			if (r == 0)
				r = file_replace(work->container->dir, files[k][1], 0600,
						 buf_str(&text), text.len, false);
			if (r < 0)
				return err_set(err, -r, "copy %s", mount->source);
		}
	}
	return 0;
}

static int work_cgroup(struct vm_work *work, struct err *err)
{
	const struct bundle *bundle = &work->config->bundle;
	const struct spec_limits limits = vm_limits(&bundle->limits);
	int r = bundle_layout(&work->layout, err);

	scope_adopt(work->config, &work->layout);
	if (r == 0)
		r = cgroup_prepare(&work->layout, bundle->cgroup, &limits, true, &work->cgroup,
				   err);
	if (r < 0)
		return r;
	if (!cgroup_is_none(&work->cgroup))
		r = work->host->grouped(work->host->arg, err);
	if (r < 0) {
		cgroup_remove_empty(&work->layout, bundle->cgroup);
		return r;
	}
	r = cgroup_restrict(&work->cgroup, &limits, NULL, 0, true, err);
	for (size_t i = 0; r == 0 && i < bundle->n_settings; i++) {
		const enum cgroup_controller controller = bundle->settings[i].controller;
		if (controller != CGROUP_MEMORY && controller != CGROUP_PIDS)
			r = cgroup_settings_set(&work->cgroup, &bundle->settings[i], 1, err);
	}
	return r < 0 ? r : cgroup_joins_open(&work->cgroup, work->joins, &work->n_joins, err);
}

static int work_prepare(struct vm_work *work, const char *store, struct err *err)
{
	int r = work_kernel(work, store, err);

	if (r == 0)
		r = work_files(work, err);
	if (r == 0)
		r = vm_disks(work->config, &work->sharing, store, work->fds, err);
	if (r < 0)
		return r;
	if (work->host->seccomp >= 0) {
		work->fds[VM_SECCOMP_FD] = fcntl(work->host->seccomp, F_DUPFD_CLOEXEC, 3);
		if (work->fds[VM_SECCOMP_FD] < 0)
			return err_set(err, errno, "seccomp filter");
	}
	work->run = openat(work->container->dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (work->run < 0)
		return err_set(err, errno, "open the container's directory");
	return work_cgroup(work, err);
}

/* ---- the first process ---- */

static int child_namespaces(const struct bundle *bundle, struct err *err)
{
	static const uint64_t kinds[] = { CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct bundle_namespace *ns = bundle_namespace_of(bundle, kinds[i]);
		if (!ns)
			continue;
		int r = ns->path ? namespace_enter(ns->path, kinds[i], err) : 0;
		if (r < 0)
			return r;
		if (!ns->path && unshare((int)kinds[i]) < 0)
			return err_set(err, errno, "make the machine's namespaces");
	}
	return bundle_namespace_of(bundle, CLONE_NEWNET)->path ? 0 : link_lo_up(err);
}

/* The guest has a terminal of its own; what goes to and from it passes here as it is. */
static int child_tty(const struct vm_work *work, struct err *err)
{
	const struct iovec name = { .iov_base = (char[]){ "/dev/ptmx" }, .iov_len = 9 };
	int master, slave;
	int r = vmm_raw_tty(&work->config->bundle.process.tty_size, &master, &slave, err);

	if (r < 0)
		return r;
	r = fd_send(work->host->console, &name, 1, master);
	for (int i = 0; r == 0 && i < 3; i++)
		r = dup2(slave, i) < 0 ? -errno : 0;
	fd_close(master);
	fd_close(slave);
	return r < 0 ? err_set(err, -r, "send the terminal to the console socket") : 0;
}

static int child_setup(struct vm_work *work, struct err *err)
{
	const struct bundle_host *host = work->host;
	const struct bundle *bundle = &work->config->bundle;
	int r = cgroup_join(work->joins, work->n_joins);

	if (r < 0)
		return err_set(err, -r, "join the machine's cgroups");
	r = child_namespaces(bundle, err);
	if (r == 0)
		r = word_say(work->sync, VM_WORD_MADE);
	if (r == 0)
		r = vmm_expect(work->sync, VMM_WORD_GO, NULL, err);
	if (r == 0 && host->entering)
		r = host->entering(host->arg, getpid(), err);
	if (r == 0)
		r = vm_share(work->config, &work->sharing, &work->server, &work->share, err);
	return r == 0 && bundle->process.tty ? child_tty(work, err) : r;
}

static bool child_heard(int socket)
{
	return word_expect(socket, VM_WORD_BEGIN, NULL) == 0 &&
	       word_say(socket, VM_WORD_BEGIN) == 0;
}

/* As bundle.h's first process. */
static int child_wait(const struct vm_work *work, struct err *err)
{
	int r = word_say(work->sync, VM_WORD_DONE);

	if (r < 0)
		return err_set(err, -r, "tell that the machine is made");
	return start_wait(work->host->listener, child_heard, err);
}

static int child_spec(const struct vm_work *work, const struct takeover *net, struct err *err)
{
	const struct vm_parts parts = {
		.virt = work->container->virt,
		.kernel = work->kernel.path,
		.initramfs = work->initramfs,
		.net = net->name[0] ? net : NULL,
		.seccomp = work->fds[VM_SECCOMP_FD] >= 0,
		.sharing = work->sharing,
	};
	AUTO(json_decref_p) json_t *spec = vm_spec(work->config, work->container->id, &parts);
	char *text = spec ? json_text(spec, 0) : NULL;
	AUTO(fd_close_p) int fd = memfd_create("strata-spec", MFD_CLOEXEC);
	int r = !text ? -ENOMEM : fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));

	free(text);
	return r < 0 ? err_set(err, -r, "the virtual machine's spec") : fd_take(&fd);
}

/* Every fd first goes where no target lies. */
static int child_fds(int fds[VM_ALL_FDS], struct err *err)
{
	for (int i = 3; i < VM_ALL_FDS; i++) {
		if (fds[i] < 0)
			continue;
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, VM_ALL_FDS);
		if (fds[i] < 0)
			return err_set(err, errno, "hand over open files");
	}
	for (int i = 3; i < VM_ALL_FDS; i++) {
		if (fds[i] < 0)
			(void)close(i); /* one of ours, or none */
		else if (dup2(fds[i], i) < 0)
			return err_set(err, errno, "hand over open files");
	}
	return 0;
}

/* @sync: whoever starts it */
static int child_become(struct vm_work *work, int *sync, struct err *err)
{
	static char *const env[] = { NULL };
	char *argv[] = { (char[]){ "strata-vmm" }, (char[]){ "--free" }, NULL };
	struct takeover net;
	int fds[VM_ALL_FDS];
	sigset_t none;

	for (int i = 0; i < VM_ALL_FDS; i++)
		fds[i] = -EBADF;
	int r = takeover_read(&net, err);
	if (r == 0 && net.name[0])
		r = takeover_begin(&net, &fds[VMM_TAP_FD], err);
	if (r == 0) /* what it says later nobody hears */
		r = virtiofsd_explain(&work->server, 0, err);
	if (r == 0)
		r = fds[VMM_SPEC_FD] = child_spec(work, &net, err);
	if (r < 0)
		return r;
	fds[VMM_SYNC_FD] = *sync;
	fds[VMM_RUN_FD] = work->run;
	fds[VMM_SHARE_FD] = work->share;
	for (int i = 0; i < VM_FDS; i++)
		fds[VMM_FDS + i] = work->fds[i];
	r = child_fds(fds, err);
	*sync = VMM_SYNC_FD;
	if (r < 0)
		return r;
	(void)close_range(VM_ALL_FDS, ~0U, 0); /* what is above is not its business */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* valid arguments: cannot fail */
	(void)execve(work->program, argv, env);	     /* returns on error */
	return err_set(err, errno, "run %s", work->program);
}

static _Noreturn void vm_child(struct vm_work *work)
{
	struct err err = { 0 };
	int sync = work->sync;

	fd_close(work->host->lock);
	fd_close(work->ours);
	int r = child_setup(work, &err);
	if (r == 0 && work->host->listener >= 0) {
		r = child_wait(work, &err);
		if (r >= 0) {
			fd_close(work->sync);
			sync = r;
		}
	}
	if (r >= 0)
		r = child_become(work, &sync, &err);
	vmm_say_failed(sync, 125, &err);
	_exit(125);
}

/* ---- the maker raises it ---- */

static int work_clone(struct vm_work *work, struct err *err)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	int pair[2];
	bool into;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socket pair");
	work->ours = pair[0];
	work->sync = pair[1];
	long pid = cgroup_clone_into(&args, cgroup_v2_fd(&work->cgroup), &into);
	if (pid < 0)
		return err_set(err, errno, "start the virtual machine's process");
	if (pid == 0)
		vm_child(work);
	work->pid = (pid_t)pid;
	fd_close(work->sync);
	work->sync = -EBADF;
	return into ? 0 : cgroup_instance_move(&work->cgroup, work->pid, err);
}

static int work_oom_score(const struct vm_work *work, struct err *err)
{
	const struct bundle_process *process = &work->config->bundle.process;
	char path[48], text[16];

	if (!process->set_oom_score)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)work->pid); /* fits */
	(void)snprintf(text, sizeof(text), "%d", process->oom_score);
	int r = file_write(AT_FDCWD, path, text);
	return r < 0 ? err_set(err, -r, "process.oomScoreAdj %s", text) : 0;
}

/* Managers look for these words of a command that is not there, and tell it as status 127. */
static int vm_no_command(const struct bundle_process *process, int r, struct err *err)
{
	if (r != -ENOENT || strchr(process->args[0], '/'))
		return r;
	return err_say(err, ENOENT, "run %s: executable file not found in $PATH", process->args[0]);
}

/* The last words of a start: at first the machine is ready, then its workload runs. */
static int vm_started(int socket, const struct bundle_process *process, struct err *err)
{
	int status = 125;
	int r = vmm_expect(socket, VMM_WORD_READY, NULL, err);

	if (r < 0)
		return r;
	(void)vmm_say(socket, VMM_WORD_GO); /* a dead one's last words are still to be read */
	r = vmm_expect(socket, VMM_WORD_STARTED, &status, err);
	return status == 127 ? vm_no_command(process, r, err) : r;
}

static int work_raise(struct vm_work *work, struct err *err)
{
	const struct bundle_host *host = work->host;
	int r = word_expect(work->ours, VM_WORD_MADE, err);

	if (r == 0)
		r = work_oom_score(work, err);
	if (r == 0 && host->made)
		r = host->made(host->arg, work->pid, err);
	if (r == 0 && host->born)
		r = host->born(host->arg, work->pid, err);
	if (r == 0)
		(void)vmm_say(work->ours, VMM_WORD_GO); /* a death shows below */
	if (r < 0)
		return r;
	return host->listener >= 0 ? word_expect(work->ours, VM_WORD_DONE, err)
				   : vm_started(work->ours, &work->config->bundle.process, err);
}

static void work_kill(struct vm_work *work)
{
	if (work->pid <= 0)
		return;
	(void)kill(work->pid, SIGKILL); /* ours: there until waited for */
	(void)wait_child(work->pid);
}

int vm_create(const struct container *container, const struct config *config,
	      const struct vm_sharing *sharing, const char *store, const struct bundle_host *host,
	      pid_t *ret_pid, struct err *err)
{
	AUTO(work_fini)
	struct vm_work work = {
		.container = container,
		.config = config,
		.host = host,
		.run = -EBADF,
		.ours = -EBADF,
		.sync = -EBADF,
		.sharing = *sharing,
		.server = VIRTIOFSD_NONE,
		.share = -EBADF,
	};

	for (int i = 0; i < VM_FDS; i++)
		work.fds[i] = -EBADF;
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		work.cgroup.fds[i] = -EBADF;
	int r = work_prepare(&work, store, err);
	if (r == 0)
		r = work_clone(&work, err);
	if (r == 0)
		r = work_raise(&work, err);
	if (r == 0) {
		*ret_pid = work.pid;
		return 0;
	}
	work_kill(&work);
	return r;
}

int vm_start_by(int socket, const struct config *config, struct err *err)
{
	(void)word_say(socket, VM_WORD_BEGIN); /* a death shows below */
	if (word_expect(socket, VM_WORD_BEGIN, NULL) < 0)
		return err_say(err, ESTALE, "it was started meanwhile");
	return vm_started(socket, &config->bundle.process, err);
}
