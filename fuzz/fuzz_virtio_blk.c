/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/blk.h"
#include "devices/virtio/fake_disk.h"
#include "devices/virtio/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void backend(struct script *s, uint8_t which)
{
	struct fake_disk *disk = s->arg;

	if (which < 16)
		disk->fail = -(int)which;
	else
		(void)fake_disk_complete(disk, which % FAKE_DISK_REQUESTS);
}

/* Whatever the guest does: requests keep the contract of disk_ops (fake_disk.c checks), and a reset heals. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig rig;
	static struct fake_disk disk;
	static struct virtio_blk blk;
	struct script s = { data, size, &rig, 1, backend, &disk, false };
	const uint8_t flags = (uint8_t)script_take(&s, 1);

	if (!rig_init(&rig))
		return 0;
	fake_disk_init(&disk);
	disk.disk.read_only = flags & 1;
	disk.disk.can_discard = flags & 2;
	disk.async = flags & 4;
	virtio_blk_init(&blk, &rig.place, &disk.disk);
	if (rig_attach(&rig, &blk.virtio)) {
		script_run(&s);
		while (fake_disk_complete(&disk, 0))
			rig_run(&rig);
		disk.async = false;
		script_end(&s);
	}
	rig_fini(&rig);
	return 0;
}
