/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a Linux kernel module says of itself: an ELF object's section .modinfo, strings "key=value", each with its NUL.
 * Source: Linux include/linux/module.h, MODULE_INFO; kernel/module/main.c; System V gABI 4.1, Sections.
 */
#include <stddef.h>
#include <stdint.h>

struct modinfo {
	const uint8_t *text; /* borrowed from the module */
	size_t len;
};

/* modinfo_open() - Return: 0, or -EBADMSG: no 64-bit ELF object, or no such section. */
int modinfo_open(const uint8_t *module, size_t len, struct modinfo *ret);
/*
 * modinfo_next() - the values of a key, one call after the other
 * @key: "depends"   @at: 0 at first
 * Return: the value, NUL-terminated, or NULL: no more.
 */
const char *modinfo_next(const struct modinfo *info, const char *key, size_t *at);
