/* SPDX-License-Identifier: Apache-2.0 */
/* The front end and Debian's virtiofsd, without a machine between: what a guest could ask for, however wrong. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/mount.h"
#include "engines/vmm/vhost_fs.h"
#include "engines/vmm/virtiofsd.h"

#define HEAD	   SHARE_HEAD_BYTES
#define REPLY	   SHARE_REPLY_BYTES
#define ROOM	   4096
#define WAIT_TURNS 200 /* of up to 50 ms: it never takes that long */

/* enum fuse_opcode, Linux: include/uapi/linux/fuse.h */
enum { LOOKUP = 1, GETATTR = 3, MKDIR = 9, UNLINK = 10, INIT = 26, DESTROY = 38, LAST = 52 };

struct scene {
	char paths[2][96]; /* what is shared: read-only, and not */
	struct virtiofsd server;
	struct loop *loop;
	struct vhost_fs fs;
	struct share_request share;
	struct mem_iov out, in;
	uint8_t body[ROOM], room[ROOM];
	int64_t result;
	bool done;
	uint64_t unique;
};

static int scene_tree(void *arg, size_t i, char ret_name[VIRTIOFSD_NAME], struct err *err)
{
	const struct scene *s = arg;
	int fd = mount_clone(AT_FDCWD, s->paths[i], true, err);

	(void)snprintf(ret_name, VIRTIOFSD_NAME, "%zu", i);
	if (fd >= 0 && i == 0 && mount_attrs(fd, true, MOUNT_ATTR_RDONLY, 0) < 0)
		return err_set(err, errno, "read-only");
	return fd;
}

static void scene_done(struct share_request *share, int64_t result)
{
	struct scene *s = container_of(share, struct scene, share);

	s->result = result;
	s->done = true;
}

/* The reply's error, 0 or less; behind its header, room has the rest. */
static int ask(struct scene *s, uint32_t opcode, uint64_t node, const void *body, uint32_t len)
{
	if (len)
		memcpy(s->body, body, len);
	s->out = (struct mem_iov){ s->body, len };
	s->in = (struct mem_iov){ s->room, ROOM };
	s->share = (struct share_request){ .out = &s->out,
					   .in = &s->in,
					   .n_out = len ? 1 : 0,
					   .n_in = 1,
					   .out_bytes = len,
					   .in_bytes = ROOM,
					   .done = scene_done };
	le32_store(s->share.head, HEAD + len);
	le32_store(s->share.head + 4, opcode);
	le64_store(s->share.head + 8, ++s->unique);
	le64_store(s->share.head + 16, node);
	s->done = false;
	int r = s->fs.share.ops->submit(&s->fs.share, &s->share);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < WAIT_TURNS && !s->done; i++)
		(void)loop_run_once(s->loop, 50, NULL);
	assert_true(s->done);
	return s->result < REPLY ? (int)s->result : (int)le32_load(s->share.reply + 4);
}

static int ask_name(struct scene *s, uint32_t opcode, uint64_t node, uint32_t before,
		    const char *name)
{
	uint8_t body[512] = { 0 };
	const size_t len = strlen(name) + 1;

	if (before) /* a mode */
		le32_store(body, 0755);
	memcpy(body + before, name, len);
	return ask(s, opcode, node, body, before + (uint32_t)len);
}

static uint64_t node_of(struct scene *s, uint64_t node, const char *name)
{
	assert_int_equal(ask_name(s, LOOKUP, node, 0, name), 0);
	return le64_load(s->room + REPLY);
}

static void scene_begin(struct scene *s)
{
	static const uint8_t init[16] = { 7, 0, 0, 0, 31 };
	const struct virtiofsd_plan plan = { .n = 2, .tree = scene_tree, .arg = s };
	struct err err = { 0 };
	int socket;

	if (virtiofsd_start(&plan, &s->server, &socket, &err) < 0)
		fail_msg("%s", err.text);
	if (vhost_fs_open(&s->fs, socket, s->loop, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ask(s, INIT, 0, init, sizeof(init)), 0);
}

static void scene_end(struct scene *s)
{
	vhost_fs_fini(&s->fs);
	virtiofsd_stop(&s->server);
}

static struct scene *scene_new(struct scratch *scratch)
{
	struct scene *s = test_calloc(1, sizeof(*s));

	for (int i = 0; i < 2; i++) {
		(void)snprintf(s->paths[i], sizeof(s->paths[i]), "%s/%d", scratch->path, i);
		assert_int_equal(mkdir(s->paths[i], 0755), 0);
	}
	assert_int_equal(file_replace(scratch->fd, "0/f", 0644, "x", 1, false), 0);
	assert_int_equal(file_replace(scratch->fd, "outside", 0644, "x", 1, false), 0);
	assert_int_equal(loop_create(&s->loop, NULL), 0);
	scene_begin(s);
	return s;
}

static void scene_free(struct scene *s)
{
	scene_end(s);
	loop_free(s->loop);
	test_free(s);
}

static bool can_not(void)
{
	char *path = NULL;
	const bool is = geteuid() != 0 || virtiofsd_find(NULL, &path, NULL) < 0;

	free(path);
	return is;
}

static void read_only_is_so_on_the_host_and_nothing_is_above(void **state)
{
	if (can_not())
		SKIP("needs root and virtiofsd: make setup");
	struct scene *s = scene_new(*state);
	const uint64_t ro = node_of(s, 1, "0"), rw = node_of(s, 1, "1");

	(void)node_of(s, ro, "f");
	assert_int_equal(ask_name(s, MKDIR, ro, 8, "d"), -EROFS);
	assert_int_equal(ask_name(s, UNLINK, ro, 0, "f"), -EROFS);
	assert_int_equal(ask_name(s, MKDIR, rw, 8, "d"), 0);
	assert_int_equal(ask_name(s, MKDIR, 1, 8, "d"), -EROFS);
	const uint64_t top = node_of(s, rw, ".."); /* the directory of the names, where it ends */
	assert_true(node_of(s, 1, "..") == top && node_of(s, top, "..") == top);
	assert_int_equal(ask_name(s, LOOKUP, top, 0, "etc"), -ENOENT);
	assert_int_equal(ask_name(s, LOOKUP, 1, 0, "etc"), -ENOENT);
	assert_int_equal(ask_name(s, LOOKUP, rw, 0, "../outside"), -EINVAL);
	assert_int_equal(ask_name(s, LOOKUP, rw, 0, "/etc/passwd"), -EINVAL);
	assert_int_equal(ask_name(s, MKDIR, rw, 8, "../made"), -EINVAL);
	assert_int_equal(ask_name(s, LOOKUP, 12345, 0, "f"), -ENOENT);
	scene_free(s);
}

static uint32_t next(uint32_t *random)
{
	*random = *random * 1664525U + 1013904223U;
	return *random >> 8;
}

/* Each is answered, or the server ends and all are; whatever it does it does in what is shared. */
static void requests_without_sense_are_answered(void **state)
{
	if (can_not())
		SKIP("needs root and virtiofsd: make setup");
	struct scratch *scratch = *state;
	struct scene *s = scene_new(scratch);
	uint8_t body[256];
	uint32_t random = 1;
	unsigned answered = 0;

	for (unsigned lives = 0; lives < 12; lives++) {
		const uint64_t nodes[] = { 1, node_of(s, 1, "0"), node_of(s, 1, "1"), UINT64_MAX };
		for (unsigned i = 0; i < 500 && vhost_fs_alive(&s->fs); i++) {
			const uint32_t opcode = next(&random) % LAST;
			const uint32_t len = next(&random) % sizeof(body);
			if (opcode == INIT || opcode == DESTROY) /* of everything */
				continue;
			for (uint32_t k = 0; k < len; k++)
				body[k] = next(&random) % 4 ? 0 : (uint8_t)next(&random);
			int r = ask(s, opcode, nodes[next(&random) % ARRAY_SIZE(nodes)], body, len);
			assert_true(r <= 0 && r > -1000);
			answered += r != -EIO;
		}
		scene_end(s);
		scene_begin(s);
	}
	assert_true(answered > 100);
	assert_int_equal(faccessat(scratch->fd, "outside", F_OK, 0), 0);
	assert_int_equal(faccessat(scratch->fd, "0/f", F_OK, 0), 0);
	scene_free(s);
}

static void a_server_that_is_killed_fails_what_is_asked(void **state)
{
	if (can_not())
		SKIP("needs root and virtiofsd: make setup");
	struct scene *s = scene_new(*state);

	assert_int_equal(pidfd_signal(s->server.pidfd, SIGKILL),
			 0); /* its watcher, and so itself */
	for (unsigned i = 0; i < WAIT_TURNS && vhost_fs_alive(&s->fs); i++)
		(void)loop_run_once(s->loop, 50, NULL);
	assert_false(vhost_fs_alive(&s->fs));
	assert_int_equal(ask_name(s, LOOKUP, 1, 0, "0"), -EIO);
	scene_free(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(read_only_is_so_on_the_host_and_nothing_is_above),
		SCRATCH_TEST(requests_without_sense_are_answered),
		SCRATCH_TEST(a_server_that_is_killed_fails_what_is_asked),
	};

	return cmocka_run_group_tests_name("engines/vmm/share_server", tests, NULL, NULL);
}
