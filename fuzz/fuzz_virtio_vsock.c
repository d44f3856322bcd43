/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "devices/virtio/fakes.h"
#include "devices/virtio/script.h"
#include "devices/virtio/vsock.h"

#define CID 3U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scene {
	struct rig rig;
	struct fake_vsock host;
	struct virtio_vsock dev;
};

/* A packet that is mostly right: else the script would have to guess 44 bytes. */
static void packet(struct script *s, uint8_t which)
{
	struct rig *rig = s->rig;
	uint8_t header[44] = { 0 };
	const uint32_t len = which & 0x40 ? (uint32_t)script_take(s, 2) : 0;
	const struct rig_buf bufs[] = { { RIG_DATA_GPA + 0x20000, 44, false },
					{ RIG_DATA_GPA + 0x20100, len, false } };

	if (!rig->queues[1].size)
		return;
	le64_store(header, CID);
	le64_store(header + 8, 2);
	le32_store(header + 16, which & 3);
	le32_store(header + 20, which & 4 ? VSOCK_HOST_PORTS + 1 : 80);
	le32_store(header + 24, len);
	le16_store(header + 28, 1);
	le16_store(header + 30, which >> 3 & 7);
	le32_store(header + 32, (uint32_t)script_take(s, 1) & 3);
	le32_store(header + 36, (uint32_t)script_take(s, 2));
	le32_store(header + 40, (uint32_t)script_take(s, 1) * 64);
	memcpy(rig_at(rig, bufs[0].gpa), header, sizeof(header));
	(void)rig_add(rig, 1, bufs, 2, false);
	rig_kick(rig, 1);
	rig_run(rig);
}

static void endpoint(struct scene *scene, struct script *s, uint8_t which)
{
	struct fake_endpoint *e = &scene->host.endpoints[which % 3];
	struct vsock_stream *stream = e->stream;

	if (!stream)
		return;
	e->room = script_take(s, 1) * 300 % sizeof(e->out);
	e->n_out = 0;
	e->n_in = script_take(s, 1);
	e->ended = which & 0x10;
	e->broken = (which & 0x60) == 0x60;
	if (which & 4)
		virtio_vsock_writable(&scene->dev, stream);
	if (which & 8 && e->stream)
		virtio_vsock_readable(&scene->dev, stream);
	if ((which & 0x70) == 0x70 && e->stream) {
		virtio_vsock_abort(&scene->dev, stream);
		e->stream = NULL;
	}
	if (e->stream && !e->connected && which & 0x20) {
		virtio_vsock_connected(&scene->dev, stream);
		e->connected = true;
	}
}

static void backend(struct script *s, uint8_t which)
{
	struct scene *scene = s->arg;
	struct vsock_stream *stream;

	if (which & 0x80) {
		packet(s, which);
	} else if (which < 4) {
		static const int answers[] = { 0, -EINPROGRESS, -ECONNREFUSED, 0 };
		scene->host.answer = answers[which];
	} else if (which < 8) {
		(void)virtio_vsock_connect(&scene->dev, which & 3, NULL, &stream);
		rig_run(s->rig);
	} else {
		endpoint(scene, s, which);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene scene;
	struct script s = { data, size, &scene.rig, 3, backend, &scene, false };

	if (!rig_init(&scene.rig))
		return 0;
	fake_vsock_init(&scene.host);
	virtio_vsock_init(&scene.dev, &scene.rig.place, CID, &scene.host.host, &scene.host.heap);
	if (rig_attach(&scene.rig, &scene.dev.virtio)) {
		script_run(&s);
		script_end(&s);
		if (scene.host.n_buffers)
			abort(); /* a stream that was not freed */
	}
	rig_fini(&scene.rig);
	return 0;
}
