/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder against Zydis: every opcode of every map under every prefix that changes it, and random bytes. What may differ,
 * and why, is in decode_zydis_known.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "decode_zydis.h"

#define SHOWN 20U /* differences, then only their number */

/* SIB, displacement, immediate: what follows ModRM. */
static const uint8_t tail[] = { 0x4c, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0x11, 0x22 };

struct walk {
	struct zydis zydis;
	unsigned long total, valid, differences;
};

static void show(const struct difference *d, const struct zydis_view *view, const uint8_t *bytes,
		 enum x86_code code)
{
	print_error("%s: ours %#jx, theirs %#jx (%s):", d->what, (uintmax_t)d->ours,
		    (uintmax_t)d->theirs,
		    view->valid ? ZydisMnemonicGetString(view->insn.mnemonic) : "none");
	for (unsigned i = 0; i < X86_INSN_MAX; i++)
		print_error(" %02x", bytes[i]);
	print_error(", %d bits\n", 16 << code);
}

static void try_one(struct walk *walk, const uint8_t *bytes, enum x86_code code)
{
	struct zydis_view view;
	struct x86_insn insn = { 0 };
	int len;
	struct difference d = zydis_compare(&walk->zydis, bytes, code, &view, &insn, &len);

	walk->total++;
	walk->valid += len > 0;
	if (d.what && !zydis_excuse(&d, &view, &insn, bytes, code) && walk->differences++ < SHOWN)
		show(&d, &view, bytes, code);
}

static void try_all_codes(struct walk *walk, const uint8_t *bytes)
{
	for (unsigned code = X86_CODE_16; code <= X86_CODE_64; code++)
		try_one(walk, bytes, (enum x86_code)code);
}

static void walk_end(const struct walk *walk, unsigned long least_valid)
{
	print_message("# %lu tried, %lu of them instructions\n", walk->total, walk->valid);
	assert_int_equal(walk->differences, 0);
	assert_true(walk->valid >= least_valid);
}

/* @prefixes, 0-ended, then the opcode of @map and all that ModRM can be. */
static void walk_legacy_opcode(struct walk *walk, const uint8_t *prefixes, unsigned map,
			       unsigned opcode)
{
	static const uint8_t escapes[4][2] = {
		{ 0, 0 }, { 0x0f, 0 }, { 0x0f, 0x38 }, { 0x0f, 0x3a }
	};
	uint8_t bytes[X86_INSN_MAX] = { 0 };
	bool has_rex = false;
	unsigned n = 0;

	for (; prefixes[n]; n++) {
		bytes[n] = prefixes[n];
		has_rex |= (prefixes[n] & 0xf0) == 0x40;
	}
	for (unsigned i = 0; i < 2 && escapes[map][i]; i++)
		bytes[n++] = escapes[map][i];
	bytes[n++] = (uint8_t)opcode;
	for (unsigned i = n + 1; i < X86_INSN_MAX; i++)
		bytes[i] = tail[(i - n - 1) % sizeof(tail)];
	for (unsigned modrm = 0; modrm < 256; modrm++) {
		bytes[n] = (uint8_t)modrm;
		if (has_rex)
			try_one(walk, bytes, X86_CODE_64);
		else
			try_all_codes(walk, bytes);
	}
}

static void every_legacy_opcode_is_as_zydis_says(void **state)
{
	static const uint8_t prefixes[][3] = {
		{ 0 },		{ 0x66 },	{ 0xf2 },	{ 0xf3 },	{ 0x67 },
		{ 0xf0 },	{ 0x48 },	{ 0x66, 0x48 }, { 0xf2, 0x48 }, { 0xf3, 0x48 },
		{ 0xf0, 0x48 }, { 0x45 },	{ 0x66, 0x45 }, { 0xf3, 0x45 }, { 0x42 },
		{ 0x67, 0x41 }, { 0x66, 0xf2 }, { 0x66, 0xf3 }, { 0x64 },	{ 0x2e },
	};
	struct walk walk = { 0 };

	(void)state;
	zydis_init(&walk.zydis);
	for (unsigned map = 0; map < 4; map++) {
		for (unsigned i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
			for (unsigned opcode = 0; opcode < 256; opcode++)
				walk_legacy_opcode(&walk, prefixes[i], map, opcode);
		}
	}
	walk_end(&walk, 4000000);
}

/* @third: pp, L, W as they stand. Every ModRM, registers low and high, vvvv used and not. */
static void walk_vex_opcode(struct walk *walk, unsigned map, unsigned opcode, unsigned third)
{
	uint8_t bytes[X86_INSN_MAX] = { 0xc4, 0, 0, (uint8_t)opcode };

	memcpy(bytes + 5, tail, sizeof(tail));
	for (unsigned modrm = 0; modrm < 256; modrm++) {
		bytes[1] = (uint8_t)(map | (modrm & 2 ? 0xe0 : 0xc0));
		bytes[2] = (uint8_t)(third | (modrm & 1 ? 0x78 : 0x58));
		bytes[4] = (uint8_t)modrm;
		try_one(walk, bytes, X86_CODE_32);
		bytes[1] = (uint8_t)(map | (modrm & 4 ? 0xe0 : 0x40));
		try_one(walk, bytes, X86_CODE_64);
		bytes[2] ^= 0x78 ^ 0x58;
		try_one(walk, bytes, X86_CODE_64);
	}
}

static void every_vex_opcode_is_as_zydis_says(void **state)
{
	struct walk walk = { 0 };

	(void)state;
	zydis_init(&walk.zydis);
	for (unsigned map = 0; map < 5; map++) {
		for (unsigned opcode = 0; opcode < 256; opcode++) {
			for (unsigned third = 0; third < 16; third++)
				walk_vex_opcode(&walk, map, opcode, (third & 7) | (third & 8) << 4);
		}
	}
	walk_end(&walk, 800000);
}

/* @bits: pp, W, L'L, b, aaa, z, vvvv. A few ModRM of each kind; other bits give others. */
static void walk_evex_opcode(struct walk *walk, unsigned map, unsigned opcode, unsigned bits)
{
	uint8_t bytes[X86_INSN_MAX] = { 0x62, 0, 0, 0, (uint8_t)opcode };

	memcpy(bytes + 6, tail, sizeof(tail) - 1);
	bytes[2] = (uint8_t)((bits & 3) | 4 | (bits & 4) << 5 | (bits & 8 ? 0x78 : 0x58));
	bytes[3] = (uint8_t)((bits >> 4 & 3) << 5 | (bits & 0x40 ? 0x10 : 0) | 8 |
			     (bits & 0x80 ? 1 : 0) | (bits & 0x100 ? 0x80 : 0));
	for (unsigned modrm = bits % 7; modrm < 256; modrm += 35) {
		bytes[1] = (uint8_t)(map | (modrm & 1 ? 0xf0 : 0x50));
		bytes[5] = (uint8_t)modrm;
		try_one(walk, bytes, X86_CODE_64);
		bytes[1] |= 0xc0;
		try_one(walk, bytes, X86_CODE_32);
	}
}

static void every_evex_opcode_is_as_zydis_says(void **state)
{
	struct walk walk = { 0 };

	(void)state;
	zydis_init(&walk.zydis);
	for (unsigned map = 0; map < 8; map++) {
		for (unsigned opcode = 0; opcode < 256; opcode++) {
			for (unsigned bits = 0; bits < 512; bits++)
				walk_evex_opcode(&walk, map, opcode, bits);
		}
	}
	walk_end(&walk, 200000);
}

/* xorshift64*: the same bytes in every run. */
static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* Random bytes, half of them behind prefixes and escapes that lead somewhere. */
static void random_bytes(uint64_t *seed, uint8_t *bytes)
{
	static const uint8_t starts[16] = { 0x66, 0xf2, 0xf3, 0x0f, 0x67, 0x48, 0x40, 0x4f,
					    0x2e, 0x64, 0xf0, 0xc4, 0xc5, 0x62, 0x3e, 0x36 };
	uint64_t how = random_next(seed);

	for (unsigned i = 0; i < X86_INSN_MAX; i++)
		bytes[i] = (uint8_t)(random_next(seed) >> 32);
	for (unsigned i = 0; how & 1 && i < (how >> 1 & 3); i++)
		bytes[i] = starts[how >> (8 + 4 * i) & 15];
}

static void random_bytes_are_as_zydis_says(void **state)
{
	struct walk walk = { 0 };
	uint64_t seed = 1;
	uint8_t bytes[X86_INSN_MAX];

	(void)state;
	zydis_init(&walk.zydis);
	for (unsigned i = 0; i < 500000; i++) {
		random_bytes(&seed, bytes);
		try_all_codes(&walk, bytes);
	}
	walk_end(&walk, 1000000);
}

/* The comparison is worth something only if it notices. */
static void a_wrong_field_is_noticed(void **state)
{
	static const uint8_t add_mem[X86_INSN_MAX] = { 0x48, 0x03, 0x44, 0xb3, 0x10 };
	struct zydis zydis;
	struct zydis_view view;
	struct x86_insn insn;
	struct difference d;
	int len;

	(void)state;
	zydis_init(&zydis);
	d = zydis_compare(&zydis, add_mem, X86_CODE_64, &view, &insn, &len);
	assert_null(d.what);
	insn.mem.bytes = 4;
	assert_string_equal(zydis_compare_decoded(&insn, &view).what, "mem.bytes");
	insn.mem.bytes = 8;
	insn.gpr_read = 0;
	assert_string_equal(zydis_compare_decoded(&insn, &view).what, "gpr_read");
	insn.gpr_read = 1U << X86_RAX | 1U << X86_RBX | 1U << X86_RSI;
	insn.flags_written = X86_CF;
	assert_string_equal(zydis_compare_decoded(&insn, &view).what, "flags_written");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_legacy_opcode_is_as_zydis_says),
		cmocka_unit_test(every_vex_opcode_is_as_zydis_says),
		cmocka_unit_test(every_evex_opcode_is_as_zydis_says),
		cmocka_unit_test(random_bytes_are_as_zydis_says),
		cmocka_unit_test(a_wrong_field_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
