/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "storage/image_priv.h"
#include "storage/ref.h"

static int import_start(struct store *store, struct staging *staging, const char *source,
			const struct import_opts *opts, struct helper *ret, struct err *err)
{
	AUTO(fd_close_p) int layers = -EBADF;
	const char *argv[500] = { "import" };
	size_t n = 1;

	int r = storage_dir(store, "layers", 0700, &layers, err);
	if (r < 0)
		return r;
	if (opts && opts->progress)
		argv[n++] = "--progress";
	for (size_t i = 0; opts && opts->changes && opts->changes[i]; i++) {
		if (n + 4 > ARRAY_SIZE(argv))
			return err_say(err, E2BIG, "more than 240 --change");
		argv[n++] = "--change";
		argv[n++] = opts->changes[i];
	}
	argv[n++] = source;
	argv[n] = NULL;
	const struct helper_fds fds = { -1, -1, staging->fd, layers };
	return helper_start(argv, &fds, ret, err);
}

static int import_check_tag(const struct import_opts *opts, struct err *err)
{
	char unused[REF_MAX];

	return opts && opts->tag ? ref_tag(opts->tag, unused, err) : 0;
}

/* What the image holds and this host could not keep, in one line. */
static char *import_note(const json_t *result)
{
	AUTO(buf_fini) struct buf note = { 0 };
	long long skipped = json_int(result, "skipped", 0);

	if (!skipped)
		return NULL;
	(void)buf_printf(&note, "%lld of its entries could not be kept: %.200s", skipped,
			 json_str(result, "example", "devices or attributes"));
	return buf_steal(&note);
}

int image_import(struct store *store, const char *source, const struct import_opts *opts,
		 struct image *ret, struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(helper_fini) struct helper helper = { 0 };
	AUTO(json_decref_p) json_t *result = NULL;
	struct image image = { 0 };
	char id[DIGEST_HEX + 1];

	int r = import_check_tag(opts, err);
	if (r == 0)
		r = staging_open(store, "import", &staging, err);
	if (r == 0)
		r = import_start(store, &staging, source, opts, &helper, err);
	if (r == 0)
		r = helper_result(&helper, &result, err);
	if (r == 0)
		r = image_commit(store, &staging, result, opts ? opts->tag : NULL, id, err);
	if (r == 0)
		r = image_find(store, id, &image, err);
	if (r < 0)
		return r;
	image.note = import_note(result);
	*ret = image;
	return 0;
}

/* skopeo logs as logrus does, time="..." level=fatal msg="...": the message, its quotes undone. */
static void pull_unquote(char *text)
{
	char *to = text;

	for (const char *p = text; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		*to++ = *p;
	}
	*to = '\0';
}

/* The last line of what a program said on its standard error. */
static const char *pull_last_line(struct buf *text)
{
	while (text->len && strchr("\n ", text->data[text->len - 1]))
		text->data[--text->len] = '\0';
	if (!text->len)
		return "failed without a word";
	char *line = strrchr(text->data, '\n');
	char *words = line ? line + 1 : text->data;
	char *msg = strstr(words, "msg=\"");
	if (!msg)
		return words;
	pull_unquote(msg + 5);
	return msg + 5;
}

static int pull_failed(const char *ref, int status, struct buf *text, struct err *err)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_say(err, ENOENT,
			       "pull %s: skopeo is not installed: apt-get install skopeo", ref);
	return err_say(err, EIO, "pull %s: skopeo: %.350s", ref, pull_last_line(text));
}

static int pull_skopeo(const char *from, const char *to, const char *ref, bool progress,
		       struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(fd_close_p) int out = -EBADF;
	const char *loud[] = { "skopeo", "copy", from, to, NULL };
	const char *quiet[] = { "skopeo", "copy", "--quiet", from, to, NULL };
	int pipes[2];
	pid_t pid;

	progress = progress && isatty(STDERR_FILENO);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "make a pipe");
	const int fds[] = { -1, progress ? STDERR_FILENO : pipes[1], pipes[1] };
	int r = helper_spawn(progress ? loud : quiet, fds, ARRAY_SIZE(fds), &pid, err);
	fd_close(pipes[1]);
	out = pipes[0];
	if (r < 0)
		return r;
	(void)fd_read_all(out, 1 << 20, &text); /* a cut text is still a text */
	fd_close(fd_take(&out));
	int status = helper_wait(pid);
	return status == 0 ? 0 : pull_failed(ref, status, &text, err);
}

int image_pull(struct store *store, const char *text, const struct import_opts *opts,
	       struct image *ret, struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(buf_fini) struct buf from = { 0 };
	AUTO(buf_fini) struct buf dir = { 0 };
	AUTO(buf_fini) struct buf to = { 0 };
	char tag[REF_MAX] = "";
	struct ref ref;

	int r = import_check_tag(opts, err);
	if (r == 0)
		r = ref_parse(text, &ref, err);
	if (r == 0)
		r = staging_open(store, "pull", &staging, err);
	if (r < 0)
		return r;
	/* skopeo takes a tag or a digest, and the digest says it all. */
	(void)buf_printf(&from, "docker://%s%s%s", ref.name, ref.digest[0] ? "@sha256:" : ":",
			 ref.digest[0] ? ref.digest
			 : ref.tag[0]  ? ref.tag
				       : "latest");
	(void)buf_printf(&dir, "%s/%s/oci", store->root, staging.path);
	(void)buf_printf(&to, "oci:%s", buf_str(&dir));
	if (from.failed || dir.failed || to.failed)
		return err_set(err, ENOMEM, "pull %s", text);
	if (!ref.digest[0] || ref.tag[0])
		(void)snprintf(tag, sizeof(tag), "%s:%s", ref.name,
			       ref.tag[0] ? ref.tag : "latest"); /* fits */

	r = pull_skopeo(from.data, to.data, text, opts && opts->progress, err);
	if (r < 0)
		return r;
	const struct import_opts import = {
		.tag = opts && opts->tag ? opts->tag
		       : tag[0]		 ? tag
					 : NULL,
		.progress = opts && opts->progress,
	};
	r = image_import(store, dir.data, &import, ret, err);
	return r < 0 ? err_wrap(err, "pull %s", text) : 0;
}
