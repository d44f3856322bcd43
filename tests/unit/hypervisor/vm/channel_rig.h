/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The hypervisor's end of the channel without a hypervisor: memory of the C library's, counted; guests whose ports and sockets send back
 * what they get, and whose consoles say one thing; a line that a test writes, and a host that knows what a hypervisor may say.
 */
#include "base/core/channel.h"

#define RIG_NONCE UINT64_C(0x5eed5eed5eed)

/* rig_init() - once, before all others */
void rig_init(void);
/* rig_connect() - another client: HELLO, and its answer */
void rig_connect(void);
/* rig_raw() - bytes of the host's; rig_frame(): a frame of this session's */
void rig_raw(const void *bytes, size_t len);
void rig_frame(enum channel_type type, uint32_t stream, const void *payload, size_t len);
/* rig_run() - its turns, until it has nothing to do; what it says is checked against the protocol (abort()) */
void rig_run(void);
/* rig_request() - and its reply: its status. *ret: CHANNEL_PAYLOAD_MAX bytes, its data; NULL: not wanted */
uint32_t rig_request(enum channel_verb verb, const void *body, size_t len, void *ret);
/* rig_follow() - the client's last bytes, its end, and at once another client, which is answered */
void rig_follow(const void *last, size_t len);
/* rig_deaf() - the line takes nothing any more, or does again */
void rig_deaf(bool is_deaf);
/* rig_clear() - a new client destroys all guests and drops all files. Return: bytes of memory that are taken then. */
size_t rig_clear(void);

/* rig_serial() - before rig_init(): a serial line, which damages or loses one byte of so many each way; 0: none */
void rig_serial(unsigned one_in);
/* rig_silence() - what the host said last arrives, then nothing any more, for a quarter of an hour. Return: bytes of memory that are taken then. */
size_t rig_silence(void);
/* rig_cable() - nothing arrives any more, or all does again */
void rig_cable(bool is_out);

/* rig_keeper() - from now on what takes time is not done, or is at once, as is what was left */
void rig_keeper(bool is_slow);
/* rig_end() - one of the server's own, as that guest is from now on, ends by itself */
void rig_end(uint32_t guest);

/* What the server's console had. */
#define RIG_PRINTED	 9000U
#define RIG_PRINTED_LOST 100U

/* What the host knows of a stream. */
struct rig_stream {
	bool is_open, is_opened;
	bool is_confused; /* OPEN came before its CLOSE: what is whose is not known until another client comes */
	uint32_t credit;    /* that the hypervisor gave */
	uint32_t status;    /* of its CLOSE */
	size_t got;	    /* bytes of DATA, ever */
	uint8_t last[4096]; /* of them, the last frame's */
	size_t last_len;
};
struct rig_stream *rig_stream(uint32_t id);
unsigned rig_bad_events(void);
