/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/lab.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/macros.h"
#include "base/os/self.h"
#include "engines/baremetal/private.h"

#define LAB_WORDS_MAX 128

struct words {
	char **list;
	size_t n;
	bool failed;
};

static void words_take(struct words *words, char *text)
{
	if (!text || words->n == LAB_WORDS_MAX) {
		free(text);
		words->failed = true;
		return;
	}
	words->list[words->n++] = text;
}

static void words_add(struct words *words, const char *text)
{
	words_take(words, strdup(text));
}

/* A comma in a value of QEMU's is written twice. */
static void words_value(struct buf *out, const char *value)
{
	for (const char *c = value; *c; c++)
		(void)buf_printf(out, *c == ',' ? ",," : "%c", *c); /* a failure is sticky */
}

static void words_buf(struct words *words, struct buf *text)
{
	words_take(words, text->failed || !text->data ? NULL : buf_steal(text));
}

static void words_disk(struct words *words, const struct lab_disk *disk, size_t i)
{
	AUTO(buf_fini) struct buf drive = { 0 };
	AUTO(buf_fini) struct buf device = { 0 };

	/* QEMU's own lock would not get past one that is held. */
	(void)buf_printf(&drive,
			 "if=none,id=disk%zu,format=%s,read-only=%s,file.locking=%s,file=", i,
			 disk->format, disk->read_only ? "on" : "off",
			 disk->is_held ? "off" : "on"); /* looked at in words_buf() */
	words_value(&drive, disk->path);
	(void)buf_printf(&device, "virtio-blk-pci,drive=disk%zu,serial=strata-%zu", i, i);
	words_add(words, "-drive");
	words_buf(words, &drive);
	words_add(words, "-device");
	words_buf(words, &device);
}

static void words_number(struct words *words, const char *flag, const char *format, uint64_t value)
{
	AUTO(buf_fini) struct buf text = { 0 };

	(void)buf_printf(&text, "%" PRIu64 "%s", value, format);
	words_add(words, flag);
	words_buf(words, &text);
}

static void words_files(struct words *words, const struct lab_server *server)
{
	AUTO(buf_fini) struct buf text = { 0 };

	for (size_t i = 0; i < server->n_files; i++) {
		(void)buf_adds(&text, i ? "," : "");
		words_value(&text, server->files[i].path);
	}
	if (!server->n_files)
		return;
	words_add(words, "-initrd");
	words_buf(words, &text);
}

char **lab_argv(const struct lab_server *server)
{
	static const char *const fixed[] = {
		LAB_QEMU,
		"-accel",
		"tcg",
		"-cpu",
		"max",
		"-M",
		"q35",
		"-nodefaults",
		"-no-user-config",
		"-display",
		"none",
		"-no-reboot",
		"-serial",
		"stdio",
		"-sandbox",
		"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-chardev",
		"socket,id=channel,fd=3",
		"-device",
		"virtio-serial-pci",
		"-device",
		"virtserialport,chardev=channel,name=strata.channel",
		"-kernel",
	};
	struct words words = { .list = calloc(LAB_WORDS_MAX + 1, sizeof(char *)) };

	if (!words.list)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		words_add(&words, fixed[i]);
	words_add(&words, server->image);
	words_add(&words, "-append");
	words_add(&words, server->words);
	words_number(&words, "-m", "M", (server->memory_bytes + LAB_OWN_BYTES) >> 20);
	words_number(&words, "-smp", "", server->cpus);
	words_files(&words, server);
	for (size_t i = 0; i < server->n_disks; i++)
		words_disk(&words, &server->disks[i], i);
	if (!words.failed)
		return words.list;
	lab_argv_free(words.list);
	return NULL;
}

void lab_argv_free(char **argv)
{
	for (char **word = argv; word && *word; word++)
		free(*word);
	free(argv);
}

static int qemu_try(const char *dir, int len, char **ret)
{
	AUTO(buf_fini) struct buf path = { 0 };

	if (!len || buf_printf(&path, "%.*s/" LAB_QEMU, len, dir) < 0)
		return -ENOENT;
	if (access(path.data, X_OK) < 0)
		return -errno;
	*ret = buf_steal(&path);
	return 0;
}

int lab_qemu(char **ret, struct err *err)
{
	static const char usual[] = "/usr/local/bin:/usr/bin";
	const char *const lists[] = { secure_getenv("PATH"), usual };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (const char *at = lists[i]; at && *at;) {
			size_t len = strcspn(at, ":");
			if (*at == '/' && qemu_try(at, (int)len, ret) == 0)
				return 0;
			at += len + (at[len] == ':');
		}
	}
	return err_say(err, ENOENT,
		       "there is no " LAB_QEMU " for the lab's emulated server: install "
		       "qemu-system-x86");
}

int lab_image(char **ret, struct err *err)
{
	return self_helper_path(MEDIA_IMAGE, ret, err);
}
