/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/fake_share.h"
#include "devices/virtio/fs.h"
#include "devices/virtio/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A share that says whatever the script says. */
static void backend(struct script *s, uint8_t which)
{
	struct fake_share *share = s->arg;

	if (which < 16)
		share->refuse = which ? -(int)which : 0;
	else if (which < 64)
		(void)fake_share_result(share, which % 16, (int64_t)script_take(s, 8));
	else if (which < 96) /* well behaved */
		(void)fake_share_answer(share, which % 16, which, which, 0);
	else
		(void)fake_share_answer(share, which % 16, (uint32_t)script_take(s, 3),
					(uint32_t)script_take(s, 4), (int32_t)script_take(s, 4));
}

/* Whatever the guest and the share do: requests keep the contract of share_ops (fake_share.c checks), and a reset heals. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig rig;
	static struct fake_share share;
	static struct virtio_fs fs;
	struct script s = { data, size, &rig, 2, backend, &share, false };

	if (!rig_init(&rig))
		return 0;
	fake_share_init(&share);
	virtio_fs_init(&fs, &rig.place, &share.share, "tag");
	if (rig_attach(&rig, &fs.virtio)) {
		script_run(&s);
		while (fake_share_result(&share, 0, -5))
			rig_run(&rig);
		share.refuse = -5;
		script_end(&s);
	}
	rig_fini(&rig);
	return 0;
}
