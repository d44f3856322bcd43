/* SPDX-License-Identifier: Apache-2.0 */
/* What a debugger asks about us, and what it sets: GDB manual, E.4 General Query Packets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "engines/vmm/gdb_parts.h"
#include "engines/vmm/gdb_regs.h"

#define GDB_THREADS_A_REPLY 64U

static bool query_word(const struct gdb_cursor *in, const char *word)
{
	struct gdb_cursor look = *in;

	while (look.at < look.end) {
		if (gdb_skip(&look, word) && (gdb_at_end(&look) || *look.at == ';'))
			return true;
		while (look.at < look.end && *look.at++ != ';')
			;
	}
	return false;
}

static void query_supported(struct gdb *gdb, struct gdb_cursor *in)
{
	(void)gdb_skip(in, ":");
	gdb->swbreak = query_word(in, "swbreak+");
	gdb->hwbreak = query_word(in, "hwbreak+");
	gdb_text_add(&gdb->reply, "PacketSize=");
	gdb_text_number(&gdb->reply, GDB_PACKET_BYTES);
	gdb_text_add(&gdb->reply, ";qXfer:features:read+;QStartNoAckMode+;vContSupported+;"
				  "swbreak+;hwbreak+");
}

/* "target.xml:offset,length" */
static void query_features(struct gdb *gdb, struct gdb_cursor *in)
{
	uint64_t offset, len, size = strlen(gdb_target_xml);

	if (!gdb_skip(in, "target.xml:") || !gdb_number(in, &offset) || !gdb_skip(in, ",") ||
	    !gdb_number(in, &len) || !gdb_at_end(in)) {
		gdb_text_add(&gdb->reply, "E00");
		return;
	}
	if (offset > size)
		offset = size;
	if (len > GDB_PACKET_BYTES / 2) /* escapes need room too */
		len = GDB_PACKET_BYTES / 2;
	bool last = len >= size - offset;
	if (last)
		len = size - offset;
	gdb_text_add(&gdb->reply, last ? "l" : "m");
	gdb_text_add_n(&gdb->reply, gdb_target_xml + offset, len);
}

static void query_threads(struct gdb *gdb, struct gdb_cursor *in)
{
	unsigned end = gdb->listed + GDB_THREADS_A_REPLY;

	(void)in;
	if (gdb->listed >= gdb->target->vcpus) {
		gdb_text_add(&gdb->reply, "l");
		return;
	}
	for (; gdb->listed < end && gdb->listed < gdb->target->vcpus; gdb->listed++) {
		gdb_text_add(&gdb->reply, gdb->reply.len ? "," : "m");
		gdb_text_number(&gdb->reply, gdb->listed + 1);
	}
}

static void query_threads_first(struct gdb *gdb, struct gdb_cursor *in)
{
	gdb->listed = 0;
	query_threads(gdb, in);
}

static void query_thread_extra(struct gdb *gdb, struct gdb_cursor *in)
{
	struct x86_state state;
	char text[64];
	unsigned vcpu;
	bool all;

	if (!gdb_thread(gdb, in, &vcpu, &all) || all) {
		gdb_error(gdb, -EINVAL);
		return;
	}
	int r = gdb->target->ops->state_get(gdb->target, vcpu, &state);
	const char *does = r < 0	     ? ""
			   : state.wait_sipi ? ", not started"
			   : state.halted    ? ", halted"
					     : "";
	(void)snprintf(text, sizeof(text), "vcpu %u%s", vcpu, does); /* fits */
	gdb_text_hex(&gdb->reply, text, strlen(text));
}

static void query_current(struct gdb *gdb, struct gdb_cursor *in)
{
	(void)in;
	gdb_text_add(&gdb->reply, "QC");
	gdb_text_number(&gdb->reply, gdb->general + 1);
}

/* The machine was there before the debugger: it detaches at the end, and kills only when told. */
static void query_attached(struct gdb *gdb, struct gdb_cursor *in)
{
	(void)in;
	gdb_text_add(&gdb->reply, "1");
}

static const struct {
	const char *name;
	void (*answer)(struct gdb *gdb, struct gdb_cursor *in);
} queries[] = {
	{ "Supported", query_supported },	    { "Xfer:features:read:", query_features },
	{ "fThreadInfo", query_threads_first },	    { "sThreadInfo", query_threads },
	{ "ThreadExtraInfo,", query_thread_extra }, { "Attached", query_attached },
};

void gdb_query(struct gdb *gdb, struct gdb_cursor *in)
{
	for (unsigned i = 0; i < ARRAY_SIZE(queries); i++) {
		if (gdb_skip(in, queries[i].name)) {
			queries[i].answer(gdb, in);
			return;
		}
	}
	if (gdb_skip(in, "C") && gdb_at_end(in)) /* not qCRC and its like */
		query_current(gdb, in);
}

void gdb_query_set(struct gdb *gdb, struct gdb_cursor *in)
{
	if (!gdb_skip(in, "StartNoAckMode"))
		return;
	gdb->no_ack_next = true;
	gdb_ok(gdb);
}
