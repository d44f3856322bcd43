/* SPDX-License-Identifier: Apache-2.0 */
/* Code: mostly instructions, mostly such as do something. */
#include "random_rig.h"

#include <string.h>

#include "base/core/macros.h"

/* Instructions with a ModRM byte; f in front: of the second map; 1: a byte behind it, 2: four. */
static const uint16_t with_modrm[] = {
	0x00,	0x01,	0x02,	0x03,	0x08,	0x0b,	0x11,	0x13,	0x19,	0x1b,	0x21,
	0x23,	0x29,	0x2b,	0x31,	0x33,	0x38,	0x39,	0x3b,	0x63,	0x84,	0x85,
	0x86,	0x87,	0x88,	0x89,	0x8a,	0x8b,	0x8b,	0x89,	0x8d,	0xd0,	0xd1,
	0xd2,	0xd3,	0xf6,	0xf7,	0xfe,	0xff,	0x8f,	0x8c,	0x8e,	0xd8,	0xd9,
	0xdb,	0xdd,	0xf40,	0xf44,	0xf4f,	0xf90,	0xf95,	0xfa3,	0xfab,	0xfb3,	0xfbb,
	0xfb0,	0xfb1,	0xfb6,	0xfb7,	0xfbe,	0xfbf,	0xfc0,	0xfc1,	0xfaf,	0xfbc,	0xfbd,
	0xfa5,	0xfad,	0xfb8,	0xf10,	0xf11,	0xf28,	0xf29,	0xf2a,	0xf2d,	0xf58,	0xf6e,
	0xf6f,	0xf7e,	0xf7f,	0xfd4,	0xfd6,	0xfef,	0xfc7,	0xf18,	0xf1f,	0xf01,	0xfae,
	0x106b, 0x1083, 0x10c0, 0x10c1, 0x10c6, 0x2069, 0x2081, 0x20c7, 0x1fa4, 0x1fac, 0x1fba,
	0x1f70, 0x1fc6,
};
/* Of the second map, with VEX.128 and VEX.256. */
static const uint8_t with_vex[] = {
	0x10, 0x11, 0x28, 0x29, 0x58, 0x6f, 0x7f, 0xd4, 0xd6, 0xef, 0x77
};
static const uint8_t plain[] = {
	0x90, 0x50, 0x53, 0x55, 0x58, 0x5b, 0x5d, 0x9c, 0x9d, 0xa4, 0xa5, 0xaa, 0xab, 0xac,
	0xad, 0xa6, 0xae, 0xf5, 0xf8, 0xf9, 0xfc, 0xfd, 0x98, 0x99, 0xc3, 0xc9, 0x9e, 0x9f,
	0x91, 0x97, 0x60, 0x61, 0x27, 0x37, 0xcb, 0xcf, 0xfa, 0xfb, 0xec, 0xd7, 0xcc, 0x40,
};
static const uint8_t with_imm8[] = { 0x04, 0x24, 0x3c, 0x6a, 0xa8, 0xb0, 0xb4, 0xcd, 0xe4 };
static const uint8_t prefixes[] = { 0x66, 0x66, 0xf2, 0xf3, 0xf3, 0x67, 0xf0, 0x64, 0x65, 0x2e };

#define PICK(rng, table) ((table)[diff_random(rng) % ARRAY_SIZE(table)])

static size_t put_modrm(struct diff_rng *rng, uint8_t *at)
{
	size_t n = 0;
	uint8_t modrm = (uint8_t)diff_random(rng);
	uint32_t disp = (uint32_t)(diff_random(rng) % RANDOM_RAM_BYTES);
	unsigned mod = modrm >> 6;

	at[n++] = modrm;
	if (mod != 3 && (modrm & 7) == 4)
		at[n++] = (uint8_t)diff_random(rng);
	if (mod == 1)
		at[n++] = (uint8_t)diff_random(rng);
	if (mod == 2 || (mod == 0 && (modrm & 7) == 5)) {
		if (diff_random(rng) % 2)
			disp = (uint32_t)(diff_random(rng) % 256) - 128U; /* its own code */
		memcpy(at + n, &disp, 4);
		n += 4;
	}
	return n;
}

static size_t put_jump(struct diff_rng *rng, uint8_t *at)
{
	uint32_t far = (uint32_t)(diff_random(rng) % 0x4000) - 0x2000U;

	switch (diff_random(rng) % 4) {
	case 0:
		at[0] = diff_random(rng) % 2 ? 0xe8 : 0xe9;
		memcpy(at + 1, &far, 4);
		return 5;
	case 1:
		at[0] = 0x0f;
		at[1] = (uint8_t)(0x80 | diff_random(rng) % 16);
		memcpy(at + 2, &far, 4);
		return 6;
	case 2:
		at[0] = (uint8_t)(0xe0 | diff_random(rng) % 4);
		break;
	default:
		at[0] = (uint8_t)(0x70 | diff_random(rng) % 16);
		break;
	}
	at[1] = (uint8_t)(diff_random(rng) % 64 - (diff_random(rng) % 4 ? 0 : 32));
	return 2;
}

/* [register] */
static const uint8_t cx8[] = { 0, 1, 2, 3, 6, 7 };

static size_t put_vex(struct diff_rng *rng, uint8_t *at)
{
	at[0] = 0xc5;
	at[1] = (uint8_t)(diff_random(rng) |
			  0x40); /* of ModRM outside of 64-bit code: mostly registers */
	at[2] = PICK(rng, with_vex);
	return 3 + put_modrm(rng, at + 3);
}

static size_t put_operation(struct diff_rng *rng, uint8_t *at)
{
	size_t n = 0;
	uint16_t op = PICK(rng, with_modrm);
	unsigned imm = op >> 12;

	if (diff_random(rng) % 3)
		at[n++] = (uint8_t)(0x40 | diff_random(rng) % 16);
	if (op & 0xf00)
		at[n++] = 0x0f;
	at[n++] = (uint8_t)op;
	const uint8_t *modrm = at + n;
	if (op == 0xfc7) /* CMPXCHG8B; others are random numbers */
		at[n++] = (uint8_t)(0x08 | PICK(rng, cx8));
	else
		n += put_modrm(rng, at + n);
	if ((op == 0xf6 || op == 0xf7) && !(*modrm & 0x30)) /* TEST */
		imm = op == 0xf6 ? 1 : 2;
	for (unsigned i = 0; imm && i < (imm == 1 ? 1U : 4U); i++)
		at[n++] = (uint8_t)diff_random(rng);
	return n;
}

/* and ecx, 31; some operations; dec ecx; jnz to the first of them. */
static size_t put_loop(struct diff_rng *rng, uint8_t *at)
{
	static const uint8_t before[] = { 0x83, 0xe1, 0x1f }, after[] = { 0xff, 0xc9, 0x75 };
	size_t n = sizeof(before);

	memcpy(at, before, sizeof(before));
	for (uint64_t i = diff_random(rng) % 4; i < 4; i++)
		n += put_operation(rng, at + n);
	memcpy(at + n, after, sizeof(after));
	n += sizeof(after) + 1;
	at[n - 1] = (uint8_t)(sizeof(before) - n);
	return n;
}

static size_t put_one(struct diff_rng *rng, uint8_t *at)
{
	unsigned kind = (unsigned)(diff_random(rng) % 32);
	uint64_t raw = diff_random(rng);
	size_t n = 0;

	if (kind < 4)
		at[n++] = PICK(rng, prefixes);
	if (kind < 16) {
		n += put_operation(rng, at + n);
	} else if (kind < 22) {
		at[n++] = PICK(rng, plain);
	} else if (kind < 26) {
		n += put_jump(rng, at + n);
	} else if (kind < 28) {
		at[n++] = PICK(rng, with_imm8);
		at[n++] = (uint8_t)raw;
	} else if (kind < 30) {
		n += put_vex(rng, at + n);
	} else if (kind < 31) {
		n += put_loop(rng, at + n);
	} else {
		memcpy(at + n, &raw, 4);
		n += 4;
	}
	return n;
}

void random_code(struct diff_rng *rng, uint8_t *at, size_t n)
{
	uint8_t one[96];

	for (size_t done = 0; done < n;) {
		size_t len = put_one(rng, one);
		if (len > n - done)
			len = n - done;
		memcpy(at + done, one, len);
		done += len;
	}
}
