/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/fakes.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void backend(struct script *s, uint8_t which)
{
	struct fake_entropy *entropy = s->arg;

	entropy->fail = which & 1 ? -5 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig rig;
	static struct fake_entropy entropy;
	static struct virtio_rng rng;
	struct script s = { data, size, &rig, 1, backend, &entropy, false };

	if (!rig_init(&rig))
		return 0;
	fake_entropy_init(&entropy);
	virtio_rng_init(&rng, &rig.place, &entropy.entropy);
	if (rig_attach(&rig, &rng.virtio)) {
		script_run(&s);
		script_end(&s);
	}
	rig_fini(&rig);
	return 0;
}
