/* SPDX-License-Identifier: Apache-2.0 */
/* Lays the files out, and has GRUB's own programs make a medium of them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/self.h"
#include "engines/baremetal/media.h"
#include "engines/baremetal/private.h"
#include "storage/helper.h"

#define GRUB_OUTPUT_MAX 65536U
#define COPY_STEP	(UINT64_C(1) << 30)

/* A directory that goes when it leaves its scope. */
struct media_scratch {
	char path[PATH_MAX];
};

static void scratch_fini(struct media_scratch *scratch)
{
	if (*scratch->path)
		(void)dir_remove(AT_FDCWD,
				 scratch->path); /* what is left is in the temporary directory */
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n > m && strcmp(text + n - m, end) == 0;
}

static int copy_file(int folder, const char *path, const char *name, struct err *err)
{
	AUTO(fd_close_p) int from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return err_set(err, errno, "read %s", path);
	AUTO(fd_close_p)
	int to = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (to < 0)
		return err_set(err, errno, "write %s", name);
	for (;;) {
		ssize_t n = sendfile(to, from, NULL, COPY_STEP);
		if (n < 0)
			return err_set(err, errno, "copy %s", path);
		if (n == 0)
			return 0;
	}
}

/* Words end up in GRUB's file, which knows quotes and variables: plain ones only. */
static int check_words(const char *words, struct err *err)
{
	for (const char *c = words; *c; c++) {
		if ((unsigned char)*c < 0x20 || strchr("\"'\\$;{}#&|<>", *c))
			return err_say(err, EINVAL, "--words: no quotes and no %c",
				       *c < 0x20 ? '?' : *c);
	}
	return 0;
}

/* @load, @module: GRUB's commands */
static void write_entry(const struct media *media, const char *root, const char *words,
			const char *load, const char *module, struct buf *text)
{
	(void)buf_printf(text, "\t%s %s/" MEDIA_IMAGE " %s\n", load, root, words);
	if (media->guests.len)
		(void)buf_printf(text, "\t%s %s/" MEDIA_GUESTS " " MEDIA_GUESTS "\n", module, root);
	for (size_t i = 0; i < media->n_files; i++)
		(void)buf_printf(text, "\t%s %s/%s %s\n", module, root, media->files[i].name,
				 media->files[i].name);
}

/*
 * By BIOS the first protocol, which leaves the screen in text mode: some BIOSes' graphics modes are broken (Bochs's crashes).
 * By UEFI the second, which hands over the framebuffer and the ACPI tables.
 */
static int write_grub(const struct media *media, int folder, const char *root, const char *words,
		      struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };

	(void)buf_adds(&text, "set timeout=0\n"
			      "serial --unit=0 --speed=115200\n"
			      "terminal_output console serial\n"
			      "menuentry strata {\n"
			      "if [ $grub_platform = efi ]; then\n"
			      "\tinsmod all_video\n");
	write_entry(media, root, words, "multiboot2", "module2", &text);
	(void)buf_adds(&text, "else\n");
	write_entry(media, root, words, "multiboot", "module", &text);
	(void)buf_adds(&text, "fi\nboot\n}\n");
	if (text.failed)
		return err_set(err, ENOMEM, "write grub.cfg");
	int r = dir_make(folder, "grub", 0755);
	r = r < 0 ? r : file_replace(folder, "grub/grub.cfg", 0644, text.data, text.len, false);
	return r < 0 ? err_set(err, -r, "write grub.cfg") : 0;
}

/* FOLDER/boot/ with everything, and boot/grub/grub.cfg. */
static int lay_out(const struct media *media, const char *path, const char *root, const char *words,
		   struct err *err)
{
	AUTO(media_text_free_p) char *image = NULL;
	char boot[PATH_MAX];

	if ((size_t)snprintf(boot, sizeof(boot), "%s/boot", path) >= sizeof(boot))
		return err_say(err, ENAMETOOLONG, "%s: too long", path);
	int r = check_words(words, err);
	r = r < 0 ? r : self_helper_path(MEDIA_IMAGE, &image, err);
	if (r < 0)
		return r;
	r = dir_make(AT_FDCWD, boot, 0755);
	if (r < 0)
		return err_set(err, -r, "make %s", boot);
	AUTO(fd_close_p) int folder = open(boot, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return err_set(err, errno, "open %s", boot);
	r = copy_file(folder, image, MEDIA_IMAGE, err);
	if (r == 0 && media->guests.len) {
		r = file_replace(folder, MEDIA_GUESTS, 0644, media->guests.data, media->guests.len,
				 false);
		r = r < 0 ? err_set(err, -r, "write " MEDIA_GUESTS) : 0;
	}
	for (size_t i = 0; r == 0 && i < media->n_files; i++)
		r = copy_file(folder, media->files[i].path, media->files[i].name, err);
	return r < 0 ? r : write_grub(media, folder, root, words, err);
}

/* Of what the program said: xorriso's first failure, else the last line that has words. The lines are cut apart. */
static const char *said_why(char *said)
{
	const char *why = "it failed";
	char *save;

	for (char *line = strtok_r(said, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strstr(line, " : FAILURE : ") || strstr(line, " : FATAL : "))
			return line;
		if (line[strcspn(line, "abcdefghijklmnopqrstuvwxyz")])
			why = line;
	}
	return why;
}

static int run_grub(const char *const *argv, struct err *err)
{
	AUTO(buf_fini) struct buf said = { 0 };
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, errno, "make a pipe");
	AUTO(fd_close_p) int from = pipes[0];
	AUTO(fd_close_p) int to = pipes[1];
	AUTO(fd_close_p) int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = { nothing, nothing, to };
	int r = helper_spawn(argv, fds, 3, &pid, err);
	if (r < 0)
		return r;
	fd_close(fd_take(&to));
	(void)fd_read_all(from, GRUB_OUTPUT_MAX, &said); /* only for the message */
	char rest[4096];
	while (read(from, rest, sizeof(rest)) > 0) /* it must not block on a full pipe */
		;
	int status = helper_wait(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_say(err, ENOENT,
			       "%s is not there: install grub-common, xorriso, mtools, "
			       "grub-pc-bin, grub-efi-amd64-bin",
			       argv[0]);
	if (said.failed || buf_add(&said, "", 1) < 0)
		return err_set(err, ENOMEM, "%s", argv[0]);
	return err_say(err, EIO, "%s: %s", argv[0], said_why(said.data));
}

static int build_iso(const char *folder, const char *out, struct err *err)
{
	const char *const argv[] = { "grub-mkrescue", "-o", out, folder, NULL };

	return run_grub(argv, err);
}

/* One program whose memory disk holds the folder. */
static int build_efi(const char *folder, const char *out, struct err *err)
{
	char boot[PATH_MAX + 16];

	(void)snprintf(boot, sizeof(boot), "boot=%s/boot", folder); /* it fits */
	const char *const argv[] = {
		"grub-mkstandalone", "-O", "x86_64-efi", "-o", out, boot, NULL
	};
	return run_grub(argv, err);
}

/* "x.img" is meant to be something else than a directory. One that is there already, or a '/' behind the name, says that it is. */
static int check_folder(const char *out, struct err *err)
{
	const char *slash = strrchr(out, '/'), *name = slash ? slash + 1 : out;
	struct stat st;

	if (!strchr(name, '.') || (stat(out, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	return err_say(err, EINVAL,
		       "-o %.200s: a medium is NAME.iso, NAME.efi, or a directory: NAME without a "
		       "dot, or NAME/",
		       out);
}

static int build_folder(const struct media *media, const char *out, const char *words,
			struct err *err)
{
	int r = check_folder(out, err);

	if (r < 0)
		return r;
	if (mkdir(out, 0755) < 0 && errno != EEXIST)
		return err_set(err, errno, "make %s", out);
	if (rmdir(out) < 0) /* made again below */
		return err_set(err, errno, "use the directory %s", out);
	return lay_out(media, out, "/boot", words, err);
}

int media_build(const struct media *media, const char *out, const char *words, struct err *err)
{
	AUTO(scratch_fini) struct media_scratch scratch = { "" };
	const char *temporary = getenv("TMPDIR");
	char whole[PATH_MAX];
	bool is_efi = ends_with(out, ".efi");

	if (!words)
		words = "";
	if (!is_efi && !ends_with(out, ".iso"))
		return build_folder(media, out, words, err);
	if ((size_t)snprintf(whole, sizeof(whole), "%s.part", out) >= sizeof(whole))
		return err_say(err, ENAMETOOLONG, "%s: too long", out);
	/* GRUB's programs do not say it so that anybody understands. */
	int made = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (made < 0)
		return err_set(err, errno, "write %s", out);
	fd_close(made);
	(void)snprintf(scratch.path, sizeof(scratch.path), "%s/strata-media.XXXXXX",
		       temporary && strlen(temporary) < PATH_MAX / 2 ? temporary : "/tmp");
	if (!mkdtemp(scratch.path)) {
		int code = errno;
		*scratch.path = 0;
		(void)unlink(whole);
		return err_set(err, code, "make a temporary directory");
	}
	int r = lay_out(media, scratch.path, is_efi ? "(memdisk)/boot" : "/boot", words, err);
	r = r < 0 ? r : (is_efi ? build_efi : build_iso)(scratch.path, whole, err);
	if (r == 0 && rename(whole, out) < 0)
		r = err_set(err, errno, "write %s", out);
	if (r < 0)
		(void)unlink(whole);
	return r;
}
