/* SPDX-License-Identifier: Apache-2.0 */
#include "talk.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

#include "abi/agent.h"
#include "base/core/bytes.h"

void talk_text(struct buf *out, uint32_t type, const void *head, size_t len, const char *text)
{
	size_t at = frame_begin(out, type);

	(void)buf_add(out, head, len);				 /* sticky */
	(void)buf_add(out, text, strnlen(text, AGENT_TEXT_MAX)); /* sticky */
	frame_end(out, at);
}

void talk_failed(struct buf *out, int status, const struct err *err)
{
	uint8_t head[sizeof(struct agent_failed)];

	le32_store(head, (uint32_t)status);
	le32_store(head + 4, (uint32_t)err->code);
	talk_text(out, AGENT_FAILED, head, sizeof(head), err->text);
}

int talk_signal(const struct frame_reader *frame)
{
	if (frame->len != 4)
		return 0;
	uint32_t sig = le32_load(frame->body.data);
	return sig <= 64 ? (int)sig : 0;
}

void talk_resize(const struct frame_reader *frame, int tty)
{
	if (frame->len != sizeof(struct agent_resize))
		return;
	struct winsize size = { .ws_row = le16_load(frame->body.data),
				.ws_col = le16_load(frame->body.data + 2) };
	(void)ioctl(tty, TIOCSWINSZ, &size); /* cosmetic */
}

int talk_children(void)
{
	sigset_t mask;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL); /* valid arguments: cannot fail */
	int fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}
