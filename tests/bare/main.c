/* SPDX-License-Identifier: Apache-2.0 */
#include "bare.h"

static uint8_t ram[BARE_RAM_BYTES] __attribute__((aligned(4096)));
static uint8_t disk[RAM_DISK_BYTES];
static struct board board;

void bare_main(void);

static const struct {
	const char *name;
	bool (*drive)(struct board *b);
} drives[] = {
	{ "core", drive_core },
	{ "cpuid", drive_cpuid },
	{ "acpi", drive_acpi },
	{ "boot", drive_boot },
	{ "lapic", drive_lapic },
	{ "ioapic", drive_ioapic },
	{ "pic", drive_pic },
	{ "pit", drive_pit },
	{ "rtc", drive_rtc },
	{ "pm", drive_pm },
	{ "pci", drive_pci },
	{ "fwcfg", drive_fwcfg },
	{ "serial", drive_serial },
	{ "i8042", drive_i8042 },
	{ "debug-exit", drive_debug_exit },
	{ "testdevs", drive_testdevs },
	{ "virtio-blk", drive_blk },
	{ "virtio-net", drive_net },
	{ "virtio-console", drive_console },
	{ "virtio-rng", drive_rng },
	{ "virtio-balloon", drive_balloon },
	{ "virtio-vsock", drive_vsock },
	{ "intx", drive_intx },
	{ "broken-ring", drive_broken },
};

void bare_main(void)
{
	struct err err = { 0 };
	unsigned failed = 0;

	if (board_init(&board, ram, disk, &err) < 0) {
		print("FAIL board: %s\n", err.text);
		quit(1);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(drives); i++) {
		bool ok = drives[i].drive(&board);
		print("%s %s\n", ok ? "ok" : "FAIL", drives[i].name);
		failed += !ok;
	}
	print("end: %u passed, %u failed\n", (unsigned)ARRAY_SIZE(drives) - failed, failed);
	quit(failed != 0);
}
