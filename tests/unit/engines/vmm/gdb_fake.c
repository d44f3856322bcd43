/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/gdb_fake.h"

#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

static struct fake_target *fake_of(struct gdb_target *target)
{
	return container_of(target, struct fake_target, target);
}

static void fake_stop(struct gdb_target *target)
{
	fake_of(target)->held = true;
	fake_of(target)->stops++;
}

static void fake_resume(struct gdb_target *target, const uint8_t *run)
{
	struct fake_target *fake = fake_of(target);

	fake->held = false;
	fake->resumes++;
	memcpy(fake->run, run, sizeof(fake->run));
}

static int fake_state_get(struct gdb_target *target, unsigned vcpu, struct x86_state *ret)
{
	assert_true(fake_of(target)->held);
	assert_in_range(vcpu, 0, FAKE_VCPUS - 1);
	*ret = fake_of(target)->states[vcpu];
	return 0;
}

static int fake_state_set(struct gdb_target *target, unsigned vcpu, const struct x86_state *state)
{
	assert_true(fake_of(target)->held);
	assert_in_range(vcpu, 0, FAKE_VCPUS - 1);
	fake_of(target)->states[vcpu] = *state;
	return 0;
}

static int fake_translate(struct gdb_target *target, unsigned vcpu, gva_t gva, gpa_t *ret)
{
	assert_true(fake_of(target)->held);
	assert_in_range(vcpu, 0, FAKE_VCPUS - 1);
	if (gva < FAKE_GVA || gva >= FAKE_GVA + FAKE_RAM_BYTES)
		return -EFAULT;
	*ret = gva - FAKE_GVA;
	return 0;
}

static int fake_read(struct gdb_target *target, gpa_t gpa, void *ret, size_t len)
{
	if (gpa > FAKE_RAM_BYTES || len > FAKE_RAM_BYTES - gpa)
		return -EFAULT;
	memcpy(ret, &fake_of(target)->ram[gpa], len);
	return 0;
}

static int fake_write(struct gdb_target *target, gpa_t gpa, const void *data, size_t len)
{
	if (gpa > FAKE_RAM_BYTES || len > FAKE_RAM_BYTES - gpa)
		return -EFAULT;
	memcpy(&fake_of(target)->ram[gpa], data, len);
	return 0;
}

static int fake_breakpoints(struct gdb_target *target, bool software,
			    const struct debug_point points[DEBUG_POINTS])
{
	fake_of(target)->software = software;
	memcpy(fake_of(target)->points, points, sizeof(fake_of(target)->points));
	return 0;
}

static void fake_kill(struct gdb_target *target)
{
	fake_of(target)->kills++;
}

static const struct gdb_target_ops fake_ops = {
	.stop = fake_stop,
	.resume = fake_resume,
	.state_get = fake_state_get,
	.state_set = fake_state_set,
	.translate = fake_translate,
	.read = fake_read,
	.write = fake_write,
	.breakpoints = fake_breakpoints,
	.kill = fake_kill,
};

void fake_target_init(struct fake_target *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->target.ops = &fake_ops;
	fake->target.vcpus = FAKE_VCPUS;
	for (unsigned i = 0; i < FAKE_VCPUS; i++) {
		for (unsigned r = 0; r < X86_REGS; r++)
			fake->states[i].regs[r] = 0x1000 * (i + 1) + r;
		fake->states[i].rip = FAKE_GVA + 0x100 * i;
		fake->states[i].rflags = 0x202;
		fake->states[i].segs[X86_CS].selector = 8;
		fake->states[i].cr0 = 0x80000011;
	}
	memset(fake->ram, 0x90, sizeof(fake->ram));
}
