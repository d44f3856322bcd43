/* SPDX-License-Identifier: Apache-2.0 */
/* A shrunk program against the one it was made from, both run here over numbers, architectures and arguments. */
#include "scratch.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "engines/caps.h"
#include "engines/seccomp/seccomp.h"
#include "engines/seccomp/seccomp_parts.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/os/fd.h"

#define NO_ANSWER 0xdeadbeefU

/* Linux Documentation/networking/filter.rst, "BPF engine and instruction set": what filters here use of it. */
static uint32_t run(const struct buf *program, const struct seccomp_data *data)
{
	const struct sock_filter *insns = (const struct sock_filter *)(const void *)program->data;
	size_t n = program->len / sizeof(*insns);
	uint32_t a = 0;

	for (size_t pc = 0; pc < n; pc++) {
		struct sock_filter i = insns[pc];
		switch (i.code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i.k > sizeof(*data) - 4)
				return NO_ANSWER;
			memcpy(&a, (const char *)data + i.k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i.k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i.k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i.k ? i.jt : i.jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i.k ? i.jt : i.jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > i.k ? i.jt : i.jf;
			break;
		case BPF_RET | BPF_K:
			return i.k;
		default:
			return NO_ANSWER;
		}
	}
	return NO_ANSWER;
}

static void compare_one(const struct buf *a, const struct buf *b, const struct seccomp_data *data)
{
	uint32_t one = run(a, data), two = run(b, data);

	if (one != two || one == NO_ANSWER)
		fail_msg("arch %x nr %x args %llx %llx: %x, shrunk %x", data->arch,
			 (unsigned)data->nr, (unsigned long long)data->args[0],
			 (unsigned long long)data->args[1], one, two);
}

static void compare(const struct buf *a, const struct buf *b)
{
	static const uint32_t arches[] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64,
					   0, UINT32_MAX };
	static const uint32_t bases[] = { 0, 0x40000000, 0x3ffffff0, 0xfffffc00, 0x7ffffff0 };
	static const uint64_t args[] = { 0,	     1,		  2,	       8,
					 11,	     12,	  16,	       37,
					 38,	     40,	  45,	       46,
					 0x20000,    0x20008,	  0x7e020000,  0x10000000,
					 0xffffffff, 0x100000000, 0x100000028, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(arches); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(bases) * 1024; j++) {
			struct seccomp_data data = { .arch = arches[i] };
			data.nr = (int)(bases[j / 1024] + j % 1024);
			for (size_t k = 0; k < ARRAY_SIZE(args); k++) {
				data.args[0] = args[k];
				data.args[1] = args[(k * 7 + j) % ARRAY_SIZE(args)];
				data.args[2] = args[(k * 3 + 1) % ARRAY_SIZE(args)];
				compare_one(a, b, &data);
			}
		}
	}
}

static void export(scmp_filter_ctx ctx, struct buf *ret)
{
	AUTO(fd_close_p) int fd = memfd_create("bpf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(seccomp_export_bpf(ctx, fd), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(fd_read_all(fd, 1 << 20, ret), 0);
}

/* Rules drawn at random: some with arguments, some that contradict others and are left out. */
static scmp_filter_ctx random_rules(unsigned seed, unsigned level)
{
	static const uint32_t actions[] = { SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(38),
					    SCMP_ACT_KILL_PROCESS, SCMP_ACT_LOG };
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(1));

	assert_non_null(ctx);
	srandom(seed);
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, level);
	if (seed % 4 != 0)
		(void)seccomp_arch_add(ctx, SCMP_ARCH_X86);
	if (seed % 3 == 0)
		(void)seccomp_arch_add(ctx, SCMP_ARCH_X32);
	for (unsigned i = 0; i < 10 + seed * 2; i++) {
		struct scmp_arg_cmp cmp = { .arg = (unsigned)random() % 3,
					    .op = (enum scmp_compare)(SCMP_CMP_NE + random() % 7),
					    .datum_a = (uint64_t)random() % 50,
					    .datum_b = (uint64_t)random() % 50 };
		uint32_t action = actions[random() % 4];
		int nr = (int)(random() % 430), last = nr + (int)(random() % 20);
		for (bool has_args = random() % 4 == 0; nr < last; nr++)
			(void)seccomp_rule_add_array(ctx, action, nr, has_args, &cmp);
	}
	return ctx;
}

static void random_programs_keep_their_meaning(void **state)
{
	unsigned smaller = 0;

	(void)state;
	for (unsigned seed = 0; seed < 24; seed++) {
		AUTO(buf_fini) struct buf full = { 0 };
		AUTO(buf_fini) struct buf small = { 0 };
		scmp_filter_ctx ctx = random_rules(seed, 1 + seed % 2);
		export(ctx, &full);
		seccomp_release(ctx);
		assert_int_equal(buf_add(&small, full.data, full.len), 0);
		seccomp_shrink(&small);
		smaller += small.len < full.len;
		compare(&full, &small);
	}
	assert_true(smaller > 12);
}

static void our_default_is_short(void **state)
{
	AUTO(buf_fini) struct buf program = { 0 };
	AUTO(buf_fini) struct buf twice = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(seccomp_compile(seccomp_default_profile, strlen(seccomp_default_profile),
					 caps_default, &program, &err),
			 0);
	assert_true(program.len / sizeof(struct sock_filter) < 500);
	assert_int_equal(buf_add(&twice, program.data, program.len), 0);
	seccomp_shrink(&twice);
	compare(&program, &twice);
}

static void what_it_cannot_follow_stays(void **state)
{
	static const struct sock_filter strange[][4] = {
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_STMT(BPF_MISC | BPF_TAX, 0),
		  BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 0) },
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
		  BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 0), BPF_STMT(BPF_RET | BPF_K, 0),
		  BPF_STMT(BPF_RET | BPF_K, 0) },
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
		  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 200, 200), BPF_STMT(BPF_RET | BPF_K, 0),
		  BPF_STMT(BPF_RET | BPF_K, 0) },
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4), BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX),
		  BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 0) },
	};
	AUTO(buf_fini) struct buf empty = { 0 };

	(void)state;
	seccomp_shrink(&empty);
	assert_int_equal(empty.len, 0);
	for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
		AUTO(buf_fini) struct buf program = { 0 };
		assert_int_equal(buf_add(&program, strange[i], sizeof(strange[i])), 0);
		seccomp_shrink(&program);
		assert_int_equal(program.len, sizeof(strange[i]));
		assert_memory_equal(program.data, strange[i], sizeof(strange[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_programs_keep_their_meaning),
		cmocka_unit_test(our_default_is_short),
		cmocka_unit_test(what_it_cannot_follow_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
