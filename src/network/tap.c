/* SPDX-License-Identifier: Apache-2.0 */
#include "network/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "network/link.h"

#define TAP_HEADER 12 /* struct virtio_net_hdr_mrg_rxbuf */

int tap_open(const char *name, int *ret_fd, struct err *err)
{
	AUTO(fd_close_p) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
						      IFF_TUN_EXCL) };
	int header = TAP_HEADER;

	if (fd < 0)
		return err_set(err, errno, "open /dev/net/tun for a virtual machine's network");
	if (strlen(name) >= sizeof(request.ifr_name))
		return err_say(err, EINVAL, "tap %s: the name is too long", name);
	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name); /* fits */
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return err_set(err, errno, "make tap %s", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return err_set(err, errno, "tap %s: header of %d bytes", name, header);
	*ret_fd = fd_take(&fd);
	return 0;
}

int tap_create(const char *name, const char *bridge, int *ret_fd, struct err *err)
{
	AUTO(fd_close_p) int fd = -EBADF;
	int r = tap_open(name, &fd, err);

	if (r == 0)
		r = link_join(name, bridge, err);
	if (r == 0)
		*ret_fd = fd_take(&fd);
	return r;
}
