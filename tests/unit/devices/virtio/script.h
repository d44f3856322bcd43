/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A hostile guest, driven by bytes: for the fuzz targets. Each step is an access to a register, a change of a ring or of
 * memory, a kick, a turn of the I/O thread, or something that the back end does (the target's own).
 */
#include "devices/virtio/driver.h"

struct script {
	const uint8_t *data;
	size_t size;
	struct rig *rig;
	uint16_t n_queues;
	/* What the back end does; which is from the script, arguments by script_take(). */
	void (*backend)(struct script *s, uint8_t which);
	void *arg;  /* of backend */
	bool waits; /* backend: chains wait for it now, and are looked at again and again */
};

/* script_take() - the next n (1..8) bytes as a number; zero at the end. */
uint64_t script_take(struct script *s, unsigned n);
/*
 * script_run() - until the bytes are used up. The rig is initialised and attached. abort() where a kick leads to
 * kicks without end, and nothing waits.
 */
void script_run(struct script *s);
/* script_end() - the back end has nothing under way any more: a reset has to succeed, and a start after it. */
void script_end(struct script *s);
