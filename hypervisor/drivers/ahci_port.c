/* SPDX-License-Identifier: Apache-2.0 */
/* A port's commands, and how it is taken back from one that failed or was lost. */
#include "drivers/ahci.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "core/clock.h"
#include "core/print.h"

/* AHCI 1.3.1, System Memory Initialization: 500 ms for CR; Port Reset: DET for at least 1 ms. A disk at rest takes long to come. */
#define STOP_NS	 UINT64_C(500000000)
#define RESET_NS UINT64_C(1000000)
#define COME_NS	 UINT64_C(20000000000)

enum { SCTL_DET = 0xf, SCTL_DET_RESET = 1, SSTS_DET = 0xf, SSTS_DET_THERE = 3 };

/* ---- commands ---- */

/* Register Host to Device FIS. */
void ahci_put(struct ahci *a, unsigned slot, const struct ahci_command *c)
{
	struct ahci_table *table = &a->memory->tables[slot];

	memset(table->fis, 0, sizeof(table->fis));
	table->fis[0] = 0x27;
	table->fis[1] = 0x80; /* a command */
	table->fis[2] = c->command;
	table->fis[7] = 0x40; /* LBA */
	for (unsigned i = 0; i < 3; i++) {
		table->fis[4 + i] = (uint8_t)(c->lba >> (8 * i));
		table->fis[8 + i] = (uint8_t)(c->lba >> (24 + 8 * i));
	}
	le16_store(&table->fis[12], c->sectors);
	table->prd[0].address = c->buffer;
	table->prd[0].len = c->len ? c->len - 1 : 0;
	a->memory->list[slot] = (struct ahci_head){
		.flags = (uint16_t)(5 | (c->is_write ? 0x40 : 0)),
		.n_prd = c->len ? 1 : 0,
		.table = ptr_to_phys(table),
	};
}

void ahci_issue(struct ahci *a, uint32_t slots)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ahci_set(a->port, PORT_CI, slots);
}

void ahci_port_run(volatile uint8_t *port)
{
	ahci_set(port, PORT_SERR, UINT32_MAX);
	ahci_set(port, PORT_IS, UINT32_MAX);
	ahci_set(port, PORT_CMD, ahci_get(port, PORT_CMD) | CMD_FRE);
	ahci_set(port, PORT_CMD, ahci_get(port, PORT_CMD) | CMD_ST);
}

/* ATA strings have the bytes of each word swapped, and spaces at the end. */
static void serial_take(const uint8_t *data, char serial[21])
{
	size_t len = 20;

	for (size_t i = 0; i < len; i++)
		serial[i] = (char)data[20 + (i ^ 1)];
	while (len && (serial[len - 1] == ' ' || !serial[len - 1]))
		len--;
	serial[len] = 0;
}

int ahci_identity(const uint8_t *data, struct ahci_identity *ret)
{
	uint64_t sectors = le64_load(data + 200) & UINT64_C(0xffffffffffff); /* words 100 .. 103 */
	uint16_t sizes = le16_load(data + 212); /* word 106: a sector is longer, words 117, 118 */
	uint32_t bytes = DISK_SECTOR_BYTES;

	if (!(le16_load(data + 166) & 0x400) || !sectors) /* word 83: 48 bits */
		return -ENODEV;
	if ((sizes & 0xd000) == 0x5000)
		bytes = le32_load(data + 234) * 2;
	if (bytes != 512 && bytes != 4096)
		return -ENODEV;
	*ret = (struct ahci_identity){ .sector_bytes = bytes, .size_bytes = sectors * bytes };
	serial_take(data, ret->serial);
	return 0;
}

/* ---- taking it back ---- */

static void state_set(struct ahci *a, enum ahci_state state, uint64_t ns)
{
	a->state = state;
	a->until_ns = clock_ns() + ns;
}

static bool is_too_late(const struct ahci *a)
{
	return clock_ns() > a->until_ns;
}

static bool is_busy(const struct ahci *a)
{
	return ahci_get(a->port, PORT_TFD) & (TFD_BSY | TFD_DRQ);
}

unsigned ahci_at(const struct ahci *a, unsigned other)
{
	unsigned at = ahci_get(a->port, PORT_CMD) >> CMD_CCS_SHIFT & 0x1f;

	return at < HOST_DISK_SLOTS && a->under_way >> at & 1 ? at : other;
}

static void list_stop(struct ahci *a)
{
	ahci_set(a->port, PORT_CMD, ahci_get(a->port, PORT_CMD) & ~(uint32_t)CMD_ST);
}

void ahci_fail(struct ahci *a, unsigned slot, bool is_lost)
{
	if (!(a->under_way >> slot & 1))
		host_disk_lost(&a->disk, slot, -EIO); /* nobody's: it is kept for IDENTIFY */
	a->victim = slot;
	a->is_lost = is_lost;
	a->disk.is_resetting = true;
	list_stop(a);
	state_set(a, AHCI_STOPS, STOP_NS);
}

/* It runs: what was at fault, or is nobody's any more, is over, the others begin again. */
static void recovered(struct ahci *a)
{
	a->state = AHCI_RUNS;
	a->under_way = host_disk_recovered(&a->disk, a->under_way & ~(UINT32_C(1) << a->victim));
	if (a->under_way)
		ahci_issue(a, a->under_way);
}

/* A controller that has not let its list go may still write where it says. */
static void dead(struct ahci *a, const char *why)
{
	if (!a->is_dead)
		print("disk %s: its port was reset, and %s: its requests fail\n", a->disk.name,
		      why);
	a->is_dead = true;
	host_disk_lost_all(&a->disk, a->under_way | UINT32_C(1) << a->victim);
	a->under_way = 0;
	list_stop(a);
	state_set(a, AHCI_DEAD, HOST_DISK_ANSWER_NS);
}

static uint32_t sctl_det(const struct ahci *a, uint32_t det)
{
	return (ahci_get(a->port, PORT_SCTL) & ~(uint32_t)SCTL_DET) | det;
}

/* AHCI 1.3.1, Error Recovery, Non-Queued: one that failed needs a reset only if the device is busy all the same. */
static void step_stops(struct ahci *a)
{
	bool is_stopped = !(ahci_get(a->port, PORT_CMD) & CMD_CR);

	if (!is_stopped && !is_too_late(a))
		return;
	if (is_stopped && !a->is_lost && !is_busy(a)) {
		ahci_port_run(a->port);
		recovered(a);
		return;
	}
	ahci_set(a->port, PORT_SCTL, sctl_det(a, SCTL_DET_RESET));
	state_set(a, AHCI_RESET, RESET_NS);
}

static void step_reset(struct ahci *a)
{
	if (!is_too_late(a))
		return;
	ahci_set(a->port, PORT_SCTL, sctl_det(a, 0));
	state_set(a, AHCI_COMES, COME_NS);
}

/* Its first FIS is taken only with nothing in SERR.DIAG.X. IDENTIFY goes by the slot, and into the buffer, of who was given up. */
static void step_comes(struct ahci *a)
{
	bool is_linked = (ahci_get(a->port, PORT_SSTS) & SSTS_DET) == SSTS_DET_THERE;

	if (is_linked)
		ahci_set(a->port, PORT_SERR, UINT32_MAX);
	if (!is_linked || is_busy(a) || ahci_get(a->port, PORT_CMD) & CMD_CR) {
		if (is_too_late(a))
			dead(a, is_linked ? "it stays busy" : "it is not there any more");
		return;
	}
	if (ahci_get(a->port, PORT_SIG) != AHCI_SIGNATURE_DISK) {
		dead(a, "something else is there");
		return;
	}
	ahci_port_run(a->port);
	ahci_put(a, a->victim,
		 &(struct ahci_command){ .command = ATA_IDENTIFY,
					 .buffer = ptr_to_phys(a->disk.slots[a->victim].buffer),
					 .len = DISK_SECTOR_BYTES });
	ahci_issue(a, UINT32_C(1) << a->victim);
	state_set(a, AHCI_ASKED, AHCI_COMMAND_NS);
}

/* Whose buffers hold what is to be written may be another one by now. */
static bool is_same(const struct ahci *a)
{
	struct ahci_identity now;

	return ahci_identity(a->disk.slots[a->victim].buffer, &now) == 0 &&
	       now.size_bytes == a->identity.size_bytes &&
	       now.sector_bytes == a->identity.sector_bytes &&
	       strcmp(now.serial, a->identity.serial) == 0;
}

static void step_asked(struct ahci *a)
{
	bool is_over = !(ahci_get(a->port, PORT_CI) >> a->victim & 1);

	if (ahci_get(a->port, PORT_IS) & IS_ERRORS || ahci_get(a->port, PORT_TFD) & TFD_ERR ||
	    (!is_over && is_too_late(a))) {
		dead(a, "it does not say what it is");
		return;
	}
	if (!is_over)
		return;
	if (!is_same(a)) {
		dead(a, "another disk is there");
		return;
	}
	print("disk %s: its port was reset, and it answers again\n", a->disk.name);
	a->is_dead = false;
	recovered(a);
}

void ahci_recover(struct ahci *a)
{
	switch (a->state) {
	case AHCI_STOPS:
		step_stops(a);
		break;
	case AHCI_RESET:
		step_reset(a);
		break;
	case AHCI_COMES:
		step_comes(a);
		break;
	case AHCI_ASKED:
		step_asked(a);
		break;
	case AHCI_DEAD:
		if (is_too_late(a))
			ahci_fail(a, a->victim, true);
		break;
	case AHCI_RUNS:
		break;
	}
}
