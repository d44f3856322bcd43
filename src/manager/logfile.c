/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"

#define LOGLINE_MARKS 10 /* bytes of " stdout F ", between time stamp and text */

void logfile_init(struct logfile *log, int dir, int64_t max_bytes, unsigned files)
{
	*log = (struct logfile){ .dir = dir, .fd = -EBADF, .max_bytes = max_bytes, .files = files };
}

void logfile_fini(struct logfile *log)
{
	fd_close(log->fd);
	log->fd = -EBADF;
	buf_fini(&log->buf);
}

static int logfile_open(struct logfile *log)
{
	struct stat st;

	log->fd = openat(log->dir, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
			 0600);
	if (log->fd < 0 || fstat(log->fd, &st) < 0)
		return -errno;
	log->size_bytes = st.st_size;
	return 0;
}

static void logfile_name(unsigned n, char ret[24])
{
	(void)snprintf(ret, 24, n ? "log.%u" : "log", n); /* fits */
}

static int logfile_rotate(struct logfile *log)
{
	char from[24], to[24];

	if (log->files <= 1)
		(void)unlinkat(log->dir, "log", 0); /* the open below tells */
	for (unsigned n = log->files > 1 ? log->files - 1 : 0; n > 0; n--) {
		logfile_name(n - 1, from);
		logfile_name(n, to);
		(void)renameat(log->dir, from, log->dir, to); /* not there yet: nothing to keep */
	}
	fd_close(log->fd);
	return logfile_open(log);
}

/* What is gathered; a record that does not fit on the disk is not left half. */
static int logfile_flush(struct logfile *log)
{
	int r = fd_write_all(log->fd, log->buf.data, log->buf.len);

	if (r == 0)
		log->size_bytes += (int64_t)log->buf.len;
	else if (ftruncate(log->fd, log->size_bytes) < 0)
		r = -errno;
	log->buf.len = 0;
	return r;
}

/* Room for one record more: in this file, or, alone if it must be, in the next. */
static int logfile_room(struct logfile *log, size_t len)
{
	int64_t size = log->size_bytes + (int64_t)log->buf.len;

	if (log->max_bytes <= 0 || size == 0 || size + (int64_t)len <= log->max_bytes)
		return 0;
	int r = logfile_flush(log);
	return r < 0 ? r : logfile_rotate(log);
}

int logfile_add(struct logfile *log, bool is_stderr, const char *data, size_t len)
{
	char stamp[36];
	int r = log->fd < 0 ? logfile_open(log) : 0;

	if (r < 0)
		return r;
	clock_rfc3339(clock_real_ns(), stamp);
	log->buf.len = 0;
	while (len) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;
		r = logfile_room(log, strlen(stamp) + LOGLINE_MARKS + n + 1);
		if (r < 0)
			return r;
		if (buf_printf(&log->buf, "%s %s %c ", stamp, is_stderr ? "stderr" : "stdout",
			       end ? 'F' : 'P') < 0 ||
		    buf_add(&log->buf, data, n) < 0 || buf_add(&log->buf, "\n", 1) < 0) {
			buf_fini(&log->buf);
			return -ENOMEM;
		}
		n += end ? 1 : 0;
		data += n;
		len -= n;
	}
	return logfile_flush(log);
}

static int logline_time(const char *stamp, size_t len, int64_t *ret)
{
	char text[36];
	struct tm tm = { 0 };
	unsigned ns;

	if (len != 30)
		return -EBADMSG;
	memcpy(text, stamp, len);
	text[len] = '\0';
	char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest || sscanf(rest, ".%9uZ", &ns) != 1)
		return -EBADMSG;
	*ret = (int64_t)timegm(&tm) * NS_PER_S + ns;
	return 0;
}

int logline_parse(const char *line, size_t len, struct logline *ret)
{
	const char *space = memchr(line, ' ', len);
	size_t stamp = space ? (size_t)(space - line) : 0;
	struct logline l = { .stamp = line, .stamp_len = stamp };

	if (!space || len < stamp + LOGLINE_MARKS || logline_time(line, stamp, &l.time_ns) < 0)
		return -EBADMSG;
	if (memcmp(space, " stdout ", 8) != 0 && memcmp(space, " stderr ", 8) != 0)
		return -EBADMSG;
	if ((space[8] != 'F' && space[8] != 'P') || space[9] != ' ')
		return -EBADMSG;
	l.is_stderr = space[4] == 'e';
	l.partial = space[8] == 'P';
	l.text = space + LOGLINE_MARKS;
	l.len = len - stamp - LOGLINE_MARKS;
	*ret = l;
	return 0;
}
