/* SPDX-License-Identifier: Apache-2.0 */
/* What the channel can be asked, and the answers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/io.h"
#include "core/page.h"
#include "core/percpu.h"
#include "core/print.h"
#include "drivers/disks.h"
#include "vm/channel.h"

/* A request at hand. */
struct request {
	uint32_t id;
	const uint8_t *body;
	size_t len;
};

static void reply(struct channel *c, uint32_t id, const void *body, size_t len)
{
	const struct channel_reply head = { .id = id };

	channel_say(c, CHANNEL_REPLY, 0, &head, sizeof(head), body, len);
}

static void reply_error(struct channel *c, uint32_t id, const struct err *err)
{
	const struct channel_reply head = { .id = id, .status = (uint32_t)err->code };

	channel_say(c, CHANNEL_REPLY, 0, &head, sizeof(head), err->text, strlen(err->text));
}

/* Return: 0: the reply is c->body, r bytes of it; < 0: c->err; the keeper answers: LATER. */
#define LATER INT32_MAX

_Static_assert(CHANNEL_PRINTED_KEEPS == PRINT_RING_BYTES, "as the protocol says");

static size_t body_room(const struct channel *c)
{
	return sizeof(c->body) - sizeof(struct channel_reply);
}

/* ---- the server ---- */

static int verb_info(struct channel *c, const struct request *q)
{
	struct channel_info info = {
		.version = STRATA_VERSION,
		.cpus = cpu_count(),
		.guests = managed_count(),
		.disks = disks_count(),
		.files = hv_file_count(),
		.memory_bytes = page_total_bytes(),
		.memory_free_bytes = page_free_bytes(),
		.now_ns = clock_ns(),
		.tsc_hz = clock_tsc_hz(),
		.boot = c->boot,
		.bad_frames = c->reader.bad,
		.longest_wait_ns = c->longest_wait_ns,
	};
	char brand[CPU_BRAND_BYTES];
	struct hw_caps caps;

	(void)q;
	const struct hw_ops *ops = hv_back_end(&caps, NULL);
	(void)snprintf(info.virtualization, sizeof(info.virtualization), "%s",
		       ops ? ops->name : "none");
	(void)cpu_brand(brand);
	(void)snprintf(info.cpu, sizeof(info.cpu), "%.47s", brand);
	memcpy(c->body, &info, sizeof(info));
	return sizeof(info);
}

static int verb_printed(struct channel *c, const struct request *q)
{
	struct channel_printed printed = { le64_load(q->body) };
	size_t n = print_ring_read(&printed.at, (char *)c->body + sizeof(printed),
				   body_room(c) - sizeof(printed));

	memcpy(c->body, &printed, sizeof(printed));
	return (int)(sizeof(printed) + n);
}

static int verb_disks(struct channel *c, const struct request *q)
{
	struct channel_disk disk;
	uint32_t after = le32_load(q->body);
	size_t n = 0;

	while (n + sizeof(disk) <= body_room(c) && disks_next(after, &disk)) {
		memcpy(c->body + n, &disk, sizeof(disk));
		after = disk.number;
		n += sizeof(disk);
	}
	return (int)n;
}

static int verb_files(struct channel *c, const struct request *q)
{
	struct channel_file file;
	uint32_t after = le32_load(q->body);
	size_t n = 0;

	while (n + sizeof(file) <= body_room(c) && hv_file_next(after, &file)) {
		memcpy(c->body + n, &file, sizeof(file));
		after = file.number;
		n += sizeof(file);
	}
	return (int)n;
}

static int verb_list(struct channel *c, const struct request *q)
{
	struct channel_guest guest;
	uint32_t after = le32_load(q->body);
	size_t n = 0;

	while (n + sizeof(guest) <= body_room(c) && managed_next(after, &guest)) {
		memcpy(c->body + n, &guest, sizeof(guest));
		after = guest.id;
		n += sizeof(guest);
	}
	return (int)n;
}

static int verb_file_drop(struct channel *c, const struct request *q)
{
	char name[CHANNEL_FILE_BYTES] = "";

	if (!q->len || q->len >= sizeof(name))
		return err_say(&c->err, EINVAL, "no name of a file");
	memcpy(name, q->body, q->len);
	return hv_file_drop(name, &c->err);
}

/* ---- guests ---- */

static struct managed *guest_of(struct channel *c, const struct request *q)
{
	uint32_t id = le32_load(q->body);
	struct managed *m = managed_find(id);

	if (!m)
		(void)err_say(&c->err, ENOENT, "there is no guest %u", id);
	return m;
}

static int verb_stats(struct channel *c, const struct request *q)
{
	struct managed *m = guest_of(c, q);

	return m ? (int)managed_stats(m, c->body) : -ENOENT;
}

static int verb_create(struct channel *c, const struct request *q)
{
	struct managed *m = NULL;

	if (!c->config)
		return err_say(&c->err, ENOMEM, "no memory for a config");
	int r = config_parse((const char *)q->body, q->len, c->config, &c->err);
	if (r == 0 && c->config->n != 1)
		r = err_say(&c->err, EINVAL, "one guest at a time, not %u", c->config->n);
	if (r == 0 && c->config->guests[0].restarts)
		r = err_say(&c->err, EINVAL, "restart is for the server's own guests");
	if (r == 0)
		r = managed_new(&c->config->guests[0], false, &m, &c->err);
	if (r < 0)
		return r;
	managed_order(m, WORK_BUILD, q->id, c->session);
	c->jobs++;
	return LATER;
}

static int verb_destroy(struct channel *c, const struct request *q)
{
	struct managed *m = guest_of(c, q);

	if (!m)
		return -ENOENT;
	channel_streams_leave(c, m);
	managed_order(m, WORK_DESTROY, q->id, c->session);
	c->jobs++;
	return LATER;
}

static int verb_update(struct channel *c, const struct request *q)
{
	struct managed *m = guest_of(c, q);
	struct channel_update update;

	memcpy(&update, q->body, sizeof(update));
	return m ? managed_update(m, &update, &c->err) : -ENOENT;
}

#define GUEST_VERB(name, does)                                                                     \
	static int name(struct channel *c, const struct request *q)                                \
	{                                                                                          \
		struct managed *m = guest_of(c, q);                                                \
		return m ? does(m, &c->err) : -ENOENT;                                             \
	}

GUEST_VERB(verb_start, managed_start)
GUEST_VERB(verb_kill, managed_kill)
GUEST_VERB(verb_stop, managed_button)
GUEST_VERB(verb_pause, managed_pause)
GUEST_VERB(verb_resume, managed_resume)

#define ANY_LENGTH SIZE_MAX

static const struct {
	size_t len; /* of its body */
	int (*run)(struct channel *c, const struct request *q);
} verbs[] = {
	[CHANNEL_INFO] = { 0, verb_info },
	[CHANNEL_DISKS] = { sizeof(struct channel_after), verb_disks },
	[CHANNEL_FILES] = { sizeof(struct channel_after), verb_files },
	[CHANNEL_LIST] = { sizeof(struct channel_after), verb_list },
	[CHANNEL_STATS] = { sizeof(struct channel_ref), verb_stats },
	[CHANNEL_CREATE] = { ANY_LENGTH, verb_create },
	[CHANNEL_START] = { sizeof(struct channel_ref), verb_start },
	[CHANNEL_KILL] = { sizeof(struct channel_ref), verb_kill },
	[CHANNEL_STOP] = { sizeof(struct channel_ref), verb_stop },
	[CHANNEL_PAUSE] = { sizeof(struct channel_ref), verb_pause },
	[CHANNEL_RESUME] = { sizeof(struct channel_ref), verb_resume },
	[CHANNEL_UPDATE] = { sizeof(struct channel_update), verb_update },
	[CHANNEL_DESTROY] = { sizeof(struct channel_ref), verb_destroy },
	[CHANNEL_FILE_DROP] = { ANY_LENGTH, verb_file_drop },
	[CHANNEL_PRINTED] = { sizeof(struct channel_printed), verb_printed },
};

static int request_run(struct channel *c, unsigned verb, const struct request *q)
{
	if (verb >= ARRAY_SIZE(verbs) || !verbs[verb].run)
		return err_say(&c->err, EOPNOTSUPP, "there is no verb %u", verb);
	if (verbs[verb].len != ANY_LENGTH && verbs[verb].len != q->len)
		return err_say(&c->err, EINVAL, "verb %u has %u bytes behind it, not %u", verb,
			       (unsigned)verbs[verb].len, (unsigned)q->len);
	return verbs[verb].run(c, q);
}

void channel_request(struct channel *c, const struct channel_frame *f)
{
	struct channel_request head;

	if (f->len < sizeof(head)) {
		channel_bad(c, 0, "a request that is too short");
		return;
	}
	memcpy(&head, f->payload, sizeof(head));
	const struct request q = { head.id, f->payload + sizeof(head), f->len - sizeof(head) };
	c->err = (struct err){ 0 };
	int r = request_run(c, head.verb, &q);
	if (r < 0)
		reply_error(c, q.id, &c->err);
	else if (r != LATER)
		reply(c, q.id, c->body, (size_t)r);
}

/* ---- what took time, and what happened ---- */

static void job_tell(struct channel *c, struct managed *m)
{
	const struct channel_ref ref = { m->id };

	c->jobs--;
	__atomic_store_n(&m->job.state, JOB_NONE, __ATOMIC_RELEASE);
	if (c->nonce && m->job.session == c->session) {
		if (m->job.err.code)
			reply_error(c, m->job.request, &m->job.err);
		else
			reply(c, m->job.request, &ref, m->job.is_gone ? 0 : sizeof(ref));
	}
	if (m->job.is_gone)
		managed_free(m);
}

static void end_tell(struct channel *c, struct managed *m)
{
	const struct channel_event event = { .kind = CHANNEL_EVENT_ENDED };
	struct channel_guest guest;

	if (c->nonce && !m->is_told) {
		managed_describe(m, &guest);
		channel_say(c, CHANNEL_EVENT, 0, &event, sizeof(event), &guest, sizeof(guest));
	}
	m->is_told = true;
	/* One that is being destroyed is the keeper's, and goes when that is told. */
	if (m->is_servers && !m->streams && !__atomic_load_n(&m->job.state, __ATOMIC_ACQUIRE))
		managed_free(m);
}

bool channel_jobs(struct channel *c)
{
	if (!channel_is_quiet(c) || c->quiet)
		return false;
	struct managed *m = managed_first_job();
	if (m) {
		job_tell(c, m);
		return true;
	}
	m = managed_first_end();
	if (!m)
		return false;
	end_tell(c, m);
	return true;
}
