/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a child ended, by the shell's rule: its exit status, or 128 + n after signal n. */
#include <sys/types.h>

int wait_status(int status); /* of what waitpid(2) gave */
/* wait_child() - wait for it; the same, or a negative errno */
int wait_child(pid_t pid);
