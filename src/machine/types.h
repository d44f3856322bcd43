/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The scalars of a guest's world (STYLE: a gpa and a host pointer never mix, so the latter is always a pointer). */
#include <stdint.h>

typedef uint64_t gpa_t; /* guest physical address */
typedef uint64_t gva_t; /* guest virtual (linear) address */

#define GUEST_PAGE_BYTES 4096U

/* A piece of host memory; the freestanding rooms have no <sys/uio.h>. Same layout as struct iovec (POSIX). */
struct mem_iov {
	void *hva;
	uint64_t len; /* bytes */
};
