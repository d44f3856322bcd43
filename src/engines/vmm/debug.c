/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --gdb: what a debugger can do to the vcpus.
 *
 * Theory of operation. The loop's thread holds the session; registers belong to the vcpus' threads, which are asked for
 * them while they are parked (vmm_vcpu_do). A vcpu that hits something writes it down, holds itself and wakes the loop,
 * which parks the others and sorts out whose it was. The machine starts parked and waits for a debugger.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/vmm/gdb_server.h"
#include "engines/vmm/private.h"

#define DEBUG_KILLED 137 /* as a process that SIGKILL ended */

#define VECTOR_DB 1U
#define VECTOR_BP 3U
#define DR6_STEP  UINT64_C(0x4000) /* BS: SDM 3B, Debug Status Register (DR6) */
#define INT3	  0xccU

struct debug_stop {
	bool pending, crash;
	uint64_t rip, dr6;
	uint32_t exception;
};

struct vmm_debug {
	struct vmm *vmm;
	struct gdb_target target;
	struct gdb_server server;
	int listener;	  /* until the server has it */
	int event;	  /* an eventfd: somebody stopped */
	struct lock lock; /* of stops */
	struct debug_stop stops[VMM_VCPUS];
	bool crashed;  /* the loop's: a vcpu did, and the debugger looks at it */
	bool software; /* what the debugger wants, by vcpus' threads only while parked */
	struct debug_point points[DEBUG_POINTS];
};

static struct vmm_debug *debug_of(struct gdb_target *target)
{
	return container_of(target, struct vmm_debug, target);
}

/* ---- asked of a vcpu's thread ---- */

struct debug_question {
	const struct vmm_debug *debug;
	struct x86_state *get;
	const struct x86_state *set;
	gva_t gva;
	gpa_t gpa;
	bool step;
	int result;
};

static int debug_ask(struct gdb_target *target, unsigned vcpu,
		     void (*fn)(struct vmm_vcpu *v, void *arg), struct debug_question *question)
{
	struct vmm_debug *debug = debug_of(target);

	question->debug = debug;
	return vmm_vcpu_do(&debug->vmm->vcpus[vcpu], fn, question) ? question->result : -ESHUTDOWN;
}

static void vcpu_state_get(struct vmm_vcpu *v, void *arg)
{
	struct debug_question *q = arg;

	q->result = v->vmm->cpu->state_get(v->vcpu, q->get);
}

static void vcpu_state_set(struct vmm_vcpu *v, void *arg)
{
	struct debug_question *q = arg;

	q->result = v->vmm->cpu->state_set(v->vcpu, q->set);
}

static void vcpu_translate(struct vmm_vcpu *v, void *arg)
{
	struct debug_question *q = arg;

	q->result = v->vmm->cpu->translate(v->vcpu, q->gva, &q->gpa);
}

static void vcpu_debug_set(struct vmm_vcpu *v, void *arg)
{
	struct debug_question *q = arg;

	q->result = v->vmm->cpu->debug_set(v->vcpu, q->step, q->debug->software, q->debug->points);
}

static void vcpu_inject(struct vmm_vcpu *v, void *arg)
{
	struct debug_question *q = arg;

	q->result = v->vmm->cpu->inject_breakpoint(v->vcpu);
}

/* ---- struct gdb_target_ops ---- */

static void debug_stop(struct gdb_target *target)
{
	vmm_pause(debug_of(target)->vmm);
}

/* A stop that the debugger has not heard of yet: the vcpu is past what it hit, and waits for its turn. */
static bool debug_owes(struct vmm_debug *debug, unsigned vcpu)
{
	lock_acquire(&debug->lock);
	bool pending = debug->stops[vcpu].pending;
	lock_release(&debug->lock);
	return pending;
}

static void debug_resume(struct gdb_target *target, const uint8_t *run)
{
	struct vmm_debug *debug = debug_of(target);
	struct vmm *vmm = debug->vmm;

	if (debug->crashed)
		vmm_end(vmm, VMM_SHUTDOWN, 0);
	for (unsigned i = 0; i < vmm->n_vcpus; i++) {
		struct debug_question q = { .step = run[i] == GDB_RUN_STEP };
		bool owes = debug_owes(debug, i);
		(void)debug_ask(target, i, vcpu_debug_set, &q); /* it took the same before */
		__atomic_store_n(&vmm->vcpus[i].held, owes || run[i] == GDB_RUN_HOLD,
				 __ATOMIC_RELEASE);
		if (owes)
			fd_poke(debug->event);
	}
	vmm_resume(vmm);
}

static int debug_state_get(struct gdb_target *target, unsigned vcpu, struct x86_state *ret)
{
	struct debug_question q = { .get = ret };

	return debug_ask(target, vcpu, vcpu_state_get, &q);
}

static int debug_state_set(struct gdb_target *target, unsigned vcpu, const struct x86_state *state)
{
	struct debug_question q = { .set = state };

	return debug_ask(target, vcpu, vcpu_state_set, &q);
}

static int debug_translate(struct gdb_target *target, unsigned vcpu, gva_t gva, gpa_t *ret)
{
	struct debug_question q = { .gva = gva };
	int r = debug_ask(target, vcpu, vcpu_translate, &q);

	if (r == 0)
		*ret = q.gpa;
	return r;
}

static int debug_read(struct gdb_target *target, gpa_t gpa, void *ret, size_t len)
{
	return mem_read(&debug_of(target)->vmm->mem, gpa, ret, len);
}

static int debug_write(struct gdb_target *target, gpa_t gpa, const void *data, size_t len)
{
	return mem_write(&debug_of(target)->vmm->mem, gpa, data, len);
}

/* Tried on the first vcpu, for the debugger's answer; all get it when they go on. */
static int debug_breakpoints(struct gdb_target *target, bool software,
			     const struct debug_point points[DEBUG_POINTS])
{
	struct vmm_debug *debug = debug_of(target);
	struct debug_question q = { 0 };

	debug->software = software;
	memcpy(debug->points, points, sizeof(debug->points));
	return debug_ask(target, 0, vcpu_debug_set, &q);
}

static void debug_kill(struct gdb_target *target)
{
	vmm_end(debug_of(target)->vmm, VMM_EXIT, DEBUG_KILLED);
}

static const struct gdb_target_ops debug_ops = {
	.stop = debug_stop,
	.resume = debug_resume,
	.state_get = debug_state_get,
	.state_set = debug_state_set,
	.translate = debug_translate,
	.read = debug_read,
	.write = debug_write,
	.breakpoints = debug_breakpoints,
	.kill = debug_kill,
};

/* ---- stops ---- */

/* vcpu thread: write it down, hold still, wake the loop. */
static void debug_tell(struct vmm_vcpu *v, const struct debug_stop *stop)
{
	struct vmm_debug *debug = v->vmm->debug;

	lock_acquire(&debug->lock);
	debug->stops[v->index] = *stop;
	lock_release(&debug->lock);
	__atomic_store_n(&v->held, 1, __ATOMIC_RELEASE);
	fd_poke(debug->event);
}

void vmm_debug_stopped(struct vmm_vcpu *v, const struct vcpu_io *io)
{
	const struct debug_stop stop = {
		.pending = true,
		.rip = io->debug.rip,
		.dr6 = io->debug.dr6,
		.exception = io->debug.exception,
	};

	if (v->vmm->debug)
		debug_tell(v, &stop);
	else
		vmm_fail(v->vmm, "a debug exit that nobody asked for", io->debug.rip);
}

bool vmm_debug_crashed(struct vmm_vcpu *v)
{
	const struct debug_stop stop = { .pending = true, .crash = true };

	if (!v->vmm->debug)
		return false;
	debug_tell(v, &stop);
	return true;
}

static bool debug_take(struct vmm_debug *debug, unsigned vcpu, struct debug_stop *ret)
{
	lock_acquire(&debug->lock);
	*ret = debug->stops[vcpu];
	debug->stops[vcpu].pending = false;
	lock_release(&debug->lock);
	return ret->pending;
}

/*
 * An int3 that came out: the debugger's, or one of the guest's own code, which gets its exception; or one that the debugger
 * has taken out since: then the vcpu just goes on with what is there now.
 */
static bool debug_int3(struct vmm_debug *debug, unsigned vcpu, const struct debug_stop *stop)
{
	struct debug_question q = { 0 };
	uint8_t byte = 0;
	gpa_t gpa = 0;

	if (debug_translate(&debug->target, vcpu, stop->rip, &gpa) < 0 ||
	    debug_read(&debug->target, gpa, &byte, 1) < 0)
		return false;
	if (gdb_server_has_client(&debug->server) && gdb_owns(&debug->server.gdb, gpa))
		return true;
	if (byte == INT3 && debug_ask(&debug->target, vcpu, vcpu_inject, &q) < 0)
		vmm_fail(debug->vmm, "a breakpoint of the guest's could not be given to it",
			 stop->rip);
	return false;
}

struct debug_word {
	enum gdb_stop why;
	unsigned point;
	bool once; /* a watchpoint: its instruction is done, and it will not be hit again */
};

/* A point's bit says no more than that its address was met: what counts is whether it is used. */
static bool debug_point_hit(const struct vmm_debug *debug, const struct debug_stop *stop,
			    bool is_data, unsigned *ret)
{
	for (unsigned i = 0; i < DEBUG_POINTS; i++) {
		const struct debug_point *point = &debug->points[i];
		if (!point->len || (point->access != DEBUG_EXECUTE) != is_data ||
		    !(stop->dr6 >> i & 1))
			continue;
		*ret = i;
		return true;
	}
	return false;
}

/* Whether it is the debugger's concern, and what it is. */
static bool debug_sort(struct vmm_debug *debug, unsigned vcpu, const struct debug_stop *stop,
		       struct debug_word *ret)
{
	*ret = (struct debug_word){ .why = GDB_STOP_STEP };
	if (stop->crash) {
		ret->why = GDB_STOP_CRASH;
		debug->crashed = true;
		return true;
	}
	if (stop->exception == VECTOR_BP) {
		ret->why = GDB_STOP_SOFTWARE;
		return debug_int3(debug, vcpu, stop);
	}
	ret->once = debug_point_hit(debug, stop, true, &ret->point);
	if (ret->once ||
	    (!(stop->dr6 & DR6_STEP) && debug_point_hit(debug, stop, false, &ret->point)))
		ret->why = GDB_STOP_POINT;
	else if (!(stop->dr6 & DR6_STEP))
		return false; /* of a point that was taken out since */
	return gdb_server_has_client(&debug->server);
}

/* Not told now: it comes when the debugger lets the machine go on. */
static void debug_keep(struct vmm_debug *debug, unsigned vcpu, const struct debug_stop *stop)
{
	lock_acquire(&debug->lock);
	debug->stops[vcpu] = *stop;
	lock_release(&debug->lock);
}

/* The first that is the debugger's is told. Others will come again, for they did not go past it; or they are kept. */
static void debug_event(void *arg, uint32_t events)
{
	struct vmm_debug *debug = arg;
	struct vmm *vmm = debug->vmm;
	struct debug_word word = { .why = GDB_STOP_STEP };
	unsigned told = vmm->n_vcpus;

	(void)events;
	fd_calm(debug->event);
	vmm_pause(vmm);
	/* It may have stopped everything at the same moment. */
	bool busy = gdb_server_has_client(&debug->server) && !debug->server.gdb.running;
	for (unsigned i = 0; i < vmm->n_vcpus; i++) {
		struct debug_stop stop;
		struct debug_word one;
		if (!debug_take(debug, i, &stop))
			continue;
		__atomic_store_n(&vmm->vcpus[i].held, 0, __ATOMIC_RELEASE);
		if (!debug_sort(debug, i, &stop, &one))
			continue;
		if (!busy && told == vmm->n_vcpus) {
			told = i;
			word = one;
		} else if (one.once) {
			debug_keep(debug, i, &stop);
		}
	}
	if (busy)
		return;
	if (told < vmm->n_vcpus && gdb_server_has_client(&debug->server))
		gdb_server_stopped(&debug->server, word.why, told, word.point);
	else if (debug->crashed)
		vmm_end(vmm, VMM_SHUTDOWN, 0);
	else
		vmm_resume(vmm);
}

/* ---- life ---- */

int vmm_debug_open(struct vmm *vmm, struct err *err)
{
	if (!vmm->spec->vm.gdb)
		return 0;
	if (!vmm->cpu->debug_set || !vmm->cpu->inject_breakpoint)
		return err_say(err, ENOTSUP, "--gdb: %s cannot stop at breakpoints",
			       vmm->cpu->name);
	struct vmm_debug *debug = calloc(1, sizeof(*debug));
	if (!debug)
		return err_set(err, ENOMEM, "debugger");
	debug->vmm = vmm;
	debug->target = (struct gdb_target){ &debug_ops, vmm->n_vcpus };
	debug->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	debug->listener = debug->event < 0 ? err_set(err, errno, "eventfd")
					   : gdb_listen(vmm->spec->vm.gdb, err);
	vmm->debug = debug; /* what is open stays so to the process's end */
	if (debug->listener < 0)
		return debug->listener;
	vmm->stop_wanted = 1; /* no thread yet */
	return 0;
}

int vmm_debug_start(struct vmm *vmm, struct err *err)
{
	struct vmm_debug *debug = vmm->debug;

	if (!debug)
		return 0;
	vmm_pause(vmm);
	int r = loop_add(vmm->loop, debug->event, EPOLLIN, debug_event, debug, err);
	return r < 0 ? r
		     : gdb_server_start(&debug->server, vmm->loop, debug->listener, &debug->target,
					err);
}

void vmm_debug_ended(struct vmm *vmm, int status)
{
	if (vmm->debug)
		gdb_server_ended(&vmm->debug->server, (uint8_t)status);
}
