/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * format_text() - what vsnprintf() would write, for integers of every length (d i u x X o), %s with a precision, %c, %p, %%;
 * width, '-' and zero padding. No floating point.
 * Return: the length of the whole text; what did not fit was cut, and the NUL is always there if room > 0.
 */
#include <stdarg.h>
#include <stddef.h>

int format_text(char *text, size_t room, const char *fmt, va_list args);
