/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/modinfo.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"

/* Offsets in the ELF header and in a section header, 64-bit. */
enum elf {
	ELF_SHOFF = 0x28,
	ELF_SHENTSIZE = 0x3a,
	ELF_SHNUM = 0x3c,
	ELF_SHSTRNDX = 0x3e,
	ELF_HEADER_BYTES = 64,
	SECTION_NAME = 0,
	SECTION_OFFSET = 0x18,
	SECTION_SIZE = 0x20,
	SECTION_BYTES = 64,
};

static const uint8_t *slice(const uint8_t *data, size_t len, uint64_t offset, uint64_t n)
{
	return offset <= len && n <= len - offset ? data + offset : NULL;
}

/* The bytes of section n, and its name's place. */
static const uint8_t *section(const uint8_t *module, size_t len, unsigned n, size_t *ret_len,
			      uint32_t *ret_name)
{
	const uint8_t *table = slice(module, len, le64_load(module + ELF_SHOFF),
				     (uint64_t)(n + 1) * SECTION_BYTES);

	if (!table || n >= le16_load(module + ELF_SHNUM))
		return NULL;
	const uint8_t *s = table + (size_t)n * SECTION_BYTES;
	uint64_t size = le64_load(s + SECTION_SIZE);
	*ret_name = le32_load(s + SECTION_NAME);
	*ret_len = (size_t)size;
	return slice(module, len, le64_load(s + SECTION_OFFSET), size);
}

int modinfo_open(const uint8_t *module, size_t len, struct modinfo *ret)
{
	static const char wanted[] = ".modinfo";
	size_t names_len, text_len;
	uint32_t name;

	if (len < ELF_HEADER_BYTES || memcmp(module, "\177ELF\2\1", 6) != 0 ||
	    le16_load(module + ELF_SHENTSIZE) != SECTION_BYTES)
		return -EBADMSG;
	const uint8_t *names =
		section(module, len, le16_load(module + ELF_SHSTRNDX), &names_len, &name);
	if (!names)
		return -EBADMSG;
	for (unsigned i = 0; i < le16_load(module + ELF_SHNUM); i++) {
		const uint8_t *text = section(module, len, i, &text_len, &name);
		const uint8_t *at = slice(names, names_len, name, sizeof(wanted));
		if (!text || !at || memcmp(at, wanted, sizeof(wanted)) != 0)
			continue;
		*ret = (struct modinfo){ text, text_len };
		return 0;
	}
	return -EBADMSG;
}

const char *modinfo_next(const struct modinfo *info, const char *key, size_t *at)
{
	size_t key_len = strlen(key);

	while (*at < info->len) {
		const char *s = (const char *)info->text + *at;
		const char *end = memchr(s, '\0', info->len - *at);
		if (!end)
			return NULL;
		*at += (size_t)(end - s) + 1;
		if ((size_t)(end - s) > key_len && !memcmp(s, key, key_len) && s[key_len] == '=')
			return s + key_len + 1;
	}
	return NULL;
}
