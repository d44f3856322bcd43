/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's entropy, balloon and network. */
#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <sys/random.h>

#include "engines/vmm/devices.h"
#include "network/link.h"
#include "network/passt.h"
#include "network/tap.h"

static int extras_entropy_get(struct entropy *entropy, void *ret, size_t len)
{
	(void)entropy;
	/* Never blocks: the host's pool was filled when it booted. */
	return getrandom(ret, len, GRND_NONBLOCK) == (ssize_t)len ? 0 : -EAGAIN;
}

static const struct entropy_ops extras_entropy_ops = { .get = extras_entropy_get };

static int extras_rng(struct vmm *vmm, struct vmm_extras *x, struct err *err)
{
	int r = vmm_virtio_open(&x->rng_host, vmm, err);
	if (r < 0)
		return r;
	const struct virtio_place place = { .mem = &vmm->mem, .host = &x->rng_host.host };
	x->entropy.ops = &extras_entropy_ops;
	virtio_rng_init(&x->rng, &place, &x->entropy);
	return vmm_virtio_attach(&x->rng_host, &x->rng.virtio, err);
}

static void extras_release(struct balloon_host *host, gpa_t gpa, uint64_t len)
{
	const struct vmm *vmm = container_of(host, struct vmm_extras, balloon_ops)->vmm;

	vmm_memory_discard(&vmm->memory, &vmm->mem, gpa, len);
}

static const struct balloon_host_ops extras_balloon_ops = { .release = extras_release };

static int extras_balloon(struct vmm *vmm, struct vmm_extras *x, struct err *err)
{
	int r = vmm_virtio_open(&x->balloon_host, vmm, err);
	if (r < 0)
		return r;
	const struct virtio_place place = { .mem = &vmm->mem, .host = &x->balloon_host.host };
	x->balloon_ops.ops = &extras_balloon_ops;
	/* The target holds: who is short of memory is short of it, and inside there is as much as was said. */
	x->balloon_ops.without = VIRTIO_BIT(BALLOON_F_DEFLATE_ON_OOM);
	virtio_balloon_init(&x->balloon, &place, &x->balloon_ops);
	r = vmm_virtio_attach(&x->balloon_host, &x->balloon.virtio, err);
	return r == 0 ? vmm_target_open(vmm, x, err) : r;
}

static void extras_mac(const struct vmm *vmm, uint8_t ret[6])
{
	static const uint8_t unasked[6] = { 0x02, 0x53, 0, 0, 0, 1 }; /* locally administered */

	memcpy(ret, unasked, sizeof(unasked));
	if (vmm->spec->endpoint.mac)
		(void)link_mac_parse(vmm->spec->endpoint.mac, ret); /* checked by the spec */
}

static int extras_net(struct vmm *vmm, struct vmm_extras *x, struct err *err)
{
	uint8_t mac[6];
	int tap = vmm->fds.tap;

	vmm->fds.tap = -EBADF; /* the back end's, whatever comes */
	int r = vmm->spec->network == SPEC_NETWORK_PASST
			? net_passt_open(tap, vmm->loop, &x->net, err)
			: net_tap_open(tap, vmm->loop, &x->net, err);
	if (r == 0 && vmm->spec->endpoint.mtu)
		x->net->mtu = (uint16_t)vmm->spec->endpoint.mtu;
	if (r == 0)
		r = vmm_virtio_open(&x->nic_host, vmm, err);
	if (r < 0)
		return r;
	const struct virtio_place place = { .mem = &vmm->mem, .host = &x->nic_host.host };
	extras_mac(vmm, mac);
	virtio_net_init(&x->nic, &place, x->net, mac);
	return vmm_virtio_attach(&x->nic_host, &x->nic.virtio, err);
}

int vmm_extras_create(struct vmm *vmm, struct err *err)
{
	const struct spec_vm *vm = &vmm->spec->vm;
	struct vmm_extras *x = calloc(1, sizeof(*x));
	int r = 0;

	if (!x)
		return err_set(err, ENOMEM, "devices");
	x->vmm = vmm;
	vmm->devices->extras = x;
	if (vm->rng)
		r = extras_rng(vmm, x, err);
	if (r == 0 && vm->balloon)
		r = extras_balloon(vmm, x, err);
	return r == 0 && vmm->fds.tap >= 0 ? extras_net(vmm, x, err) : r;
}
