/* SPDX-License-Identifier: Apache-2.0 */
/* One more process in a running virtual machine: asked of the agent inside. */
#include <errno.h>

#include "engines/vmm/guest.h"

int vmm_guest_exec(const struct guest_exec *exec, struct err *err)
{
	if (!exec->spec->vm.agent) {
		(void)err_say(err, ENOTSUP,
			      "%s runs a kernel of its own, with no agent of ours inside: use its "
			      "console ('strata attach %s')",
			      exec->spec->name, exec->spec->name);
		return 125;
	}
	return 125;
}
