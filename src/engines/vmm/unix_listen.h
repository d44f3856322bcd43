/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/un.h>

/*
 * unix_listen() - bind a new stream socket to a path and listen there; the file is its owner's alone
 * A socket file that nobody listens on is in nobody's way: it is replaced.
 * Return: 0, or a negative errno: -EADDRINUSE where somebody listens, or it is no socket.
 */
int unix_listen(int fd, const struct sockaddr_un *at, int backlog);
