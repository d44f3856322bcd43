/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strata-monitor: started by strata only, by fd and with the fds of manager/monitor_args.h. A program of its own, so
 * that what rests beside each instance is small, and so that what enters a container is not the
 * command on the host's disk: it is executed through a read-only mount (CVE-2019-5736).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "manager/monitor_args.h"

#define SPEC_MAX (8 << 20)

int monitor_spec_read(struct spec *ret, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;

	if (lseek(MONITOR_SPEC_FD, 0, SEEK_SET) < 0)
		return err_set(err, errno, "read the spec");
	int r = fd_read_all(MONITOR_SPEC_FD, SPEC_MAX, &text);
	if (r < 0)
		return err_set(err, -r, "read the spec");
	fd_close(MONITOR_SPEC_FD);
	r = json_parse(buf_str(&text), text.len, "spec", &json, err);
	return r < 0 ? r : spec_load(json, ret, err);
}

int main(int argc, char **argv)
{
	if (argc == MONITOR_ARGS && !strcmp(argv[MONITOR_ARG_MODE], "run"))
		return monitor_run(argv);
	if (argc == MONITOR_EXEC_ARGS && !strcmp(argv[MONITOR_ARG_MODE], "exec"))
		return monitor_exec(argv);
	(void)fprintf(stderr, "strata-monitor: started by strata, not by hand; see strata(1)\n");
	return 125;
}
