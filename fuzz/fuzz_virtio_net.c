/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "devices/virtio/fakes.h"
#include "devices/virtio/net.h"
#include "devices/virtio/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void backend(struct script *s, uint8_t which)
{
	struct fake_net *net = s->arg;

	if (which < 32)
		net->full = which & 1;
	else if (which < 48)
		net->receive_error = -EIO;
	else
		(void)fake_net_put(net, (uint32_t)script_take(s, 2) + (which & 1) * 4000U);
	if (!net->full)
		net->net.writable(&net->net, net->net.arg);
	net->net.readable(&net->net, net->net.arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig rig;
	static struct fake_net net;
	static struct virtio_net dev;
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct script s = { data, size, &rig, 3, backend, &net, false };
	const uint8_t flags = (uint8_t)script_take(&s, 1);

	if (!rig_init(&rig))
		return 0;
	fake_net_init(&net, flags & 1 ? UINT64_MAX : 0, flags & 2 ? 9000 : 0);
	virtio_net_init(&dev, &rig.place, &net.net, mac);
	if (rig_attach(&rig, &dev.virtio)) {
		script_run(&s);
		script_end(&s);
	}
	rig_fini(&rig);
	return 0;
}
