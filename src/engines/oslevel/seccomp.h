/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * seccomp filters for containers. Compiling a profile with libseccomp costs milliseconds, so a compiled
 * filter is kept under <root>/seccomp/DIGEST, the digest being over the profile, the capabilities it depends on and the
 * version of the compiler: the monitor only reads a file and loads it.
 */
#include <linux/filter.h>
#include <stdint.h>

#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/os/store.h"

/*
 * seccomp_filter() - path of the compiled filter, compiling it where it is not there yet
 * @profile: NULL or "default": as strict as Docker's default; else a file with a profile in Docker's JSON format
 *           (the OCI form, LinuxSeccomp of the runtime specification, is a subset)
 * @caps: bit n: capability n; Docker's profile allows some calls only with their capability
 * @ret_path: absolute, the caller's to free()
 */
int seccomp_filter(struct store *store, const char *profile, uint64_t caps, char **ret_path,
		   struct err *err);
/* seccomp_compile() - JSON text to struct sock_filter[]; no files. For seccomp_filter(), tests and the fuzzer. */
int seccomp_compile(const char *json, size_t len, uint64_t caps, struct buf *ret, struct err *err);
extern const char seccomp_default_profile[]; /* our own default, in the same JSON format */
/* seccomp_load() - install a compiled filter from an open file on this thread (caller has no_new_privs or CAP_SYS_ADMIN). */
int seccomp_load(int fd, struct err *err);
