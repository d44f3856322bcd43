/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the hypervisor image boots from: the image, the guests' text (hypervisor/vm/config.h), the files that they
 * name, and GRUB, which loads them as modules.
 *
 *	media_init(); media_config(); media_add(); media_build(); media_fini();
 */
#include <stddef.h>

#include "base/core/buf.h"
#include "base/core/err.h"

#define MEDIA_FILES	 30U /* of the image's 32 (BOOT_FILES), less the guests' text and one to spare */
#define MEDIA_NAME_BYTES 64U

struct media_file {
	char *path;		     /* on the host, absolute; owned */
	char name[MEDIA_NAME_BYTES]; /* on the medium: letters, digits, . _ - */
};

struct media {
	struct buf guests; /* empty: none */
	struct media_file files[MEDIA_FILES];
	size_t n_files;
};

void media_fini(struct media *media); /* a zeroed one is a no-op; for AUTO */

/*
 * media_config() - read the JSON file that names the guests: docs/baremetal.md has its members
 * Paths in it are relative to its directory. Errors: -EINVAL, one line that names guest and member: unknown, missing, wrong; two guests
 * that write to one disk; a file that cannot be read.
 */
int media_config(struct media *media, const char *path, struct err *err);
/* media_config_text() - the same from text; @folder: what paths are relative to */
int media_config_text(struct media *media, const char *text, size_t len, const char *folder,
		      struct err *err);

/*
 * media_add() - a file for the medium; the same path twice is there once
 * @ret_name: what it is called there, borrowed; may be NULL
 * Errors: -E2BIG: more than MEDIA_FILES; and what open(2) says.
 */
int media_add(struct media *media, const char *path, const char **ret_name, struct err *err);

/*
 * media_self_test() - the guest programs of the self-test (hypervisor/selftest), which the word MEDIA_SELF_TEST begins
 * Errors: those of media_add(), and one that was not installed.
 */
int media_self_test(struct media *media, struct err *err);
#define MEDIA_SELF_TEST "self-test"

/*
 * media_build() - make the medium
 * @out: NAME.iso: a disk image for BIOS and UEFI, as a CD or on a disk; NAME.efi: one program for UEFI; NAME without a dot, or
 * NAME/: a directory, which is made and must not have anything in it   @words: the hypervisor's command line, or NULL
 * Errors: -EINVAL: another suffix. An ISO and an EFI program need grub-mkrescue and grub-mkstandalone; they appear whole or not at all.
 */
int media_build(const struct media *media, const char *out, const char *words, struct err *err);
