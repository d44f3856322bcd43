/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of QEMU's: what is said to it, and its end. The guest is hostile; agent_wire.h checks what it says. */
#include "compare/qemu_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "compare/child.h"

#define QEMU_QMP_MS  60000
#define QEMU_QMP_MAX ((size_t)1 << 20)
#define QEMU_LOG_MAX 65536

/* ---- the agent's conversation ---- */

static int qemu_take_ready(struct qemu_vm *vm, const void *data, size_t len)
{
	uint32_t version;

	if (vm->phase != QEMU_BOOTING || !vm->config.len ||
	    agent_wire_ready(data, len, &version) < 0 || version != AGENT_VERSION)
		return -EPROTO;
	(void)buf_add(&vm->to_guest, buf_str(&vm->config),
		      vm->config.len); /* sticky: then it hangs, and is told so */
	buf_fini(&vm->config);
	return 0;
}

static void qemu_over(struct qemu_vm *vm)
{
	vm->phase = QEMU_ENDED;
}

static int qemu_take(struct qemu_vm *vm)
{
	const void *data = vm->reader.body.data;
	size_t len = vm->reader.len;
	int r = 0;

	switch (vm->reader.type) {
	case AGENT_READY:
		return qemu_take_ready(vm, data, len);
	case AGENT_STARTED:
		vm->phase = vm->phase == QEMU_BOOTING ? QEMU_STARTED : vm->phase;
		return 0;
	case AGENT_FAILED:
		r = agent_wire_failed(data, len, &vm->end.status, &vm->failed);
		break;
	case AGENT_EXIT:
		r = agent_wire_exit(data, len, &vm->end);
		break;
	default:
		return -EPROTO;
	}
	if (r == 0)
		qemu_over(vm);
	return r;
}

static void qemu_hear(struct qemu_vm *vm)
{
	uint8_t data[4096];
	ssize_t n = read(vm->control, data, sizeof(data));
	int r = n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n <= 0 ? -EPIPE : 0;

	for (size_t at = 0; r == 0 && n > 0 && at < (size_t)n && vm->phase < QEMU_ENDED;) {
		size_t used = 0;
		r = frame_reader_feed(&vm->reader, data + at, (size_t)n - at, &used);
		at += used;
		if (r > 0)
			r = qemu_take(vm);
	}
	if (r < 0 && vm->phase < QEMU_ENDED && r != -EPIPE) {
		(void)err_say(&vm->failed, EPROTO, "the guest's agent broke its protocol");
		vm->end.status = 125;
		qemu_over(vm);
	}
	if (r == -EPIPE)
		fd_close_p(&vm->control); /* QEMU's end is near */
}

static void qemu_say(struct qemu_vm *vm)
{
	ssize_t n =
		send(vm->control, vm->to_guest.data, vm->to_guest.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n <= 0)
		return; /* later, or never: the timeout says so */
	memmove(vm->to_guest.data, vm->to_guest.data + n, vm->to_guest.len - (size_t)n);
	vm->to_guest.len -= (size_t)n;
}

static void qemu_read(int *fd, struct buf *text, uint64_t *total)
{
	char data[16384];
	ssize_t n = read(*fd, data, sizeof(data));

	if (n > 0) {
		*total += (uint64_t)n;
		child_keep(text, data, (size_t)n, OUTCOME_MAX);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		fd_close_p(fd);
	}
}

/* ---- the machine ---- */

static bool qemu_is_there(const struct qemu_vm *vm, enum qemu_phase phase)
{
	if (vm->phase < phase)
		return phase == QEMU_SAID && vm->first_ns;
	/* Its last words are on their way, behind the news of its end. */
	return phase != QEMU_ENDED ||
	       (vm->out_n >= vm->end.stdout_bytes && vm->err_n >= vm->end.stderr_bytes) ||
	       vm->phase == QEMU_GONE;
}

/* What QEMU said last: why it is gone. */
static void qemu_last_words(const struct qemu_vm *vm, char ret[200])
{
	char path[3200], text[4096];

	ret[0] = '\0';
	(void)snprintf(path, sizeof(path), "%s/log", vm->dir); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_text(fd, text, sizeof(text)) <= 0)
		return;
	text[strcspn(text, "\n")] =
		'\0'; /* the first is the cause, what follows its consequences */
	(void)snprintf(ret, 200, "%.199s", text);
	for (char *c = ret; *c; c++)
		*c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
}

static int qemu_gone_early(const struct qemu_vm *vm, struct err *err)
{
	char said[200];

	if (vm->failed.code)
		return err_say(err, EIO, "%s", vm->failed.text);
	qemu_last_words(vm, said);
	return err_say(err, EIO, "QEMU ended%s%s", said[0] ? ": " : " before its guest did", said);
}

static int64_t qemu_left_ms(const struct qemu_vm *vm, unsigned timeout)
{
	int64_t left = vm->begin_ns + (int64_t)timeout * NS_PER_S - clock_mono_ns();

	return left < 0 ? 0 : left / NS_PER_MS + 1;
}

/* One turn: -EINTR, or 0. */
static int qemu_turn(struct qemu_vm *vm, int64_t left_ms, int stop)
{
	short say = vm->to_guest.len ? POLLIN | POLLOUT : POLLIN;
	struct pollfd polls[] = { { vm->pidfd, POLLIN, 0 },
				  { vm->control, say, 0 },
				  { vm->out, POLLIN, 0 },
				  { vm->err, POLLIN, 0 },
				  { stop, POLLIN, 0 } };
	int n = poll(polls, ARRAY_SIZE(polls), left_ms > 100000 ? 100000 : (int)left_ms);
	int64_t now = clock_mono_ns();

	if (n <= 0)
		return 0;
	if (polls[4].revents)
		return -EINTR;
	if (polls[2].revents & POLLIN && !vm->first_ns)
		vm->first_ns = now;
	if (polls[2].revents)
		qemu_read(&vm->out, &vm->out_text, &vm->out_n);
	if (polls[3].revents)
		qemu_read(&vm->err, &vm->err_text, &vm->err_n);
	if (polls[1].revents & POLLOUT)
		qemu_say(vm);
	if (polls[1].revents & ~POLLOUT)
		qemu_hear(vm);
	if (polls[0].revents && !polls[2].revents && !polls[3].revents) {
		vm->end_ns = now;
		vm->phase = QEMU_GONE;
	}
	return 0;
}

int qemu_vm_wait(struct qemu_vm *vm, enum qemu_phase phase, unsigned timeout, int stop,
		 struct err *err)
{
	enum qemu_phase before = vm->phase;

	if (phase == QEMU_GONE)
		frame_add(&vm->to_guest, AGENT_STOP, NULL, 0);
	while (!qemu_is_there(vm, phase)) {
		int64_t left = qemu_left_ms(vm, timeout);
		if (!left)
			return err_say(err, ETIMEDOUT, "no answer in %u s", timeout);
		before = vm->phase;
		if (qemu_turn(vm, left, stop) < 0)
			return err_say(err, EINTR, "interrupted");
	}
	if (vm->failed.code && phase < QEMU_GONE)
		return err_say(err, EIO, "%s", vm->failed.text);
	return vm->phase == QEMU_GONE && before < QEMU_ENDED && phase < QEMU_GONE
		       ? qemu_gone_early(vm, err)
		       : 0;
}

void qemu_vm_signal(struct qemu_vm *vm, int sig)
{
	agent_wire_signal(&vm->to_guest, sig);
}

/* ---- the shell inside ---- */

const char *const qemu_shell[] = {
	"sh", "-c",
	"trap 'exit 0' TERM; echo idle; while read -r c; do sh -c \"$(printf %b \"$c\")\" </dev/null; "
	"printf '\\n" QEMU_MARK " %s\\n' $?; done",
	NULL
};

/* A byte that is more than a letter or a digit, as printf's %b has it. */
static void qemu_encode(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
			(void)buf_add(out, text, 1); /* sticky */
		else
			(void)buf_printf(out, "\\0%03o", c); /* sticky */
	}
}

/* The words as a shell takes them for just these words. */
static void qemu_quote(struct buf *out, const char *const *argv)
{
	for (size_t i = 0; argv[i]; i++) {
		qemu_encode(out, i ? " '" : "'");
		for (const char *c = argv[i]; *c; c++) {
			const char one[] = { *c, '\0' };
			qemu_encode(out, *c == '\'' ? "'\\''" : one);
		}
		qemu_encode(out, "'");
	}
	(void)buf_adds(out, "\n"); /* sticky */
}

/* Whether its last line is the mark; it is cut off then. */
static bool qemu_is_done(struct buf *text, int *ret_status)
{
	static const char mark[] = "\n" QEMU_MARK " ";
	size_t at = text->len;
	char *end;

	if (!at || text->data[at - 1] != '\n')
		return false;
	for (at--; at && text->data[at - 1] != '\n'; at--)
		;
	if (!at || strncmp(text->data + at - 1, mark, sizeof(mark) - 1) != 0)
		return false;
	long status = strtol(text->data + at + sizeof(mark) - 2, &end, 10);
	*ret_status = *end == '\n' && status >= 0 && status < 256 ? (int)status : 125;
	text->len = at - 1;
	text->data[text->len] = '\0';
	return true;
}

static int qemu_tell(struct qemu_vm *vm, const char *const *argv, struct err *err)
{
	AUTO(buf_fini) struct buf line = { 0 };

	qemu_quote(&line, argv);
	if (line.failed)
		return err_set(err, ENOMEM, "command for QEMU's guest");
	ssize_t n = send(vm->in, line.data, line.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n == (ssize_t)line.len)
		return 0;
	return err_set(err, n < 0 ? errno : E2BIG, "command for QEMU's guest");
}

int qemu_vm_ask(struct qemu_vm *vm, const char *const *argv, unsigned timeout, int stop,
		struct outcome *ret, struct err *err)
{
	int64_t begin = clock_mono_ns(), until = begin + (int64_t)timeout * NS_PER_S, now = begin;
	int status = 0, r = 0;

	vm->out_text.len = vm->err_text.len = 0;
	vm->first_ns = 0;
	r = qemu_tell(vm, argv, err);
	while (r == 0 && !qemu_is_done(&vm->out_text, &status) && now < until) {
		if (vm->phase >= QEMU_ENDED)
			return qemu_gone_early(vm, err);
		r = qemu_turn(vm, (until - now) / NS_PER_MS + 1, stop);
		now = clock_mono_ns();
	}
	if (r == -EINTR)
		return err_say(err, EINTR, "interrupted");
	if (r < 0)
		return r;
	*ret = (struct outcome){
		.status = status, .timed_out = now >= until, .cpu = NAN, .memory = NAN
	};
	ret->elapsed = (double)(now - begin) / NS_PER_MS;
	ret->first_byte = vm->first_ns ? (double)(vm->first_ns - begin) / NS_PER_MS : NAN;
	ret->out = child_text(&vm->out_text, &ret->out_n);
	ret->err_line = child_last_line(&vm->err_text);
	return 0;
}

void qemu_vm_end(struct qemu_vm *vm, double *ret_cpu_ms, double *ret_memory_mib)
{
	if (!vm->made)
		return;
	child_kill(&vm->pid);
	group_end(&vm->group, ret_cpu_ms, ret_memory_mib);
	fd_close(vm->pidfd);
	fd_close(vm->control);
	fd_close(vm->in);
	fd_close(vm->out);
	fd_close(vm->err);
	fd_close(vm->qmp);
	frame_reader_fini(&vm->reader);
	buf_fini(&vm->to_guest);
	buf_fini(&vm->config);
	buf_fini(&vm->out_text);
	buf_fini(&vm->err_text);
	if (vm->dir[0])
		(void)dir_remove(AT_FDCWD,
				 vm->dir); /* what stays goes with the comparison's directory */
	*vm = (struct qemu_vm){ 0 };
}

/* ---- QMP: docs/interop/qmp-spec.txt of QEMU; a JSON object a line ---- */

/* The next line into @line; -ETIMEDOUT, -EPIPE. */
static int qemu_qmp_line(struct qemu_vm *vm, struct buf *line, int64_t until_ns)
{
	line->len = 0;
	while (line->len < QEMU_QMP_MAX) {
		struct pollfd in = { vm->qmp, POLLIN, 0 };
		int64_t left = (until_ns - clock_mono_ns()) / NS_PER_MS;
		char c;
		if (left <= 0 || (poll(&in, 1, (int)left) == 0))
			return -ETIMEDOUT;
		ssize_t n = read(vm->qmp, &c, 1);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return -EPIPE;
		if (c == '\n')
			return 0;
		if (buf_add(line, &c, 1) < 0)
			return -ENOMEM;
	}
	return -EFBIG;
}

/* Events and the greeting come in between. @ret: NULL, or a new reference */
static int qemu_qmp_answer(struct qemu_vm *vm, int64_t until_ns, json_t **ret, struct err *err)
{
	AUTO(buf_fini) struct buf line = { 0 };

	for (;;) {
		AUTO(json_decref_p) json_t *json = NULL;
		int r = qemu_qmp_line(vm, &line, until_ns);
		if (r == 0)
			r = json_parse(buf_str(&line), line.len, "QMP", &json, NULL);
		if (r < 0)
			return err_set(err, -r, "QEMU's monitor");
		json_t *returned = json_object_get(json, "return");
		if (returned && ret)
			*ret = json_incref(returned);
		if (returned)
			return 0;
		if (json_object_get(json, "error"))
			return err_say(err, EIO, "QEMU: %s",
				       json_str(json_object_get(json, "error"), "desc", "no"));
	}
}

static int qemu_qmp_ask(struct qemu_vm *vm, const char *command, const char *arguments,
			json_t **ret, struct err *err)
{
	int64_t until = clock_mono_ns() + QEMU_QMP_MS * NS_PER_MS;
	char text[192];
	int n = snprintf(text, sizeof(text), "{\"execute\":\"%s\",\"arguments\":%s}\n", command,
			 arguments); /* fits */

	if (send(vm->qmp, text, (size_t)n, MSG_NOSIGNAL) != n)
		return err_set(err, errno, "QEMU's monitor");
	return qemu_qmp_answer(vm, until, ret, err);
}

int qemu_vm_query(struct qemu_vm *vm, const char *command, const char *arguments, json_t **ret,
		  struct err *err)
{
	struct err first = { 0 };
	/* Needed once; QEMU answers with an error from then on, which is as good. */
	int r = qemu_qmp_ask(vm, "qmp_capabilities", "{}", NULL, &first);

	if (r < 0 && r != -EIO)
		return err_say(err, -r, "%s", first.text);
	return qemu_qmp_ask(vm, command, arguments, ret, err);
}

int qemu_vm_command(struct qemu_vm *vm, const char *command, struct err *err)
{
	return qemu_vm_query(vm, command, "{}", NULL, err);
}
