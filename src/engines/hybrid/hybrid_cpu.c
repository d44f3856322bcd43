/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/hybrid_cpu.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/hybrid/kvm_kind.h"

#define BZIMAGE_MAGIC_AT                                                                           \
	0x202 /* Linux Documentation/arch/x86/boot.rst, The Real-Mode Kernel Header */

static bool cpu_is_linux(const char *path)
{
	AUTO(fd_close_p)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* it may be a FIFO */
	char magic[4];

	return fd >= 0 && pread(fd, magic, sizeof(magic), BZIMAGE_MAGIC_AT) == sizeof(magic) &&
	       !memcmp(magic, "HdrS", sizeof(magic));
}

int hybrid_cpu_choose(const struct spec *spec, enum hybrid_cpu *ret, struct err *err)
{
	struct kvm_kind kind;

	*ret = HYBRID_CPU_KVM;
	if (!spec->vm.agent && (!spec->vm.kernel || !cpu_is_linux(spec->vm.kernel)))
		return 0;
	int r = kvm_kind_measure(&kind, err);
	if (r == 0 && !kind.hardware)
		*ret = HYBRID_CPU_SOFTWARE;
	return r;
}
