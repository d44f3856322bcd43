/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One running virtual machine: the machine and its devices over a cpu_ops.
 *
 * Theory of operation.
 *
 *        vcpu threads                         the first thread: the loop
 *   cpu_ops.run() -> exit                 epoll: doorbells, timers, disks, taps, consoles
 *        |                                     |
 *        +--> bus (MMIO, ports) --> device <---+        under the device's own lock
 *                                     |
 *                                     v
 *                               interrupt sink --> engine's or machine's controllers --> kick a vcpu
 *
 * A vcpu thread owns its vcpu: only kick() comes from others. The loop's thread owns every back end (ops.h) and
 * works through the queues; a doorbell is an eventfd, which the engine signals by itself where it can. The
 * machine ends once (vmm_end): whoever notices says so, the loop sees it and stops the vcpus.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "base/os/loop.h"
#include "engines/spec.h"
#include "engines/vmm/clock.h"
#include "engines/vmm/exits.h"
#include "engines/vmm/memory.h"
#include "engines/vmm/vmm.h"
#include "machine/bus.h"
#include "machine/cpu_ops.h"
#include "machine/irq.h"
#include "machine/mem.h"

#define VMM_VCPUS 64

struct vmm;
struct vmm_vcpu;

/* Something that a vcpu's own thread shall do while it is parked. */
struct vmm_job {
	void (*fn)(struct vmm_vcpu *v, void *arg);
	void *arg;
	uint32_t done; /* futex */
};

struct vmm_vcpu {
	struct vmm *vmm;
	struct vcpu *vcpu; /* the engine's */
	unsigned index;
	pthread_t thread;
	bool has_thread;
	bool halted; /* owner thread: sleeps until an interrupt; with the machine's controllers only */
	uint32_t sleeps; /* atomic: the thread waits on the next one */
	uint32_t wakes;	 /* futex: how often somebody had something for it */
	bool unfinished; /* owner thread: the engine completes the last access at the next run() */
	uint32_t held;	 /* atomic: the debugger keeps it parked while others run */
	struct vmm_job *job;	    /* atomic: who parks takes it */
	struct exit_counts *counts; /* exits.c */
};

enum vmm_end { VMM_RUNS, VMM_POWER_OFF, VMM_RESET, VMM_EXIT, VMM_SHUTDOWN, VMM_FAILED };

struct vmm {
	const struct spec *spec; /* borrowed */
	const struct vmm_engine *engine;
	const struct cpu_ops *cpu; /* the engine's */
	struct vmm_fds fds;
	bool told; /* why it failed, over fds.sync */
	struct cpu_caps caps;
	struct loop *loop;
	struct vmm_clock clock;
	struct vmm_memory memory;
	struct guest_mem mem;
	struct bus mmio, pio;
	struct irq_sink engine_irq; /* over cpu->irq_set and cpu->msi */
	struct irqchip *chip;	    /* the machine's own; NULL: the engine has them */
	struct irq_sink *irq;	    /* the one that counts */
	struct vmm_devices *devices;
	struct vm *vm;
	struct vmm_vcpu vcpus[VMM_VCPUS];
	unsigned n_vcpus;
	int poke; /* an eventfd: the loop shall look at `end` */
	int signal_fd;
	bool button_pressed; /* the loop's: a signal asked a bare kernel to end */

	struct lock end_lock; /* of the four below */
	uint32_t end;	      /* enum vmm_end; atomic, set once */
	int status;	      /* with VMM_EXIT */
	struct err failure;   /* with VMM_FAILED */

	uint32_t stop_wanted;	 /* atomic: vcpus park between two runs */
	uint32_t parked;	 /* atomic: how many do */
	uint32_t stop_changes;	 /* futex: what those that are parked wait on */
	struct vmm_debug *debug; /* NULL: no debugger may come */
	struct vmm_exits exits;
};

/* vcpu.c */
int vmm_vcpus_create(struct vmm *vmm, struct err *err);
int vmm_vcpus_boot(struct vmm *vmm, struct err *err); /* CPUID, memory's contents, first state */
int vmm_vcpus_start(struct vmm *vmm, struct err *err);
void vmm_vcpus_join(
	struct vmm *vmm); /* after vmm_end(): kick them out, until every thread is gone */

/* model.c: the CPUID of each vcpu */
int vmm_cpuid_set(struct vmm *vmm, struct err *err);

/* stop.c: all vcpus between two runs, for a debugger or a snapshot; loop thread only */
void vmm_pause(struct vmm *vmm); /* returns when all are parked */
void vmm_resume(struct vmm *vmm);
bool vmm_vcpu_stops(const struct vmm_vcpu *v); /* whether it is to park */
void vmm_vcpu_park(struct vmm_vcpu *v);	       /* vcpu thread */
/*
 * vmm_vcpu_do() - have a parked vcpu's thread do something, and wait for it; between vmm_pause() and vmm_resume()
 * Return: false where the machine has ended: it was not done.
 */
bool vmm_vcpu_do(struct vmm_vcpu *v, void (*fn)(struct vmm_vcpu *v, void *arg), void *arg);

/* vmm_vcpu_wake() - any thread: out of its run(), or its wait for an interrupt. */
void vmm_vcpu_wake(struct vmm_vcpu *v);

/* vmm_end() - any thread; the first word counts. */
void vmm_end(struct vmm *vmm, enum vmm_end how, int status);
void vmm_fail(struct vmm *vmm, const char *what, uint64_t code);
static inline enum vmm_end vmm_ended(const struct vmm *vmm)
{
	return (enum vmm_end)__atomic_load_n(&vmm->end, __ATOMIC_ACQUIRE);
}

/* machine_irq.c: the machine's own interrupt controllers, driven by the vcpu threads; no-ops with the engine's */
int vmm_irq_init(struct vmm *vmm, struct err *err);
bool vmm_irq_tsc_deadline(const struct vmm *vmm); /* after it: whether the LAPICs have that mode */
bool vmm_lapic_before_run(struct vmm_vcpu *v);	  /* false: waited instead, look again */
bool vmm_lapic_access(struct vmm_vcpu *v, gpa_t gpa, unsigned len, bool is_write, uint64_t *value);
void vmm_lapic_halt(struct vmm_vcpu *v);
void vmm_lapic_msr(struct vmm_vcpu *v, bool is_write, struct vcpu_io *io);

/*
 * exits.c. vmm_exits_open() - before the seal, with the vcpus made: their places in the file of engines/vmm/exits_file.h, or, where there
 * is no run directory, in memory of our own. vmm_exits_refresh() - loop thread: what the engine counts elsewhere, as it is now.
 */
int vmm_exits_open(struct vmm *vmm, struct err *err);
void vmm_exits_refresh(struct vmm *vmm);

/* vmm_agent.c: an image inside */
void vmm_agent_signal(struct vmm *vmm, int sig);

/* debug.c: --gdb; no-ops without it */
int vmm_debug_open(struct vmm *vmm,
		   struct err *err); /* before the seal: the vcpus will start parked */
int vmm_debug_start(struct vmm *vmm, struct err *err);		      /* they did: serve */
void vmm_debug_stopped(struct vmm_vcpu *v, const struct vcpu_io *io); /* vcpu thread */
/* vmm_debug_crashed() - vcpu thread: whether it is the debugger's now; else the machine ends. */
bool vmm_debug_crashed(struct vmm_vcpu *v);
void vmm_debug_ended(struct vmm *vmm, int status); /* loop thread: tell the debugger */

/* run.c: a word for the monitor that waits; only the first counts */
void vmm_started(struct vmm *vmm);
void vmm_start_failed(struct vmm *vmm, int status, const struct err *err);

/* devices.c: what the guest finds in the machine */
int vmm_devices_create(struct vmm *vmm, struct err *err);
/* vmm_devices_drain() - the vcpus are gone: until no request is under way. */
void vmm_devices_drain(struct vmm *vmm);
