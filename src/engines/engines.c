/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "base/os/idspace.h"
#include "engines/engine.h"
#include "engines/baremetal/baremetal.h"
#include "engines/hosted/hosted.h"
#include "engines/hybrid/hybrid.h"
#include "engines/hybrid/kvm_kind.h"
#include "engines/oslevel/oslevel.h"

const struct engine_ops *const engines[] = { &oslevel_engine, &hosted_engine, &hybrid_engine,
					     &baremetal_engine, NULL };

/* A machine of its own goes where it is quickest: KVM with hardware assistance, else the software CPU. */
static const struct engine_ops *engine_of_machine(void)
{
	struct kvm_kind kind;

	return kvm_kind_measure(&kind, NULL) == 0 && kind.hardware ? &hybrid_engine
								   : &hosted_engine;
}

/* An image is a container's, where this user may have one, with ids of his own for the files of other users that images have. */
static const struct engine_ops *engine_of_image(void)
{
	struct engine_report report = {
		.available = geteuid() == 0
	}; /* root's start does not wait for a probe */

	if (!report.available && ids_count() > 1)
		oslevel_engine.probe(&report);
	return report.available ? &oslevel_engine : &hosted_engine;
}

const struct engine_ops *engine_find(const char *name, bool machine)
{
	if (!strcmp(name, "auto"))
		return machine ? engine_of_machine() : engine_of_image();
	for (size_t i = 0; engines[i]; i++) {
		if (!strcmp(engines[i]->name, name))
			return engines[i];
	}
	return NULL;
}

const struct engine_traits *engine_traits(const char *name)
{
	for (size_t i = 0; engines[i]; i++) {
		if (!strcmp(engines[i]->name, name))
			return &engines[i]->traits;
	}
	return NULL;
}
