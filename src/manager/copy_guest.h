/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * strata cp with a guest whose files only somebody inside reaches (struct guest_files), with the same rules for the target. What
 * comes from there is an enemy's: neither its tar nor its answers name anything outside the place that was asked for.
 */
#include "engines/engine.h"
#include "storage/copy.h"

struct copy_guest {
	const struct guest_files *files;
	const struct spec *spec;
	const char *run_dir;
};

struct copy_target {
	char dir[4096];
	const char *name; /* NULL: keep the source's */
	char last[256];
};

/* 1: a directory is there; 0: none is; -errno: nobody can tell. Not every kind needs err. */
typedef int (*copy_is_dir_fn)(const void *arg, const char *path, struct err *err);
/* copy_target() - an existing directory takes the source under its own name; else the path's last part is the new name. */
int copy_target(copy_is_dir_fn is_dir, const void *arg, const char *path, struct copy_target *ret,
		struct err *err);

/* copy_guest_in() - @from: absolute, below host, and there   @path: the target as it was typed */
int copy_guest_in(const struct copy_guest *guest, const struct copy_root *host, const char *from,
		  const char *path, struct err *err);
/* copy_guest_out() - @path: the source as it was typed   @target: below host */
int copy_guest_out(const struct copy_guest *guest, const char *path, bool follow,
		   const struct copy_root *host, const struct copy_target *target, struct err *err);
int copy_guest_tar_in(const struct copy_guest *guest, const char *path, int in_fd, struct err *err);
int copy_guest_tar_out(const struct copy_guest *guest, const char *path, bool follow, int out_fd,
		       struct err *err);
