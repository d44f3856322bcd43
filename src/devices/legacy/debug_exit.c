/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/legacy/debug_exit.h"

#include "base/core/macros.h"
#include "machine/layout.h"

static uint64_t debug_exit_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	(void)region;
	(void)offset;
	(void)len;
	return 0;
}

static void debug_exit_write(struct bus_region *region, uint64_t offset, unsigned len,
			     uint64_t value)
{
	struct debug_exit *dev = container_of(region, struct debug_exit, region);

	(void)len;
	if (offset == 0)
		dev->events->ops->exit(dev->events, (int)((value << 1 | 1) & 0xff));
}

static const struct bus_ops debug_exit_ops = {
	.name = "debug-exit",
	.read = debug_exit_read,
	.write = debug_exit_write,
};

int debug_exit_init(struct debug_exit *dev, struct bus *pio, struct machine_events *events,
		    struct err *err)
{
	*dev = (struct debug_exit){
		.region = { .ops = &debug_exit_ops, .base = PORT_DEBUG_EXIT, .size = 4 },
		.events = events,
	};
	int r = bus_add(pio, &dev->region);
	return r < 0 ? err_say(err, -r, "add the debug exit: its port is taken") : 0;
}
