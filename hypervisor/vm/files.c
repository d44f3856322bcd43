/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/files.h"

#include <errno.h>
#include <string.h>

#include "core/page.h"
#include "core/spin.h"

_Static_assert(sizeof(struct hv_file) <= PAGE_BYTES, "a page each");

/* One server. */
static struct {
	struct spin lock;
	struct hv_file *first; /* by number */
	uint32_t last_number;
	unsigned n;
	uint64_t bytes; /* of uploads */
	struct hv_file loaded[BOOT_FILES];
} files;

static uint64_t held_bytes(const struct hv_file *f)
{
	return PAGE_BYTES + ((f->len + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1));
}

static struct hv_file *file_find(const char *name)
{
	struct hv_file *f = files.first;

	while (f && strcmp(f->name, name) != 0)
		f = f->next;
	return f;
}

static void file_append(struct hv_file *f)
{
	struct hv_file **at = &files.first;

	while (*at)
		at = &(*at)->next;
	*at = f;
	f->number = ++files.last_number;
	files.n++;
}

static void file_unlink(const struct hv_file *f)
{
	struct hv_file **at = &files.first;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	files.n--;
	files.bytes -= held_bytes(f);
}

static void file_free(struct hv_file *f)
{
	page_run_free(f->data, f->len);
	page_free(f, 0);
}

/* The base name of a file's first word. */
static void loaded_init(struct hv_file *f, const struct boot_info *info, unsigned number)
{
	const char *text = boot_file_text(info, number), *name = text;
	size_t len = 0;

	while (text[len] && text[len] != ' ')
		len++;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '/')
			name = text + i + 1;
	}
	len -= (size_t)(name - text);
	if (!len || len >= sizeof(f->name))
		return;
	*f = (struct hv_file){ .is_loaded = true,
			       .data = phys_to_ptr(info->files[number].start),
			       .len = info->files[number].len };
	memcpy(f->name, name, len);
	if (!file_find(f->name))
		file_append(f);
}

void hv_files_init(const struct boot_info *info)
{
	for (unsigned i = 0; i < info->n_files; i++)
		loaded_init(&files.loaded[i], info, i);
}

struct hv_file *hv_file_get(const char *name)
{
	spin_lock(&files.lock);
	struct hv_file *f = file_find(name);
	if (f && f->is_partial)
		f = NULL;
	if (f)
		f->users++;
	spin_unlock(&files.lock);
	return f;
}

void hv_file_put(struct hv_file *file)
{
	if (!file)
		return;
	spin_lock(&files.lock);
	file->users--;
	spin_unlock(&files.lock);
}

/* What "kernel" and "disk" of a guest's config can say. */
static bool name_is_good(const char *name)
{
	if (!name[0] || strncmp(name, "server:", 7) == 0)
		return false;
	for (const char *c = name; *c; c++) {
		if (*c <= ' ' || *c == 0x7f || *c == '/' || *c == '#')
			return false;
	}
	return true;
}

static int file_add(struct hv_file *f, struct err *err)
{
	int r = 0;

	spin_lock(&files.lock);
	if (file_find(f->name))
		r = err_say(err, EEXIST, "there is a file %s", f->name);
	else if (files.n == FILES_MAX)
		r = err_say(err, ENOSPC, "there are %u files, and no room for more", FILES_MAX);
	if (r == 0) {
		file_append(f);
		files.bytes += held_bytes(f);
	}
	spin_unlock(&files.lock);
	return r;
}

int hv_file_begin(const char *name, uint64_t len, struct hv_file **ret, struct err *err)
{
	if (!name_is_good(name) || strlen(name) >= CHANNEL_FILE_BYTES)
		return err_say(err, EINVAL, "no name for a file");
	if (!len)
		return err_say(err, EINVAL, "file %s: it has no bytes", name);
	if (len > FILE_MAX_BYTES)
		return err_say(err, EFBIG, "file %s: %llu bytes", name, (unsigned long long)len);
	struct hv_file *f = page_alloc(0);
	if (!f)
		return err_say(err, ENOMEM, "file %s: no memory", name);
	memcpy(f->name, name, strlen(name));
	f->len = len;
	f->is_partial = true;
	f->data = page_run_take(len, 0);
	int r = f->data ? file_add(f, err)
			: err_say(err, ENOMEM, "file %s: %llu bytes in a row are not free", name,
				  (unsigned long long)len);
	if (r < 0) {
		file_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void hv_file_done(struct hv_file *file)
{
	spin_lock(&files.lock);
	file->is_partial = false;
	spin_unlock(&files.lock);
}

void hv_file_abort(struct hv_file *file)
{
	spin_lock(&files.lock);
	file_unlink(file);
	spin_unlock(&files.lock);
	file_free(file);
}

int hv_file_drop(const char *name, struct err *err)
{
	int r = 0;

	spin_lock(&files.lock);
	struct hv_file *f = file_find(name);
	if (!f)
		r = err_say(err, ENOENT, "there is no file %s", name);
	else if (f->is_loaded)
		r = err_say(err, EPERM, "file %s: the boot loader brought it", name);
	else if (f->users || f->is_partial)
		r = err_say(err, EBUSY, "file %s: %s", name,
			    f->users ? "a guest has it" : "its upload is not over");
	else
		file_unlink(f);
	spin_unlock(&files.lock);
	if (r == 0)
		file_free(f);
	return r;
}

bool hv_file_next(uint32_t after, struct channel_file *ret)
{
	spin_lock(&files.lock);
	const struct hv_file *f = files.first;
	while (f && f->number <= after)
		f = f->next;
	if (f) {
		*ret = (struct channel_file){
			.number = f->number,
			.flags = (f->is_loaded ? CHANNEL_FILE_LOADED : 0) |
				 (f->is_partial ? CHANNEL_FILE_PARTIAL : 0) |
				 (f->users ? CHANNEL_FILE_BUSY : 0),
			.size_bytes = f->len,
		};
		memcpy(ret->name, f->name, sizeof(ret->name));
	}
	spin_unlock(&files.lock);
	return f;
}

unsigned hv_file_count(void)
{
	return __atomic_load_n(&files.n, __ATOMIC_RELAXED);
}

uint64_t hv_files_bytes(void)
{
	return __atomic_load_n(&files.bytes, __ATOMIC_RELAXED);
}
