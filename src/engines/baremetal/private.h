/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define MEDIA_GUESTS                                                                               \
	"guest.cfg" /* what the image looks for among the loader's files: hypervisor/vm/config.h */
#define MEDIA_IMAGE "strata-hv"

void media_text_free_p(char **text); /* for AUTO */
