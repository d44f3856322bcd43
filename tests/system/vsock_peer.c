/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock_peer PATH PORT BYTES: connects to PORT of a guest by the unix socket of its vsock, sends so many bytes, and wants
 * them back. The other side of tests/guest/vsock.c with "listen_port".
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PEER_TRIES   500 /* of 20 ms */
#define PEER_SECONDS 10

static int peer_failed(const char *what)
{
	perror(what);
	return 1;
}

/* "OK PORT\n", byte by byte: what follows is the guest's. */
static bool peer_accepted(int fd)
{
	char line[32];
	size_t n = 0;

	while (n < sizeof(line) && recv(fd, &line[n], 1, 0) == 1) {
		if (line[n++] == '\n')
			return n > 3 && memcmp(line, "OK ", 3) == 0;
	}
	return false;
}

static int peer_connect(const char *path, const char *port)
{
	const struct timeval patience = { .tv_sec = PEER_SECONDS };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char line[32];
	int n = snprintf(line, sizeof(line), "CONNECT %s\n", port);

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	for (int i = 0; i < PEER_TRIES; i++) { /* the guest may not listen yet */
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return -1;
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
		    send(fd, line, (size_t)n, MSG_NOSIGNAL) == n && peer_accepted(fd))
			return fd;
		(void)close(fd);
		(void)poll(NULL, 0, 20);
	}
	return -1;
}

static uint8_t peer_byte(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static int peer_echo(const char *path, const char *port, size_t bytes)
{
	uint8_t *data = malloc(bytes);
	int fd = peer_connect(path, port);
	size_t back = 0;

	if (fd < 0 || !data)
		return peer_failed("connect");
	for (size_t i = 0; i < bytes; i++)
		data[i] = peer_byte(i);
	for (size_t sent = 0; sent < bytes;) {
		ssize_t n = send(fd, data + sent, bytes - sent, MSG_NOSIGNAL);
		if (n < 0)
			return peer_failed("send");
		sent += (size_t)n;
	}
	for (ssize_t n; back < bytes; back += (size_t)n) {
		n = recv(fd, data, bytes - back, 0);
		if (n <= 0)
			return peer_failed("receive");
		for (size_t i = 0; i < (size_t)n; i++) {
			if (data[i] != peer_byte(back + i)) {
				(void)printf("byte %zu is another\n", back + i);
				return 1;
			}
		}
	}
	if (shutdown(fd, SHUT_WR) < 0 || recv(fd, data, 1, 0) != 0)
		return peer_failed("the end");
	(void)printf("echoed %zu\n", back);
	free(data);
	(void)close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4)
		return peer_echo(argv[1], argv[2], strtoul(argv[3], NULL, 10));
	(void)fprintf(stderr, "usage: vsock_peer PATH PORT BYTES\n");
	return 2;
}
