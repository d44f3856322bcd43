/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's memory as a debugger sees it: by the page tables of the chosen vcpu, without our int3s. */
#include <errno.h>
#include <string.h>

#include "engines/vmm/gdb_parts.h"

#define GDB_INT3      0xccU
#define GDB_BYTES_MAX (GDB_PACKET_BYTES / 2)

bool gdb_owns(const struct gdb *gdb, gpa_t gpa)
{
	for (unsigned i = 0; i < GDB_BREAKPOINTS; i++) {
		if (gdb->breakpoints[i].used && gdb->breakpoints[i].gpa == gpa)
			return true;
	}
	return false;
}

/* ---- bytes, inside one page ---- */

static int memory_get(struct gdb *gdb, gpa_t gpa, uint8_t *ret, size_t len)
{
	int r = gdb->target->ops->read(gdb->target, gpa, ret, len);

	for (unsigned i = 0; r == 0 && i < GDB_BREAKPOINTS; i++) {
		const struct gdb_breakpoint *b = &gdb->breakpoints[i];
		if (b->used && b->gpa >= gpa && b->gpa - gpa < len)
			ret[b->gpa - gpa] = b->original;
	}
	return r;
}

/* What is written over an int3 goes under it. */
static int memory_put(struct gdb *gdb, gpa_t gpa, const uint8_t *data, size_t len)
{
	const uint8_t int3 = GDB_INT3;
	int r = gdb->target->ops->write(gdb->target, gpa, data, len);

	for (unsigned i = 0; r == 0 && i < GDB_BREAKPOINTS; i++) {
		struct gdb_breakpoint *b = &gdb->breakpoints[i];
		if (!b->used || b->gpa < gpa || b->gpa - gpa >= len)
			continue;
		b->original = data[b->gpa - gpa];
		r = gdb->target->ops->write(gdb->target, b->gpa, &int3, 1);
	}
	return r;
}

/* ---- bytes, page by page ---- */

static size_t memory_part(gva_t gva, size_t len)
{
	size_t left = GUEST_PAGE_BYTES - (size_t)(gva % GUEST_PAGE_BYTES);

	return len < left ? len : left;
}

/* How many bytes could be read, or -errno where it is none. */
static int64_t memory_get_all(struct gdb *gdb, gva_t gva, uint8_t *ret, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t n = memory_part(gva + done, len - done);
		gpa_t gpa;
		int r = gdb->target->ops->translate(gdb->target, gdb->general, gva + done, &gpa);
		if (r == 0)
			r = memory_get(gdb, gpa, ret + done, n);
		if (r < 0)
			return done ? (int64_t)done : r;
		done += n;
	}
	return (int64_t)done;
}

static int memory_put_all(struct gdb *gdb, gva_t gva, const uint8_t *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		size_t n = memory_part(gva + done, len - done);
		gpa_t gpa;
		int r = gdb->target->ops->translate(gdb->target, gdb->general, gva + done, &gpa);
		if (r == 0)
			r = memory_put(gdb, gpa, data + done, n);
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

/* ---- m, M, X: "addr,length" and, for the last two, ":data" ---- */

static bool memory_range(struct gdb_cursor *in, gva_t *ret_gva, uint64_t *ret_len)
{
	return gdb_number(in, ret_gva) && gdb_skip(in, ",") && gdb_number(in, ret_len) &&
	       *ret_len <= GDB_BYTES_MAX;
}

void gdb_memory_read(struct gdb *gdb, struct gdb_cursor *in)
{
	uint8_t bytes[GDB_BYTES_MAX];
	gva_t gva;
	uint64_t len;

	if (!memory_range(in, &gva, &len) || !gdb_at_end(in)) {
		gdb_error(gdb, -EINVAL);
		return;
	}
	int64_t n = memory_get_all(gdb, gva, bytes, len);
	if (n < 0)
		gdb_error(gdb, (int)n);
	else
		gdb_text_hex(&gdb->reply, bytes, (size_t)n);
}

void gdb_memory_write(struct gdb *gdb, struct gdb_cursor *in)
{
	uint8_t bytes[GDB_BYTES_MAX];
	gva_t gva;
	uint64_t len;

	if (!memory_range(in, &gva, &len) || !gdb_skip(in, ":") || !gdb_bytes(in, bytes, len) ||
	    !gdb_at_end(in))
		gdb_error(gdb, -EINVAL);
	else
		gdb_result(gdb, memory_put_all(gdb, gva, bytes, len));
}

void gdb_memory_write_binary(struct gdb *gdb, struct gdb_cursor *in)
{
	gva_t gva;
	uint64_t len;

	if (!gdb_number(in, &gva) || !gdb_skip(in, ",") || !gdb_number(in, &len) ||
	    !gdb_skip(in, ":") || (size_t)(in->end - in->at) != len)
		gdb_error(gdb, -EINVAL);
	else
		gdb_result(gdb, memory_put_all(gdb, gva, in->at, len));
}

/* ---- breakpoints: "type,addr,kind" ---- */

static int break_apply(struct gdb *gdb)
{
	bool software = false;

	for (unsigned i = 0; i < GDB_BREAKPOINTS; i++)
		software |= gdb->breakpoints[i].used;
	return gdb->target->ops->breakpoints(gdb->target, software, gdb->points);
}

static int break_insert(struct gdb *gdb, gva_t gva)
{
	const uint8_t int3 = GDB_INT3;
	struct gdb_breakpoint *b = NULL;
	gpa_t gpa;
	int r = gdb->target->ops->translate(gdb->target, gdb->general, gva, &gpa);

	if (r < 0)
		return r;
	if (gdb_owns(gdb, gpa))
		return 0;
	for (unsigned i = 0; !b && i < GDB_BREAKPOINTS; i++) {
		if (!gdb->breakpoints[i].used)
			b = &gdb->breakpoints[i];
	}
	if (!b)
		return -ENOSPC;
	*b = (struct gdb_breakpoint){ .gva = gva, .gpa = gpa };
	r = gdb->target->ops->read(gdb->target, gpa, &b->original, 1);
	if (r == 0)
		r = gdb->target->ops->write(gdb->target, gpa, &int3, 1);
	if (r == 0) {
		b->used = true;
		r = break_apply(gdb);
	}
	return r;
}

/* Code that the guest has put something else into since is left alone. */
static void break_remove(struct gdb *gdb, struct gdb_breakpoint *b)
{
	uint8_t now;

	b->used = false;
	if (gdb->target->ops->read(gdb->target, b->gpa, &now, 1) == 0 && now == GDB_INT3)
		(void)gdb->target->ops->write(gdb->target, b->gpa, &b->original, 1); /* as read */
}

static int break_remove_at(struct gdb *gdb, gva_t gva)
{
	for (unsigned i = 0; i < GDB_BREAKPOINTS; i++) {
		if (gdb->breakpoints[i].used && gdb->breakpoints[i].gva == gva)
			break_remove(gdb, &gdb->breakpoints[i]);
	}
	return break_apply(gdb);
}

/* A range of data as the debug registers take it: aligned pieces of a power of two, 8 bytes at most. */
static uint8_t break_piece(gva_t gva, uint64_t left)
{
	uint8_t len = 8;

	while (gva % len || len > left)
		len /= 2;
	return len;
}

static bool break_has_point(const struct debug_point *points, unsigned n, struct debug_point point)
{
	for (unsigned i = 0; i < n; i++) {
		if (points[i].gva == point.gva && points[i].len == point.len &&
		    points[i].access == point.access)
			return true;
	}
	return false;
}

/* All that was asked for, as points. 0, or -ENOSPC. */
static int break_points(const struct gdb *gdb, struct debug_point ret[DEBUG_POINTS])
{
	unsigned n = 0;

	memset(ret, 0, DEBUG_POINTS * sizeof(*ret));
	for (unsigned i = 0; i < DEBUG_POINTS; i++) {
		const struct gdb_hardware *h = &gdb->hardware[i];
		for (uint64_t done = 0; done < h->len;) {
			struct debug_point point = { .gva = h->gva + done, .access = h->access };
			point.len = break_piece(point.gva, h->len - done);
			done += point.len;
			if (break_has_point(ret, n, point))
				continue;
			if (n == DEBUG_POINTS)
				return -ENOSPC;
			ret[n++] = point;
		}
	}
	return 0;
}

static int break_hardware_apply(struct gdb *gdb)
{
	struct debug_point points[DEBUG_POINTS];
	int r = break_points(gdb, points);

	if (r < 0)
		return r;
	memcpy(gdb->points, points, sizeof(points));
	return break_apply(gdb);
}

static struct gdb_hardware *break_hardware_find(struct gdb *gdb, const struct gdb_hardware *like)
{
	for (unsigned i = 0; i < DEBUG_POINTS; i++) {
		struct gdb_hardware *h = &gdb->hardware[i];
		if (h->len == like->len &&
		    (!like->len || (h->gva == like->gva && h->access == like->access)))
			return h;
	}
	return NULL;
}

static int break_hardware_set(struct gdb *gdb, const struct gdb_hardware *wanted)
{
	const struct gdb_hardware none = { 0 };

	if (!wanted->len || wanted->gva + wanted->len < wanted->gva)
		return -EINVAL;
	if (break_hardware_find(gdb, wanted))
		return 0;
	struct gdb_hardware *h = break_hardware_find(gdb, &none);
	if (!h)
		return -ENOSPC;
	*h = *wanted;
	int r = break_hardware_apply(gdb);
	if (r == 0)
		return 0;
	*h = none;
	(void)break_hardware_apply(gdb); /* as it was before */
	return r;
}

static int break_hardware_clear(struct gdb *gdb, const struct gdb_hardware *wanted)
{
	struct gdb_hardware *h = wanted->len ? break_hardware_find(gdb, wanted) : NULL;

	if (h)
		*h = (struct gdb_hardware){ 0 };
	return break_hardware_apply(gdb);
}

/* E.3 Packets: Z0 to Z4. The CPU cannot watch reads alone: told so, a debugger takes Z4 for Z3, and looks what changed. */
static bool break_access(struct gdb_cursor *in, enum debug_access *ret)
{
	if (gdb_skip(in, "1"))
		*ret = DEBUG_EXECUTE;
	else if (gdb_skip(in, "2"))
		*ret = DEBUG_WRITE;
	else if (gdb_skip(in, "4"))
		*ret = DEBUG_READ_WRITE;
	else
		return false;
	return true;
}

static void break_change(struct gdb *gdb, struct gdb_cursor *in, bool set)
{
	struct gdb_hardware h = { .access = DEBUG_EXECUTE };
	bool software = gdb_skip(in, "0");

	if (!software && !break_access(in, &h.access))
		return; /* an empty answer says that there is no such thing */
	if (!gdb_skip(in, ",") || !gdb_number(in, &h.gva) || !gdb_skip(in, ",") ||
	    !gdb_number(in, &h.len)) {
		gdb_error(gdb, -EINVAL);
		return;
	}
	if (h.access == DEBUG_EXECUTE)
		h.len = 1; /* the kind of a breakpoint: there is one */
	if (software)
		gdb_result(gdb, set ? break_insert(gdb, h.gva) : break_remove_at(gdb, h.gva));
	else
		gdb_result(gdb, set ? break_hardware_set(gdb, &h) : break_hardware_clear(gdb, &h));
}

void gdb_break_set(struct gdb *gdb, struct gdb_cursor *in)
{
	break_change(gdb, in, true);
}

void gdb_break_clear(struct gdb *gdb, struct gdb_cursor *in)
{
	break_change(gdb, in, false);
}

void gdb_break_clear_all(struct gdb *gdb)
{
	for (unsigned i = 0; i < GDB_BREAKPOINTS; i++) {
		if (gdb->breakpoints[i].used)
			break_remove(gdb, &gdb->breakpoints[i]);
	}
	memset(gdb->hardware, 0, sizeof(gdb->hardware));
	memset(gdb->points, 0, sizeof(gdb->points));
	(void)break_apply(gdb); /* nobody is left to tell */
}
