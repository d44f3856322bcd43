/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/start_wait.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/core/macros.h"
#include "base/os/fd.h"

#define START_CALLERS 16 /* who have said nothing yet: the one more takes the place of the first */

struct start_callers {
	struct pollfd polls[1 + START_CALLERS]; /* the listener, then who came, in that order */
	unsigned n;
};

static void start_drop(struct start_callers *callers, unsigned i)
{
	fd_close(callers->polls[i].fd);
	callers->n--;
	memmove(&callers->polls[i], &callers->polls[i + 1],
		(callers->n - i) * sizeof(callers->polls[0]));
}

static int start_accept(struct start_callers *callers, struct err *err)
{
	const int socket = accept4(callers->polls[0].fd, NULL, NULL, SOCK_CLOEXEC);

	if (socket < 0)
		return errno == EINTR || errno == ECONNABORTED
			       ? 0
			       : err_set(err, errno, "wait for the start");
	if (callers->n == ARRAY_SIZE(callers->polls))
		start_drop(callers, 1);
	callers->polls[callers->n++] = (struct pollfd){ .fd = socket, .events = POLLIN };
	return 0;
}

/* The connection of the first who says it, or -EBADF. */
static int start_listen(struct start_callers *callers, bool (*heard)(int socket))
{
	for (unsigned i = 1; i < callers->n;) {
		if (!callers->polls[i].revents)
			i++;
		else if (heard(callers->polls[i].fd))
			return fd_take(&callers->polls[i].fd);
		else
			start_drop(callers, i);
	}
	return -EBADF;
}

int start_wait(int listener, bool (*heard)(int socket), struct err *err)
{
	struct start_callers callers = { .polls = { { .fd = listener, .events = POLLIN } },
					 .n = 1 };
	int found = -EBADF, r = 0;

	while (r == 0 && found < 0) {
		if (poll(callers.polls, callers.n, -1) < 0) {
			r = errno == EINTR ? 0 : err_set(err, errno, "wait for the start");
			continue;
		}
		found = start_listen(&callers, heard);
		if (found < 0 && callers.polls[0].revents)
			r = start_accept(&callers, err);
	}
	while (callers.n > 1)
		start_drop(&callers, callers.n - 1);
	return r < 0 ? r : found;
}
