/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names of images, in the grammar of Docker's references: [DOMAIN[:PORT]/]PATH[:TAG][@sha256:HEX].
 */
#include "base/core/err.h"
#include "base/os/digest.h"

#define REF_NAME_MAX 255
#define REF_TAG_MAX  128
#define REF_MAX	     (REF_NAME_MAX + REF_TAG_MAX + 2) /* "name:tag" and its NUL */

struct ref {
	char name[REF_NAME_MAX + 1];
	char tag[REF_TAG_MAX + 1];   /* "" where none was given */
	char digest[DIGEST_HEX + 1]; /* "" where none was given */
};

/* ref_parse() - -EINVAL with a line that says what is wrong. */
int ref_parse(const char *text, struct ref *ret, struct err *err);
/* ref_tag() - "demo" is "demo:latest"; -EINVAL for a digest, which no one can choose. */
int ref_tag(const char *text, char ret[REF_MAX], struct err *err);
