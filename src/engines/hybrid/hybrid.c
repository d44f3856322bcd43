/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/hybrid.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/hybrid/kvm_kind.h"
#include "engines/hybrid/kvm_probe.h"
#include "engines/vmm/guest.h"

#define BZIMAGE_MAGIC_AT                                                                           \
	0x202 /* Linux Documentation/arch/x86/boot.rst, The Real-Mode Kernel Header */

static bool hybrid_is_linux(const char *path)
{
	AUTO(fd_close_p)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* it may be a FIFO */
	char magic[4];

	return fd >= 0 && pread(fd, magic, sizeof(magic), BZIMAGE_MAGIC_AT) == sizeof(magic) &&
	       !memcmp(magic, "HdrS", sizeof(magic));
}

/*
 * A KVM without hardware assistance interprets a kernel's own code, a million instructions a second, and not all of
 * them: a distribution's kernel would unpack itself for minutes, and then fail.
 */
static int hybrid_check(const struct spec *spec, struct err *err)
{
	struct kvm_kind kind;
	int r = vmm_guest_check(spec, err);

	if (r < 0 || (!spec->vm.agent && (!spec->vm.kernel || !hybrid_is_linux(spec->vm.kernel))))
		return r;
	r = kvm_kind_measure(&kind, err);
	if (r < 0 || kind.hardware)
		return r;
	return err_say(
		err, ENOTSUP,
		"--virt hybrid: this host's KVM has no hardware assistance, and a distribution's "
		"kernel does not run on it: use --virt os-level for an image ('strata info' says "
		"more)");
}

static int hybrid_create(const struct spec *spec, const struct guest_dirs *dirs,
			 const struct guest_io *io, struct guest **ret, struct err *err)
{
	return vmm_guest_create(&hybrid_engine, spec, dirs, io, ret, err);
}

const struct engine_ops hybrid_engine = {
	.name = "hybrid",
	.machines = true,
	.check = hybrid_check,
	.probe = kvm_probe,
	.create = hybrid_create,
	.start = vmm_guest_start,
	.reap = vmm_guest_reap,
	.destroy = vmm_guest_destroy,
	.freeze = vmm_guest_freeze,
	.stats = vmm_guest_stats,
	.processes = vmm_guest_processes,
	.root_open = vmm_guest_root_open,
	.files = &vmm_guest_files,
	.sweep = vmm_guest_sweep,
	.exec = vmm_guest_exec,
};
