/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/console.h"
#include "devices/virtio/fakes.h"
#include "devices/virtio/script.h"

#define PORTS 3U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scene {
	struct rig rig;
	struct fake_console ports[PORTS];
	struct virtio_console dev;
};

static void backend(struct script *s, uint8_t which)
{
	struct scene *scene = s->arg;
	struct fake_console *port = &scene->ports[which % PORTS];

	switch (which / PORTS % 6) {
	case 0:
		port->room = script_take(s, 1);
		port->n_out = 0;
		port->console.writable(&port->console, port->console.arg);
		break;
	case 1:
		port->broken = !port->broken;
		break;
	case 2:
		port->ended = !port->ended;
		break;
	case 3:
		virtio_console_resize(&scene->dev, which % (PORTS + 1), which, 7);
		break;
	default:
		fake_console_put(port, s->data, s->size < 100 ? s->size : 100);
		port->console.readable(&port->console, port->console.arg);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene scene;
	struct script s = { data, size, &scene.rig, 2 * PORTS + 2, backend, &scene, false };
	const struct console_port_config ports[PORTS] = {
		{ "a-name-of-more-than-thirty-one-bytes", &scene.ports[0].console, true },
		{ "b", &scene.ports[1].console, false },
		{ NULL, &scene.ports[2].console, false },
	};

	if (!rig_init(&scene.rig))
		return 0;
	for (unsigned i = 0; i < PORTS; i++)
		fake_console_init(&scene.ports[i]);
	virtio_console_init(&scene.dev, &scene.rig.place, ports, PORTS);
	if (rig_attach(&scene.rig, &scene.dev.virtio)) {
		script_run(&s);
		script_end(&s);
	}
	rig_fini(&scene.rig);
	return 0;
}
