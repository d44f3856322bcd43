/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic beside the host's CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "vm/mmio_alu.h"
#include "x86/insn.h"

#define NATIVE_2(name, type, suffix)                                                               \
	static void name##_##type(uint64_t *a, uint64_t b, uint64_t *flags)                        \
	{                                                                                          \
		type x = (type)*a, y = (type)b;                                                    \
		uint64_t f = *flags;                                                               \
		__asm__ volatile("push %1; popfq; " #name suffix " %2, %0; pushfq; pop %1"         \
				 : "+r"(x), "+&r"(f)                                               \
				 : "r"(y)                                                          \
				 : "cc");                                                          \
		*a = x;                                                                            \
		*flags = f;                                                                        \
	}
#define NATIVE_1(name, type, suffix)                                                               \
	static void name##_##type(uint64_t *a, uint64_t b, uint64_t *flags)                        \
	{                                                                                          \
		type x = (type)*a;                                                                 \
		uint64_t f = *flags;                                                               \
		(void)b;                                                                           \
		__asm__ volatile("push %1; popfq; " #name suffix " %0; pushfq; pop %1"             \
				 : "+r"(x), "+&r"(f)                                               \
				 :                                                                 \
				 : "cc");                                                          \
		*a = x;                                                                            \
		*flags = f;                                                                        \
	}
#define SIZES(make, name)                                                                          \
	make(name, uint8_t, "b") make(name, uint16_t, "w") make(name, uint32_t, "l")               \
		make(name, uint64_t, "q")
#define WIDE(make, name)                                                                           \
	make(name, uint16_t, "w") make(name, uint32_t, "l") make(name, uint64_t, "q")

SIZES(NATIVE_2, add)
SIZES(NATIVE_2, or)
SIZES(NATIVE_2, adc)
SIZES(NATIVE_2, sbb)
SIZES(NATIVE_2, and)
SIZES(NATIVE_2, sub)
SIZES(NATIVE_2, xor)
SIZES(NATIVE_2, cmp)
SIZES(NATIVE_2, test)
SIZES(NATIVE_1, inc)
SIZES(NATIVE_1, dec)
SIZES(NATIVE_1, neg)
SIZES(NATIVE_1, not )
WIDE(NATIVE_2, bt)
WIDE(NATIVE_2, bts)
WIDE(NATIVE_2, btr)
WIDE(NATIVE_2, btc)

struct native {
	uint8_t op;
	bool keeps_first; /* CMP, TEST, BT: the result is thrown away */
	void (*fn[4])(uint64_t *a, uint64_t b, uint64_t *flags); /* 1, 2, 4, 8 bytes */
};

#define ROW(op, name, keeps)                                                                       \
	{                                                                                          \
		op, keeps,                                                                         \
		{                                                                                  \
			name##_uint8_t, name##_uint16_t, name##_uint32_t, name##_uint64_t          \
		}                                                                                  \
	}
#define ROW_WIDE(op, name, keeps)                                                                  \
	{                                                                                          \
		op, keeps,                                                                         \
		{                                                                                  \
			NULL, name##_uint16_t, name##_uint32_t, name##_uint64_t                    \
		}                                                                                  \
	}

static const struct native natives[] = {
	ROW(X86_OP_ADD, add, false),	  ROW(X86_OP_OR, or, false),
	ROW(X86_OP_ADC, adc, false),	  ROW(X86_OP_SBB, sbb, false),
	ROW(X86_OP_AND, and, false),	  ROW(X86_OP_SUB, sub, false),
	ROW(X86_OP_XOR, xor, false),	  ROW(X86_OP_CMP, cmp, true),
	ROW(X86_OP_TEST, test, true),	  ROW(X86_OP_INC, inc, false),
	ROW(X86_OP_DEC, dec, false),	  ROW(X86_OP_NEG, neg, false),
	ROW(X86_OP_NOT, not, false),	  ROW_WIDE(X86_OP_BT, bt, true),
	ROW_WIDE(X86_OP_BTS, bts, false), ROW_WIDE(X86_OP_BTR, btr, false),
	ROW_WIDE(X86_OP_BTC, btc, false),
};

static const uint64_t values[] = {
	0,
	1,
	2,
	0xf,
	0x10,
	0x7f,
	0x80,
	0xff,
	0x7fff,
	0x8000,
	0xffff,
	0x12345678,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	UINT64_C(0x0123456789abcdef),
	UINT64_C(0x7fffffffffffffff),
	UINT64_C(0x8000000000000000),
	UINT64_MAX,
};

static void compare(const struct native *n, unsigned size, uint64_t a, uint64_t b, uint64_t carry)
{
	unsigned len = 1U << size;
	uint64_t mask = len == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * len)) - 1;
	uint64_t rflags = 0x202 | carry, flags = rflags, x = a & mask;

	n->fn[size](&x, b & mask, &flags);
	struct alu_result r = alu(n->op, a & mask, b & mask, len, rflags);
	if (!n->keeps_first)
		assert_int_equal(r.value, x & mask);
	assert_int_equal(r.flags, flags & r.changed);
	/* What it does not claim is unchanged, or undefined: AF after logic, all but CF after a bit test. */
	assert_false(r.flags & ~r.changed);
}

static void every_operation_is_as_the_cpu_has_it(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(natives); n++) {
		assert_true(alu_knows(natives[n].op));
		for (unsigned size = natives[n].fn[0] ? 0 : 1; size < 4; size++) {
			for (size_t i = 0; i < ARRAY_SIZE(values) * ARRAY_SIZE(values) * 2; i++)
				compare(&natives[n], size, values[i / 2 % ARRAY_SIZE(values)],
					values[i / 2 / ARRAY_SIZE(values)], i % 2);
		}
	}
}

static void what_decides_no_flag_leaves_them(void **state)
{
	(void)state;
	assert_int_equal(alu(X86_OP_NOT, 1, 0, 4, 0).changed, 0);
	assert_int_equal(alu(X86_OP_INC, 1, 0, 4, 1).changed & X86_CF, 0);
	assert_int_equal(alu(X86_OP_BT, 1, 0, 4, 0).changed, X86_CF);
	assert_false(alu_knows(X86_OP_SHIFT));
	assert_false(alu_knows(X86_OP_LEA));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_is_as_the_cpu_has_it),
		cmocka_unit_test(what_decides_no_flag_leaves_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
