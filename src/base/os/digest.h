/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* SHA-256, the digest of the OCI image specification (descriptor.md, "Registered Algorithms"). */
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_HEX 64 /* characters, without the NUL */

struct digest {
	struct sha256_ctx ctx;
};

void digest_init(struct digest *digest);
void digest_add(struct digest *digest, const void *data, size_t len);
/* digest_end() - lower-case hex with its NUL; digest needs digest_init() again after. */
void digest_end(struct digest *digest, char ret_hex[DIGEST_HEX + 1]);
void digest_of(const void *data, size_t len, char ret_hex[DIGEST_HEX + 1]);
/* digest_fd() - of what an fd still gives; *ret_bytes: how much that was. Return: 0 or -errno. */
int digest_fd(int fd, char ret_hex[DIGEST_HEX + 1], int64_t *ret_bytes);
/* digest_is_hex() - exactly 64 lower-case hex digits: safe as a file name. */
bool digest_is_hex(const char *s);
