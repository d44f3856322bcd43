/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * GDB's remote protocol for one virtual machine: a session with one debugger. Every vcpu is a thread, numbered from 1.
 * All-stop: when one stops, all do. Pure but for what it is handed: bytes come by gdb_feed(), go by `send`, and the
 * machine is reached by struct gdb_target.
 *
 *	gdb_init()                        the machine is held
 *	gdb_feed() ... target resumes ... gdb_stopped() ... gdb_feed()
 *	gdb_fini()                        breakpoints are taken out, the machine runs on
 *
 * Thread rule: one thread, which may also hold the vcpus (the VMM's loop); the target's operations run there.
 * Source: GDB manual, appendix E Remote Protocol.
 */
#include "engines/vmm/gdb_packet.h"
#include "machine/cpu_ops.h"
#include "machine/types.h"
#include "x86/state.h"

#define GDB_VCPUS_MAX	256U
#define GDB_BREAKPOINTS 64U

struct gdb_target;

enum gdb_run { GDB_RUN_HOLD, GDB_RUN_CONTINUE, GDB_RUN_STEP };

struct gdb_target_ops {
	/* All are mandatory. Return: 0 or -errno. All but stop and kill: while the machine is held. */
	/* Returns when no vcpu runs; as often as one likes. */
	void (*stop)(struct gdb_target *target);
	/* @run: one for each vcpu. One that steps runs an instruction, and gdb_stopped() is called. */
	void (*resume)(struct gdb_target *target, const uint8_t *run);
	int (*state_get)(struct gdb_target *target, unsigned vcpu, struct x86_state *ret);
	int (*state_set)(struct gdb_target *target, unsigned vcpu, const struct x86_state *state);
	int (*translate)(struct gdb_target *target, unsigned vcpu, gva_t gva, gpa_t *ret);
	int (*read)(struct gdb_target *target, gpa_t gpa, void *ret, size_t len);
	int (*write)(struct gdb_target *target, gpa_t gpa, const void *data, size_t len);
	/* What every vcpu is to stop at from its next instruction on. */
	int (*breakpoints)(struct gdb_target *target, bool software,
			   const struct debug_point points[DEBUG_POINTS]);
	/* End the machine. */
	void (*kill)(struct gdb_target *target);
};

struct gdb_target { /* embedded by the implementation */
	const struct gdb_target_ops *ops;
	unsigned vcpus; /* 1..GDB_VCPUS_MAX */
};

enum gdb_stop {
	GDB_STOP_INTERRUPT, /* by the debugger */
	GDB_STOP_STEP,
	GDB_STOP_SOFTWARE, /* an int3 */
	GDB_STOP_POINT,	   /* one of the target's points: a hardware breakpoint, or a watchpoint */
	GDB_STOP_CRASH,	   /* a triple fault: there is nothing to go on with */
};

struct gdb_breakpoint {
	gva_t gva;
	gpa_t gpa;
	uint8_t original; /* the byte under the int3 */
	bool used;
};

/* What the debugger asked for with Z1, Z2 or Z4: of data any range, which may take several points. */
struct gdb_hardware {
	gva_t gva;
	uint64_t len; /* 0: this one is not used */
	enum debug_access access;
};

struct gdb {
	struct gdb_target *target;
	void (*send)(struct gdb *gdb, const void *data, size_t len, void *arg);
	void *arg;
	struct gdb_reader reader;
	struct gdb_text reply;
	char frame[GDB_FRAME_BYTES]; /* the last packet, for when it was damaged */
	size_t frame_len;
	bool no_ack, no_ack_next, swbreak, hwbreak;
	bool running;		   /* the debugger waits for a stop reply */
	bool over;		   /* detached or killed: nothing more is to be read */
	bool killed;		   /* or ended: there is no machine */
	unsigned general, control; /* the vcpus that 'H' chose */
	enum gdb_stop stop;	   /* why it last stopped, and which vcpu did */
	unsigned stop_vcpu, stop_point;
	unsigned listed; /* qsThreadInfo: where it goes on */
	struct gdb_breakpoint breakpoints[GDB_BREAKPOINTS];
	struct gdb_hardware hardware[DEBUG_POINTS];
	struct debug_point points[DEBUG_POINTS]; /* what came of them, as the target has it */
};

/* gdb_init() - a debugger is there: hold the machine. @send: called with whole packets; borrowed, as is target. */
void gdb_init(struct gdb *gdb, struct gdb_target *target,
	      void (*send)(struct gdb *gdb, const void *data, size_t len, void *arg), void *arg);
/* gdb_feed() - what the debugger sent. Return: false once it has detached or killed. */
bool gdb_feed(struct gdb *gdb, const void *data, size_t len);
/*
 * gdb_stopped() - a vcpu hit something; the machine is held already
 * @point: with GDB_STOP_POINT: which one
 * Without a debugger that waits for it (it interrupted at the same moment) it is forgotten: it will be hit again.
 */
void gdb_stopped(struct gdb *gdb, enum gdb_stop why, unsigned vcpu, unsigned point);
/* gdb_owns() - whether the int3 at an address is the debugger's, or else the guest's own. */
bool gdb_owns(const struct gdb *gdb, gpa_t gpa);
/* gdb_ended() - the machine is no more: tell who waits for it. Only gdb_fini() comes after. */
void gdb_ended(struct gdb *gdb, uint8_t status);
/* gdb_fini() - the connection is gone, or over: undo everything and let the machine run. */
void gdb_fini(struct gdb *gdb);
