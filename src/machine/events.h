/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a guest asks of the machine around it: to be switched off, or reset. Filled by whoever assembles the machine.
 * Any vcpu thread, with the asking device's lock held: an implementation notes it and kicks the vcpus, no more. A guest
 * may ask again, or for something else; the first counts.
 */
struct machine_events;

struct machine_event_ops {
	/* All are mandatory. */
	void (*power_off)(struct machine_events *events);
	void (*reset)(struct machine_events *events);
	/* The guest is a test that says how it went. @status: 0..255, an exit status for the host. */
	void (*exit)(struct machine_events *events, int status);
};

struct machine_events { /* embedded by the implementation */
	const struct machine_event_ops *ops;
};
