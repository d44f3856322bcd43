/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define TAR_BLOCK 512U

/* POSIX.1-2017, pax, "ustar Interchange Format": field offsets and sizes. */
struct tar_head {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char link[100], magic[6], version[2], user[32], group[32], major[8], minor[8];
	char prefix[155], pad[12];
};
_Static_assert(sizeof(struct tar_head) == TAR_BLOCK, "one block");

/* tar_checksum() - of a header, its own field counted as spaces. */
static inline uint32_t tar_checksum(const struct tar_head *head)
{
	const unsigned char *bytes = (const unsigned char *)head;
	uint32_t sum = 8 * ' ';

	for (unsigned i = 0; i < TAR_BLOCK; i++) {
		if (i < 148 || i >= 156) /* offsetof(struct tar_head, checksum), and its end */
			sum += bytes[i];
	}
	return sum;
}
