/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/virtiofsd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/idspace.h"
#include "engines/oslevel/mount.h"

#define SERVER_WORDS_MAX 65536
#define SERVER_TREES	 128
#define SERVER_AT	 "/tmp" /* in its own mount namespace: every host has it */
#define SERVER_LISTEN_FD 3
#define SERVER_GRACE_MS	 100
#define SERVER_FILES_MAX 262144

/* ---- the new process ---- */

/* What the new process says, once; with the socket if all is well. */
struct server_word {
	int32_t code; /* errno, or 0 */
	char text[480];
};

struct server_tree {
	char name[VIRTIOFSD_NAME];
	int fd;
};

struct server_child {
	const struct virtiofsd_plan *plan;
	const char *program;
	int talk, words;
	int parent; /* a pidfd */
	size_t n;
	struct server_tree trees[SERVER_TREES];
};

/* virtiofsd gives up groups at its start, which takes the right to. */
static int child_groups(struct err *err)
{
	if (getgroups(0, NULL) <= 0 || !ids_no_groups(0))
		return 0;
	return err_say(
		err, EPERM,
		"shared folders of an ordinary user who is in several groups take newuidmap, "
		"newgidmap and his lines in /etc/subuid and /etc/subgid: apt-get install "
		"uidmap");
}

/* Once the parent has done its part: out of its namespaces. The pid namespace is for who is born from now on. */
static int child_enter(const struct server_child *c, struct err *err)
{
	char byte;
	int r = 0;

	if (recv(c->talk, &byte, 1, 0) != 1)
		return err_say(err, ECHILD, "nobody waits for virtiofsd");
	if (c->plan->enter)
		r = c->plan->enter(c->plan->arg, err);
	if (r == 0 && geteuid() != 0) {
		r = ids_enter(err);
		if (r == 0)
			r = child_groups(err);
	}
	if (r == 0 &&
	    unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		r = err_set(err, errno, "namespaces for virtiofsd");
	return r;
}

static int child_open(struct server_child *c, struct err *err)
{
	const struct virtiofsd_plan *plan = c->plan;

	for (c->n = 0; c->n < plan->n; c->n++) {
		struct server_tree *tree = &c->trees[c->n];
		tree->fd = plan->tree(plan->arg, c->n, tree->name, err);
		if (tree->fd < 0)
			return tree->fd;
	}
	return 0;
}

/* The directory that is shared: names, and nothing that could be written. */
static int child_mounts(struct server_child *c, struct err *err)
{
	static const struct mount_option options[] = { { "mode", "755" }, { NULL, NULL } };
	int r = 0;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, errno, "a mount namespace for virtiofsd");
	r = child_open(c, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p)
	int top = mount_new("tmpfs", options,
			    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	if (top < 0)
		return top;
	AUTO(fd_close_p) int at = open(SERVER_AT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = at < 0 ? -errno : mount_onto(top, at);
	for (size_t i = 0; r == 0 && i < c->n; i++)
		r = mount_named(c->trees[i].fd, top, c->trees[i].name);
	if (r == 0)
		r = mount_attrs(top, false, MOUNT_ATTR_RDONLY, 0);
	return r < 0 ? err_set(err, -r, "mount what is shared") : 0;
}

/*
 * virtiofsd takes a socket that listens: one without a name that others could reach, in a network namespace without others. The one
 * who connects is us. unix(7): autobind.
 */
static int child_socket(int *ret_listen, int *ret_client, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(address);
	AUTO(fd_close_p) int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO(fd_close_p) int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (server < 0 || client < 0 ||
	    bind(server, (const struct sockaddr *)&address, sizeof(address.sun_family)) < 0 ||
	    listen(server, 1) < 0 || getsockname(server, (struct sockaddr *)&address, &len) < 0 ||
	    connect(client, (const struct sockaddr *)&address, len) < 0)
		return err_set(err, errno, "a socket for virtiofsd");
	*ret_listen = fd_take(&server);
	*ret_client = fd_take(&client);
	return 0;
}

static int child_say(const struct server_child *c, const struct err *err, int fd)
{
	struct server_word word = { .code = err ? err->code : 0 };
	const struct iovec iov = { &word, sizeof(word) };

	if (err)
		(void)snprintf(word.text, sizeof(word.text), "%s", err->text); /* cut */
	return fd_send(c->talk, &iov, 1, fd);
}

/* Nothing but null, the pipe for its words, and the socket. */
static int child_fds(const struct server_child *c, int server)
{
	AUTO(fd_close_p) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* Away from where they are going. */
	AUTO(fd_close_p) int words = fcntl(c->words, F_DUPFD_CLOEXEC, SERVER_LISTEN_FD + 1);
	AUTO(fd_close_p) int listens = fcntl(server, F_DUPFD_CLOEXEC, SERVER_LISTEN_FD + 1);

	if (null < 0 || words < 0 || listens < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(words, 2) < 0 || dup2(listens, SERVER_LISTEN_FD) < 0)
		return -errno;
	return close_range(SERVER_LISTEN_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

/*
 * It holds a file open for each that the guest's kernel remembers, and so as many as it may, within what one guest shall have
 * of the host's memory. It would insist on more by itself, which takes rights.
 */
static void child_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	const struct rlimit more = { SERVER_FILES_MAX, SERVER_FILES_MAX };
	if (files.rlim_max >= SERVER_FILES_MAX || setrlimit(RLIMIT_NOFILE, &more) < 0) {
		files.rlim_cur =
			files.rlim_max < SERVER_FILES_MAX ? files.rlim_max : SERVER_FILES_MAX;
		(void)setrlimit(RLIMIT_NOFILE, &files); /* up to the hard limit: allowed */
	}
}

static int child_become(const struct server_child *c, int server, struct err *err)
{
	static char *const env[] = { NULL };
	static const char options[] = "source=" SERVER_AT ",announce_submounts,xattr,"
				      "cache=always,timeout=1,sandbox=namespace,log_level=err";
	char *argv[] = { (char *)(uintptr_t)c->program,
			 (char[]){ "--fd=3" },
			 (char[]){ "-f" },
			 (char[]){ "--rlimit-nofile=0" },
			 (char[]){ "-o" },
			 (char *)(uintptr_t)options,
			 NULL };
	const struct rlimit no_core = { 0, 0 };
	sigset_t none;

	_Static_assert(SERVER_LISTEN_FD == 3, "--fd");
	child_files();
	(void)setrlimit(RLIMIT_CORE, &no_core); /* lowering is always allowed */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* valid arguments: cannot fail */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, errno, "no_new_privs");
	int r = child_fds(c, server);
	if (r < 0)
		return err_set(err, -r, "hand over open files");
	(void)execve(c->program, argv, env); /* returns on error */
	return err_set(err, errno, "run %s", c->program);
}

/*
 * Somebody has to end the server when its parent ends, and PR_SET_PDEATHSIG would not do: a VMM that became nobody may not kill root's
 * processes, not even by its death. The server is the first of a pid namespace: with it goes what it started.
 */
static _Noreturn void child_watch(const struct server_child *c, pid_t server)
{
	struct pollfd ends[] = { { .fd = 0, .events = POLLIN }, { .fd = 1, .events = POLLIN } };
	int pidfd = pidfd_of(server);

	/* Not the streams of whoever waits for their end, nor anything else. */
	if (pidfd < 0 || dup2(pidfd, 1) < 0 || dup2(c->parent, 0) < 0)
		_exit(125);
	(void)close_range(2, ~0U, 0);
	while (poll(ends, ARRAY_SIZE(ends), -1) < 0 && errno == EINTR)
		;
	(void)pidfd_signal(1, SIGKILL);
	while (waitpid(server, NULL, 0) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* Its watcher's death, however that comes, is its own. */
static int child_bind(int watcher, struct err *err)
{
	struct pollfd ended = { .fd = watcher, .events = POLLIN };

	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || poll(&ended, 1, 0) != 0
		       ? err_say(err, ECHILD, "nobody waits for virtiofsd")
		       : 0;
}

static _Noreturn void child_main(struct server_child *c)
{
	AUTO(fd_close_p) int server = -EBADF;
	AUTO(fd_close_p) int client = -EBADF;
	struct err err = { 0 };

	const int self = pidfd_of(getpid());
	int r = child_enter(c, &err);
	if (r == 0)
		r = child_mounts(c, &err);
	if (r == 0)
		r = child_socket(&server, &client, &err);
	if (r == 0 && child_say(c, NULL, client) < 0)
		_exit(125);
	if (r < 0) {
		(void)child_say(c, &err, -1);
		_exit(125);
	}
	fd_close(fd_take(&client));
	fd_close(c->talk);
	pid_t pid = fork();
	if (pid > 0)
		child_watch(c, pid);
	if (pid < 0)
		(void)err_set(&err, errno, "start virtiofsd");
	else if (child_bind(self, &err) == 0)
		(void)child_become(c, server, &err);
	(void)dprintf(c->words, "%s\n", err.text); /* as virtiofsd would */
	_exit(125);
}

/* ---- its starter ---- */

static int start_clone(struct server_child *c, int ours, pid_t *ret_pid, int *ret_pidfd,
		       struct err *err)
{
	int pidfd = -EBADF;
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		return err_set(err, errno, "start virtiofsd");
	if (pid == 0) {
		fd_close(ours);
		child_main(c);
	}
	*ret_pid = (pid_t)pid;
	*ret_pidfd = pidfd;
	return 0;
}

static int start_hear(int talk, int *ret_socket, struct err *err)
{
	struct server_word word = { .code = 0 };
	int fd = -EBADF;
	ssize_t n = fd_receive(talk, &word, sizeof(word), &fd);

	if (n == sizeof(word) && word.code == 0 && fd >= 0) {
		*ret_socket = fd;
		return 0;
	}
	fd_close(fd);
	word.text[sizeof(word.text) - 1] = '\0';
	if (n == sizeof(word) && word.code)
		return err_say(err, word.code, "%s", word.text);
	return err_say(err, ECHILD, "virtiofsd's process died while it started");
}

static int start_talk(struct server_child *c, struct virtiofsd *ret, int ours, int *ret_socket,
		      struct err *err)
{
	const struct virtiofsd_plan *plan = c->plan;
	pid_t pid = 0;
	int r = start_clone(c, ours, &pid, &ret->pidfd, err);

	fd_close(c->talk);
	fd_close(c->words);
	if (r == 0 && plan->born)
		r = plan->born(plan->arg, pid, err);
	if (r < 0)
		return r;
	(void)!send(ours, "", 1, MSG_NOSIGNAL); /* a death shows below */
	return start_hear(ours, ret_socket, err);
}

int virtiofsd_start(const struct virtiofsd_plan *plan, struct virtiofsd *ret, int *ret_socket,
		    struct err *err)
{
	struct server_child c = { .plan = plan, .parent = pidfd_of(getpid()) };
	char *program = NULL;
	int talk[2], words[2];

	*ret = (struct virtiofsd)VIRTIOFSD_NONE;
	int r = c.parent < 0 ? err_set(err, -c.parent, "pidfd")
		: plan->n > SERVER_TREES
			? err_say(err, E2BIG, "more than %d shared folders", SERVER_TREES)
			: virtiofsd_find(NULL, &program, err);
	if (r < 0) {
		fd_close(c.parent);
		return r;
	}
	c.program = program;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk) < 0) {
		r = err_set(err, errno, "socket pair");
		fd_close(c.parent);
		free(program);
		return r;
	}
	/* What nobody reads is lost: it must not wait for a reader. */
	if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = err_set(err, errno, "pipe");
		fd_close(talk[1]);
	} else {
		ret->words = words[0];
		c.talk = talk[1];
		c.words = words[1];
		r = start_talk(&c, ret, talk[0], ret_socket, err);
	}
	fd_close(talk[0]);
	fd_close(c.parent);
	free(program);
	return r;
}

/* "[time] [ID: 1] words": the words of the last line that has any. */
static const char *server_last_words(struct buf *text)
{
	const char *last = "it ended without a word";
	char *save = NULL;

	for (char *line = text->len ? strtok_r(text->data, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		while (line[0] == '[' && strstr(line, "] "))
			line = strstr(line, "] ") + 2;
		last = line;
	}
	return last;
}

int virtiofsd_explain(struct virtiofsd *server, int wait_ms, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	struct pollfd ended = { .fd = server->pidfd, .events = POLLIN };

	if (server->pidfd < 0 || server->words < 0 || poll(&ended, 1, wait_ms) != 1)
		return 0;
	(void)fd_read_all(server->words, SERVER_WORDS_MAX, &text); /* a cut text is one, too */
	return err_say(err, EIO, "shared folders: virtiofsd: %.300s", server_last_words(&text));
}

void virtiofsd_quiet(struct virtiofsd *server)
{
	fd_close(fd_take(&server->words));
}

void virtiofsd_stop(struct virtiofsd *server)
{
	virtiofsd_quiet(server);
	if (server->pidfd >= 0) {
		/* Mostly its socket is closed by now, and it is on its way. */
		struct pollfd ended = { .fd = server->pidfd, .events = POLLIN };
		if (poll(&ended, 1, SERVER_GRACE_MS) != 1)
			(void)pidfd_signal(server->pidfd,
					   SIGKILL); /* gone already: the wait returns */
		while (waitid(P_PIDFD, (id_t)server->pidfd, NULL, WEXITED) < 0 && errno == EINTR)
			;
		fd_close(server->pidfd);
	}
	*server = (struct virtiofsd)VIRTIOFSD_NONE;
}
