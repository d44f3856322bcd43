/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/memory.h"
#include "core/clock.h"
#include "core/hv.h"
#include "core/io.h"
#include "core/page.h"
#include "core/percpu.h"
#include "core/print.h"
#include "core/sched.h"
#include "core/timer.h"
#include "core/trap.h"

#define MIB_SHIFT	  20U
#define SETTLE_TIMEOUT_NS UINT64_C(20000000000) /* as for their start: core/smp.c */

static void print_banner(const struct boot_info *info, const struct firmware *firmware)
{
	char brand[CPU_BRAND_BYTES];

	print("Strata " STRATA_VERSION ", bare metal, by %s\n", info->protocol);
	if (cpu_brand(brand))
		print("CPU: %s\n", brand);
	print("%u CPUs, %lu MiB of memory free, TSC %lu kHz, %u files%s\n", cpu_count(),
	      page_free_bytes() >> MIB_SHIFT, clock_tsc_hz() / 1000, info->n_files,
	      firmware->has_iommu ? ", IOMMU" : "");
	print("of the server's memory %lu KiB are the hypervisor's own\n",
	      (boot_ram_bytes(info) - boot_file_bytes(info) - page_free_bytes()) >> 10);
	if (info->is_cut)
		print("the loader told more than fits: the rest is not used\n");
}

/* Whether it can run guests; else it is left alone. */
static void cpu_ready(bool is_tested)
{
	struct err err = { 0 };
	bool can = hv_virt_init_cpu(&err) == 0;

	if (!can)
		print("CPU %u: %s\n", cpu_this()->index, err.text);
	__atomic_store_n(&cpu_this()->is_settled, true, __ATOMIC_RELEASE);
	if (can)
		return;
	if (is_tested)
		hv_self_test_without();
	for (;;) {
		timer_poll(); /* what is printed here, too, has a timer */
		cpu_idle();
	}
}

/* What the others take for themselves is not to be counted as a guest's: memory that is free now is there again after the last one. */
static void cpus_wait(void)
{
	uint64_t end = clock_ns() + SETTLE_TIMEOUT_NS;

	for (unsigned i = 0; i < cpu_count(); i++) {
		while (!__atomic_load_n(&cpu_at(i)->is_settled, __ATOMIC_ACQUIRE) &&
		       clock_ns() < end)
			cpu_relax();
	}
}

void hv_cpu_main(void)
{
	cpu_ready(false);
	sched_loop();
}

void hv_main(const struct boot_info *info, const struct firmware *firmware)
{
	bool is_tested = hv_self_test_asked(info);

	print_banner(info, firmware);
	if (is_tested)
		hv_self_test_server(info, firmware);
	cpu_ready(is_tested);
	sched_init();
	cpus_wait();
	hv_channel_start(info);
	if (is_tested)
		hv_self_test_programs();
	else
		(void)hv_guests_start(info); /* each says what became of it */
	print_run();
	sched_loop();
}
