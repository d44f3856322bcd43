/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * memcpy() and its kin as string instructions, for code that must leave the vector registers alone: the software CPU keeps
 * its guest's in them.
 *
 * A room that is such code is compiled with this header in front of each file (-include base/core/rep.h): it gives the
 * assembler other names for the four functions, so that those calls too go there that the compiler makes of its own.
 */
#include <stddef.h>

void *rep_memcpy(void *to, const void *from, size_t n);
void *rep_memmove(void *to, const void *from, size_t n);
void *rep_memset(void *to, int byte, size_t n);
int rep_memcmp(const void *a, const void *b, size_t n);

#ifndef REP_HERE
__asm__("memcpy = rep_memcpy\n"
	"memmove = rep_memmove\n"
	"memset = rep_memset\n"
	"memcmp = rep_memcmp\n");
#endif
