/* SPDX-License-Identifier: Apache-2.0 */
/* The guests that the boot loader brought along: vm/config.h says what their file looks like. */
#include <string.h>

#include "core/clock.h"
#include "core/hv.h"
#include "core/page.h"
#include "core/print.h"
#include "vm/managed.h"

#define CONFIG_SUFFIX ".cfg"

/* Whether a loader's file is named so: the first word of its text. */
static bool is_config(const char *text)
{
	const size_t suffix = sizeof(CONFIG_SUFFIX) - 1;
	size_t len = 0;

	while (text[len] && text[len] != ' ')
		len++;
	return len > suffix && !memcmp(text + len - suffix, CONFIG_SUFFIX, suffix);
}

static int config_file(const struct boot_info *info)
{
	for (unsigned i = 0; i < info->n_files; i++) {
		if (is_config(boot_file_text(info, i)))
			return (int)i;
	}
	return -1;
}

/* What it takes beside its own memory; of the first one only, while no other one takes any or gives any back. */
static void guest_say(const struct config_guest *g, bool is_first, uint64_t free_bytes, uint64_t ns)
{
	print("guest %s: %u vcpus, %lu MiB, made in %lu us\n", g->name, g->vcpus,
	      (unsigned long)(g->memory_bytes >> 20), (unsigned long)(ns / 1000));
	if (is_first)
		print("guest %s: %lu KiB beside its memory\n", g->name,
		      (unsigned long)((free_bytes - page_free_bytes() - g->memory_bytes) >> 10));
}

static bool guest_begin(const struct config_guest *g, bool is_first)
{
	struct managed *m = NULL;
	struct err err = { 0 };
	uint64_t start = clock_ns(), free_bytes = page_free_bytes();
	int r = managed_new(g, true, &m, &err);

	if (r == 0)
		r = managed_build(m, &err);
	if (r < 0) {
		print("%s\n", err.text);
		return false;
	}
	guest_say(g, is_first, free_bytes, clock_ns() - start);
	return managed_start(m, &err) == 0;
}

unsigned hv_guests_start(const struct boot_info *info)
{
	int file = config_file(info);
	unsigned started = 0;
	struct err err = { 0 };

	managed_memory_mark();
	struct config *config = file < 0 ? NULL : page_alloc(page_order(sizeof(struct config)));
	if (!config) {
		print(file < 0 ? "no file of the loader's ends in .cfg: no guests\n"
			       : "no memory for the guests' config\n");
		managed_memory_check(false);
		return 0;
	}
	if (config_parse(phys_to_ptr(info->files[file].start), info->files[file].len, config,
			 &err) < 0)
		print("%s: %s\n", boot_file_text(info, (unsigned)file), err.text);
	for (unsigned i = 0; i < config->n; i++)
		started += guest_begin(&config->guests[i], !started);
	page_free(config, page_order(sizeof(struct config)));
	managed_memory_check(started);
	return started;
}

int hv_virt_init_cpu(struct err *err)
{
	struct hw_caps caps;
	const struct hw_ops *ops = hv_back_end(&caps, err);
	struct barriers barriers;
	char text[BARRIERS_TEXT];

	if (!ops)
		return -err->code;
	barrier_init(ops == &vmx_hw_ops, &barriers); /* first: EFER is the host's of every exit */
	if (!cpu_this()->index)
		print("against speculation between guests: %s\n",
		      barriers_text(&barriers, text, sizeof(text))
			      ? text
			      : "nothing; this CPU offers or needs none");
	return ops->init_cpu(err);
}
