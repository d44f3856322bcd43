/* SPDX-License-Identifier: Apache-2.0 */
#include "core/clock.h"
#include "core/hv.h"
#include "core/io.h"
#include "core/page.h"
#include "core/percpu.h"
#include "core/print.h"
#include "core/sched.h"
#include "core/trap.h"

#define MIB_SHIFT 20U

static void print_cpu_brand(void)
{
	uint32_t id[12], most[4];

	cpuid_read(UINT32_C(0x80000000), 0, most);
	if (most[0] < UINT32_C(0x80000004))
		return;
	for (unsigned i = 0; i < 3; i++)
		cpuid_read(UINT32_C(0x80000002) + i, 0, &id[i * 4]);
	print("CPU: %.*s\n", (int)sizeof(id), (const char *)id);
}

static void print_banner(const struct boot_info *info, const struct firmware *firmware)
{
	print("Strata " STRATA_VERSION ", bare metal, by %s\n", info->protocol);
	print_cpu_brand();
	print("%u CPUs, %lu MiB of memory free, TSC %lu kHz, %u files%s\n", cpu_count(),
	      page_free_bytes() >> MIB_SHIFT, clock_tsc_hz() / 1000, info->n_files,
	      firmware->has_iommu ? ", IOMMU" : "");
	if (info->is_cut)
		print("the loader told more than fits: the rest is not used\n");
}

/* Whether it can run guests; else it is left alone. */
static void cpu_ready(void)
{
	struct err err = { 0 };

	if (hv_virt_init_cpu(&err) == 0)
		return;
	print("CPU %u: %s\n", cpu_this()->index, err.text);
	for (;;)
		cpu_idle();
}

void hv_cpu_main(void)
{
	cpu_ready();
	sched_loop();
}

void hv_main(const struct boot_info *info, const struct firmware *firmware)
{
	print_banner(info, firmware);
	cpu_ready();
	sched_init();
	(void)hv_guests_start(info); /* each says what became of it */
	sched_loop();
}
