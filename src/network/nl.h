/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Netlink, as far as this room needs it: one request out, one answer back. Nothing is allocated. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nl_msg {
	_Alignas(8) unsigned char data[1024];
	size_t len;
	bool failed; /* did not fit: sticky, nl_call() says -EMSGSIZE */
};

/* nl_open() - a socket of that protocol in the calling thread's network namespace; or -errno. */
int nl_open(int protocol);
/* nl_begin() - start a request; head is the fixed part that follows the netlink header. */
void nl_begin(struct nl_msg *msg, uint16_t type, uint16_t flags, const void *head, size_t len);
void nl_attr(struct nl_msg *msg, uint16_t type, const void *data, size_t len);
void nl_str(struct nl_msg *msg, uint16_t type, const char *text);
void nl_u8(struct nl_msg *msg, uint16_t type, uint8_t value);
void nl_u32(struct nl_msg *msg, uint16_t type, uint32_t value);
/* nl_raw() - bytes without an attribute's header, for headers inside nests. */
void nl_raw(struct nl_msg *msg, const void *data, size_t len);
/* nl_nest() - open a nested attribute; nl_nest_end() takes what it returned. */
size_t nl_nest(struct nl_msg *msg, uint16_t type);
void nl_nest_end(struct nl_msg *msg, size_t start);

/*
 * nl_call() - send the request and wait for its answer
 * @ret: where the answer's first message goes, netlink header included; NULL: only the outcome
 * matters
 *       (then an acknowledgement is asked for)
 * Return: bytes in ret, 0 for a bare acknowledgement, or a negative errno: the kernel's, or ours.
 */
int nl_call(int fd, struct nl_msg *msg, void *ret, size_t size);
/*
 * nl_find() - an attribute of a message, or of a nest
 * @skip: bytes before the first attribute   Return: its payload or NULL; *ret_len its length.
 */
const void *nl_find(const void *data, size_t len, size_t skip, uint16_t type, size_t *ret_len);
