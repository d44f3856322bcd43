/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The few words every room shares: ownership that a compiler keeps (AUTO, TAKE), and array and
 * struct arithmetic.
 */
#include <stddef.h>

/* Runs fn(&variable) when the variable leaves its scope: AUTO(fd_close_p) int fd = -EBADF; */
#define AUTO(fn) __attribute__((cleanup(fn)))

/* Hands a pointer on and leaves NULL behind, so that its AUTO has nothing to undo. */
#define TAKE(ptr)                                                                                  \
	__extension__({                                                                            \
		__typeof__(ptr) *p_ = &(ptr);                                                      \
		__typeof__(ptr) v_ = *p_;                                                          \
		*p_ = NULL;                                                                        \
		v_;                                                                                \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
