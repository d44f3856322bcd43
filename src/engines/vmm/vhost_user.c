/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/vhost_user.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/os/clock.h"
#include "base/os/fd.h"

/* "Front-end message types" */
enum user_request {
	USER_GET_FEATURES = 1,
	USER_SET_FEATURES = 2,
	USER_SET_OWNER = 3,
	USER_SET_MEM_TABLE = 5,
	USER_SET_VRING_NUM = 8,
	USER_SET_VRING_ADDR = 9,
	USER_SET_VRING_BASE = 10,
	USER_SET_VRING_KICK = 12,
	USER_SET_VRING_CALL = 13,
	USER_GET_PROTOCOL_FEATURES = 15,
	USER_SET_PROTOCOL_FEATURES = 16,
	USER_SET_VRING_ENABLE = 18,
};

/* "Header": flags */
#define USER_VERSION	 1U
#define USER_REPLY	 (1U << 2)
#define USER_NEED_REPLY	 (1U << 3)
#define USER_HEAD_BYTES	 12U
#define USER_PAYLOAD_MAX 48U

#define USER_F_VERSION_1 (UINT64_C(1) << 32)
#define USER_F_PROTOCOL	 (UINT64_C(1) << 30)
#define USER_P_REPLY_ACK (UINT64_C(1) << 3)
#define USER_ADDRESS	 UINT64_C(0x100000000) /* where we say that the memory lies with us */

struct user {
	int socket;
	int64_t deadline_ns;
	bool acks; /* every request is answered */
};

/* ---- messages ---- */

static int user_receive(const struct user *user, void *ret, size_t len)
{
	int r = fd_receive_all(user->socket, ret, len, user->deadline_ns);

	return r == -EPIPE ? -ECONNRESET : r;
}

/* Every answer that we ask for is a number. */
static int user_answer(const struct user *user, enum user_request request, uint64_t *ret)
{
	uint8_t message[USER_HEAD_BYTES + sizeof(*ret)];
	int r = user_receive(user, message, USER_HEAD_BYTES);

	if (r == 0 && (le32_load(message) != request ||
		       le32_load(message + 4) != (USER_VERSION | USER_REPLY) ||
		       le32_load(message + 8) != sizeof(*ret)))
		return -EPROTO;
	if (r == 0)
		r = user_receive(user, message + USER_HEAD_BYTES, sizeof(*ret));
	if (r == 0)
		*ret = le64_load(message + USER_HEAD_BYTES);
	return r;
}

/* The socket's buffer holds far more than all that we say. */
static int user_say(const struct user *user, enum user_request request, uint32_t flags,
		    const uint8_t *payload, uint32_t len, int fd)
{
	uint8_t message[USER_HEAD_BYTES + USER_PAYLOAD_MAX];
	const struct iovec iov = { message, USER_HEAD_BYTES + len };

	le32_store(message, request);
	le32_store(message + 4, USER_VERSION | flags);
	le32_store(message + 8, len);
	memcpy(message + USER_HEAD_BYTES, payload, len);
	int r = fd_send(user->socket, &iov, 1, fd);
	return r == -EPIPE ? -ECONNRESET : r;
}

static int user_ask(const struct user *user, enum user_request request, uint64_t *ret)
{
	const uint8_t none = 0;
	int r = user_say(user, request, 0, &none, 0, -1);

	return r < 0 ? r : user_answer(user, request, ret);
}

static int user_set(const struct user *user, enum user_request request, const uint8_t *payload,
		    uint32_t len, int fd)
{
	uint64_t failed = 0;
	int r = user_say(user, request, user->acks ? USER_NEED_REPLY : 0, payload, len, fd);

	if (r == 0 && user->acks)
		r = user_answer(user, request, &failed);
	return r == 0 && failed ? -EPROTO : r;
}

static int user_set_u64(const struct user *user, enum user_request request, uint64_t value, int fd)
{
	uint8_t payload[8];

	le64_store(payload, value);
	return user_set(user, request, payload, sizeof(payload), fd);
}

/* "Vring state description" */
static int user_set_ring(const struct user *user, enum user_request request, uint32_t ring,
			 uint32_t value)
{
	uint8_t payload[8];

	le32_store(payload, ring);
	le32_store(payload + 4, value);
	return user_set(user, request, payload, sizeof(payload), -1);
}

/* ---- steps ---- */

static int user_features(struct user *user)
{
	uint64_t features = 0, protocol = 0;
	const uint8_t none = 0;
	int r = user_ask(user, USER_GET_FEATURES, &features);

	if (r == 0 && !(features & USER_F_VERSION_1))
		return -EPROTO;
	if (r == 0 && features & USER_F_PROTOCOL) {
		r = user_ask(user, USER_GET_PROTOCOL_FEATURES, &protocol);
		protocol &= USER_P_REPLY_ACK;
		if (r == 0)
			r = user_set_u64(user, USER_SET_PROTOCOL_FEATURES, protocol, -1);
		user->acks = protocol != 0;
	}
	if (r == 0)
		r = user_set(user, USER_SET_OWNER, &none, 0, -1);
	return r < 0 ? r
		     : user_set_u64(user, USER_SET_FEATURES,
				    features & (USER_F_VERSION_1 | USER_F_PROTOCOL), -1);
}

/* "Memory regions description": one */
static int user_memory(const struct user *user, const struct vhost_user_setup *setup)
{
	uint8_t payload[40] = { 1 };

	le64_store(payload + 8, 0); /* guest address */
	le64_store(payload + 16, setup->memory_bytes);
	le64_store(payload + 24, USER_ADDRESS);
	le64_store(payload + 32, 0); /* offset in the fd */
	return user_set(user, USER_SET_MEM_TABLE, payload, sizeof(payload), setup->memory);
}

/* "Vring address description" */
static int user_ring_at(const struct user *user, const struct vhost_user_ring *ring, uint32_t index)
{
	uint8_t payload[40] = { 0 };

	le32_store(payload, index);
	le64_store(payload + 8, USER_ADDRESS + ring->desc);
	le64_store(payload + 16, USER_ADDRESS + ring->used);
	le64_store(payload + 24, USER_ADDRESS + ring->avail);
	return user_set(user, USER_SET_VRING_ADDR, payload, sizeof(payload), -1);
}

static int user_ring(const struct user *user, const struct vhost_user_ring *ring, uint32_t index,
		     bool enable)
{
	int r = user_set_ring(user, USER_SET_VRING_NUM, index, ring->size);

	if (r == 0)
		r = user_set_ring(user, USER_SET_VRING_BASE, index, 0);
	if (r == 0)
		r = user_ring_at(user, ring, index);
	if (r == 0)
		r = user_set_u64(user, USER_SET_VRING_CALL, index, ring->call);
	if (r == 0)
		r = user_set_u64(user, USER_SET_VRING_KICK, index, ring->kick);
	return r == 0 && enable ? user_set_ring(user, USER_SET_VRING_ENABLE, index, 1) : r;
}

int vhost_user_begin(int socket, const struct vhost_user_setup *setup, struct err *err)
{
	struct user user = { .socket = socket,
			     .deadline_ns = clock_mono_ns() + VHOST_USER_WAIT_MS * NS_PER_MS };
	uint64_t features = 0;
	int r = user_features(&user);

	if (r == 0)
		r = user_memory(&user, setup);
	/* Without protocol features rings are on from the beginning: "Ring states". */
	for (uint32_t i = 0; r == 0 && i < setup->n_rings; i++)
		r = user_ring(&user, &setup->rings[i], i, true);
	if (r == 0) /* it has worked off all before this */
		r = user_ask(&user, USER_GET_FEATURES, &features);
	if (r == -EPROTO)
		return err_say(err, EPROTO, "its program talks nonsense");
	if (r == -ETIMEDOUT)
		return err_say(err, ETIMEDOUT, "its program does not answer");
	return r < 0 ? err_say(err, -r, "its program ended") : 0;
}
