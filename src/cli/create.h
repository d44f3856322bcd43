/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cmd.h"

/*
 * create_instance() - what `create` does, and `run` begins with: flags to config, instance, --cidfile
 * @start: it is to be started at once: its monitor begins while the instance is made up
 * *ret needs instance_fini(). On an error nothing is left.
 */
int create_instance(struct cli *cli, const struct args *args, bool start,
		    struct manager **ret_manager, struct instance *ret, struct err *err);
