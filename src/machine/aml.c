/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/aml.h"

#include <string.h>

#include "base/core/bytes.h"

void aml_bytes(struct aml *aml, const void *data, size_t len)
{
	if (aml->full || len > aml->size - aml->len) {
		aml->full = true;
		return;
	}
	memcpy(&aml->data[aml->len], data, len);
	aml->len += len;
}

void aml_byte(struct aml *aml, uint8_t value)
{
	aml_bytes(aml, &value, 1);
}

static void aml_word(struct aml *aml, uint16_t value)
{
	aml_bytes(aml, &value, sizeof(value));
}

static void aml_dword(struct aml *aml, uint32_t value)
{
	aml_bytes(aml, &value, sizeof(value));
}

static void aml_qword(struct aml *aml, uint64_t value)
{
	aml_bytes(aml, &value, sizeof(value));
}

/* Puts bytes in front of what was emitted from `at` on. */
static void aml_insert(struct aml *aml, size_t at, const void *data, size_t len)
{
	if (aml->full || len > aml->size - aml->len) {
		aml->full = true;
		return;
	}
	memmove(&aml->data[at + len], &aml->data[at], aml->len - at);
	memcpy(&aml->data[at], data, len);
	aml->len += len;
}

void aml_op(struct aml *aml, enum aml_op op)
{
	if (op > 0xff)
		aml_byte(aml, (uint8_t)(op >> 8));
	aml_byte(aml, (uint8_t)op);
}

/* ---- names and constants ---- */

void aml_path(struct aml *aml, const char *path)
{
	char segment[4];
	unsigned n = 0;

	if (*path == '\\')
		aml_byte(aml, (uint8_t)*path++);
	for (; n < sizeof(segment) && path[n]; n++)
		segment[n] = path[n];
	for (; n < sizeof(segment); n++)
		segment[n] = '_';
	aml_bytes(aml, segment, sizeof(segment));
}

void aml_name(struct aml *aml, const char *name)
{
	aml_byte(aml, 0x08);
	aml_path(aml, name);
}

/* 20.2.3 Data Objects Encoding: the shortest form. */
void aml_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) {
		aml_byte(aml, (uint8_t)value);
	} else if (value <= UINT8_MAX) {
		aml_byte(aml, 0x0a);
		aml_byte(aml, (uint8_t)value);
	} else if (value <= UINT16_MAX) {
		aml_byte(aml, 0x0b);
		aml_word(aml, (uint16_t)value);
	} else if (value <= UINT32_MAX) {
		aml_byte(aml, 0x0c);
		aml_dword(aml, (uint32_t)value);
	} else {
		aml_byte(aml, 0x0e);
		aml_qword(aml, value);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	aml_byte(aml, 0x0d);
	while (*text)
		aml_byte(aml, (uint8_t)*text++);
	aml_byte(aml, 0);
}

static unsigned aml_hex(char digit)
{
	return digit <= '9' ? (unsigned)(digit - '0') : (unsigned)(digit - 'A') + 10;
}

/* 6.1.5 _HID, and 19.6.36 EISAID: three letters of 5 bits, four hexadecimal digits, most significant first. */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < 7 && id[i]; i++) {
		if (i < 3)
			value = value << 5 | (uint32_t)(id[i] - '@');
		else
			value = value << 4 | aml_hex(id[i]);
	}
	aml_byte(aml, 0x0c);
	aml_dword(aml, __builtin_bswap32(value));
}

/* ---- objects with a length ---- */

size_t aml_open(struct aml *aml, enum aml_op op)
{
	aml_op(aml, op);
	return aml->len;
}

/*
 * 20.2.4 Package Length Encoding: it counts its own bytes; one byte for less than 64, else 4 bits of the length in the
 * first, which also says how many follow.
 */
void aml_close(struct aml *aml, size_t object)
{
	size_t content = aml->full ? 0 : aml->len - object;
	uint8_t length[4];
	unsigned more = 0;

	if (content + 1 < 64) {
		length[0] = (uint8_t)(content + 1);
	} else {
		for (more = 1; more < 3 && content + 1 + more >= UINT64_C(1) << (4 + 8 * more);)
			more++;
		size_t total = content + 1 + more;
		length[0] = (uint8_t)(more << 6 | (total & 0xf));
		for (unsigned i = 1; i <= more; i++)
			length[i] = (uint8_t)(total >> (4 + 8 * (i - 1)));
	}
	aml_insert(aml, object, length, more + 1);
}

/* A buffer's size comes before its bytes, and is an integer as any other. */
static void aml_buffer_close(struct aml *aml, size_t object)
{
	uint8_t bytes[9];
	struct aml size = { .data = bytes, .size = sizeof(bytes) };

	aml_integer(&size, aml->full ? 0 : aml->len - object);
	aml_insert(aml, object, bytes, size.len);
	aml_close(aml, object);
}

void aml_buffer(struct aml *aml, const void *data, size_t len)
{
	size_t buffer = aml_open(aml, AML_BUFFER);

	aml_bytes(aml, data, len);
	aml_buffer_close(aml, buffer);
}

/* ---- resources ---- */

size_t aml_resources_open(struct aml *aml)
{
	return aml_open(aml, AML_BUFFER);
}

/* 6.4.2.9 End Tag: a checksum of zero is taken for right. */
void aml_resources_close(struct aml *aml, size_t object)
{
	aml_byte(aml, 0x79);
	aml_byte(aml, 0);
	aml_buffer_close(aml, object);
}

/* 6.4.2.5 I/O Port Descriptor */
void aml_ports(struct aml *aml, uint16_t base, uint8_t len)
{
	aml_byte(aml, 0x47);
	aml_byte(aml, 1); /* decodes 16 bits */
	aml_word(aml, base);
	aml_word(aml, base);
	aml_byte(aml, 1); /* alignment */
	aml_byte(aml, len);
}

/* 6.4.2.1 IRQ Descriptor, the short one */
void aml_irq(struct aml *aml, unsigned irq)
{
	aml_byte(aml, 0x22);
	aml_word(aml, (uint16_t)(1U << (irq & 15)));
}

/* 6.4.3.4 32-Bit Fixed Memory Range Descriptor */
void aml_memory(struct aml *aml, uint32_t base, uint32_t bytes)
{
	aml_byte(aml, 0x86);
	aml_word(aml, 9);
	aml_byte(aml, 1); /* can be written */
	aml_dword(aml, base);
	aml_dword(aml, bytes);
}

/* 6.4.3.5 Address Space Resource Descriptors: a producer, both ends fixed, decoded positively. */
void aml_window(struct aml *aml, enum aml_window type, uint64_t first, uint64_t last)
{
	static const uint8_t flags[] = {
		[AML_WINDOW_MEMORY] = 1, /* can be written, not cacheable */
		[AML_WINDOW_PORTS] = 3,	 /* the entire range, not only ISA's */
		[AML_WINDOW_BUS] = 0,
	};
	const uint64_t fields[] = { 0 /* granularity */, first, last, 0 /* translation */,
				    last - first + 1 };
	unsigned width = last <= UINT16_MAX && last - first < UINT16_MAX && type ? 2
			 : last <= UINT32_MAX && last - first < UINT32_MAX	 ? 4
										 : 8;

	aml_byte(aml, width == 2 ? 0x88 : width == 4 ? 0x87 : 0x8a);
	aml_word(aml, (uint16_t)(3 + 5 * width));
	aml_byte(aml, (uint8_t)type);
	aml_byte(aml, 0x0c);
	aml_byte(aml, flags[type]);
	for (unsigned i = 0; i < 5; i++)
		aml_bytes(aml, &fields[i], width); /* little-endian */
}
