/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a command and a monitor say to each other over <run_root>/instances/ID/sock, or over the socket the
 * monitor was born with: SOCK_SEQPACKET, one message a packet, a tag and up to WIRE_DATA bytes. Both ends
 * belong to the same user and the same version; lengths are checked all the same.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "base/os/digest.h"

#define WIRE_DATA 32768

enum wire_tag {
	/* from the monitor */
	WIRE_STARTED = 's', /* int32 pid */
	WIRE_FAILED = 'f',  /* struct wire_failure */
	WIRE_OUT = 'o',	    /* bytes of standard output, or of the terminal */
	WIRE_ERR = 'e',
	WIRE_ENDED = 'x', /* int32 exit status; the last message */
	WIRE_ATTACHED = 'A',
	WIRE_IN_TAKEN =
		'I', /* the workload has read, or lost, what came in the last WIRE_IN: the next may be sent */
	/* to the monitor */
	WIRE_BEGIN =
		'b', /* the first one: struct wire_begin, and the lock on the instance; its spec is in the memfd now */
	WIRE_ATTACH = 'a',
	WIRE_IN = 'i', /* one at a time: a signal must not wait behind input that nobody reads */
	WIRE_IN_END = 'c',
	WIRE_SIZE = 'w',   /* uint16 rows, uint16 columns */
	WIRE_SIGNAL = 'k', /* int32 signal; by the user's hand: no restart afterwards */
	WIRE_PROXY = 'p',  /* int32 signal that reached the attached command: restarts as always */
	WIRE_STOP = 't',   /* int32 signal, int32 milliseconds of grace */
	WIRE_FROZEN = 'z', /* int32 0 or 1: it was paused, or resumed: no check meanwhile */
	WIRE_WAIT = 'q',   /* answer WIRE_ENDED at the end */
	WIRE_OUT_END =
		'n', /* int32 0 or 1: nobody reads standard output, standard error any more */
};

/* All in one message: what would come after it may come after the workload's first words. */
struct wire_begin {
	char id[DIGEST_HEX]; /* of the instance */
	bool attach; /* the starter is attached from the first byte on; as WIRE_ATTACH, but not answered */
};

struct wire_failure {
	int32_t status; /* 125, 126, 127 */
	int32_t code;
	char text[480];
};

struct wire_message {
	char tag;
	char data[WIRE_DATA];
};

/* wire_send() - 0, or a negative errno: -EAGAIN where the socket does not block and is full. */
int wire_send(int fd, char tag, const void *data, size_t len);
/* wire_send_fd(), wire_receive_fd() - with an fd on board; *ret_fd is left alone where none came. */
int wire_send_fd(int fd, char tag, const void *data, size_t len, int passed);
ssize_t wire_receive_fd(int fd, struct wire_message *ret, int *ret_fd);
/* wire_receive() - data bytes received; -EPIPE at end of file, or where the other died before it accepted us; or another errno. */
ssize_t wire_receive(int fd, struct wire_message *ret);
/* wire_connect() - to a socket in a directory (its path may be longer than sun_path holds); an fd or -errno. */
int wire_connect(int dirfd, const char *name);
int wire_listen(int dirfd, const char *name);
