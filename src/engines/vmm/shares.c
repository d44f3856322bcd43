/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's shared folders: one virtio-fs over the program that whoever started us has started. */
#include <errno.h>
#include <stdlib.h>

#include "engines/vmm/devices.h"

static int shares_open(struct vmm *vmm, struct vmm_shares *s, struct err *err)
{
	const int socket = vmm->fds.share;

	vmm->fds.share = -EBADF; /* the server's, whatever comes */
	int r = vhost_fs_open(&s->server, socket, vmm->loop, err);
	if (r == 0)
		r = vmm_virtio_open(&s->host, vmm, err);
	if (r < 0)
		return r;
	const struct virtio_place place = { .mem = &vmm->mem, .host = &s->host.host };
	virtio_fs_init(&s->dev, &place, &s->server.share, SPEC_SHARE_TAG);
	return vmm_virtio_attach(&s->host, &s->dev.virtio, err);
}

int vmm_shares_create(struct vmm *vmm, struct err *err)
{
	if (!spec_has_shares(vmm->spec))
		return 0;
	if (vmm->fds.share < 0)
		return err_say(err, EINVAL,
			       "shared folders: there is no socket of a program that serves them");
	struct vmm_shares *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "shared folders");
	vmm->devices->shares = s;
	return shares_open(vmm, s, err);
}
