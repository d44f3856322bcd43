/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A port of an AHCI controller with a disk: one command at a time (no NCQ: what is put while another runs waits in the controller).
 *
 * Theory of operation. A command that fails stops the port's list, and one that is lost keeps it: those behind it would be lost, too. So
 * the port is taken back (ahci_port.c), step by step, each time that somebody polls; nothing is waited for in between:
 *
 *	AHCI_RUNS -> AHCI_STOPS -> (AHCI_RESET -> AHCI_COMES -> AHCI_ASKED) -> AHCI_RUNS, or AHCI_DEAD
 *
 * ST off, and until the controller has let the list go; where it was lost, or the device is busy all the same, COMRESET, until the link
 * and the device are there again, and IDENTIFY: it is the same disk. The command that was at fault is over by then, all others are
 * issued again from their slots. Meanwhile new ones are put into slots, too. A disk that does not come back, or is another one, is dead:
 * its requests fail at once, and it is tried again every HOST_DISK_ANSWER_NS.
 *
 * Everything under the disk's lock, but for the start.
 * Sources: Serial ATA AHCI 1.3.1: HBA Memory Registers; Command List; Error Recovery; Port Reset. ATA/ATAPI-8: IDENTIFY DEVICE, READ and
 * WRITE DMA EXT.
 */
#include <stddef.h>

#include "core/page.h"
#include "drivers/host_disk.h"

struct iommu_domain;

#define AHCI_SIGNATURE_DISK UINT32_C(0x00000101)
#define AHCI_COMMAND_NS	    UINT64_C(20000000000)

enum hba_reg { HBA_CAP = 0x00, HBA_GHC = 0x04, HBA_IS = 0x08, HBA_PI = 0x0c, HBA_PORTS = 0x100 };
enum port_reg {
	PORT_CLB = 0x00,
	PORT_FB = 0x08,
	PORT_IS = 0x10,
	PORT_IE = 0x14,
	PORT_CMD = 0x18,
	PORT_TFD = 0x20,
	PORT_SIG = 0x24,
	PORT_SSTS = 0x28,
	PORT_SCTL = 0x2c,
	PORT_SERR = 0x30,
	PORT_CI = 0x38,
};
enum { GHC_AE = 1U << 31, GHC_IE = 2 };
enum { CMD_ST = 1, CMD_FRE = 0x10, CMD_CCS_SHIFT = 8, CMD_FR = 0x4000, CMD_CR = 0x8000 };
#define IS_ERRORS UINT32_C(0x78000000) /* task file, host bus, interface */
enum { TFD_ERR = 1, TFD_DRQ = 8, TFD_BSY = 0x80 };
enum {
	ATA_READ_DMA_EXT = 0x25,
	ATA_WRITE_DMA_EXT = 0x35,
	ATA_FLUSH_EXT = 0xea,
	ATA_IDENTIFY = 0xec
};

struct ahci_head {
	uint16_t flags; /* length of the FIS in words, 0x40: write */
	uint16_t n_prd;
	uint32_t bytes;
	uint64_t table;
	uint32_t reserved[4];
};

struct ahci_table {
	uint8_t fis[64], atapi[64];
	struct {
		uint64_t address;
		uint32_t reserved, len; /* bytes less one */
	} prd[1];
	uint8_t pad[112]; /* to 256 */
};

_Static_assert(sizeof(struct ahci_head) == 32 && sizeof(struct ahci_table) == 256, "AHCI 1.3.1");

/* A page: the list, what the device sends, the tables. */
struct ahci_memory {
	struct ahci_head list[32];
	uint8_t received[256];
	uint8_t pad[768];
	struct ahci_table tables[HOST_DISK_SLOTS];
};

_Static_assert(sizeof(struct ahci_memory) == PAGE_BYTES, "a page");

struct ahci_identity {
	char serial[21];
	uint32_t sector_bytes;
	uint64_t size_bytes;
};

enum ahci_state { AHCI_RUNS, AHCI_STOPS, AHCI_RESET, AHCI_COMES, AHCI_ASKED, AHCI_DEAD };

struct ahci {
	struct host_disk disk;
	struct iommu_domain *dma;
	volatile uint8_t *hba, *port;
	unsigned index; /* of the port */
	struct ahci_memory *memory;
	uint32_t under_way; /* slots */
	enum ahci_state state;
	uint64_t until_ns; /* the state's end */
	bool is_lost;	   /* it was not answered: the link is reset */
	bool is_dead;	   /* that was said: nothing is until it answers again */
	unsigned victim;   /* the slot that is given up */
	struct ahci_identity identity;
};

static inline uint32_t ahci_get(volatile uint8_t *base, unsigned reg)
{
	return *(volatile uint32_t *)(base + reg);
}

static inline void ahci_set(volatile uint8_t *base, unsigned reg, uint32_t value)
{
	*(volatile uint32_t *)(base + reg) = value;
}

/* ---- ahci_port.c ---- */

struct ahci_command {
	uint8_t command;
	uint64_t lba;
	uint16_t sectors;
	uint64_t buffer;
	uint32_t len;
	bool is_write;
};

/* ahci_put() - into a slot; ahci_issue(): these are the controller's now */
void ahci_put(struct ahci *a, unsigned slot, const struct ahci_command *command);
void ahci_issue(struct ahci *a, uint32_t slots);
/* ahci_port_run() - with list and FIS memory set */
void ahci_port_run(volatile uint8_t *port);

/* ahci_identity() - of 512 bytes that IDENTIFY DEVICE read. Return: 0; -ENODEV: no disk that we drive. */
int ahci_identity(const uint8_t *data, struct ahci_identity *ret);

/* ahci_fail() - take the port back. @slot: is given up   @is_lost: it was not answered; false: it failed */
void ahci_fail(struct ahci *a, unsigned slot, bool is_lost);
/* ahci_at() - the slot that the controller is at; of none that is under way: another */
unsigned ahci_at(const struct ahci *a, unsigned other);
/* ahci_recover() - the next step, while it does not run */
void ahci_recover(struct ahci *a);
