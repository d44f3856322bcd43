/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/boot_guests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/hv.h"
#include "core/page.h"
#include "core/print.h"
#include "drivers/disks.h"
#include "vm/config.h"
#include "vm/guest.h"
#include "vm/guest_console.h"

#define SERVER_DISK "server:"

/* The base name of a file's first word: where it begins, and how long it is. */
static const char *file_name(const struct boot_info *info, unsigned file, size_t *ret_len)
{
	const char *text = boot_file_text(info, file), *name = text;
	size_t len = 0;

	while (text[len] && text[len] != ' ')
		len++;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '/')
			name = text + i + 1;
	}
	*ret_len = (size_t)(text + len - name);
	return name;
}

int boot_guests_file(const struct boot_info *info, const char *name)
{
	for (unsigned i = 0; i < info->n_files; i++) {
		size_t len;
		const char *is = file_name(info, i, &len);
		if (len == strlen(name) && !memcmp(is, name, len))
			return (int)i;
	}
	return -1;
}

static int config_file(const struct boot_info *info)
{
	for (unsigned i = 0; i < info->n_files; i++) {
		size_t len;
		const char *is = file_name(info, i, &len);
		if (len > 4 && !memcmp(is + len - 4, ".cfg", 4))
			return (int)i;
	}
	return -1;
}

static int file_get(const struct boot_info *info, const struct config_guest *g, const char *name,
		    struct guest_file *ret, struct err *err)
{
	int file = boot_guests_file(info, name);

	if (file < 0)
		return err_say(err, ENOENT, "guest %s: no file %s was loaded", g->name, name);
	*ret = (struct guest_file){ phys_to_ptr(info->files[file].start), info->files[file].len };
	return 0;
}

/* What a guest of a boot loader's keeps beside itself. */
struct boot_guest {
	struct boot_guest *next; /* among those that have ended */
	struct guest_console console;
	struct guest *guest;
	struct config_guest config; /* restarts: that are left */
};
_Static_assert(sizeof(struct boot_guest) <= PAGE_BYTES, "a page each");

/* Takes apart what has ended: a guest's vcpus cannot do that to themselves. One server has one. */
static struct {
	struct sched_entity entity;
	struct spin lock;
	struct boot_guest *first;
	unsigned left;	     /* guests that were started and are not gone */
	uint64_t free_bytes; /* before there were any */
	const struct boot_info *info;
} reaper;

static struct boot_guest *reaper_next(void)
{
	spin_lock(&reaper.lock);
	struct boot_guest *b = reaper.first;
	if (b)
		reaper.first = b->next;
	spin_unlock(&reaper.lock);
	return b;
}

static void reaper_count(void)
{
	if (__atomic_sub_fetch(&reaper.left, 1, __ATOMIC_ACQ_REL))
		return;
	int64_t missing = (int64_t)(reaper.free_bytes - page_free_bytes());
	if (missing)
		print("the last guest is gone: %ld bytes of memory are missing\n", (long)missing);
	else
		print("the last guest is gone: all of its memory is back\n");
}

/* Exits by reason, those that there were. */
static void exits_print(const struct guest *guest)
{
	char line[256];
	size_t n = 0;

	for (unsigned i = 0; i < HW_EXIT_KINDS; i++) {
		uint64_t count = guest_exits(guest, i);
		if (count && n < sizeof(line))
			n += (size_t)snprintf(line + n, sizeof(line) - n, " %s %lu",
					      hv_exit_name(i), (unsigned long)count);
	}
	print("guest %s: exits%s\n", guest->name, n ? line : " none");
}

static void boot_guest_ended(struct guest *guest, void *arg)
{
	struct boot_guest *b = arg;
	enum guest_end how = guest_ended(guest);

	guest_console_flush(&b->console);
	if (how == GUEST_FAILED)
		print("guest %s: stopped: %s (0x%lx)\n", guest->name, guest->failure,
		      (unsigned long)guest->failure_code);
	else if (how == GUEST_EXIT)
		print("guest %s: ended its test with %d\n", guest->name, guest->status);
	else
		print("guest %s: %s\n", guest->name, guest_end_words(how));
	exits_print(guest);
	spin_lock(&reaper.lock);
	b->next = reaper.first;
	reaper.first = b;
	spin_unlock(&reaper.lock);
	sched_wake(&reaper.entity);
}

/* "server:nvme0p2": one of the server's; else a file in memory */
static int disk_add(const struct boot_info *info, const struct config_guest *g,
		    const struct config_disk *disk, struct guest *guest, struct err *err)
{
	const size_t prefix = strlen(SERVER_DISK);
	struct guest_file file = { 0 };

	if (strncmp(disk->file, SERVER_DISK, prefix) == 0) {
		struct disk *server = disk_find(disk->file + prefix);
		if (!server)
			return err_say(err, ENOENT, "guest %s: the server has no disk %s", g->name,
				       disk->file + prefix);
		return guest_server_disk_add(guest, server, disk->read_only, err);
	}
	int r = file_get(info, g, disk->file, &file, err);
	return r < 0 ? r
		     : guest_disk_add(guest, (void *)(uintptr_t)file.data, file.len,
				      disk->read_only, err);
}

static int devices_add(const struct boot_info *info, const struct config_guest *g,
		       struct guest *guest, struct err *err)
{
	int r = guest_rng_add(guest, err);

	for (unsigned i = 0; r == 0 && i < g->n_disks; i++)
		r = disk_add(info, g, &g->disks[i], guest, err);
	return r == 0 && g->has_net ? guest_nic_add(guest, g->mac, err) : r;
}

static int guest_make(const struct boot_info *info, const struct config_guest *g,
		      struct boot_guest *b, struct err *err)
{
	struct guest_config config = {
		.name = g->name,
		.memory_bytes = g->memory_bytes,
		.vcpus = g->vcpus,
		.weight = g->weight,
		.cap_percent = g->cap_percent,
		.cmdline = g->append,
		.console = g->console == CONFIG_CONSOLE_NONE ? NULL : &b->console.console,
		.ended = boot_guest_ended,
		.arg = b,
	};

	guest_console_init(&b->console, b->config.name, g->console == CONFIG_CONSOLE_RAW);
	int r = file_get(info, g, g->kernel, &config.kernel, err);
	if (r == 0 && g->initrd[0])
		r = file_get(info, g, g->initrd, &config.initrd, err);
	if (r == 0)
		r = guest_create(&config, &b->guest, err);
	if (r == 0)
		r = devices_add(info, g, b->guest, err);
	if (r < 0) {
		guest_destroy(b->guest);
		b->guest = NULL;
	}
	return r;
}

/* Once more what it was; false: it cannot be made, which was said. */
static bool guest_again(struct boot_guest *b)
{
	struct err err = { 0 };

	if (!b->config.restarts)
		return false;
	b->config.restarts--;
	if (guest_make(reaper.info, &b->config, b, &err) < 0) {
		print("%s\n", err.text);
		return false;
	}
	guest_start(b->guest);
	return true;
}

static enum sched_reason reaper_run(struct sched_entity *entity, uint64_t deadline_ns)
{
	struct boot_guest *b = reaper_next();

	(void)entity;
	(void)deadline_ns;
	if (!b)
		return SCHED_HALT;
	guest_destroy(b->guest);
	b->guest = NULL;
	if (!guest_again(b)) {
		page_free(b, 0);
		reaper_count();
	}
	return SCHED_YIELD; /* there may be more */
}

static bool is_same_disk(const struct config_disk *a, const struct config_disk *b)
{
	return !strcmp(a->file, b->file) && !(a->read_only && b->read_only);
}

/* Whether a disk of guest n is one of those before it, and one of the two writes. */
static int disks_check(const struct config *config, unsigned n, struct err *err)
{
	const struct config_guest *g = &config->guests[n];

	for (unsigned i = 0; i < n; i++) {
		const struct config_guest *other = &config->guests[i];
		for (unsigned a = 0; a < g->n_disks; a++) {
			for (unsigned b = 0; b < other->n_disks; b++) {
				if (is_same_disk(&g->disks[a], &other->disks[b]))
					return err_say(err, EBUSY, "guest %s: guest %s has disk %s",
						       g->name, other->name, g->disks[a].file);
			}
		}
	}
	return 0;
}

static bool guest_begin(const struct boot_info *info, const struct config_guest *g)
{
	struct boot_guest *b = page_alloc(0);
	struct err err = { 0 };
	uint64_t start = clock_ns();

	if (b)
		b->config = *g;
	int r = b ? guest_make(info, g, b, &err)
		  : err_say(&err, ENOMEM, "guest %s: no memory", g->name);

	if (r < 0) {
		print("%s\n", err.text);
		page_free(b, 0);
		return false;
	}
	(void)__atomic_add_fetch(&reaper.left, 1, __ATOMIC_ACQ_REL);
	print("guest %s: %u vcpus, %lu MiB, made in %lu us\n", g->name, g->vcpus,
	      (unsigned long)(g->memory_bytes >> 20), (unsigned long)((clock_ns() - start) / 1000));
	guest_start(b->guest);
	return true;
}

static unsigned config_order(void)
{
	unsigned order = 0;

	while ((uint64_t)PAGE_BYTES << order < sizeof(struct config))
		order++;
	return order;
}

unsigned hv_guests_start(const struct boot_info *info)
{
	int file = config_file(info);
	reaper.free_bytes = page_free_bytes();
	reaper.info = info;
	struct config *config = file < 0 ? NULL : page_alloc(config_order());
	struct err err = { 0 };
	unsigned started = 0;

	reaper.entity = (struct sched_entity){ .name = "reaper", .run = reaper_run };
	reaper.left = 1; /* ours, until all are started */
	sched_add(&reaper.entity);
	if (!config) {
		print(file < 0 ? "no file of the loader's ends in .cfg: no guests\n"
			       : "no memory for the guests' config\n");
		return 0;
	}
	if (config_parse(phys_to_ptr(info->files[file].start), info->files[file].len, config,
			 &err) < 0)
		print("%s: %s\n", boot_file_text(info, (unsigned)file), err.text);
	for (unsigned i = 0; i < config->n; i++) {
		if (disks_check(config, i, &err) < 0)
			print("%s\n", err.text);
		else
			started += guest_begin(info, &config->guests[i]);
	}
	page_free(config, config_order());
	if (started)
		reaper_count();
	return started;
}

int hv_virt_init_cpu(struct err *err)
{
	return svm_hw_ops.init_cpu(err);
}
