/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the seccomp*.c files of this room. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/buf.h"
#include "base/core/err.h"

/* A file of compiled filters is this, then count instructions of 8 bytes: a cut one shows. */
struct seccomp_file_head {
	uint32_t magic;
	uint32_t count;
};
#define SECCOMP_FILE_MAGIC 0x31464353U /* "SCF1" */

/* What a profile's includes and excludes are held against. */
struct seccomp_host {
	const char *arch;	 /* OCI: "SCMP_ARCH_X86_64" */
	const char *docker_arch; /* "amd64" */
	unsigned kernel_major, kernel_minor;
	uint64_t caps;
};

int seccomp_host_read(uint64_t caps, struct seccomp_host *ret, struct err *err);

/*
 * seccomp_flatten() - a profile in Docker's format to OCI's LinuxSeccomp, without conditions: for this
 * host and the workload's capabilities
 * @ret: a new reference
 * Errors: -EINVAL for members of another type than the format's; -ENOTSUP; -ENOMEM.
 */
int seccomp_flatten(const char *json, size_t len, uint64_t caps, json_t **ret, struct err *err);

/*
 * What comes before libseccomp's program, to do what libseccomp cannot: refuse a socketcall() whose arguments no
 * filter sees, and answer for calls newer than libseccomp.
 */
#define SECCOMP_HEAD_ARCHES 4
#define SECCOMP_HEAD_CALLS  32
#define SECCOMP_HEAD_GUARDS 40

struct seccomp_head {
	uint32_t arches
		[SECCOMP_HEAD_ARCHES]; /* AUDIT_ARCH_x; their numbers from 424 on are the same */
	unsigned n_arches;
	bool x86;	    /* AUDIT_ARCH_I386 is one of them: guards count */
	uint32_t first_new; /* the first number that libseccomp does not know */
	bool deny_new;	    /* answer ENOSYS for the rest of the new ones */
	struct {
		uint32_t nr, action;
	} calls[SECCOMP_HEAD_CALLS]; /* new ones that the profile names */
	unsigned n_calls;
	struct {
		uint32_t nr, op; /* 32-bit x86: socketcall or ipc, and its first argument */
	} guards[SECCOMP_HEAD_GUARDS];
	unsigned n_guards;
	uint32_t guard_action;
};

/* seccomp_head_new_call() - a call libseccomp does not know: false where we do not either, or the list is full. */
bool seccomp_head_new_call(struct seccomp_head *head, const char *name, uint32_t action);
/* seccomp_head_guard() - close the multiplexed way to a call; other calls have none: a no-op. */
void seccomp_head_guard(struct seccomp_head *head, const char *name);
/* seccomp_head_unguard() - the profile allows this call, or a whole multiplexer, whatever its arguments. */
void seccomp_head_unguard(struct seccomp_head *head, const char *name);
/* seccomp_head_emit() - the instructions; what follows them in the program is libseccomp's. */
int seccomp_head_emit(const struct seccomp_head *head, struct buf *program);

/*
 * seccomp_shrink() - the same program in fewer instructions, where that is possible
 * The kernel prepares a filter anew for each process that takes one: its length is time at every start.
 */
void seccomp_shrink(struct buf *program);
