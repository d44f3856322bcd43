/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/script.h"

#include <stdlib.h>
#include <string.h>

#define STEPS 400U

enum step {
	STEP_COMMON_WRITE,
	STEP_COMMON_READ,
	STEP_CONFIG_WRITE,
	STEP_CONFIG_READ,
	STEP_PCI_WRITE,
	STEP_PCI_READ,
	STEP_KICK,
	STEP_RUN,
	STEP_START,
	STEP_RESET,
	STEP_CHAIN,
	STEP_DESC,
	STEP_AVAIL,
	STEP_MEMORY,
	STEP_ISR,
	STEP_BACKEND,
	STEP_BACKEND_MANY, /* likelier */
	STEP_KICK_RUN,
	STEPS_KINDS,
};

uint64_t script_take(struct script *s, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n && s->size; i++, s->size--)
		v |= (uint64_t)*s->data++ << (8 * i);
	return v;
}

static unsigned script_width(struct script *s)
{
	return 1U << (script_take(s, 1) & 3);
}

/* Mostly where data may be; else the rings, read-only memory, the edges, or nowhere. */
static gpa_t script_gpa(struct script *s)
{
	uint8_t kind = (uint8_t)script_take(s, 1);
	uint16_t offset = (uint16_t)script_take(s, 2);

	if (kind < 0xe0)
		return RIG_DATA_GPA + offset;
	if (kind < 0xe8)
		return RIG_QUEUE_GPA + offset;
	if (kind < 0xf0)
		return RIG_RAM_GPA + RIG_RAM - offset;
	if (kind < 0xf4)
		return RIG_ROM_GPA + offset % RIG_ROM;
	if (kind < 0xf8)
		return UINT64_MAX - offset;
	return script_take(s, 8);
}

static uint32_t script_len(struct script *s)
{
	uint8_t kind = (uint8_t)script_take(s, 1);

	if (kind < 0xc0)
		return kind;
	if (kind < 0xe0)
		return 512U * (kind & 0x1f);
	return (uint32_t)script_take(s, kind < 0xf8 ? 2 : 4);
}

static uint16_t script_queue(struct script *s)
{
	return (uint16_t)(script_take(s, 1) % s->n_queues);
}

static void script_fill(struct script *s, const struct rig_buf *buf)
{
	uint8_t *at = mem_hva_rw(&s->rig->mem, buf->gpa, buf->len);
	uint64_t n = script_take(s, 1) & 0x3f;

	for (uint64_t i = 0; at && i < n && i < buf->len; i++)
		at[i] = (uint8_t)script_take(s, 1);
}

static void script_chain(struct script *s)
{
	const uint16_t queue = script_queue(s);
	const uint8_t shape = (uint8_t)script_take(s, 1);
	struct rig_buf bufs[8];
	const unsigned n = 1 + (shape & 7U);

	for (unsigned i = 0; i < n; i++) {
		bufs[i] = (struct rig_buf){ script_gpa(s), script_len(s), i >= (shape >> 4 & 7U) };
		if (!bufs[i].is_in)
			script_fill(s, &bufs[i]);
	}
	/* The table of an indirect chain comes from the rig's heap, which a long script would use up. */
	bool indirect = shape & 8 && s->rig->next_data < RIG_RAM_GPA + RIG_RAM - 0x10000;
	if (s->rig->queues[queue].size)
		(void)rig_add(s->rig, queue, bufs, n, indirect);
}

static void script_desc(struct script *s)
{
	const uint16_t queue = script_queue(s);
	const uint16_t i = (uint16_t)(script_take(s, 1) % 256);
	const gpa_t gpa = script_gpa(s);
	const uint32_t len = script_len(s);
	const uint16_t flags = (uint16_t)(script_take(s, 1) & 7);

	if (s->rig->queues[queue].size)
		rig_desc(s->rig, queue, i, gpa, len, flags, (uint16_t)script_take(s, 1));
}

static void script_start(struct script *s)
{
	const uint64_t wanted = script_take(s, 4) | script_take(s, 1) << 32;
	const uint16_t size = (uint16_t)(1U << (script_take(s, 1) % 9));
	const bool msix = script_take(s, 1) & 1;

	if (!rig_reset(s->rig) ||
	    !rig_features(s->rig, (rig_offered(s->rig) & wanted) | F_VERSION_1))
		return;
	for (uint16_t i = 0; i < s->n_queues; i++)
		rig_queue_setup(s->rig, i, size);
	if (msix)
		rig_msix_on(s->rig);
	rig_driver_ok(s->rig);
}

static void script_memory(struct script *s)
{
	const gpa_t gpa = script_gpa(s);
	const uint32_t n = (uint32_t)script_take(s, 1) & 0x1f;
	uint8_t *at = mem_hva_rw(&s->rig->mem, gpa, n ? n : 1);

	for (uint32_t i = 0; at && i < n; i++)
		at[i] = (uint8_t)script_take(s, 1);
}

static void script_registers(struct script *s, enum step step)
{
	const unsigned offset = (unsigned)script_take(s, 1), len = script_width(s);
	struct rig *rig = s->rig;

	switch (step) {
	case STEP_COMMON_WRITE:
		rig_common_set(rig, offset % 72, len, script_take(s, len));
		break;
	case STEP_COMMON_READ:
		(void)rig_common(rig, offset % 72, len);
		break;
	case STEP_CONFIG_WRITE:
		bus_write(&rig->mmio, rig->common + VIRTIO_PCI_DEVICE + offset, len,
			  script_take(s, len));
		break;
	case STEP_CONFIG_READ:
		(void)bus_read(&rig->mmio, rig->common + VIRTIO_PCI_DEVICE + offset, len);
		break;
	case STEP_PCI_WRITE:
		/* The BARs stay where the rig found them, and decoded. */
		if (offset >= 0x40)
			rig_config_out(rig, offset, len > 4 ? 4 : len, (uint32_t)script_take(s, 4));
		break;
	default:
		(void)rig_config_in(rig, offset, len > 4 ? 4 : len);
		break;
	}
}

static void script_turn(struct script *s)
{
	rig_run(s->rig);
	if (s->rig->kicks && !s->waits)
		abort();
}

static void script_step(struct script *s, enum step step)
{
	switch (step) {
	case STEP_KICK:
	case STEP_KICK_RUN:
		rig_kick(s->rig, (uint16_t)(script_take(s, 1) % (s->n_queues + 2U)));
		if (step == STEP_KICK_RUN)
			script_turn(s);
		break;
	case STEP_RUN:
		script_turn(s);
		break;
	case STEP_START:
		script_start(s);
		break;
	case STEP_RESET:
		(void)rig_reset(s->rig);
		break;
	case STEP_CHAIN:
		script_chain(s);
		break;
	case STEP_DESC:
		script_desc(s);
		break;
	case STEP_AVAIL:
		if (s->rig->queues[0].size)
			rig_avail(s->rig, 0, (uint16_t)script_take(s, 2));
		break;
	case STEP_MEMORY:
		script_memory(s);
		break;
	case STEP_ISR:
		(void)bus_read(&s->rig->mmio, s->rig->isr, 1);
		break;
	case STEP_BACKEND:
	case STEP_BACKEND_MANY:
		s->backend(s, (uint8_t)script_take(s, 1));
		break;
	default:
		script_registers(s, step);
		break;
	}
}

void script_run(struct script *s)
{
	script_start(s);
	for (unsigned i = 0; i < STEPS && s->size; i++)
		script_step(s, (enum step)(script_take(s, 1) % STEPS_KINDS));
	script_turn(s);
}

void script_end(struct script *s)
{
	if (!rig_reset(s->rig) || s->rig->dev == NULL ||
	    !rig_start(s->rig, F_VERSION_1, s->n_queues, 8))
		abort();
	if (!rig_reset(s->rig))
		abort();
}
