/* SPDX-License-Identifier: Apache-2.0 */
/* What KVM counts of QEMU's vcpus: QMP's query-stats, of QEMU 7.1. Ports and device memory are KVM's count there. */
#include <errno.h>
#include <string.h>

#include "base/os/json.h"
#include "compare/qemu_vm.h"

static enum exit_reason stats_reason(const char *name)
{
	if (!strcmp(name, "io_exits"))
		return EXIT_IO;
	return strcmp(name, "mmio_exits") ? exit_reason_of_kvm(name) : EXIT_MMIO;
}

static void stats_of_vcpu(const json_t *stats, struct exit_counts *ret, uint64_t *ret_counted)
{
	const json_t *one;
	size_t i;

	json_array_foreach(stats, i, one)
	{
		const json_t *value = json_object_get(one, "value");
		enum exit_reason reason = stats_reason(json_str(one, "name", ""));
		if (reason >= EXIT_REASONS || !json_is_integer(value))
			continue;
		ret->n[reason] += (uint64_t)json_integer_value(value);
		*ret_counted |= EXIT_BIT(reason);
	}
}

void qemu_stats_read(const json_t *answer, struct exit_counts *ret, uint64_t *ret_counted)
{
	const json_t *vcpu;
	size_t i;

	*ret = (struct exit_counts){ { 0 } };
	*ret_counted = 0;
	json_array_foreach(answer, i, vcpu)
	{
		if (!strcmp(json_str(vcpu, "provider", ""), "kvm"))
			stats_of_vcpu(json_object_get(vcpu, "stats"), ret, ret_counted);
	}
}

int qemu_vm_exits(struct qemu_vm *vm, struct exit_counts *ret, uint64_t *ret_counted,
		  struct err *err)
{
	AUTO(json_decref_p) json_t *answer = NULL;
	int r = qemu_vm_query(vm, "query-stats",
			      "{\"target\":\"vcpu\",\"providers\":[{\"provider\":\"kvm\"}]}",
			      &answer, err);

	if (r == 0)
		qemu_stats_read(answer, ret, ret_counted);
	return r;
}
