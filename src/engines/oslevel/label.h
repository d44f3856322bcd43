/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Labels of AppArmor and SELinux. A process says which one its next program gets: proc_pid_attr(5), "exec". The file is opened
 * before the root changes, and in no mount namespace of others, in the host's own proc, for what an image has at /proc would be told instead (CVE-2019-16884).
 */
#include <stdbool.h>

#include "base/core/err.h"

/* label_has_apparmor(), label_has_selinux() - whether this kernel runs with it */
bool label_has_apparmor(void);
bool label_has_selinux(void);
/*
 * label_check() - whether a process can be given these here; "" or NULL: none
 * Errors: -ENOTSUP, naming the one that cannot.
 */
int label_check(const char *apparmor, const char *selinux, struct err *err);

struct label {
	int apparmor, selinux; /* open for writing; -EBADF where none is asked */
};
/* label_wanted() - whether there is anything to open */
bool label_wanted(const char *apparmor, const char *selinux);
/*
 * label_open() - for this very process
 * @proc: the host's /proc, opened where that is what the path leads to; negative: it does here
 */
int label_open(int proc, const char *apparmor, const char *selinux, struct label *ret,
	       struct err *err);
/* label_set() - for this process's next execve(2); by the very process that opened it */
int label_set(const struct label *label, const char *apparmor, const char *selinux,
	      struct err *err);
void label_close(struct label *label);
/* label_text() - what AppArmor's file takes for a profile; 0 or -ENAMETOOLONG */
int label_text(const char *profile, char ret[512]);
