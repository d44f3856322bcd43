/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp_compile() on any profile: a filter that the kernel would take in size, or one line that says why not. */
#include <stdlib.h>
#include <string.h>

#include "engines/caps.h"
#include "engines/seccomp/seccomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_fini) struct buf program = { 0 };
	struct err err = { 0 };
	char *oci = NULL;

	if (size > 4096) /* rules are slow to add: more input finds no more */
		return 0;
	int r = seccomp_compile((const char *)data, size, caps_default, &program, &err);
	if (r < 0 && (!err.text[0] || strchr(err.text, '\n') || program.len))
		abort();
	if (r == 0 && (program.len % 8 || !program.len || program.len > BPF_MAXINSNS * 8))
		abort();
	if (seccomp_to_oci((const char *)data, size, caps_default, &oci, &err) < 0 && r == 0)
		abort();
	free(oci);
	return 0;
}
