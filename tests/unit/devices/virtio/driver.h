/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A machine of memory and a PCI bus with one virtio device, and a small driver for it that goes through configuration space
 * and BARs as a guest does. Used by the unit tests and by the fuzz targets, so it asserts nothing: a driver function
 * returns whether the device did what it should.
 *
 * A kick is only written down; rig_run() is the I/O thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/virtio.h"
#include "devices/virtio/virtio_pci.h"
#include "machine/bus.h"
#include "machine/mem.h"

#define RIG_RAM	      (UINT64_C(4) << 20)
#define RIG_RAM_GPA   UINT64_C(0x100000)
#define RIG_ROM_GPA   UINT64_C(0x40000)
#define RIG_ROM	      UINT64_C(0x2000)
#define RIG_QUEUE_GPA (RIG_RAM_GPA + 0x10000) /* rings, 16 KiB a queue; buffers behind them */
#define RIG_DATA_GPA  (RIG_RAM_GPA + 0x100000)
#define RIG_MSI_ADDR  UINT32_C(0xfee00000)

struct rig_queue {
	uint16_t index, size;
	gpa_t desc, avail, used;
	uint16_t
		free_next; /* descriptor to use next; a test never has more than size of them in use */
	uint16_t avail_idx, used_seen;
};

struct rig {
	struct bus mmio, pio;
	struct pci_bus pci;
	struct irq_sink irq;
	struct guest_mem mem;
	uint8_t *ram, *rom;
	struct virtio_host host;
	struct virtio_place place;
	struct virtio_pci transport;
	struct virtio_dev *dev;
	uint64_t kicks; /* atomic, one bit a queue; bit 63: VIRTIO_CONTROL */
	uint32_t n_kicks, n_moves, n_msis;
	uint32_t msis[64];		   /* by data: how often */
	uint64_t wrote_bytes;		   /* what mem_wrote() was told */
	unsigned line_level;		   /* of any INTx */
	gpa_t common, isr, config, notify; /* as found through the capabilities */
	uint32_t notify_step;
	uint8_t access_cap;
	gpa_t next_data; /* for rig_alloc() */
	struct rig_queue queues[34];
};

/* A buffer of a chain: device-writable or not. */
struct rig_buf {
	gpa_t gpa;
	uint32_t len;
	bool is_in;
};

bool rig_init(
	struct
	rig *rig); /* memory and bus: then the device's init with rig->place, then rig_attach() */
bool rig_attach(struct rig *rig, struct virtio_dev *dev);
void rig_fini(struct rig *rig);
/* rig_run() - the I/O thread: serve kicks until there are none (at most 1000 rounds). */
void rig_run(struct rig *rig);

uint8_t *rig_at(struct rig *rig, gpa_t gpa);	  /* inside RAM */
gpa_t rig_alloc(struct rig *rig, uint32_t bytes); /* 16-aligned, never freed */

uint32_t rig_config_in(struct rig *rig, unsigned offset, unsigned len);
void rig_config_out(struct rig *rig, unsigned offset, unsigned len, uint32_t value);
uint64_t rig_common(struct rig *rig, unsigned offset, unsigned len);
void rig_common_set(struct rig *rig, unsigned offset, unsigned len, uint64_t value);
uint8_t rig_status(struct rig *rig);
uint64_t rig_dev_config(struct rig *rig, unsigned offset, unsigned len);

/* The steps of 3.1.1 Driver Initialization; rig_start() does all of them with MSI-X off. */
bool rig_features(struct rig *rig, uint64_t features); /* whether FEATURES_OK held */
uint64_t rig_offered(struct rig *rig);
void rig_queue_setup(struct rig *rig, uint16_t index, uint16_t size);
void rig_driver_ok(struct rig *rig);
bool rig_start(struct rig *rig, uint64_t features, uint16_t n_queues, uint16_t size);
bool rig_reset(struct rig *rig);   /* whether the status became 0 */
void rig_msix_on(struct rig *rig); /* vector n for queue n, the last one for the configuration */

/* rig_add() - a chain into the available ring, direct or as an indirect table; its head. The device sees it at once. */
uint16_t rig_add(struct rig *rig, uint16_t queue, const struct rig_buf *bufs, unsigned n,
		 bool indirect);
void rig_desc(struct rig *rig, uint16_t queue, uint16_t i, uint64_t addr, uint32_t len,
	      uint16_t flags, uint16_t next);
void rig_avail(struct rig *rig, uint16_t queue, uint16_t head);
void rig_kick(struct rig *rig, uint16_t queue);
/* rig_used() - the next used entry, if there is one. */
bool rig_used(struct rig *rig, uint16_t queue, uint32_t *ret_head, uint32_t *ret_len);
uint16_t rig_used_flags(struct rig *rig, uint16_t queue);
uint16_t rig_avail_event(struct rig *rig, uint16_t queue);
void rig_used_event_set(struct rig *rig, uint16_t queue, uint16_t event);

/* Common configuration, 4.1.4.3 */
#define CC_DEVICE_FEATURE_SELECT 0
#define CC_DEVICE_FEATURE	 4
#define CC_DRIVER_FEATURE_SELECT 8
#define CC_DRIVER_FEATURE	 12
#define CC_CONFIG_VECTOR	 16
#define CC_NUM_QUEUES		 18
#define CC_STATUS		 20
#define CC_GENERATION		 21
#define CC_QUEUE_SELECT		 22
#define CC_QUEUE_SIZE		 24
#define CC_QUEUE_VECTOR		 26
#define CC_QUEUE_ENABLE		 28
#define CC_QUEUE_NOTIFY_OFF	 30
#define CC_QUEUE_DESC		 32
#define CC_QUEUE_DRIVER		 40
#define CC_QUEUE_DEVICE		 48

#define ST_DRIVER_OK   4
#define ST_FEATURES_OK 8
#define ST_NEEDS_RESET 64

#define FEATURE(n)  (UINT64_C(1) << (n))
#define F_INDIRECT  FEATURE(28)
#define F_EVENT_IDX FEATURE(29)
#define F_VERSION_1 FEATURE(32)

#define VD_NEXT	    1
#define VD_WRITE    2
#define VD_INDIRECT 4
