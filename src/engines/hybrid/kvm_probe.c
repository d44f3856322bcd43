/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/kvm_probe.h"

#include <stdio.h>

#include "engines/engine.h"
#include "engines/hybrid/kvm_kind.h"

void kvm_probe_words(const struct kvm_kind *kind, struct engine_report *ret_report)
{
	struct engine_report report = { .available = true };
	double millions = (double)kind->instructions_per_s / 1e6;

	(void)snprintf(report.how, sizeof(report.how),
		       kind->hardware ? "KVM with hardware assistance, %.0f million supervisor "
					"instructions a second"
				      : "KVM without hardware assistance, %.1f million supervisor "
					"instructions a second",
		       millions);
	if (!kind->hardware)
		(void)snprintf(report.why, sizeof(report.why),
			       "the host's kernel interprets supervisor code: small guests run on "
			       "it, a distribution's kernel on the software CPU");
	*ret_report = report;
}

void kvm_probe(struct engine_report *ret_report)
{
	struct kvm_kind kind;
	struct err err = { 0 };

	if (kvm_kind_measure(&kind, &err) == 0) {
		kvm_probe_words(&kind, ret_report);
		return;
	}
	struct engine_report report = { .available = false };
	(void)snprintf(report.why, sizeof(report.why), "%.239s", err.text);
	*ret_report = report;
}
