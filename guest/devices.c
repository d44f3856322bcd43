/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"

/* Linux: Documentation/admin-guide/devices.txt; a device is compared whole, 12 bits major, 20 bits minor, as dev_t. */
#define DEVICE(major, minor) ((major) << 20 | (minor))
#define DEVICE_PTS	     136 /* major of /dev/pts/N */

static const int32_t devices_allowed[] = {
	DEVICE(1, 3), /* null */ DEVICE(1, 5),	  /* zero */ DEVICE(1, 7),    /* full */
	DEVICE(1, 8), /* random */ DEVICE(1, 9),  /* urandom */ DEVICE(5, 0), /* tty */
	DEVICE(5, 1), /* console */ DEVICE(5, 2),			      /* ptmx */
};

struct devices_program {
	struct bpf_insn insns[32];
	unsigned n;
};

static void devices_emit(struct devices_program *p, uint8_t code, unsigned dst, unsigned src,
			 int16_t off, int32_t imm)
{
	p->insns[p->n++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm
	};
}

enum { R0, R1, R_TYPE, R_ACCESS, R_DEVICE, R_MINOR }; /* R1: struct bpf_cgroup_dev_ctx */

/*
 *	access is "make a node" alone        -> allow: making one is harmless where opening it is refused
 *	not a character device               -> deny
 *	a terminal, or one of the list       -> allow
 */
static void devices_make(struct devices_program *p)
{
	const unsigned list = ARRAY_SIZE(devices_allowed);

	devices_emit(p, BPF_LDX | BPF_W | BPF_MEM, R_TYPE, R1, 0, 0);
	devices_emit(p, BPF_ALU | BPF_MOV | BPF_X, R_ACCESS, R_TYPE, 0, 0);
	devices_emit(p, BPF_ALU | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
	devices_emit(p, BPF_ALU | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
	devices_emit(p, BPF_LDX | BPF_W | BPF_MEM, R_DEVICE, R1, 4, 0);
	devices_emit(p, BPF_LDX | BPF_W | BPF_MEM, R_MINOR, R1, 8, 0);
	/* Below: two jumps here, one with its shift and or after it, the list, deny (2), allow (2). */
	const int16_t to_allow = (int16_t)(1 + 1 + 2 + list + 2);
	devices_emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_ACCESS, 0, to_allow, BPF_DEVCG_ACC_MKNOD);
	devices_emit(p, BPF_JMP32 | BPF_JNE | BPF_K, R_TYPE, 0, (int16_t)(1 + 2 + list),
		     BPF_DEVCG_DEV_CHAR);
	devices_emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_DEVICE, 0, (int16_t)(2 + list + 2),
		     DEVICE_PTS);
	devices_emit(p, BPF_ALU | BPF_LSH | BPF_K, R_DEVICE, 0, 0, 20);
	devices_emit(p, BPF_ALU | BPF_OR | BPF_X, R_DEVICE, R_MINOR, 0, 0);
	for (unsigned i = 0; i < list; i++)
		devices_emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_DEVICE, 0,
			     (int16_t)(list - i - 1 + 2), devices_allowed[i]);
	for (int32_t answer = 0; answer <= 1; answer++) {
		devices_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, answer);
		devices_emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	}
}

int devices_restrict(const char *cgroup, struct err *err)
{
	struct devices_program program = { .n = 0 };

	devices_make(&program);
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
				.insns = (uintptr_t)program.insns,
				.insn_cnt = program.n,
				.license = (uintptr_t) "Apache-2.0" };
	AUTO(fd_close_p) int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	if (fd < 0)
		return err_set(err, errno, "device rules");
	AUTO(fd_close_p) int dir = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_set(err, errno, "open %s", cgroup);
	union bpf_attr attach = { .target_fd = (uint32_t)dir,
				  .attach_bpf_fd = (uint32_t)fd,
				  .attach_type = BPF_CGROUP_DEVICE };
	if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0)
		return err_set(err, errno, "device rules");
	return 0;
}
