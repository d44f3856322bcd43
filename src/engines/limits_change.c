/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/limits_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIMITS_SHARES 1024 /* spec.h */
#define LIMITS_WEIGHT 100  /* of block I/O, cgroup-v2.rst, "io.weight" */

static int64_t limits_one(int64_t from, int64_t to, int64_t lifted)
{
	return from == to ? 0 : to ? to : lifted;
}

static const struct spec_io *limits_find(const struct spec_limits *limits, const char *device)
{
	for (size_t i = 0; i < limits->n_io; i++) {
		if (!strcmp(limits->io[i].device, device))
			return &limits->io[i];
	}
	return NULL;
}

/* What is new or has changed, then what is gone. */
static int limits_io(const struct spec_limits *from, const struct spec_limits *to,
		     struct spec_limits *ret)
{
	static const struct spec_io none = { .device = "" };

	if (!from->n_io && !to->n_io)
		return 0;
	ret->io = calloc(from->n_io + to->n_io, sizeof(*ret->io));
	if (!ret->io)
		return -ENOMEM;
	for (size_t i = 0; i < to->n_io + from->n_io; i++) {
		const struct spec_io *is = i < to->n_io ? &to->io[i] : &none;
		const struct spec_io *was =
			i < to->n_io ? limits_find(from, is->device) : &from->io[i - to->n_io];
		if (i >= to->n_io && limits_find(to, was->device))
			continue;
		struct spec_io *io = &ret->io[ret->n_io++];
		io->device = i < to->n_io ? is->device : was->device;
		for (unsigned k = 0; k < SPEC_IO_RATES; k++)
			io->rates[k] = limits_one(was ? was->rates[k] : 0, is->rates[k], -1);
	}
	return 0;
}

int limits_change(const struct spec_limits *from, const struct spec_limits *to,
		  struct spec_limits *ret, struct err *err)
{
	struct spec_limits c = {
		.cpu_shares = limits_one(from->cpu_shares, to->cpu_shares, LIMITS_SHARES),
		.pids = limits_one(from->pids, to->pids, -1),
		.ingress_bits = limits_one(from->ingress_bits, to->ingress_bits, -1),
		.egress_bits = limits_one(from->egress_bits, to->egress_bits, -1),
		.io_weight = limits_one(from->io_weight, to->io_weight, LIMITS_WEIGHT),
		.memory_reservation_bytes = limits_one(from->memory_reservation_bytes,
						       to->memory_reservation_bytes, -1),
	};

	/* Two pairs: what a quota or a swap limit means depends on the other. */
	if (from->cpu_quota_us != to->cpu_quota_us || from->cpu_period_us != to->cpu_period_us) {
		c.cpu_quota_us = to->cpu_quota_us ? to->cpu_quota_us : -1;
		c.cpu_period_us = to->cpu_period_us;
	}
	if (from->memory_bytes != to->memory_bytes ||
	    from->memory_swap_bytes != to->memory_swap_bytes) {
		c.memory_bytes = to->memory_bytes ? to->memory_bytes : -1;
		c.memory_swap_bytes = to->memory_bytes ? to->memory_swap_bytes : -1;
	}
	if (from->cpuset && !to->cpuset)
		return err_say(err, EINVAL,
			       "--cpuset-cpus: name the CPUs, all of them are a list too");
	if (to->cpuset && (!from->cpuset || strcmp(from->cpuset, to->cpuset) != 0))
		c.cpuset = to->cpuset;
	if (limits_io(from, to, &c) < 0)
		return err_set(err, ENOMEM, "change limits");
	*ret = c;
	return 0;
}

void limits_change_fini(struct spec_limits *change)
{
	free(change->io);
	*change = (struct spec_limits){ 0 };
}
