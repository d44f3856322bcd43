/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "oci/oci.h"
#include "oci/vm.h"

static const struct opt start_opts[] = { { 0 } };

static int start_hooks(const struct oci *oci, struct subject *subject)
{
	struct hooks hooks;
	struct err err = { 0 };

	if (!subject->config.hooks[HOOK_POSTSTART].n)
		return 0;
	if (hooks_open(&subject->container, &subject->config, NULL, &hooks, &err) < 0)
		oci_say(oci, "warning", err.text);
	else
		oci_poststart(oci, &hooks, subject->container.pid);
	hooks_close(&hooks);
	return 0;
}

static int start_cannot(const struct subject *subject, const char *why, struct err *err)
{
	return err_say(err, EINVAL, "container '%s' cannot be started: %s", subject->container.id,
		       why);
}

static int start(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	int r = oci_open(oci, args->argv[0], &subject, err);

	if (r < 0)
		return r;
	if (subject.status == CONTAINER_PAUSED)
		return start_cannot(&subject, "it is paused", err);
	AUTO(fd_close_p) int socket = container_connect(&subject.container);
	if (socket == -EAGAIN)
		return start_cannot(&subject, "its first process answers nobody: is it stopped?",
				    err);
	if (socket < 0)
		return err_say(err, EINVAL, "container '%s' cannot be started: it is %s",
			       subject.container.id, container_status_names[subject.status]);
	if (!subject.config.has_process)
		return start_cannot(&subject, "its configuration has no process", err);
	struct notify notify;
	struct bundle_host host = { .seccomp = -EBADF };
	oci_notify(&subject, &notify, &host);
	r = subject.container.virt[0]
		    ? vm_start_by(socket, &subject.config, err)
		    : bundle_start_by(socket, subject.container.pid, &host.notify, err);
	if (r < 0)
		return r;
	(void)unlinkat(subject.container.dir, "start", 0); /* it refuses now in any case */
	return start_hooks(oci, &subject);
}

const struct verb oci_verb_start = {
	.name = "start",
	.operands = "ID",
	.summary = "let the program of a container run",
	.opts = start_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = start,
};
