/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who executes the CPUs of a hybrid machine. KVM, but for a distribution's kernel where KVM has no hardware assistance: it
 * interprets a kernel's own code there, a million instructions a second, and not all of them (docs/decisions.md). The software
 * CPU runs that kernel instead.
 */
#include "engines/spec.h"

enum hybrid_cpu { HYBRID_CPU_KVM, HYBRID_CPU_SOFTWARE };

/*
 * hybrid_cpu_choose() - by the spec's kernel and this host's KVM; measures it (kvm_kind.h) where that counts
 * Errors: as kvm_kind_measure().
 */
int hybrid_cpu_choose(const struct spec *spec, enum hybrid_cpu *ret, struct err *err);
