/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/ports.h"
#include "engines/vmm/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "base/os/self.h"
#include "engines/cgroup/instance.h"
#include "engines/rates.h"
#include "engines/vmm/guest_share.h"
#include "engines/vmm/sync.h"
#include "network/passt.h"
#include "network/tap.h"

struct vmm_guest {
	struct guest guest;
	struct cgroup_layout layout;
	struct cgroup cgroup;
	char cgroup_path[256];
	int joins[CGROUP_HIERARCHIES];
	unsigned n_joins;
	int sync; /* our end */
	struct passt passt;
	struct virtiofsd shares;
	bool has_cgroup, in_v2, reaped;
};

/* What the new process gets, in the order of its numbers: 0, 1, 2, VMM_SPEC_FD ... */
struct vmm_child {
	int fds[VMM_FDS];
	const char *program;
	const struct vmm_guest *g;
	pid_t parent;
};

static int guest_spec(const struct spec *spec, struct err *err)
{
	char *text = json_text(spec->json, 0);
	AUTO(fd_close_p) int fd = memfd_create("strata-spec", MFD_CLOEXEC);
	int r = !text ? -ENOMEM : fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));

	free(text);
	return r < 0 ? err_set(err, -r, "the virtual machine's spec") : fd_take(&fd);
}

static _Noreturn void child_failed(int sync, const char *what)
{
	struct err err = { 0 };

	(void)err_set(&err, errno, "%s", what);
	vmm_say_failed(sync, 125, &err);
	_exit(125);
}

/* Every fd first goes where no target lies. */
static void child_fds(struct vmm_child *child)
{
	int sync = child->fds[VMM_SYNC_FD];

	for (int i = 0; i < VMM_FDS; i++) {
		if (child->fds[i] < 0)
			continue;
		child->fds[i] = fcntl(child->fds[i], F_DUPFD_CLOEXEC, VMM_FDS);
		if (child->fds[i] < 0)
			child_failed(sync, "hand over the standard streams");
	}
	for (int i = 0; i < VMM_FDS; i++) {
		if (child->fds[i] < 0)
			(void)close(i); /* the monitor's own, or none */
		else if (dup2(child->fds[i], i) < 0)
			child_failed(child->fds[VMM_SYNC_FD], "hand over the standard streams");
	}
	(void)close_range(VMM_FDS, ~0U, 0); /* what is above is not its business */
}

static _Noreturn void child_main(struct vmm_child *child)
{
	static char *const env[] = { NULL };
	char *argv[] = { (char *)(uintptr_t) "strata-vmm", NULL };
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* valid arguments: cannot fail */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != child->parent)
		_exit(125); /* it died before that was set */
	child_fds(child);
	(void)execve(child->program, argv, env);
	child_failed(VMM_SYNC_FD, child->program);
}

static int guest_clone(struct vmm_guest *g, struct vmm_child *child, struct err *err)
{
	int pidfd = -EBADF;
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};

	child->parent = getpid();
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* for the machine's holder: vmm/holder.h */
	long pid = cgroup_clone_into(&args, cgroup_v2_fd(&g->cgroup), &g->in_v2);
	if (pid < 0)
		return err_set(err, errno, "start strata-vmm");
	if (pid == 0)
		child_main(child);
	g->guest.pid = (pid_t)pid;
	g->guest.wait_fd = pidfd;
	return g->in_v2 ? 0 : cgroup_instance_move(&g->cgroup, g->guest.pid, err);
}

static int guest_streams(struct vmm_guest *g, const struct spec *spec, const struct guest_io *io,
			 int ret[3], struct err *err)
{
	int slave = -EBADF;

	if (!spec->tty) {
		ret[0] = fcntl(io->in, F_DUPFD_CLOEXEC, 3);
		ret[1] = fcntl(io->out, F_DUPFD_CLOEXEC, 3);
		ret[2] = fcntl(io->err, F_DUPFD_CLOEXEC, 3);
		return ret[0] < 0 || ret[1] < 0 || ret[2] < 0
			       ? err_set(err, errno, "the standard streams")
			       : 0;
	}
	int r = vmm_raw_tty(&spec->tty_size, &g->guest.tty, &slave, err);
	if (r < 0)
		return r;
	ret[0] = slave;
	ret[1] = fcntl(slave, F_DUPFD_CLOEXEC, 3);
	ret[2] = fcntl(slave, F_DUPFD_CLOEXEC, 3);
	return ret[1] < 0 || ret[2] < 0 ? err_set(err, errno, "the terminal") : 0;
}

/* Whether its user may make cgroups: then it is in one, with all that it started. */
static bool guest_is_grouped(const struct vmm_guest *g)
{
	bool is = false;

	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		is = is || g->cgroup.fds[i] >= 0;
	return is;
}

/* It joins v1's by itself, once its holder is born outside of them; into v2's it is born. */
static void guest_hand_cgroups(struct vmm_guest *g, struct vmm_child *child)
{
	int v2 = g->layout.v2;

	_Static_assert(VMM_JOINS == CGROUP_HIERARCHIES, "room for each");
	for (unsigned i = 0; i < g->n_joins; i++)
		child->fds[VMM_JOIN_FD + i] = g->joins[i];
	g->n_joins = 0; /* the child's now */
	if (v2 >= 0 &&
	    guest_is_grouped(g)) /* where it cannot be opened, the holder is where the machine is */
		child->fds[VMM_HOME_FD] =
			open(g->layout.hierarchies[v2].mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int guest_passt(struct vmm_guest *g, const struct spec *spec, int *ret_fd, struct err *err)
{
	struct passt_port *ports = ports_of_passt(spec);

	if (!ports)
		return err_set(err, ENOMEM, "published ports");
	int r = passt_start(ports, spec->n_ports, &g->passt, ret_fd, err);
	free(ports);
	return r;
}

static int guest_open(struct vmm_guest *g, const struct spec *spec, const struct guest_dirs *dirs,
		      const struct guest_io *io, struct vmm_child *child, struct err *err)
{
	int pair[2];
	int r = guest_streams(g, spec, io, child->fds, err);

	if (r < 0)
		return r;
	r = guest_spec(spec, err);
	if (r < 0)
		return r;
	child->fds[VMM_SPEC_FD] = r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socket pair");
	g->sync = pair[0];
	child->fds[VMM_SYNC_FD] = pair[1];
	child->fds[VMM_RUN_FD] = open(dirs->run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (child->fds[VMM_RUN_FD] < 0)
		return err_set(err, errno, "open %s", dirs->run);
	r = guest_share_start(spec, &g->cgroup, g->joins, g->n_joins, &g->shares,
			      &child->fds[VMM_SHARE_FD], err);
	if (r < 0)
		return r;
	guest_hand_cgroups(g, child);
	if (spec->network == SPEC_NETWORK_PASST)
		return guest_passt(g, spec, &child->fds[VMM_TAP_FD], err);
	if (spec->network != SPEC_NETWORK_BRIDGE || !spec->endpoint.bridge)
		return 0;
	r = tap_create(spec->endpoint.host_if, spec->endpoint.bridge, &child->fds[VMM_TAP_FD], err);
	return r == 0 ? rates_start(spec, err) : r;
}

static int guest_cgroup(struct vmm_guest *g, const struct spec *spec, struct err *err)
{
	struct spec_limits limits;

	int r = cgroup_instance_path(spec->cgroup_parent, spec->id, g->cgroup_path, err);
	if (r == 0)
		r = cgroup_layout_read(NULL, &g->layout, err);
	if (r == 0)
		r = vmm_guest_limits(spec, &g->layout, &limits, err);
	if (r == 0)
		r = cgroup_prepare(&g->layout, g->cgroup_path, &limits, true, &g->cgroup, err);
	g->has_cgroup = r == 0;
	if (r == 0)
		r = cgroup_restrict(&g->cgroup, &limits, NULL, 0, true, err);
	return r == 0 ? cgroup_joins_open(&g->cgroup, g->joins, &g->n_joins, err) : r;
}

static int guest_launch(struct vmm_guest *g, const struct spec *spec, const struct guest_dirs *dirs,
			const struct guest_io *io, struct err *err)
{
	struct vmm_child child = { .g = g };
	char *program = NULL;

	for (int i = 0; i < VMM_FDS; i++)
		child.fds[i] = -EBADF;
	int r = self_helper_path("strata-vmm", &program, err);
	if (r == 0)
		r = guest_open(g, spec, dirs, io, &child, err);
	child.program = program;
	if (r == 0)
		r = guest_clone(g, &child, err);
	for (int i = 0; i < VMM_FDS; i++)
		fd_close(child.fds[i]);
	free(program);
	return r;
}

static int guest_ready(struct vmm_guest *g, struct err *err)
{
	int r = vmm_expect(g->sync, VMM_WORD_READY, NULL, err);

	if (r < 0)
		(void)virtiofsd_explain(&g->shares, 100, err); /* else it was something else */
	virtiofsd_quiet(&g->shares);
	return r;
}

int vmm_guest_create(const struct engine_ops *ops, const struct spec *spec,
		     const struct guest_dirs *dirs, const struct guest_io *io, struct guest **ret,
		     struct err *err)
{
	struct vmm_guest *g = calloc(1, sizeof(*g));
	if (!g)
		return err_set(err, ENOMEM, "virtual machine");
	g->guest = (struct guest){ .ops = ops, .wait_fd = -EBADF, .tty = -EBADF };
	g->sync = -EBADF;
	g->passt = (struct passt)PASST_NONE;
	g->shares = (struct virtiofsd)VIRTIOFSD_NONE;
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		g->cgroup.fds[i] = -EBADF;
	int r = guest_cgroup(g, spec, err);
	if (r == 0)
		r = guest_launch(g, spec, dirs, io, err);
	if (r == 0)
		r = guest_ready(g, err);
	if (r == 0 && spec->network == SPEC_NETWORK_PASST)
		r = passt_wait(&g->passt, err);
	if (r < 0) {
		vmm_guest_destroy(&g->guest);
		return r;
	}
	*ret = &g->guest;
	return 0;
}

int vmm_guest_start(struct guest *guest, int *ret_status, struct err *err)
{
	struct vmm_guest *g = container_of(guest, struct vmm_guest, guest);

	*ret_status = 125;
	(void)vmm_say(g->sync, VMM_WORD_GO); /* a dead one's last words are still to be read */
	int r = vmm_expect(g->sync, VMM_WORD_STARTED, ret_status, err);
	fd_close(g->sync);
	g->sync = -EBADF;
	return r;
}

int vmm_guest_reap(struct guest *guest, struct guest_end *ret)
{
	struct vmm_guest *g = container_of(guest, struct vmm_guest, guest);
	siginfo_t info = { 0 };

	while (waitid(P_PID, (id_t)guest->pid, &info, WEXITED) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	g->reaped = true;
	*ret = (struct guest_end){
		.status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status,
	};
	return 0;
}

void vmm_guest_destroy(struct guest *guest)
{
	if (!guest)
		return;
	struct vmm_guest *g = container_of(guest, struct vmm_guest, guest);

	fd_close(g->sync);
	for (unsigned i = 0; i < g->n_joins; i++)
		fd_close(g->joins[i]);
	if (guest->pid > 0 && !g->reaped) {
		(void)pidfd_signal(guest->wait_fd,
				   SIGKILL); /* gone already: the wait returns at once */
		while (waitid(P_PID, (id_t)guest->pid, NULL, WEXITED) < 0 && errno == EINTR)
			;
	}
	passt_stop(&g->passt);
	virtiofsd_stop(&g->shares);
	if (g->has_cgroup)
		(void)cgroup_destroy(&g->layout, g->cgroup_path, NULL); /* sweep tries again */
	/* A holder became ours when its machine ended (vmm/holder.h). Out of cgroups it may outlive us: then it is init's. */
	while (waitpid(-1, NULL, (guest_is_grouped(g) ? WNOHANG : 0) | __WALL) > 0)
		;
	cgroup_close(&g->cgroup);
	fd_close(guest->wait_fd);
	fd_close(guest->tty);
	free(g);
}

int vmm_guest_root_open(const struct spec *spec, pid_t pid, const char *state_dir, int *ret_users,
			struct err *err)
{
	(void)state_dir;
	(void)ret_users;
	if (!spec->vm.agent)
		return err_say(err, ENOTSUP,
			       "%s runs a kernel of its own, with no agent of ours inside: what "
			       "files it has only it knows",
			       spec->name);
	return err_say(
		err, ENOTSUP,
		pid > 0 ? "%s is a virtual machine: its files are inside it; use 'strata exec %s ...'"
			: "%s is a virtual machine that does not run, and its files are on its disk: start it first ('strata start %s')",
		spec->name, spec->name);
}
