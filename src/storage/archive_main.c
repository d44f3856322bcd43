/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strata-archive: the only process that reads archives. It is run by strata, not by people, and
 * confines itself before it looks at the first byte.
 *
 *   strata-archive import [--progress] [--change INSTRUCTION]... SOURCE
 *           SOURCE (a path, or "-") into the staging directory
 *   strata-archive export FORMAT PATH
 *           the image whose description (JSON) is on the control pipe: storage/archive/export.h
 *   strata-archive cp-out [--follow] [--as NAME] PATH
 *           PATH below the root directory as a tar to standard output
 *   strata-archive cp-in [--mine] [--only NAME] PATH
 *           the tar on standard input into the directory PATH below the root directory; --only: one entry, NAME, is what
 *           may be in it, no directory and no hard link; --mine: no owner that the tar says
 *   strata-archive kernel SOURCE MODULE...
 *           the kernel and the modules named from a Debian package into the directory: storage/archive/kernel.h
 *   strata-archive disk ID [BLOB DIFF-ID]...
 *           the layers of image ID, lowest first, as one disk into the directory's file "disk": storage/archive/disk.h
 *   strata-archive own BLOB DIFF-ID
 *           a layer with its own owners into the directory: storage/archive/own.h
 *
 * File descriptors: 3 the result pipe; 4 the control pipe; 5 import, disk: the staging directory, kernel: an empty one, export:
 * the store's blobs, cp: the root directory; 6 import: the store's layers, disk, own: its blobs, cp: the user namespace
 * to work in, where there is one.
 *
 * The result is one line. Success: a JSON object (import: {"images":[...],"skipped":N,
 * "example":TEXT}, else {}). Failure: an errno, a space and the words for it; exit status 1. After an
 * import's result the process waits until the control pipe ends: until then it holds the locks of
 * the layers that it found in the store.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "storage/archive/confine.h"
#include "storage/archive/copy.h"
#include "storage/archive/disk.h"
#include "storage/archive/export.h"
#include "storage/archive/import.h"
#include "storage/archive/kernel.h"
#include "storage/archive/own.h"

enum { FD_RESULT = 3, FD_CONTROL = 4, FD_DIR = 5, FD_LAYERS = 6, FD_USERS = 6 };

/* What each verb answers with. */
typedef int (*archive_fn)(int argc, char **argv, json_t **ret, struct err *err);

static int archive_usage(struct err *err)
{
	return err_say(err, EINVAL,
		       "strata-archive: wrong arguments: strata and strata-archive "
		       "must be of the same version");
}

static int import_result(const struct import *import, json_t **ret, struct err *err)
{
	json_t *result = json_pack("{sO sI}", "images", import->images, "skipped",
				   (json_int_t)import->report.skipped);

	if (!result)
		return err_set(err, ENOMEM, "strata-archive: result");
	/* Hostile bytes may be in it, and JSON is UTF-8: then the count has to do. */
	if (import->report.skipped)
		(void)json_object_set_new(result, "example", json_string(import->report.example));
	*ret = result;
	return 0;
}

static int archive_import(int argc, char **argv, json_t **ret, struct err *err)
{
	AUTO(import_fini)
	struct import import = { .blobs = -EBADF, .layers = -EBADF, .layout = -EBADF };
	AUTO(fd_close_p) int source = -EBADF;
	bool progress = false;
	const char **changes = calloc((size_t)argc + 1, sizeof(*changes));
	size_t n_changes = 0;
	int i = 0;

	if (!changes)
		return err_set(err, ENOMEM, "strata-archive");
	for (; i < argc - 1; i++) {
		if (!strcmp(argv[i], "--progress"))
			progress = isatty(STDERR_FILENO);
		else if (!strcmp(argv[i], "--change"))
			changes[n_changes++] = argv[++i];
	}
	int r = i == argc - 1 ? 0 : archive_usage(err);
	const char *path = r == 0 ? argv[i] : "";
	bool is_stdin = !strcmp(path, "-");
	if (r == 0) {
		source = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 7)
				  : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (source < 0)
			r = err_set(err, errno, "open %s", is_stdin ? "standard input" : path);
	}
	int staging = FD_DIR;
	if (r == 0)
		r = confine(&staging, true, true, err);
	if (r == 0)
		r = import_open(staging, FD_LAYERS, is_stdin ? "standard input" : path, &import,
				err);
	if (r == 0) {
		import.progress = progress;
		import.changes = changes;
		r = import_run(&import, source, err);
	}
	if (r == 0)
		r = import_result(&import, ret, err);
	free(changes);
	return r;
}

static int archive_export(int argc, char **argv, json_t **ret, struct err *err)
{
	AUTO(json_decref_p) json_t *image = NULL;
	AUTO(buf_fini) struct buf text = { 0 };

	if (argc != 2)
		return archive_usage(err);
	int r = fd_read_all(FD_CONTROL, OCI_JSON_MAX, &text);
	if (r < 0)
		return err_set(err, -r, "strata-archive: read the image's description");
	r = json_parse(buf_str(&text), text.len, "image description", &image, err);
	if (r == 0)
		r = export_run(argv[0], image, FD_DIR, argv[1], err);
	if (r == 0)
		*ret = json_object();
	return r;
}

/* In an instance's user namespace its ids are ours, and root there is all that we can be. */
static int archive_users(struct err *err)
{
	if (fcntl(FD_USERS, F_GETFD) < 0)
		return 0;
	if (setns(FD_USERS, CLONE_NEWUSER) < 0)
		return err_set(err, errno, "enter the user namespace");
	(void)close(FD_USERS); /* read only */
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_set(err, errno, "become root of the user namespace");
	return 0;
}

static int archive_cp_out(int argc, char **argv, json_t **ret, struct err *err)
{
	bool follow = false;
	const char *as = NULL;
	int i = 0;

	for (; i < argc - 1; i++) {
		if (!strcmp(argv[i], "--follow"))
			follow = true;
		else if (!strcmp(argv[i], "--as"))
			as = argv[++i];
	}
	if (i != argc - 1)
		return archive_usage(err);
	int r = archive_users(err);
	if (r == 0)
		r = copy_out(FD_DIR, argv[i], follow, as, STDOUT_FILENO, err);
	if (r == 0)
		*ret = json_object();
	return r;
}

static int archive_cp_in(int argc, char **argv, json_t **ret, struct err *err)
{
	const bool mine = argc > 1 && !strcmp(argv[0], "--mine");

	argc -= mine;
	argv += mine;
	const bool only = argc == 3 && !strcmp(argv[0], "--only");

	if (argc != 1 && !only)
		return archive_usage(err);
	int r = archive_users(err);
	if (r == 0)
		r = copy_in(FD_DIR, argv[argc - 1], only ? argv[1] : NULL, mine, STDIN_FILENO, err);
	if (r == 0)
		*ret = json_object();
	return r;
}

static int archive_kernel(int argc, char **argv, json_t **ret, struct err *err)
{
	int dir = FD_DIR;

	if (argc < 1)
		return archive_usage(err);
	AUTO(fd_close_p) int fd = open(argv[0], O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_set(err, errno, "open %s", argv[0]);
	int r = confine(&dir, false, false, err);
	return r < 0 ? r
		     : kernel_unpack(fd, argv[0], dir, (const char *const *)(argv + 1), ret, err);
}

/* ID, then each layer's blob and diff id, lowest first */
static int archive_disk(int argc, char **argv, json_t **ret, struct err *err)
{
	const size_t n = argc > 0 ? (size_t)(argc - 1) / 2 : 0;
	struct disk_layer *layers = calloc(n + 1, sizeof(*layers));
	int dir = FD_DIR;

	if (!layers)
		return err_set(err, ENOMEM, "strata-archive");
	int r = argc % 2 == 1 ? confine(&dir, false, false, err) : archive_usage(err);
	for (size_t i = 0; i < n; i++)
		layers[i] = (struct disk_layer){ argv[1 + 2 * i], argv[2 + 2 * i] };
	AUTO(fd_close_p)
	int out = r < 0 ? -EBADF
			: openat(dir, "disk", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				 0600);
	if (r == 0 && out < 0)
		r = err_set(err, errno, "make the image's disk");
	if (r == 0)
		r = disk_make(FD_LAYERS, out, argv[0], layers, n, err);
	if (r == 0)
		*ret = json_object();
	free(layers);
	return r;
}

static int archive_own(int argc, char **argv, json_t **ret, struct err *err)
{
	int dir = FD_DIR;
	int r = argc == 2 ? confine(&dir, true, true, err) : archive_usage(err);

	if (r == 0)
		r = own_unpack(FD_LAYERS, dir, argv[0], argv[1], err);
	if (r == 0)
		*ret = json_object();
	return r;
}

/* Return: the exit status. */
static int archive_answer(int r, const json_t *result, const struct err *err)
{
	AUTO(buf_fini) struct buf line = { 0 };

	if (r == 0)
		line.data = result ? json_text(result, 0) : NULL;
	else
		(void)buf_printf(&line, "%d %s", -r,
				 err->text); /* an empty answer is an error, too */
	bool done = line.data && fd_write_all(FD_RESULT, line.data, strlen(line.data)) == 0;
	fd_close(FD_RESULT);
	return r == 0 && done ? 0 : 1;
}

static void archive_wait(void)
{
	char byte;

	while (read(FD_CONTROL, &byte, 1) < 0 && errno == EINTR)
		;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		archive_fn run;
		bool waits;
	} verbs[] = {
		{ "import", archive_import, true },  { "export", archive_export, false },
		{ "cp-out", archive_cp_out, false }, { "cp-in", archive_cp_in, false },
		{ "kernel", archive_kernel, false }, { "disk", archive_disk, false },
		{ "own", archive_own, false },
	};
	struct err err = { 0 };
	AUTO(json_decref_p) json_t *result = NULL;
	bool waits = false;

	if (argc < 2 || fcntl(FD_RESULT, F_GETFD) < 0 || fcntl(FD_DIR, F_GETFD) < 0) {
		(void)fprintf(stderr, "strata-archive is run by strata, not by hand\n");
		return 1;
	}
	(void)umask(0);
	(void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error like any other */
	/* Names in archives are UTF-8 or plain bytes, whatever language the user speaks. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		(void)setlocale(LC_CTYPE, "");

	int r = -EINVAL;
	size_t i = 0;
	while (i < ARRAY_SIZE(verbs) && strcmp(argv[1], verbs[i].name))
		i++;
	if (i < ARRAY_SIZE(verbs)) {
		r = verbs[i].run(argc - 2, argv + 2, &result, &err);
		waits = verbs[i].waits;
	} else {
		r = archive_usage(&err);
	}
	int status = archive_answer(r, result, &err);
	if (r == 0 && waits)
		archive_wait();
	return status;
}
