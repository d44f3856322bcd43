/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile host: frames of its session with anything in them, and bytes that are none. The rig aborts where the hypervisor breaks the
 * protocol (credit, one reply a request, one CLOSE an OPEN); at the end every byte of memory has to be back.
 *
 * Input: records: type (0xff: raw bytes; 0xfe: another client; 0xfd: the line is deaf for a while), stream, length in 4 bytes' units, payload.
 */
#include <stdlib.h>

#include "hypervisor/vm/channel_rig.h"

#define FRAMES_MOST 60U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* It may swallow the frames behind it: all but the HELLO of another client. */
static void noise(const uint8_t *bytes, size_t len)
{
	rig_deaf(false);
	rig_run();
	rig_raw(bytes, len);
	rig_run();
	rig_connect();
}

static void record(uint8_t type, uint8_t stream, const uint8_t *payload, size_t len)
{
	if (type == 0xfe)
		rig_connect();
	else if (type == 0xfd)
		rig_deaf(stream & 1);
	else if (type == 0xff)
		noise(payload, len);
	else if (type != CHANNEL_HELLO)
		rig_frame((enum channel_type)type, stream, payload, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_there;
	static size_t before;

	if (!is_there) {
		rig_init();
		before = rig_clear();
		is_there = true;
	}
	rig_connect();
	for (unsigned i = 0; i < FRAMES_MOST && size >= 3; i++) {
		size_t len = data[2] * 4U < size - 3 ? data[2] * 4U : size - 3;
		record(data[0], data[1], data + 3, len);
		if (data[0] & 1 || i % 8 == 7)
			rig_run();
		data += 3 + len;
		size -= 3 + len;
	}
	if (rig_clear() != before)
		abort();
	return 0;
}
