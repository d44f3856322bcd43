/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "boot/memory.h"
#include "core/apic.h"
#include "core/clock.h"
#include "core/hv.h"
#include "core/map.h"
#include "core/page.h"
#include "core/panic.h"
#include "core/print.h"
#include "core/smp.h"
#include "core/trap.h"

#define PROTOCOL_MULTIBOOT1 UINT32_C(0x2badb002)
#define PROTOCOL_MULTIBOOT2 UINT32_C(0x36d76289)
#define TAKEN_MOST	    4U
#define DEFAULT_CONSOLE	    "com1"

extern const uint8_t image_start[], image_end[];

/* What the start collects and hands to hv_main(). */
static struct {
	struct boot_info info;
	struct firmware firmware;
	struct boot_free free;
} start;

static int read_info(uint32_t protocol, uint32_t phys)
{
	const struct boot_view view = { 0, 0x400, MAP_BOOT_BYTES };

	if (protocol == PROTOCOL_MULTIBOOT1)
		return boot_info_multiboot1(&view, phys, &start.info);
	if (protocol == PROTOCOL_MULTIBOOT2)
		return boot_info_multiboot2(&view, phys, &start.info);
	return boot_info_pvh(&view, phys, &start.info);
}

/* In two passes: what is mapped already, then, with tables from that, the rest. */
static void give_pages(bool is_high)
{
	uint64_t ram_end = boot_ram_end(&start.info);

	for (unsigned i = 0; i < start.free.n; i++) {
		uint64_t from = start.free.ranges[i].start, to = from + start.free.ranges[i].len;
		if (is_high && from < MAP_BOOT_BYTES)
			from = MAP_BOOT_BYTES;
		if (!is_high && to > MAP_BOOT_BYTES)
			to = MAP_BOOT_BYTES;
		if (from < to)
			(void)page_init(from, to - from, ram_end); /* too small for the map: lost */
	}
}

static void start_memory(void)
{
	const struct boot_range image = { (uintptr_t)image_start,
					  (uint64_t)(image_end - image_start), 0 };
	uint64_t ram_end = boot_ram_end(&start.info);

	boot_free_memory(&start.info, &image, 1, &start.free);
	give_pages(false);
	if (ram_end > MAP_BOOT_BYTES) {
		if (!map_range(MAP_BOOT_BYTES, ram_end - MAP_BOOT_BYTES))
			panic("no memory for the page tables of %lu MiB", ram_end >> 20);
		give_pages(true);
	}
	if (!page_total_bytes())
		panic("the loader's memory map has no free memory");
}

static void start_screen(const struct boot_framebuffer *fb)
{
	uint64_t len = (uint64_t)fb->pitch * fb->height;

	if (!fb->start || len >= UINT64_C(1) << 30 || !map_range(fb->start, len))
		return;
	if (fb->type == BOOT_SCREEN_RGB && (fb->bits == 24 || fb->bits == 32))
		print_screen(fb->start, fb->pitch, fb->width, fb->height, fb->bits / 8);
	else if (fb->type == BOOT_SCREEN_TEXT && fb->bits == 16)
		print_text_screen(fb->start, fb->width, fb->height);
}

static void start_cpus(void)
{
	const struct firmware *firmware = &start.firmware;
	uint64_t page = boot_low_page(&start.info);

	if (!firmware->has_acpi)
		print("no ACPI tables: one CPU\n");
	else if (!page && firmware->n_cpus > 1)
		print("no page below 640 KiB is free: one CPU\n");
	else
		(void)smp_start(firmware->apic_ids, firmware->n_cpus, page, hv_cpu_main);
}

void hv_start(uint32_t protocol, uint32_t info)
{
	char console[8] = DEFAULT_CONSOLE;
	int r = read_info(protocol, info);

	(void)boot_info_word(&start.info, "console", console, sizeof(console)); /* or the default */
	print_init(console);
	trap_init();
	trap_load();
	if (r)
		panic("the loader's tables (%s) cannot be read: error %d", start.info.protocol, -r);
	start_memory();
	const struct boot_view all = { 0, 0x400,
				       boot_ram_end(&start.info) > MAP_BOOT_BYTES
					       ? boot_ram_end(&start.info)
					       : MAP_BOOT_BYTES };
	(void)firmware_find(&all, &start.info, &start.firmware); /* has_acpi says */
	if (start.firmware.has_pic || !start.firmware.has_acpi)
		pic_mask();
	apic_init();
	struct cpu *cpu = cpu_create(apic_id());
	if (!cpu)
		panic("no memory for the first CPU");
	cpu_load(cpu);
	cpu->is_online = true;
	start_screen(&start.info.framebuffer);
	if (!clock_init(start.firmware.pm_timer))
		print("no PIT and no PM timer: time is a guess\n");
	start_cpus();
	if (boot_info_word(&start.info, "panic", console, sizeof(console)))
		panic("asked for on the command line");
	hv_disks_start(&start.info, &start.firmware);
	hv_main(&start.info, &start.firmware);
}
