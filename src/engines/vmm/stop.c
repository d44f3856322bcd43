/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a machine, and its vcpus held for a while. */
#include <errno.h>
#include <linux/futex.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/core/lock.h"
#include "base/os/fd.h"
#include "engines/vmm/private.h"

/* All that wait: lock_wake() is for one. */
static void stop_wake(uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void vmm_end(struct vmm *vmm, enum vmm_end how, int status)
{
	lock_acquire(&vmm->end_lock);
	if (vmm_ended(vmm) == VMM_RUNS) {
		vmm->status = status;
		__atomic_store_n(&vmm->end, (uint32_t)how, __ATOMIC_RELEASE);
	}
	lock_release(&vmm->end_lock);
	fd_poke(vmm->poke);
	stop_wake(&vmm->parked);
}

void vmm_fail(struct vmm *vmm, const char *what, uint64_t code)
{
	lock_acquire(&vmm->end_lock);
	if (vmm_ended(vmm) == VMM_RUNS)
		(void)err_say(&vmm->failure, EIO, "the virtual machine failed: %s (0x%llx)", what,
			      (unsigned long long)code);
	lock_release(&vmm->end_lock);
	vmm_end(vmm, VMM_FAILED, 0);
}

static unsigned stop_threads(const struct vmm *vmm)
{
	unsigned n = 0;

	for (unsigned i = 0; i < vmm->n_vcpus; i++)
		n += vmm->vcpus[i].has_thread;
	return n;
}

void vmm_pause(struct vmm *vmm)
{
	__atomic_store_n(&vmm->stop_wanted, 1, __ATOMIC_RELEASE);
	vmm_clock_pause(&vmm->clock);
	for (unsigned i = 0; i < vmm->n_vcpus; i++) {
		if (vmm->vcpus[i].has_thread)
			vmm_vcpu_wake(&vmm->vcpus[i]);
	}
	for (;;) {
		uint32_t parked = __atomic_load_n(&vmm->parked, __ATOMIC_ACQUIRE);
		if (parked >= stop_threads(vmm) || vmm_ended(vmm) != VMM_RUNS)
			return;
		lock_wait(&vmm->parked, parked);
	}
}

/* Those that are parked look again at what holds them. */
static void stop_changed(struct vmm *vmm)
{
	(void)__atomic_add_fetch(&vmm->stop_changes, 1, __ATOMIC_ACQ_REL);
	stop_wake(&vmm->stop_changes);
}

void vmm_resume(struct vmm *vmm)
{
	vmm_clock_resume(&vmm->clock);
	__atomic_store_n(&vmm->stop_wanted, 0, __ATOMIC_RELEASE);
	stop_changed(vmm);
}

bool vmm_vcpu_do(struct vmm_vcpu *v, void (*fn)(struct vmm_vcpu *v, void *arg), void *arg)
{
	struct vmm_job job = { .fn = fn, .arg = arg };

	/* Nobody else could end the machine now: who would, is parked. */
	if (vmm_ended(v->vmm) != VMM_RUNS || !v->has_thread)
		return false;
	__atomic_store_n(&v->job, &job, __ATOMIC_RELEASE);
	stop_changed(v->vmm);
	while (!__atomic_load_n(&job.done, __ATOMIC_ACQUIRE))
		lock_wait(&job.done, 0);
	return true;
}

static bool stop_job(struct vmm_vcpu *v)
{
	struct vmm_job *job = __atomic_exchange_n(&v->job, NULL, __ATOMIC_ACQ_REL);

	if (!job)
		return false;
	job->fn(v, job->arg);
	__atomic_store_n(&job->done, 1, __ATOMIC_RELEASE);
	stop_wake(&job->done); /* it may be gone by now: then nobody sleeps there */
	return true;
}

bool vmm_vcpu_stops(const struct vmm_vcpu *v)
{
	return __atomic_load_n(&v->vmm->stop_wanted, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&v->held, __ATOMIC_ACQUIRE);
}

void vmm_vcpu_park(struct vmm_vcpu *v)
{
	struct vmm *vmm = v->vmm;

	(void)__atomic_add_fetch(&vmm->parked, 1, __ATOMIC_ACQ_REL);
	stop_wake(&vmm->parked);
	for (;;) {
		uint32_t seen = __atomic_load_n(&vmm->stop_changes, __ATOMIC_ACQUIRE);
		if (stop_job(v))
			continue;
		if (!vmm_vcpu_stops(v) || vmm_ended(vmm) != VMM_RUNS)
			break;
		lock_wait(&vmm->stop_changes, seen);
	}
	(void)__atomic_sub_fetch(&vmm->parked, 1, __ATOMIC_ACQ_REL);
}
