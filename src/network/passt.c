/* SPDX-License-Identifier: Apache-2.0 */
#include "network/passt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/bytes.h"
#include "base/os/clock.h"
#include "base/os/fd.h"
#include "network/link.h"

#define PASST_WIRE_FD	3
#define PASST_WAIT_MS	60000
#define PASST_WORDS_MAX 65536
#define PASST_ITS_MAC	"02:53:0a:00:02:02" /* else it would show the host's */
#define PASST_PORTS_MAX 112
#define PASST_FIRST_MAX 18
#define PASST_ARGS_MAX                                                                             \
	(40 + 2 * PASST_PORTS_MAX) /* the fixed ones, a flag without ports, the end */

/* RFC 826: the whole of an ARP packet for IPv4 over Ethernet, behind an Ethernet header. */
#define ARP_BYTES   42
#define ARP_TYPE_AT 12
#define ARP_OP_AT   20
#define ARP_FROM_AT 22 /* hardware address, then the IP's */
#define ARP_TO_AT   32

/* ---- arguments ---- */

/* passt(1), --tcp-ports: what is asked of a port is asked of it on every address. */
static int ports_check(const struct passt_port *ports, size_t n, struct err *err)
{
	if (n > PASST_PORTS_MAX)
		return err_say(
			err, E2BIG,
			"--publish: %zu ports are too many for --network passt, which takes %u", n,
			PASST_PORTS_MAX);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			if (ports[i].udp != ports[j].udp || ports[i].host != ports[j].host ||
			    ports[i].guest == ports[j].guest)
				continue;
			return err_say(err, EINVAL,
				       "--publish: with --network passt the host's port %u leads "
				       "to one port of the guest, not to %u and %u",
				       ports[i].host, ports[j].guest, ports[i].guest);
		}
	}
	return 0;
}

struct passt_args {
	const char *argv[PASST_ARGS_MAX];
	char *texts[PASST_PORTS_MAX]; /* owned */
	size_t n, n_texts;
};

static void args_fini(struct passt_args *args)
{
	for (size_t i = 0; i < args->n_texts; i++)
		free(args->texts[i]);
}

static int args_ports(struct passt_args *args, const struct passt_port *ports, size_t n, bool udp,
		      struct err *err)
{
	const char *flag = udp ? "-u" : "-t";
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		char *text;
		if (ports[i].udp != udp)
			continue;
		if (asprintf(&text, "%s%s%u:%u", ports[i].host_ip ? ports[i].host_ip : "",
			     ports[i].host_ip ? "/" : "", ports[i].host, ports[i].guest) < 0)
			return err_set(err, ENOMEM, "start passt");
		args->texts[args->n_texts++] = text;
		args->argv[args->n++] = flag;
		args->argv[args->n++] = text;
		any = true;
	}
	if (!any) { /* not said, UDP would follow TCP */
		args->argv[args->n++] = flag;
		args->argv[args->n++] = "none";
	}
	return 0;
}

/* @first: the program and the flags that it alone takes, NULL-ended */
static int args_fill(struct passt_args *args, const char *const *first,
		     const struct passt_port *ports, size_t n, struct err *err)
{
	static const char *const fixed[] = {
		"--foreground", "--quiet",     "--ipv4-only", "--address",
		PASST_ADDRESS,	"--netmask",   "24",	      "-g",
		PASST_GATEWAY,	"--mac-addr",  PASST_ITS_MAC, "--dns-forward",
		PASST_DNS,	"--no-map-gw",
	};
	int r = ports_check(ports, n, err);

	_Static_assert(ARRAY_SIZE(fixed) + PASST_FIRST_MAX + 2 * PASST_PORTS_MAX + 3 <=
			       PASST_ARGS_MAX,
		       "room");
	while (args->n < PASST_FIRST_MAX && first[args->n]) {
		args->argv[args->n] = first[args->n];
		args->n++;
	}
	memcpy(args->argv + args->n, fixed, sizeof(fixed));
	args->n += ARRAY_SIZE(fixed);
	if (r == 0)
		r = args_ports(args, ports, n, false, err);
	if (r == 0)
		r = args_ports(args, ports, n, true, err);
	args->argv[args->n] = NULL;
	return r;
}

/* ---- the process ---- */

static int passt_spawn(const char *const *argv, int wire, int words, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int r = posix_spawn_file_actions_init(&actions);

	if (r)
		return -r;
	r = posix_spawnattr_init(&attr);
	if (r == 0) {
		(void)sigemptyset(&none);
		(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
		(void)posix_spawnattr_setsigmask(&attr, &none);
		r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&actions, 0, 1);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&actions, words, 2);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&actions, wire, PASST_WIRE_FD);
		if (r == 0)
			r = posix_spawnp(ret, argv[0], &actions, &attr,
					 (char *const *)(uintptr_t)argv, environ);
		(void)posix_spawnattr_destroy(&attr);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int passt_pairs(int wire[2], int words[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire) < 0)
		return -errno;
	if (pipe2(words, O_CLOEXEC) < 0) {
		int r = -errno;
		fd_close(wire[0]);
		fd_close(wire[1]);
		return r;
	}
	return fcntl(wire[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int passt_failed(int r, struct err *err)
{
	if (r == -ENOENT)
		return err_say(err, ENOENT,
			       "--network passt: the program is not installed: apt-get install "
			       "passt, or use --network none");
	return err_set(err, -r, "start passt");
}

int passt_start(const struct passt_port *ports, size_t n, struct passt *ret, int *ret_fd,
		struct err *err)
{
	static const char *const first[] = { "passt", "--fd", "3", "--no-dhcp", NULL };
	AUTO(args_fini) struct passt_args args = { .n = 0 };
	int wire[2], words[2];
	pid_t pid = 0;

	*ret = (struct passt)PASST_NONE;
	int r = args_fill(&args, first, ports, n, err);
	if (r < 0)
		return r;
	r = passt_pairs(wire, words);
	if (r < 0)
		return err_set(err, -r, "sockets for passt");
	ret->words = words[0];
	ret->wire = fcntl(wire[0], F_DUPFD_CLOEXEC, 3);
	r = ret->wire < 0 ? -errno : passt_spawn(args.argv, wire[1], words[1], &pid);
	fd_close(wire[1]);
	fd_close(words[1]);
	if (r == 0)
		ret->pidfd = pidfd_of(pid);
	if (r < 0 || ret->pidfd < 0) {
		fd_close(wire[0]); /* which is its end, if it was begun */
		return passt_failed(r < 0 ? r : ret->pidfd, err);
	}
	*ret_fd = wire[0];
	return 0;
}

void passt_stop(struct passt *passt)
{
	fd_close(passt->words);
	fd_close(passt->wire);
	if (passt->pidfd >= 0) {
		(void)pidfd_signal(passt->pidfd, SIGKILL); /* gone already: the wait returns */
		while (waitid(P_PIDFD, (id_t)passt->pidfd, NULL, WEXITED) < 0 && errno == EINTR)
			;
		fd_close(passt->pidfd);
	}
	*passt = (struct passt)PASST_NONE;
}

/* ---- whether it works ---- */

static void arp_question(uint8_t ret[4 + ARP_BYTES])
{
	uint8_t *frame = ret + 4;
	/* Hardware Ethernet, protocol IPv4, their addresses' lengths, a request. */
	static const uint8_t head[] = { 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1 };

	memset(ret, 0, 4 + ARP_BYTES);
	be32_store(ret, ARP_BYTES);
	memset(frame, 0xff, 6);
	(void)link_mac_parse(PASST_MAC, frame + 6); /* constants of ours */
	memcpy(frame + ARP_TYPE_AT, head, sizeof(head));
	(void)link_mac_parse(PASST_MAC, frame + ARP_FROM_AT);
	(void)inet_pton(AF_INET, PASST_ADDRESS, frame + ARP_FROM_AT + 6);
	(void)inet_pton(AF_INET, PASST_GATEWAY, frame + ARP_TO_AT + 6);
}

static bool arp_is_answer(const uint8_t *frame, size_t len)
{
	return len >= ARP_BYTES && be16_load(frame + ARP_TYPE_AT) == 0x0806 &&
	       be16_load(frame + ARP_OP_AT) == 2;
}

/* No byte more than whole frames: what follows is the guest's. */
static int passt_ask(int wire)
{
	const int64_t deadline = clock_mono_ns() + PASST_WAIT_MS * NS_PER_MS;
	uint8_t question[4 + ARP_BYTES], length[4];
	uint8_t *frame = malloc(PASST_FRAME_MAX);
	int r = frame ? 0 : -ENOMEM;

	arp_question(question);
	if (r == 0 && send(wire, question, sizeof(question), MSG_NOSIGNAL) != sizeof(question))
		r = -EPIPE;
	for (bool heard = false; r == 0 && !heard;) {
		r = fd_receive_all(wire, length, sizeof(length), deadline);
		const uint32_t len = r == 0 ? be32_load(length) : 0;
		if (r == 0 && (len < PASST_FRAME_MIN || len > PASST_FRAME_MAX))
			r = -EPROTO;
		if (r == 0)
			r = fd_receive_all(wire, frame, len, deadline);
		heard = r == 0 && arp_is_answer(frame, len);
	}
	free(frame);
	return r;
}

/* The last line with words in it, but for those on the system's log, which it cannot reach where there is none. */
static const char *passt_last_words(struct buf *text)
{
	const char *last = "it ended without a word";
	char *save = NULL;

	for (char *line = text->len ? strtok_r(text->data, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (!strstr(line, "syslog"))
			last = line;
	}
	return last;
}

int passt_wait(struct passt *passt, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	int r = passt_ask(passt->wire);

	fd_close(fd_take(&passt->wire));
	if (r == -EPIPE)
		(void)fd_read_all(passt->words, PASST_WORDS_MAX,
				  &text); /* a cut text is one, too */
	fd_close(fd_take(&passt->words));
	if (r == -EPIPE)
		return err_say(err, EIO, "--network passt: passt: %.300s", passt_last_words(&text));
	return r < 0 ? err_set(err, -r, "--network passt: passt does not answer") : 0;
}

/* ---- in a namespace ---- */

/* In the child, between fork and exec. No change of ids that it goes through takes the tie: it stays in namespaces of its creator's. */
static _Noreturn void join_exec(const char *const *argv, int words, pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || null < 0)
		_exit(127);
	(void)dup2(null, 0);
	(void)dup2(null, 1);
	(void)dup2(words, 2);
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* valid arguments: cannot fail */
	(void)signal(SIGPIPE, SIG_DFL); /* it takes hearing of another's choice for an error */
	(void)execvp(argv[0], (char *const *)(uintptr_t)argv); /* returns on error */
	_exit(errno == ENOENT ? 127 : 126);
}

/* It writes its number once the interface is there. */
static int join_wait(const struct passt *passt, int ready)
{
	const int64_t deadline = clock_mono_ns() + PASST_WAIT_MS * NS_PER_MS;

	for (;;) {
		struct pollfd polls[] = { { ready, POLLIN, 0 }, { passt->pidfd, POLLIN, 0 } };
		const int64_t ms = (deadline - clock_mono_ns()) / NS_PER_MS;
		if (ms <= 0)
			return -ETIMEDOUT;
		if (poll(polls, ARRAY_SIZE(polls), (int)ms) <= 0)
			continue;
		if (polls[0].revents & POLLIN)
			return 0;
		if (polls[1].revents)
			return -EPIPE;
		/* Opened and closed without a word: what is left is its end. */
		if (poll(&polls[1], 1, (int)ms) > 0)
			return -EPIPE;
	}
}

static int join_failed(struct passt *passt, int r, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	siginfo_t end = { 0 };

	if (r == -EPIPE) {
		(void)fd_read_all(passt->words, PASST_WORDS_MAX,
				  &text); /* a cut text is one, too */
		while (waitid(P_PIDFD, (id_t)passt->pidfd, &end, WEXITED | WNOWAIT) < 0 &&
		       errno == EINTR)
			;
		if (end.si_code == CLD_EXITED && end.si_status == 127)
			return passt_failed(-ENOENT, err);
		return err_say(err, EIO, "--network passt: pasta: %.300s", passt_last_words(&text));
	}
	return r < 0 ? err_set(err, -r, "--network passt: pasta does not answer") : 0;
}

static int join_start(const char *const *argv, struct passt *ret)
{
	const pid_t self = getpid();
	int words[2];

	if (pipe2(words, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		join_exec(argv, words[1], self);
	int r = pid < 0 ? -errno : pidfd_of(pid);
	fd_close(words[1]);
	ret->words = words[0];
	if (r >= 0)
		ret->pidfd = r;
	return r < 0 ? r : 0;
}

int passt_join(const struct passt_port *ports, size_t n, pid_t pid, const char *dir,
	       struct passt *ret, struct err *err)
{
	char net[40], users[40], fifo[4096];
	const char *const first[] = { "pasta",
				      "--config-net",
				      "--no-netns-quit",
				      "-T",
				      "none",
				      "-U",
				      "none",
				      "-I",
				      "eth0",
				      "--ns-mac-addr",
				      PASST_MAC,
				      "--pid",
				      fifo,
				      "--netns",
				      net,
				      "--userns",
				      users,
				      NULL };
	AUTO(args_fini) struct passt_args args = { .n = 0 };

	*ret = (struct passt)PASST_NONE;
	_Static_assert(ARRAY_SIZE(first) <= PASST_FIRST_MAX, "room");
	(void)snprintf(net, sizeof(net), "/proc/%d/ns/net", (int)pid);	    /* fits */
	(void)snprintf(users, sizeof(users), "/proc/%d/ns/user", (int)pid); /* fits */
	int len = snprintf(fifo, sizeof(fifo), "%s/passt.pid", dir);
	if (len < 0 || (size_t)len >= sizeof(fifo))
		return err_set(err, ENAMETOOLONG, "run directory %s", dir);
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return err_say(
			err, EACCES,
			"--network passt: /dev/net/tun is closed to you, which its administrator can "
			"change ('chmod 666 /dev/net/tun'): or use --network none or host");
	(void)unlink(fifo); /* of a run before */
	int r = args_fill(&args, first, ports, n, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p)
	int ready = mkfifo(fifo, 0600) < 0 ? -1 : open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (ready < 0)
		return err_set(err, errno, "make %s", fifo);
	r = join_start(args.argv, ret);
	if (r < 0)
		return passt_failed(r, err);
	r = join_failed(ret, join_wait(ret, ready), err);
	fd_close(fd_take(&ret->words));
	(void)unlink(fifo);
	return r;
}
