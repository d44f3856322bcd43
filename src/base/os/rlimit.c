/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/rlimit.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

const char *const rlimit_names[RLIMIT_NAMES + 1] = {
	"as",	  "core",  "cpu", "data",   "fsize",  "locks",	    "memlock", "msgqueue", "nice",
	"nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",   NULL
};
const int rlimit_resources[RLIMIT_NAMES] = {
	RLIMIT_AS,     RLIMIT_CORE,   RLIMIT_CPU,	 RLIMIT_DATA,
	RLIMIT_FSIZE,  RLIMIT_LOCKS,  RLIMIT_MEMLOCK,	 RLIMIT_MSGQUEUE,
	RLIMIT_NICE,   RLIMIT_NOFILE, RLIMIT_NPROC,	 RLIMIT_RSS,
	RLIMIT_RTPRIO, RLIMIT_RTTIME, RLIMIT_SIGPENDING, RLIMIT_STACK,
};

int rlimit_find(const char *name)
{
	for (int i = 0; rlimit_names[i]; i++) {
		if (!strcmp(rlimit_names[i], name))
			return i;
	}
	return -EINVAL;
}
