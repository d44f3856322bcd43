/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/oci.h"

static const struct opt create_opts[] = { OCI_OPTS_CREATE, { 0 } };

static int create(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_make_done) struct making making;

	return oci_make(oci, args, MAKE_FOR_OTHERS, &making, err);
}

const struct verb oci_verb_create = {
	.name = "create",
	.operands = "ID",
	.summary = "make a container; its program waits for start",
	.opts = create_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = create,
};
