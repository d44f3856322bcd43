/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/sync.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

int vmm_say(int fd, enum vmm_word word)
{
	const struct vmm_message message = { .word = (int32_t)word };

	return send(fd, &message, offsetof(struct vmm_message, text), MSG_NOSIGNAL) < 0 ? -errno
											: 0;
}

void vmm_say_failed(int fd, int status, const struct err *err)
{
	struct vmm_message message = { .word = VMM_WORD_FAILED,
				       .status = status,
				       .code = err->code };

	(void)snprintf(message.text, sizeof(message.text), "%s", err->text); /* both hold 480 */
	(void)send(fd, &message, sizeof(message), MSG_NOSIGNAL);
}

int vmm_expect(int fd, enum vmm_word word, int *ret_status, struct err *err)
{
	struct vmm_message message = { 0 };
	ssize_t n;

	do {
		n = recv(fd, &message, sizeof(message), 0);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n <= 0)
		return err_say(err, ECHILD, "the virtual machine's process died while it started");
	if (message.word == VMM_WORD_FAILED && n == sizeof(message)) {
		message.text[sizeof(message.text) - 1] = '\0';
		if (ret_status)
			*ret_status = message.status;
		return err_say(err, message.code, "%s", message.text);
	}
	if (message.word != (int32_t)word)
		return err_say(err, EPROTO, "the virtual machine's process said %d, not %d",
			       message.word, (int)word);
	return 0;
}
