/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"

/* A tmpfs of this process's own; not /tmp itself, where the program under test may have been built. */
#define SCENE_TMPFS "/tmp/strata-storage-test"

static const struct db_schema *const schemas[] = { &storage_schema, NULL };

int scene_group(void **state)
{
	(void)state;
	(void)mkdir(SCENE_TMPFS, 0755); /* an earlier run made it: the mount tells */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", SCENE_TMPFS, "tmpfs", 0, "mode=1777,size=1g,nr_inodes=500k") < 0) {
		(void)fprintf(stderr, "SKIP: needs root, for a mount namespace of its own\n");
		exit(77);
	}
	return 0;
}

int scene_init(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	char path[80];

	(void)snprintf(scene->dir, sizeof(scene->dir), SCENE_TMPFS "/XXXXXX");
	assert_non_null(mkdtemp(scene->dir));
	assert_int_equal(chmod(scene->dir, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/root", scene->dir);
	char run[80];
	(void)snprintf(run, sizeof(run), "%s/run", scene->dir);
	if (store_open(path, run, schemas, &scene->store, &scene->err) < 0)
		fail_msg("%s", scene->err.text);
	*state = scene;
	return 0;
}

int scene_fini(void **state)
{
	struct scene *scene = *state;

	store_close(&scene->store);
	assert_int_equal(dir_remove(AT_FDCWD, scene->dir), 0);
	free(scene);
	return 0;
}

const char *scene_path(struct scene *scene, const char *name)
{
	static char path[8][512];
	static unsigned next;
	char *ret = path[next++ % 8];

	(void)snprintf(ret, sizeof(path[0]), "%s/%s", scene->dir, name);
	return ret;
}

const char *scene_unpacked(struct scene *scene, const struct image *image, const char *name)
{
	char below[300];
	size_t n = 0;

	while (image->layers[n])
		n++;
	assert_true(n > 0);
	(void)snprintf(below, sizeof(below), "root/layers/%s/%s", image->layers[n - 1], name);
	return scene_path(scene, below);
}

void scene_write(struct scene *scene, const char *name, const void *data, size_t len)
{
	int fd = open(scene_path(scene, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, len), 0);
	fd_close(fd);
}

unsigned scene_count(struct scene *scene, const char *name)
{
	char below[300];
	unsigned n = 0;

	(void)snprintf(below, sizeof(below), "root/%s", name);
	DIR *dir = opendir(scene_path(scene, below));
	if (!dir)
		return 0;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	(void)closedir(dir);
	return n;
}

void scene_assert_empty(struct scene *scene)
{
	struct image *images = NULL;
	size_t n = 99;

	assert_int_equal(image_list(&scene->store, &images, &n, &scene->err), 0);
	assert_int_equal(n, 0);
	free(images);
	assert_int_equal(scene_count(scene, "layers"), 0);
	assert_int_equal(scene_count(scene, "blobs"), 0);
	assert_int_equal(scene_count(scene, "tmp"), 0);
}

void scene_import(struct scene *scene, const char *name, const char *tag, struct image *ret)
{
	const struct import_opts opts = { .tag = tag };

	if (image_import(&scene->store, scene_path(scene, name), &opts, ret, &scene->err) < 0)
		fail_msg("%s", scene->err.text);
	assert_int_equal(scene_count(scene, "tmp"), 0);
}

void scene_refuse(struct scene *scene, const char *name, int code, const char *words)
{
	const struct import_opts opts = { .tag = "bad" };
	struct image image = { 0 };

	scene->err = (struct err){ 0 };
	int r = image_import(&scene->store, scene_path(scene, name), &opts, &image, &scene->err);
	if (r == 0)
		fail_msg("%s was imported", name);
	if (r != code || !strstr(scene->err.text, words))
		fail_msg("%s: %d, not %d: \"%s\" should say \"%s\"", name, r, code, scene->err.text,
			 words);
	scene_assert_empty(scene);
}

static ssize_t tar_write(struct archive *a, void *arg, const void *data, size_t len)
{
	(void)a;
	return buf_add(arg, data, len) < 0 ? -1 : (ssize_t)len;
}

void tar_open(struct tar *tar, int filter)
{
	*tar = (struct tar){ .a = archive_write_new() };
	assert_int_equal(archive_write_set_format_pax_restricted(tar->a), ARCHIVE_OK);
	assert_int_equal(archive_write_set_bytes_in_last_block(tar->a, 1), ARCHIVE_OK);
	if (filter != ARCHIVE_FILTER_NONE)
		assert_int_equal(archive_write_add_filter(tar->a, filter), ARCHIVE_OK);
	assert_int_equal(archive_write_open(tar->a, &tar->out, NULL, tar_write, NULL), ARCHIVE_OK);
}

struct archive_entry *tar_entry(const char *name, mode_t type, mode_t perm)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, perm);
	archive_entry_set_mtime(entry, 1000000000, 0);
	return entry;
}

void tar_add(struct tar *tar, struct archive_entry *entry, const void *data, size_t len)
{
	if (!archive_entry_size_is_set(entry) && !archive_entry_hardlink(entry))
		archive_entry_set_size(entry, (int64_t)len);
	assert_true(archive_write_header(tar->a, entry) >= ARCHIVE_WARN);
	if (len)
		assert_int_equal(archive_write_data(tar->a, data, len), (ssize_t)len);
	archive_entry_free(entry);
}

void tar_file(struct tar *tar, const char *name, const char *text)
{
	tar_add(tar, tar_entry(name, AE_IFREG, 0644), text, strlen(text));
}

void tar_dir(struct tar *tar, const char *name)
{
	tar_add(tar, tar_entry(name, AE_IFDIR, 0755), "", 0);
}

void tar_symlink(struct tar *tar, const char *name, const char *target)
{
	struct archive_entry *entry = tar_entry(name, AE_IFLNK, 0777);

	archive_entry_set_symlink(entry, target);
	tar_add(tar, entry, "", 0);
}

void tar_hardlink(struct tar *tar, const char *name, const char *target)
{
	struct archive_entry *entry = tar_entry(name, AE_IFREG, 0644);

	archive_entry_set_hardlink(entry, target);
	tar_add(tar, entry, "", 0);
}

struct buf tar_end(struct tar *tar)
{
	assert_int_equal(archive_write_close(tar->a), ARCHIVE_OK);
	(void)archive_write_free(tar->a);
	return tar->out;
}

void tar_save(struct tar *tar, struct scene *scene, const char *name)
{
	struct buf out = tar_end(tar);

	scene_write(scene, name, out.data, out.len);
	buf_fini(&out);
}

void parts_make(struct parts *parts, const char *arch, int filter)
{
	struct tar tar;

	*parts = (struct parts){ .arch = arch };
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	tar_file(&tar, "hello", "hello\n");
	struct buf plain = tar_end(&tar);
	digest_of(plain.data, plain.len, parts->diff_hex);
	tar_open(&tar, filter);
	tar_file(&tar, "hello", "hello\n");
	parts->layer = tar_end(&tar);
	buf_fini(&plain);
	parts_documents(parts);
}

void parts_documents(struct parts *parts)
{
	buf_fini(&parts->config);
	buf_fini(&parts->manifest);
	buf_fini(&parts->index);
	if (!parts->layer_hex[0])
		digest_of(parts->layer.data, parts->layer.len, parts->layer_hex);
	(void)buf_printf(
		&parts->config,
		"{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/hello\"]},"
		"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}}",
		parts->arch, parts->diff_hex);
	digest_of(parts->config.data, parts->config.len, parts->config_hex);
	(void)buf_printf(&parts->manifest,
			 "{\"schemaVersion\":2,\"config\":{\"mediaType\":"
			 "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:%s\","
			 "\"size\":%zu},\"layers\":[{\"mediaType\":"
			 "\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"sha256:%s\","
			 "\"size\":%zu}]}",
			 parts->config_hex, parts->config.len, parts->layer_hex, parts->layer.len);
	digest_of(parts->manifest.data, parts->manifest.len, parts->manifest_hex);
	(void)buf_printf(&parts->index,
			 "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":"
			 "\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:%s\","
			 "\"size\":%zu,\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"},"
			 "\"annotations\":{\"org.opencontainers.image.ref.name\":\"made:oci\"}}]}",
			 parts->manifest_hex, parts->manifest.len, parts->arch);
}

void parts_fini(struct parts *parts)
{
	buf_fini(&parts->layer);
	buf_fini(&parts->config);
	buf_fini(&parts->manifest);
	buf_fini(&parts->index);
}

static void parts_blob(struct tar *tar, const char *hex, const struct buf *data)
{
	char name[100];

	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
	tar_add(tar, tar_entry(name, AE_IFREG, 0644), data->data, data->len);
}

void parts_save_docker(const struct parts *parts, struct scene *scene, const char *name)
{
	struct tar tar;
	char text[600];
	char config[80];

	(void)snprintf(config, sizeof(config), "%s.json", parts->config_hex);
	(void)snprintf(text, sizeof(text),
		       "[{\"Config\":\"%s\",\"RepoTags\":[\"made:docker\"],\"Layers\":["
		       "\"%s/layer.tar\"]}]",
		       config, parts->layer_hex);
	tar_open(&tar, ARCHIVE_FILTER_NONE);
	/* The layer's own name is a link, as docker save makes them for a layer that comes twice. */
	tar_dir(&tar, "000000000000aaaa");
	tar_add(&tar, tar_entry("000000000000aaaa/layer.tar", AE_IFREG, 0644), parts->layer.data,
		parts->layer.len);
	tar_dir(&tar, parts->layer_hex);
	char link[100];
	(void)snprintf(link, sizeof(link), "%s/layer.tar", parts->layer_hex);
	tar_symlink(&tar, link, "../000000000000aaaa/layer.tar");
	tar_file(&tar, config, parts->config.data);
	tar_file(&tar, "manifest.json", text);
	tar_save(&tar, scene, name);
}

void parts_save_oci(const struct parts *parts, struct scene *scene, const char *name)
{
	struct tar tar;

	tar_open(&tar, ARCHIVE_FILTER_NONE);
	parts_blob(&tar, parts->layer_hex, &parts->layer);
	parts_blob(&tar, parts->config_hex, &parts->config);
	parts_blob(&tar, parts->manifest_hex, &parts->manifest);
	tar_file(&tar, "index.json", parts->index.data);
	tar_file(&tar, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	tar_save(&tar, scene, name);
}

static void parts_blob_file(struct scene *scene, const char *name, const char *hex,
			    const struct buf *data)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/blobs/sha256/%s", name, hex);
	scene_write(scene, path, data->data, data->len);
}

void parts_save_oci_dir(const struct parts *parts, struct scene *scene, const char *name)
{
	char path[200];
	const char *layout = "{\"imageLayoutVersion\":\"1.0.0\"}";

	(void)snprintf(path, sizeof(path), "%s/blobs/sha256", name);
	assert_int_equal(dir_make(AT_FDCWD, scene_path(scene, path), 0755), 0);
	parts_blob_file(scene, name, parts->layer_hex, &parts->layer);
	parts_blob_file(scene, name, parts->config_hex, &parts->config);
	parts_blob_file(scene, name, parts->manifest_hex, &parts->manifest);
	(void)snprintf(path, sizeof(path), "%s/index.json", name);
	scene_write(scene, path, parts->index.data, parts->index.len);
	(void)snprintf(path, sizeof(path), "%s/oci-layout", name);
	scene_write(scene, path, layout, strlen(layout));
}
