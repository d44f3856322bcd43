/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest: the machine of src/machine and its devices over vcpus of vm/vcpu.h, without an operating system under it.
 *
 * Theory of operation.
 *
 *	struct sched_entity of each vcpu: guest_vcpu_run()
 *	   guest_service()	what the machine has to do besides: timers, queues that were kicked, input
 *	   interrupts in, run(), exit -> bus -> device
 *	   a halted vcpu: SCHED_HALT, until guest_vcpu_wake()
 *
 * There is no I/O thread: whichever vcpu comes by first serves all of the guest's queues and timers, and only one at a time
 * (guest.service). So device code runs as its headers ask, on one thread at a time, with no lock held. What comes from outside of
 * the guest (an alarm, a frame) sets a bit and wakes vcpu 0.
 *
 * The guest ends once (guest_end): whoever notices says so; its vcpus stop, one by one, and the last of them calls
 * guest_config.ended. After that guest_destroy() gives every byte back.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "core/sched.h"
#include "devices/legacy/debug_exit.h"
#include "devices/legacy/i8042.h"
#include "devices/legacy/rtc.h"
#include "devices/legacy/serial.h"
#include "machine/bus.h"
#include "machine/events.h"
#include "machine/fwcfg.h"
#include "machine/irqchip.h"
#include "machine/mem.h"
#include "machine/pci.h"
#include "machine/pm.h"
#include "vm/guest_clock.h"
#include "vm/guest_virtio.h"
#include "vm/vcpu.h"

#define GUEST_VCPUS	 64U
#define GUEST_NAME_BYTES 32U
#define GUEST_BLOCKS	 MEM_SLOTS

struct guest;
struct guest_balloon;

enum guest_end {
	GUEST_RUNS,
	GUEST_POWER_OFF,
	GUEST_RESET,
	GUEST_EXIT,
	GUEST_CRASHED,
	GUEST_FAILED,
	GUEST_DESTROYED
};

/* Bytes that a boot loader left in memory, or that were uploaded; borrowed while the guest is made. */
struct guest_file {
	const uint8_t *data;
	uint64_t len;
};

struct guest_config {
	const char *name;      /* copied, cut to GUEST_NAME_BYTES - 1 */
	uint64_t memory_bytes; /* a multiple of 2 MiB */
	bool at_once;	       /* all of it is zeroed and mapped now, not as it is touched */
	unsigned vcpus;
	uint32_t weight, cap_percent; /* of each vcpu: sched.h */
	uint32_t tsc_khz;	      /* the rate of its TSC; 0: the server's */
	bool is_pinned;		      /* vcpu n stays on the n-th CPU from first_cpu on, around */
	unsigned first_cpu;
	struct guest_file kernel, initrd; /* initrd.len 0: none */
	const char *cmdline;
	bool has_balloon;  /* its memory may come and go: vm/guest_balloon.h */
	bool overcommits;  /* and what it gives is promised to nobody: there may be none for it */
	bool test_devices; /* devices/legacy/{pc_testdev,pci_testdev,test_firmware}.h */
	struct console *
		console; /* of the serial port; borrowed while the guest lives; NULL: nobody listens */
	/* Optional: in the guest's turn (guest_service()), no lock: what is behind its consoles and sockets has news. */
	void (*serve)(struct guest *guest, void *arg);
	/* Optional, no lock: every vcpu has stopped. On some vcpu's CPU; the guest may be destroyed by anybody but its vcpus. */
	void (*ended)(struct guest *guest, void *arg);
	/* With has_balloon; any lock of the guest's devices: guest_balloon_turn() is to be called. */
	void (*balloon_ask)(struct guest *guest, void *arg);
	void *arg;
};

struct guest_vcpu {
	struct sched_entity entity;
	struct guest *guest;
	unsigned index;
	struct hv_vcpu *vcpu;
	struct hv_ports ports;
	struct vcpu_io io;
	bool halted;  /* owner: sleeps until an interrupt */
	bool is_over; /* owner: it has seen the guest's end */
	bool writes;  /* atomic: to a serial port that is full; it waits until that no longer is */
	bool attention; /* atomic: its interrupts, or the guest's end, are to be looked at before it runs on */
};

struct guest_block {
	void *hva;
	uint64_t bytes;
};

struct guest {
	char name[GUEST_NAME_BYTES];
	struct guest_config config;
	struct guest_clock clock;
	struct guest_mem mem;
	struct guest_block blocks[GUEST_BLOCKS];
	unsigned n_blocks;
	struct bus mmio, pio;
	struct pci_bus pci;
	struct pm pm;
	struct rtc rtc;
	struct i8042 i8042;
	struct fwcfg fwcfg;
	struct debug_exit debug_exit;
	struct guest_tests *tests; /* NULL: none */
	struct serial serial;
	struct guest_balloon *balloon; /* one of the devices; NULL: none */
	uint8_t **pieces; /* with has_balloon: first_touch.at; NULL: the blocks are whole */
	unsigned pieces_order;
	struct guest_virtio *devices[GUEST_DEVICES];
	unsigned n_devices;
	struct console no_console;
	struct machine_events events;
	struct vm *vm;
	struct guest_vcpu vcpus[GUEST_VCPUS];
	unsigned n_vcpus;
	struct spin still; /* the vcpus are being stopped, started, or kept as they are */
	bool is_started, is_paused;
	uint64_t paused_ns, paused_tsc; /* when */
	uint32_t service;		/* atomic: somebody serves */
	uint32_t service_wanted;	/* atomic: there may be something to serve */
	uint32_t end;			/* enum guest_end; atomic, set once */
	uint32_t stopped;		/* atomic: vcpus that have seen it */
	int status;			/* with GUEST_EXIT */
	const char *failure;		/* with GUEST_FAILED */
	uint64_t failure_code;
	struct irqchip chip; /* the largest, last */
};

/*
 * guest_create() - memory, machine, kernel: everything but its first instruction
 * Return: 0; -ENOMEM, -EINVAL (config), and the errors of boot_load(); the text says which.
 */
int guest_create(const struct guest_config *config, struct guest **ret, struct err *err);
/* Before guest_start(), guest_rng_add() and its kin (vm/guest_virtio.h) give it more devices. */
/* guest_start() - its vcpus are for the scheduler now. */
void guest_start(struct guest *guest);
/*
 * guest_stop() - its vcpus are gone for good, one that runs is ended; its devices take no more requests. Not from a vcpu's run().
 * Return: whether none is under way; false: ask again, a disk that lost one may take minutes.
 */
bool guest_stop(struct guest *guest);
/* guest_destroy() - NULL is a no-op. The same, and waits for the requests. */
void guest_destroy(struct guest *guest);
/* guest_end() - any CPU; the first word counts. */
void guest_end(struct guest *guest, enum guest_end how, int status);
static inline enum guest_end guest_ended(const struct guest *guest)
{
	return (enum guest_end)__atomic_load_n(&guest->end, __ATOMIC_ACQUIRE);
}
/* guest_end_words() - "powered off". */
const char *guest_end_words(enum guest_end how);
/*
 * guest_pause() - no vcpu runs when it returns, and the guest's time stands still until guest_resume(). One caller at a time, none of
 * its vcpus; each twice is as once.
 */
void guest_pause(struct guest *guest);
void guest_resume(struct guest *guest);
/*
 * guest_still_begin(), guest_still_end() - no vcpu runs in between; its time goes on. Not a vcpu's, briefly, and it may be paused all the
 * time. Any number of callers: they wait for each other.
 */
void guest_still_begin(struct guest *guest);
void guest_still_end(struct guest *guest);
/* guest_vcpu_wake() - any CPU: out of its halt, or its run(). */
void guest_vcpu_wake(struct guest_vcpu *v);
/* guest_service_ask() - any CPU: there is something to serve. */
void guest_service_ask(struct guest *guest);
/*
 * guest_serial_full() - nobody took what is in the serial port: the vcpu that is writing now waits once that is much.
 * Under the port's lock. guest_serial_drained(): somebody did.
 */
void guest_serial_full(struct guest *guest);
void guest_serial_drained(struct guest *guest);
/* guest_memory_bytes() - that it has now, whether it has touched it or not. */
uint64_t guest_memory_bytes(const struct guest *guest);
/* guest_exits() - how many of a kind, all vcpus. @kind: enum hw_exit_kind */
uint64_t guest_exits(const struct guest *guest, unsigned kind);

/* ---- inside vm/ ---- */

/* guest_vcpu.c: its vcpu was created; one vcpu's turn */
void guest_vcpu_init(struct guest_vcpu *v);
/* guest_devices.c: it waits for its serial port */
bool guest_serial_waits(struct guest_vcpu *v);
enum sched_reason guest_vcpu_run(struct sched_entity *entity, uint64_t deadline_ns);
/* guest_irq.c: false: it waits instead, look again */
bool guest_before_run(struct guest_vcpu *v);
bool guest_lapic_access(struct guest_vcpu *v, gpa_t gpa, unsigned len, bool is_write,
			uint64_t *value);
void guest_lapic_msr(struct guest_vcpu *v, bool is_write, struct vcpu_io *io);
int guest_irq_init(struct guest *guest, struct err *err);
/* guest_devices.c */
int guest_devices_init(struct guest *guest, struct err *err);
void guest_devices_fini(struct guest *guest);
/* guest_tests.c: nothing, where they are not asked for */
int guest_tests_init(struct guest *guest, struct err *err);
void guest_tests_start(struct guest *guest); /* after the kernel was loaded */
void guest_tests_fini(struct guest *guest);
/* guest_service.c */
/* Return: true: there is more to do, and maybe without end: another vcpu rings all the time. Look at the CPU's other business. */
bool guest_service(struct guest *guest);
void guest_fail(struct guest *guest, const char *what, uint64_t code);
