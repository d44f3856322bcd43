/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the agent and a session have in common: messages to and from the host, and how they hear of children. */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "engines/vmm/agent_frame.h"

/* talk_text() - a frame: head, then the text, cut at AGENT_TEXT_MAX. */
void talk_text(struct buf *out, uint32_t type, const void *head, size_t len, const char *text);
/* talk_failed() - FAILED: the status that the host reports, and why. */
void talk_failed(struct buf *out, int status, const struct err *err);
/* talk_signal() - the signal that SIGNAL asks for; 0: none that there is. */
int talk_signal(const struct frame_reader *frame);
/* talk_resize() - what RESIZE says of a terminal; a damaged message changes nothing. */
void talk_resize(const struct frame_reader *frame, int tty);
/* talk_children() - a signalfd that is readable when a child ended; or -errno. */
int talk_children(void);
