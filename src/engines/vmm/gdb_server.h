/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where a debugger finds a virtual machine: a unix socket, or a TCP port of the loopback address, which every user of the
 * host can reach. One debugger at a time.
 *
 * Thread rule: the loop's thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "engines/vmm/gdb.h"

struct loop;

struct gdb_server {
	struct loop *loop;
	struct gdb_target *target;
	int listener, client; /* own; -EBADF: none */
	struct buf out;	      /* what the client has not taken yet */
	struct gdb gdb;	      /* while there is a client */
};

/*
 * gdb_listen() - before the process is sealed
 * @where: "unix:PATH" or a port, 1 to 65535. A socket at PATH that nobody serves any more is replaced; only its owner may
 * connect.
 * Return: a listening fd, or -EINVAL (neither of the two), -EADDRINUSE, what socket(2) and bind(2) say.
 */
int gdb_listen(const char *where, struct err *err);
/* gdb_server_start() - serve; takes ownership of listener, also where it fails. */
int gdb_server_start(struct gdb_server *server, struct loop *loop, int listener,
		     struct gdb_target *target, struct err *err);
/* gdb_server_stopped() - gdb_stopped(), where somebody is there. */
void gdb_server_stopped(struct gdb_server *server, enum gdb_stop why, unsigned vcpu,
			unsigned point);
/* gdb_server_ended() - gdb_ended(), likewise. */
void gdb_server_ended(struct gdb_server *server, uint8_t status);
bool gdb_server_has_client(const struct gdb_server *server);
void gdb_server_fini(struct gdb_server *server); /* zeroed, and closed already, are no-ops */
