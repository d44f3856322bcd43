/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the agent of a running virtual machine is reached from outside its VMM. */
#include "base/core/err.h"

#define VMM_VSOCK_NAME "vsock" /* in the instance's run directory: vmm/vsock_unix.h */

/* vmm_agent_connect() - a connection to its vsock, with nothing said yet; the fd, or a negative errno. */
int vmm_agent_connect(const char *run_dir, struct err *err);
