/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"

static ssize_t file_read(const char *path, char *ret, size_t size)
{
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_read_text(fd, ret, size);
}

ssize_t file_line(const char *path, char *ret, size_t size)
{
	ssize_t n = file_read(path, ret, size);

	if (n < 0)
		return n;
	ret[strcspn(ret, "\n")] = '\0';
	return (ssize_t)strlen(ret);
}

int file_put(const char *path, const void *data, size_t len, mode_t mode)
{
	AUTO(fd_close_p) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	return fd < 0 ? -errno : fd_write_all(fd, data, len);
}

int file_put_text(const char *path, const char *text)
{
	AUTO(fd_close_p) int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

uint64_t file_number(const char *path, const char *key)
{
	char text[4096];
	size_t n = strlen(key);

	if (file_read(path, text, sizeof(text)) < 0)
		return 0;
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, key, n) != 0)
			continue;
		const char *value = line + n + (n && line[n] == ':');
		if (n == 0 || isspace((unsigned char)*value))
			return strtoull(value, NULL, 10);
	}
	return 0;
}

void file_kernel_log(const struct err *err)
{
	char text[sizeof(err->text) + 64];
	int n = snprintf(text, sizeof(text), "<3>strata-init: %s\n", err->text);

	AUTO(fd_close_p) int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && n > 0)
		(void)fd_write_all(fd, text,
				   strnlen(text, sizeof(text))); /* nowhere left to say it */
}
