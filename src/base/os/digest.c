/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/digest.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void digest_init(struct digest *digest)
{
	sha256_init(&digest->ctx);
}

void digest_add(struct digest *digest, const void *data, size_t len)
{
	sha256_update(&digest->ctx, len, data);
}

void digest_end(struct digest *digest, char ret_hex[DIGEST_HEX + 1])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t sum[SHA256_DIGEST_SIZE];

	sha256_digest(&digest->ctx, sizeof(sum), sum);
	for (size_t i = 0; i < sizeof(sum); i++) {
		ret_hex[2 * i] = hex[sum[i] >> 4];
		ret_hex[2 * i + 1] = hex[sum[i] & 15];
	}
	ret_hex[DIGEST_HEX] = '\0';
}

void digest_of(const void *data, size_t len, char ret_hex[DIGEST_HEX + 1])
{
	struct digest digest;

	digest_init(&digest);
	digest_add(&digest, data, len);
	digest_end(&digest, ret_hex);
}

int digest_fd(int fd, char ret_hex[DIGEST_HEX + 1], int64_t *ret_bytes)
{
	struct digest digest;
	char chunk[32768];
	int64_t bytes = 0;
	ssize_t n;

	digest_init(&digest);
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		digest_add(&digest, chunk, (size_t)n);
		bytes += n;
	}
	digest_end(&digest, ret_hex);
	*ret_bytes = bytes;
	return 0;
}

bool digest_is_hex(const char *s)
{
	return strlen(s) == DIGEST_HEX && strspn(s, "0123456789abcdef") == DIGEST_HEX;
}
