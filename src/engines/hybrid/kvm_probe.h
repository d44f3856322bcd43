/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What `strata info` says of the hybrid engine. */
struct engine_report;
struct kvm_kind;

/* kvm_probe() - engine_ops.probe: is there a usable KVM, of which kind, how fast; no side effects. */
void kvm_probe(struct engine_report *ret_report);
/* kvm_probe_words() - the same of a kind that was measured. */
void kvm_probe_words(const struct kvm_kind *kind, struct engine_report *ret_report);
