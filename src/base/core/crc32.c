/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four bytes at a time by four tables: at(k, b) is byte b's share with k zero bytes behind it. A CRC is linear, so each entry
 * is the sum of its bits' shares: eight constants a table, and the compiler has the rest.
 */
#include "base/core/crc32.h"

#include <string.h>

#define BIT(i, n, share) ((i) >> (n)&1U ? UINT32_C(share) : 0U)
#define AT0(i)                                                                                     \
	(BIT(i, 0, 0x77073096) ^ BIT(i, 1, 0xee0e612c) ^ BIT(i, 2, 0x076dc419) ^                   \
	 BIT(i, 3, 0x0edb8832) ^ BIT(i, 4, 0x1db71064) ^ BIT(i, 5, 0x3b6e20c8) ^                   \
	 BIT(i, 6, 0x76dc4190) ^ BIT(i, 7, 0xedb88320))
#define AT1(i)                                                                                     \
	(BIT(i, 0, 0x191b3141) ^ BIT(i, 1, 0x32366282) ^ BIT(i, 2, 0x646cc504) ^                   \
	 BIT(i, 3, 0xc8d98a08) ^ BIT(i, 4, 0x4ac21251) ^ BIT(i, 5, 0x958424a2) ^                   \
	 BIT(i, 6, 0xf0794f05) ^ BIT(i, 7, 0x3b83984b))
#define AT2(i)                                                                                     \
	(BIT(i, 0, 0x01c26a37) ^ BIT(i, 1, 0x0384d46e) ^ BIT(i, 2, 0x0709a8dc) ^                   \
	 BIT(i, 3, 0x0e1351b8) ^ BIT(i, 4, 0x1c26a370) ^ BIT(i, 5, 0x384d46e0) ^                   \
	 BIT(i, 6, 0x709a8dc0) ^ BIT(i, 7, 0xe1351b80))
#define AT3(i)                                                                                     \
	(BIT(i, 0, 0xb8bc6765) ^ BIT(i, 1, 0xaa09c88b) ^ BIT(i, 2, 0x8f629757) ^                   \
	 BIT(i, 3, 0xc5b428ef) ^ BIT(i, 4, 0x5019579f) ^ BIT(i, 5, 0xa032af3e) ^                   \
	 BIT(i, 6, 0x9b14583d) ^ BIT(i, 7, 0xed59b63b))
#define ROW4(at, i)  at(i), at((i) + 1), at((i) + 2), at((i) + 3)
#define ROW16(at, i) ROW4(at, i), ROW4(at, (i) + 4), ROW4(at, (i) + 8), ROW4(at, (i) + 12)
#define ROW64(at, i) ROW16(at, i), ROW16(at, (i) + 16), ROW16(at, (i) + 32), ROW16(at, (i) + 48)
#define ROW256(at)                                                                                 \
	{                                                                                          \
		ROW64(at, 0U), ROW64(at, 64U), ROW64(at, 128U), ROW64(at, 192U)                    \
	}

static const uint32_t shares[4][256] = { ROW256(AT0), ROW256(AT1), ROW256(AT2), ROW256(AT3) };

uint32_t crc32_add(uint32_t crc, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	crc = ~crc;
	for (; len >= 4; len -= 4, at += 4) {
		uint32_t word;
		memcpy(&word, at, sizeof(word)); /* little endian: base/core/bytes.h */
		crc ^= word;
		crc = shares[3][crc & 0xff] ^ shares[2][crc >> 8 & 0xff] ^
		      shares[1][crc >> 16 & 0xff] ^ shares[0][crc >> 24];
	}
	for (; len; len--)
		crc = crc >> 8 ^ shares[0][(crc ^ *at++) & 0xff];
	return ~crc;
}
