/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/gdb.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "engines/vmm/gdb_parts.h"
#include "engines/vmm/gdb_regs.h"

/* ---- replies ---- */

void gdb_ok(struct gdb *gdb)
{
	gdb_text_add(&gdb->reply, "OK");
}

void gdb_error(struct gdb *gdb, int error)
{
	const uint8_t code = (uint8_t)-error;

	gdb->reply.len = 0;
	gdb_text_add(&gdb->reply, "E");
	gdb_text_hex(&gdb->reply, &code, 1);
}

void gdb_result(struct gdb *gdb, int r)
{
	if (r < 0)
		gdb_error(gdb, r);
	else
		gdb_ok(gdb);
}

static void gdb_send_reply(struct gdb *gdb)
{
	gdb->frame_len = gdb_frame(&gdb->reply, gdb->frame);
	gdb->send(gdb, gdb->frame, gdb->frame_len, gdb->arg);
}

bool gdb_thread(const struct gdb *gdb, struct gdb_cursor *cursor, unsigned *ret_vcpu, bool *ret_all)
{
	uint64_t number = 0;

	if (gdb_skip(cursor, "-1")) {
		*ret_all = true;
		return true;
	}
	if (!gdb_number(cursor, &number) || number > gdb->target->vcpus)
		return false;
	*ret_all = number == 0;
	if (number)
		*ret_vcpu = (unsigned)number - 1;
	return true;
}

/* E.3 Stop Reply Packets: why it stopped, where the debugger knows the word. */
static void gdb_stop_point(struct gdb *gdb)
{
	const struct debug_point *point = &gdb->points[gdb->stop_point];

	if (point->access == DEBUG_EXECUTE) {
		if (gdb->hwbreak)
			gdb_text_add(&gdb->reply, "hwbreak:;");
		return;
	}
	gdb_text_add(&gdb->reply, point->access == DEBUG_WRITE ? "watch:" : "awatch:");
	gdb_text_number(&gdb->reply, point->gva);
	gdb_text_add(&gdb->reply, ";");
}

static void gdb_stop_reply(struct gdb *gdb)
{
	static const char *const signals[] = {
		[GDB_STOP_INTERRUPT] = "T02", /* SIGINT */
		[GDB_STOP_STEP] = "T05",      /* SIGTRAP */
		[GDB_STOP_SOFTWARE] = "T05",  [GDB_STOP_POINT] = "T05",
		[GDB_STOP_CRASH] = "T0b", /* SIGSEGV */
	};

	gdb_text_add(&gdb->reply, signals[gdb->stop]);
	gdb_text_add(&gdb->reply, "thread:");
	gdb_text_number(&gdb->reply, gdb->stop_vcpu + 1);
	gdb_text_add(&gdb->reply, ";");
	if (gdb->stop == GDB_STOP_SOFTWARE && gdb->swbreak)
		gdb_text_add(&gdb->reply, "swbreak:;");
	if (gdb->stop == GDB_STOP_POINT)
		gdb_stop_point(gdb);
}

void gdb_stopped(struct gdb *gdb, enum gdb_stop why, unsigned vcpu, unsigned point)
{
	if (!gdb->running || vcpu >= gdb->target->vcpus || point >= DEBUG_POINTS)
		return;
	gdb->running = false;
	gdb->stop = why;
	gdb->stop_point = point;
	gdb->stop_vcpu = gdb->general = gdb->control = vcpu;
	gdb->reply.len = 0;
	gdb_stop_reply(gdb);
	gdb_send_reply(gdb);
}

void gdb_ended(struct gdb *gdb, uint8_t status)
{
	bool waits = gdb->running;

	gdb->over = gdb->killed = true;
	gdb->running = false;
	if (!waits)
		return;
	gdb->reply.len = 0;
	gdb_text_add(&gdb->reply, "W");
	gdb_text_hex(&gdb->reply, &status, 1);
	gdb_send_reply(gdb);
}

/* ---- running: E.3 Packets, c, s, vCont ---- */

static void gdb_resume(struct gdb *gdb, const uint8_t run[GDB_VCPUS_MAX])
{
	gdb->running = true;
	gdb->target->ops->resume(gdb->target, run);
}

/* c, s: the vcpu that Hc chose steps, the others go on only when all do. "addr" goes into its rip. */
static void gdb_go(struct gdb *gdb, struct gdb_cursor *in, enum gdb_run how)
{
	uint8_t run[GDB_VCPUS_MAX];
	struct x86_state state;
	uint64_t rip;

	if (gdb_number(in, &rip)) {
		int r = gdb->target->ops->state_get(gdb->target, gdb->control, &state);
		state.rip = rip;
		if (r == 0)
			r = gdb->target->ops->state_set(gdb->target, gdb->control, &state);
		if (r < 0) {
			gdb_error(gdb, r);
			return;
		}
	}
	memset(run, how == GDB_RUN_STEP ? GDB_RUN_HOLD : GDB_RUN_CONTINUE, sizeof(run));
	run[gdb->control] = (uint8_t)how;
	gdb_resume(gdb, run);
}

static void gdb_continue(struct gdb *gdb, struct gdb_cursor *in)
{
	gdb_go(gdb, in, GDB_RUN_CONTINUE);
}

static void gdb_step(struct gdb *gdb, struct gdb_cursor *in)
{
	gdb_go(gdb, in, GDB_RUN_STEP);
}

/* "Csig;addr": a machine has no signals to be given. */
static void gdb_skip_signal(struct gdb_cursor *in)
{
	uint64_t signal;

	(void)gdb_number(in, &signal);
	(void)gdb_skip(in, ";");
}

static void gdb_continue_signal(struct gdb *gdb, struct gdb_cursor *in)
{
	gdb_skip_signal(in);
	gdb_go(gdb, in, GDB_RUN_CONTINUE);
}

static void gdb_step_signal(struct gdb *gdb, struct gdb_cursor *in)
{
	gdb_skip_signal(in);
	gdb_go(gdb, in, GDB_RUN_STEP);
}

/* One ";action[:thread]". The first that fits a vcpu counts. */
static bool gdb_vcont_action(struct gdb *gdb, struct gdb_cursor *in, uint8_t *run, bool *set)
{
	enum gdb_run how;
	unsigned vcpu = 0;
	bool all = true, with_signal = gdb_skip(in, "C");
	uint64_t signal;

	if (with_signal || gdb_skip(in, "c")) {
		how = GDB_RUN_CONTINUE;
	} else {
		with_signal = gdb_skip(in, "S");
		if (!with_signal && !gdb_skip(in, "s"))
			return false;
		how = GDB_RUN_STEP;
	}
	if (with_signal && !gdb_number(in, &signal))
		return false;
	if (gdb_skip(in, ":") && !gdb_thread(gdb, in, &vcpu, &all))
		return false;
	for (unsigned i = 0; i < gdb->target->vcpus; i++) {
		if (set[i] || !(all || i == vcpu))
			continue;
		run[i] = (uint8_t)how;
		set[i] = true;
	}
	return true;
}

static void gdb_vcont(struct gdb *gdb, struct gdb_cursor *in)
{
	uint8_t run[GDB_VCPUS_MAX] = { 0 }; /* GDB_RUN_HOLD */
	bool set[GDB_VCPUS_MAX] = { false };

	do {
		if (!gdb_skip(in, ";") || !gdb_vcont_action(gdb, in, run, set)) {
			gdb_error(gdb, -EINVAL);
			return;
		}
	} while (!gdb_at_end(in));
	gdb_resume(gdb, run);
}

/* ---- registers ---- */

static void gdb_regs_read(struct gdb *gdb, struct gdb_cursor *in)
{
	struct x86_state state;
	int r = gdb->target->ops->state_get(gdb->target, gdb->general, &state);

	(void)in;
	if (r < 0) {
		gdb_error(gdb, r);
		return;
	}
	for (unsigned i = 0; i < gdb_reg_count(); i++)
		gdb_reg_print(&state, i, &gdb->reply);
}

static void gdb_regs_write(struct gdb *gdb, struct gdb_cursor *in)
{
	struct x86_state state;
	int r = gdb->target->ops->state_get(gdb->target, gdb->general, &state);

	for (unsigned i = 0; r == 0 && i < gdb_reg_count() && !gdb_at_end(in); i++) {
		if (!gdb_reg_parse(&state, i, in))
			r = -EINVAL;
	}
	if (r == 0)
		r = gdb->target->ops->state_set(gdb->target, gdb->general, &state);
	gdb_result(gdb, r);
}

static void gdb_reg_read(struct gdb *gdb, struct gdb_cursor *in)
{
	struct x86_state state;
	uint64_t number;

	if (!gdb_number(in, &number) || number >= gdb_reg_count()) {
		gdb_error(gdb, -EINVAL);
		return;
	}
	int r = gdb->target->ops->state_get(gdb->target, gdb->general, &state);
	if (r < 0)
		gdb_error(gdb, r);
	else
		gdb_reg_print(&state, (unsigned)number, &gdb->reply);
}

static void gdb_reg_write(struct gdb *gdb, struct gdb_cursor *in)
{
	struct x86_state state;
	uint64_t number;
	int r = -EINVAL;

	if (gdb_number(in, &number) && number < gdb_reg_count() && gdb_skip(in, "="))
		r = gdb->target->ops->state_get(gdb->target, gdb->general, &state);
	if (r == 0 && !gdb_reg_parse(&state, (unsigned)number, in))
		r = -EINVAL;
	if (r == 0)
		r = gdb->target->ops->state_set(gdb->target, gdb->general, &state);
	gdb_result(gdb, r);
}

/* ---- threads, the end ---- */

static void gdb_choose(struct gdb *gdb, struct gdb_cursor *in)
{
	bool control = gdb_skip(in, "c"), all = false;
	unsigned vcpu = control ? gdb->control : gdb->general;

	if ((!control && !gdb_skip(in, "g")) || !gdb_thread(gdb, in, &vcpu, &all)) {
		gdb_error(gdb, -EINVAL);
		return;
	}
	if (control)
		gdb->control = vcpu;
	else
		gdb->general = vcpu;
	gdb_ok(gdb);
}

static void gdb_alive(struct gdb *gdb, struct gdb_cursor *in)
{
	unsigned vcpu;
	bool all;

	if (gdb_thread(gdb, in, &vcpu, &all) && !all)
		gdb_ok(gdb);
	else
		gdb_error(gdb, -ESRCH);
}

static void gdb_why(struct gdb *gdb, struct gdb_cursor *in)
{
	(void)in;
	gdb_stop_reply(gdb);
}

static void gdb_detach(struct gdb *gdb, struct gdb_cursor *in)
{
	(void)in;
	gdb->over = true;
	gdb_ok(gdb);
}

static void gdb_kill(struct gdb *gdb, struct gdb_cursor *in)
{
	(void)in;
	gdb->over = gdb->killed = true;
	gdb->target->ops->kill(gdb->target);
}

static void gdb_verbose(struct gdb *gdb, struct gdb_cursor *in)
{
	if (gdb_skip(in, "Cont?")) {
		gdb_text_add(&gdb->reply, "vCont;c;C;s;S");
	} else if (gdb_skip(in, "Cont")) {
		gdb_vcont(gdb, in);
	} else if (gdb_skip(in, "Kill")) {
		gdb_ok(gdb);
		gdb_kill(gdb, in);
	}
}

static const struct {
	char letter;
	bool while_running, silent; /* silent: an empty answer is none, not "unknown" */
	void (*run)(struct gdb *gdb, struct gdb_cursor *in);
} gdb_commands[] = {
	{ '?', false, false, gdb_why },
	{ 'C', false, true, gdb_continue_signal },
	{ 'D', true, false, gdb_detach },
	{ 'G', false, false, gdb_regs_write },
	{ 'H', false, false, gdb_choose },
	{ 'M', false, false, gdb_memory_write },
	{ 'P', false, false, gdb_reg_write },
	{ 'Q', true, false, gdb_query_set },
	{ 'S', false, true, gdb_step_signal },
	{ 'T', false, false, gdb_alive },
	{ 'X', false, false, gdb_memory_write_binary },
	{ 'Z', false, false, gdb_break_set },
	{ 'c', false, true, gdb_continue },
	{ 'g', false, false, gdb_regs_read },
	{ 'k', true, true, gdb_kill },
	{ 'm', false, false, gdb_memory_read },
	{ 'p', false, false, gdb_reg_read },
	{ 'q', false, false, gdb_query },
	{ 's', false, true, gdb_step },
	{ 'v', false, false, gdb_verbose },
	{ 'z', false, false, gdb_break_clear },
};

static void gdb_packet(struct gdb *gdb)
{
	struct gdb_cursor in = { gdb->reader.data + 1, gdb->reader.data + gdb->reader.len };
	char letter = gdb->reader.len ? (char)gdb->reader.data[0] : '\0';
	bool silent = false;

	gdb->reply.len = 0;
	for (unsigned i = 0; letter && i < ARRAY_SIZE(gdb_commands); i++) {
		if (gdb_commands[i].letter != letter)
			continue;
		if (gdb->running && !gdb_commands[i].while_running) {
			gdb_error(gdb, -EBUSY);
		} else {
			gdb_commands[i].run(gdb, &in);
			silent = gdb_commands[i].silent || gdb->running;
		}
		break;
	}
	if (gdb->reply.len || !silent)
		gdb_send_reply(gdb);
}

static void gdb_interrupt(struct gdb *gdb)
{
	if (!gdb->running)
		return;
	gdb->target->ops->stop(gdb->target);
	gdb_stopped(gdb, GDB_STOP_INTERRUPT, gdb->stop_vcpu, 0);
}

static void gdb_input(struct gdb *gdb, enum gdb_input input)
{
	switch (input) {
	case GDB_INPUT_PACKET:
		if (!gdb->no_ack)
			gdb->send(gdb, "+", 1, gdb->arg);
		gdb_packet(gdb);
		gdb->no_ack |= gdb->no_ack_next;
		break;
	case GDB_INPUT_DAMAGED:
		if (!gdb->no_ack)
			gdb->send(gdb, "-", 1, gdb->arg);
		break;
	case GDB_INPUT_NAK:
		if (!gdb->no_ack && gdb->frame_len)
			gdb->send(gdb, gdb->frame, gdb->frame_len, gdb->arg);
		break;
	case GDB_INPUT_INTERRUPT:
		gdb_interrupt(gdb);
		break;
	default:
		break;
	}
}

bool gdb_feed(struct gdb *gdb, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len && !gdb->over; i++)
		gdb_input(gdb, gdb_reader_byte(&gdb->reader, bytes[i]));
	return !gdb->over;
}

void gdb_init(struct gdb *gdb, struct gdb_target *target,
	      void (*send)(struct gdb *gdb, const void *data, size_t len, void *arg), void *arg)
{
	memset(gdb, 0, sizeof(*gdb));
	gdb->target = target;
	gdb->send = send;
	gdb->arg = arg;
	gdb->stop = GDB_STOP_STEP;
	target->ops->stop(target);
}

void gdb_fini(struct gdb *gdb)
{
	uint8_t run[GDB_VCPUS_MAX];

	if (!gdb->target || gdb->killed)
		return;
	gdb->target->ops->stop(gdb->target);
	gdb_break_clear_all(gdb);
	memset(run, GDB_RUN_CONTINUE, sizeof(run));
	gdb->running = false;
	gdb->target->ops->resume(gdb->target, run);
	gdb->target = NULL;
}
