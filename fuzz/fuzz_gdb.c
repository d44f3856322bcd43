/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A debugger that says anything. The first byte chooses how: 0: as it is; else what is between NULs becomes a packet with a
 * right checksum, and 0x03 stays what it is. Memory outside the machine's is not touched, and at the end no int3 is left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "engines/vmm/gdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VCPUS	  3U
#define RAM_BYTES 0x2000U

struct scene {
	struct gdb_target target;
	struct gdb gdb;
	struct x86_state states[VCPUS];
	uint8_t *ram; /* on the heap: ASan guards it */
	bool held, killed;
	unsigned steps;
};

static struct scene *scene_of(struct gdb_target *target)
{
	return container_of(target, struct scene, target);
}

static void scene_stop(struct gdb_target *target)
{
	scene_of(target)->held = true;
}

static void scene_resume(struct gdb_target *target, const uint8_t *run)
{
	if (scene_of(target)->killed)
		abort();
	for (unsigned i = 0; i < VCPUS; i++) {
		if (run[i] > GDB_RUN_STEP)
			abort();
	}
	scene_of(target)->held = false;
}

static int scene_state_get(struct gdb_target *target, unsigned vcpu, struct x86_state *ret)
{
	if (vcpu >= VCPUS || !scene_of(target)->held)
		abort();
	*ret = scene_of(target)->states[vcpu];
	return 0;
}

static int scene_state_set(struct gdb_target *target, unsigned vcpu, const struct x86_state *state)
{
	if (vcpu >= VCPUS || !scene_of(target)->held)
		abort();
	scene_of(target)->states[vcpu] = *state;
	return 0;
}

/* Two pages, the second of which is in ROM's place: it cannot be written. */
static int scene_translate(struct gdb_target *target, unsigned vcpu, gva_t gva, gpa_t *ret)
{
	if (vcpu >= VCPUS || !scene_of(target)->held)
		abort();
	*ret = gva & 0xffff;
	return gva >> 16 ? -EFAULT : 0;
}

static int scene_read(struct gdb_target *target, gpa_t gpa, void *ret, size_t len)
{
	if (gpa > RAM_BYTES || len > RAM_BYTES - gpa)
		return -EFAULT;
	memcpy(ret, scene_of(target)->ram + gpa, len);
	return 0;
}

static int scene_write(struct gdb_target *target, gpa_t gpa, const void *data, size_t len)
{
	if (gpa > RAM_BYTES / 2 || len > RAM_BYTES / 2 - gpa)
		return -EFAULT;
	memcpy(scene_of(target)->ram + gpa, data, len);
	return 0;
}

static int scene_breakpoints(struct gdb_target *target, bool software,
			     const struct debug_point points[DEBUG_POINTS])
{
	(void)target;
	(void)software;
	for (unsigned i = 0; i < DEBUG_POINTS; i++) {
		if (points[i].len && (points[i].len > 8 || points[i].gva % points[i].len))
			abort();
	}
	return 0;
}

static void scene_kill(struct gdb_target *target)
{
	scene_of(target)->killed = true;
}

static const struct gdb_target_ops ops = {
	.stop = scene_stop,
	.resume = scene_resume,
	.state_get = scene_state_get,
	.state_set = scene_state_set,
	.translate = scene_translate,
	.read = scene_read,
	.write = scene_write,
	.breakpoints = scene_breakpoints,
	.kill = scene_kill,
};

/* Whole frames whose checksum is right: what the other side's reader would take. */
static void scene_send(struct gdb *gdb, const void *data, size_t len, void *arg)
{
	struct gdb_reader *reader = arg;

	(void)gdb;
	for (size_t i = 0; i < len; i++) {
		enum gdb_input input = gdb_reader_byte(reader, ((const uint8_t *)data)[i]);
		if (input == GDB_INPUT_DAMAGED || input == GDB_INPUT_INTERRUPT ||
		    (input == GDB_INPUT_PACKET && i + 1 != len))
			abort();
	}
}

static bool feed_packet(struct gdb *gdb, const uint8_t *data, size_t len)
{
	static struct gdb_text text;
	static char frame[GDB_FRAME_BYTES];

	if (len == 1 && data[0] == 0x03)
		return gdb_feed(gdb, data, 1);
	text.len = 0;
	gdb_text_add_n(&text, (const char *)data, len);
	return gdb_feed(gdb, frame, gdb_frame(&text, frame));
}

static void feed(struct scene *s, const uint8_t *data, size_t size)
{
	while (size && !s->gdb.over) {
		const uint8_t *end = memchr(data, 0, size);
		size_t len = end ? (size_t)(end - data) : size;
		(void)feed_packet(&s->gdb, data, len);
		if (!s->held && s->steps++ % 2) {
			s->held = true;
			gdb_stopped(&s->gdb, (enum gdb_stop)(s->steps % 5), s->steps % (VCPUS + 1),
				    s->steps % (DEBUG_POINTS + 1));
		}
		data += end ? len + 1 : len;
		size -= end ? len + 1 : len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene s;
	static struct gdb_reader reader;

	if (!size)
		return 0;
	memset(&s, 0, sizeof(s));
	memset(&reader, 0, sizeof(reader));
	s.target = (struct gdb_target){ &ops, VCPUS };
	s.ram = calloc(1, RAM_BYTES);
	if (!s.ram)
		return 0;
	gdb_init(&s.gdb, &s.target, scene_send, &reader);
	if (data[0])
		feed(&s, data + 1, size - 1);
	else
		(void)gdb_feed(&s.gdb, data + 1, size - 1);
	gdb_fini(&s.gdb);
	if (!s.killed && s.held)
		abort();
	for (unsigned i = 0; !s.killed && i < GDB_BREAKPOINTS; i++) {
		if (s.gdb.breakpoints[i].used)
			abort();
	}
	for (unsigned i = 0; !s.killed && i < DEBUG_POINTS; i++) {
		if (s.gdb.points[i].len)
			abort();
	}
	free(s.ram);
	return 0;
}
