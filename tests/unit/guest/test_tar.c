/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "scratch.h"

#include "base/os/fd.h"
#include "tar.h"
#include "tar_head.h"

/* A tar in memory. */
struct memory {
	struct buf data;
	size_t at, piece;
};

static ssize_t memory_read(struct tar_stream *stream, void *ret, size_t len)
{
	struct memory *memory = stream->arg;
	size_t left = memory->data.len - memory->at;

	if (len > left)
		len = left;
	if (memory->piece && len > memory->piece)
		len = memory->piece;
	if (len)
		memcpy(ret, memory->data.data + memory->at, len);
	memory->at += len;
	return (ssize_t)len;
}

static int memory_write(struct tar_stream *stream, const void *data, size_t len)
{
	struct memory *memory = stream->arg;

	return buf_add(&memory->data, data, len);
}

static int unpack(struct memory *memory, int root, const char *path, struct err *err)
{
	struct tar_stream stream = { memory_read, memory_write, memory };

	memory->at = 0;
	return tar_in(&stream, root, path, err);
}

static int pack(struct memory *memory, int root, const char *path, bool follow, const char *as,
		struct err *err)
{
	struct tar_stream stream = { memory_read, memory_write, memory };

	return tar_out(&stream, root, path, follow, as, err);
}

static void put(int dir, const char *name, const char *text)
{
	AUTO(fd_close_p) int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static void assert_file(int dir, const char *name, const char *text)
{
	AUTO(buf_fini) struct buf buf = { 0 };
	AUTO(fd_close_p) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail_msg("%s: %s", name, strerror(errno));
	assert_int_equal(fd_read_all(fd, 1 << 20, &buf), 0);
	assert_string_equal(buf_str(&buf), text);
}

/* One header of our own making, for what no honest tar has. */
static void add_head(struct memory *memory, const char *name, char type, const char *link,
		     size_t size)
{
	struct tar_head head = { .type = type };

	memcpy(head.name, name, strnlen(name, sizeof(head.name)));
	memcpy(head.link, link, strnlen(link, sizeof(head.link)));
	memcpy(head.magic, "ustar", 6);
	(void)snprintf(head.mode, sizeof(head.mode), "%07o", 0644);
	(void)snprintf(head.size, sizeof(head.size), "%011zo", size);
	(void)snprintf(head.checksum, sizeof(head.checksum), "%06o", tar_checksum(&head));
	assert_int_equal(buf_add(&memory->data, &head, sizeof(head)), 0);
}

static void add_data(struct memory *memory, const char *text, size_t len)
{
	char block[512] = { 0 };

	assert_true(len <= sizeof(block));
	memcpy(block, text, len);
	assert_int_equal(buf_add(&memory->data, block, sizeof(block)), 0);
}

static void make_tree(int dir)
{
	char deep[256];

	assert_int_equal(mkdirat(dir, "tree", 0750), 0);
	AUTO(fd_close_p) int tree = openat(dir, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(tree, "file", "contents\n");
	put(tree, "empty", "");
	assert_int_equal(fchmodat(tree, "file", 04755, 0), 0);
	assert_int_equal(linkat(tree, "file", tree, "hard", 0), 0);
	assert_int_equal(symlinkat("file", tree, "soft"), 0);
	assert_int_equal(mkfifoat(tree, "pipe", 0600), 0);
	memset(deep, 'd', 200);
	deep[200] = '\0';
	assert_int_equal(mkdirat(tree, deep, 0700), 0);
	AUTO(fd_close_p) int below = openat(tree, deep, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(below, "x", "long name\n");
}

static void what_goes_out_comes_in(void **state)
{
	const struct scratch *scratch = *state;
	AUTO(buf_fini) struct buf name = { 0 };
	struct memory memory = { .piece = 100 };
	struct stat file, hard, st;
	struct err err = { 0 };
	char target[16] = { 0 };

	make_tree(scratch->fd);
	assert_int_equal(pack(&memory, scratch->fd, "/tree", false, "copy", &err), 0);
	assert_int_equal(memory.data.len % TAR_BLOCK, 0);
	assert_int_equal(unpack(&memory, scratch->fd, "/new/place", &err), 0);
	AUTO(fd_close_p)
	int copy = openat(scratch->fd, "new/place/copy", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(copy >= 0);
	assert_file(copy, "file", "contents\n");
	assert_file(copy, "empty", "");
	assert_int_equal(fstatat(copy, "file", &file, 0), 0);
	assert_int_equal(fstatat(copy, "hard", &hard, 0), 0);
	assert_int_equal(file.st_mode & 07777, 04755);
	assert_int_equal(file.st_ino, hard.st_ino);
	assert_int_equal(fstat(copy, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(readlinkat(copy, "soft", target, sizeof(target) - 1), 4);
	assert_string_equal(target, "file");
	assert_int_equal(fstatat(copy, "pipe", &st, 0), 0);
	assert_true(S_ISFIFO(st.st_mode));
	for (int i = 0; i < 200; i++)
		assert_int_equal(buf_add(&name, "d", 1), 0);
	assert_int_equal(buf_adds(&name, "/x"), 0);
	assert_file(copy, name.data, "long name\n");
	buf_fini(&memory.data);
}

/* cap_net_raw+ep, version 2: Linux, include/uapi/linux/capability.h */
static const uint8_t raw_cap[20] = { 1, 0, 0, 2, 0, 0x20 };

/* Regression: a copy lost its attributes. */
static void attributes_go_with_files(void **state)
{
	const struct scratch *scratch = *state;
	static const char value[] = "a\0b\n12 c=d";
	struct memory memory = { 0 };
	struct err err = { 0 };
	char got[64];

	assert_int_equal(mkdirat(scratch->fd, "from", 0755), 0);
	put(scratch->fd, "from/f", "text");
	AUTO(fd_close_p) int f = openat(scratch->fd, "from/f", O_RDONLY | O_CLOEXEC);
	AUTO(fd_close_p) int d = openat(scratch->fd, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fsetxattr(f, "user.test", value, sizeof(value), 0) < 0) {
		assert_int_equal(errno, ENOTSUP);
		SKIP("no user attributes on this file system");
	}
	assert_int_equal(fsetxattr(f, "user.overlay.opaque", "y", 1, 0), 0);
	assert_int_equal(fsetxattr(d, "user.dir", "", 0, 0), 0);
	bool root = fsetxattr(f, "security.capability", raw_cap, sizeof(raw_cap), 0) == 0;
	assert_int_equal(pack(&memory, scratch->fd, "from", false, "to", &err), 0);
	for (memory.piece = 0; memory.piece < 8; memory.piece += 7) {
		if (unpack(&memory, scratch->fd, "/", &err) < 0)
			fail_msg("%s", err.text);
		AUTO(fd_close_p) int to = openat(scratch->fd, "to/f", O_RDONLY | O_CLOEXEC);
		assert_int_equal(fgetxattr(to, "user.test", got, sizeof(got)), sizeof(value));
		assert_memory_equal(got, value, sizeof(value));
		assert_int_equal(fgetxattr(to, "user.overlay.opaque", got, sizeof(got)), -1);
		if (root) {
			assert_int_equal(fgetxattr(to, "security.capability", got, sizeof(got)),
					 sizeof(raw_cap));
			assert_memory_equal(got, raw_cap, sizeof(raw_cap));
		}
		AUTO(fd_close_p) int dir = openat(scratch->fd, "to", O_RDONLY | O_CLOEXEC);
		assert_int_equal(fgetxattr(dir, "user.dir", got, sizeof(got)), 0);
		assert_int_equal(fgetxattr(dir, "user.test", got, sizeof(got)), -1);
	}
	buf_fini(&memory.data);
}

static void contents_links_and_what_they_lead_to(void **state)
{
	const struct scratch *scratch = *state;
	struct memory memory = { .at = 0 };
	struct err err = { 0 };

	make_tree(scratch->fd);
	assert_int_equal(pack(&memory, scratch->fd, "/tree/.", false, NULL, &err), 0);
	assert_int_equal(unpack(&memory, scratch->fd, "/a", &err), 0);
	assert_file(scratch->fd, "a/file", "contents\n");
	memory.data.len = 0;
	assert_int_equal(pack(&memory, scratch->fd, "tree/soft", false, NULL, &err), 0);
	assert_int_equal(unpack(&memory, scratch->fd, "/b", &err), 0);
	assert_int_equal(faccessat(scratch->fd, "b/soft", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(faccessat(scratch->fd, "b/soft", F_OK, 0), -1);
	memory.data.len = 0;
	assert_int_equal(pack(&memory, scratch->fd, "/tree/soft", true, "real", &err), 0);
	assert_int_equal(unpack(&memory, scratch->fd, "/c/", &err), 0);
	assert_file(scratch->fd, "c/real", "contents\n");
	assert_int_equal(pack(&memory, scratch->fd, "/nowhere", false, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere"));
	buf_fini(&memory.data);
}

static void our_tars_are_tar_s(void **state)
{
	const struct scratch *scratch = *state;
	struct memory memory = { .at = 0 };
	char command[512];
	struct err err = { 0 };

	make_tree(scratch->fd);
	assert_int_equal(pack(&memory, scratch->fd, "/tree", false, NULL, &err), 0);
	AUTO(fd_close_p)
	int fd = openat(scratch->fd, "t.tar", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fd_write_all(fd, memory.data.data, memory.data.len), 0);
	(void)snprintf(command, sizeof(command),
		       "cd %s && mkdir gnu && tar -C gnu -xf t.tar && "
		       "diff -r --no-dereference tree/file gnu/tree/file && "
		       "[ gnu/tree/file -ef gnu/tree/hard ] && "
		       "dd if=/dev/zero of=holes bs=1 count=1 seek=3000000 2>/dev/null && "
		       "echo x >>holes && tar --sparse --format=pax -cf s.tar holes tree",
		       scratch->path);
	assert_int_equal(system(command), 0);
	buf_fini(&memory.data);

	AUTO(fd_close_p) int sparse = openat(scratch->fd, "s.tar", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_read_all(sparse, 1 << 20, &memory.data), 0);
	assert_int_equal(unpack(&memory, scratch->fd, "/in", &err), 0);
	(void)snprintf(command, sizeof(command),
		       "cd %s && cmp holes in/holes && cmp tree/file in/tree/file", scratch->path);
	assert_int_equal(system(command), 0);
	buf_fini(&memory.data);
}

static void nothing_climbs_out(void **state)
{
	const struct scratch *scratch = *state;
	struct memory memory = { .at = 0 };
	struct err err = { 0 };

	assert_int_equal(mkdirat(scratch->fd, "root", 0755), 0);
	AUTO(fd_close_p) int root = openat(scratch->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	add_head(&memory, "../out", '0', "", 4);
	add_data(&memory, "evil", 4);
	assert_int_equal(unpack(&memory, root, "/", &err), -EPERM);
	memory.data.len = 0;
	add_head(&memory, "up", '2', "..", 0); /* a link that leads up, then a file below it */
	add_head(&memory, "up/out", '0', "", 4);
	add_data(&memory, "evil", 4);
	assert_int_equal(unpack(&memory, root, "/", &err), 0);
	memory.data.len = 0;
	add_head(&memory, "abs", '2', scratch->path, 0);
	add_head(&memory, "abs/out", '0', "", 4);
	add_data(&memory, "evil", 4);
	(void)unpack(&memory, root, "/", &err); /* made inside, or refused */
	memory.data.len = 0;
	add_head(&memory, "stolen", '1', "../secret", 0);
	put(scratch->fd, "secret", "s");
	assert_int_equal(unpack(&memory, root, "/", &err), -EPERM);
	assert_int_equal(faccessat(scratch->fd, "out", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	assert_file(root, "out", "evil");
	buf_fini(&memory.data);
}

static void damage_is_said_not_unpacked(void **state)
{
	const struct scratch *scratch = *state;
	struct memory memory = { .at = 0 };
	struct err err = { 0 };

	add_head(&memory, "f", '0', "", 4);
	memory.data.data[0] = 'g'; /* the checksum is another name's */
	assert_int_equal(unpack(&memory, scratch->fd, "/d", &err), -EBADMSG);
	memory.data.len = 0;
	add_head(&memory, "f", '0', "", 4);
	assert_int_equal(unpack(&memory, scratch->fd, "/d", &err), -ENODATA);
	memory.data.len = 0;
	add_head(&memory, "pax", 'x', "", 9);
	add_data(&memory, "99 path=f\n", 10);
	assert_int_equal(unpack(&memory, scratch->fd, "/d", &err), -EBADMSG);
	memory.data.len = 0;
	add_head(&memory, "big", 'x', "", 2 << 20);
	assert_int_equal(unpack(&memory, scratch->fd, "/d", &err), -E2BIG);
	buf_fini(&memory.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(what_goes_out_comes_in),
		SCRATCH_TEST(attributes_go_with_files),
		SCRATCH_TEST(contents_links_and_what_they_lead_to),
		SCRATCH_TEST(our_tars_are_tar_s),
		SCRATCH_TEST(nothing_climbs_out),
		SCRATCH_TEST(damage_is_said_not_unpacked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
