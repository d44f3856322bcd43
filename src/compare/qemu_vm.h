/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A virtual machine of QEMU's that runs an image just as one of ours does: the same kernel, initramfs and root disk, and strata-init
 * inside, which is spoken to over the ports of a virtio console (include/abi/agent.h). Its sessions would take a vsock, which QEMU
 * has only with the host's vhost-vsock: so there is no exec. What is measured inside is given to the idle shell (qemu_shell) to run.
 *
 *	qemu_vm_start() -> qemu_vm_wait(.., QEMU_STARTED ..) -> qemu_vm_wait(.., QEMU_ENDED ..) -> qemu_vm_end()
 */
#include <jansson.h>

#include "base/core/buf.h"
#include "compare/column.h"
#include "compare/group.h"
#include "engines/spec.h"
#include "engines/vmm/agent_frame.h"
#include "engines/vmm/agent_wire.h"

/* What all machines of a column have alike; strings owned. */
struct qemu_files {
	char *kernel, *initrd, *root, *seccomp;
};
int qemu_files_find(const struct column_setup *setup, struct qemu_files *ret, struct err *err);
void qemu_files_fini(struct qemu_files *files);

enum qemu_phase { QEMU_BOOTING, QEMU_STARTED, QEMU_SAID, QEMU_ENDED, QEMU_GONE };

struct qemu_vm {
	bool made;
	pid_t pid;
	int pidfd, control, in, out, err, qmp;
	enum qemu_phase phase;
	struct frame_reader reader;
	struct buf to_guest, config, out_text, err_text;
	uint64_t out_n, err_n; /* bytes that came */
	struct agent_end end;
	struct err failed; /* what the guest or QEMU says of its failure */
	int64_t begin_ns, first_ns, end_ns;
	struct group group;
	char dir[3072]; /* its disk, its log */
};

/*
 * The idle one's workload: runs what comes on its standard input, a command a line in the escapes of printf's %b, and says then
 * QEMU_MARK and the exit status on a line of its own.
 */
extern const char *const qemu_shell[];
#define QEMU_MARK "strata-compare-end"
/*
 * qemu_vm_ask() - have the shell run a command
 * Return: 0 with *ret, whose timed_out says that the machine is still busy with it: then it is of no more use
 */
int qemu_vm_ask(struct qemu_vm *vm, const char *const *argv, unsigned timeout, int stop,
		struct outcome *ret, struct err *err);

/* @accel: "tcg", "kvm"   @name: tells them apart   @argv: NULL: qemu_shell   @vm: stays where it is from here on */
int qemu_vm_start(const struct column_setup *setup, const struct qemu_files *files,
		  const char *accel, const char *name, const char *const *argv, struct qemu_vm *vm,
		  struct err *err);
/*
 * qemu_vm_wait() - until it has come to a phase; QEMU_SAID is the first byte of its output
 * @timeout: seconds from its start; with QEMU_GONE it is switched off once its output is here
 * Return: 0, -ETIMEDOUT, -EINTR, or -EIO with what it said where it is gone before
 */
int qemu_vm_wait(struct qemu_vm *vm, enum qemu_phase phase, unsigned timeout, int stop,
		 struct err *err);
/* qemu_vm_signal() - to the workload. */
void qemu_vm_signal(struct qemu_vm *vm, int sig);
/* qemu_vm_command() - one without arguments, over QMP: "stop", "cont". */
int qemu_vm_command(struct qemu_vm *vm, const char *command, struct err *err);
/* qemu_vm_query() - one with arguments, as JSON: what it returns is a new reference, or @ret is NULL. */
int qemu_vm_query(struct qemu_vm *vm, const char *command, const char *arguments, json_t **ret,
		  struct err *err);
/*
 * qemu_stats.c. qemu_vm_exits() - what KVM counts of its vcpus, together; where it is none of KVM's, nothing is counted.
 * qemu_stats_read() - the same, of what QEMU answers
 */
int qemu_vm_exits(struct qemu_vm *vm, struct exit_counts *ret, uint64_t *ret_counted,
		  struct err *err);
void qemu_stats_read(const json_t *answer, struct exit_counts *ret, uint64_t *ret_counted);
/* qemu_vm_end() - kill what is left, and remove it; a zeroed one is a no-op. @ret_...: NULL or as group_end() has them */
void qemu_vm_end(struct qemu_vm *vm, double *ret_cpu_ms, double *ret_memory_mib);
