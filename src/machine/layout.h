/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The guest physical address map, the same under every engine, and the ports. A PC's, with PCI Express's ECAM
 * below 4 GiB where q35 guests know to look only through MCFG.
 */
#include <stdint.h>

#define LAYOUT_LOW_RAM_MAX                                                                         \
	UINT64_C(0xb0000000) /* RAM below: 2.75 GiB at most; the rest from 4 GiB up */
#define LAYOUT_ECAM	    UINT64_C(0xb0000000) /* bus 0 to 255: 256 MiB */
#define LAYOUT_ECAM_BYTES   UINT64_C(0x10000000)
#define LAYOUT_PCI32	    UINT64_C(0xc0000000) /* 32-bit BARs */
#define LAYOUT_PCI32_END    UINT64_C(0xfc000000)
#define LAYOUT_IOAPIC	    UINT64_C(0xfec00000)
#define LAYOUT_IOAPIC_BYTES UINT64_C(0x1000)
#define LAYOUT_TSS	    UINT64_C(0xfffbd000) /* three pages for KVM on Intel (KVM_SET_TSS_ADDR) */
#define LAYOUT_IDENTITY_MAP UINT64_C(0xfffbc000) /* one page (KVM_SET_IDENTITY_MAP_ADDR) */
#define LAYOUT_LAPIC	    UINT64_C(0xfee00000)
#define LAYOUT_LAPIC_BYTES  UINT64_C(0x1000)
#define LAYOUT_HIGH_RAM	    UINT64_C(0x100000000)
#define LAYOUT_PCI64	    UINT64_C(0x4000000000) /* 256 GiB up: 64-bit BARs, above any RAM we give */
#define LAYOUT_PCI64_BYTES  UINT64_C(0x1000000000)
#define LAYOUT_RAM_MAX	    (LAYOUT_PCI64 - LAYOUT_HIGH_RAM)

/* Below 1 MiB */
#define LAYOUT_BOOT_GDT	     UINT64_C(0x500)
#define LAYOUT_PVH_INFO	     UINT64_C(0x6000) /* start info, module list, memory map: one page */
#define LAYOUT_ZERO_PAGE     UINT64_C(0x7000) /* struct boot_params, or multiboot info */
#define LAYOUT_BOOT_STACK    UINT64_C(0x8ff0)
#define LAYOUT_BOOT_PML4     UINT64_C(0x9000) /* identity page tables: 0x9000..0xefff */
#define LAYOUT_CMDLINE	     UINT64_C(0x20000)
#define LAYOUT_CMDLINE_BYTES UINT64_C(0x10000)
#define LAYOUT_EBDA	     UINT64_C(0x9fc00) /* end of low RAM in the e820 */
#define LAYOUT_ACPI	     UINT64_C(0xe0000) /* RSDP first, then the tables: reserved to 1 MiB */
#define LAYOUT_ACPI_BYTES    UINT64_C(0x20000)
#define LAYOUT_KERNEL	     UINT64_C(0x100000)

/* Ports */
#define PORT_PIC_MASTER	 0x20U
#define PORT_PIT	 0x40U /* 4 ports, and 0x61 */
#define PORT_I8042	 0x60U /* and 0x64 */
#define PORT_SYSTEM_B	 0x61U
#define PORT_RTC	 0x70U
#define PORT_PIC_SLAVE	 0xa0U
#define PORT_DEBUG_EXIT	 0xf4U
#define PORT_SERIAL_1	 0x3f8U
#define PORT_ELCR	 0x4d0U
#define PORT_FW_CFG	 0x510U
#define PORT_PM1_EVENT	 0x600U /* 4 bytes: status, enable */
#define PORT_PM1_CONTROL 0x604U
#define PORT_PM_TIMER	 0x608U
#define PORT_RESET	 0xcf9U
#define PORT_PCI_ADDRESS 0xcf8U
#define PORT_PCI_DATA	 0xcfcU
#define PORT_PCI_BARS	 0xc000U /* BARs in port space from here up */
#define PORT_PCI_END	 0x10000U

/* ISA interrupts: GSI n is input n of the PIC and pin n of the IOAPIC, but for the PIT, which is pin 2 */
#define GSI_PIT	     0U
#define GSI_KEYBOARD 1U
#define GSI_SERIAL_1 4U
#define GSI_RTC	     8U
#define GSI_SCI	     9U
