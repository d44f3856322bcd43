/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hv_config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "abi/agent.h"
#include "engines/vmm/guest.h"

#define WEIGHT_MAX 65535

void hv_guest_name(const char *id, char ret[HV_NAME_BYTES])
{
	(void)snprintf(ret, HV_NAME_BYTES, "s-%.24s", id); /* fits */
}

uint64_t hv_guest_memory(const struct spec *spec)
{
	return spec->vm.memory_bytes / HV_MEMORY_STEP * HV_MEMORY_STEP;
}

uint32_t hv_guest_cap(int64_t quota_us, int64_t period_us)
{
	if (quota_us <= 0 || period_us <= 0 || quota_us > INT64_MAX / 100)
		return 0;
	int64_t cap = (quota_us * 100 + period_us - 1) / period_us;
	return cap > UINT16_MAX ? UINT16_MAX : (uint32_t)cap;
}

/* 1024 shares are the norm of cgroups, 256 the hypervisor's. */
uint32_t hv_guest_weight(int64_t shares)
{
	int64_t weight = shares / 4;

	return shares <= 0	     ? 0
	       : weight < 1	     ? 1
	       : weight > WEIGHT_MAX ? WEIGHT_MAX
				     : (uint32_t)weight;
}

static void text_shares(const struct spec *spec, struct buf *out)
{
	uint32_t cap = hv_guest_cap(spec->limits.cpu_quota_us, spec->limits.cpu_period_us);
	uint32_t weight = hv_guest_weight(spec->limits.cpu_shares);

	if (cap)
		(void)buf_printf(out, "cap %" PRIu32 "\n", cap);
	if (weight)
		(void)buf_printf(out, "weight %" PRIu32 "\n", weight);
}

static void text_network(const struct spec *spec, struct buf *out)
{
	if (spec->network == SPEC_NETWORK_BRIDGE)
		(void)buf_printf(out, "net%s%s\n", spec->endpoint.mac ? " " : "",
				 spec->endpoint.mac ? spec->endpoint.mac : "");
}

int hv_guest_text(const struct spec *spec, const struct hv_files *files, bool shares,
		  struct buf *ret, struct err *err)
{
	const struct spec_vm *vm = &spec->vm;
	char name[HV_NAME_BYTES];

	hv_guest_name(spec->id, name);
	(void)buf_printf(ret, "guest %s\nmemory %" PRIu64 "M\nvcpus %u\nkernel %s\n", name,
			 hv_guest_memory(spec) >> 20, vm->vcpus,
			 files->kernel); /* looked at below, as all that follows */
	if (files->initrd[0])
		(void)buf_printf(ret, "initrd %s\n", files->initrd);
	if (vm->append[0])
		(void)buf_printf(ret, "append %s\n", vm->append);
	if (shares)
		text_shares(spec, ret);
	(void)buf_adds(ret, "console none\n");
	for (size_t i = 0; i < vm->n_disks; i++)
		(void)buf_printf(ret, "disk %s%s\n", files->disks[i],
				 vm->disks[i].read_only ? " read-only" : "");
	text_network(spec, ret);
	if (vm->balloon)
		(void)buf_adds(ret, "balloon\n");
	if (vm->agent)
		(void)buf_adds(ret,
			       "port " AGENT_PORT_CONTROL "\nport " AGENT_PORT_STDIN
			       "\nport " AGENT_PORT_STDOUT "\nport " AGENT_PORT_STDERR "\nvsock\n");
	return ret->failed ? err_set(err, ENOMEM, "the guest's text") : 0;
}

static int check_refuse(const char *flag, const char *why, struct err *err)
{
	return err_say(err, ENOTSUP, "%s is not for --virt bare-metal: %s", flag, why);
}

static int check_machine(const struct spec_vm *vm, struct err *err)
{
	if (vm->gdb)
		return check_refuse("--gdb", "strata-hv has no debugger's stub; use --virt hosted",
				    err);
	if (vm->test_devices)
		return check_refuse("the spec's test_devices",
				    "strata-hv's machine has none; use --virt hosted", err);
	if (vm->machine_irqchip)
		return check_refuse("--irqchip", "strata-hv has one kind of interrupt controllers",
				    err);
	if (vm->n_disks > HV_DISKS)
		return err_say(err, ENOTSUP,
			       "%zu disks: a guest of strata-hv has %u at most, an image's own "
			       "two among them",
			       vm->n_disks, HV_DISKS);
	if (strchr(vm->append, '#') || strchr(vm->append, '\n'))
		return err_say(err, ENOTSUP, "--append: no '#' and no new line goes to strata-hv");
	if (strlen(vm->append) > HV_APPEND_MAX)
		return err_say(err, ENOTSUP, "--append: %u bytes at most go to strata-hv",
			       HV_APPEND_MAX);
	return 0;
}

static int check_network(const struct spec *spec, struct err *err)
{
	if (spec->n_ports)
		return check_refuse("--publish",
				    "strata-hv drives no network card that would reach it", err);
	if (spec->network == SPEC_NETWORK_PASST)
		return check_refuse("--network passt", "strata-hv drives no network card", err);
	if (spec->network == SPEC_NETWORK_BRIDGE && !spec->vm.host)
		return check_refuse("--network bridge",
				    "without --host the guest is alone on its server; leave it "
				    "out",
				    err);
	return 0;
}

int hv_host_check(const struct spec *spec, struct err *err)
{
	const struct spec_limits *l = &spec->limits;

	if (!spec->vm.host)
		return 0;
	if (l->cpuset)
		return check_refuse("--cpuset-cpus with --host", "its vcpus go where there is room",
				    err);
	if (l->n_io || l->io_weight)
		return check_refuse("a limit of block I/O with --host",
				    "its disks are in the server's memory", err);
	if (l->ingress_bits || l->egress_bits)
		return check_refuse("a rate of the network's with --host",
				    "the switch between its guests has none", err);
	return 0;
}

/* A folder of this host's would need a device that strata-hv has not, and a server that is this host. */
static int check_shares(const struct spec *spec, struct err *err)
{
	if (spec_root_is_shared(spec))
		return check_refuse("a shared root", "its root is a disk", err);
	for (size_t i = 0; i < spec->n_mounts; i++) {
		if (spec_is_share(&spec->mounts[i]))
			return check_refuse(
				spec->mounts[i].type == SPEC_MOUNT_BIND
					? "a bind mount"
					: "a volume that is a directory",
				"copy files in ('strata cp'), or mount a disk ('strata volume "
				"create --size 1g NAME', then -v NAME:/path)",
				err);
	}
	return 0;
}

int hv_guest_check(const struct spec *spec, struct err *err)
{
	int r = check_network(spec, err);

	if (r == 0)
		r = check_shares(spec, err);
	if (r == 0)
		r = check_machine(&spec->vm, err);
	if (r == 0)
		r = hv_host_check(spec, err);
	return r == 0 ? vmm_guest_check(spec, err) : r;
}
