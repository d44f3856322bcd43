/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/info.h"

#include <string.h>

#define PHYS_END (UINT64_C(1) << 52) /* SDM 3A, Physical-address width: at most 52 bits */

const void *boot_view_at(const struct boot_view *view, uint64_t phys, uint64_t len)
{
	if (!len || phys < view->start || phys > view->end || len > view->end - phys)
		return NULL;
	return (const void *)(view->bias + (uintptr_t)phys);
}

void boot_info_init(struct boot_info *info, const char *protocol)
{
	memset(info, 0, sizeof(*info));
	info->protocol = protocol;
	info->n_text = 1;
}

void boot_info_add_range(struct boot_info *info, uint64_t start, uint64_t len, uint32_t type)
{
	if (!len)
		return;
	if (info->n_ranges == BOOT_RANGES || start >= PHYS_END) {
		info->is_cut = true;
		return;
	}
	if (len > PHYS_END - start)
		len = PHYS_END - start;
	info->ranges[info->n_ranges++] = (struct boot_range){ start, len, type };
}

void boot_info_add_file(struct boot_info *info, uint64_t start, uint64_t len, uint16_t text)
{
	if (info->n_files == BOOT_FILES || start >= PHYS_END || len > PHYS_END - start) {
		info->is_cut = true;
		return;
	}
	info->files[info->n_files++] = (struct boot_file){ start, len, text };
}

uint16_t boot_info_add_text(struct boot_info *info, const struct boot_view *view, uint64_t phys,
			    uint64_t most)
{
	unsigned at = info->n_text;

	for (unsigned n = 0; n < most && at + n < BOOT_TEXT_BYTES; n++) {
		const char *c = boot_view_at(view, phys + n, 1);
		if (!c)
			break;
		info->text[at + n] = *c;
		if (!*c) {
			info->n_text = at + n + 1;
			return n ? (uint16_t)at : 0;
		}
	}
	info->is_cut = true;
	return 0;
}

static bool word_matches(const char *word, size_t len, const char *name, const char **ret_value)
{
	size_t n = strlen(name);

	if (len < n || memcmp(word, name, n) != 0 || (len > n && word[n] != '='))
		return false;
	*ret_value = len > n ? word + n + 1 : word + n;
	return true;
}

bool boot_info_word(const struct boot_info *info, const char *name, char *ret, size_t room)
{
	const char *at = boot_info_cmdline(info);

	while (*at) {
		size_t len = 0;
		const char *value;

		while (at[len] && at[len] != ' ')
			len++;
		if (len && word_matches(at, len, name, &value)) {
			size_t n = (size_t)(at + len - value);
			if (n >= room)
				n = room - 1;
			memcpy(ret, value, n);
			ret[n] = 0;
			return true;
		}
		at += len;
		while (*at == ' ')
			at++;
	}
	return false;
}
