/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which init a root file system has, for a system container: it is executed as process 1, and each kind is told to shut down by
 * a signal of its own. Paths are looked up in that root; what is there is hostile.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "base/core/err.h"

enum sysinit_kind {
	SYSINIT_OTHER,
	SYSINIT_SYSTEMD,
	SYSINIT_SYSV,
	SYSINIT_BUSYBOX,
	SYSINIT_OPENRC,
	SYSINIT_RUNIT,
	SYSINIT_KINDS,
};

struct sysinit {
	enum sysinit_kind kind;
	const char *path; /* a constant, or the one that was asked for */
	unsigned version; /* systemd's; 0: not known, which means before 231 */
};

/*
 * sysinit_find() - the init of a root
 * @root: an O_PATH fd   @asked: an absolute path or a name that the image or the user says; NULL: looked for where inits are
 * Errors: -ENOENT, with the places that were looked at.
 */
int sysinit_find(int root, const char *asked, struct sysinit *ret, struct err *err);
/* sysinit_named() - whether a command's first word is what inits are called: "/sbin/init", "systemd". */
bool sysinit_named(const char *command);
/*
 * sysinit_kind_of() - by the program that the path leads to in the end
 * @target: "/usr/lib/systemd/systemd"
 */
enum sysinit_kind sysinit_kind_of(const char *target);
const char *sysinit_name(enum sysinit_kind kind);
/*
 * sysinit_stop_signal() - what shuts it and everything below it down
 * Sources: systemd(1), "SIGNALS"; init(8) of sysvinit, "INIT SIGNALS" (SIGINT: the ctrlaltdel line of inittab(5)); busybox,
 * init/init.c; openrc, src/openrc-init; runit-init(8).
 */
int sysinit_stop_signal(enum sysinit_kind kind);
/*
 * sysinit_wants_tty1() - whether its image expects logins on /dev/tty1, as a machine has it: inittab(5)'s first getty, runit's getty-1.
 * systemd's is on the console where it is in a container (console-getty.service).
 */
bool sysinit_wants_tty1(enum sysinit_kind kind);
/*
 * sysinit_tell() - in the monitor, before sysinit_stop_signal(): what an init needs to take it as that
 * @root: of the running system   @uid: of its root, on the host
 * runit looks at two files' modes (runit(8), "SIGNALS"). They are changed only where their owner could have done it.
 */
void sysinit_tell(enum sysinit_kind kind, int root, uid_t uid);
/* sysinit_version() - NNN of a file name "libsystemd-shared-NNN.so", or with more behind NNN; 0: it is none. */
unsigned sysinit_version(const char *file);
