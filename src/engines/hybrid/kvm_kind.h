/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which kind of KVM this is: with hardware assistance (VMX, SVM) a guest's supervisor code runs on the CPU; without it, the
 * kernel interprets that code, at about a millionth of a second an instruction, and not every instruction.
 * No flag of KVM's tells them apart: a tiny guest is timed, and that patiently where the CPU has the assistance, since a
 * loaded host's first runs can look like an interpreter's.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"

struct kvm_kind {
	bool hardware;
	uint64_t instructions_per_s; /* of supervisor code: the best of a few rounds */
};

/* From here up it is a CPU that does it: interpreters manage 1 to 2 million (measured), real ones a thousand million. */
#define KVM_KIND_HARDWARE_PER_S UINT64_C(20000000)

/*
 * kvm_kind_measure() - no side effects: a VM of its own that is gone afterwards
 * Takes some 2 ms with hardware assistance, some 5 ms without, half a second where the CPU has it and KVM makes no use of it.
 * Errors: as kvm_dev_open(): what stands in the way, and what to do. Cached nowhere.
 */
int kvm_kind_measure(struct kvm_kind *ret, struct err *err);

/* kvm_kind_time_fn - how long the guest takes for so many rounds of two instructions, at least 1 ns. */
typedef int (*kvm_kind_time_fn)(void *arg, uint32_t rounds, uint64_t *ret_ns, struct err *err);

/*
 * kvm_kind_rate() - the best rate, in instructions a second, of runs that @time times
 * @patience_ns: how long it goes on, besides the last run, while no run is a CPU's; 0: a few runs
 * Errors: those of @time.
 */
int kvm_kind_rate(kvm_kind_time_fn time, void *arg, uint64_t patience_ns, uint64_t *ret_per_s,
		  struct err *err);
