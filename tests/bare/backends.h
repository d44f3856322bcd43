/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the devices of the image are given for a disk, a network, a console and entropy: memory. */
#include "devices/virtio/vsock.h"
#include "machine/ops.h"

#define RAM_DISK_BYTES	    (256U << 10)
#define RAM_CONSOLE_BYTES   4096U
#define RAM_NET_FRAMES	    4U
#define RAM_NET_HEADER	    12U /* struct virtio_net_hdr_mrg_rxbuf */
#define RAM_NET_FRAME_BYTES 2048U

struct ram_disk {
	struct disk disk;
	unsigned flushes, discards;
	uint8_t *data; /* RAM_DISK_BYTES */
};

/* What the device writes is in `out`; what it is to read is put into `in`. */
struct ram_console {
	struct console console;
	uint8_t in[RAM_CONSOLE_BYTES], out[RAM_CONSOLE_BYTES];
	size_t n_in, n_out;
};

/* A wire whose other end sends each frame back. */
struct ram_net {
	struct net net;
	uint8_t frames[RAM_NET_FRAMES][RAM_NET_FRAME_BYTES];
	uint64_t lens[RAM_NET_FRAMES];
	unsigned n;
	bool news; /* a frame came since ram_net_tell() */
};

/* Bytes that count up: a test knows what to expect. */
struct counting_entropy {
	struct entropy entropy;
	uint8_t next;
};

/* One block of memory, for the one stream that is open at a time. */
struct one_heap {
	struct mem_ops ops;
	void *block;
	size_t block_bytes;
	bool taken;
};

/* The host's end of a vsock: listens at ECHO_PORT, and what it is told it says. */
#define ECHO_PORT 1234U
struct echo_host {
	struct vsock_host host;
	struct vsock_stream *stream; /* the one that is open */
	uint8_t bytes[64];
	size_t n;
	bool news, ended;
	unsigned closes;
};

void ram_disk_init(struct ram_disk *disk, uint8_t *data);
void ram_console_init(struct ram_console *console);
/* ram_console_type() - more to read, and the device is told. */
void ram_console_type(struct ram_console *console, const char *text);
void ram_net_init(struct ram_net *net);
/* ram_net_tell() - the device is told of frames that came. Return: whether there were any. */
bool ram_net_tell(struct ram_net *net);
void counting_entropy_init(struct counting_entropy *entropy);
void one_heap_init(struct one_heap *heap, void *block, size_t block_bytes);
void echo_host_init(struct echo_host *echo);
/* echo_host_tell() - as ram_net_tell(). */
bool echo_host_tell(struct echo_host *echo, struct virtio_vsock *dev);
