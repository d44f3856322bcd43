/* SPDX-License-Identifier: Apache-2.0 */
/* base/core/lock.h between CPUs of the server, and the words for an errno that base/core/err.c wants. */
#include "base/core/lock.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/core/macros.h"

void lock_wait(uint32_t *word, uint32_t seen)
{
	for (unsigned i = 0; i < 64 && __atomic_load_n(word, __ATOMIC_RELAXED) == seen; i++)
		__builtin_ia32_pause();
}

void lock_wake(uint32_t *word)
{
	(void)word; /* who waits spins */
}

char *strerror(int code)
{
	static const struct {
		int code;
		const char *text;
	} words[] = {
		{ ENOMEM, "Cannot allocate memory" },
		{ EINVAL, "Invalid argument" },
		{ EIO, "Input/output error" },
		{ ENOENT, "No such file or directory" },
		{ ENODEV, "No such device" },
		{ EBUSY, "Device or resource busy" },
		{ ENOSPC, "No space left on device" },
		{ E2BIG, "Argument list too long" },
		{ EPROTO, "Protocol error" },
		{ ETIMEDOUT, "Connection timed out" },
		{ ENOEXEC, "Exec format error" },
		{ EEXIST, "File exists" },
		{ EFAULT, "Bad address" },
		{ EROFS, "Read-only file system" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].code == code)
			return (char *)words[i].text;
	}
	return (char *)"Unknown error";
}
