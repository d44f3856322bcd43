/* SPDX-License-Identifier: Apache-2.0 */
#include "network/nl.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os/fd.h"

#define NL_ALIGN(n) (((n) + 3u) & ~(size_t)3u)

int nl_open(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	return fd < 0 ? -errno : fd;
}

void nl_raw(struct nl_msg *msg, const void *data, size_t len)
{
	if (msg->failed || len > sizeof(msg->data) ||
	    NL_ALIGN(len) > sizeof(msg->data) - msg->len) {
		msg->failed = true;
		return;
	}
	memset(msg->data + msg->len, 0, NL_ALIGN(len));
	if (len)
		memcpy(msg->data + msg->len, data, len);
	msg->len += NL_ALIGN(len);
}

void nl_begin(struct nl_msg *msg, uint16_t type, uint16_t flags, const void *head, size_t len)
{
	struct nlmsghdr nlh = { .nlmsg_type = type, .nlmsg_flags = flags | NLM_F_REQUEST };

	*msg = (struct nl_msg){ .len = 0 };
	nl_raw(msg, &nlh, sizeof(nlh));
	nl_raw(msg, head, len);
}

void nl_attr(struct nl_msg *msg, uint16_t type, const void *data, size_t len)
{
	struct nlattr attr = { .nla_type = type };

	if (len > sizeof(msg->data)) {
		msg->failed = true;
		return;
	}
	attr.nla_len = (uint16_t)(sizeof(attr) + len);
	nl_raw(msg, &attr, sizeof(attr));
	nl_raw(msg, data, len);
}

void nl_str(struct nl_msg *msg, uint16_t type, const char *text)
{
	nl_attr(msg, type, text, strlen(text) + 1);
}

void nl_u8(struct nl_msg *msg, uint16_t type, uint8_t value)
{
	nl_attr(msg, type, &value, sizeof(value));
}

void nl_u32(struct nl_msg *msg, uint16_t type, uint32_t value)
{
	nl_attr(msg, type, &value, sizeof(value));
}

size_t nl_nest(struct nl_msg *msg, uint16_t type)
{
	size_t start = msg->len;

	nl_attr(msg, (uint16_t)(type | NLA_F_NESTED), NULL, 0);
	return start;
}

void nl_nest_end(struct nl_msg *msg, size_t start)
{
	if (msg->failed)
		return;
	uint16_t len = (uint16_t)(msg->len - start);
	memcpy(msg->data + start, &len, sizeof(len)); /* nla_len comes first */
}

/* The kernel's outcome of a request: 0 or a negative errno. */
static int nl_outcome(const unsigned char *data, size_t len)
{
	struct nlmsgerr e;

	if (len < sizeof(struct nlmsghdr) + sizeof(e.error))
		return -EPROTO;
	memcpy(&e.error, data + sizeof(struct nlmsghdr), sizeof(e.error));
	return e.error > 0 ? -EPROTO : e.error;
}

int nl_call(int fd, struct nl_msg *msg, void *ret, size_t size)
{
	struct nlmsghdr nlh;
	_Alignas(8) unsigned char answer[16384];

	if (msg->failed)
		return -EMSGSIZE;
	memcpy(&nlh, msg->data, sizeof(nlh));
	nlh.nlmsg_len = (uint32_t)msg->len;
	if (!ret)
		nlh.nlmsg_flags |= NLM_F_ACK;
	memcpy(msg->data, &nlh, sizeof(nlh));
	if (send(fd, msg->data, msg->len, 0) < 0)
		return -errno;

	ssize_t n;
	do
		n = recv(fd, answer, sizeof(answer), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(nlh))
		return -EPROTO;
	memcpy(&nlh, answer, sizeof(nlh));
	if (nlh.nlmsg_type == NLMSG_ERROR)
		return nl_outcome(answer, (size_t)n);
	if (!ret || nlh.nlmsg_len > (size_t)n || nlh.nlmsg_len > size)
		return -EPROTO;
	memcpy(ret, answer, nlh.nlmsg_len);
	return (int)nlh.nlmsg_len;
}

const void *nl_find(const void *data, size_t len, size_t skip, uint16_t type, size_t *ret_len)
{
	const unsigned char *p = data;

	for (size_t at = NL_ALIGN(skip); at < len && len - at >= sizeof(struct nlattr);) {
		struct nlattr attr;
		memcpy(&attr, p + at, sizeof(attr));
		if (attr.nla_len < sizeof(attr) || attr.nla_len > len - at)
			return NULL;
		if ((attr.nla_type & NLA_TYPE_MASK) == type) {
			*ret_len = attr.nla_len - sizeof(attr);
			return p + at + sizeof(attr);
		}
		at += NL_ALIGN(attr.nla_len);
	}
	return NULL;
}
