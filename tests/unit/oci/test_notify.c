/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "oci/notify.h"

static char text[2048];

static const char *with(const char *seccomp)
{
	(void)snprintf(
		text, sizeof(text),
		"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"x\"],"
		"\"cwd\":\"/\"},\"annotations\":{\"a\":\"b\"},\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],"
		"\"seccomp\":{%s}}}",
		seccomp);
	return text;
}

static void fails(const char *seccomp, const char *says)
{
	struct config config;
	struct err err = { 0 };
	const char *json = with(seccomp);

	assert_int_equal(config_parse(json, strlen(json), "/b", "box", &config, &err), -EINVAL);
	if (!strstr(err.text, says))
		fail_msg("'%s' does not say '%s'", err.text, says);
	config_fini(&config);
}

static void ok(const char *seccomp, struct config *ret)
{
	struct err err = { 0 };
	const char *json = with(seccomp);

	if (config_parse(json, strlen(json), "/b", "box", ret, &err) < 0)
		fail_msg("%s", err.text);
}

#define NOTIFY                                                                                     \
	"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_NOTIFY\"}]"

static void flags_and_listeners_are_held_against_each_other(void **state)
{
	struct config config;

	(void)state;
	ok(NOTIFY ",\"listenerPath\":\"/l\",\"listenerMetadata\":\"m\",\"flags\":["
		  "\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\",\"SECCOMP_FILTER_FLAG_TSYNC\"]",
	   &config);
	assert_true(config.notifies);
	assert_int_equal(config.seccomp_flags, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	config_fini(&config);
	ok("\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\",\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"]",
	   &config);
	assert_false(config.notifies);
	assert_int_equal(config.seccomp_flags, 6);
	config_fini(&config);
	fails(NOTIFY, "seccomp.listenerPath must be an absolute path");
	fails(NOTIFY ",\"listenerPath\":\"l\"", "must be an absolute path");
	fails("\"listenerMetadata\":\"m\"", "but no listenerPath");
	fails("\"flags\":[\"X\"]", "'X' is not known");
	fails("\"flags\":[\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]", "is for SCMP_ACT_NOTIFY");
}

/* A listener that is us: what comes is the process state of the specification, and the fd. */
static void the_listener_goes_to_the_socket_with_whose_it_is(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct container container = { .dir = -EBADF, .id = "box", .bundle = "/b", .pid = 7 };
	struct config config;
	struct err err = { 0 };
	char dir[] = "/tmp/strata-test-XXXXXX", seccomp[512], got[2048] = "";
	int pipe_fds[2], came = -EBADF;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/l", dir);
	(void)snprintf(seccomp, sizeof(seccomp),
		       NOTIFY ",\"listenerPath\":\"%s\",\"listenerMetadata\":\"m\"",
		       address.sun_path);
	ok(seccomp, &config);
	const struct notify notify = { &container, &config };
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(notify_send((void *)(uintptr_t)&notify, 9, pipe_fds[1], &err), -ENOENT);
	assert_non_null(strstr(err.text, "nobody takes notifications"));

	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(notify_send((void *)(uintptr_t)&notify, 9, pipe_fds[1], &err), 0);
	int peer = accept(listener, NULL, NULL);
	assert_true(fd_receive(peer, got, sizeof(got) - 1, &came) > 0);
	assert_true(came >= 0);
	AUTO(json_decref_p) json_t *json = json_loads(got, 0, NULL);
	assert_non_null(json);
	assert_int_equal(json_int(json, "pid", 0), 9);
	assert_string_equal(json_str(json, "metadata", ""), "m");
	assert_string_equal(json_string_value(json_array_get(json_object_get(json, "fds"), 0)),
			    "seccompFd");
	const json_t *of = json_object_get(json, "state");
	assert_string_equal(json_str(of, "id", ""), "box");
	assert_int_equal(json_int(of, "pid", 0), 7);
	assert_string_equal(json_str(json_object_get(of, "annotations"), "a", ""), "b");
	fd_close(came);
	fd_close(peer);
	fd_close(listener);
	assert_int_equal(notify_send((void *)(uintptr_t)&notify, 9, pipe_fds[1], &err),
			 -ECONNREFUSED);
	fd_close(pipe_fds[0]);
	fd_close(pipe_fds[1]);
	config_fini(&config);
	(void)unlink(address.sun_path);
	(void)rmdir(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_and_listeners_are_held_against_each_other),
		cmocka_unit_test(the_listener_goes_to_the_socket_with_whose_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
