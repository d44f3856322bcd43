/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strata-vmm: one virtual machine. Started by an instance's monitor with the fds of engines/vmm/sync.h, or by
 * hand with a file that holds a spec (docs/spec.md), on the caller's standard streams. With --free it gets the monitor's fds, but
 * belongs to nobody (struct vmm_fds): the OCI runtime's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "base/os/log.h"
#include "engines/baremetal/hv_guest.h"
#include "engines/hosted/hosted_cpu.h"
#include "engines/hybrid/hybrid_cpu.h"
#include "engines/hybrid/kvm.h"
#include "engines/vmm/sync.h"
#include "engines/vmm/vmm.h"

#define MAIN_SPEC_MAX (8 << 20)

static int main_spec(const char *path, struct spec *ret, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;
	int r;

	if (path) {
		r = file_read(AT_FDCWD, path, MAIN_SPEC_MAX, &text);
	} else {
		r = lseek(VMM_SPEC_FD, 0, SEEK_SET) < 0 ? -errno : 0;
		if (r == 0)
			r = fd_read_all(VMM_SPEC_FD, MAIN_SPEC_MAX, &text);
		fd_close(VMM_SPEC_FD);
	}
	if (r < 0)
		return err_set(err, -r, "read the spec%s%s", path ? " " : "", path ? path : "");
	r = json_parse(buf_str(&text), text.len, "spec", &json, err);
	return r < 0 ? r : spec_load(json, ret, err);
}

static int main_engine(const struct spec *spec, struct vmm_engine *ret, struct err *err)
{
	enum hybrid_cpu cpu = HYBRID_CPU_SOFTWARE;
	int r = 0;

	if (!strcmp(spec->virt, "hybrid"))
		r = hybrid_cpu_choose(spec, &cpu, err);
	else if (strcmp(spec->virt, "hosted") != 0)
		r = err_say(err, ENOTSUP, "strata-vmm runs no --virt %s", spec->virt);
	if (r < 0)
		return r;
	if (cpu == HYBRID_CPU_SOFTWARE) {
		*ret = (struct vmm_engine){
			.cpu = &hosted_cpu_ops,
			.vcpu_calls = hosted_vcpu_calls,
			.n_vcpu_calls = HOSTED_VCPU_CALLS,
		};
		return 0;
	}
	const struct kvm_requests vcpu = kvm_sealed_requests(KVM_THREAD_VCPU);
	const struct kvm_requests loop = kvm_sealed_requests(KVM_THREAD_IO);
	*ret = (struct vmm_engine){
		.cpu = &kvm_cpu_ops,
		.vcpu_ioctls = { vcpu.requests, vcpu.n },
		.loop_ioctls = { loop.requests, loop.n },
	};
	return 0;
}

static int main_fd(int fd)
{
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -EBADF : fd;
}

static void main_cgroups(struct vmm_fds *fds)
{
	fds->home = main_fd(VMM_HOME_FD);
	for (int fd = VMM_JOIN_FD; fd < VMM_FDS && main_fd(fd) >= 0; fd++)
		fds->joins[fds->n_joins++] = fd;
}

int main(int argc, char **argv)
{
	const bool is_free = argc == 2 && !strcmp(argv[1], "--free");
	const bool by_hand = argc == 2 && !is_free;
	struct vmm_fds fds = { .in = STDIN_FILENO,
			       .out = STDOUT_FILENO,
			       .err = STDERR_FILENO,
			       .sync = -EBADF,
			       .run = -EBADF,
			       .tap = -EBADF,
			       .share = -EBADF,
			       .home = -EBADF,
			       .free = is_free };
	struct vmm_engine engine = { 0 };
	struct spec spec = { 0 };
	struct err err = { 0 };
	int status = 125;

	if (argc > 2) {
		(void)fprintf(stderr, "usage: strata-vmm SPEC.json (see docs/spec.md); "
				      "normally 'strata run --virt hosted' or hybrid starts it\n");
		return 125;
	}
	if (!by_hand) {
		fds.sync = main_fd(VMM_SYNC_FD);
		fds.run = main_fd(VMM_RUN_FD);
		fds.tap = main_fd(VMM_TAP_FD);
		fds.share = main_fd(VMM_SHARE_FD);
		main_cgroups(&fds);
		/* So that SIGWINCH comes when the terminal's size changes. */
		if (isatty(STDIN_FILENO) && setsid() > 0)
			(void)ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	}
	int r = main_spec(by_hand ? argv[1] : NULL, &spec, &err);
	if (by_hand && r == 0 &&
	    (spec.network == SPEC_NETWORK_BRIDGE || spec.network == SPEC_NETWORK_PASST))
		fds.tap = main_fd(VMM_TAP_FD);
	if (by_hand && r == 0 && spec.vm.agent)
		fds.run = main_fd(VMM_RUN_FD);
	if (by_hand && r == 0 && spec_has_shares(&spec))
		fds.share = main_fd(VMM_SHARE_FD);
	const bool elsewhere = r == 0 && !by_hand && !strcmp(spec.virt, "bare-metal");
	if (r == 0 && !elsewhere)
		r = main_engine(&spec, &engine, &err);
	if (r < 0 && fds.sync >= 0) {
		vmm_say_failed(fds.sync, 125, &err);
		err = (struct err){ 0 };
	}
	if (elsewhere)
		r = hv_guest_run(&spec, &fds, &status, &err);
	else if (r == 0)
		r = vmm_run(&spec, &engine, &fds, &status, &err);
	if (r < 0 && err.code) /* else whoever started us says it */
		log_error(&err);
	spec_fini(&spec);
	return status;
}
