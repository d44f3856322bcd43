/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/macros.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/fakes.h"
#include "devices/virtio/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void backend(struct script *s, uint8_t which)
{
	struct virtio_balloon *balloon = s->arg;

	/* Chains wait for their answers, and get them. */
	s->waits = which & 2;
	container_of(balloon->host, struct fake_balloon, host)->is_short = s->waits;
	if (which & 1)
		virtio_balloon_ask(balloon);
	else
		virtio_balloon_target(balloon, (uint64_t)which << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig rig;
	static struct fake_balloon host;
	static struct virtio_balloon balloon;
	struct script s = { data, size, &rig, 5, backend, &balloon, false };

	if (!rig_init(&rig))
		return 0;
	fake_balloon_init(&host);
	virtio_balloon_init(&balloon, &rig.place, &host.host);
	if (rig_attach(&rig, &balloon.virtio)) {
		script_run(&s);
		script_end(&s);
	}
	rig_fini(&rig);
	return 0;
}
