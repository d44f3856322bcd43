/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's machine does besides answering its vcpus, and its end. */
#include "vm/guest.h"

#define ROUNDS 16U /* until the vcpu looks whether its CPU is somebody else's by now */

void guest_service_ask(struct guest *guest)
{
	__atomic_store_n(&guest->service_wanted, 1, __ATOMIC_SEQ_CST);
	guest_vcpu_wake(&guest->vcpus[0]);
}

/* One at a time; who comes while another serves leaves its wish behind, and that one looks again. */
bool guest_service(struct guest *guest)
{
	unsigned rounds = 0;

	do {
		if (rounds++ == ROUNDS)
			return true;
		if (__atomic_exchange_n(&guest->service, 1, __ATOMIC_ACQUIRE))
			return false;
		__atomic_store_n(&guest->service_wanted, 0, __ATOMIC_SEQ_CST);
		guest_clock_fire(&guest->clock);
		if (guest->config.serve)
			guest->config.serve(guest, guest->config.arg);
		bool is_enough = guest_virtio_serve(guest);
		if (is_enough)
			__atomic_store_n(&guest->service_wanted, 1, __ATOMIC_SEQ_CST);
		__atomic_store_n(&guest->service, 0, __ATOMIC_SEQ_CST);
		if (is_enough)
			return true;
	} while (__atomic_load_n(&guest->service_wanted, __ATOMIC_SEQ_CST));
	return false;
}

void guest_end(struct guest *guest, enum guest_end how, int status)
{
	uint32_t runs = GUEST_RUNS;

	if (!__atomic_compare_exchange_n(&guest->end, &runs, (uint32_t)how, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return;
	guest->status = status;
	for (unsigned i = 0; i < guest->n_vcpus; i++)
		guest_vcpu_wake(&guest->vcpus[i]);
}

void guest_fail(struct guest *guest, const char *what, uint64_t code)
{
	if (guest_ended(guest) != GUEST_RUNS)
		return;
	guest->failure = what;
	guest->failure_code = code;
	guest_end(guest, GUEST_FAILED, 0);
}

const char *guest_end_words(enum guest_end how)
{
	static const char *const words[] = {
		[GUEST_RUNS] = "runs",
		[GUEST_POWER_OFF] = "powered off",
		[GUEST_RESET] = "reset itself",
		[GUEST_EXIT] = "ended its test",
		[GUEST_CRASHED] = "crashed its CPU (triple fault)",
		[GUEST_FAILED] = "did what no machine can do",
		[GUEST_DESTROYED] = "was destroyed",
	};

	return words[how];
}

uint64_t guest_exits(const struct guest *guest, unsigned kind)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < guest->n_vcpus && kind < HW_EXIT_KINDS; i++)
		sum += guest->vcpus[i].vcpu->exits[kind];
	return sum;
}
