/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/oci.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIB_ARGS_MAX   24
#define LIB_OUTPUT_MAX ((size_t)64 << 20)
#define LIB_LOG_FD     3 /* the program's: where its errors go */
#define EXPORT	       __attribute__((visibility("default")))

struct strata_oci {
	char *root;
	const char *program; /* borrowed */
	char error[512];
};

/* One run of the program. */
struct run {
	const char *args[LIB_ARGS_MAX];
	size_t n;
	int out, log; /* files in memory; out is -1 where the caller has another */
	const struct strata_oci_io *io;
	int status;
};

__attribute__((format(printf, 2, 3))) static int fail(struct strata_oci *oci, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(oci->error, sizeof(oci->error), fmt, args); /* a cut text is still a text */
	va_end(args);
	return -1;
}

EXPORT struct strata_oci *strata_oci_new(const char *root)
{
	struct strata_oci *oci = calloc(1, sizeof(*oci));

	if (!oci)
		return NULL;
	oci->program = STRATA_OCI_PROGRAM;
	oci->root = root ? strdup(root) : NULL;
	if (!root || oci->root)
		return oci;
	free(oci);
	return NULL;
}

EXPORT void strata_oci_free(struct strata_oci *oci)
{
	if (!oci)
		return;
	free(oci->root);
	free(oci);
}

EXPORT void strata_oci_program(struct strata_oci *oci, const char *path)
{
	oci->program = path;
}

EXPORT const char *strata_oci_error(const struct strata_oci *oci)
{
	return oci->error;
}

static void run_add(struct run *run, const char *word)
{
	if (run->n < LIB_ARGS_MAX - 1)
		run->args[run->n++] = word;
}

static void run_begin(const struct strata_oci *oci, struct run *run, const char *verb)
{
	*run = (struct run){ .out = -1, .log = -1 };
	run_add(run, "strata-oci");
	if (oci->root) {
		run_add(run, "--root");
		run_add(run, oci->root);
	}
	run_add(run, "--log");
	run_add(run, "/proc/self/fd/3");
	run_add(run, verb);
}

static void run_end(struct run *run)
{
	if (run->out >= 0)
		(void)close(run->out); /* files in memory */
	if (run->log >= 0)
		(void)close(run->log);
}

/* The child, after fork(2): nothing but system calls. */
static _Noreturn void run_child(const char *program, const struct run *run)
{
	const struct strata_oci_io *io = run->io;
	const int null = open("/dev/null", O_RDWR);
	const int from[4] = { io && io->in >= 0 ? io->in : null,
			      io && io->out >= 0 ? io->out
			      : run->out >= 0	 ? run->out
						 : null,
			      io && io->err >= 0 ? io->err : null, run->log };
	int copy[4];

	/* Above where they go, so that none is overwritten before it is there. */
	for (int i = 0; i < 4; i++) {
		copy[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 10);
		if (copy[i] < 0)
			_exit(127);
	}
	for (int i = 0; i < 4; i++) {
		if (dup2(copy[i], i) < 0)
			_exit(127);
	}
	(void)close_range(LIB_LOG_FD + 1, ~0U,
			  0); /* since Linux 5.9; ours are close-on-exec in any case */
	(void)execvp(program, (char *const *)(uintptr_t)run->args); /* returns on error */
	_exit(127);
}

/* A file of memory's text; NULL where there is no memory, or too much to say. */
static char *run_text(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || (size_t)st.st_size > LIB_OUTPUT_MAX)
		return NULL;
	char *text = calloc(1, (size_t)st.st_size + 1);
	if (text && pread(fd, text, (size_t)st.st_size, 0) != st.st_size) {
		free(text);
		return NULL;
	}
	return text;
}

/* The last error's message, of lines as: time="..." level=error msg="..."; what is returned points into log, or is NULL. */
static const char *run_error(const char *log, size_t *ret_len)
{
	static const char mark[] = "level=error msg=\"";
	const char *at = NULL;

	for (const char *p = log; p && (p = strstr(p, mark)); p += sizeof(mark) - 1)
		at = p + sizeof(mark) - 1;
	if (!at)
		return NULL;
	*ret_len = strcspn(at, "\n");
	*ret_len -= *ret_len && at[*ret_len - 1] == '"';
	return at;
}

static bool run_has_error(const struct run *run)
{
	char *log = run_text(run->log);
	size_t len;
	const bool has = run_error(log, &len) != NULL;

	free(log);
	return has;
}

static int run_failed(struct strata_oci *oci, const struct run *run)
{
	char *log = run_text(run->log);
	size_t len;
	const char *text = run_error(log, &len);

	if (text)
		(void)fail(oci, "%.*s",
			   len > sizeof(oci->error) ? (int)sizeof(oci->error) : (int)len, text);
	else if (run->status == 127)
		(void)fail(oci, "%s cannot be run", oci->program);
	else
		(void)fail(oci, "strata-oci failed with status %d", run->status);
	free(log);
	return -1;
}

/* @ret_out: what it printed, the caller's; NULL: nothing is wanted */
static int run_do(struct strata_oci *oci, struct run *run, char **ret_out)
{
	int status = 0;
	pid_t pid;

	oci->error[0] = '\0';
	run->log = memfd_create("log", MFD_CLOEXEC);
	if (ret_out)
		run->out = memfd_create("out", MFD_CLOEXEC);
	if (run->log < 0 || (ret_out && run->out < 0))
		return fail(oci, "memfd_create: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		run_child(oci->program, run);
	if (pid < 0)
		return fail(oci, "fork: %s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return fail(oci, "wait for strata-oci: %s", strerror(errno));
	}
	run->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	if (ret_out && run->status == 0 && !(*ret_out = run_text(run->out)))
		return fail(oci, "what strata-oci printed cannot be read");
	return 0;
}

static int run_plain(struct strata_oci *oci, struct run *run, char **ret_out)
{
	int r = run_do(oci, run, ret_out);

	if (r == 0 && run->status != 0)
		r = run_failed(oci, run);
	run_end(run);
	return r;
}

static void run_console(struct run *run, const struct strata_oci_io *io)
{
	run->io = io;
	if (io && io->size >= sizeof(*io) && io->console_socket) {
		run_add(run, "--console-socket");
		run_add(run, io->console_socket);
	}
}

EXPORT int strata_oci_create(struct strata_oci *oci, const char *id, const char *bundle,
			     const struct strata_oci_io *io)
{
	struct run run;

	run_begin(oci, &run, "create");
	run_add(&run, "--bundle");
	run_add(&run, bundle);
	run_console(&run, io);
	run_add(&run, "--");
	run_add(&run, id);
	return run_plain(oci, &run, NULL);
}

EXPORT int strata_oci_start(struct strata_oci *oci, const char *id)
{
	struct run run;

	run_begin(oci, &run, "start");
	run_add(&run, "--");
	run_add(&run, id);
	return run_plain(oci, &run, NULL);
}

EXPORT int strata_oci_state(struct strata_oci *oci, const char *id, char **ret)
{
	struct run run;

	run_begin(oci, &run, "state");
	run_add(&run, "--");
	run_add(&run, id);
	return run_plain(oci, &run, ret);
}

EXPORT int strata_oci_list(struct strata_oci *oci, char **ret)
{
	struct run run;

	run_begin(oci, &run, "list");
	run_add(&run, "--format");
	run_add(&run, "json");
	return run_plain(oci, &run, ret);
}

EXPORT int strata_oci_kill(struct strata_oci *oci, const char *id, int sig, bool all)
{
	char number[16];
	struct run run;

	run_begin(oci, &run, "kill");
	if (all)
		run_add(&run, "--all");
	run_add(&run, "--");
	run_add(&run, id);
	(void)snprintf(number, sizeof(number), "%d", sig); /* fits */
	run_add(&run, number);
	return run_plain(oci, &run, NULL);
}

EXPORT int strata_oci_delete(struct strata_oci *oci, const char *id, bool force)
{
	struct run run;

	run_begin(oci, &run, "delete");
	if (force)
		run_add(&run, "--force");
	run_add(&run, "--");
	run_add(&run, id);
	return run_plain(oci, &run, NULL);
}

/* Whether it was strata-oci that failed is what its log says: the process may end with any status. */
EXPORT int strata_oci_exec(struct strata_oci *oci, const char *id, const char *process,
			   const struct strata_oci_io *io, int *ret_status)
{
	char path[48];
	struct run run;
	const size_t len = strlen(process);
	const int fd = memfd_create("process", 0);

	run_begin(oci, &run, "exec");
	/* Of our own: the program has closed whatever it was not given by number. */
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd); /* fits */
	if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    pwrite(fd, process, len, 0) != (ssize_t)len) {
		if (fd >= 0)
			(void)close(fd);
		return fail(oci, "the process: %s", strerror(errno));
	}
	run_add(&run, "--process");
	run_add(&run, path);
	run_console(&run, io);
	run_add(&run, "--");
	run_add(&run, id);
	int r = run_do(oci, &run, NULL);
	if (r == 0 && run.status != 0 &&
	    (run_has_error(&run) || (run.status == 127 && access(oci->program, X_OK) < 0)))
		r = run_failed(oci, &run);
	*ret_status = run.status;
	run_end(&run);
	(void)close(fd);
	return r;
}
