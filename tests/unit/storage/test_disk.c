/* SPDX-License-Identifier: Apache-2.0 */
/* Layers' tars into a disk, by whoever runs this: no right is needed, and none is used. */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "erofs_read.h"
#include "storage/archive/disk.h"
#include "storage/archive/merge.h"

#define ID     "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define LAYERS 4

struct rig {
	char dir[64];
	int blobs, disk;
	struct disk_layer layers[LAYERS];
	char hex[LAYERS][DIGEST_HEX + 1];
	size_t n;
	struct err err;
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/strata-disk-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	rig->blobs = open(rig->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rig->disk = memfd_create("disk", MFD_CLOEXEC);
	assert_true(rig->blobs >= 0 && rig->disk >= 0);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < rig->n; i++)
		(void)unlinkat(rig->blobs, rig->hex[i], 0);
	(void)rmdir(rig->dir);
	fd_close(rig->blobs);
	fd_close(rig->disk);
	free(rig);
	return 0;
}

/* The next layer. */
static void layer_bytes(struct rig *rig, const void *data, size_t len)
{
	char *hex = rig->hex[rig->n];

	assert_true(rig->n < LAYERS);
	digest_of(data, len, hex);
	int fd = openat(rig->blobs, hex, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, len), 0);
	fd_close(fd);
	rig->layers[rig->n++] = (struct disk_layer){ hex, hex };
}

static void layer(struct rig *rig, struct tar *tar)
{
	struct buf bytes = tar_end(tar);

	layer_bytes(rig, bytes.data, bytes.len);
	buf_fini(&bytes);
}

static int try_make(struct rig *rig)
{
	assert_int_equal(ftruncate(rig->disk, 0), 0);
	rig->err = (struct err){ 0 };
	return disk_make(rig->blobs, rig->disk, ID, rig->layers, rig->n, &rig->err);
}

static void make(struct rig *rig)
{
	if (try_make(rig) < 0)
		fail_msg("%s", rig->err.text);
}

static void refuse(struct rig *rig, int code, const char *words)
{
	int r = try_make(rig);

	if (r != code || !strstr(rig->err.text, words))
		fail_msg("%d, not %d: \"%s\" should say \"%s\"", r, code, rig->err.text, words);
}

static void reads(struct rig *rig, const char *path, const char *want)
{
	char *text = seen_read(rig->disk, path);

	assert_string_equal(text, want);
	free(text);
}

static void lists(struct rig *rig, const char *path, const char *want)
{
	char *text = seen_names(rig->disk, path);

	assert_string_equal(text, want);
	free(text);
}

static struct archive_entry *owned(struct archive_entry *entry, int64_t uid, int64_t gid)
{
	archive_entry_set_uid(entry, uid);
	archive_entry_set_gid(entry, gid);
	return entry;
}

static void device(struct tar *tar, const char *name, mode_t type, unsigned major, unsigned minor)
{
	struct archive_entry *entry = tar_entry(name, type, 0660);

	archive_entry_set_rdevmajor(entry, major);
	archive_entry_set_rdevminor(entry, minor);
	tar_add(tar, entry, "", 0);
}

static void owners_modes_times_and_devices_are_the_archives(void **state)
{
	struct rig *rig = *state;
	struct tar tar;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_add(&tar, owned(tar_entry("./", AE_IFDIR, 0750), 3, 4), "", 0);
	tar_add(&tar, owned(tar_entry("su", AE_IFREG, 06755), 70000, 4294967294), "data", 4);
	tar_add(&tar, owned(tar_entry("none", AE_IFREG, 0), 1, 1), "", 0);
	tar_add(&tar, tar_entry("sticky", AE_IFDIR, 01777), "", 0);
	struct archive_entry *entry = tar_entry("old", AE_IFREG, 0644);
	archive_entry_set_mtime(entry, -5, 250);
	tar_add(&tar, entry, "x", 1);
	tar_symlink(&tar, "link", "/etc/passwd");
	tar_hardlink(&tar, "also", "su");
	device(&tar, "null", AE_IFCHR, 1, 3);
	device(&tar, "disk", AE_IFBLK, 259, 70000);
	tar_add(&tar, tar_entry("pipe", AE_IFIFO, 0600), "", 0);
	layer(rig, &tar);
	make(rig);

	struct seen s = seen_at(rig->disk, "");
	assert_int_equal(s.mode, S_IFDIR | 0750);
	assert_int_equal(s.uid, 3);
	assert_int_equal(s.gid, 4);
	assert_int_equal(s.links, 3);
	s = seen_at(rig->disk, "su");
	assert_int_equal(s.mode, S_IFREG | 06755);
	assert_int_equal(s.uid, 70000);
	assert_int_equal(s.gid, 4294967294);
	assert_int_equal(s.links, 2);
	assert_int_equal(s.mtime_s, 1000000000);
	assert_int_equal(seen_at(rig->disk, "also").nid, s.nid);
	assert_int_equal(seen_at(rig->disk, "none").mode, S_IFREG);
	assert_int_equal(seen_at(rig->disk, "sticky").mode, S_IFDIR | 01777);
	s = seen_at(rig->disk, "old");
	assert_true((int64_t)s.mtime_s == -5 && s.mtime_ns == 250);
	assert_int_equal(seen_at(rig->disk, "link").mode, S_IFLNK | 0777);
	reads(rig, "link", "/etc/passwd");
	s = seen_at(rig->disk, "null");
	assert_int_equal(s.mode, S_IFCHR | 0660);
	assert_int_equal(s.rdev, 1 << 8 | 3);
	s = seen_at(rig->disk, "disk");
	assert_int_equal(s.mode, S_IFBLK | 0660);
	/* kdev_t.h, new_encode_dev(): twelve bits of major above eight of minor's twenty */
	assert_int_equal(s.rdev, (70000 & 0xff) | 259 << 8 | (70000 & ~0xff) << 12);
	assert_int_equal(seen_at(rig->disk, "pipe").mode, S_IFIFO | 0600);
}

static void attributes_come_along_and_no_others(void **state)
{
	struct rig *rig = *state;
	struct tar tar;
	char got[64];

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	struct archive_entry *entry = tar_entry("f", AE_IFREG, 0755);
	archive_entry_xattr_add_entry(entry, "security.capability", "\1\0\0\2", 4);
	archive_entry_xattr_add_entry(entry, "user.note", "first", 5);
	archive_entry_xattr_add_entry(entry, "user.empty", "", 0);
	archive_entry_xattr_add_entry(entry, "security.selinux", "no", 2);
	archive_entry_xattr_add_entry(entry, "trusted.thing", "no", 2);
	tar_add(&tar, entry, "data", 4);
	layer(rig, &tar);
	make(rig);
	reads(rig, "f", "data");
	assert_int_equal(seen_xattr(rig->disk, "f", 6, "capability", got, sizeof(got)), 4);
	assert_memory_equal(got, "\1\0\0\2", 4);
	assert_int_equal(seen_xattr(rig->disk, "f", 1, "note", got, sizeof(got)), 5);
	assert_memory_equal(got, "first", 5);
	assert_int_equal(seen_xattr(rig->disk, "f", 1, "empty", got, sizeof(got)), 0);
	assert_int_equal(seen_xattr(rig->disk, "f", 6, "selinux", got, sizeof(got)), -1);
	assert_int_equal(seen_xattr(rig->disk, "f", 4, "thing", got, sizeof(got)), -1);
}

static void attributes_longer_than_a_block_fit(void **state)
{
	struct rig *rig = *state;
	char *big = malloc(60000), *got = malloc(60000);
	struct tar tar;

	assert_true(big && got);
	memset(big, 'b', 60000);
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	struct archive_entry *entry = tar_entry("f", AE_IFREG, 0644);
	archive_entry_xattr_add_entry(entry, "user.big", big, 60000);
	tar_add(&tar, entry, "data", 4);
	tar_file(&tar, "g", "after");
	layer(rig, &tar);
	make(rig);
	reads(rig, "f", "data");
	reads(rig, "g", "after");
	assert_int_equal(seen_xattr(rig->disk, "f", 1, "big", got, 60000), 60000);
	assert_memory_equal(big, got, 60000);
	free(big);
	free(got);
}

static void overlays_own_attributes_are_refused(void **state)
{
	static const char *const names[] = { "trusted.overlay.opaque", "user.overlay.redirect" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		void *one;
		struct tar tar;
		setup(&one);
		tar_open(&tar, ARCHIVE_FILTER_NONE);
		struct archive_entry *entry = tar_entry("f", AE_IFREG, 0644);
		archive_entry_xattr_add_entry(entry, names[i], "y", 1);
		tar_add(&tar, entry, "", 0);
		layer(one, &tar);
		refuse(one, -EPERM, "entry f");
		teardown(&one);
	}
}

static const size_t sizes[] = { 0,    1,    31,	  2047, 2048, 2049,  4095,
				4096, 4097, 6144, 6145, 8192, 100000 };

static void sized_text(size_t i, char *ret)
{
	for (size_t j = 0; j < sizes[i]; j++)
		ret[j] = (char)('a' + (j * 7 + i) % 23);
	ret[sizes[i]] = '\0';
}

static struct buf sized_tar(int filter, char *text)
{
	struct tar tar;
	char name[16];

	tar_open(&tar, filter);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		sized_text(i, text);
		(void)snprintf(name, sizeof(name), "f%zu", i);
		tar_file(&tar, name, text);
	}
	return tar_end(&tar);
}

/* Around a block's end, and where a tail is behind its inode or not; from a packed layer. */
static void contents_of_every_length_come_whole(void **state)
{
	struct rig *rig = *state;
	char *text = malloc(100001), name[16], diff[DIGEST_HEX + 1];

	assert_non_null(text);
	struct buf plain = sized_tar(ARCHIVE_FILTER_NONE, text);
	struct buf packed = sized_tar(ARCHIVE_FILTER_GZIP, text);
	layer_bytes(rig, packed.data, packed.len);
	refuse(rig, -EBADMSG, "is damaged"); /* its tar is not the one that was said */
	digest_of(plain.data, plain.len, diff);
	rig->layers[0].diff = diff;
	make(rig);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		sized_text(i, text);
		(void)snprintf(name, sizeof(name), "f%zu", i);
		reads(rig, name, text);
		assert_int_equal(seen_at(rig->disk, name).size, sizes[i]);
	}
	buf_fini(&plain);
	buf_fini(&packed);
	free(text);
}

static void a_sparse_file_has_its_holes_as_zeroes(void **state)
{
	struct rig *rig = *state;
	struct tar tar;
	char *got;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	struct archive_entry *entry = tar_entry("sparse", AE_IFREG, 0644);
	archive_entry_set_size(entry, 50000);
	archive_entry_sparse_add_entry(entry, 20000, 5);
	char data[20005] = { 0 };
	memcpy(data + 20000, "holes", 5);
	assert_true(archive_write_header(tar.a, entry) >= ARCHIVE_WARN);
	assert_true(archive_write_data(tar.a, data, sizeof(data)) > 0);
	archive_entry_free(entry);
	layer(rig, &tar);
	make(rig);
	assert_int_equal(seen_at(rig->disk, "sparse").size, 50000);
	got = seen_read(rig->disk, "sparse");
	assert_memory_equal(got + 20000, "holes", 5);
	assert_int_equal(got[19999] | got[20005] | got[49999], 0);
	free(got);
}

static void a_large_directory_is_in_order(void **state)
{
	struct rig *rig = *state;
	struct tar tar;
	char name[200];

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "d/%0*u", (int)(10 + i % 90), i * 7919 % 3000);
		tar_file(&tar, name, name);
	}
	tar_file(&tar, "!before", "1");
	tar_file(&tar, "..between", "2");
	tar_file(&tar, ".x", "3");
	layer(rig, &tar);
	make(rig);
	lists(rig, "", " !before . .. ..between .x d");
	char *names = seen_names(rig->disk, "d"); /* which asserts that they are */
	unsigned n = 0;
	for (const char *p = names; (p = strchr(p, ' ')); p++)
		n++;
	assert_int_equal(n, 3002);
	free(names);
	for (unsigned i = 0; i < 3000; i += 271) {
		(void)snprintf(name, sizeof(name), "d/%0*u", (int)(10 + i % 90), i * 7919 % 3000);
		reads(rig, name, name);
	}
}

static void two_layers(struct rig *rig, void (*low)(struct tar *), void (*top)(struct tar *))
{
	struct tar tar;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	low(&tar);
	layer(rig, &tar);
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	top(&tar);
	layer(rig, &tar);
	make(rig);
}

static void low_files(struct tar *tar)
{
	tar_file(tar, "gone", "1");
	tar_file(tar, "covered", "a longer text that is replaced");
	tar_file(tar, "stays", "2");
	tar_dir(tar, "dir");
	tar_file(tar, "dir/old", "3");
	tar_dir(tar, "opaque");
	tar_file(tar, "opaque/old", "4");
	tar_dir(tar, "becomes-file");
	tar_file(tar, "becomes-file/x/y", "5");
	tar_file(tar, "becomes-dir", "6");
	tar_add(tar, owned(tar_entry("implied", AE_IFDIR, 01777), 9, 9), "", 0);
	tar_symlink(tar, "lib", "usr/lib");
	tar_file(tar, "usr/lib/so", "7");
}

static void top_files(struct tar *tar)
{
	tar_file(tar, ".wh.gone", "");
	tar_file(tar, ".wh.never-was", "");
	tar_file(tar, "covered", "new");
	tar_add(tar, owned(tar_entry("dir", AE_IFDIR, 0700), 5, 5), "", 0);
	tar_file(tar, "dir/new", "8");
	tar_file(tar, "opaque/new", "9");
	tar_file(tar, "opaque/.wh..wh..opq", "");
	tar_file(tar, "becomes-file", "10");
	tar_file(tar, "becomes-dir/in", "11");
	tar_file(tar, "implied/in", "12");
	tar_file(tar, "lib/x", "13");
	tar_file(tar, ".wh..wh.plnk", "");
}

static void an_upper_layer_hides_replaces_and_joins(void **state)
{
	struct rig *rig = *state;

	two_layers(rig, low_files, top_files);
	lists(rig, "", " . .. becomes-dir becomes-file covered dir implied lib opaque stays usr");
	reads(rig, "covered", "new");
	reads(rig, "stays", "2");
	lists(rig, "dir", " . .. new old");
	assert_int_equal(seen_at(rig->disk, "dir").mode, S_IFDIR | 0700);
	assert_int_equal(seen_at(rig->disk, "dir").uid, 5);
	lists(rig, "opaque", " . .. new");
	reads(rig, "becomes-file", "10");
	lists(rig, "becomes-dir", " . .. in");
	/* That nobody says is a directory's stays as it was. */
	assert_int_equal(seen_at(rig->disk, "implied").mode, S_IFDIR | 01777);
	lists(rig, "implied", " . .. in");
	/* As overlayfs: a directory of an upper layer hides a link of a lower one. */
	lists(rig, "lib", " . .. x");
	reads(rig, "usr/lib/so", "7");
}

static void low_tree(struct tar *tar)
{
	tar_file(tar, "d/low", "1");
	tar_file(tar, "d/sub/low", "2");
	tar_file(tar, "e/low", "3");
}

static void top_whiteouts(struct tar *tar)
{
	tar_file(tar, "d/sub/top", "4");
	tar_file(tar, ".wh.d", ""); /* beside a directory of its own */
	tar_file(tar, ".wh.e", "");
	tar_dir(tar, "e");
	tar_file(tar, "f", "5");
	tar_file(tar, ".wh.f", "");
}

static void a_whiteout_hides_lower_layers_only_wherever_it_stands(void **state)
{
	struct rig *rig = *state;

	two_layers(rig, low_tree, top_whiteouts);
	lists(rig, "d", " . .. sub");
	lists(rig, "d/sub", " . .. top");
	lists(rig, "e", " . ..");
	reads(rig, "f", "5");
}

static void links_of_a_layer_are_followed_inside_the_root(void **state)
{
	struct rig *rig = *state;
	struct tar tar;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_dir(&tar, "usr/lib");
	tar_symlink(&tar, "lib", "usr/lib");
	tar_symlink(&tar, "up", "../../../../usr");
	tar_symlink(&tar, "abs", "/lib");
	tar_file(&tar, "lib/a", "1");
	tar_file(&tar, "up/b", "2");
	tar_file(&tar, "abs/c", "3");
	tar_hardlink(&tar, "d", "abs/a");
	layer(rig, &tar);
	make(rig);
	lists(rig, "usr/lib", " . .. a c");
	lists(rig, "usr", " . .. b lib");
	reads(rig, "d", "1");
	assert_int_equal(seen_at(rig->disk, "usr/lib/a").links, 2);
}

static void later_entries_of_a_layer_replace_earlier_ones(void **state)
{
	struct rig *rig = *state;
	struct tar tar;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "f", "first, and long enough to be seen");
	tar_hardlink(&tar, "kept", "f");
	tar_file(&tar, "f", "second");
	tar_hardlink(&tar, "f", "f"); /* its own link */
	tar_file(&tar, "g", "1");
	tar_dir(&tar, "g");
	tar_file(&tar, "g/h", "2");
	tar_dir(&tar, "g");
	tar_file(&tar, "i/j", "3");
	tar_symlink(&tar, "i", "g");
	device(&tar, "g/whiteout", AE_IFCHR, 0, 0);
	layer(rig, &tar);
	make(rig);
	reads(rig, "f", "second");
	reads(rig, "kept", "first, and long enough to be seen");
	assert_int_equal(seen_at(rig->disk, "kept").links, 1);
	lists(rig, "g", " . .. h");
	reads(rig, "i", "g");
}

static void the_same_layers_make_the_same_bytes(void **state)
{
	struct rig *rig = *state;
	struct buf first = { 0 }, second = { 0 };

	two_layers(rig, low_files, top_files);
	assert_int_equal(lseek(rig->disk, 0, SEEK_SET), 0);
	assert_int_equal(fd_read_all(rig->disk, 1 << 24, &first), 0);
	make(rig);
	assert_int_equal(lseek(rig->disk, 0, SEEK_SET), 0);
	assert_int_equal(fd_read_all(rig->disk, 1 << 24, &second), 0);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	buf_fini(&first);
	buf_fini(&second);
}

static void a_tree_deeper_than_a_path_is_no_trouble(void **state)
{
	struct rig *rig = *state;
	struct tar tar;

	/* Each link leads a hundred directories down, and the next begins there. */
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	for (unsigned i = 0; i < 30; i++) {
		char name[400] = "", from[16];
		(void)snprintf(from, sizeof(from), "l%u", i);
		size_t len = (size_t)snprintf(name, sizeof(name), "%s/", i ? from : ".");
		for (unsigned j = 0; j < 100; j++) {
			memcpy(name + len, "d/", 3);
			len += 2;
		}
		tar_dir(&tar, name);
		(void)snprintf(from, sizeof(from), "l%u", i + 1);
		tar_symlink(&tar, from, name);
	}
	tar_file(&tar, "l30/deep", "found");
	tar_file(&tar, ".wh.d", ""); /* walks it all */
	layer(rig, &tar);
	make(rig);
	assert_true(seen_at(rig->disk, "d/d/d").there);
}

static void what_leads_nowhere_is_one_line(void **state)
{
	static const struct {
		const char *link, *target, *file;
		int code;
	} cases[] = {
		{ "a", "b", "a/x/y", 0 }, /* made, as by mkdir -p */
		{ "a", "a", "a/x", -ELOOP },	   { "a", "/a/b", "a/x", -ELOOP },
		{ "a", "a/../a", "a/x", -ELOOP },  { NULL, NULL, "f/x", -ENOTDIR },
		{ NULL, NULL, "../x", -EXDEV },	   { NULL, NULL, ".wh.", -EINVAL },
		{ NULL, NULL, ".wh...", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		void *one;
		struct tar tar;
		setup(&one);
		tar_open(&tar, ARCHIVE_FILTER_NONE);
		tar_file(&tar, "f", "1");
		if (cases[i].link)
			tar_symlink(&tar, cases[i].link, cases[i].target);
		tar_file(&tar, cases[i].file, "2");
		layer(one, &tar);
		if (cases[i].code)
			refuse(one, cases[i].code, "entry ");
		else
			make(one);
		teardown(&one);
	}
}

static void hard_links_to_what_is_not_there_are_refused(void **state)
{
	static const char *const targets[] = { "nowhere", "dir", "low", "f/x" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		void *one;
		struct tar tar;
		setup(&one);
		tar_open(&tar, ARCHIVE_FILTER_NONE);
		tar_file(&tar, "low", "1");
		layer(one, &tar);
		tar_open(&tar, ARCHIVE_FILTER_NONE);
		tar_dir(&tar, "dir");
		tar_file(&tar, "f", "1");
		tar_hardlink(&tar, "h", targets[i]);
		layer(one, &tar);
		assert_true(try_make(one) < 0);
		assert_non_null(strstr(((struct rig *)one)->err.text, "entry h"));
		teardown(&one);
	}
}

static void owners_that_no_kernel_has_are_refused(void **state)
{
	struct rig *rig = *state;
	struct tar tar;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_add(&tar, owned(tar_entry("f", AE_IFREG, 0644), UINT32_MAX, 0), "", 0);
	layer(rig, &tar);
	refuse(rig, -EOVERFLOW, "entry f");
}

static void a_size_past_sixteen_tebibytes_is_refused(void **state)
{
	struct rig *rig = *state;
	char header[1536] = "huge";

	/* ustar's base-256 size: 2^45 */
	memcpy(header + 100, "0000644\0000000000\0000000000\0", 24);
	header[124] = (char)0x80;
	header[124 + 6] = 0x20;
	memcpy(header + 136, "00000000000", 12);
	header[156] = '0';
	memcpy(header + 257, "ustar\00000", 8);
	unsigned sum = 8 * ' ';
	for (size_t i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? 0 : (unsigned char)header[i];
	(void)snprintf(header + 148, 8, "%06o", sum);
	layer_bytes(rig, header, 512);
	int r = try_make(rig);
	assert_true(r == -EFBIG || r == -EBADMSG);
	struct stat st;
	assert_int_equal(fstat(rig->disk, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void what_is_no_tar_or_is_not_there_is_refused(void **state)
{
	struct rig *rig = *state;

	layer_bytes(rig, "not a tar at all", 16);
	refuse(rig, -EBADMSG, "neither a tar");
	assert_int_equal(unlinkat(rig->blobs, rig->hex[0], 0), 0);
	refuse(rig, -ENOENT, "layer ");
}

static void no_layers_are_an_empty_root(void **state)
{
	struct rig *rig = *state;

	make(rig);
	lists(rig, "", " . ..");
	assert_int_equal(seen_at(rig->disk, "").mode, S_IFDIR | 0755);
}

/* An archive's last file was written to where no inode was. */
static void names_past_the_bound_of_memory_are_refused(void **state)
{
	struct rig *rig = *state;
	struct tree tree;
	struct merge merge = { .tree = &tree };
	struct reader *reader;
	struct tar tar;
	void *rest;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_add(&tar, tar_entry("file", AE_IFREG, 0644), "data", 4);
	layer(rig, &tar);
	assert_int_equal(tree_init(&tree, &rig->err), 0);
	tree.pool_bytes = TREE_POOL_MAX;
	while (tree_alloc(&tree, 16, &rest) == 0)
		;
	int fd = openat(rig->blobs, rig->hex[0], O_RDONLY | O_CLOEXEC);
	assert_int_equal(reader_open(fd, "layer", &reader, &rig->err), 0);
	assert_int_equal(merge_layer(&merge, reader, &rig->err), -E2BIG);
	assert_non_null(strstr(rig->err.text, "more files than fit into 1024 MiB"));
	reader_free(reader);
	fd_close(fd);
	tree_fini(&tree);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(owners_modes_times_and_devices_are_the_archives),
		T(attributes_come_along_and_no_others),
		T(attributes_longer_than_a_block_fit),
		cmocka_unit_test(overlays_own_attributes_are_refused),
		T(contents_of_every_length_come_whole),
		T(a_sparse_file_has_its_holes_as_zeroes),
		T(a_large_directory_is_in_order),
		T(an_upper_layer_hides_replaces_and_joins),
		T(a_whiteout_hides_lower_layers_only_wherever_it_stands),
		T(links_of_a_layer_are_followed_inside_the_root),
		T(later_entries_of_a_layer_replace_earlier_ones),
		T(the_same_layers_make_the_same_bytes),
		T(a_tree_deeper_than_a_path_is_no_trouble),
		cmocka_unit_test(what_leads_nowhere_is_one_line),
		cmocka_unit_test(hard_links_to_what_is_not_there_are_refused),
		T(owners_that_no_kernel_has_are_refused),
		T(a_size_past_sixteen_tebibytes_is_refused),
		T(what_is_no_tar_or_is_not_there_is_refused),
		T(no_layers_are_an_empty_root),
		T(names_past_the_bound_of_memory_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
