/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/os/fd.h"

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	return kvm_ioctl_nr(fd, request, (unsigned long)(uintptr_t)arg);
}

int kvm_ioctl_nr(int fd, unsigned long request, unsigned long arg)
{
	int r;

	do {
		r = ioctl(fd, request, arg);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

unsigned kvm_cap(int fd, unsigned cap)
{
	int r = kvm_ioctl_nr(fd, KVM_CHECK_EXTENSION, cap);

	return r < 0 ? 0 : (unsigned)r;
}

/* What stands in the way, and what to do. */
static int dev_refused(int code, struct err *err)
{
	if (code == ENOENT || code == ENODEV || code == ENXIO)
		return err_say(err, code,
			       "%s: there is no KVM here; load kvm-amd or kvm-intel, or enable "
			       "virtualization in the firmware (or in the VM around this host)",
			       KVM_DEV_PATH);
	if (code == EACCES || code == EPERM)
		return err_say(err, code,
			       "%s: not allowed for this user; add it to the group that owns the "
			       "file (kvm), or allow the device in this container",
			       KVM_DEV_PATH);
	return err_set(err, code, "open %s", KVM_DEV_PATH);
}

int kvm_dev_open(int *ret_fd, struct err *err)
{
	AUTO(fd_close_p) int fd = open(KVM_DEV_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return dev_refused(errno, err);
	int version = kvm_ioctl_nr(fd, KVM_GET_API_VERSION, 0);
	if (version < 0)
		return err_set(err, -version, "ask %s for its version", KVM_DEV_PATH);
	if (version != KVM_API_VERSION)
		return err_say(err, ENOTSUP, "%s speaks version %d of its interface, not %d",
			       KVM_DEV_PATH, version, KVM_API_VERSION);
	*ret_fd = fd_take(&fd);
	return 0;
}
