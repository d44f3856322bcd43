/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A vhost-user program in the same thread: what it would say to vhost_user_begin() is written before it is asked. For tests and fuzz targets. */
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/core/bytes.h"

#define FAKE_VERSION_1 (UINT64_C(1) << 32)
#define FAKE_PROTOCOL  (UINT64_C(1) << 30)
#define FAKE_ACK       (UINT64_C(1) << 3)

static inline void vhost_fake_say(int fd, uint32_t request, uint32_t flags, uint32_t len,
				  uint64_t value)
{
	uint8_t message[20];

	le32_store(message, request);
	le32_store(message + 4, flags);
	le32_store(message + 8, len);
	le64_store(message + 12, value);
	(void)!send(fd, message, sizeof(message), MSG_NOSIGNAL);
}

/* Every answer to vhost_user_begin() with so many rings; the n-th, from 0, says `failed`. */
static inline void vhost_fake_agree(int fd, unsigned rings, unsigned n, uint64_t failed)
{
	static const uint8_t first[] = { 3, 2, 5 }, ring[] = { 8, 10, 9, 13, 12, 18 };

	vhost_fake_say(fd, 1, 5, 8, FAKE_VERSION_1 | FAKE_PROTOCOL | 1);
	vhost_fake_say(fd, 15, 5, 8, FAKE_ACK | 1);
	for (unsigned i = 0; i < sizeof(first); i++, n--)
		vhost_fake_say(fd, first[i], 5, 8, n ? 0 : failed);
	for (unsigned i = 0; i < rings * sizeof(ring); i++, n--)
		vhost_fake_say(fd, ring[i % sizeof(ring)], 5, 8, n ? 0 : failed);
	vhost_fake_say(fd, 1, 5, 8, FAKE_VERSION_1);
}
