/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked of a guest at which moment, over guests that are made in steps, between which somebody asks. */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/page.h"
#include "core/print.h"
#include "drivers/disks.h"
#include "vm/guest_balloon.h"
#include "vm/managed.h"

static struct {
	struct managed *m;
	struct guest *guest;
	void (*between)(void); /* it has no devices yet, or not all */
	unsigned n_between;
	unsigned starts, pauses, destroyed, ends;
	bool fails;
	uint64_t now_ns;
	struct hv_file file;
} rig;

/* ---- the hypervisor's floor ---- */

void *page_alloc(unsigned order)
{
	return calloc(1, (size_t)PAGE_BYTES << order);
}

void page_free(void *block, unsigned order)
{
	(void)order;
	free(block);
}

uint64_t page_free_bytes(void)
{
	return 0;
}

uint64_t hv_files_bytes(void)
{
	return 0;
}

uint64_t clock_ns(void)
{
	return ++rig.now_ns;
}

void print(const char *fmt, ...)
{
	(void)fmt;
}

struct hv_file *hv_file_get(const char *name)
{
	(void)name;
	return &rig.file;
}

void hv_file_put(struct hv_file *file)
{
	(void)file;
}

struct disk *disk_find(const char *name)
{
	(void)name;
	return NULL;
}

void keeper_init(void)
{
}

void keeper_ended(struct guest *guest, void *arg)
{
	(void)guest;
	(void)arg;
}

void keeper_balloon(struct guest *guest, void *arg)
{
	(void)guest;
	(void)arg;
}

void managed_io_init(struct managed *m)
{
	(void)m;
}

void managed_io_last(struct managed *m, struct guest *guest)
{
	(void)m;
	(void)guest;
}

void managed_io_over(struct managed *m)
{
	m->has_machine = false;
}

void managed_io_fini(struct managed *m)
{
	(void)m;
}

void managed_serve(struct guest *guest, void *arg)
{
	(void)guest;
	(void)arg;
}

const char *hv_exit_name(unsigned kind)
{
	(void)kind;
	return "exit";
}

/* ---- guests ---- */

static int step(void)
{
	if (rig.between)
		rig.between();
	rig.n_between += rig.between != NULL;
	return rig.fails ? -ENOMEM : 0;
}

int guest_create(const struct guest_config *config, struct guest **ret, struct err *err)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	(void)err;
	assert_non_null(guest);
	guest->config = *config;
	guest->n_vcpus = config->vcpus;
	rig.guest = *ret = guest;
	return step();
}

void guest_destroy(struct guest *guest)
{
	free(guest);
	rig.destroyed++;
}

/* As the real one: a place in the list before there is a device in it. */
int guest_rng_add(struct guest *guest, struct err *err)
{
	static struct guest_virtio none;

	(void)err;
	guest->devices[guest->n_devices++] = &none;
	int r = step();
	guest->n_devices--;
	return r;
}

int guest_disk_add(struct guest *guest, unsigned number, void *bytes, uint64_t len, bool read_only,
		   struct err *err)
{
	(void)guest;
	(void)number;
	(void)bytes;
	(void)len;
	(void)read_only;
	(void)err;
	return step();
}

int guest_server_disk_add(struct guest *guest, unsigned number, struct disk *server, bool read_only,
			  struct err *err)
{
	(void)server;
	return guest_disk_add(guest, number, NULL, 0, read_only, err);
}

int guest_nic_add(struct guest *guest, const uint8_t mac[6], struct err *err)
{
	(void)mac;
	return guest_disk_add(guest, 0, NULL, 0, false, err);
}

int guest_balloon_add(struct guest *guest, struct err *err)
{
	static struct guest_balloon balloon; /* nobody looks into it */
	int r = guest_disk_add(guest, 0, NULL, 0, false, err);

	guest->balloon = &balloon;
	return r;
}

int managed_io_add(struct managed *m, struct guest *guest, struct err *err)
{
	(void)m;
	return guest_disk_add(guest, 0, NULL, 0, false, err);
}

int guest_balloon_target(struct guest *guest, uint64_t bytes, struct err *err)
{
	assert_non_null(guest->balloon);
	return bytes > 32 << 20 ? err_say(err, EINVAL, "too much") : 0;
}

void guest_start(struct guest *guest)
{
	guest->is_started = true;
	rig.starts++;
}

void guest_pause(struct guest *guest)
{
	guest->is_paused = true;
	rig.pauses++;
}

void guest_resume(struct guest *guest)
{
	guest->is_paused = false;
}

void guest_end(struct guest *guest, enum guest_end how, int status)
{
	guest->end = how;
	guest->status = status;
	rig.ends++;
}

bool pm_power_button(struct pm *pm)
{
	(void)pm;
	return true;
}

void sched_weight_set(struct sched_entity *entity, uint32_t weight, uint32_t cap_percent)
{
	entity->weight = weight;
	entity->cap_percent = cap_percent;
}

uint64_t guest_exits(const struct guest *guest, unsigned kind)
{
	(void)guest;
	return kind;
}

uint64_t guest_memory_bytes(const struct guest *guest)
{
	return guest->config.memory_bytes;
}

static void wake(void)
{
}

/* ---- tests ---- */

static const struct config_guest again = {
	.name = "again",
	.memory_bytes = UINT64_C(64) << 20,
	.vcpus = 1,
	.kernel = "vmlinuz",
	.restarts = 3,
	.has_net = true,
	.has_balloon = true,
	.disks = { { .file = "root.img" } },
	.n_disks = 1,
};

static int setup(void **state)
{
	struct err err = { 0 };

	(void)state;
	memset(&rig, 0, sizeof(rig));
	managed_init(wake);
	assert_int_equal(managed_new(&again, true, &rig.m, &err), 0);
	assert_int_equal(managed_build(rig.m, &err), 0);
	assert_int_equal(managed_start(rig.m, &err), 0);
	assert_int_equal(rig.starts, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	managed_unmake(rig.m);
	managed_free(rig.m);
	return 0;
}

/* Everything that the channel can ask, at this moment. */
static void all_is_asked(void)
{
	static uint8_t stats[CHANNEL_PAYLOAD_MAX];
	const struct channel_update update = { .cap_percent = CHANNEL_LEAVE, .memory_mib = 32 };
	struct err err = { 0 };

	assert_true(managed_pause(rig.m, &err) < 0);
	assert_true(managed_resume(rig.m, &err) <= 0);
	assert_true(managed_kill(rig.m, &err) < 0);
	assert_true(managed_button(rig.m, &err) < 0);
	assert_true(managed_update(rig.m, &update, &err) < 0);
	assert_true(managed_start(rig.m, &err) < 0);
	(void)managed_stats(rig.m, stats);
}

/*
 * A guest of the server's that is started again when it ends was known, and said to run, while it had half of its devices: statistics
 * went through one that was not there, a new target for its balloon through none, and a pause kept nothing from running.
 */
static void a_guest_that_is_made_again_is_not_there_before_all_of_it_is(void **state)
{
	struct err err = { 0 };

	(void)state;
	managed_unmake(rig.m);
	rig.between = all_is_asked;
	assert_int_equal(managed_make(rig.m, &err), 0);
	assert_true(rig.n_between >= 6);
	rig.between = NULL;
	assert_int_equal(rig.starts, 1);
	assert_int_equal(rig.pauses + rig.ends, 0);
	assert_int_equal(managed_start(rig.m, &err), 0);
	assert_int_equal(rig.starts, 2);
	assert_int_equal(managed_pause(rig.m, &err), 0);
	assert_int_equal(managed_resume(rig.m, &err), 0);
}

/* What it gave may be another's by then. */
static void one_that_is_made_again_is_as_large_as_its_target(void **state)
{
	struct channel_update update = { .cap_percent = CHANNEL_LEAVE, .memory_mib = 32 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(rig.guest->config.memory_bytes, again.memory_bytes);
	assert_int_equal(managed_update(rig.m, &update, &err), 0);
	update.memory_mib = 33;
	assert_int_equal(managed_update(rig.m, &update, &err), -EINVAL);
	update.memory_mib = 34; /* refused: it stays what it was */
	assert_int_equal(managed_update(rig.m, &update, &err), -EINVAL);
	managed_unmake(rig.m);
	assert_int_equal(managed_make(rig.m, &err), 0);
	assert_int_equal(rig.guest->config.memory_bytes, 32 << 20);
}

static void one_that_cannot_be_made_again_leaves_nothing(void **state)
{
	struct err err = { 0 };
	unsigned before = rig.destroyed;

	(void)state;
	managed_unmake(rig.m);
	assert_int_equal(rig.destroyed, before + 1);
	rig.fails = true;
	/* guest_create() fails: there is none to be taken apart */
	assert_int_equal(managed_make(rig.m, &err), -ENOMEM);
	free(rig.guest);
	assert_null(rig.m->guest);
	assert_false(rig.m->has_machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_guest_that_is_made_again_is_not_there_before_all_of_it_is, setup,
			teardown),
		cmocka_unit_test_setup_teardown(one_that_is_made_again_is_as_large_as_its_target,
						setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_cannot_be_made_again_leaves_nothing, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
