/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One error, owned by the caller and of fixed size: nothing to free, no out-of-memory inside an
 * error. Functions of the control path take one last and return a negative errno; whoever handles
 * the error prints it, once, with err_print().
 */
#include "base/core/macros.h"

struct err {
	int code;	   /* errno, > 0; 0 while nothing went wrong */
	const char *where; /* "file.c:line", for debug output */
	char text[480];	   /* one line, no newline: what failed, on what, and why */
};

#define ERR_STR2(x) #x
#define ERR_STR(x)  ERR_STR2(x)
#define ERR_HERE    __FILE__ ":" ERR_STR(__LINE__)

/*
 * err_set() - record a failed system call: the text, then ": " and the words for code
 * err_say() - record a failure in our own words, code only classifies it
 * err_wrap() - put the words and ": " in front of what err already says
 * @err: may be NULL: then only the code is returned   @code: errno, > 0
 * Return: -code (err_wrap: -err->code), never 0.
 */
#define err_set(err, code, ...) err_set_at(err, code, ERR_HERE, __VA_ARGS__)
#define err_say(err, code, ...) err_say_at(err, code, ERR_HERE, __VA_ARGS__)
int err_set_at(struct err *err, int code, const char *where, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
int err_say_at(struct err *err, int code, const char *where, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
