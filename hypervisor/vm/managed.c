/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/managed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/page.h"
#include "core/print.h"
#include "drivers/disks.h"
#include "vm/guest_balloon.h"

#define SERVER_DISK   "server:"
#define MANAGED_ORDER 3U

_Static_assert(sizeof(struct managed) <= PAGE_BYTES << MANAGED_ORDER, "one block");

/* One server has one list. */
static struct {
	struct spin lock;
	struct managed *first; /* by id */
	uint32_t last_id;
	unsigned n;
	unsigned servers;    /* of them, the server's own */
	uint64_t free_bytes; /* before these */
	void (*wake)(void);
} list;

void managed_init(void (*wake)(void))
{
	list.wake = wake;
	keeper_init();
}

void managed_wake(void)
{
	list.wake();
}

/* ---- the list ---- */

static struct disk *server_disk(const struct config_disk *disk)
{
	return strncmp(disk->file, SERVER_DISK, strlen(SERVER_DISK))
		       ? NULL
		       : disk_find(disk->file + strlen(SERVER_DISK));
}

/* A partition has two names, and is a part of its disk, which has a third. */
static bool is_same_disk(const struct config_disk *a, const struct config_disk *b)
{
	if (a->read_only && b->read_only)
		return false;
	if (!strcmp(a->file, b->file))
		return true;
	struct disk *of_a = server_disk(a), *of_b = server_disk(b);
	return of_a && of_b && host_disk_overlap(of_a, of_b);
}

/* Whether a disk of this one is another's already, and one of the two writes. The list is locked. */
static int disks_check(const struct managed *m, const struct managed *other, struct err *err)
{
	for (unsigned a = 0; a < m->config.n_disks; a++) {
		for (unsigned b = 0; b < other->config.n_disks; b++) {
			if (is_same_disk(&m->config.disks[a], &other->config.disks[b]))
				return err_say(err, EBUSY, "guest %s: guest %s has disk %s",
					       m->config.name, other->config.name,
					       m->config.disks[a].file);
		}
	}
	return 0;
}

static int list_check(const struct managed *m, struct err *err)
{
	int r = list.n < MANAGED_MOST ? 0
				      : err_say(err, ENOSPC, "guest %s: there are %u guests",
						m->config.name, list.n);

	for (const struct managed *other = list.first; r == 0 && other; other = other->next) {
		if (other->state == CHANNEL_ENDED)
			continue;
		if (strcmp(other->config.name, m->config.name) == 0)
			r = err_say(err, EEXIST, "there is a guest %s", m->config.name);
		else
			r = disks_check(m, other, err);
	}
	return r;
}

static int list_add(struct managed *m, struct err *err)
{
	spin_lock(&list.lock);
	int r = list_check(m, err);
	if (r == 0) {
		struct managed **at = &list.first;
		while (*at)
			at = &(*at)->next;
		*at = m;
		m->id = ++list.last_id;
		list.n++;
		list.servers += m->is_servers;
	}
	spin_unlock(&list.lock);
	return r;
}

/* Return: the last of the server's own is gone, and there is no other. */
static bool list_remove(struct managed *m)
{
	spin_lock(&list.lock);
	struct managed **at = &list.first;
	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	list.n--;
	list.servers -= m->is_servers;
	bool is_last = m->is_servers && !list.servers && !list.n;
	spin_unlock(&list.lock);
	return is_last;
}

void managed_memory_mark(void)
{
	list.free_bytes = page_free_bytes();
	list.servers = 1;
	list.n = 1; /* the mark, until all are started */
}

static void memory_tell(void)
{
	int64_t missing = (int64_t)(list.free_bytes - page_free_bytes() - hv_files_bytes());

	if (missing)
		print("the last guest is gone: %ld bytes of memory are missing\n", (long)missing);
	else
		print("the last guest is gone: all of its memory is back\n");
}

void managed_memory_check(bool had_any)
{
	spin_lock(&list.lock);
	list.servers--;
	list.n--;
	bool is_last = had_any && !list.n;
	spin_unlock(&list.lock);
	if (is_last)
		memory_tell();
}

/* ---- from its config to its machine ---- */

static int files_get(struct managed *m, struct err *err)
{
	const struct config_guest *g = &m->config;
	const char *names[MANAGED_FILES] = { g->kernel, g->initrd };

	for (unsigned i = 0; i < g->n_disks; i++)
		names[2 + i] = g->disks[i].file;
	for (unsigned i = 0; i < 2 + g->n_disks; i++) {
		if (!names[i][0] || (i > 1 && !strncmp(names[i], SERVER_DISK, strlen(SERVER_DISK))))
			continue;
		m->files[i] = hv_file_get(names[i]);
		if (!m->files[i])
			return err_say(err, ENOENT, "guest %s: no file %s was loaded", g->name,
				       names[i]);
	}
	return 0;
}

static void files_put(struct managed *m, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		hv_file_put(m->files[i]);
		m->files[i] = NULL;
	}
}

int managed_new(const struct config_guest *config, bool is_servers, struct managed **ret,
		struct err *err)
{
	struct managed *m = page_alloc(MANAGED_ORDER);

	if (!m)
		return err_say(err, ENOMEM, "guest %s: no memory", config->name);
	m->config = *config;
	m->is_servers = is_servers;
	m->created_ns = clock_ns();
	m->is_told = true;
	managed_io_init(m);
	int r = list_add(m, err);
	if (r < 0) {
		page_free(m, MANAGED_ORDER);
		return r;
	}
	r = files_get(m, err);
	if (r < 0)
		managed_free(m);
	else
		*ret = m;
	return r;
}

void managed_free(struct managed *m)
{
	bool is_last = list_remove(m);

	files_put(m, MANAGED_FILES);
	managed_io_fini(m);
	page_free(m, MANAGED_ORDER);
	if (is_last)
		memory_tell();
}

/* "server:nvme0p2": one of the server's; else a file in memory */
static int disk_add(struct managed *m, struct guest *guest, unsigned i, struct err *err)
{
	const struct config_disk *disk = &m->config.disks[i];

	if (m->files[2 + i])
		return guest_disk_add(guest, i, m->files[2 + i]->data, m->files[2 + i]->len,
				      disk->read_only, err);
	struct disk *server = server_disk(disk);
	if (!server)
		return err_say(err, ENOENT, "guest %s: the server has no disk %s", m->config.name,
			       disk->file + strlen(SERVER_DISK));
	return guest_server_disk_add(guest, i, server, disk->read_only, err);
}

static int devices_add(struct managed *m, struct guest *guest, struct err *err)
{
	int r = guest_rng_add(guest, err);

	for (unsigned i = 0; r == 0 && i < m->config.n_disks; i++)
		r = disk_add(m, guest, i, err);
	if (r == 0 && m->config.has_net)
		r = guest_nic_add(guest, m->config.mac, err);
	if (r == 0 && m->config.has_balloon)
		r = guest_balloon_add(guest, err);
	return r == 0 ? managed_io_add(m, guest, err) : r;
}

/* All vcpus together may have so much. */
uint32_t managed_vcpu_cap(const struct managed *m)
{
	uint32_t cap = m->config.cap_percent / m->config.vcpus;

	return m->config.cap_percent && !cap ? 1 : cap;
}

/* What was taken from it may be another's by now: made again, it is as large as it was to be. */
static uint64_t again_bytes(const struct managed *m)
{
	return m->target_bytes && !m->config.overcommits ? m->target_bytes : m->config.memory_bytes;
}

int managed_make(struct managed *m, struct err *err)
{
	const struct config_guest *g = &m->config;
	const struct guest_config config = {
		.name = g->name,
		.memory_bytes = again_bytes(m),
		.at_once = g->at_once,
		.vcpus = g->vcpus,
		.weight = g->weight,
		.cap_percent = managed_vcpu_cap(m),
		.tsc_khz = g->tsc_khz,
		.is_pinned = g->is_pinned,
		.first_cpu = g->first_cpu,
		.kernel = { m->files[0]->data, m->files[0]->len },
		.initrd = { m->files[1] ? m->files[1]->data : NULL,
			    m->files[1] ? m->files[1]->len : 0 },
		.cmdline = g->append,
		.test_devices = g->has_test_devices,
		.console = &m->serial,
		.serve = managed_serve,
		.ended = keeper_ended,
		.has_balloon = g->has_balloon,
		.overcommits = g->overcommits,
		.balloon_ask = keeper_balloon,
		.arg = m,
	};
	struct guest *guest = NULL;
	int r = guest_create(&config, &guest, err);

	if (r < 0)
		return r;
	m->has_machine = true;
	r = devices_add(m, guest, err);
	if (r < 0) {
		guest_destroy(guest);
		managed_io_over(m);
		return r;
	}
	/* The kernel and its initrd are copied: who is not made again needs them no more. */
	if (!m->is_servers)
		files_put(m, 2);
	/* Last, and in this order: of one that is made again somebody may ask something at any moment, and it did run. */
	__atomic_store_n(&m->state, CHANNEL_CREATED, __ATOMIC_RELEASE);
	spin_lock(&m->lock);
	m->guest = guest;
	spin_unlock(&m->lock);
	return 0;
}

int managed_build(struct managed *m, struct err *err)
{
	int r = managed_make(m, err);

	if (r < 0)
		managed_free(m);
	return r;
}

void managed_unmake(struct managed *m)
{
	spin_lock(&m->lock);
	struct guest *guest = m->guest;
	m->guest = NULL;
	spin_unlock(&m->lock);
	while (__atomic_load_n(&m->busy, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
	managed_io_last(m, guest);
	guest_destroy(guest);
	managed_io_over(m);
}

/* ---- for the channel ---- */

static uint16_t how_of(enum guest_end end)
{
	static const uint16_t hows[] = {
		[GUEST_RUNS] = CHANNEL_HOW_NONE,	[GUEST_POWER_OFF] = CHANNEL_HOW_POWER_OFF,
		[GUEST_RESET] = CHANNEL_HOW_RESET,	[GUEST_EXIT] = CHANNEL_HOW_EXIT,
		[GUEST_CRASHED] = CHANNEL_HOW_CRASHED,	[GUEST_FAILED] = CHANNEL_HOW_FAILED,
		[GUEST_DESTROYED] = CHANNEL_HOW_KILLED,
	};

	return hows[end];
}

void managed_ended(struct managed *m)
{
	const struct guest *guest = m->guest;

	m->how = how_of(guest_ended(guest));
	m->status = (uint32_t)guest->status;
	m->ended_ns = clock_ns();
	if (m->how == CHANNEL_HOW_FAILED)
		(void)snprintf(m->failure, sizeof(m->failure), "%s", guest->failure);
	managed_stats_keep(m);
}

void managed_describe(const struct managed *m, struct channel_guest *ret)
{
	*ret = (struct channel_guest){
		.id = m->id,
		.state = (uint16_t)m->state,
		.how = m->how,
		.status = m->status,
		.flags = m->is_servers ? CHANNEL_GUEST_SERVERS : 0,
		.vcpus = m->config.vcpus,
		.weight = m->config.weight ? m->config.weight : SCHED_WEIGHT,
		.cap_percent = m->config.cap_percent,
		.memory_bytes = m->config.memory_bytes,
		.created_ns = m->created_ns,
		.started_ns = m->started_ns,
		.ended_ns = m->ended_ns,
	};
	memcpy(ret->name, m->config.name, sizeof(ret->name));
	memcpy(ret->failure, m->failure, sizeof(ret->failure));
}

/* Being made, or taken apart, or whoever asked for it was not told yet: nobody is to know it. */
static bool is_there(const struct managed *m)
{
	return __atomic_load_n(&m->state, __ATOMIC_ACQUIRE) && !m->is_going &&
	       __atomic_load_n(&m->job.state, __ATOMIC_ACQUIRE) == JOB_NONE;
}

struct managed *managed_find(uint32_t id)
{
	spin_lock(&list.lock);
	struct managed *m = list.first;
	while (m && m->id != id)
		m = m->next;
	spin_unlock(&list.lock);
	return m && is_there(m) ? m : NULL;
}

bool managed_next(uint32_t after, struct channel_guest *ret)
{
	spin_lock(&list.lock);
	struct managed *m = list.first;
	while (m && (m->id <= after || !is_there(m)))
		m = m->next;
	if (m)
		managed_describe(m, ret);
	spin_unlock(&list.lock);
	return m;
}

unsigned managed_count(void)
{
	unsigned n = 0;

	spin_lock(&list.lock);
	for (const struct managed *m = list.first; m; m = m->next)
		n += is_there(m);
	spin_unlock(&list.lock);
	return n;
}

struct managed *managed_first_job(void)
{
	spin_lock(&list.lock);
	struct managed *m = list.first;
	while (m && __atomic_load_n(&m->job.state, __ATOMIC_ACQUIRE) != JOB_DONE)
		m = m->next;
	spin_unlock(&list.lock);
	return m;
}

/* Of the server's own nothing is kept. */
static bool has_end_due(const struct managed *m)
{
	return managed_has_ended(m) && (!__atomic_load_n(&m->is_told, __ATOMIC_ACQUIRE) ||
					(m->is_servers && !m->streams && !m->job.state));
}

struct managed *managed_first_end(void)
{
	spin_lock(&list.lock);
	struct managed *m = list.first;
	while (m && !has_end_due(m))
		m = m->next;
	spin_unlock(&list.lock);
	return m;
}

bool managed_has_ended(const struct managed *m)
{
	return __atomic_load_n(&m->state, __ATOMIC_ACQUIRE) == CHANNEL_ENDED;
}
