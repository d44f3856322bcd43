/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/kvm_kind.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "engines/hybrid/private.h"
#include "x86/state.h"

#define PAGE	     4096U
#define FIRST_ROUNDS 1000U    /* of the loop: 2 ms where the kernel interprets */
#define MOST_ROUNDS  1000000U /* 1 ms on a CPU */
#define MORE_ROUNDS  10U
#define LEAST_RUNS   3
#define PATIENCE_NS  UINT64_C(250000000)
#define EXIT_PORT    0x80

/* Of CPUID: Intel SDM 2, CPUID; AMD APM 3, Appendix E, Function 8000_0001h. */
#define CPUID_1_ECX_VMX	       UINT32_C(0x20)
#define CPUID_80000001_ECX_SVM UINT32_C(0x4)

#define COUNT_AT 0x100 /* how often the guest is to loop, 4 bytes */

/* A round: the count, a loop of two instructions, the exit. */
static const uint8_t guest_code[] = {
	0x8b, 0x0d,	 COUNT_AT & 0xff, COUNT_AT >> 8, 0, 0, /* again: mov COUNT_AT, %ecx */
	0x49,						       /* loop: dec %ecx */
	0x75, 0xfd,					       /* jnz loop */
	0xe6, EXIT_PORT,				       /* out %al */
	0xeb, 0xf3,					       /* jmp again */
};

struct probe {
	int dev, vm, vcpu;
	uint8_t *memory; /* one page at 0 */
	struct kvm_run *run;
	size_t run_bytes;
};

static void probe_fini(struct probe *p)
{
	if (p->run)
		(void)munmap(p->run, p->run_bytes); /* ours and whole: cannot fail */
	if (p->memory)
		(void)munmap(p->memory, PAGE);
	fd_close(p->vcpu);
	fd_close(p->vm);
	fd_close(p->dev);
}

static int probe_memory(struct probe *p)
{
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	p->memory = memory;
	memcpy(p->memory, guest_code, sizeof(guest_code));
	struct kvm_userspace_memory_region region = {
		.memory_size = PAGE,
		.userspace_addr = (uintptr_t)memory,
	};
	return kvm_ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* Flat 32-bit protected mode: every KVM on hardware can enter that, real mode not. */
static int probe_sregs(struct probe *p)
{
	const struct kvm_segment data = { .limit = UINT32_MAX,
					  .selector = 0x10,
					  .type = 3,
					  .present = 1,
					  .db = 1,
					  .s = 1,
					  .g = 1 };
	struct kvm_sregs sregs;

	int r = kvm_ioctl(p->vcpu, KVM_GET_SREGS, &sregs);
	if (r < 0)
		return r;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cs = data;
	sregs.cs.selector = 8;
	sregs.cs.type = 11; /* code, readable, accessed */
	sregs.cr0 |= X86_CR0_PE;
	r = kvm_ioctl(p->vcpu, KVM_SET_SREGS, &sregs);
	if (r < 0)
		return r;
	struct kvm_regs regs = { .rip = 0, .rflags = X86_RFLAGS_FIXED };
	return kvm_ioctl(p->vcpu, KVM_SET_REGS, &regs);
}

static int probe_vcpu(struct probe *p)
{
	int bytes = kvm_ioctl_nr(p->dev, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (bytes < (int)sizeof(struct kvm_run))
		return bytes < 0 ? bytes : -EIO;
	p->run_bytes = (size_t)bytes;
	p->vcpu = kvm_ioctl_nr(p->vm, KVM_CREATE_VCPU, 0);
	if (p->vcpu < 0)
		return p->vcpu;
	void *run = mmap(NULL, p->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
	if (run == MAP_FAILED)
		return -errno;
	p->run = run;
	return probe_sregs(p);
}

static int probe_init(struct probe *p, struct err *err)
{
	int r = kvm_dev_open(&p->dev, err);

	if (r < 0)
		return r;
	p->vm = r = kvm_ioctl_nr(p->dev, KVM_CREATE_VM, 0);
	if (r >= 0)
		r = probe_memory(p);
	if (r >= 0)
		r = probe_vcpu(p);
	return r < 0 ? err_set(err, -r, "start a small VM on %s", KVM_DEV_PATH) : 0;
}

static int probe_time(void *arg, uint32_t rounds, uint64_t *ret_ns, struct err *err)
{
	struct probe *p = arg;

	memcpy(p->memory + COUNT_AT, &rounds, sizeof(rounds));
	int64_t began = clock_mono_ns();
	int r = kvm_ioctl_nr(p->vcpu, KVM_RUN, 0);
	if (r < 0)
		return err_set(err, -r, "run a small VM on %s", KVM_DEV_PATH);
	if (p->run->exit_reason != KVM_EXIT_IO || p->run->io.port != EXIT_PORT)
		return err_say(err, EIO, "%s: a small VM ended with KVM's exit reason %u",
			       KVM_DEV_PATH, p->run->exit_reason);
	int64_t took = clock_mono_ns() - began;
	*ret_ns = took > 0 ? (uint64_t)took : 1;
	return 0;
}

/*
 * The host's load, and on a CPU the way in and out, can only make a run slower: so the best counts, and runs get longer and
 * start over until one is a CPU's or patience has ended.
 */
int kvm_kind_rate(kvm_kind_time_fn time, void *arg, uint64_t patience_ns, uint64_t *ret_per_s,
		  struct err *err)
{
	uint32_t rounds = FIRST_ROUNDS;
	uint64_t best = 0, spent_ns = 0;

	for (unsigned runs = 0; runs < LEAST_RUNS || spent_ns < patience_ns; runs++) {
		uint64_t ns = 1;
		int r = time(arg, rounds, &ns, err);
		if (r < 0)
			return r;
		spent_ns += ns;
		uint64_t per_s = 2 * UINT64_C(1000000000) * rounds / ns;
		if (per_s > best)
			best = per_s;
		if (rounds == MOST_ROUNDS && best >= KVM_KIND_HARDWARE_PER_S)
			break;
		if (rounds == MOST_ROUNDS ||
		    (ns > patience_ns / MORE_ROUNDS && per_s < KVM_KIND_HARDWARE_PER_S))
			rounds = FIRST_ROUNDS;
		else
			rounds *= MORE_ROUNDS;
	}
	*ret_per_s = best;
	return 0;
}

/* Without one of these no KVM has hardware assistance; with one it may still be a KVM that does not use it. */
static bool cpu_has_assistance(void)
{
	unsigned a, b, c, d;

	return (__get_cpuid(1, &a, &b, &c, &d) && c & CPUID_1_ECX_VMX) ||
	       (__get_cpuid(0x80000001, &a, &b, &c, &d) && c & CPUID_80000001_ECX_SVM);
}

int kvm_kind_measure(struct kvm_kind *ret, struct err *err)
{
	AUTO(probe_fini) struct probe p = { .dev = -EBADF, .vm = -EBADF, .vcpu = -EBADF };
	uint64_t per_s = 0;

	int r = probe_init(&p, err);
	if (r == 0)
		r = kvm_kind_rate(probe_time, &p, cpu_has_assistance() ? PATIENCE_NS : 0, &per_s,
				  err);
	if (r < 0)
		return r;
	*ret = (struct kvm_kind){ .hardware = per_s >= KVM_KIND_HARDWARE_PER_S,
				  .instructions_per_s = per_s };
	return 0;
}
