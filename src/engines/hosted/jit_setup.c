/* SPDX-License-Identifier: Apache-2.0 */
/* The translator's memory, all of it before the process is sealed. */
#include "engines/hosted/jit_parts.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define INDEX_BYTES 512U /* of cache for each chain of the index */
#define SHARE_MAX   (UINT64_C(1) << 30)
#define NEAR_BYTES                                                                                 \
	(UINT64_C(512)                                                                             \
	 << 20) /* where code is to be, from the machine's struct: room for a heap between */

static void *zeroed(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unmap(const void *p, uint64_t bytes)
{
	if (p)
		(void)munmap((void *)(uintptr_t)p, bytes);
}

/* One memory, mapped twice: written here, executed there, near the vcpus' structs if the place is free. */
static int map_cache(struct jit_vm *jit, struct err *err)
{
	int fd = memfd_create("strata-code", MFD_CLOEXEC);

	if (fd < 0)
		return err_set(err, errno, "code cache");
	int code = 0;
	if (ftruncate(fd, (off_t)jit->bytes) != 0)
		code = err_set(err, errno, "code cache of %llu bytes",
			       (unsigned long long)jit->bytes);
	void *near = (void *)(((uintptr_t)jit->vm & ~(uintptr_t)(CPU_PAGE_BYTES - 1)) + NEAR_BYTES);
	void *rw = mmap(NULL, jit->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	void *rx = mmap(near, jit->bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	jit->rw = rw == MAP_FAILED ? NULL : rw;
	jit->rx = rx == MAP_FAILED ? NULL : rx;
	if (code == 0 && (!jit->rw || !jit->rx))
		code = err_set(err, errno, "map a code cache of %llu bytes",
			       (unsigned long long)jit->bytes);
	(void)close(fd);
	return code;
}

int jit_vm_create(struct hosted_vm *vm, unsigned vcpus, uint64_t cache_bytes, struct err *err)
{
	const uint64_t least = JIT_THUNK_BYTES + (uint64_t)JIT_REGIONS * JIT_REGION_MIN;
	struct jit_vm *jit = zeroed(sizeof(*jit));

	if (!jit)
		return err_set(err, ENOMEM, "code cache");
	jit->vm = vm;
	jit->share = cache_bytes / (vcpus ? vcpus : 1) & ~(uint64_t)(CPU_PAGE_BYTES - 1);
	if (jit->share > SHARE_MAX)
		jit->share = SHARE_MAX;
	vm->jit = jit;
	if (jit->share < least) {
		jit_vm_destroy(vm);
		return err_say(err, EINVAL,
			       "code cache: %llu bytes for each of %u vcpus are the least",
			       (unsigned long long)least, vcpus);
	}
	jit->bytes = jit->share * (vcpus ? vcpus : 1);
	jit->pages = zeroed(JIT_PAGES / 8);
	int code = jit->pages ? map_cache(jit, err) : err_set(err, ENOMEM, "code cache");
	if (code != 0)
		jit_vm_destroy(vm);
	return code;
}

void jit_vm_destroy(struct hosted_vm *vm)
{
	struct jit_vm *jit = vm->jit;

	if (!jit)
		return;
	vm->jit = NULL;
	unmap(jit->rw, jit->bytes);
	unmap(jit->rx, jit->bytes);
	unmap(jit->pages, JIT_PAGES / 8);
	unmap(jit, sizeof(*jit));
}

/* A power of two of chains. */
static uint32_t index_size(uint32_t bytes)
{
	uint32_t n = 1024;

	while (n < bytes / INDEX_BYTES)
		n *= 2;
	return n;
}

static int vcpu_memory(struct jit_vcpu *jit, struct err *err)
{
	uint32_t n = index_size(jit->bytes);
	uint64_t jumps = JIT_JUMPS * sizeof(struct jit_jump);

	jit->index_mask = n - 1;
	jit->memory_bytes = 3 * n * sizeof(jit_ref) + (JIT_DOMAINS + 1) * jumps;
	jit->memory = zeroed(jit->memory_bytes);
	if (!jit->memory)
		return err_set(err, ENOMEM, "index of the code cache");
	uint8_t *at = jit->memory;
	for (unsigned i = 0; i <= JIT_DOMAINS; i++, at += jumps) {
		struct jit_jump *table = (struct jit_jump *)(void *)at;
		for (unsigned k = 0; i == JIT_DOMAINS && k < JIT_JUMPS; k++)
			table[k].rip = JIT_NO_RIP;
		if (i < JIT_DOMAINS)
			jit->domains[i].jumps = table;
		else
			jit->no_jumps = table;
	}
	jit->by_rip = (jit_ref *)(void *)at;
	jit->by_page = jit->by_rip + n;
	jit->by_page2 = jit->by_page + n;
	return 0;
}

static bool has_bmi2(void)
{
	unsigned a, b = 0, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_BMI2);
}

/* Whether any of the code can address any of the state by a displacement of 32 bits. */
static bool is_near(const struct jit_vcpu *jit)
{
	int64_t from = (int64_t)((uintptr_t)jit->cpu - (uintptr_t)jit->rx);

	return from - (int64_t)jit->bytes > INT32_MIN &&
	       from + (int64_t)sizeof(struct hosted_cpu) < INT32_MAX;
}

int jit_vcpu_create(struct hosted_cpu *cpu, struct err *err)
{
	struct jit_vm *vm = cpu->vm->jit;
	struct jit_vcpu *jit = zeroed(sizeof(*jit));

	if (!jit)
		return err_set(err, ENOMEM, "translator");
	uint64_t at = vm->share * cpu->vcpu.index;
	jit->bytes = (uint32_t)vm->share;
	int code = 0;
	if (at + vm->share > vm->bytes)
		code = err_say(err, EINVAL, "vcpu %u has no share of the code cache",
			       cpu->vcpu.index);
	else
		code = vcpu_memory(jit, err);
	if (code != 0) {
		unmap(jit, sizeof(*jit));
		return code;
	}
	jit->cpu = cpu;
	jit->vm = vm;
	jit->rw = vm->rw + at;
	jit->rx = vm->rx + at;
	if (is_near(jit))
		jit->state = (uintptr_t)cpu - (uintptr_t)jit->rx + (uintptr_t)jit->rw;
	jit->has_bmi2 = has_bmi2();
	cpu->jit_gs.pauses = JIT_PAUSES;
	jit_cache_init(jit);
	jit_thunks_make(jit);
	jit->enter = (void (*)(void))(uintptr_t)(jit->rx + jit->thunks[JIT_THUNK_ENTER]);
	jit->unserialized = true;
	cpu->jit = jit;
	jit_jumps_clear(jit);
	return 0;
}

void jit_vcpu_destroy(struct hosted_cpu *cpu)
{
	struct jit_vcpu *jit = cpu->jit;

	if (!jit)
		return;
	cpu->jit = NULL;
	unmap(jit->memory, jit->memory_bytes);
	unmap(jit, sizeof(*jit));
}

void jit_stats(const struct hosted_cpu *cpu, struct jit_stats *ret)
{
	*ret = cpu->jit ? cpu->jit->stats : (struct jit_stats){ 0 };
}
