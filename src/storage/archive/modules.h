/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Modules of one kernel, what each depends on, and the order in which some of them are loaded. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

#define MODULE_NAME_MAX 64

struct module {
	char name[MODULE_NAME_MAX]; /* as in /proc/modules: '_' for '-' */
	char *needs;		    /* names, ' ' after each; owned */
	char *likes;		    /* loaded before it where they are there; owned */
	bool done;
};

struct modules {
	struct module *list; /* owned */
	size_t n, cap;
	char *builtin; /* modules.builtin, or NULL; owned */
};

void modules_fini(struct modules *modules); /* for AUTO */

/*
 * module_name() - from a path or file name: "kernel/fs/ext4/ext4.ko.xz" is "ext4"
 * Return: 0, or -EINVAL: not a module's name.
 */
int module_name(const char *path, char ret[MODULE_NAME_MAX]);
/* modules_add() - a module's bytes. -EEXIST, -EBADMSG (not a module), -ENOMEM. */
int modules_add(struct modules *modules, const char *name, const uint8_t *data, size_t len);
/* modules_builtin() - text of the kernel's modules.builtin; copied. */
int modules_builtin(struct modules *modules, const char *text, size_t len);
/*
 * modules_order() - names in load order: what is needed first
 * @wanted: NULL-ended   @ret: array of strings, the caller's
 * What is built into the kernel needs no module. Errors: -ENOENT, naming what is neither; -ELOOP.
 */
int modules_order(struct modules *modules, const char *const *wanted, json_t **ret,
		  struct err *err);
