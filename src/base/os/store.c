/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"

#define STORE_TMP "/tmp/strata-"

static int store_path(const char *given, bool run, char **ret, struct err *err)
{
	AUTO(buf_fini) struct buf path = { 0 };
	const char *xdg = getenv(run ? "XDG_RUNTIME_DIR" : "XDG_DATA_HOME");
	const char *home = getenv("HOME");

	if (given && given[0] == '/')
		(void)buf_adds(&path, given);
	else if (given && given[0]) {
		AUTO(buf_fini) struct buf cwd = { 0 };
		if (buf_reserve(&cwd, 4096) < 0 || !getcwd(cwd.data, 4096))
			return err_set(err, errno, "current directory");
		(void)buf_printf(&path, "%s/%s", cwd.data, given);
	} else if (geteuid() == 0)
		(void)buf_adds(&path, run ? "/run/strata" : "/var/lib/strata");
	else if (xdg && xdg[0] == '/')
		(void)buf_printf(&path, "%s/strata", xdg);
	else if (run)
		(void)buf_printf(&path, STORE_TMP "%u", (unsigned)geteuid());
	else if (home && home[0] == '/')
		(void)buf_printf(&path, "%s/.local/share/strata", home);
	else
		return err_say(err, ENOENT, "no place for the state: set HOME, or give --root");

	char *text = buf_steal(&path);
	if (!text)
		return err_set(err, ENOMEM, "state directory");
	for (size_t n = strlen(text); n > 1 && text[n - 1] == '/'; n--)
		text[n - 1] = '\0';
	*ret = text;
	return 0;
}

/* In /tmp a link is as much of a trap as a directory, though where it leads is ours. */
static int store_link(const char *path)
{
	const size_t len = sizeof(STORE_TMP) - 1;

	return strncmp(path, STORE_TMP, len) != 0 || strchr(path + len, '/') ? 0 : O_NOFOLLOW;
}

static int store_dir(const char *path, mode_t mode, int *ret_fd, struct err *err)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | store_link(path);
	int fd = open(path, flags);

	if (fd < 0 && errno == ENOENT) {
		int r = dir_make(AT_FDCWD, path, mode);
		if (r < 0)
			return err_set(err, -r, "make state directory %s", path);
		fd = open(path, flags);
	}
	if (fd < 0)
		return err_set(err, errno, "open state directory %s", path);

	/* Somebody else's directory in /tmp is a trap. */
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid()) {
		fd_close(fd);
		return err_say(err, EPERM, "state directory %s belongs to another user", path);
	}
	*ret_fd = fd;
	return 0;
}

int store_open(const char *root, const char *run_root, const struct db_schema *const schemas[],
	       struct store *ret, struct err *err)
{
	struct store store = { .root_fd = -EBADF, .run_fd = -EBADF };
	AUTO(buf_fini) struct buf db_path = { 0 };

	int r = store_path(root, false, &store.root, err);
	if (r == 0)
		r = store_path(run_root, true, &store.run_root, err);
	if (r == 0)
		r = store_dir(store.root, 0700, &store.root_fd, err);
	if (r == 0)
		r = store_dir(store.run_root, 0700, &store.run_fd, err);
	if (r == 0 && buf_printf(&db_path, "%s/strata.db", store.root) < 0)
		r = err_set(err, ENOMEM, "open state");
	if (r == 0)
		r = db_open(db_path.data, schemas, &store.db, err);
	if (r < 0) {
		store_close(&store);
		return r;
	}
	*ret = store;
	return 0;
}

void store_close(struct store *store)
{
	db_close(&store->db);
	if (store->root)
		fd_close(store->root_fd);
	if (store->run_root)
		fd_close(store->run_fd);
	free(store->root);
	free(store->run_root);
	*store = (struct store){ .root_fd = -EBADF, .run_fd = -EBADF };
}
