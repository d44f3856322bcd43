/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * seccomp filters for containers. Compiling a profile with libseccomp costs milliseconds, so a compiled
 * filter is kept under <root>/seccomp/DIGEST, the digest being over the profile, the capabilities it depends on and the
 * version of the compiler: the monitor only reads a file and loads it.
 *
 *	Docker's JSON --seccomp_flatten()--> OCI's JSON --seccomp_compile()--> BPF --seccomp_filter()--> file
 *	file --seccomp_install()--> the process (seccomp_install.c, without libseccomp)
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

/*
 * seccomp_filter_fd() - the same of a profile's text, with its own store; as seccomp_compile_notify()
 * @dir: filters are kept in <dir>/seccomp
 * Return: an open file for seccomp_install(), or a negative errno.
 */
int seccomp_filter_fd(int dir, const char *json, size_t len, struct err *err);

/*
 * seccomp_compile() - JSON text to struct sock_filter[]; no files. For seccomp_filter(), tests and the fuzzer
 * Names of system calls that nobody here knows are skipped, as Docker does. Calls newer than libseccomp
 * that the profile does not name are answered with ENOSYS where the default is an errno, so that C libraries
 * fall back to older ones. On x86 a rule that looks at the arguments of socket() or another call that also goes
 * through socketcall() or ipc() closes that way to it, unless the profile allows socketcall or ipc by name.
 * Errors: -EBADMSG, -EINVAL: the profile, with the member's place; -ENOTSUP: notification, flags; -E2BIG.
 */
int seccomp_compile(const char *json, size_t len, uint64_t caps, struct buf *ret, struct err *err);
/*
 * seccomp_compile_notify() - the same for a caller that takes the listener: SCMP_ACT_NOTIFY is an action
 * Errors: -ENOTSUP for one of sendmsg(2), by which the process hands its listener over, and as the default.
 */
int seccomp_compile_notify(const char *json, size_t len, struct buf *ret, struct err *err);

/*
 * seccomp_to_oci() - the profile as OCI's LinuxSeccomp for these capabilities, this machine and this kernel,
 * includes and excludes resolved: what another runtime needs to run under the same rules
 * @ret: indented JSON, the caller's to free()
 */
int seccomp_to_oci(const char *json, size_t len, uint64_t caps, char **ret, struct err *err);

extern const char seccomp_default_profile[]; /* our own default, in the same JSON format */
extern const char seccomp_default_digest[];  /* SHA-256 of it, hex: known at build time */

/*
 * seccomp_install() - put a compiled filter, from an open file of seccomp_filter(), on this thread
 * The caller has no_new_privs or CAP_SYS_ADMIN. (Not seccomp_load(): libseccomp has one.)
 */
int seccomp_install(int fd, struct err *err);
/*
 * seccomp_install_with() - the same
 * @flags: SECCOMP_FILTER_FLAG_x of seccomp(2)   @ret_listener: what SECCOMP_FILTER_FLAG_NEW_LISTENER gives; NULL: none is asked
 */
int seccomp_install_with(int fd, unsigned flags, int *ret_listener, struct err *err);
