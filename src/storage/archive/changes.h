/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What `import --change` says about an image made from a plain tree, in Dockerfile's words. */
#include <jansson.h>

#include "base/core/err.h"

/*
 * changes_apply() - one instruction
 * @change: "CMD [\"sh\"]", "CMD sh -c x", "ENTRYPOINT", "ENV A=b", "EXPOSE 80/tcp", "LABEL a=b",
 *          "USER u", "VOLUME /data", "WORKDIR /x", "STOPSIGNAL SIGINT"
 * @config: the "config" object of an image configuration, changed
 */
int changes_apply(const char *change, json_t *config, struct err *err);
